// surgeon.refit: the weights of a unit of at most 60 columns that solve G w = c, in workgroup memory.
//
// A workgroup owns a unit, a lane a row. Swept at all pivots of G, the column at its right has become the solution.
//   moments   [unit, column, column + 1]  the Gram matrix with its ridge, and c at its right; read
//   solution  [unit, column]              written
// Twin: `refit` in src/cpu/surgeon.rs.
// with: sweep

struct Params {
    columns: u32, // of a unit
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read_write> solution: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let size = params.columns;
    let unit = group.z;
    load(unit * size * (size + 1u), size, lane);
    sweep_all(size, size + 1u, lane);
    if (lane < size) { solution[unit * size + lane] = matrix[lane * STRIDE + size]; }
}
