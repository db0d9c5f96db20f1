// conv2d.forward_pool_images: conv2d.forward_pool whose input[n, y, x] = pixel y, x of image order[n], times a scale.
//
// One invocation owns 4 pooled pixels of a row x 4 channels: 2 x 8 pixels before pooling in registers. It loads 16 words
// of 4 pixels; z is the replica.
//   images      [image, y, word of 4 pixels]                   u8, rows padded with 0 to whole words, read
//   order       [replica, place]                               indices of images, from the step's first place on
//   parameters  [replica, parameter]                           weights [ky, kx, 1, out] and bias [out] read
//   output      [replica, sample, y / 2, x / 2, out]           written for the samples of the step
//   argmax      [replica, sample, y / 2, x / 2 / 4, out / 4]   one word of codes, written with them
// with: step, convolution, grid, relu, pooling_relu, pooling

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
@group(0) @binding(6) var<storage, read_write> argmax: array<u32>;

// Ten columns of a row.
struct Row {
    left: vec4f,
    right: vec4f,
    last: vec2f,
}

fn widen(word: u32) -> vec4f {
    return vec4f(unpack4xU8(word)) * params.scale;
}

// The columns before, in and after two words of the row at `place`; `words` are the four words that hold them.
fn read_row(place: u32, inside: bool, words: vec4u, words_inside: vec4<bool>) -> Row {
    let at = place + words;
    let read = vec4u(images[at.x], images[at.y], images[at.z], images[at.w]);
    let found = select(vec4u(0u), read, words_inside & vec4<bool>(inside));
    let left = widen(found.y);
    let right = widen(found.z);
    return Row(
        vec4f(widen(found.x).w, left.xyz),
        vec4f(left.w, right.xyz),
        vec2f(right.w, widen(found.w).x),
    );
}

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

fn read_taps(place: vec4u) -> mat3x4f {
    return mat3x4f(read_quad(place), read_quad(place + params.outputs), read_quad(place + 2u * params.outputs));
}

// The two left or the two right pooled pixels of a tile: writes the values, and returns the codes.
fn write_pooled(upper: mat4x4f, lower: mat4x4f, pixels: u32, place: u32, k: u32) -> u32 {
    let left = pool(relu(upper[0]), relu(upper[1]), relu(lower[0]), relu(lower[1]));
    let right = pool(relu(upper[2]), relu(upper[3]), relu(lower[2]), relu(lower[3]));
    if (pixels > 0u) { write_quad(place, k, left.values); }
    if (pixels > 1u) { write_quad(place + params.outputs, k, right.values); }
    return left.codes | (right.codes << 8u);
}

fn write_quad(place: u32, k: u32, values: vec4f) {
    output[place] = values.x;
    if (k + 1u < params.outputs) { output[place + 1u] = values.y; }
    if (k + 2u < params.outputs) { output[place + 2u] = values.z; }
    if (k + 3u < params.outputs) { output[place + 3u] = values.w; }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let quads = (params.outputs + 3u) / 4u;
    let tile_columns = (pooled_width + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let strip = tile / quads;
    let k = (tile - strip * quads) * 4u;
    let line = strip / tile_columns;
    let pooled_x = (strip - line * tile_columns) * 4u;
    let n = line / pooled_height;
    let pooled_y = line - n * pooled_height;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Words and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let row_words = (params.width + 3u) / 4u;
    let words = pooled_x / 2u + vec4u(0u, 1u, 2u, 3u) - 1u;
    let held = min(words, vec4u(row_words - 1u));
    let words_inside = words < vec4u(row_words);
    let rows = 2u * pooled_y + vec4u(0u, 1u, 2u, 3u) - 1u;
    let inside = rows < vec4u(params.height);
    let image = order[r * step.order_stride + step.first + n] * params.height * row_words;
    let place = image + min(rows, vec4u(params.height - 1u)) * row_words;
    let channels = quad(k, params.outputs);
    let weights = r * params.parameters + params.weights + channels;
    let taps0 = read_taps(weights);
    let taps1 = read_taps(weights + 3u * params.outputs);
    let taps2 = read_taps(weights + 6u * params.outputs);
    let bias = read_quad(r * params.parameters + params.bias + channels);
    let start = mat4x4f(bias, bias, bias, bias);

    var row = read_row(place.x, inside.x, held, words_inside);
    var upper_left = convolve(start, row.left, row.right.xy, taps0);
    var upper_right = convolve(start, row.right, row.last, taps0);
    row = read_row(place.y, true, held, words_inside);
    upper_left = convolve(upper_left, row.left, row.right.xy, taps1);
    upper_right = convolve(upper_right, row.right, row.last, taps1);
    var lower_left = convolve(start, row.left, row.right.xy, taps0);
    var lower_right = convolve(start, row.right, row.last, taps0);
    row = read_row(place.z, true, held, words_inside);
    upper_left = convolve(upper_left, row.left, row.right.xy, taps2);
    upper_right = convolve(upper_right, row.right, row.last, taps2);
    lower_left = convolve(lower_left, row.left, row.right.xy, taps1);
    lower_right = convolve(lower_right, row.right, row.last, taps1);
    row = read_row(place.w, inside.w, held, words_inside);
    lower_left = convolve(lower_left, row.left, row.right.xy, taps2);
    lower_right = convolve(lower_right, row.right, row.last, taps2);

    let pooled_line = (r * params.capacity + n) * pooled_height + pooled_y;
    let pixels = pooled_width - pooled_x;
    let first = (pooled_line * pooled_width + pooled_x) * params.outputs + k;
    let codes = write_pooled(upper_left, lower_left, pixels, first, k);
    let more = max(pixels, 2u) - 2u;
    let more_codes = write_pooled(upper_right, lower_right, more, first + 2u * params.outputs, k);
    argmax[(pooled_line * tile_columns + pooled_x / 4u) * quads + k / 4u] =
        (codes | (more_codes << 16u)) & used_bits(pixels, params.outputs - k);
}
