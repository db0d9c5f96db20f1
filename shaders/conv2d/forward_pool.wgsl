// conv2d.forward_pool: conv2d.forward followed by max_pool2d.forward: what pooling throws away is never stored.
//
// One invocation owns 4 pooled pixels of a row x 4 channels: 2 x 8 pixels before pooling in registers, added in the order
// of c, ky, kx. Per input channel 40 pixels and 9 quads of weights are loaded for 576 multiply-adds; z is the replica.
//   input       [replica, sample, y, x, in]                    read
//   parameters  [replica, parameter]                           weights [ky, kx, in, out] and bias [out] read
//   output      [replica, sample, y / 2, x / 2, out]           written for the samples of the step
//   argmax      [replica, sample, y / 2, x / 2 / 4, out / 4]   one word of codes, written with them
// with: step, convolution, convolution_channels, convolution_strip, grid, relu, pooling, pooled_strip

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read_write> argmax: array<u32>;

// Ten columns of a row: where they lie in it, and whether they are in the image.
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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let r = id.z;
    let strip = strip_of(flat_index(id, WORKGROUP_SIZE));
    if (strip.n >= step.samples) { return; }
    // Columns and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let left = 2u * strip.x + vec4u(0u, 1u, 2u, 3u) - 1u;
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
    let rows = 2u * strip.y + vec4u(0u, 1u, 2u, 3u) - 1u;
    let inside = rows < vec4u(params.height);
    let row_values = params.width * params.inputs;
    let sample = (r * params.capacity + strip.n) * params.height * row_values;
    var place = sample + min(rows, vec4u(params.height - 1u)) * row_values;
    let channels = quad(strip.channel, params.outputs);
    var weights = r * params.parameters + params.weights + channels;
    let row_of_taps = 3u * params.inputs * params.outputs;

    let bias = read_quad(r * params.parameters + params.bias + channels);
    var sums = both_rows(mat4x4f(bias, bias, bias, bias));
    for (var c = 0u; c < params.inputs; c++) {
        let taps = array(
            read_taps(weights),
            read_taps(weights + row_of_taps),
            read_taps(weights + 2u * row_of_taps),
        );
        sums = convolve_strip(sums, place, inside, columns, taps);
        place += 1u;
        weights += params.outputs;
    }
    write_strip(r, strip, sums);
}
