// dense_stack.gradient: all dense layers after the first, forward and backward: mean cross-entropy of a batch, correct samples,
// and the gradients of the mean with respect to weights, biases, and what enters the first layer's ReLU.
//
// One workgroup owns one replica (z) and takes 32 samples at a time; no layer has more than 32 units. Weights and two
// layers' activations lie in workgroup memory; one invocation owns tiles of 8 x 4 in registers. The file is long because one
// launch has all that dense.* and softmax_cross_entropy.* have.
//   activations           [replica, sample, unit]  what the first layer produced; its gradient takes that place. From
//                         `scratch` on: [replica, layer, row, unit], what the other hidden layers produced
//   parameters, gradient  [replica, parameter]     read; written from `first` on. losses [row, replica] written
// with: step, relu

override WORKGROUP_SIZE: u32 = 64;

const SAMPLES: u32 = 32;
const QUADS: u32 = 8;    // of units
const MATRIX: u32 = 256; // quads of 32 x 32 numbers
const TILES: u32 = 32;   // of 8 x 4 in 32 x 32 numbers

struct Params {
    units: u32,      // of a hidden layer
    classes: u32,
    depth: u32,      // hidden layers, the first included
    capacity: u32,   // samples that a replica has room for
    replicas: u32,
    parameters: u32, // per replica
    first: u32,      // first weight after the first layer; each bias follows its weights
    scratch: u32,    // number of activations before the scratch
    rows: u32,       // of the scratch: 32, or the capacity if that is less
}

