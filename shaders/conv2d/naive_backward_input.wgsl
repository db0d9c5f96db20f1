// conv2d.naive_backward_input: input_gradient[n, y, x, c] = sum_{ky, kx, k} output_gradient[n, y - ky + 1, x - kx + 1, k]
// * weights[ky, kx, c, k] where input[n, y, x, c] > 0, else 0.
//
// To begin reading with, never used by the engine: one invocation owns one gradient; z is the replica.
//   output_gradient  [replica, sample, y, x, out]  read
//   parameters       [replica, parameter]          weights [ky, kx, in, out] read at their offset
//   input            [replica, sample, y, x, in]   what the layer before produced after its ReLU, read
//   input_gradient   [replica, sample, y, x, in]   written for the samples of the step
// with: step, convolution, grid

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
    let c = place % params.inputs;
    let x = place / params.inputs % params.width;
    let y = place / params.inputs / params.width % params.height;
    let n = place / params.inputs / params.width / params.height;
    if (n >= step.samples) { return; }
    let sample = id.z * params.capacity + n;
    var sum = 0.0;
    for (var tap = 0u; tap < 9u; tap++) {
        let row = y - tap / 3u + 1u;
        let column = x - tap % 3u + 1u;
        if (row >= params.height || column >= params.width) { continue; }
        let pixel = ((sample * params.height + row) * params.width + column) * params.outputs;
        let weights = id.z * params.parameters + params.weights + (tap * params.inputs + c) * params.outputs;
        for (var k = 0u; k < params.outputs; k++) {
            sum += output_gradient[pixel + k] * parameters[weights + k];
        }
    }
    let own = ((sample * params.height + y) * params.width + x) * params.inputs + c;
    input_gradient[own] = select(0.0, sum, input[own] > 0.0);
}
