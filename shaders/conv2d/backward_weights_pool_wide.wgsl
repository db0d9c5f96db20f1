// conv2d.backward_weights_pool_wide: conv2d.backward_weights_pool with a tile four times as large, for devices on which
// loads cost most.
//
// One invocation owns 9 taps x 2 input channels x 8 output channels and a chunk of the batch's rows; see
// prelude.weight_tile. It walks along a row with two windows of 4 x 4 inputs in registers. y is 1, z is the replica.
//   input            [replica, sample, y, x, in]                   read
//   output_gradient, argmax  [replica, sample, y / 2, x / 2, out]  of the pooled output, and its words of codes, read
//   gradient         [replica, parameter]                          weights and bias written at their offsets

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> input: array<f32>;
@group(0) @binding(3) var<storage, read> output_gradient: array<f32>;
@group(0) @binding(4) var<storage, read> argmax: array<u32>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;

fn read_gradient(place: vec4u) -> vec4f {
    return vec4f(output_gradient[place.x], output_gradient[place.y], output_gradient[place.z], output_gradient[place.w]);
}

fn read_column(place: vec4u, inside: vec4<bool>) -> vec4f {
    return select(vec4f(0.0), vec4f(input[place.x], input[place.y], input[place.z], input[place.w]), inside);
}

// A column of four rows, of two channels.
fn read_columns(place: vec4u, second: u32, inside: vec4<bool>) -> mat2x4f {
    return mat2x4f(read_column(place, inside), read_column(place + second, inside));
}

// The inputs that the nine taps of a pooled pixel met: of its four pixels only one gave the value, and `code` says which.
fn window(columns: mat4x4f, code: u32) -> mat3x3f {
    let right = (code & 1u) == 1u;
    let down = (code & 2u) == 2u;
    let first = select(columns[0], columns[1], right);
    let second = select(columns[1], columns[2], right);
    let third = select(columns[2], columns[3], right);
    return mat3x3f(
        select(first.xyz, first.yzw, down),
        select(second.xyz, second.yzw, down),
        select(third.xyz, third.yzw, down),
    );
}

fn add(tile: WeightTile, columns: mat4x4f, codes: u32, gradient: vec4f) -> WeightTile {
    return WeightTile(
        tile.first + gradient.x * window(columns, codes),
        tile.second + gradient.y * window(columns, codes >> 2u),
        tile.third + gradient.z * window(columns, codes >> 4u),
        tile.fourth + gradient.w * window(columns, codes >> 6u),
        tile.bias + gradient,
    );
}

// Writes value 0 to 8, a tap, or 9, the bias, of a quad of output channels.
fn write_sums(value: u32, c: u32, k: u32, r: u32, sums: vec4f) {
    // All input channels have summed the same output gradient; the first one writes it.
    if (c >= params.inputs || k >= params.outputs || (value == 9u && c > 0u)) { return; }
    let tensor = select(params.weights + (value * params.inputs + c) * params.outputs, params.bias, value == 9u);
    let place = r * params.parameters + tensor + k;
    gradient[place] = sums.x;
    if (k + 1u < params.outputs) { gradient[place + 1u] = sums.y; }
    if (k + 2u < params.outputs) { gradient[place + 2u] = sums.z; }
    if (k + 3u < params.outputs) { gradient[place + 3u] = sums.w; }
}

// Sums one quarter of all tiles of the workgroup, whose first tile is `first`: input channel `c` of two, output channels
// from `k` of eight on.
fn reduce(lane: u32, first: u32, tile: WeightTile, c: u32, k: u32, r: u32) {
    workgroupBarrier();
    store_partial(lane, tile);
    workgroupBarrier();
    let pairs = (params.inputs + 1u) / 2u;
    for (var job = lane; job < 10u * TILES; job += LANES) {
        let value = job / TILES;
        let own = first + job % TILES;
        let octet = own / pairs;
        write_sums(value, 2u * (own - octet * pairs) + c, 8u * octet + k, r, sum_of_chunks(value, job % TILES));
    }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = group.z;
    let quads = (params.outputs + 3u) / 4u;
    let pairs = (params.inputs + 1u) / 2u;
    // Beyond the last tile the last one is summed again, and not written; so are channels beyond the last.
    let octets = (params.outputs + 7u) / 8u;
    let own = min(group.x * TILES + lane % TILES, pairs * octets - 1u);
    let octet = own / pairs;
    let first = 2u * (own - octet * pairs);
    let second_offset = min(first + 1u, params.inputs - 1u) - first;
    let channels_a = quad(8u * octet, params.outputs);
    let channels_b = quad(8u * octet + 4u, params.outputs);
    let quad_b = min(2u * octet + 1u, quads - 1u) - 2u * octet;
    let pooled_width = params.width / 2u;
    let pooled_height = params.height / 2u;
    let word_columns = (pooled_width + 3u) / 4u;
    var first_a = WeightTile();
    var first_b = WeightTile();
    var second_a = WeightTile();
    var second_b = WeightTile();
    for (var line = lane / TILES; line < step.samples * pooled_height; line += LANES / TILES) {
        let n = line / pooled_height;
        let y = line - n * pooled_height;
        // Rows outside of the image are read at its edge, and count as 0. The one before the first wraps around.
        let rows = 2u * y + vec4u(0u, 1u, 2u, 3u) - 1u;
        let inside = rows < vec4u(params.height);
        let sample = r * params.capacity + n;
        let held = sample * params.height + min(rows, vec4u(params.height - 1u));
        var place = held * params.width * params.inputs + first;
        let pooled_line = sample * pooled_height + y;
        var value = pooled_line * pooled_width * params.outputs;
        let words = pooled_line * word_columns * quads + 2u * octet;
        var before = mat2x4f();
        var here = read_columns(place, second_offset, inside);
        for (var x = 0u; x < pooled_width; x++) {
            let third = read_columns(place + params.inputs, second_offset, inside);
            // Where the image ends in an even column there is none after it.
            let exists = 2u * x + 2u < params.width;
            let at = place + select(0u, 2u, exists) * params.inputs;
            let fourth = read_columns(at, second_offset, inside & vec4<bool>(exists));
            let word = words + x / 4u * quads;
            let codes_a = argmax[word] >> (8u * (x % 4u));
            let codes_b = argmax[word + quad_b] >> (8u * (x % 4u));
            let gradient_a = read_gradient(value + channels_a);
            let gradient_b = read_gradient(value + channels_b);
            var columns = mat4x4f(before[0], here[0], third[0], fourth[0]);
            first_a = add(first_a, columns, codes_a, gradient_a);
            first_b = add(first_b, columns, codes_b, gradient_b);
            columns = mat4x4f(before[1], here[1], third[1], fourth[1]);
            second_a = add(second_a, columns, codes_a, gradient_a);
            second_b = add(second_b, columns, codes_b, gradient_b);
            before = third;
            here = fourth;
            place += 2u * params.inputs;
            value += params.outputs;
        }
    }
    reduce(lane, group.x * TILES, first_a, 0u, 0u, r);
    reduce(lane, group.x * TILES, first_b, 0u, 4u, r);
    reduce(lane, group.x * TILES, second_a, 1u, 0u, r);
    reduce(lane, group.x * TILES, second_b, 1u, 4u, r);
}
