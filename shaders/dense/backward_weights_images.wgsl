// dense.backward_weights_images: dense.backward_weights whose input[n, i] = pixel i of image order[n], times a scale.
//
// One invocation owns a tile of 4 pixels (one word) x 4 units in registers, and adds in the order of n; z is the replica.
//   images           [image, y, word of 4 pixels]  u8, rows padded to whole words, read
//   order            [replica, place]              indices of images, read from the step's first place on
//   output_gradient  [replica, sample, out]        read
//   gradient         [replica, parameter]          weights [pixel, out] and bias [out] written at their offsets
// The tiles of the first word also own the biases.
// with: grid, step, dense_layer

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

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
    let word = tile / unit_tiles;
    let k = tile % unit_tiles * 4u;
    let image_words = params.height * params.row_words;
    if (word >= image_words) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last unit again, and does not write it.
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    let first = r * step.order_stride + step.first;
    var y = r * params.capacity * params.outputs + units;

    var w0 = vec4f(0.0);
    var w1 = w0;
    var w2 = w0;
    var w3 = w0;
    var bias = w0;
    for (var n = 0u; n < step.samples; n++) {
        let x = vec4f(unpack4xU8(images[order[first + n] * image_words + word])) * params.scale;
        let g = vec4f(output_gradient[y.x], output_gradient[y.y], output_gradient[y.z], output_gradient[y.w]);
        w0 += x.x * g;
        w1 += x.y * g;
        w2 += x.z * g;
        w3 += x.w * g;
        bias += g;
        y += params.outputs;
    }
    let column = word % params.row_words * 4u;
    let pixel = word / params.row_words * params.width + column;
    let place = r * params.parameters + params.weights + pixel * params.outputs + k;
    write_units(place, k, w0);
    if (column + 1u < params.width) { write_units(place + params.outputs, k, w1); }
    if (column + 2u < params.width) { write_units(place + 2u * params.outputs, k, w2); }
    if (column + 3u < params.width) { write_units(place + 3u * params.outputs, k, w3); }
    if (word == 0u) { write_units(r * params.parameters + params.bias + k, k, bias); }
}
