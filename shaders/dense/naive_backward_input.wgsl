// dense.naive_backward_input: input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k] where input[n, i] > 0, else 0.
//
// To begin reading with, never used by the engine: one invocation owns one gradient; z is the replica.
//   output_gradient  [replica, sample, out]  read
//   parameters       [replica, parameter]    weights [in, out] read at their offset
//   input            [replica, sample, in]   what the layer before produced after its ReLU, read
//   input_gradient   [replica, sample, in]   written for the samples of the step
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let place = flat_index(id, WORKGROUP_SIZE);
    let n = place / params.inputs;
    let i = place % params.inputs;
    if (n >= step.samples) { return; }
    let sample = id.z * params.capacity + n;
    let weights = id.z * params.parameters + params.weights + i * params.outputs;
    var sum = 0.0;
    for (var k = 0u; k < params.outputs; k++) {
        sum += output_gradient[sample * params.outputs + k] * parameters[weights + k];
    }
    let own = sample * params.inputs + i;
    input_gradient[own] = select(0.0, sum, input[own] > 0.0);
}
