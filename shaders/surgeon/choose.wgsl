// surgeon.choose: the pivot of the next surgeon.update, and its row by the root of the pivot.
//
// A workgroup owns a unit of any size. While it sweeps, step t's pivot is t; then it is the column with the smallest score,
// the first of equals, and the step is written down.
//   ratios    [unit, column]              below 0: stays; read
//   matrix    [unit, column, column + 1]  the Gram matrix on its way to minus its inverse, read
//   pivots    [unit, column + 2]          the row, and the pivot's number at its end, -1 for none; written
//   removals  [unit, step]                written behind the sweeps
// with: step, removal

const LANES: u32 = 64u;

struct Params {
    columns: u32, // of a unit
    solve: u32,   // 1 if the column at the right is swept too, 0 for a path
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> ratios: array<f32>;
@group(0) @binding(3) var<storage, read> matrix: array<f32>;
@group(0) @binding(4) var<storage, read_write> pivots: array<f32>;
@group(0) @binding(5) var<storage, read_write> removals: array<Removal>;

var<workgroup> candidates: array<Removal, LANES>;

// The smaller one, of equals the one with the lower column.
fn smaller(one: Removal, other: Removal) -> Removal {
    let first = one.score < other.score || (one.score == other.score && one.column < other.column);
    if (other.column == NO_COLUMN || (one.column != NO_COLUMN && first)) { return one; }
    return other;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let size = params.columns;
    let stride = size + 1u;
    let unit = group.z;
    let start = unit * size * stride;
    let sweeps = step.first < size;
    var own = nothing();
    for (var i = lane; i < size; i += LANES) {
        let ratio = ratios[unit * size + i];
        let w = matrix[start + i * stride + size];
        let h = -matrix[start + i * stride + i];
        // What has gone has 0 on the diagonal.
        if (ratio >= 0.0 && h != 0.0) { own = smaller(own, removal(i, ratio, w * w / h)); }
    }
    candidates[lane] = own;
    workgroupBarrier();
    var best = nothing();
    for (var other = 0u; other < LANES; other++) {
        best = smaller(best, candidates[other]);
    }
    if (lane == 0u && !sweeps) { removals[unit * size + step.first - size] = best; }
    let p = select(best.column, step.first, sweeps);
    let row = start + min(p, size - 1u) * stride;
    let pivot = matrix[row + min(p, size - 1u)];
    let scale = 1.0 / sqrt(select(-pivot, pivot, sweeps));
    let own_pivots = unit * (size + 2u);
    for (var j = lane; j <= size; j += LANES) {
        // Where none is left the update adds nothing.
        pivots[own_pivots + j] = select(matrix[row + j] * scale, 0.0, p == NO_COLUMN);
    }
    if (lane == 0u) { pivots[own_pivots + stride] = select(f32(p), -1.0, p == NO_COLUMN); }
}