struct Loss {
    mean: f32,
    correct: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> activations: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(7) var<storage, read_write> losses: array<Loss>;

// Two matrices [sample, quad]: layers take turns in them. Numbers beyond the last unit are 0.
var<workgroup> halves: array<vec4f, 2 * MATRIX>;
var<workgroup> weights: array<vec4f, MATRIX>;
var<workgroup> sample_loss: array<f32, SAMPLES>;
var<workgroup> sample_correct: array<u32, SAMPLES>;

fn units_of(layer: u32) -> u32 {
    return select(params.units, params.classes, layer == params.depth);
}

fn weights_of(r: u32, layer: u32) -> u32 {
    return r * params.parameters + params.first + (layer - 1u) * (params.units + 1u) * params.units;
}

// What the first layer produced for sample n.
fn input_of(r: u32, n: u32) -> u32 {
    return (r * params.capacity + n) * params.units;
}

// What another hidden layer produced for the first of the samples at hand.
fn scratch_of(r: u32, layer: u32) -> u32 {
    return params.scratch + (r * (params.depth - 1u) + layer - 1u) * params.rows * params.units;
}

fn samples_from(n: u32) -> u32 {
    return min(SAMPLES, step.samples - n);
}

// Up to four parameters; there are `count` of them.
fn read_parameters(place: u32, count: i32) -> vec4f {
    var quad = vec4f(0.0);
    if (count > 0) { quad.x = parameters[place]; }
    if (count > 1) { quad.y = parameters[place + 1u]; }
    if (count > 2) { quad.z = parameters[place + 2u]; }
    if (count > 3) { quad.w = parameters[place + 3u]; }
    return quad;
}

fn stage_weights(r: u32, layer: u32, lane: u32) {
    let outputs = units_of(layer);
    let first = weights_of(r, layer);
    for (var quad = lane; quad < MATRIX; quad += WORKGROUP_SIZE) {
        let i = quad / QUADS;
        let k = quad % QUADS * 4u;
        let count = select(0i, i32(outputs) - i32(k), i < params.units);
        weights[quad] = read_parameters(first + i * outputs + k, count);
    }
}

// Rows [sample, unit] of activations to a matrix.
fn stage_activations(first: u32, rows: u32, lane: u32, half: u32) {
    for (var quad = lane; quad < MATRIX; quad += WORKGROUP_SIZE) {
        let row = quad / QUADS;
        let k = quad % QUADS * 4u;
        let place = first + row * params.units + k;
        let count = select(0i, i32(params.units) - i32(k), row < rows);
        var values = vec4f(0.0);
        if (count > 0) { values.x = activations[place]; }
        if (count > 1) { values.y = activations[place + 1u]; }
        if (count > 2) { values.z = activations[place + 2u]; }
        if (count > 3) { values.w = activations[place + 3u]; }
        halves[half + quad] = values;
    }
}

// Up to four units of a hidden layer to where they belong.
fn write_activations(place: u32, count: i32, values: vec4f) {
    if (count > 0) { activations[place] = values.x; }
    if (count > 1) { activations[place + 1u] = values.y; }
    if (count > 2) { activations[place + 2u] = values.z; }
    if (count > 3) { activations[place + 3u] = values.w; }
}

// x[0] w[0] + x[1] w[1] + x[2] w[2] + x[3] w[3], added one after the other to a row of sums.
fn add(sums: vec4f, x: vec4f, w: mat4x4f) -> vec4f {
    return sums + x.x * w[0] + x.y * w[1] + x.z * w[2] + x.w * w[3];
}

// Eight rows of a quad of units.
struct Rows {
    upper: mat4x4f,
    lower: mat4x4f,
}

// To eight rows of sums, quads of eight rows in `halves` times the matrix.
fn add_rows(sums: Rows, x: u32, w: mat4x4f) -> Rows {
    return Rows(
        mat4x4f(
            add(sums.upper[0], halves[x], w),
            add(sums.upper[1], halves[x + QUADS], w),
            add(sums.upper[2], halves[x + 2u * QUADS], w),
            add(sums.upper[3], halves[x + 3u * QUADS], w),
        ),
        mat4x4f(
            add(sums.lower[0], halves[x + 4u * QUADS], w),
            add(sums.lower[1], halves[x + 5u * QUADS], w),
            add(sums.lower[2], halves[x + 6u * QUADS], w),
            add(sums.lower[3], halves[x + 7u * QUADS], w),
        ),
    );
}

// A row of a layer's output, to where the next layer and the way back find it: the first `rows` to scratch.
fn write_row(row: u32, rows: u32, place: u32, count: i32, quad: u32, sums: vec4f, hidden: bool) {
    let y = select(sums, relu(sums), hidden);
    write_activations(place + row * params.units, select(0i, count, row < rows), y);
    halves[quad + row * QUADS] = y;
}

// One layer on 32 samples: output[n, k] = bias[k] + sum_i input[n, i] weights[i, k], and a ReLU before the last layer.
fn forward(r: u32, layer: u32, rows: u32, lane: u32, input: u32, output: u32) {
    let outputs = units_of(layer);
    let bias = weights_of(r, layer) + params.units * outputs;
    let hidden = layer < params.depth;
    for (var tile = lane; tile < TILES; tile += WORKGROUP_SIZE) {
        let k = tile % QUADS;
        let first_row = tile / QUADS * 8u;
        let count = i32(outputs) - i32(4u * k);
        let start = read_parameters(bias + 4u * k, count);
        var sums = Rows(mat4x4f(start, start, start, start), mat4x4f(start, start, start, start));
        for (var i = 0u; i < QUADS; i++) {
            let w = 4u * i * QUADS + k;
            let matrix =
                mat4x4f(weights[w], weights[w + QUADS], weights[w + 2u * QUADS], weights[w + 3u * QUADS]);
            sums = add_rows(sums, input + first_row * QUADS + i, matrix);
        }
        let place = scratch_of(r, layer) + first_row * params.units + 4u * k;
        let own_rows = select(0u, rows - min(rows, first_row), hidden);
        let quad = output + first_row * QUADS + k;
        write_row(0u, own_rows, place, count, quad, sums.upper[0], hidden);
        write_row(1u, own_rows, place, count, quad, sums.upper[1], hidden);
        write_row(2u, own_rows, place, count, quad, sums.upper[2], hidden);
        write_row(3u, own_rows, place, count, quad, sums.upper[3], hidden);
        write_row(4u, own_rows, place, count, quad, sums.lower[0], hidden);
        write_row(5u, own_rows, place, count, quad, sums.lower[1], hidden);
        write_row(6u, own_rows, place, count, quad, sums.lower[2], hidden);
        write_row(7u, own_rows, place, count, quad, sums.lower[3], hidden);
    }
}

// Logits become their gradient; a sample beyond the last one has none.
fn loss(r: u32, n: u32, lane: u32, half: u32) {
    for (var row = lane; row < SAMPLES; row += WORKGROUP_SIZE) {
        let first = half + row * QUADS;
        if (n + row >= step.samples) {
            for (var quad = 0u; quad < QUADS; quad++) { halves[first + quad] = vec4f(0.0); }
            continue;
        }
        let label = labels[order[r * step.order_stride + step.first + n + row]];
        let target_logit = halves[first + label / 4u][label % 4u];
        var largest = 0u;
        var maximum = halves[first].x;
        for (var c = 1u; c < params.classes; c++) {
            let z = halves[first + c / 4u][c % 4u];
            if (z > maximum) {
                maximum = z;
                largest = c;
            }
        }
        var sum = 0.0;
        for (var c = 0u; c < params.classes; c++) {
            let e = exp(halves[first + c / 4u][c % 4u] - maximum);
            halves[first + c / 4u][c % 4u] = e;
            sum += e;
        }
        for (var c = 0u; c < params.classes; c++) {
            let one_hot = select(0.0, 1.0, c == label);
            halves[first + c / 4u][c % 4u] = (halves[first + c / 4u][c % 4u] / sum - one_hot) / f32(step.samples);
        }
        sample_loss[row] += log(sum) - (target_logit - maximum);
        sample_correct[row] += u32(largest == label);
    }
}

// Up to four sums to their gradients, on top of those of the samples before.
fn write_gradient(place: u32, count: i32, sums: vec4f, n: u32) {
    if (n > 0u) {
        if (count > 0) { gradient[place] += sums.x; }
        if (count > 1) { gradient[place + 1u] += sums.y; }
        if (count > 2) { gradient[place + 2u] += sums.z; }
        if (count > 3) { gradient[place + 3u] += sums.w; }
    } else {
        if (count > 0) { gradient[place] = sums.x; }
        if (count > 1) { gradient[place + 1u] = sums.y; }
        if (count > 2) { gradient[place + 2u] = sums.z; }
        if (count > 3) { gradient[place + 3u] = sums.w; }
    }
}

// To four rows of weights, their inputs times a gradient.
fn add_outer(sums: mat4x4f, x: vec4f, g: vec4f) -> mat4x4f {
    return mat4x4f(sums[0] + x.x * g, sums[1] + x.y * g, sums[2] + x.z * g, sums[3] + x.w * g);
}

// Four rows of weights from input i on.
fn write_weights(i: u32, outputs: u32, place: u32, count: i32, sums: mat4x4f, n: u32) {
    let rows = i32(params.units) - i32(i);
    let first = place + i * outputs;
    if (rows > 0) { write_gradient(first, count, sums[0], n); }
    if (rows > 1) { write_gradient(first + outputs, count, sums[1], n); }
    if (rows > 2) { write_gradient(first + 2u * outputs, count, sums[2], n); }
    if (rows > 3) { write_gradient(first + 3u * outputs, count, sums[3], n); }
}

// weight_gradient[i, k] = sum_n input[n, i] output_gradient[n, k], and the sum over samples for the bias.
fn backward_weights(r: u32, layer: u32, n: u32, lane: u32, input: u32, output_gradient: u32) {
    let outputs = units_of(layer);
    let samples = samples_from(n);
    for (var tile = lane; tile < TILES; tile += WORKGROUP_SIZE) {
        let k = tile % QUADS;
        let i = tile / QUADS * 8u;
        var upper = mat4x4f();
        var lower = mat4x4f();
        var bias = vec4f(0.0);
        for (var row = 0u; row < samples; row++) {
            let x = input + row * QUADS + i / 4u;
            let g = halves[output_gradient + row * QUADS + k];
            upper = add_outer(upper, halves[x], g);
            lower = add_outer(lower, halves[x + 1u], g);
            bias += g;
        }
        let place = weights_of(r, layer) + 4u * k;
        let count = i32(outputs) - i32(4u * k);
        write_weights(i, outputs, place, count, upper, n);
        write_weights(i + 4u, outputs, place, count, lower, n);
        if (i == 0u) { write_gradient(place + params.units * outputs, count, bias, n); }
    }
}

// Where an input is greater than 0 its gradient takes its place, else 0.
fn replace_input(place: u32, gradient: vec4f) {
    halves[place] = relu_gradient(gradient, halves[place]);
}

// input_gradient[n, i] = sum_k output_gradient[n, k] weights[i, k] where input[n, i] > 0, else 0. It takes the input's
// place, which no other invocation reads.
fn backward_input(lane: u32, input: u32, output_gradient: u32) {
    for (var tile = lane; tile < TILES; tile += WORKGROUP_SIZE) {
        let i = tile % QUADS;
        let row = tile / QUADS * 8u * QUADS;
        var sums = Rows(mat4x4f(), mat4x4f());
        for (var k = 0u; k < QUADS; k++) {
            let w = 4u * i * QUADS + k;
            let matrix = transpose(
                mat4x4f(weights[w], weights[w + QUADS], weights[w + 2u * QUADS], weights[w + 3u * QUADS]));
            sums = add_rows(sums, output_gradient + row + k, matrix);
        }
        let place = input + row + i;
        replace_input(place, sums.upper[0]);
        replace_input(place + QUADS, sums.upper[1]);
        replace_input(place + 2u * QUADS, sums.upper[2]);
        replace_input(place + 3u * QUADS, sums.upper[3]);
        replace_input(place + 4u * QUADS, sums.lower[0]);
        replace_input(place + 5u * QUADS, sums.lower[1]);
        replace_input(place + 6u * QUADS, sums.lower[2]);
        replace_input(place + 7u * QUADS, sums.lower[3]);
    }
}

fn write_input_gradient(first: u32, rows: u32, lane: u32, half: u32) {
    for (var quad = lane; quad < MATRIX; quad += WORKGROUP_SIZE) {
        let row = quad / QUADS;
        let k = quad % QUADS * 4u;
        let count = select(0i, i32(params.units) - i32(k), row < rows);
        write_activations(first + row * params.units + k, count, halves[half + quad]);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    for (var row = lane; row < SAMPLES; row += WORKGROUP_SIZE) {
        sample_loss[row] = 0.0;
        sample_correct[row] = 0u;
    }
    for (var n = 0u; n < step.samples; n += SAMPLES) {
        let rows = samples_from(n);
        var half = 0u;
        stage_activations(input_of(r, n), rows, lane, half);
        for (var layer = 1u; layer <= params.depth; layer++) {
            stage_weights(r, layer, lane);
            workgroupBarrier();
            forward(r, layer, rows, lane, half, MATRIX - half);
            half = MATRIX - half;
            workgroupBarrier();
        }
        storageBarrier();
        loss(r, n, lane, half);
        for (var layer = params.depth; layer > 0u; layer--) {
            let input = MATRIX - half;
            var input_rows = input_of(r, n);
            if (layer > 1u) { input_rows = scratch_of(r, layer - 1u); }
            stage_activations(input_rows, rows, lane, input);
            // The last layer's weights are still there.
            if (layer < params.depth) { stage_weights(r, layer, lane); }
            workgroupBarrier();
            backward_weights(r, layer, n, lane, input, half);
            workgroupBarrier();
            backward_input(lane, input, half);
            half = input;
            workgroupBarrier();
        }
        write_input_gradient(input_of(r, n), rows, lane, half);
        workgroupBarrier();
    }
    for (var stride = SAMPLES / 2u; stride > 0u; stride /= 2u) {
        workgroupBarrier();
        for (var row = lane; row < stride; row += WORKGROUP_SIZE) {
            sample_loss[row] += sample_loss[row + stride];
            sample_correct[row] += sample_correct[row + stride];
        }
    }
    if (lane == 0u) {
        losses[step.row * params.replicas + r] = Loss(sample_loss[0] / f32(step.samples), sample_correct[0]);
    }
}
