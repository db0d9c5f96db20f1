// prelude.dense_layers: the passes of prelude.dense_step over layers, cut into tiles.
//
// A tile is ROWS rows x one quad of columns of a product, added up in the order of the inner axis. Tiles are dealt to the
// invocations in turn, and all invocations go round a loop equally often: lanes that have no tile left repeat the last
// one, and write nothing.
// `Tile`, `Rows`, what makes and multiplies them, ROWS and TILE_QUADS come from prelude.dense_tiles or prelude.dense_lanes;
// `input_start` and `input_quad`, which read samples, from the kernel.

const TILES: u32 = SAMPLES / ROWS * QUADS;

// What becomes of sums on their way out of a layer.
struct Ending {
    scale: f32,
    bias: vec4f,
    hidden: bool, // a ReLU follows
}

// x[0] w[0] + x[1] w[1] + x[2] w[2] + x[3] w[3], added one after the other to each of four rows of sums.
fn multiply_quads(sums: mat4x4f, x: mat4x4f, w: mat4x4f) -> mat4x4f {
    return mat4x4f(add(sums[0], x[0], w), add(sums[1], x[1], w), add(sums[2], x[2], w), add(sums[3], x[3], w));
}

fn add(sums: vec4f, x: vec4f, w: mat4x4f) -> vec4f {
    return sums + x.x * w[0] + x.y * w[1] + x.z * w[2] + x.w * w[3];
}

fn finished(sums: vec4f, ending: Ending) -> vec4f {
    let y = ending.bias + ending.scale * sums;
    return select(y, relu(y), ending.hidden);
}

fn store_four_outputs(place: u32, sums: mat4x4f, ending: Ending) {
    scratch[place] = finished(sums[0], ending);
    scratch[place + QUADS] = finished(sums[1], ending);
    scratch[place + 2u * QUADS] = finished(sums[2], ending);
    scratch[place + 3u * QUADS] = finished(sums[3], ending);
}

// A gradient goes on only where the ReLU produced more than 0.
fn store_four_gradients(place: u32, output: u32, sums: mat4x4f) {
    scratch[place] = relu_gradient(sums[0], scratch[output]);
    scratch[place + QUADS] = relu_gradient(sums[1], scratch[output + QUADS]);
    scratch[place + 2u * QUADS] = relu_gradient(sums[2], scratch[output + 2u * QUADS]);
    scratch[place + 3u * QUADS] = relu_gradient(sums[3], scratch[output + 3u * QUADS]);
}

// Layer 0 on the samples from n on: output[n, k] = max(0, bias[k] + scale sum_i sample[n, i] weights[i, k]).
fn forward_first(r: u32, step: Step, n: u32, lane: u32) {
    let words = words_of_sample();
    let weights = weights_of(r, 0u);
    for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, TILES - 1u);
        let k = tile % QUADS;
        let row = n + tile / QUADS * ROWS;
        let starts = input_starts(r, step, row, lane);
        var place = weights + k;
        var sums = Tile();
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
        var sums = Tile();
        for (var i = 0u; i < quads; i++) {
            sums = multiply(sums, matrix_rows(input + i, lane), four_rows(weights + 4u * i * QUADS + k));
        }
        let ending = Ending(1.0, scratch[weights + INPUTS * QUADS + k], hidden);
        if (first + lane < TILES) { store_outputs(output + row + k, sums, ending); }
    }
}

// sum_k gradient[n, k] weights[i, k] for the rows from `gradient` on and a quad of inputs, whose weights start at `weights`.
fn transposed(weights: u32, layer: u32, gradient: u32, lane: u32) -> Tile {
    let quads = (units_of(layer) + 3u) / 4u;
    var sums = Tile();
    for (var k = 0u; k < quads; k++) {
        sums = multiply(sums, matrix_rows(gradient + k, lane), transpose(four_rows(weights + k)));
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
        let sums = transposed(weights + 4u * i * QUADS, layer, gradient_of(r, layer) + row, lane);
        let place = row + i;
        if (first + lane < TILES) {
            store_gradients(gradient_of(r, layer - 1u) + place, output_of(r, layer - 1u) + place, sums);
        }
    }
}
