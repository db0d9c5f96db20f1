// lessons/dense/bias_relu: output[n, k] = max(product[n, k] + bias[k], 0).
//
// One invocation owns one output. A launch of its own, which reads and writes again what the product has just written.

struct Sizes {
    samples: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> product: array<f32>; // [sample, out]
@group(0) @binding(2) var<storage, read> bias: array<f32>; // [out]
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // [sample, out]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.samples * sizes.outputs) { return; }
    output[id.x] = max(product[id.x] + bias[id.x % sizes.outputs], 0.0);
}
