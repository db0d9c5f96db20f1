// lessons/dense/registers: product[n, k] = sum_i input[n, i] * weights[i, k], with 4 x 4 sums in registers.
//
// A workgroup of 64 owns 32 samples x 32 units, an invocation 4 x 4 of them. 16 places of i at a time lie in workgroup memory;
// eight numbers that are read from there serve 16 multiply-adds. What lies behind an edge counts 0.

const SIDE: u32 = 32u;
const INNER: u32 = 16u;
const LANES: u32 = 64u;

struct Sizes {
    samples: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [sample, in]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [in, out]
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // [sample, out]

var<workgroup> left: array<f32, INNER * SIDE>; // [i, sample]
var<workgroup> right: array<vec4f, INNER * SIDE / 4>; // [i, four units]

fn input_at(n: u32, i: u32) -> f32 {
    if (n >= sizes.samples || i >= sizes.inputs) { return 0.0; }
    return input[n * sizes.inputs + i];
}

fn weight_at(i: u32, k: u32) -> f32 {
    if (i >= sizes.inputs || k >= sizes.outputs) { return 0.0; }
    return weights[i * sizes.outputs + k];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = SIDE * group.yx; // sample and unit
    let own = 4u * vec2u(lane / 8u, lane % 8u);
    var sums = mat4x4f();
    for (var block = 0u; block < sizes.inputs; block += INNER) {
        for (var place = lane; place < INNER * SIDE; place += LANES) {
            left[place % INNER * SIDE + place / INNER] = input_at(first.x + place / INNER, block + place % INNER);
        }
        for (var place = lane; place < INNER * SIDE / 4u; place += LANES) {
            let i = block + place / 8u;
            let k = first.y + 4u * (place % 8u);
            right[place] = vec4f(weight_at(i, k), weight_at(i, k + 1u), weight_at(i, k + 2u), weight_at(i, k + 3u));
        }
        workgroupBarrier();
        for (var i = 0u; i < INNER; i++) {
            let y = right[i * 8u + lane % 8u];
            let x = i * SIDE + own.x;
            sums += mat4x4f(left[x] * y, left[x + 1u] * y, left[x + 2u] * y, left[x + 3u] * y);
        }
        workgroupBarrier();
    }
    for (var row = 0u; row < 4u; row++) {
        for (var column = 0u; column < 4u; column++) {
            let n = first.x + own.x + row;
            let k = first.y + own.y + column;
            if (n < sizes.samples && k < sizes.outputs) { product[n * sizes.outputs + k] = sums[row][column]; }
        }
    }
}
