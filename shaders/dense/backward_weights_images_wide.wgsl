// dense.backward_weights_images_wide: dense.backward_weights_images with a tile four times as large, for devices on which
// loads cost most.
//
// One invocation owns a tile of 16 pixels (4 words) x 4 units in registers, and adds in the order of n; z is the replica.
//   images           [image, y, word of 4 pixels]  u8, rows padded to whole words, read
//   order            [replica, place]              indices of images, read from the step's first place on
//   output_gradient  [replica, sample, out]        read
//   gradient         [replica, parameter]          weights [pixel, out] and bias [out], of the first tiles, written

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    height: u32,     // rows of an image
    width: u32,      // columns of an image
    row_words: u32,  // words of a row
    outputs: u32,
    capacity: u32,   // samples that a replica has room for
    parameters: u32, // per replica
    weights: u32,    // first weight
    bias: u32,       // first bias
    scale: f32,      // what pixels are multiplied by
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

// Sums of four pixels, to which x times g is added.
fn add(sums: mat4x4f, x: vec4f, g: vec4f) -> mat4x4f {
    return mat4x4f(sums[0] + x.x * g, sums[1] + x.y * g, sums[2] + x.z * g, sums[3] + x.w * g);
}

fn write_units(place: u32, k: u32, sums: vec4f) {
    gradient[place] = sums.x;
    if (k + 1u < params.outputs) { gradient[place + 1u] = sums.y; }
    if (k + 2u < params.outputs) { gradient[place + 2u] = sums.z; }
    if (k + 3u < params.outputs) { gradient[place + 3u] = sums.w; }
}

// The pixels of a word; some of the last one of a row, and words behind the last row, are padding.
fn write_word(word: u32, k: u32, r: u32, sums: mat4x4f) {
    if (word >= params.height * params.row_words) { return; }
    let column = word % params.row_words * 4u;
    let pixel = word / params.row_words * params.width + column;
    let place = r * params.parameters + params.weights + pixel * params.outputs + k;
    write_units(place, k, params.scale * sums[0]);
    if (column + 1u < params.width) { write_units(place + params.outputs, k, params.scale * sums[1]); }
    if (column + 2u < params.width) { write_units(place + 2u * params.outputs, k, params.scale * sums[2]); }
    if (column + 3u < params.width) { write_units(place + 3u * params.outputs, k, params.scale * sums[3]); }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit_tiles = (params.outputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let first_word = tile / unit_tiles * 4u;
    let k = tile % unit_tiles * 4u;
    let image_words = params.height * params.row_words;
    if (first_word >= image_words) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last word or unit again, and does not write it.
    let words = min(vec4u(first_word) + vec4u(0u, 1u, 2u, 3u), vec4u(image_words - 1u));
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    let first = r * step.order_stride + step.first;
    var y = r * params.capacity * params.outputs + units;

    var sums0 = mat4x4f();
    var sums1 = mat4x4f();
    var sums2 = mat4x4f();
    var sums3 = mat4x4f();
    var bias = vec4f(0.0);
    for (var n = 0u; n < step.samples; n++) {
        let places = order[first + n] * image_words + words;
        let g = vec4f(output_gradient[y.x], output_gradient[y.y], output_gradient[y.z], output_gradient[y.w]);
        sums0 = add(sums0, unpack_pixels(images[places.x]), g);
        sums1 = add(sums1, unpack_pixels(images[places.y]), g);
        sums2 = add(sums2, unpack_pixels(images[places.z]), g);
        sums3 = add(sums3, unpack_pixels(images[places.w]), g);
        bias += g;
        y += params.outputs;
    }
    write_word(first_word, k, r, sums0);
    write_word(first_word + 1u, k, r, sums1);
    write_word(first_word + 2u, k, r, sums2);
    write_word(first_word + 3u, k, r, sums3);
    if (first_word == 0u) { write_units(r * params.parameters + params.bias + k, k, bias); }
}
