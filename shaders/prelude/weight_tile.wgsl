// prelude.weight_tile: the weight gradient's register tile, nine taps of one input channel x four output channels, and
// the sum of the tiles of all chunks of a batch.
//
// A workgroup has TILES tiles of LANES / TILES chunks each; neighbouring invocations own neighbouring tiles. Chunk s takes
// the rows s, s + chunks, .. of all samples, and chunks are added in order: which sum a product goes to depends on the
// batch alone. A matrix is a window of 3 x 3 pixels, a column of it a column of pixels.
// Reads `params` and `output_gradient` of the shader, and writes its `gradient`. Images have one input channel.

const LANES: u32 = 64u;

override TILES: u32 = 8;

struct WeightTile {
    first: mat3x3f,
    second: mat3x3f,
    third: mat3x3f,
    fourth: mat3x3f,
    bias: vec4f,
}

// Taps and bias of each lane, [value, lane].
var<workgroup> partial: array<vec4f, 10u * LANES>;

// The input channel and the quad of output channels that a lane sums. Beyond the last tile the last one is summed again,
// and not written.
struct OwnTile {
    c: u32,
    quad_index: u32,
}

fn own_tile(group: u32, lane: u32) -> OwnTile {
    let own = min(group * TILES + lane % TILES, params.inputs * ((params.outputs + 3u) / 4u) - 1u);
    return OwnTile(own % params.inputs, own / params.inputs);
}

fn read_gradient(place: vec4u) -> vec4f {
    return vec4f(output_gradient[place.x], output_gradient[place.y], output_gradient[place.z], output_gradient[place.w]);
}

fn add(tile: WeightTile, window: mat3x3f, gradient: vec4f) -> WeightTile {
    return WeightTile(
        tile.first + gradient.x * window,
        tile.second + gradient.y * window,
        tile.third + gradient.z * window,
        tile.fourth + gradient.w * window,
        tile.bias + gradient,
    );
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

fn add_pooled(tile: WeightTile, columns: mat4x4f, codes: u32, gradient: vec4f) -> WeightTile {
    return WeightTile(
        tile.first + gradient.x * window(columns, codes),
        tile.second + gradient.y * window(columns, codes >> 2u),
        tile.third + gradient.z * window(columns, codes >> 4u),
        tile.fourth + gradient.w * window(columns, codes >> 6u),
        tile.bias + gradient,
    );
}

// Three taps one above the other, of four output channels.
fn store_column(place: u32, first: vec3f, second: vec3f, third: vec3f, fourth: vec3f) {
    partial[place] = vec4f(first.x, second.x, third.x, fourth.x);
    partial[place + 3u * LANES] = vec4f(first.y, second.y, third.y, fourth.y);
    partial[place + 6u * LANES] = vec4f(first.z, second.z, third.z, fourth.z);
}

fn store_partial(lane: u32, tile: WeightTile) {
    store_column(0u * LANES + lane, tile.first[0], tile.second[0], tile.third[0], tile.fourth[0]);
    store_column(1u * LANES + lane, tile.first[1], tile.second[1], tile.third[1], tile.fourth[1]);
    store_column(2u * LANES + lane, tile.first[2], tile.second[2], tile.third[2], tile.fourth[2]);
    partial[9u * LANES + lane] = tile.bias;
}

// Value 0 to 8 is a tap, 9 the bias.
fn sum_of_chunks(value: u32, tile: u32) -> vec4f {
    var sum = partial[value * LANES + tile];
    for (var lane = tile + TILES; lane < LANES; lane += TILES) {
        sum += partial[value * LANES + lane];
    }
    return sum;
}

fn write_sums(value: u32, tile: u32, r: u32, sums: vec4f) {
    if (tile >= params.inputs * ((params.outputs + 3u) / 4u)) { return; }
    let c = tile % params.inputs;
    let k = 4u * (tile / params.inputs);
    // All input channels have summed the same output gradient; the first one writes it.
    if (value == 9u && c > 0u) { return; }
    let tensor = select(params.weights + (value * params.inputs + c) * params.outputs, params.bias, value == 9u);
    let place = r * params.parameters + tensor + k;
    gradient[place] = sums.x;
    if (k + 1u < params.outputs) { gradient[place + 1u] = sums.y; }
    if (k + 2u < params.outputs) { gradient[place + 2u] = sums.z; }
    if (k + 3u < params.outputs) { gradient[place + 3u] = sums.w; }
}

// Adds up the chunks of a workgroup's tiles and writes them: all of its lanes call this.
fn write_tiles(group: vec3u, lane: u32, tile: WeightTile) {
    store_partial(lane, tile);
    workgroupBarrier();
    for (var job = lane; job < 10u * TILES; job += LANES) {
        let value = job / TILES;
        write_sums(value, group.x * TILES + job % TILES, group.z, sum_of_chunks(value, job % TILES));
    }
}
