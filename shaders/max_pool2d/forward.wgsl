// max_pool2d.forward: output[n, y, x, c] = the largest of input[n, 2y + dy, 2x + dx, c] over dy, dx in 0..2, and the code
// 2 dy + dx of the first place in row-major order that has it. NaN is larger than any number.
//
// Stand-alone, for networks read layer by layer and as the definition that conv2d.forward_pool must equal.
// One invocation owns 4 pooled pixels of a row x 4 channels, and so a whole word of codes; z is the replica.
//   input   [replica, sample, y, x, channel]                          read
//   output  [replica, sample, y / 2, x / 2, channel]                  written for the samples of the step
//   argmax  [replica, sample, y / 2, x / 2 / 4, channel / 4]          words of codes, see prelude.pooling, written
// with: grid, step, pooling

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    height: u32,   // rows that come in
    width: u32,    // columns that come in
    channels: u32,
    capacity: u32, // samples that a replica has room for
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> argmax: array<u32>;

fn is_nan(value: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(value) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// Of values of either sign. Devices may assume that there is no NaN when they compare floats; they do not of bits.
fn larger(value: vec4f, best: vec4f) -> vec4<bool> {
    return ((value > best) | is_nan(value)) & !is_nan(best);
}

fn read_quad(place: vec4u) -> vec4f {
    return vec4f(input[place.x], input[place.y], input[place.z], input[place.w]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let width = params.width / 2u;
    let height = params.height / 2u;
    let quads = (params.channels + 3u) / 4u;
    let tile_columns = (width + 3u) / 4u;
    let word = flat_index(id, WORKGROUP_SIZE);
    let strip = word / quads;
    let c = (word - strip * quads) * 4u;
    let line = strip / tile_columns;
    let first = (strip - line * tile_columns) * 4u;
    let n = line / height;
    let y = line - n * height;
    if (n >= step.samples) { return; }
    let sample = id.z * params.capacity + n;
    // A tile may hang over the last channel: there it reads the last one again, and does not write it.
    let channels = min(vec4u(c, c + 1u, c + 2u, c + 3u), vec4u(params.channels - 1u));
    let row = params.width * params.channels;
    let pooled_line = sample * height + y;
    var codes = 0u;
    for (var pixel = 0u; pixel < min(4u, width - first); pixel++) {
        let x = first + pixel;
        let place = ((sample * params.height + 2u * y) * params.width + 2u * x) * params.channels + channels;
        let pooled = pool(
            read_quad(place),
            read_quad(place + params.channels),
            read_quad(place + row),
            read_quad(place + row + params.channels),
        );
        codes |= pooled.codes << (8u * pixel);
        let written = (pooled_line * width + x) * params.channels + c;
        output[written] = pooled.values.x;
        if (c + 1u < params.channels) { output[written + 1u] = pooled.values.y; }
        if (c + 2u < params.channels) { output[written + 2u] = pooled.values.z; }
        if (c + 3u < params.channels) { output[written + 3u] = pooled.values.w; }
    }
    argmax[(pooled_line * tile_columns + first / 4u) * quads + c / 4u] =
        codes & used_bits(width - first, params.channels - c);
}
