// prelude.weight_tile: the weight gradient's register tile, nine taps of one input channel x four output channels, and
// the sum of the tiles of all chunks of a batch.
//
// A workgroup has TILES tiles of LANES / TILES chunks each; neighbouring invocations own neighbouring tiles. Chunk s takes
// the rows s, s + chunks, .. of all samples, and chunks are added in order: which sum a product goes to depends on the
// batch alone. A matrix is a window of 3 x 3 pixels, a column of it a column of pixels.

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
