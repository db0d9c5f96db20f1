// dense_stack.step: training steps of all dense layers: forward, mean cross-entropy, backward, and Adam on every weight.
//
// One workgroup owns one replica (z) and takes as many steps as the launch says; tiles as prelude.dense_products says.
//   launch              steps, sizes and samples         read, as prelude.dense_layout says; scratch likewise
//   images              [image, y, word of 4 pixels]     read
//   mask                [replica, masked]                 read: states of the parameters that it covers
//   parameters, m, v    [replica, parameter]             read and written from `first` on
//   losses              [row, replica]                   written
// with: states, adam, relu, pixels, dense_layout, dense_products, dense_update

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> launch: Launch;
@group(0) @binding(1) var<storage, read> images: array<u32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> scratch: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> losses: array<Loss>;

// Rows of images are padded with 0 to whole words.

// The first word of a sample.
fn input_start(r: u32, step: Step, n: u32) -> u32 {
    return sample(r, step, n).image * words_of_sample();
}

fn input_quad(start: u32, word: u32) -> vec4f {
    return unpack_pixels(images[start + word]);
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
        update_first(r, step, 0u, words_of_sample(), lane);
        store_loss(r, step, lane);
        storageBarrier();
    }
    if (launch.leaves == 1u) { leave(r, lane); }
}
