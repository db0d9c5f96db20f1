// dense.forward_tiled: dense.forward for wide layers, 32 samples x 32 units a workgroup in tiles of workgroup memory.
//
// An invocation owns 4 samples x 4 units in registers, and adds in the order of i; z is the replica.
//   input       [replica, sample, in]   read
//   parameters  [replica, parameter]    weights [in, out] and bias [out] read at their offsets
//   output      [replica, sample, out]  written for the samples of the step
// Per 1,024 multiply-adds 64 loads from global memory: a sixteenth; dense.forward has a half.
// with: grid, step, dense_layer, dense_tile, relu

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

fn input_at(r: u32, n: u32, i: u32) -> f32 {
    if (n >= step.samples || i >= params.inputs) { return 0.0; }
    return input[(r * params.capacity + n) * params.inputs + i];
}

fn weight_at(r: u32, i: u32, k: u32) -> f32 {
    if (i >= params.inputs || k >= params.outputs) { return 0.0; }
    return parameters[r * params.parameters + params.weights + i * params.outputs + k];
}

fn bias_at(r: u32, k: u32) -> f32 {
    return parameters[r * params.parameters + params.bias + min(k, params.outputs - 1u)];
}

fn write_units(n: u32, k: u32, r: u32, sums: vec4f) {
    if (n >= step.samples) { return; }
    let y = select(sums, relu(sums), params.relu == 1u);
    let place = (r * params.capacity + n) * params.outputs + k;
    if (k < params.outputs) { output[place] = y.x; }
    if (k + 1u < params.outputs) { output[place + 1u] = y.y; }
    if (k + 2u < params.outputs) { output[place + 2u] = y.z; }
    if (k + 3u < params.outputs) { output[place + 3u] = y.w; }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let start = tile_start(group, params.outputs);
    if (start.x >= step.samples) { return; }
    let n = start.x + 4u * (lane / QUADS);
    let k = start.y + 4u * (lane % QUADS);
    let bias = vec4f(bias_at(r, k), bias_at(r, k + 1u), bias_at(r, k + 2u), bias_at(r, k + 3u));
    var sums = mat4x4f(bias, bias, bias, bias);
    for (var block = 0u; block < params.inputs; block += INNER) {
        for (var quad = lane; quad < INNER * QUADS; quad += LANES) {
            let samples = along_inner(quad);
            let x = block + samples.inner;
            let row = start.x + samples.first;
            left[slot(samples)] =
                vec4f(input_at(r, row, x), input_at(r, row + 1u, x), input_at(r, row + 2u, x), input_at(r, row + 3u, x));
            let units = across_inner(quad);
            let i = block + units.inner;
            let w = start.y + units.first;
            right[slot(units)] =
                vec4f(weight_at(r, i, w), weight_at(r, i, w + 1u), weight_at(r, i, w + 2u), weight_at(r, i, w + 3u));
        }
        workgroupBarrier();
        sums = add_products(sums, lane);
        workgroupBarrier();
    }
    write_units(n, k, r, sums[0]);
    write_units(n + 1u, k, r, sums[1]);
    write_units(n + 2u, k, r, sums[2]);
    write_units(n + 3u, k, r, sums[3]);
}
