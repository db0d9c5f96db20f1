// lessons/conv2d/pool: output[n, y, x, k] = the largest of convolved[n, 2y + dy, 2x + dx, k] over dy, dx in 0..2.
//
// One invocation owns one output and reads four numbers for it. An odd last row or column goes nowhere.

struct Sizes {
    samples: u32,
    height: u32,
    width: u32,
    inputs: u32, // channels that come in
    outputs: u32, // channels that go out
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> convolved: array<f32>; // [sample, y, x, out]
@group(0) @binding(2) var<storage, read_write> output: array<f32>; // [sample, y / 2, x / 2, out]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let k = id.x % sizes.outputs;
    let pixel = id.x / sizes.outputs;
    let x = pixel % (sizes.width / 2u);
    let y = pixel / (sizes.width / 2u) % (sizes.height / 2u);
    let n = pixel / (sizes.width / 2u) / (sizes.height / 2u);
    if (n >= sizes.samples) { return; }
    let first = ((n * sizes.height + 2u * y) * sizes.width + 2u * x) * sizes.outputs + k;
    let below = first + sizes.width * sizes.outputs;
    let upper = max(convolved[first], convolved[first + sizes.outputs]);
    let lower = max(convolved[below], convolved[below + sizes.outputs]);
    output[id.x] = max(upper, lower);
}
