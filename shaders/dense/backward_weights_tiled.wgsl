// dense.backward_weights_tiled: dense.backward_weights for wide layers, 32 inputs x 32 units a workgroup in tiles of
// workgroup memory.
//
// An invocation owns 4 inputs x 4 units in registers, and adds in the order of n; z is the replica.
//   input            [replica, sample, in]   read
//   output_gradient  [replica, sample, out]  read
//   gradient         [replica, parameter]    weights [in, out] and bias [out] written at their offsets
// The tiles of the first inputs also own the biases.
// with: grid, step, dense_layer, dense_tile

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>;

fn input_at(r: u32, n: u32, i: u32) -> f32 {
    if (n >= step.samples || i >= params.inputs) { return 0.0; }
    return input[(r * params.capacity + n) * params.inputs + i];
}

fn gradient_at(r: u32, n: u32, k: u32) -> f32 {
    if (n >= step.samples || k >= params.outputs) { return 0.0; }
    return output_gradient[(r * params.capacity + n) * params.outputs + k];
}

fn write_units(place: u32, k: u32, sums: vec4f) {
    if (k < params.outputs) { gradient[place] = sums.x; }
    if (k + 1u < params.outputs) { gradient[place + 1u] = sums.y; }
    if (k + 2u < params.outputs) { gradient[place + 2u] = sums.z; }
    if (k + 3u < params.outputs) { gradient[place + 3u] = sums.w; }
}

fn write_row(r: u32, i: u32, k: u32, sums: vec4f) {
    if (i >= params.inputs) { return; }
    write_units(r * params.parameters + params.weights + i * params.outputs + k, k, sums);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let start = tile_start(group, params.outputs);
    if (start.x >= params.inputs) { return; }
    let owns_bias = start.x == 0u && lane < QUADS;
    var sums = mat4x4f();
    var bias = vec4f(0.0);
    for (var block = 0u; block < step.samples; block += INNER) {
        for (var quad = lane; quad < INNER * QUADS; quad += LANES) {
            let place = across_inner(quad);
            let n = block + place.inner;
            let i = start.x + place.first;
            left[slot(place)] =
                vec4f(input_at(r, n, i), input_at(r, n, i + 1u), input_at(r, n, i + 2u), input_at(r, n, i + 3u));
            let k = start.y + place.first;
            right[slot(place)] =
                vec4f(gradient_at(r, n, k), gradient_at(r, n, k + 1u), gradient_at(r, n, k + 2u), gradient_at(r, n, k + 3u));
        }
        workgroupBarrier();
        sums = add_products(sums, lane);
        for (var n = 0u; owns_bias && n < INNER; n++) {
            bias += right[n * QUADS + lane];
        }
        workgroupBarrier();
    }
    let i = start.x + 4u * (lane / QUADS);
    let k = start.y + 4u * (lane % QUADS);
    write_row(r, i, k, sums[0]);
    write_row(r, i + 1u, k, sums[1]);
    write_row(r, i + 2u, k, sums[2]);
    write_row(r, i + 3u, k, sums[3]);
    if (owns_bias) { write_units(r * params.parameters + params.bias + k, k, bias); }
}
