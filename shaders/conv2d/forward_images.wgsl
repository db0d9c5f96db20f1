// conv2d.forward_images: conv2d.forward whose input[n, y, x] = pixel y, x of image order[n], times a scale.
//
// One invocation owns a tile of 4 x 4 pixels x 4 channels in registers, and loads 18 words of 4 pixels; z is the replica.
//   images      [image, y, word of 4 pixels]  u8, rows padded with 0 to whole words, read
//   order       [replica, place]              indices of images, read from the step's first place on
//   parameters  [replica, parameter]          weights [ky, kx, 1, out] and bias [out] read at their offsets
//   output      [replica, sample, y, x, out]  written for the samples of the step
// with: step, convolution, grid, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;

struct Row {
    pixels: vec4f,
    next: vec2f,
}

fn widen(word: u32) -> vec4f {
    return vec4f(unpack4xU8(word)) * params.scale;
}

// The columns before, in and after a word of the row at `place`; `words` are the three words that hold them.
fn read_row(place: u32, inside: bool, words: vec3u, words_inside: vec3<bool>) -> Row {
    let at = place + words;
    let read = vec3u(images[at.x], images[at.y], images[at.z]);
    let found = select(vec3u(0u), read, words_inside & vec3<bool>(inside));
    let middle = widen(found.y);
    return Row(vec4f(widen(found.x).w, middle.xyz), vec2f(middle.w, widen(found.z).x));
}

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

fn read_taps(place: vec4u) -> mat3x4f {
    return mat3x4f(read_quad(place), read_quad(place + params.outputs), read_quad(place + 2u * params.outputs));
}

fn write_pixel(y: u32, x: u32, place: u32, k: u32, sums: vec4f) {
    if (y >= params.height || x >= params.width) { return; }
    let values = relu(sums);
    output[place] = values.x;
    if (k + 1u < params.outputs) { output[place + 1u] = values.y; }
    if (k + 2u < params.outputs) { output[place + 2u] = values.z; }
    if (k + 3u < params.outputs) { output[place + 3u] = values.w; }
}

fn write_row(y: u32, x: u32, first: u32, k: u32, sums: mat4x4f) {
    let place = first + (y * params.width + x) * params.outputs + k;
    write_pixel(y, x, place, k, sums[0]);
    write_pixel(y, x + 1u, place + params.outputs, k, sums[1]);
    write_pixel(y, x + 2u, place + 2u * params.outputs, k, sums[2]);
    write_pixel(y, x + 3u, place + 3u * params.outputs, k, sums[3]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let quads = (params.outputs + 3u) / 4u;
    let tile_columns = (params.width + 3u) / 4u;
    let tile_rows = (params.height + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let strip = tile / quads;
    let k = (tile - strip * quads) * 4u;
    let line = strip / tile_columns;
    let x = (strip - line * tile_columns) * 4u;
    let n = line / tile_rows;
    let y = (line - n * tile_rows) * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Words and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let row_words = tile_columns;
    let words = x / 4u + vec3u(0u, 1u, 2u) - 1u;
    let held = min(words, vec3u(row_words - 1u));
    let words_inside = words < vec3u(row_words);
    let rows = vec4u(y - 1u, y + 2u, y + 3u, y + 4u);
    let inside = rows < vec4u(params.height);
    let image = order[r * step.order_stride + step.first + n] * params.height * row_words;
    let middle = image + vec2u(y, min(y + 1u, params.height - 1u)) * row_words;
    let outside = image + min(rows, vec4u(params.height - 1u)) * row_words;
    let channels = quad(k, params.outputs);
    let weights = r * params.parameters + params.weights + channels;
    let taps0 = read_taps(weights);
    let taps1 = read_taps(weights + 3u * params.outputs);
    let taps2 = read_taps(weights + 6u * params.outputs);
    let bias = read_quad(r * params.parameters + params.bias + channels);
    let start = mat4x4f(bias, bias, bias, bias);

    var row = read_row(outside.x, inside.x, held, words_inside);
    var sum0 = convolve(start, row.pixels, row.next, taps0);
    row = read_row(middle.x, true, held, words_inside);
    sum0 = convolve(sum0, row.pixels, row.next, taps1);
    var sum1 = convolve(start, row.pixels, row.next, taps0);
    row = read_row(middle.y, y + 1u < params.height, held, words_inside);
    sum0 = convolve(sum0, row.pixels, row.next, taps2);
    sum1 = convolve(sum1, row.pixels, row.next, taps1);
    var sum2 = convolve(start, row.pixels, row.next, taps0);
    row = read_row(outside.y, inside.y, held, words_inside);
    sum1 = convolve(sum1, row.pixels, row.next, taps2);
    sum2 = convolve(sum2, row.pixels, row.next, taps1);
    var sum3 = convolve(start, row.pixels, row.next, taps0);
    row = read_row(outside.z, inside.z, held, words_inside);
    sum2 = convolve(sum2, row.pixels, row.next, taps2);
    sum3 = convolve(sum3, row.pixels, row.next, taps1);
    row = read_row(outside.w, inside.w, held, words_inside);
    sum3 = convolve(sum3, row.pixels, row.next, taps2);

    let place = (r * params.capacity + n) * params.height * params.width * params.outputs;
    write_row(y, x, place, k, sum0);
    write_row(y + 1u, x, place, k, sum1);
    write_row(y + 2u, x, place, k, sum2);
    write_row(y + 3u, x, place, k, sum3);
}
