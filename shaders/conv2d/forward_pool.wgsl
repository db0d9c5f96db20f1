// conv2d.forward_pool: conv2d.forward followed by max_pool2d.forward: what pooling throws away is never stored.
//
// One invocation owns 4 pooled pixels of a row x 4 channels: 2 x 8 pixels before pooling in registers, added in the order
// of c, ky, kx. Per input channel 40 pixels and 9 quads of weights are loaded for 576 multiply-adds; z is the replica.
//   input       [replica, sample, y, x, in]                    read
//   parameters  [replica, parameter]                           weights [ky, kx, in, out] and bias [out] read
//   output      [replica, sample, y / 2, x / 2, out]           written for the samples of the step
//   argmax      [replica, sample, y / 2, x / 2 / 4, out / 4]   one word of codes, written with them
// with: step, convolution, grid, relu, pooling_relu, pooling

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read_write> argmax: array<u32>;

// Ten columns of a row: their values, or where they lie in it and whether they are inside of the image.
struct Row {
    left: vec4f,
    right: vec4f,
    last: vec2f,
}

struct Columns {
    left: vec4u,
    right: vec4u,
    last: vec2u,
    left_inside: vec4<bool>,
    right_inside: vec4<bool>,
    last_inside: vec2<bool>,
}

fn read_pixels(place: vec4u) -> vec4f {
    return vec4f(input[place.x], input[place.y], input[place.z], input[place.w]);
}

fn read_row(place: u32, inside: bool, columns: Columns) -> Row {
    let last = place + columns.last;
    return Row(
        select(vec4f(0.0), read_pixels(place + columns.left), columns.left_inside & vec4<bool>(inside)),
        select(vec4f(0.0), read_pixels(place + columns.right), columns.right_inside & vec4<bool>(inside)),
        select(vec2f(0.0), vec2f(input[last.x], input[last.y]), columns.last_inside & vec2<bool>(inside)),
    );
}

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(parameters[place.x], parameters[place.y], parameters[place.z], parameters[place.w]);
}

fn read_taps(place: vec4u) -> mat3x4f {
    let tap = params.inputs * params.outputs;
    return mat3x4f(read_quad(place), read_quad(place + tap), read_quad(place + 2u * tap));
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
    // Columns and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let left = 2u * pooled_x + vec4u(0u, 1u, 2u, 3u) - 1u;
    let right = left + 4u;
    let last = right.xy + 4u;
    let columns = Columns(
        min(left, vec4u(params.width - 1u)) * params.inputs,
        min(right, vec4u(params.width - 1u)) * params.inputs,
        min(last, vec2u(params.width - 1u)) * params.inputs,
        left < vec4u(params.width),
        right < vec4u(params.width),
        last < vec2u(params.width),
    );
    let rows = 2u * pooled_y + vec4u(0u, 1u, 2u, 3u) - 1u;
    let inside = rows < vec4u(params.height);
    let row_values = params.width * params.inputs;
    let sample = (r * params.capacity + n) * params.height * row_values;
    var place = sample + min(rows, vec4u(params.height - 1u)) * row_values;
    let channels = quad(k, params.outputs);
    var weights = r * params.parameters + params.weights + channels;
    let row_of_taps = 3u * params.inputs * params.outputs;

    let bias = read_quad(r * params.parameters + params.bias + channels);
    var upper_left = mat4x4f(bias, bias, bias, bias);
    var upper_right = upper_left;
    var lower_left = upper_left;
    var lower_right = upper_left;
    for (var c = 0u; c < params.inputs; c++) {
        let taps0 = read_taps(weights);
        let taps1 = read_taps(weights + row_of_taps);
        let taps2 = read_taps(weights + 2u * row_of_taps);
        var row = read_row(place.x, inside.x, columns);
        upper_left = convolve(upper_left, row.left, row.right.xy, taps0);
        upper_right = convolve(upper_right, row.right, row.last, taps0);
        row = read_row(place.y, true, columns);
        upper_left = convolve(upper_left, row.left, row.right.xy, taps1);
        upper_right = convolve(upper_right, row.right, row.last, taps1);
        lower_left = convolve(lower_left, row.left, row.right.xy, taps0);
        lower_right = convolve(lower_right, row.right, row.last, taps0);
        row = read_row(place.z, true, columns);
        upper_left = convolve(upper_left, row.left, row.right.xy, taps2);
        upper_right = convolve(upper_right, row.right, row.last, taps2);
        lower_left = convolve(lower_left, row.left, row.right.xy, taps1);
        lower_right = convolve(lower_right, row.right, row.last, taps1);
        row = read_row(place.w, inside.w, columns);
        lower_left = convolve(lower_left, row.left, row.right.xy, taps2);
        lower_right = convolve(lower_right, row.right, row.last, taps2);
        place += 1u;
        weights += params.outputs;
    }
    let pooled_line = (r * params.capacity + n) * pooled_height + pooled_y;
    let pixels = pooled_width - pooled_x;
    let first = (pooled_line * pooled_width + pooled_x) * params.outputs + k;
    let codes = write_pooled(upper_left, lower_left, pixels, first, k);
    let more = max(pixels, 2u) - 2u;
    let more_codes = write_pooled(upper_right, lower_right, more, first + 2u * params.outputs, k);
    argmax[(pooled_line * tile_columns + pooled_x / 4u) * quads + k / 4u] =
        (codes | (more_codes << 16u)) & used_bits(pixels, params.outputs - k);
}
