// conv2d.forward_pool_images: conv2d.forward_pool whose input[n, y, x] = pixel y, x of image order[n], times a scale.
//
// One invocation owns 4 pooled pixels of a row x 4 channels: 2 x 8 pixels before pooling in registers. It loads 16 words
// of 4 pixels; z is the replica.
//   images      [image, y, word of 4 pixels]                   u8, rows padded with 0 to whole words, read
//   order       [replica, place]                               indices of images, from the step's first place on
//   parameters  [replica, parameter]                           weights [ky, kx, 1, out] and bias [out] read
//   output      [replica, sample, y / 2, x / 2, out]           written for the samples of the step
//   argmax      [replica, sample, y / 2, x / 2 / 4, out / 4]   one word of codes, written with them
// with: step, convolution, convolution_channels, convolution_strip, grid, relu, pooling, pooled_strip

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
@group(0) @binding(6) var<storage, read_write> argmax: array<u32>;

// The four words of a row that hold the columns before, in and after a tile.
struct Columns {
    words: vec4u,
    inside: vec4<bool>,
}

fn widen(word: u32) -> vec4f {
    return vec4f(unpack4xU8(word)) * params.scale;
}

fn read_row(place: u32, inside: bool, columns: Columns) -> Row {
    let at = place + columns.words;
    let read = vec4u(images[at.x], images[at.y], images[at.z], images[at.w]);
    let found = select(vec4u(0u), read, columns.inside & vec4<bool>(inside));
    let left = widen(found.y);
    let right = widen(found.z);
    return Row(
        vec4f(widen(found.x).w, left.xyz),
        vec4f(left.w, right.xyz),
        vec2f(right.w, widen(found.w).x),
    );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let r = id.z;
    let strip = strip_of(flat_index(id, WORKGROUP_SIZE));
    if (strip.n >= step.samples) { return; }
    // Words and rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
    let row_words = (params.width + 3u) / 4u;
    let words = strip.x / 2u + vec4u(0u, 1u, 2u, 3u) - 1u;
    let columns = Columns(min(words, vec4u(row_words - 1u)), words < vec4u(row_words));
    let rows = 2u * strip.y + vec4u(0u, 1u, 2u, 3u) - 1u;
    let image = order[r * step.order_stride + step.first + strip.n] * params.height * row_words;
    let place = image + min(rows, vec4u(params.height - 1u)) * row_words;
    let channels = quad(strip.channel, params.outputs);
    let weights = r * params.parameters + params.weights + channels;
    let taps = array(
        read_taps(weights),
        read_taps(weights + 3u * params.outputs),
        read_taps(weights + 6u * params.outputs),
    );
    let bias = read_quad(r * params.parameters + params.bias + channels);
    let start = both_rows(mat4x4f(bias, bias, bias, bias));
    write_strip(r, strip, convolve_strip(start, place, rows < vec4u(params.height), columns, taps));
}
