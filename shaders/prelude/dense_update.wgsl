// prelude.dense_update: weight gradients, and Adam on every weight.
//
// A weight gradient is a product too: gradient[i, k] = sum_n input[n, i] output_gradient[n, k], inner axis the samples of
// the step, in tiles as in prelude.dense_products. It stays in registers until Adam has used it up.
// Twins: src/cpu/dense.rs, src/cpu/adam.rs.

fn update_row(place: u32, gradient: vec4f, states: vec4u, rate: f32) {
    let moment = rows_of_all() * QUADS;
    let decay = launch.params.decay;
    let p = scratch[place];
    let m_before = scratch[place + moment];
    let v_before = scratch[place + 2u * moment];
    let x = adam(Trained(p.x, m_before.x, v_before.x), gradient.x, rate, states.x, decay);
    let y = adam(Trained(p.y, m_before.y, v_before.y), gradient.y, rate, states.y, decay);
    let z = adam(Trained(p.z, m_before.z, v_before.z), gradient.z, rate, states.z, decay);
    let w = adam(Trained(p.w, m_before.w, v_before.w), gradient.w, rate, states.w, decay);
    scratch[place] = vec4f(x.parameter, y.parameter, z.parameter, w.parameter);
    scratch[place + moment] = vec4f(x.m, y.m, z.m, w.m);
    scratch[place + 2u * moment] = vec4f(x.v, y.v, z.v, w.v);
}

// States of a row of weights, for a quad of units. What the mask does not cover is kept.
fn states_of(r: u32, layer: u32, row: u32, k: u32) -> vec4u {
    let size = launch.params;
    let first = first_parameter(layer);
    let end = select(first_parameter(layer + 1u), size.parameters, layer == size.depth);
    // The same answer for all invocations: most layers have nothing to look up.
    if (end <= size.mask_offset || first >= size.mask_offset + size.masked) { return vec4u(KEPT); }
    // Places below the mask wrap around, and so are beyond its end; units that do not exist stay 0 in any state.
    let place = own_parameters(r, layer, row, k).place - r * size.parameters - size.mask_offset;
    return vec4u(state_of(r, place), state_of(r, place + 1u), state_of(r, place + 2u), state_of(r, place + 3u));
}

fn state_of(r: u32, place: u32) -> u32 {
    if (place >= launch.params.masked) { return KEPT; }
    return mask[r * launch.params.masked + place];
}

// The weights that meet a word of a sample or a quad of a hidden layer's output, for a quad of units.
fn update_inputs(r: u32, layer: u32, i: u32, k: u32, gradient: mat4x4f, rate: f32) {
    let place = weights_of(r, layer) + 4u * i * QUADS + k;
    update_row(place, gradient[0], states_of(r, layer, 4u * i, k), rate);
    update_row(place + QUADS, gradient[1], states_of(r, layer, 4u * i + 1u, k), rate);
    update_row(place + 2u * QUADS, gradient[2], states_of(r, layer, 4u * i + 2u, k), rate);
    update_row(place + 3u * QUADS, gradient[3], states_of(r, layer, 4u * i + 3u, k), rate);
}

fn update_bias(r: u32, layer: u32, k: u32, gradient: vec4f, rate: f32) {
    update_row(weights_of(r, layer) + rows_of(layer) * QUADS + k, gradient, vec4u(KEPT), rate);
}

// Weights of layer 0 for some words of a sample, and its bias with the first of them.
fn update_first(r: u32, step: Step, first_word: u32, words: u32, lane: u32) {
    let tiles = words * QUADS;
    for (var first = 0u; first < tiles; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, tiles - 1u);
        let own = first + lane < tiles;
        let k = tile % QUADS;
        let word = first_word + tile / QUADS;
        let gradient = gradient_of(r, 0u) + k;
        var sums = mat4x4f();
        var bias = vec4f(0.0);
        for (var n = 0u; n < step.samples; n += 4u) {
            let g = four_rows(gradient + n * QUADS);
            sums = multiply(sums, transpose(input_rows(input_starts(r, step, n), word)), g);
            bias = bias + g[0] + g[1] + g[2] + g[3];
        }
        if (own) { update_inputs(r, 0u, word, k, launch.params.scale * sums, step.rate); }
        if (own && word == 0u) { update_bias(r, 0u, k, bias, step.rate); }
    }
}

// Weights and bias of a layer after the first.
fn update(r: u32, layer: u32, step: Step, lane: u32) {
    let tiles = QUADS * QUADS;
    for (var first = 0u; first < tiles; first += WORKGROUP_SIZE) {
        let tile = min(first + lane, tiles - 1u);
        let own = first + lane < tiles;
        let k = tile % QUADS;
        let i = tile / QUADS;
        let input = output_of(r, layer - 1u) + i;
        let gradient = gradient_of(r, layer) + k;
        var sums = mat4x4f();
        var bias = vec4f(0.0);
        for (var n = 0u; n < step.samples; n += 4u) {
            let g = four_rows(gradient + n * QUADS);
            sums = multiply(sums, transpose(four_rows(input + n * QUADS)), g);
            bias = bias + g[0] + g[1] + g[2] + g[3];
        }
        if (own) { update_inputs(r, layer, i, k, sums, step.rate); }
        if (own && i == 0u) { update_bias(r, layer, k, bias, step.rate); }
    }
}
