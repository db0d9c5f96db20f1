// lessons/conv2d/registers: convolved[n, y, x, k] = sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c] * weights[ky, kx, c, k].
//
// A workgroup owns 16 x 16 pixels of four channels k, an invocation 2 x 2 pixels of all four: 16 sums in registers. The 18 x 18
// pixels of a channel c lie in workgroup memory. An invocation reads 16 of them and 36 weights for 144 multiply-adds.

const SIDE: u32 = 16u;
const PATCH: u32 = 18u;
const LANES: u32 = 64u;

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

// Four weights of a tap; behind the last channel the last once more, whose sum is not written.
fn taps(tap: u32, c: u32, k: u32) -> vec4f {
    let row = (tap * sizes.inputs + c) * sizes.outputs;
    let place = row + min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(sizes.outputs - 1u));
    return vec4f(weights[place.x], weights[place.y], weights[place.z], weights[place.w]);
}

@compute @workgroup_size(8, 8)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_id) local: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let quads = (sizes.outputs + 3u) / 4u;
    let n = group.z / quads;
    let k = 4u * (group.z % quads);
    let origin = SIDE * group.xy;
    let own = 2u * local.xy;
    let sample = n * sizes.height * sizes.width;
    var sums = mat4x4f(); // a column for each of the four pixels
    for (var c = 0u; c < sizes.inputs; c++) {
        for (var place = lane; place < PATCH * PATCH; place += LANES) {
            let x = origin.x + place % PATCH - 1u;
            let y = origin.y + place / PATCH - 1u;
            patch_of[place] = 0.0;
            if (x < sizes.width && y < sizes.height) {
                patch_of[place] = input[(sample + y * sizes.width + x) * sizes.inputs + c];
            }
        }
        workgroupBarrier();
        for (var tap = 0u; tap < 9u; tap++) {
            let w = taps(tap, c, k);
            let first = (own.y + tap / 3u) * PATCH + own.x + tap % 3u;
            sums += mat4x4f(
                patch_of[first] * w,
                patch_of[first + 1u] * w,
                patch_of[first + PATCH] * w,
                patch_of[first + PATCH + 1u] * w,
            );
        }
        workgroupBarrier();
    }
    for (var pixel = 0u; pixel < 4u; pixel++) {
        let x = origin.x + own.x + pixel % 2u;
        let y = origin.y + own.y + pixel / 2u;
        for (var channel = 0u; channel < 4u; channel++) {
            if (x < sizes.width && y < sizes.height && k + channel < sizes.outputs) {
                convolved[(sample + y * sizes.width + x) * sizes.outputs + k + channel] = sums[pixel][channel];
            }
        }
    }
}
