// prelude.dense_update: weight gradients and Adam for prelude.dense_step; and the way there and back.
//
// A weight gradient is a product too: gradient[i, k] = sum_n input[n, i] output_gradient[n, k], inner axis the samples of
// the step. It stays in registers until Adam has used it up.
// Tiles as in prelude.dense_layers.

// Up to four rows of a quad of units in a weight matrix.
struct Weights {
    first: u32,   // weight of the first row and of unit 0
    outputs: u32, // units of the matrix: from one row to the next
    rows: u32,
    k: u32,       // which quad of units
    own: bool,    // whether there are any to update
    nodes: u32,   // of the mask: the one that belongs to `first`
    masked: bool,
}

// How many of up to four there are from `first` on.
fn rest(first: u32, count: u32) -> u32 {
    return min(max(count, first) - first, 4u);
}

fn store_parameter(place: u32, after: Trained) {
    parameters[place] = after.parameter;
    m[place] = after.m;
    v[place] = after.v;
}

// Up to four units of one row. All loads come first, also of units that do not exist: they name the last one again.
fn update_row(places: vec4u, existing: vec4<bool>, gradient: vec4f, states: vec4u, rate: f32, decay: f32) {
    let p = parameters_at(places);
    let old_m = vec4f(m[places.x], m[places.y], m[places.z], m[places.w]);
    let old_v = vec4f(v[places.x], v[places.y], v[places.z], v[places.w]);
    let x = adam(Trained(p.x, old_m.x, old_v.x), gradient.x, rate, states.x, decay);
    let y = adam(Trained(p.y, old_m.y, old_v.y), gradient.y, rate, states.y, decay);
    let z = adam(Trained(p.z, old_m.z, old_v.z), gradient.z, rate, states.z, decay);
    let w = adam(Trained(p.w, old_m.w, old_v.w), gradient.w, rate, states.w, decay);
    if (existing.x) { store_parameter(places.x, x); }
    if (existing.y) { store_parameter(places.y, y); }
    if (existing.z) { store_parameter(places.z, z); }
    if (existing.w) { store_parameter(places.w, w); }
}

// A loop instead of four calls: their code is long, and a compiler may take very long for it.
fn update_rows(weights: Weights, gradient: mat4x4f, rate: f32) {
    let decay = launch.params.decay;
    let units = quad(weights.k, weights.outputs);
    let there = existing(weights.k, select(0u, weights.outputs, weights.own));
    var rows = gradient;
    for (var row = 0u; row < weights.rows; row++) {
        let places = vec4u(row * weights.outputs) + units;
        var states = vec4u(1u);
        if (weights.masked) {
            let nodes = weights.nodes + places;
            states = vec4u(mask[nodes.x], mask[nodes.y], mask[nodes.z], mask[nodes.w]);
        }
        update_row(weights.first + places, there, rows[0], states, rate, decay);
        rows = mat4x4f(rows[1], rows[2], rows[3], rows[0]);
    }
}

// The weights that meet a word of a sample.
fn update_word(r: u32, word: u32, k: u32, own: bool, gradient: mat4x4f, rate: f32) {
    let units = launch.params.units;
    let y = word / launch.params.row_words;
    let x = 4u * (word - y * launch.params.row_words);
    let first = weights_of(r, 0u) + (y * launch.params.width + x) * units;
    let rows = rest(x, launch.params.width);
    update_rows(Weights(first, units, rows, k, own, 0u, false), launch.params.scale * gradient, rate);
}

// The weights that meet a quad of a hidden layer's output.
fn update_inputs(r: u32, layer: u32, i: u32, k: u32, own: bool, gradient: mat4x4f, rate: f32) {
    let inputs = launch.params.units;
    let units = units_of(layer);
    let first = weights_of(r, layer) + 4u * i * units;
    let masked = layer + 1u == launch.params.depth;
    let nodes = (r * inputs + 4u * i) * inputs;
    update_rows(Weights(first, units, rest(4u * i, inputs), k, own, nodes, masked), gradient, rate);
}

fn update_bias(r: u32, layer: u32, k: u32, own: bool, gradient: vec4f, rate: f32) {
    let inputs = select(launch.params.units, launch.params.height * launch.params.width, layer == 0u);
    let units = units_of(layer);
    let places = weights_of(r, layer) + inputs * units + quad(k, units);
    let there = existing(k, select(0u, units, own));
    update_row(places, there, gradient, vec4u(1u), rate, launch.params.decay);
}

// Weights of layer 0 for some words of a sample, and its bias with the first of them.
fn update_first(r: u32, step: Step, first_word: u32, words: u32, lane: u32) {
    let tiles = (words + TILE_QUADS - 1u) / TILE_QUADS * QUADS;
    for (var first = 0u; first < tiles; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, tiles - 1u);
        let own = first + lane < tiles;
        let k = tile % QUADS;
        let word = first_word + tile / QUADS * TILE_QUADS;
        let gradient = gradient_of(r, 0u) + k;
        var sums = Tile();
        var bias = vec4f(0.0);
        for (var n = 0u; n < step.samples; n += 4u) {
            let g = four_rows(gradient + n * QUADS);
            sums = multiply_samples(sums, input_samples(r, step, n, word, lane), g);
            bias = bias + g[0] + g[1] + g[2] + g[3];
        }
        update_words(r, word, k, own, sums, step.rate);
        update_bias(r, 0u, k, own && word == 0u, bias, step.rate);
    }
}

// Weights and bias of a layer behind the first.
fn update(r: u32, layer: u32, step: Step, lane: u32) {
    let tiles = QUADS / TILE_QUADS * QUADS;
    for (var first = 0u; first < tiles; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, tiles - 1u);
        let own = first + lane < tiles;
        let k = tile % QUADS;
        let i = tile / QUADS * TILE_QUADS;
        let input = output_of(r, layer - 1u) + i;
        let gradient = gradient_of(r, layer) + k;
        var sums = Tile();
        var bias = vec4f(0.0);
        for (var n = 0u; n < step.samples; n += 4u) {
            let g = four_rows(gradient + n * QUADS);
            sums = multiply_samples(sums, matrix_samples(input + n * QUADS, lane), g);
            bias = bias + g[0] + g[1] + g[2] + g[3];
        }
        update_layer(r, layer, i, k, own, sums, step.rate);
        update_bias(r, layer, k, own && i == 0u, bias, step.rate);
    }
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
