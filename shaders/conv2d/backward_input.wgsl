// conv2d.backward_input: input_gradient[n, y, x, c] = sum_{ky, kx, k} output_gradient[n, y - ky + 1, x - kx + 1, k]
// * weights[ky, kx, c, k] where input[n, y, x, c] > 0, else 0.
//
// A gather: one invocation owns a tile of 4 x 4 pixels x 4 input channels in registers; z is the replica.
//   output_gradient  [replica, sample, y, x, out]  read
//   parameters       [replica, parameter]          weights [ky, kx, in, out] read at their offset
//   input            [replica, sample, y, x, in]   what the layer before produced after its ReLU, read
//   input_gradient   [replica, sample, y, x, in]   written for the samples of the step
// with: step, convolution, grid, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>;

struct Row {
    pixels: vec4f,
    next: vec2f,
}

// Six columns of a row.
struct Columns {
    first: vec4u,
    last: vec2u,
    first_inside: vec4<bool>,
    last_inside: vec2<bool>,
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

fn read_row(place: u32, inside: bool, columns: Columns) -> Row {
    let last = place + columns.last;
    return Row(
        read_pixels(place + columns.first, columns.first_inside & vec4<bool>(inside)),
        vec2f(
            read_pixel(last.x, columns.last_inside.x && inside),
            read_pixel(last.y, columns.last_inside.y && inside),
        ),
    );
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

fn write_row(y: u32, x: u32, first: u32, c: u32, sums: mat4x4f) {
    let place = first + (y * params.width + x) * params.inputs + c;
    write_pixel(y, x, place, c, sums[0]);
    write_pixel(y, x + 1u, place + params.inputs, c, sums[1]);
    write_pixel(y, x + 2u, place + 2u * params.inputs, c, sums[2]);
    write_pixel(y, x + 3u, place + 3u * params.inputs, c, sums[3]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let quads = (params.inputs + 3u) / 4u;
    let tile_columns = (params.width + 3u) / 4u;
    let tile_rows = (params.height + 3u) / 4u;
    let tile = flat_index(id, WORKGROUP_SIZE);
    let strip = tile / quads;
    let c = (tile - strip * quads) * 4u;
    let line = strip / tile_columns;
    let x = (strip - line * tile_columns) * 4u;
    let n = line / tile_rows;
    let y = (line - n * tile_rows) * 4u;
    if (n >= step.samples) { return; }
    let r = id.z;
    // Columns and rows outside of the image count as 0. The one before the first wraps around, and is outside too.
    let first = vec4u(x - 1u, x, x + 1u, x + 2u);
    let last = vec2u(x + 3u, x + 4u);
    let columns = Columns(
        first * params.outputs,
        last * params.outputs,
        first < vec4u(params.width),
        last < vec2u(params.width),
    );
    let rows = vec4u(y - 1u, y + 2u, y + 3u, y + 4u);
    let inside = rows < vec4u(params.height);
    let row_values = params.width * params.outputs;
    let sample = (r * params.capacity + n) * params.height * row_values;
    var middle = sample + vec2u(y, y + 1u) * row_values;
    var outside = sample + rows * row_values;
    let middle_inside = y + 1u < params.height;
    var weights = r * params.parameters + params.weights + quad(c, params.inputs) * params.outputs;
    let row_of_taps = 3u * params.inputs * params.outputs;

    var sum0 = mat4x4f();
    var sum1 = sum0;
    var sum2 = sum0;
    var sum3 = sum0;
    for (var k = 0u; k < params.outputs; k++) {
        let taps0 = read_taps(weights + 2u * row_of_taps);
        let taps1 = read_taps(weights + row_of_taps);
        let taps2 = read_taps(weights);
        var row = read_row(outside.x, inside.x, columns);
        sum0 = convolve(sum0, row.pixels, row.next, taps0);
        row = read_row(middle.x, true, columns);
        sum0 = convolve(sum0, row.pixels, row.next, taps1);
        sum1 = convolve(sum1, row.pixels, row.next, taps0);
        row = read_row(middle.y, middle_inside, columns);
        sum0 = convolve(sum0, row.pixels, row.next, taps2);
        sum1 = convolve(sum1, row.pixels, row.next, taps1);
        sum2 = convolve(sum2, row.pixels, row.next, taps0);
        row = read_row(outside.y, inside.y, columns);
        sum1 = convolve(sum1, row.pixels, row.next, taps2);
        sum2 = convolve(sum2, row.pixels, row.next, taps1);
        sum3 = convolve(sum3, row.pixels, row.next, taps0);
        row = read_row(outside.z, inside.z, columns);
        sum2 = convolve(sum2, row.pixels, row.next, taps2);
        sum3 = convolve(sum3, row.pixels, row.next, taps1);
        row = read_row(outside.w, inside.w, columns);
        sum3 = convolve(sum3, row.pixels, row.next, taps2);
        middle += 1u;
        outside += 1u;
        weights += 1u;
    }
    let place = (r * params.capacity + n) * params.height * params.width * params.inputs;
    write_row(y, x, place, c, sum0);
    write_row(y + 1u, x, place, c, sum1);
    write_row(y + 2u, x, place, c, sum2);
    write_row(y + 3u, x, place, c, sum3);
}
