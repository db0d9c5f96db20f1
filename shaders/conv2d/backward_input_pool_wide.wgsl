// conv2d.backward_input_pool_wide: conv2d.backward_input_pool with a tile four times as large, for devices on which loads
// cost most.
//
// One invocation owns a tile of 4 x 8 pixels x 8 input channels, 64 vectors of accumulators; z is the replica.
//   output_gradient  [replica, sample, y / 2, x / 2, out]          of the pooled output, read
//   argmax           [replica, sample, y / 2, x / 2 / 4, out / 4]  words of codes, read
//   parameters       [replica, parameter]                          weights [ky, kx, in, out] read at their offset
//   input, input_gradient  [replica, sample, y, x, in]             read; written where input > 0, else 0

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> argmax: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read> input: array<f32>;
@group(0) @binding(6) var<storage, read_write> input_gradient: array<f32>;

// A pooled row over a tile: one pooled pixel left of it, four in it, one right of it.
struct Pooled {
    gradient: vec4f,
    codes: vec4u,
    around: vec2f,
    around_codes: vec2u,
}

// Where they lie in a pooled row, and whether they are inside of the image.
struct Columns {
    within: vec4u,
    around: vec2u,
    within_inside: vec4<bool>,
    around_inside: vec2<bool>,
}

// Ten columns of a row before pooling.
struct Row {
    left: vec4f,
    right: vec4f,
    last: vec2f,
}

// A row of eight pixels of a quad of channels.
struct Strip {
    left: mat4x4f,
    right: mat4x4f,
}

fn add(strip: Strip, row: Row, taps: mat3x4f) -> Strip {
    return Strip(convolve(strip.left, row.left, row.right.xy, taps), convolve(strip.right, row.right, row.last, taps));
}

// A branch, not a select: on software drivers a load that is left out costs little.
fn read_pixel(place: u32, inside: bool) -> f32 {
    var value = 0.0;
    if (inside) { value = output_gradient[place]; }
    return value;
}

fn read_pixels(place: vec4u, inside: vec4<bool>) -> vec4f {
    return vec4f(
        read_pixel(place.x, inside.x),
        read_pixel(place.y, inside.y),
        read_pixel(place.z, inside.z),
        read_pixel(place.w, inside.w),
    );
}

