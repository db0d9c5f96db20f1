// lessons/conv2d/tiled: convolved[n, y, x, k] = sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c] * weights[ky, kx, c, k].
//
// A workgroup owns 8 x 8 pixels of one channel k, an invocation one of them. The 10 x 10 pixels that they read of a channel c
// are copied to workgroup memory once, and read from there nine times. Pixels outside of the image are 0.

const SIDE: u32 = 8u;
const PATCH: u32 = 10u;

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

var<workgroup> patch_of: array<f32, PATCH * PATCH>;

@compute @workgroup_size(SIDE, SIDE)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // x and y are the tile; z is the sample and the channel.
    let n = group.z / sizes.outputs;
    let k = group.z % sizes.outputs;
    let origin = SIDE * group.xy;
    let sample = n * sizes.height * sizes.width;
    var sum = 0.0;
    for (var c = 0u; c < sizes.inputs; c++) {
        for (var place = lane; place < PATCH * PATCH; place += SIDE * SIDE) {
            let x = origin.x + place % PATCH - 1u;
            let y = origin.y + place / PATCH - 1u;
            patch_of[place] = 0.0;
            if (x < sizes.width && y < sizes.height) {
                patch_of[place] = input[(sample + y * sizes.width + x) * sizes.inputs + c];
            }
        }
        workgroupBarrier();
        for (var tap = 0u; tap < 9u; tap++) {
            let pixel = patch_of[(local.y + tap / 3u) * PATCH + local.x + tap % 3u];
            sum += pixel * weights[(tap * sizes.inputs + c) * sizes.outputs + k];
        }
        workgroupBarrier();
    }
    let x = origin.x + local.x;
    let y = origin.y + local.y;
    if (x < sizes.width && y < sizes.height) {
        convolved[(sample + y * sizes.width + x) * sizes.outputs + k] = sum;
    }
}
