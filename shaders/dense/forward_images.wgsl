// dense.forward_images: dense.forward whose input[n, i] = pixel i of image order[n], times a scale.
//
// One invocation owns a tile of 4 samples x 4 units in registers, and takes 4 pixels at a time; z is the replica.
//   images      [image, y, word of 4 pixels]  u8, rows padded to whole words, read
//   order       [replica, place]              indices of images, read from the step's first place on
//   parameters  [replica, parameter]          weights [pixel, out] and bias [out] read at their offsets
//   output      [replica, sample, out]        written for the samples of the step
// Per 64 multiply-adds 20 loads; an image is one byte a pixel until it is in a register.
// with: grid, step, dense_layer, relu

override WORKGROUP_SIZE: u32 = 64;

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

// The four pixels of a word. Padding is 0, so the weights that it meets do not count.
fn pixels(place: u32) -> vec4f {
    return vec4f(unpack4xU8(images[place])) * params.scale;
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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit_tiles = (params.outputs + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let n = tile / unit_tiles * 4u;
    let k = tile % unit_tiles * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // A tile may hang over the edge: there it reads the last sample or unit again, and does not write it.
    let samples = min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(step.samples - 1u));
    let units = min(vec4u(k, k + 1u, k + 2u, k + 3u), vec4u(params.outputs - 1u));
    let places = r * step.order_stride + step.first + samples;
    var image = vec4u(order[places.x], order[places.y], order[places.z], order[places.w])
        * (params.height * params.row_words);
    let bias = r * params.parameters + params.bias + units;
    let column = r * params.parameters + params.weights + units;
    let last_pixel = params.height * params.width - 1u;

    var y0 = vec4f(parameters[bias.x], parameters[bias.y], parameters[bias.z], parameters[bias.w]);
    var y1 = y0;
    var y2 = y0;
    var y3 = y0;
    for (var y = 0u; y < params.height; y++) {
        for (var x = 0u; x < params.width; x += 4u) {
            let pixel = y * params.width + x;
            let w0 = weights_at(column, pixel);
            let w1 = weights_at(column, min(pixel + 1u, last_pixel));
            let w2 = weights_at(column, min(pixel + 2u, last_pixel));
            let w3 = weights_at(column, min(pixel + 3u, last_pixel));
            let x0 = pixels(image.x);
            let x1 = pixels(image.y);
            let x2 = pixels(image.z);
            let x3 = pixels(image.w);
            y0 = y0 + x0.x * w0 + x0.y * w1 + x0.z * w2 + x0.w * w3;
            y1 = y1 + x1.x * w0 + x1.y * w1 + x1.z * w2 + x1.w * w3;
            y2 = y2 + x2.x * w0 + x2.y * w1 + x2.z * w2 + x2.w * w3;
            y3 = y3 + x3.x * w0 + x3.y * w1 + x3.z * w2 + x3.w * w3;
            image += 1u;
        }
    }
    write_units(n, k, r, y0);
    write_units(n + 1u, k, r, y1);
    write_units(n + 2u, k, r, y2);
    write_units(n + 3u, k, r, y3);
}
