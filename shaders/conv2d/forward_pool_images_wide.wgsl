// conv2d.forward_pool_images_wide: conv2d.forward_pool_images with a tile four times as large, for devices on which loads
// cost most.
//
// One invocation owns 2 x 4 pooled pixels x 8 channels: 4 x 8 pixels before pooling. It loads 24 words of 4 pixels.
//   images, order  [image, y, word of 4 pixels], [replica, place]  u8, rows padded with 0; indices of images, read
//   parameters     [replica, parameter]                            weights [ky, kx, 1, out] and bias [out] read
//   output         [replica, sample, y / 2, x / 2, out]            written for the samples of the step
//   argmax         [replica, sample, y / 2, x / 2 / 4, out / 4]    words of codes, written with them

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

// A row of eight pixels of a quad of channels.
struct Strip {
    left: mat4x4f,
    right: mat4x4f,
}

fn add(strip: Strip, row: Row, taps: mat3x4f) -> Strip {
    return Strip(convolve(strip.left, row.left, row.right.xy, taps), convolve(strip.right, row.right, row.last, taps));
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

// Pools two rows of a tile, and writes the values and their word. Nothing is there beyond the last row or channel.
fn write_strips(upper: Strip, lower: Strip, line: u32, inside: bool, x: u32, k: u32) {
    if (!inside || k >= params.outputs) { return; }
    let width = params.width / 2u;
    let pixels = width - x;
    let first = (line * width + x) * params.outputs + k;
    let codes = write_pooled(upper.left, lower.left, pixels, first, k);
    let more_codes = write_pooled(upper.right, lower.right, max(pixels, 2u) - 2u, first + 2u * params.outputs, k);
    argmax[(line * ((width + 3u) / 4u) + x / 4u) * ((params.outputs + 3u) / 4u) + k / 4u] =
        (codes | (more_codes << 16u)) & used_bits(pixels, params.outputs - k);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let octets = (params.outputs + 7u) / 8u;
    let tile_columns = (pooled_width + 3u) / 4u;
    let tile_rows = (pooled_height + 1u) / 2u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let place_of_tile = tile / octets;
    let k = (tile - place_of_tile * octets) * 8u;
    let tile_line = place_of_tile / tile_columns;
    let pooled_x = (place_of_tile - tile_line * tile_columns) * 4u;
    let n = tile_line / tile_rows;
    let pooled_y = (tile_line - n * tile_rows) * 2u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Words and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let row_words = (params.width + 3u) / 4u;
    let words = pooled_x / 2u + vec4u(0u, 1u, 2u, 3u) - 1u;
    let held = min(words, vec4u(row_words - 1u));
    let words_inside = words < vec4u(row_words);
    let first_row = 2u * pooled_y - 1u;
    let upper_rows = first_row + vec3u(0u, 1u, 2u);
    let lower_rows = first_row + vec3u(3u, 4u, 5u);
    let upper_inside = upper_rows < vec3u(params.height);
    let lower_inside = lower_rows < vec3u(params.height);
    let image = order[r * step.order_stride + step.first + n] * params.height * row_words;
    let upper = image + min(upper_rows, vec3u(params.height - 1u)) * row_words;
    let lower = image + min(lower_rows, vec3u(params.height - 1u)) * row_words;
    let channels_a = quad(k, params.outputs);
    let channels_b = quad(k + 4u, params.outputs);
    let weights_a = r * params.parameters + params.weights + channels_a;
    let weights_b = r * params.parameters + params.weights + channels_b;
    let row_of_taps = 3u * params.outputs;

    let bias_a = read_quad(r * params.parameters + params.bias + channels_a);
    let bias_b = read_quad(r * params.parameters + params.bias + channels_b);
    let start_a = mat4x4f(bias_a, bias_a, bias_a, bias_a);
    let start_b = mat4x4f(bias_b, bias_b, bias_b, bias_b);
    var a0 = Strip(start_a, start_a);
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var b0 = Strip(start_b, start_b);
    var b1 = b0;
    var b2 = b0;
    var b3 = b0;
    let taps_a0 = read_taps(weights_a);
    let taps_b0 = read_taps(weights_b);
    let taps_a1 = read_taps(weights_a + row_of_taps);
    let taps_b1 = read_taps(weights_b + row_of_taps);
    let taps_a2 = read_taps(weights_a + 2u * row_of_taps);
    let taps_b2 = read_taps(weights_b + 2u * row_of_taps);
    var row = read_row(upper.x, upper_inside.x, held, words_inside);
    a0 = add(a0, row, taps_a0);
    b0 = add(b0, row, taps_b0);
    row = read_row(upper.y, true, held, words_inside);
    a0 = add(a0, row, taps_a1);
    b0 = add(b0, row, taps_b1);
    a1 = add(a1, row, taps_a0);
    b1 = add(b1, row, taps_b0);
    row = read_row(upper.z, true, held, words_inside);
    a0 = add(a0, row, taps_a2);
    b0 = add(b0, row, taps_b2);
    a1 = add(a1, row, taps_a1);
    b1 = add(b1, row, taps_b1);
    a2 = add(a2, row, taps_a0);
    b2 = add(b2, row, taps_b0);
    row = read_row(lower.x, lower_inside.x, held, words_inside);
    a1 = add(a1, row, taps_a2);
    b1 = add(b1, row, taps_b2);
    a2 = add(a2, row, taps_a1);
    b2 = add(b2, row, taps_b1);
    a3 = add(a3, row, taps_a0);
    b3 = add(b3, row, taps_b0);
    row = read_row(lower.y, lower_inside.y, held, words_inside);
    a2 = add(a2, row, taps_a2);
    b2 = add(b2, row, taps_b2);
    a3 = add(a3, row, taps_a1);
    b3 = add(b3, row, taps_b1);
    row = read_row(lower.z, lower_inside.z, held, words_inside);
    a3 = add(a3, row, taps_a2);
    b3 = add(b3, row, taps_b2);
    let line = (r * params.capacity + n) * pooled_height + pooled_y;
    let second = pooled_y + 1u < pooled_height;
    write_strips(a0, a1, line, true, pooled_x, k);
    write_strips(b0, b1, line, true, pooled_x, k + 4u);
    write_strips(a2, a3, line + 1u, second, pooled_x, k);
    write_strips(b2, b3, line + 1u, second, pooled_x, k + 4u);
}
