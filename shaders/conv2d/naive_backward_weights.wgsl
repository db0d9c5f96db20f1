// conv2d.naive_backward_weights: weight_gradient[ky, kx, c, k] = sum_{n, y, x} input[n, y + ky - 1, x + kx - 1, c]
// * output_gradient[n, y, x, k], and bias_gradient[k] = sum_{n, y, x} output_gradient[n, y, x, k].
//
// To begin reading with, never used by the engine: one invocation owns one gradient, the biases' come last; z is the replica.
//   input            [replica, sample, y, x, in]   read
//   output_gradient  [replica, sample, y, x, out]  read
//   gradient         [replica, parameter]          weights and bias written at their offsets
// with: step, convolution, grid

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let weight = flat_index(id, WORKGROUP_SIZE);
    let k = weight % params.outputs;
    let c = weight / params.outputs % params.inputs;
    let tap = weight / params.outputs / params.inputs;
    let is_bias = tap == 9u;
    if (tap > 9u || (is_bias && c > 0u)) { return; }
    let pixels = params.height * params.width;
    var sum = 0.0;
    for (var place = 0u; place < step.samples * pixels; place++) {
        let first = id.z * params.capacity * pixels + place / pixels * pixels;
        let y = place % pixels / params.width + select(tap / 3u, 1u, is_bias) - 1u;
        let x = place % params.width + select(tap % 3u, 1u, is_bias) - 1u;
        if (y >= params.height || x >= params.width) { continue; }
        let value = select(input[(first + y * params.width + x) * params.inputs + c], 1.0, is_bias);
        sum += value * output_gradient[(first + place % pixels) * params.outputs + k];
    }
    gradient[id.z * params.parameters + select(params.weights + weight, params.bias + k, is_bias)] = sum;
}
