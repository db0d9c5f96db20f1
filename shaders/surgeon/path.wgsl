// surgeon.path: the elimination path of a unit of at most 60 columns, in workgroup memory.
//
// A workgroup owns a unit, a lane a row. What has been swept at all pivots is minus the inverse H; taking column p out of H
// is the same update with the other sign. All lanes look for the smallest score, in the same order.
//   ratios    [unit, column]              below 0: stays; read
//   moments   [unit, column, column + 1]  the Gram matrix with its ridge, and w at its right; read
//   removals  [unit, step]                written
// with: removal, sweep

struct Params {
    columns: u32, // of a unit
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> ratios: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> removals: array<Removal>;

var<workgroup> candidates: array<Removal, MOST>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let size = params.columns;
    let unit = group.z;
    load(unit * size * (size + 1u), size, lane);
    sweep_all(size, size, lane);
    let own = lane * STRIDE;
    let ratio = ratios[unit * size + min(lane, size - 1u)];
    var is_open = lane < size && ratio >= 0.0;
    for (var step = 0u; step < size; step++) {
        if (lane < size) {
            let w = matrix[own + size];
            candidates[lane] = nothing();
            if (is_open) { candidates[lane] = removal(lane, ratio, w * w / -matrix[own + lane]); }
        }
        workgroupBarrier();
        var best = nothing();
        for (var p = 0u; p < size; p++) {
            let found = candidates[p];
            let smaller = best.column == NO_COLUMN || found.score < best.score;
            if (found.column != NO_COLUMN && smaller) { best = found; }
        }
        let p = best.column;
        if (lane == 0u) { removals[unit * size + step] = best; }
        if (lane == p) {
            is_open = false;
            let scale = 1.0 / sqrt(-matrix[own + p]);
            for (var j = 0u; j <= size; j++) {
                pivot_row[j] = matrix[own + j] * scale;
            }
        }
        workgroupBarrier();
        if (lane < size && p != NO_COLUMN) {
            let factor = select(pivot_row[lane], 0.0, lane == p);
            for (var j = 0u; j <= size; j++) {
                matrix[own + j] += factor * pivot_row[j];
            }
        }
    }
}
