// prelude.dense_tiles: tiles of 4 x 4, each in the registers of one invocation that loads what it needs itself.
//
// Neighbouring invocations own neighbouring quads of columns: they read neighbouring weights, and the same numbers of the
// inner axis.
// For devices whose caches serve that at the speed of arithmetic.

const ROWS: u32 = 4;
const TILE_QUADS: u32 = 1;

alias Tile = mat4x4f;
alias Rows = mat4x4f;

fn input_starts(r: u32, step: Step, row: u32, lane: u32) -> vec4u {
    return vec4u(
        input_start(r, step, row),
        input_start(r, step, row + 1u),
        input_start(r, step, row + 2u),
        input_start(r, step, row + 3u),
    );
}

fn input_rows(starts: vec4u, word: u32) -> Rows {
    return Rows(
        input_quad(starts.x, word),
        input_quad(starts.y, word),
        input_quad(starts.z, word),
        input_quad(starts.w, word),
    );
}

fn matrix_rows(place: u32, lane: u32) -> Rows {
    return four_rows(place);
}

fn input_samples(r: u32, step: Step, n: u32, word: u32, lane: u32) -> Rows {
    return input_rows(input_starts(r, step, n, lane), word);
}

fn matrix_samples(place: u32, lane: u32) -> Rows {
    return four_rows(place);
}

fn multiply(sums: Tile, x: Rows, w: mat4x4f) -> Tile {
    return multiply_quads(sums, x, w);
}

fn multiply_samples(sums: Tile, x: Rows, g: mat4x4f) -> Tile {
    return multiply_quads(sums, transpose(x), g);
}

fn store_outputs(place: u32, tile: Tile, ending: Ending) {
    store_four_outputs(place, tile, ending);
}

fn store_gradients(place: u32, output: u32, tile: Tile) {
    store_four_gradients(place, output, tile);
}

fn update_words(r: u32, word: u32, k: u32, tile: Tile, rate: f32) {
    update_word(r, word, k, tile, rate);
}

fn update_layer(r: u32, layer: u32, i: u32, k: u32, tile: Tile, rate: f32) {
    update_inputs(r, layer, i, k, tile, rate);
}
