// prelude.layer_rows: what a unit reads in a row: inputs of a dense layer, or a patch of 3 x 3 pixels of a convolution.
//
// Patches are gathered here, where they are read, and lie in no array. Pixels beyond the border are 0.
// Reads `params`, `values` and `positions` of the shader.
// Twin: `Rows` in src/cpu/gram.rs.

const NO_COLUMN: u32 = 0xffffffffu;

struct Params {
    rows: u32,     // of a replica
    inputs: u32,   // of a row; as a column it is the constant 1
    columns: u32,  // of a unit
    units: u32,    // of a replica
    values: u32,   // numbers of a replica
    height: u32,
    width: u32,
    channels: u32, // of a convolution, else 0
}

// Column `column` of row `row` of replica `r`.
fn row_value(r: u32, row: u32, column: u32) -> f32 {
    if (column == NO_COLUMN) { return 0.0; }
    if (column == params.inputs) { return 1.0; }
    let start = r * params.values;
    if (params.channels == 0u) { return values[start + row * params.inputs + column]; }
    let position = positions[row];
    let tap = column / params.channels;
    // Shifted by one: 0 and the size plus one lie beyond the border.
    let y = position / params.width % params.height + tap / 3u;
    let x = position % params.width + tap % 3u;
    if (y == 0u || y > params.height || x == 0u || x > params.width) { return 0.0; }
    let first = position / (params.height * params.width) * params.height;
    let pixel = (first + y - 1u) * params.width + x - 1u;
    return values[start + pixel * params.channels + column % params.channels];
}
