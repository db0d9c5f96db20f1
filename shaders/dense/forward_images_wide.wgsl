// dense.forward_images_wide: dense.forward_images with a tile four times as large, for devices on which loads cost most.
//
// One invocation owns a tile of 16 samples x 4 units in registers, and takes 4 pixels at a time; z is the replica.
//   images      [image, y, word of 4 pixels]  u8, rows padded to whole words, read
//   order       [replica, place]              indices of images, read from the step's first place on
//   parameters  [replica, parameter]          weights [pixel, out] and bias [out] read at their offsets
//   output      [replica, sample, out]        written for the samples of the step
// Per 256 multiply-adds 32 loads.

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
    relu: u32,       // 1 or 0
    scale: f32,      // what pixels are multiplied by
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;

fn weights_at(column: vec4u, pixel: u32) -> vec4f {
    let place = column + pixel * params.outputs;
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

// Where the images of four samples start. A tile may hang over the edge: there it reads the last sample again.
fn first_words(r: u32, n: u32) -> vec4u {
    let samples = min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(step.samples - 1u));
    let places = r * step.order_stride + step.first + samples;
    return vec4u(order[places.x], order[places.y], order[places.z], order[places.w]) * (params.height * params.row_words);
}

// Sums of four samples, to which a word of each is added. Padding is 0, so the weights that it meets do not count.
fn add(sums: mat4x4f, words: vec4u, w: mat4x4f) -> mat4x4f {
    return mat4x4f(
        sums[0] + w * unpack_pixels(images[words.x]),
        sums[1] + w * unpack_pixels(images[words.y]),
        sums[2] + w * unpack_pixels(images[words.z]),
        sums[3] + w * unpack_pixels(images[words.w]),
    );
}

fn write_units(n: u32, k: u32, r: u32, sums: vec4f) {
    if (n >= step.samples) { return; }
    let y = select(sums, relu(sums), params.relu == 1u);
    let place = (r * params.capacity + n) * params.outputs + k;
    output[place] = y.x;
    if (k + 1u < params.outputs) { output[place + 1u] = y.y; }
    if (k + 2u < params.outputs) { output[place + 2u] = y.z; }
    if (k + 3u < params.outputs) { output[place + 3u] = y.w; }
}

fn write_samples(n: u32, k: u32, r: u32, bias: vec4f, sums: mat4x4f) {
    write_units(n, k, r, bias + params.scale * sums[0]);
    write_units(n + 1u, k, r, bias + params.scale * sums[1]);
    write_units(n + 2u, k, r, bias + params.scale * sums[2]);
    write_units(n + 3u, k, r, bias + params.scale * sums[3]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit_tiles = (params.outputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let n = tile / unit_tiles * 16u;
    let k = tile % unit_tiles * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last unit again, and does not write it.
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    var words0 = first_words(r, n);
    var words1 = first_words(r, n + 4u);
    var words2 = first_words(r, n + 8u);
    var words3 = first_words(r, n + 12u);
    let column = r * params.parameters + params.weights + units;
    let last_pixel = params.height * params.width - 1u;

    var sums0 = mat4x4f();
    var sums1 = mat4x4f();
    var sums2 = mat4x4f();
    var sums3 = mat4x4f();
    for (var y = 0u; y < params.height; y++) {
        for (var x = 0u; x < params.width; x += 4u) {
            let pixel = y * params.width + x;
            let w = mat4x4f(
                weights_at(column, pixel),
                weights_at(column, min(pixel + 1u, last_pixel)),
                weights_at(column, min(pixel + 2u, last_pixel)),
                weights_at(column, min(pixel + 3u, last_pixel)),
            );
            sums0 = add(sums0, words0, w);
            sums1 = add(sums1, words1, w);
            sums2 = add(sums2, words2, w);
            sums3 = add(sums3, words3, w);
            words0 += 1u;
            words1 += 1u;
            words2 += 1u;
            words3 += 1u;
        }
    }
    let place = r * params.parameters + params.bias + units;
    let bias = vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
    write_samples(n, k, r, bias, sums0);
    write_samples(n + 4u, k, r, bias, sums1);
    write_samples(n + 8u, k, r, bias, sums2);
    write_samples(n + 12u, k, r, bias, sums3);
}
