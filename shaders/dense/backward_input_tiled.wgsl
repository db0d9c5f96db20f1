// dense.backward_input_tiled: dense.backward_input for wide layers, 32 samples x 32 inputs a workgroup in tiles of
// workgroup memory.
//
// An invocation owns 4 samples x 4 inputs in registers, and adds in the order of k; z is the replica.
//   output_gradient  [replica, sample, out]  read
//   parameters       [replica, parameter]    weights [in, out] read at their offset
//   input            [replica, sample, in]   what the layer before produced after its ReLU, read
//   input_gradient   [replica, sample, in]   written for the samples of the step
// with: grid, step, dense_layer, dense_tile, relu

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>;

fn gradient_at(r: u32, n: u32, k: u32) -> f32 {
    if (n >= step.samples || k >= params.outputs) { return 0.0; }
    return output_gradient[(r * params.capacity + n) * params.outputs + k];
}

fn weight_at(r: u32, i: u32, k: u32) -> f32 {
    if (i >= params.inputs || k >= params.outputs) { return 0.0; }
    return parameters[r * params.parameters + params.weights + i * params.outputs + k];
}

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

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let start = tile_start(group, params.inputs);
    if (start.x >= step.samples) { return; }
    var sums = mat4x4f();
    for (var block = 0u; block < params.outputs; block += INNER) {
        for (var quad = lane; quad < INNER * QUADS; quad += LANES) {
            let place = along_inner(quad);
            let k = block + place.inner;
            let n = start.x + place.first;
            left[slot(place)] =
                vec4f(gradient_at(r, n, k), gradient_at(r, n + 1u, k), gradient_at(r, n + 2u, k), gradient_at(r, n + 3u, k));
            let i = start.y + place.first;
            right[slot(place)] =
                vec4f(weight_at(r, i, k), weight_at(r, i + 1u, k), weight_at(r, i + 2u, k), weight_at(r, i + 3u, k));
        }
        workgroupBarrier();
        sums = add_products(sums, lane);
        workgroupBarrier();
    }
    let n = start.x + 4u * (lane / QUADS);
    let i = start.y + 4u * (lane % QUADS);
    write_inputs(n, i, r, sums[0]);
    write_inputs(n + 1u, i, r, sums[1]);
    write_inputs(n + 2u, i, r, sums[2]);
    write_inputs(n + 3u, i, r, sums[3]);
}
