// Puzzle 11: the gradient of what a convolution of 3 x 3 reads, from the gradient of what it gives.

struct Sizes {
    height: u32,
    width: u32,
    inputs: u32, // channels that come in
    outputs: u32, // channels that go out
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> output_gradient: array<f32>; // [y, x, out]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [ky, kx, in, out]
@group(0) @binding(3) var<storage, read_write> input_gradient: array<f32>; // [y, x, in]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.height * sizes.width * sizes.inputs) { return; }
    let c = id.x % sizes.inputs;
    let x = id.x / sizes.inputs % sizes.width;
    let y = id.x / sizes.inputs / sizes.width;
    var sum = 0.0;
    for (var ky = 0u; ky < 3u; ky++) {
        for (var kx = 0u; kx < 3u; kx++) {
            // Which output pixel reads this one by the tap: one below the first wraps around and is refused.
            let row = y + 1u - ky;
            let column = x + 1u - kx;
            if (row >= sizes.height || column >= sizes.width) { continue; }
            for (var k = 0u; k < sizes.outputs; k++) {
                let gradient = output_gradient[(row * sizes.width + column) * sizes.outputs + k];
                sum += gradient * weights[((ky * 3u + kx) * sizes.inputs + c) * sizes.outputs + k];
            }
        }
    }
    input_gradient[id.x] = sum;
}