fn read_pooled(place: u32, inside: bool, words: vec3u, columns: Columns) -> Pooled {
    let around = place + columns.around;
    return Pooled(
        read_pixels(place + columns.within, columns.within_inside & vec4<bool>(inside)),
        (vec4u(words.y) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(3u),
        vec2f(
            read_pixel(around.x, columns.around_inside.x && inside),
            read_pixel(around.y, columns.around_inside.y && inside),
        ),
        (words.xz >> vec2u(24u, 0u)) & vec2u(3u),
    );
}

// The upper or lower (`code` 0 or 2) row of pixels that a pooled row came from.
fn before_pooling(pooled: Pooled, code: u32) -> Row {
    let even = select(vec4f(0.0), pooled.gradient, pooled.codes == vec4u(code));
    let odd = select(vec4f(0.0), pooled.gradient, pooled.codes == vec4u(code + 1u));
    let around = select(vec2f(0.0), pooled.around, pooled.around_codes == vec2u(code + 1u, code));
    return Row(vec4f(around.x, even.x, odd.x, even.y), vec4f(odd.y, even.z, odd.z, even.w), vec2f(odd.w, around.y));
}

fn read_words(place: vec3u) -> vec3u {
    return vec3u(argmax[place.x], argmax[place.y], argmax[place.z]);
}

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

// A row of taps from right to left: what lies right of a pixel reached it through its left tap.
fn read_taps(place: vec4u) -> mat3x4f {
    let tap = params.inputs * params.outputs;
    return mat3x4f(read_quad(place + 2u * tap), read_quad(place + tap), read_quad(place));
}

fn write_channel(place: u32, gradient: f32) {
    input_gradient[place] = relu_gradient_of(gradient, input[place]);
}

fn write_pixel(y: u32, x: u32, place: u32, c: u32, gradient: vec4f) {
    if (y >= params.height || x >= params.width) { return; }
    write_channel(place, gradient.x);
    if (c + 1u < params.inputs) { write_channel(place + 1u, gradient.y); }
    if (c + 2u < params.inputs) { write_channel(place + 2u, gradient.z); }
    if (c + 3u < params.inputs) { write_channel(place + 3u, gradient.w); }
}

fn write_four(y: u32, x: u32, place: u32, c: u32, sums: mat4x4f) {
    write_pixel(y, x, place, c, sums[0]);
    write_pixel(y, x + 1u, place + params.inputs, c, sums[1]);
    write_pixel(y, x + 2u, place + 2u * params.inputs, c, sums[2]);
    write_pixel(y, x + 3u, place + 3u * params.inputs, c, sums[3]);
}

fn write_strip(y: u32, x: u32, place: u32, c: u32, strip: Strip) {
    if (c >= params.inputs) { return; }
    write_four(y, x, place, c, strip.left);
    write_four(y, x + 4u, place + 4u * params.inputs, c, strip.right);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let octets = (params.inputs + 7u) / 8u;
    let tile_columns = (params.width + 7u) / 8u;
    let tile_rows = (params.height + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let place_of_tile = tile / octets;
    let c = (tile - place_of_tile * octets) * 8u;
    let tile_line = place_of_tile / tile_columns;
    let tile_column = place_of_tile - tile_line * tile_columns;
    let n = tile_line / tile_rows;
    let pooled_y = (tile_line - n * tile_rows) * 2u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Pooled pixels outside of the image count as 0. The one before the first wraps around, and is outside too. Words of
    // codes are read at the edge.
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let within = 4u * tile_column + vec4u(0u, 1u, 2u, 3u);
    let around = 4u * tile_column + vec2u(0u, 5u) - 1u;
    let columns = Columns(
        within * params.outputs,
        around * params.outputs,
        within < vec4u(pooled_width),
        around < vec2u(pooled_width),
    );
    let rows = pooled_y + vec4u(0u, 1u, 2u, 3u) - 1u;
    let inside = rows < vec4u(pooled_height);
    let sample_line = (r * params.capacity + n) * pooled_height;
    var place = (sample_line + rows) * pooled_width * params.outputs;
    let word_columns = (pooled_width + 3u) / 4u;
    let output_quads = (params.outputs + 3u) / 4u;
    let word = min(tile_column + vec3u(0u, 1u, 2u) - 1u, vec3u(word_columns - 1u)) * output_quads;
    let word_lines = (sample_line + min(rows, vec4u(pooled_height - 1u))) * word_columns * output_quads;
    let weights = r * params.parameters + params.weights;
    var weights_a = weights + quad(c, params.inputs) * params.outputs;
    var weights_b = weights + quad(c + 4u, params.inputs) * params.outputs;
    let row_of_taps = 3u * params.inputs * params.outputs;

    var a0 = Strip();
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var b0 = a0;
    var b1 = a0;
    var b2 = a0;
    var b3 = a0;
    for (var group = 0u; group < output_quads; group++) {
        var words0 = read_words(word_lines.x + word + group);
        var words1 = read_words(word_lines.y + word + group);
        var words2 = read_words(word_lines.z + word + group);
        var words3 = read_words(word_lines.w + word + group);
        let end = min(4u * group + 4u, params.outputs);
        for (var k = 4u * group; k < end; k++) {
            let taps_a0 = read_taps(weights_a + 2u * row_of_taps);
            let taps_b0 = read_taps(weights_b + 2u * row_of_taps);
            let taps_a1 = read_taps(weights_a + row_of_taps);
            let taps_b1 = read_taps(weights_b + row_of_taps);
            let taps_a2 = read_taps(weights_a);
            let taps_b2 = read_taps(weights_b);
            var row = before_pooling(read_pooled(place.x, inside.x, words0, columns), 2u);
            a0 = add(a0, row, taps_a0);
            b0 = add(b0, row, taps_b0);
            var pooled = read_pooled(place.y, inside.y, words1, columns);
            row = before_pooling(pooled, 0u);
            a0 = add(a0, row, taps_a1);
            b0 = add(b0, row, taps_b1);
            a1 = add(a1, row, taps_a0);
            b1 = add(b1, row, taps_b0);
            row = before_pooling(pooled, 2u);
            a0 = add(a0, row, taps_a2);
            b0 = add(b0, row, taps_b2);
            a1 = add(a1, row, taps_a1);
            b1 = add(b1, row, taps_b1);
            a2 = add(a2, row, taps_a0);
            b2 = add(b2, row, taps_b0);
            pooled = read_pooled(place.z, inside.z, words2, columns);
            row = before_pooling(pooled, 0u);
            a1 = add(a1, row, taps_a2);
            b1 = add(b1, row, taps_b2);
            a2 = add(a2, row, taps_a1);
            b2 = add(b2, row, taps_b1);
            a3 = add(a3, row, taps_a0);
            b3 = add(b3, row, taps_b0);
            row = before_pooling(pooled, 2u);
            a2 = add(a2, row, taps_a2);
            b2 = add(b2, row, taps_b2);
            a3 = add(a3, row, taps_a1);
            b3 = add(b3, row, taps_b1);
            row = before_pooling(read_pooled(place.w, inside.w, words3, columns), 0u);
            a3 = add(a3, row, taps_a2);
            b3 = add(b3, row, taps_b2);
            words0 >>= vec3u(2u);
            words1 >>= vec3u(2u);
            words2 >>= vec3u(2u);
            words3 >>= vec3u(2u);
            place += 1u;
            weights_a += 1u;
            weights_b += 1u;
        }
    }
    let y = 2u * pooled_y;
    let x = 8u * tile_column;
    let row_values = params.width * params.inputs;
    let first = (((r * params.capacity + n) * params.height + y) * params.width + x) * params.inputs + c;
    write_strip(y, x, first, c, a0);
    write_strip(y + 1u, x, first + row_values, c, a1);
    write_strip(y + 2u, x, first + 2u * row_values, c, a2);
    write_strip(y + 3u, x, first + 3u * row_values, c, a3);
    write_strip(y, x, first + 4u, c + 4u, b0);
    write_strip(y + 1u, x, first + row_values + 4u, c + 4u, b1);
    write_strip(y + 2u, x, first + 2u * row_values + 4u, c + 4u, b2);
    write_strip(y + 3u, x, first + 3u * row_values + 4u, c + 4u, b3);
}
