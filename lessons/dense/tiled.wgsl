// lessons/dense/tiled: product[n, k] = sum_i input[n, i] * weights[i, k], in tiles of workgroup memory.
//
// A workgroup owns 16 samples x 16 units, an invocation one of them. 16 places of i at a time are copied to workgroup memory
// together, one number of each matrix by each invocation, and read from there 16 times. What lies behind an edge counts 0.

const TILE: u32 = 16u;

struct Sizes {
    samples: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [sample, in]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [in, out]
@group(0) @binding(3) var<storage, read_write> product: array<f32>; // [sample, out]

var<workgroup> left: array<f32, TILE * TILE>; // [sample, i]
var<workgroup> right: array<f32, TILE * TILE>; // [i, unit]

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let n = id.y;
    let k = id.x;
    let place = local.y * TILE + local.x;
    var sum = 0.0;
    for (var first = 0u; first < sizes.inputs; first += TILE) {
        let across = first + local.x;
        let down = first + local.y;
        left[place] = 0.0;
        right[place] = 0.0;
        if (n < sizes.samples && across < sizes.inputs) { left[place] = input[n * sizes.inputs + across]; }
        if (k < sizes.outputs && down < sizes.inputs) { right[place] = weights[down * sizes.outputs + k]; }
        workgroupBarrier();
        for (var i = 0u; i < TILE; i++) {
            sum += left[local.y * TILE + i] * right[i * TILE + local.x];
        }
        workgroupBarrier();
    }
    if (n < sizes.samples && k < sizes.outputs) { product[n * sizes.outputs + k] = sum; }
}
