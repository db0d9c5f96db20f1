// Puzzle 6: output[n, k] = max(bias[k] + sum_i input[n, i] * weights[i, k], 0).

struct Sizes {
    samples: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [sample, in]
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [in, out]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [out]
@group(0) @binding(4) var<storage, read_write> output: array<f32>; // [sample, out]

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let n = id.y;
    let k = id.x;
    if (n >= sizes.samples || k >= sizes.outputs) { return; }
    var sum = bias[k];
    for (var i = 0u; i < sizes.inputs; i++) {
        sum += input[n * sizes.inputs + i] * weights[i * sizes.outputs + k];
    }
    output[n * sizes.outputs + k] = max(sum, 0.0);
}
