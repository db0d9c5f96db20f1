// dense.backward_input: input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k] where input[n, i] > 0, else 0.
//
// `input` is what the layer before produced after its ReLU, so the condition is that ReLU's derivative (0 at 0).
// One invocation owns a tile of 4 samples x 4 inputs in registers, and adds in the order of k; z is the replica.
//   output_gradient  [replica, sample, out]  read
//   parameters       [replica, parameter]    weights [in, out] read at their offset
//   input            [replica, sample, in]   read
//   input_gradient   [replica, sample, in]   written for the samples of the step
// with: grid, step, dense_layer, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>;

fn write_input(n: u32, i: u32, r: u32, gradient: f32) {
    if (i >= params.inputs) { return; }
    let place = (r * params.capacity + n) * params.inputs + i;
    input_gradient[place] = relu_gradient_of(gradient, input[place]);
}

fn write_inputs(n: u32, i: u32, r: u32, gradient: vec4f) {
    if (n >= step.samples) { return; }
    write_input(n, i, r, gradient.x);
    write_input(n, i + 1u, r, gradient.y);
    write_input(n, i + 2u, r, gradient.z);
    write_input(n, i + 3u, r, gradient.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let input_tiles = (params.inputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let n = tile / input_tiles * 4u;
    let i = tile % input_tiles * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last sample or input again, and does not write it.
    let samples = min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(step.samples - 1u));
    let inputs = min(vec4u(i, i + 1u, i + 2u, i + 3u), vec4u(params.inputs - 1u));
    let gradient = (r * params.capacity + samples) * params.outputs;
    let row = r * params.parameters + params.weights + inputs * params.outputs;

    var x0 = vec4f(0.0);
    var x1 = x0;
    var x2 = x0;
    var x3 = x0;
    for (var k = 0u; k < params.outputs; k++) {
        let w = vec4f(parameters[row.x + k], parameters[row.y + k], parameters[row.z + k], parameters[row.w + k]);
        x0 += output_gradient[gradient.x + k] * w;
        x1 += output_gradient[gradient.y + k] * w;
        x2 += output_gradient[gradient.z + k] * w;
        x3 += output_gradient[gradient.w + k] * w;
    }
    write_inputs(n, i, r, x0);
    write_inputs(n + 1u, i, r, x1);
    write_inputs(n + 2u, i, r, x2);
    write_inputs(n + 3u, i, r, x3);
}
