// lessons/conv2d/bias_relu: convolved = max(convolved + bias, 0), in place.
//
// One invocation owns one number. A launch of its own, which reads and writes again what the convolution has just written.

struct Sizes {
    samples: u32,
    height: u32,
    width: u32,
    inputs: u32, // channels that come in
    outputs: u32, // channels that go out
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> bias: array<f32>; // [out]
@group(0) @binding(2) var<storage, read_write> convolved: array<f32>; // [sample, y, x, out]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.samples * sizes.height * sizes.width * sizes.outputs) { return; }
    convolved[id.x] = max(convolved[id.x] + bias[id.x % sizes.outputs], 0.0);
}
