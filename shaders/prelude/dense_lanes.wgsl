// prelude.dense_lanes: tiles of 16 x 4 for subgroups of exactly 8 lanes, which are then a workgroup each.
//
// Lane k owns the k-th quad of columns. What all lanes need alike, 16 rows x 4 numbers of the inner axis, is loaded once:
// each lane loads two quads, and hands them to the others.
// For drivers on which a load costs far more than a shuffle.

const WORKGROUP_SIZE: u32 = 8;
const ROWS: u32 = 16;
const TILE_QUADS: u32 = 4;

struct Tile {
    first: mat4x4f,
    second: mat4x4f,
    third: mat4x4f,
    fourth: mat4x4f,
}

// Two quads of a lane's own: of rows `lane` and 8 + `lane`; or of samples `lane` / 4 and 2 + `lane` / 4, the quad `lane` % 4.
struct Rows {
    upper: vec4f,
    lower: vec4f,
}

fn input_starts(r: u32, step: Step, row: u32, lane: u32) -> vec2u {
    return vec2u(input_start(r, step, row + lane), input_start(r, step, row + 8u + lane));
}

fn input_rows(starts: vec2u, word: u32) -> Rows {
    return Rows(input_quad(starts.x, word), input_quad(starts.y, word));
}

fn matrix_rows(place: u32, lane: u32) -> Rows {
    return Rows(scratch[place + lane * QUADS], scratch[place + (8u + lane) * QUADS]);
}

fn input_samples(r: u32, step: Step, n: u32, word: u32, lane: u32) -> Rows {
    let own = min(word + lane % 4u, words_of_sample() - 1u);
    let n_own = n + lane / 4u;
    return Rows(input_quad(input_start(r, step, n_own), own), input_quad(input_start(r, step, n_own + 2u), own));
}

fn matrix_samples(place: u32, lane: u32) -> Rows {
    let own = place + lane / 4u * QUADS + lane % 4u;
    return Rows(scratch[own], scratch[own + 2u * QUADS]);
}

// Quads of four rows, by all lanes alike.
fn rows_from(x: vec4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        subgroupShuffle(x, lane),
        subgroupShuffle(x, lane + 1u),
        subgroupShuffle(x, lane + 2u),
        subgroupShuffle(x, lane + 3u),
    );
}

// The q-th quad of four samples, by all lanes alike: a column of the result is one number of all four.
fn samples_of(x: Rows, q: u32) -> mat4x4f {
    return transpose(mat4x4f(
        subgroupShuffle(x.upper, q),
        subgroupShuffle(x.upper, q + 4u),
        subgroupShuffle(x.lower, q),
        subgroupShuffle(x.lower, q + 4u),
    ));
}

fn multiply(sums: Tile, x: Rows, w: mat4x4f) -> Tile {
    return Tile(
        multiply_quads(sums.first, rows_from(x.upper, 0u), w),
        multiply_quads(sums.second, rows_from(x.upper, 4u), w),
        multiply_quads(sums.third, rows_from(x.lower, 0u), w),
        multiply_quads(sums.fourth, rows_from(x.lower, 4u), w),
    );
}

fn multiply_samples(sums: Tile, x: Rows, g: mat4x4f) -> Tile {
    return Tile(
        multiply_quads(sums.first, samples_of(x, 0u), g),
        multiply_quads(sums.second, samples_of(x, 1u), g),
        multiply_quads(sums.third, samples_of(x, 2u), g),
        multiply_quads(sums.fourth, samples_of(x, 3u), g),
    );
}

fn store_outputs(place: u32, tile: Tile, ending: Ending) {
    store_four_outputs(place, tile.first, ending);
    store_four_outputs(place + 4u * QUADS, tile.second, ending);
    store_four_outputs(place + 8u * QUADS, tile.third, ending);
    store_four_outputs(place + 12u * QUADS, tile.fourth, ending);
}

fn store_gradients(place: u32, output: u32, tile: Tile) {
    store_four_gradients(place, output, tile.first);
    store_four_gradients(place + 4u * QUADS, output + 4u * QUADS, tile.second);
    store_four_gradients(place + 8u * QUADS, output + 8u * QUADS, tile.third);
    store_four_gradients(place + 12u * QUADS, output + 12u * QUADS, tile.fourth);
}

// The quads take turns in the first place: written out four times, Adam is so much code that compilers get slow.
fn update_words(r: u32, word: u32, k: u32, tile: Tile, rate: f32) {
    let quads = min(TILE_QUADS, words_of_sample() - word);
    var sums = tile;
    for (var q = 0u; q < quads; q++) {
        update_word(r, word + q, k, sums.first, rate);
        sums = Tile(sums.second, sums.third, sums.fourth, sums.first);
    }
}

fn update_layer(r: u32, layer: u32, i: u32, k: u32, tile: Tile, rate: f32) {
    let all = (launch.params.units + 3u) / 4u;
    let quads = min(max(all, i) - i, TILE_QUADS);
    var sums = tile;
    for (var q = 0u; q < quads; q++) {
        update_inputs(r, layer, i + q, k, sums.first, rate);
        sums = Tile(sums.second, sums.third, sums.fourth, sums.first);
    }
}
