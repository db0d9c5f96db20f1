// dense.naive: output[n, k] = activation(bias[k] + sum_i input[n, i] * weights[i, k]), ReLU or nothing.
//
// To begin reading with, never used by the engine: one invocation owns one output and loads two numbers for each
// multiply-add; z is the replica.
//   input       [replica, sample, in]   read
//   parameters  [replica, parameter]    weights [in, out] and bias [out] read at their offsets
//   output      [replica, sample, out]  written for the samples of the step
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let place = flat_index(id, WORKGROUP_SIZE);
    let n = place / params.outputs;
    let k = place % params.outputs;
    if (n >= step.samples) { return; }
    let sample = id.z * params.capacity + n;
    let own = id.z * params.parameters;
    var sum = parameters[own + params.bias + k];
    for (var i = 0u; i < params.inputs; i++) {
        sum += input[sample * params.inputs + i] * parameters[own + params.weights + i * params.outputs + k];
    }
    output[sample * params.outputs + k] = select(sum, max(sum, 0.0), params.relu == 1u);
}
