// dense.backward_weights: weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k], and
// bias_gradient[k] = sum_n output_gradient[n, k].
//
// One invocation owns a tile of 4 inputs x 4 units in registers, and adds in the order of n; z is the replica.
//   input            [replica, sample, in]   read
//   output_gradient  [replica, sample, out]  read
//   gradient         [replica, parameter]    weights [in, out] and bias [out] written at their offsets
// The tiles of the first inputs also own the biases.
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

fn write_units(place: u32, k: u32, sums: vec4f) {
    gradient[place] = sums.x;
    if (k + 1u < params.outputs) { gradient[place + 1u] = sums.y; }
    if (k + 2u < params.outputs) { gradient[place + 2u] = sums.z; }
    if (k + 3u < params.outputs) { gradient[place + 3u] = sums.w; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit_tiles = (params.outputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let i = tile / unit_tiles * 4u;
    let k = tile % unit_tiles * 4u;
    if (i >= params.inputs) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last input or unit again, and does not write it.
    let inputs = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(params.inputs - 1u));
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    var x = r * params.capacity * params.inputs + inputs;
    var y = r * params.capacity * params.outputs + units;

    var w0 = vec4f(0.0);
    var w1 = w0;
    var w2 = w0;
    var w3 = w0;
    var bias = w0;
    for (var n = 0u; n < step.samples; n++) {
        let g = vec4f(output_gradient[y.x], output_gradient[y.y], output_gradient[y.z], output_gradient[y.w]);
        w0 += input[x.x] * g;
        w1 += input[x.y] * g;
        w2 += input[x.z] * g;
        w3 += input[x.w] * g;
        bias += g;
        x += params.inputs;
        y += params.outputs;
    }
    let place = r * params.parameters + params.weights + i * params.outputs + k;
    write_units(place, k, w0);
    if (i + 1u < params.inputs) { write_units(place + params.outputs, k, w1); }
    if (i + 2u < params.inputs) { write_units(place + 2u * params.outputs, k, w2); }
    if (i + 3u < params.inputs) { write_units(place + 3u * params.outputs, k, w3); }
    if (i == 0u) { write_units(r * params.parameters + params.bias + k, k, bias); }
}
