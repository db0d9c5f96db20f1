// conv2d.naive: output[n, y, x, k] = relu(bias[k] + sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c]
// * weights[ky, kx, c, k]), where pixels outside of the image are 0.
//
// To begin reading with, never used by the engine: one invocation owns one output and loads two numbers for each
// multiply-add; z is the replica. One row or column above the first wraps around to a number beyond the last.
//   input       [replica, sample, y, x, in]   read
//   parameters  [replica, parameter]          weights [ky, kx, in, out] and bias [out] read at their offsets
//   output      [replica, sample, y, x, out]  written for the samples of the step
// with: step, convolution, grid

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let place = flat_index(id, WORKGROUP_SIZE);
    let k = place % params.outputs;
    let x = place / params.outputs % params.width;
    let y = place / params.outputs / params.width % params.height;
    let n = place / params.outputs / params.width / params.height;
    if (n >= step.samples) { return; }
    let sample = id.z * params.capacity + n;
    let own = id.z * params.parameters;
    var sum = parameters[own + params.bias + k];
    for (var tap = 0u; tap < 9u; tap++) {
        let row = y + tap / 3u - 1u;
        let column = x + tap % 3u - 1u;
        if (row >= params.height || column >= params.width) { continue; }
        let pixel = ((sample * params.height + row) * params.width + column) * params.inputs;
        let weights = own + params.weights + tap * params.inputs * params.outputs + k;
        for (var c = 0u; c < params.inputs; c++) {
            sum += input[pixel + c] * parameters[weights + c * params.outputs];
        }
    }
    output[((sample * params.height + y) * params.width + x) * params.outputs + k] = max(sum, 0.0);
}
