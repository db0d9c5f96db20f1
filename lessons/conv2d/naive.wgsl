// lessons/conv2d/naive: convolved[n, y, x, k] = sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c] * weights[ky, kx, c, k].
//
// One invocation owns one output. Neighbours own neighbouring pixels of one channel: they read and write numbers that lie all
// channels of a pixel apart. Pixels outside of the image are 0; one above the first row wraps around to a large number.

struct Sizes {
    samples: u32,
    height: u32,
    width: u32,
    inputs: u32, // channels that come in
    outputs: u32, // channels that go out
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [sample, y, x, in]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [ky, kx, in, out]
@group(0) @binding(3) var<storage, read_write> convolved: array<f32>; // [sample, y, x, out]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let pixels = sizes.samples * sizes.height * sizes.width;
    let pixel = id.x % pixels;
    let k = id.x / pixels;
    if (k >= sizes.outputs) { return; }
    let x = pixel % sizes.width;
    let y = pixel / sizes.width % sizes.height;
    let n = pixel / sizes.width / sizes.height;
    var sum = 0.0;
    for (var tap = 0u; tap < 9u; tap++) {
        let row = y + tap / 3u - 1u;
        let column = x + tap % 3u - 1u;
        if (row >= sizes.height || column >= sizes.width) { continue; }
        let read = ((n * sizes.height + row) * sizes.width + column) * sizes.inputs;
        for (var c = 0u; c < sizes.inputs; c++) {
            sum += input[read + c] * weights[(tap * sizes.inputs + c) * sizes.outputs + k];
        }
    }
    convolved[pixel * sizes.outputs + k] = sum;
}
