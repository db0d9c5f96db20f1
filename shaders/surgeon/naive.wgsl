// surgeon.naive: the elimination path of a unit: again and again the column with the smallest (ratio w)^2 / H_pp goes, and
// the others take over what it did: w -= H_:p w_p / H_pp, H -= H_:p H_p: / H_pp, with H the inverse of the Gram matrix.
//
// To begin reading with, never used by the engine: one invocation owns a unit. Inverts by Gauss-Jordan steps, in place.
//   ratios    [unit, column]              below 0: stays; read
//   moments   [unit, column, column + 1]  the Gram matrix with its ridge, and w at its right; read and overwritten
//   removals  [unit, step]                written
// with: grid, removal

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    columns: u32, // of a unit
    units: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> ratios: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> removals: array<Removal>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let unit = flat_index(id, WORKGROUP_SIZE);
    if (unit >= params.units) { return; }
    let size = params.columns;
    let stride = size + 1u;
    let start = unit * size * stride;
    for (var p = 0u; p < size; p++) {
        let row = start + p * stride;
        let pivot = moments[row + p];
        moments[row + p] = 1.0;
        for (var j = 0u; j < size; j++) { moments[row + j] /= pivot; }
        for (var i = 0u; i < size; i++) {
            let other = start + i * stride;
            let factor = moments[other + p];
            if (i == p) { continue; }
            moments[other + p] = 0.0;
            for (var j = 0u; j < size; j++) { moments[other + j] -= factor * moments[row + j]; }
        }
    }
    for (var step = 0u; step < size; step++) {
        var best = nothing();
        for (var p = 0u; p < size; p++) {
            let w = moments[start + p * stride + size];
            let h = moments[start + p * stride + p];
            let found = removal(p, ratios[unit * size + p], w * w / h);
            let smaller = best.column == NO_COLUMN || found.score < best.score;
            // What has gone has 0 on the diagonal.
            if (ratios[unit * size + p] >= 0.0 && h != 0.0 && smaller) { best = found; }
        }
        removals[unit * size + step] = best;
        if (best.column == NO_COLUMN) { continue; }
        let p = best.column;
        let row = start + p * stride;
        let pivot = moments[row + p];
        for (var i = 0u; i < size; i++) {
            let other = start + i * stride;
            let factor = moments[other + p] / pivot;
            if (i == p) { continue; }
            for (var j = 0u; j <= size; j++) { moments[other + j] -= factor * moments[row + j]; }
            moments[other + p] = 0.0;
        }
        for (var j = 0u; j <= size; j++) { moments[row + j] = 0.0; }
    }
}
