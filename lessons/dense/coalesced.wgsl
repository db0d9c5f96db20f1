// lessons/dense/coalesced: product[n, k] = sum_i input[n, i] * weights[i, k].
//
// One invocation owns one output. Neighbours own neighbouring units: at each i they read neighbouring weights, which arrive
// together, and all of them the same input, which arrives once.

struct Sizes {
    samples: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [sample, in]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [in, out]
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // [sample, out]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let n = id.x / sizes.outputs;
    let k = id.x % sizes.outputs;
    if (n >= sizes.samples) { return; }
    var sum = 0.0;
    for (var i = 0u; i < sizes.inputs; i++) {
        sum += input[n * sizes.inputs + i] * weights[i * sizes.outputs + k];
    }
    product[n * sizes.outputs + k] = sum;
}
