// conv2d.backward_input_pool: max_pool2d.backward followed by conv2d.backward_input: the gradient before pooling, three
// quarters of it zeros, is never stored.
//
// A gather: one invocation owns a tile of 2 x 8 pixels x 4 input channels in registers; z is the replica.
//   output_gradient  [replica, sample, y / 2, x / 2, out]          of the pooled output, read
//   argmax           [replica, sample, y / 2, x / 2 / 4, out / 4]  words of codes, read
//   parameters       [replica, parameter]                          weights [ky, kx, in, out] read at their offset
//   input, input_gradient  [replica, sample, y, x, in]             read; written where input > 0, else 0
// with: step, convolution, grid, relu

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

fn read_pooled(place: u32, inside: bool, words: vec3u, columns: Columns) -> Pooled {
    let within = place + columns.within;
    let around = place + columns.around;
    let gradient = vec4f(
        output_gradient[within.x], output_gradient[within.y], output_gradient[within.z], output_gradient[within.w]
    );
    return Pooled(
        select(vec4f(0.0), gradient, columns.within_inside & vec4<bool>(inside)),
        (vec4u(words.y) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(3u),
        select(
            vec2f(0.0),
            vec2f(output_gradient[around.x], output_gradient[around.y]),
            columns.around_inside & vec2<bool>(inside),
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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let quads = (params.inputs + 3u) / 4u;
    let tile_columns = (params.width + 7u) / 8u;
    let tile_rows = (params.height + 1u) / 2u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let strip = tile / quads;
    let c = (tile - strip * quads) * 4u;
    let line = strip / tile_columns;
    let tile_column = strip - line * tile_columns;
    let n = line / tile_rows;
    let pooled_y = line - n * tile_rows;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Pooled pixels outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let within = 4u * tile_column + vec4u(0u, 1u, 2u, 3u);
    let around = 4u * tile_column + vec2u(0u, 5u) - 1u;
    let columns = Columns(
        min(within, vec4u(pooled_width - 1u)) * params.outputs,
        min(around, vec2u(pooled_width - 1u)) * params.outputs,
        within < vec4u(pooled_width),
        around < vec2u(pooled_width),
    );
    let rows = pooled_y + vec3u(0u, 1u, 2u) - 1u;
    let inside = rows < vec3u(pooled_height);
    let lines = (r * params.capacity + n) * pooled_height + min(rows, vec3u(pooled_height - 1u));
    var place = lines * pooled_width * params.outputs;
    let word_columns = (pooled_width + 3u) / 4u;
    let output_quads = (params.outputs + 3u) / 4u;
    let word = min(tile_column + vec3u(0u, 1u, 2u) - 1u, vec3u(word_columns - 1u)) * output_quads;
    let word_lines = lines * word_columns * output_quads;
    var weights = r * params.parameters + params.weights + quad(c, params.inputs) * params.outputs;
    let row_of_taps = 3u * params.inputs * params.outputs;

    var upper_left = mat4x4f();
    var upper_right = upper_left;
    var lower_left = upper_left;
    var lower_right = upper_left;
    for (var group = 0u; group < output_quads; group++) {
        var words0 = read_words(word_lines.x + word + group);
        var words1 = read_words(word_lines.y + word + group);
        var words2 = read_words(word_lines.z + word + group);
        let end = min(4u * group + 4u, params.outputs);
        for (var k = 4u * group; k < end; k++) {
            let taps0 = read_taps(weights + 2u * row_of_taps);
            let taps1 = read_taps(weights + row_of_taps);
            let taps2 = read_taps(weights);
            var row = before_pooling(read_pooled(place.x, inside.x, words0, columns), 2u);
            upper_left = convolve(upper_left, row.left, row.right.xy, taps0);
            upper_right = convolve(upper_right, row.right, row.last, taps0);
            let middle = read_pooled(place.y, inside.y, words1, columns);
            row = before_pooling(middle, 0u);
            upper_left = convolve(upper_left, row.left, row.right.xy, taps1);
            upper_right = convolve(upper_right, row.right, row.last, taps1);
            lower_left = convolve(lower_left, row.left, row.right.xy, taps0);
            lower_right = convolve(lower_right, row.right, row.last, taps0);
            row = before_pooling(middle, 2u);
            upper_left = convolve(upper_left, row.left, row.right.xy, taps2);
            upper_right = convolve(upper_right, row.right, row.last, taps2);
            lower_left = convolve(lower_left, row.left, row.right.xy, taps1);
            lower_right = convolve(lower_right, row.right, row.last, taps1);
            row = before_pooling(read_pooled(place.z, inside.z, words2, columns), 0u);
            lower_left = convolve(lower_left, row.left, row.right.xy, taps2);
            lower_right = convolve(lower_right, row.right, row.last, taps2);
            words0 >>= vec3u(2u);
            words1 >>= vec3u(2u);
            words2 >>= vec3u(2u);
            place += 1u;
            weights += 1u;
        }
    }
    let y = 2u * pooled_y;
    let x = 8u * tile_column;
    let upper = (((r * params.capacity + n) * params.height + y) * params.width + x) * params.inputs + c;
    let lower = upper + params.width * params.inputs;
    write_four(y, x, upper, c, upper_left);
    write_four(y, x + 4u, upper + 4u * params.inputs, c, upper_right);
    write_four(y + 1u, x, lower, c, lower_left);
    write_four(y + 1u, x + 4u, lower + 4u * params.inputs, c, lower_right);
}
