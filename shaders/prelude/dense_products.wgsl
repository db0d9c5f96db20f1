// prelude.dense_products: forward, mean cross-entropy, and backward, up to the gradient of what enters each ReLU.
//
// Every pass is a product, cut into tiles of 4 x 4: four rows x a quad of columns in the registers of one invocation, added
// in the order of the inner axis. Neighbours own neighbouring quads: they read neighbouring weights, and the same numbers
// of the inner axis. Tiles are dealt to the invocations in turn, and all go round a loop equally often: those that have no
// tile left repeat the last one, and write nothing. So their number changes no bit.
// `input_start` and `input_quad`, which read samples, come from the kernel. The file is long because it has all passes, which
// share their product.

const ROWS: u32 = 4;
const TILES: u32 = SAMPLES / ROWS * QUADS;

// What becomes of sums on their way out of a layer.
struct Ending {
    scale: f32,
    bias: vec4f,
    hidden: bool, // a ReLU follows
}

// x[0] w[0] + x[1] w[1] + x[2] w[2] + x[3] w[3], added one after the other to each of four rows of sums.
fn multiply(sums: mat4x4f, x: mat4x4f, w: mat4x4f) -> mat4x4f {
    return mat4x4f(add(sums[0], x[0], w), add(sums[1], x[1], w), add(sums[2], x[2], w), add(sums[3], x[3], w));
}

fn add(sums: vec4f, x: vec4f, w: mat4x4f) -> vec4f {
    return sums + x.x * w[0] + x.y * w[1] + x.z * w[2] + x.w * w[3];
}

fn finished(sums: vec4f, ending: Ending) -> vec4f {
    let y = ending.bias + ending.scale * sums;
    return select(y, relu(y), ending.hidden);
}

fn store_outputs(place: u32, sums: mat4x4f, ending: Ending) {
    scratch[place] = finished(sums[0], ending);
    scratch[place + QUADS] = finished(sums[1], ending);
    scratch[place + 2u * QUADS] = finished(sums[2], ending);
    scratch[place + 3u * QUADS] = finished(sums[3], ending);
}

// A gradient goes on only where the ReLU produced more than 0.
fn store_gradients(place: u32, output: u32, sums: mat4x4f) {
    scratch[place] = relu_gradient(sums[0], scratch[output]);
    scratch[place + QUADS] = relu_gradient(sums[1], scratch[output + QUADS]);
    scratch[place + 2u * QUADS] = relu_gradient(sums[2], scratch[output + 2u * QUADS]);
    scratch[place + 3u * QUADS] = relu_gradient(sums[3], scratch[output + 3u * QUADS]);
}

// Where four samples start.
fn input_starts(r: u32, step: Step, row: u32) -> vec4u {
    return vec4u(
        input_start(r, step, row),
        input_start(r, step, row + 1u),
        input_start(r, step, row + 2u),
        input_start(r, step, row + 3u),
    );
}

// A word of each of them.
fn input_rows(starts: vec4u, word: u32) -> mat4x4f {
    return mat4x4f(
        input_quad(starts.x, word),
        input_quad(starts.y, word),
        input_quad(starts.z, word),
        input_quad(starts.w, word),
    );
}

// Layer 0 on the samples from n on: output[n, k] = max(0, bias[k] + scale sum_i sample[n, i] weights[i, k]).
fn forward_first(r: u32, step: Step, n: u32, lane: u32) {
    let words = words_of_sample();
    let weights = weights_of(r, 0u);
    for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, TILES - 1u);
        let k = tile % QUADS;
        let row = n + tile / QUADS * ROWS;
        let starts = input_starts(r, step, row);
        var place = weights + k;
        var sums = mat4x4f();
        for (var word = 0u; word < words; word++) {
            sums = multiply(sums, input_rows(starts, word), four_rows(place));
            place += 4u * QUADS;
        }
        let ending = Ending(launch.params.scale, scratch[place], true);
        if (first + lane < TILES) { store_outputs(output_of(r, 0u) + row * QUADS + k, sums, ending); }
    }
}

// A layer after the first: output[n, k] = bias[k] + sum_i input[n, i] weights[i, k], and a ReLU before the last layer.
fn forward(r: u32, layer: u32, n: u32, lane: u32) {
    let quads = (launch.params.units + 3u) / 4u;
    let hidden = layer < launch.params.depth;
    let weights = weights_of(r, layer);
    let output = select(gradient_of(r, layer), output_of(r, layer), hidden);
    for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, TILES - 1u);
        let k = tile % QUADS;
        let row = (n + tile / QUADS * ROWS) * QUADS;
        let input = output_of(r, layer - 1u) + row;
        var sums = mat4x4f();
        for (var i = 0u; i < quads; i++) {
            sums = multiply(sums, four_rows(input + i), four_rows(weights + 4u * i * QUADS + k));
        }
        let ending = Ending(1.0, scratch[weights + INPUTS * QUADS + k], hidden);
        if (first + lane < TILES) { store_outputs(output + row + k, sums, ending); }
    }
}

