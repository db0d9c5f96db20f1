// conv2d.backward_input_pool: max_pool2d.backward followed by conv2d.backward_input: the gradient before pooling, three
// quarters of it zeros, is never stored.
//
// A gather: one invocation owns a tile of 2 x 8 pixels x 4 input channels in registers; z is the replica.
//   output_gradient  [replica, sample, y / 2, x / 2, out]          of the pooled output, read
//   argmax           [replica, sample, y / 2, x / 2 / 4, out / 4]  words of codes, read
//   parameters       [replica, parameter]                          weights [ky, kx, in, out] read at their offset
//   input, input_gradient  [replica, sample, y, x, in]             read; written where input > 0, else 0
// with: step, convolution, convolution_channels, convolution_strip, grid, relu

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

fn write_channel(place: u32, gradient: f32) {
    input_gradient[place] = relu_gradient_of(gradient, input[place]);
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

    var sums = both_rows(mat4x4f());
    for (var group = 0u; group < output_quads; group++) {
        var words0 = read_words(word_lines.x + word + group);
        var words1 = read_words(word_lines.y + word + group);
        var words2 = read_words(word_lines.z + word + group);
        let end = min(4u * group + 4u, params.outputs);
        for (var k = 4u * group; k < end; k++) {
            let taps0 = read_mirrored_taps(weights + 2u * row_of_taps);
            let taps1 = read_mirrored_taps(weights + row_of_taps);
            let taps2 = read_mirrored_taps(weights);
            var row = before_pooling(read_pooled(place.x, inside.x, words0, columns), 2u);
            sums = add_upper(sums, row, taps0);
            let middle = read_pooled(place.y, inside.y, words1, columns);
            row = before_pooling(middle, 0u);
            sums = add_lower(add_upper(sums, row, taps1), row, taps0);
            row = before_pooling(middle, 2u);
            sums = add_lower(add_upper(sums, row, taps2), row, taps1);
            row = before_pooling(read_pooled(place.z, inside.z, words2, columns), 0u);
            sums = add_lower(sums, row, taps2);
            words0 >>= vec3u(2u);
            words1 >>= vec3u(2u);
            words2 >>= vec3u(2u);
            place += 1u;
            weights += 1u;
        }
    }
    let y = 2u * pooled_y;
    let x = 8u * tile_column;
    let image = (r * params.capacity + n) * params.height * params.width * params.inputs;
    write_pixels(image, y, x, c, params.inputs, sums.upper_left);
    write_pixels(image, y, x + 4u, c, params.inputs, sums.upper_right);
    write_pixels(image, y + 1u, x, c, params.inputs, sums.lower_left);
    write_pixels(image, y + 1u, x + 4u, c, params.inputs, sums.lower_right);
}
