// prelude.dense_features: layer 0 of prelude.dense_step reads what convolutions produced, and gives its gradient back.
//
// `features` [replica, sample, feature] are declared by the kernel. The gradient with respect to what enters their ReLU
// takes their place: it is made for 8 quads of features at a time, laid aside in scratch, and put there once the weights
// that meet these features are updated.

// The first feature of a sample.
fn input_start(r: u32, step: Step, n: u32) -> u32 {
    return (r * launch.params.capacity + min(n, step.samples - 1u)) * launch.params.width;
}

fn input_quad(start: u32, word: u32) -> vec4f {
    let places = start + quad(word, launch.params.width);
    let four = vec4f(features[places.x], features[places.y], features[places.z], features[places.w]);
    return select(vec4f(0.0), four, existing(word, launch.params.width));
}

// The gradient that was laid aside takes the place of four features, where they are greater than 0.
fn replace_features(place: u32, count: u32, gradient: vec4f) {
    if (count > 0u) { features[place] = relu_gradient_of(gradient.x, features[place]); }
    if (count > 1u) { features[place + 1u] = relu_gradient_of(gradient.y, features[place + 1u]); }
    if (count > 2u) { features[place + 2u] = relu_gradient_of(gradient.z, features[place + 2u]); }
    if (count > 3u) { features[place + 3u] = relu_gradient_of(gradient.w, features[place + 3u]); }
}

// Weights and bias of layer 0, and the gradient of what it reads.
fn update_first_and_features(r: u32, step: Step, lane: u32) {
    let inputs = launch.params.width;
    let words = words_of_sample();
    let aside = matrix(r, 2u * launch.params.depth + 1u);
    for (var word = 0u; word < words; word += QUADS) {
        for (var n = 0u; n < step.samples; n += SAMPLES) {
            for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
                let tile = min(first + lane, TILES - 1u);
                let i = word + tile % QUADS;
                let row = (n + tile / QUADS * ROWS) * QUADS;
                let weights = weights_of(r, 0u) + 4u * min(i, words - 1u) * QUADS;
                let sums = transposed(weights, 0u, gradient_of(r, 0u) + row, lane);
                let ending = Ending(1.0, vec4f(0.0), false);
                if (first + lane < TILES) { store_outputs(aside + row + tile % QUADS, sums, ending); }
            }
        }
        storageBarrier();
        update_first(r, step, word, min(QUADS, words - word), lane);
        storageBarrier();
        for (var quad = lane; quad < step.samples * QUADS; quad += WORKGROUP_SIZE) {
            let i = 4u * (word + quad % QUADS);
            replace_features(input_start(r, step, quad / QUADS) + i, rest(i, inputs), scratch[aside + quad]);
        }
        storageBarrier();
    }
}