// sum_k gradient[n, k] weights[i, k] for the rows from `gradient` on and a quad of inputs, whose weights start at `weights`.
fn transposed(weights: u32, layer: u32, gradient: u32) -> mat4x4f {
    let quads = (units_of(layer) + 3u) / 4u;
    var sums = mat4x4f();
    for (var k = 0u; k < quads; k++) {
        sums = multiply(sums, four_rows(gradient + k), transpose(four_rows(weights + k)));
    }
    return sums;
}

// The gradient with respect to what enters the layer before: that of its output where the output is greater than 0.
fn backward(r: u32, layer: u32, n: u32, lane: u32) {
    let weights = weights_of(r, layer);
    for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, TILES - 1u);
        let i = tile % QUADS;
        let row = (n + tile / QUADS * ROWS) * QUADS;
        let sums = transposed(weights + 4u * i * QUADS, layer, gradient_of(r, layer) + row);
        let place = row + i;
        if (first + lane < TILES) {
            store_gradients(gradient_of(r, layer - 1u) + place, output_of(r, layer - 1u) + place, sums);
        }
    }
}

// The loss, as softmax_cross_entropy.loss has it; one invocation owns a sample at a time. Sums over samples are made in one
// order: each of 32 places adds its own, then they are added in pairs. Twin: src/cpu/softmax_cross_entropy.rs.
var<workgroup> sample_loss: array<f32, SAMPLES>;
var<workgroup> sample_correct: array<u32, SAMPLES>;

// The largest so far and where it was, after four more logits; the first of equal ones counts.
struct Largest {
    value: f32,
    place: u32,
}

fn larger(before: Largest, value: f32, place: u32) -> Largest {
    let wins = value > before.value;
    return Largest(select(before.value, value, wins), select(before.place, place, wins));
}

// Logits become their gradient; a sample beyond the last one has none.
fn loss(r: u32, step: Step, n: u32, lane: u32) {
    let classes = launch.params.classes;
    let quads = (classes + 3u) / 4u;
    for (var row = lane; row < SAMPLES; row += WORKGROUP_SIZE) {
        let first = gradient_of(r, launch.params.depth) + (n + row) * QUADS;
        let label = sample(r, step, n + row).label;
        let target_logit = scratch[first + label / 4u][label % 4u];
        var largest = Largest(scratch[first].x, 0u);
        for (var q = 0u; q < quads; q++) {
            let there = existing(q, classes);
            let z = select(vec4f(largest.value), scratch[first + q], there);
            largest = larger(largest, z.x, 4u * q);
            largest = larger(largest, z.y, 4u * q + 1u);
            largest = larger(largest, z.z, 4u * q + 2u);
            largest = larger(largest, z.w, 4u * q + 3u);
        }
        var sum = 0.0;
        for (var q = 0u; q < quads; q++) {
            let e = select(vec4f(0.0), exp(scratch[first + q] - largest.value), existing(q, classes));
            sum = sum + e.x + e.y + e.z + e.w;
            scratch[first + q] = e;
        }
        let counts = n + row < step.samples;
        for (var q = 0u; q < quads; q++) {
            let one_hot = vec4f(vec4u(4u * q) + vec4u(0u, 1u, 2u, 3u) == vec4u(label));
            let gradient = (scratch[first + q] / sum - one_hot) / f32(step.samples);
            scratch[first + q] = select(vec4f(0.0), gradient, counts);
        }
        if (counts) {
            sample_loss[row] += log(sum) - (target_logit - largest.value);
            sample_correct[row] += u32(largest.place == label);
        }
    }
}

// What the losses of a step come to.
fn store_loss(r: u32, step: Step, lane: u32) {
    for (var stride = SAMPLES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        for (var row = lane; row < stride; row += WORKGROUP_SIZE) {
            sample_loss[row] += sample_loss[row + stride];
            sample_correct[row] += sample_correct[row + stride];
        }
    }
    if (lane == 0u) {
        losses[step.row * launch.params.replicas + r] = Loss(sample_loss[0] / f32(step.samples), sample_correct[0]);
    }
    // The next step starts with sums of 0.
    workgroupBarrier();
}

// Forward and back, up to the gradients with respect to what enters each ReLU.
fn propagate(r: u32, step: Step, lane: u32) {
    let depth = launch.params.depth;
    for (var row = lane; row < SAMPLES; row += WORKGROUP_SIZE) {
        sample_loss[row] = 0.0;
        sample_correct[row] = 0u;
    }
    for (var n = 0u; n < step.samples; n += SAMPLES) {
        forward_first(r, step, n, lane);
        storageBarrier();
        for (var layer = 1u; layer <= depth; layer++) {
            forward(r, layer, n, lane);
            storageBarrier();
        }
        loss(r, step, n, lane);
        storageBarrier();
        for (var layer = depth; layer > 0u; layer--) {
            backward(r, layer, n, lane);
            storageBarrier();
        }
    }
}
