// dense_stack.step_features: dense_stack.step behind convolutions: on features, whose gradient it gives back.
//
// One workgroup owns one replica (z) and takes as many steps as the launch says; tiles as prelude.dense_products says.
//   launch              steps, sizes and samples         read, as prelude.dense_layout says; scratch likewise
//   features            [replica, sample, feature]       read; their gradient takes their place
//   mask                [replica, masked]                 read: states of the parameters that it covers
//   parameters, m, v    [replica, parameter]             read and written from `first` on
//   losses              [row, replica]                   written
// with: states, adam, relu, dense_layout, dense_products, dense_update

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> launch: Launch;
@group(0) @binding(1) var<storage, read_write> features: array<f32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> scratch: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> losses: array<Loss>;

// The gradient of features is made for 8 quads of them at a time, kept in scratch, and takes their place once the weights
// that meet them are updated.

// The first feature of a sample.
fn input_start(r: u32, step: Step, n: u32) -> u32 {
    return (r * launch.params.capacity + min(n, step.samples - 1u)) * launch.params.width;
}

fn input_quad(start: u32, word: u32) -> vec4f {
    let places = start + quad(word, launch.params.width);
    let four = vec4f(features[places.x], features[places.y], features[places.z], features[places.w]);
    return select(vec4f(0.0), four, existing(word, launch.params.width));
}

// The gradient takes the place of four features, where they are greater than 0.
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
    let kept = matrix(r, 2u * launch.params.depth + 1u);
    for (var word = 0u; word < words; word += QUADS) {
        for (var n = 0u; n < step.samples; n += SAMPLES) {
            for (var first = 0u; first < TILES; first += WORKGROUP_SIZE) {
                let tile = min(first + lane, TILES - 1u);
                let i = word + tile % QUADS;
                let row = (n + tile / QUADS * ROWS) * QUADS;
                let weights = weights_of(r, 0u) + 4u * min(i, words - 1u) * QUADS;
                let sums = transposed(weights, 0u, gradient_of(r, 0u) + row);
                let ending = Ending(1.0, vec4f(0.0), false);
                if (first + lane < TILES) { store_outputs(kept + row + tile % QUADS, sums, ending); }
            }
        }
        storageBarrier();
        update_first(r, step, word, min(QUADS, words - word), lane);
        storageBarrier();
        for (var quad = lane; quad < step.samples * QUADS; quad += WORKGROUP_SIZE) {
            let i = 4u * (word + quad % QUADS);
            replace_features(input_start(r, step, quad / QUADS) + i, rest(i, inputs), scratch[kept + quad]);
        }
        storageBarrier();
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    if (launch.enters == 1u) { enter(r, lane); }
    storageBarrier();
    for (var s = 0u; s < launch.steps; s++) {
        let step = launch.each[s];
        propagate(r, step, lane);
        for (var layer = 1u; layer <= launch.params.depth; layer++) { update(r, layer, step, lane); }
        update_first_and_features(r, step, lane);
        store_loss(r, step, lane);
        storageBarrier();
    }
    if (launch.leaves == 1u) { leave(r, lane); }
}
