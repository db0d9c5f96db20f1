// dense.forward: output[n, k] = activation(bias[k] + sum_i input[n, i] * weights[i, k]), ReLU or nothing.
//
// One invocation owns a tile of 4 samples x 4 units in registers, and adds in the order of i; z is the replica.
//   input       [replica, sample, in]   read
//   parameters  [replica, parameter]    weights [in, out] and bias [out] read at their offsets
//   output      [replica, sample, out]  written for the samples of the step
// Per 16 multiply-adds 8 loads: bound by loads from the first-level cache.
// with: grid, step, dense_layer, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

fn write_units(n: u32, k: u32, r: u32, sums: vec4f) {
    if (n >= step.samples) { return; }
    let y = select(sums, relu(sums), params.relu == 1u);
    let place = (r * params.capacity + n) * params.outputs + k;
    output[place] = y.x;
    if (k + 1u < params.outputs) { output[place + 1u] = y.y; }
    if (k + 2u < params.outputs) { output[place + 2u] = y.z; }
    if (k + 3u < params.outputs) { output[place + 3u] = y.w; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit_tiles = (params.outputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let n = tile / unit_tiles * 4u;
    let k = tile % unit_tiles * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last sample or unit again, and does not write it.
    let samples = min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(step.samples - 1u));
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    let row = (r * params.capacity + samples) * params.inputs;
    let bias = r * params.parameters + params.bias + units;
    var column = r * params.parameters + params.weights + units;

    var y0 = vec4f(parameters[bias.x], parameters[bias.y], parameters[bias.z], parameters[bias.w]);
    var y1 = y0;
    var y2 = y0;
    var y3 = y0;
    for (var i = 0u; i < params.inputs; i++) {
        let w = vec4f(parameters[column.x], parameters[column.y], parameters[column.z], parameters[column.w]);
        y0 += input[row.x + i] * w;
        y1 += input[row.y + i] * w;
        y2 += input[row.z + i] * w;
        y3 += input[row.w + i] * w;
        column += params.outputs;
    }
    write_units(n, k, r, y0);
    write_units(n + 1u, k, r, y1);
    write_units(n + 2u, k, r, y2);
    write_units(n + 3u, k, r, y3);
}
