// dense.naive_backward_weights: weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k], and
// bias_gradient[k] = sum_n output_gradient[n, k].
//
// To begin reading with, never used by the engine: one invocation owns one gradient, the biases' come last; z is the replica.
//   input            [replica, sample, in]   read
//   output_gradient  [replica, sample, out]  read
//   gradient         [replica, parameter]    weights [in, out] and bias [out] written at their offsets
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let place = flat_index(id, WORKGROUP_SIZE);
    let i = place / params.outputs;
    let k = place % params.outputs;
    if (i > params.inputs) { return; }
    let is_bias = i == params.inputs;
    var sum = 0.0;
    for (var n = 0u; n < step.samples; n++) {
        let sample = id.z * params.capacity + n;
        var x = 1.0;
        if (!is_bias) { x = input[sample * params.inputs + i]; }
        sum += x * output_gradient[sample * params.outputs + k];
    }
    gradient[id.z * params.parameters + select(params.weights + i * params.outputs, params.bias, is_bias) + k] = sum;
}
