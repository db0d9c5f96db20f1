// prelude.pooled_strip: a tile of prelude.convolution_strip whose 4 pooled pixels of a row are written.
//
// A ReLU comes before the pooling, so that no value is negative: their bits are in their order, and those of NaN come last.
// Bits, since devices may assume that there is no NaN when they compare floats. Of values of either sign
// max_pool2d.forward has its own. Reads `params`, and writes `output` and `argmax` of the shader.

struct Strip {
    n: u32, // sample
    y: u32, // pooled row
    x: u32, // first pooled column
    channel: u32, // first of four
}

fn strip_of(index: u32) -> Strip {
    let quads = (params.outputs + 3u) / 4u;
    let columns = (params.width / 2u + 3u) / 4u;
    let rows = params.height / 2u;
    let strip = index / quads;
    let line = strip / columns;
    let n = line / rows;
    return Strip(n, line - n * rows, (strip - line * columns) * 4u, (index - strip * quads) * 4u);
}

fn larger(value: vec4f, best: vec4f) -> vec4<bool> {
    return bitcast<vec4u>(value) > bitcast<vec4u>(best);
}

fn write_channel(place: u32, value: f32) {
    output[place] = value;
}

// Adds the three rows of taps that meet four rows of pixels of one channel, and reads them where they are needed.
fn convolve_strip(before: Sums, rows: vec4u, inside: vec4<bool>, columns: Columns, taps: array<mat3x4f, 3>) -> Sums {
    var row = read_row(rows.x, inside.x, columns);
    var sums = add_upper(before, row, taps[0]);
    row = read_row(rows.y, true, columns);
    sums = add_lower(add_upper(sums, row, taps[1]), row, taps[0]);
    row = read_row(rows.z, true, columns);
    sums = add_lower(add_upper(sums, row, taps[2]), row, taps[1]);
    row = read_row(rows.w, inside.w, columns);
    return add_lower(sums, row, taps[2]);
}

// The two left or the two right pooled pixels of a strip: writes the values, and returns the codes.
fn write_pooled(upper: mat4x4f, lower: mat4x4f, pixels: u32, place: u32, k: u32) -> u32 {
    let left = pool(relu(upper[0]), relu(upper[1]), relu(lower[0]), relu(lower[1]));
    let right = pool(relu(upper[2]), relu(upper[3]), relu(lower[2]), relu(lower[3]));
    if (pixels > 0u) { write_quad(place, k, params.outputs, left.values); }
    if (pixels > 1u) { write_quad(place + params.outputs, k, params.outputs, right.values); }
    return left.codes | (right.codes << 8u);
}

fn write_strip(r: u32, strip: Strip, sums: Sums) {
    let pooled_width = params.width / 2u;
    let line = (r * params.capacity + strip.n) * (params.height / 2u) + strip.y;
    let pixels = pooled_width - strip.x;
    let k = strip.channel;
    let first = (line * pooled_width + strip.x) * params.outputs + k;
    let codes = write_pooled(sums.upper_left, sums.lower_left, pixels, first, k);
    let more = max(pixels, 2u) - 2u;
    let more_codes = write_pooled(sums.upper_right, sums.lower_right, more, first + 2u * params.outputs, k);
    argmax[(line * ((pooled_width + 3u) / 4u) + strip.x / 4u) * ((params.outputs + 3u) / 4u) + k / 4u] =
        (codes | (more_codes << 16u)) & used_bits(pixels, params.outputs - k);
}
