// conv2d.forward_images: conv2d.forward whose input[n, y, x] = pixel y, x of image order[n], times a scale.
//
// One invocation owns a tile of 4 x 4 pixels x 4 channels in registers, and loads 18 words of 4 pixels; z is the replica.
//   images      [image, y, word of 4 pixels]  u8, rows padded with 0 to whole words, read
//   order       [replica, place]              indices of images, read from the step's first place on
//   parameters  [replica, parameter]          weights [ky, kx, 1, out] and bias [out] read at their offsets
//   output      [replica, sample, y, x, out]  written for the samples of the step
// with: step, convolution, convolution_channels, convolution_tile, grid, relu

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> images: array<u32>;
@group(0) @binding(4) var<storage, read> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;

// The three words of a row that hold the columns before, in and after a tile.
struct Columns {
    words: vec3u,
    inside: vec3<bool>,
}

fn widen(word: u32) -> vec4f {
    return vec4f(unpack4xU8(word)) * params.scale;
}

fn read_row(place: u32, inside: bool, columns: Columns) -> Row {
    let at = place + columns.words;
    let read = vec3u(images[at.x], images[at.y], images[at.z]);
    let found = select(vec3u(0u), read, columns.inside & vec3<bool>(inside));
    let middle = widen(found.y);
    return Row(vec4f(widen(found.x).w, middle.xyz), vec2f(middle.w, widen(found.z).x));
}

fn write_channel(place: u32, sum: f32) {
    output[place] = relu(vec4f(sum)).x;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let r = id.z;
    let tile = tile_of(flat_index(id, WORKGROUP_SIZE), params.outputs);
    if (tile.n >= step.samples) { return; }
    // Words and rows outside of the image are read at its edge, and count as 0.
    let row_words = (params.width + 3u) / 4u;
    let words = tile.x / 4u + vec3u(0u, 1u, 2u) - 1u;
    let columns = Columns(min(words, vec3u(row_words - 1u)), words < vec3u(row_words));
    let image = order[r * step.order_stride + step.first + tile.n] * params.height * row_words;
    var rows = six_around(tile.y, params.height);
    rows.first = image + min(rows.first, vec4u(params.height - 1u)) * row_words;
    rows.last = image + min(rows.last, vec2u(params.height - 1u)) * row_words;
    let channels = quad(tile.channel, params.outputs);
    let weights = r * params.parameters + params.weights + channels;
    let taps0 = read_taps(weights);
    let taps1 = read_taps(weights + 3u * params.outputs);
    let taps2 = read_taps(weights + 6u * params.outputs);
    let bias = read_quad(r * params.parameters + params.bias + channels);
    let start = all_rows(mat4x4f(bias, bias, bias, bias));
    write_tile(r, tile, params.outputs, convolve_tile(start, rows, columns, taps0, taps1, taps2));
}
