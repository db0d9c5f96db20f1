// prelude.sweep: a symmetric matrix with one column more, in workgroup memory, and the sweep of a pivot through it.
//
// Swept at all pivots, the matrix has become minus its inverse, and the column the solution. Lane i owns row i.
// Stays symmetric bit for bit, since both factors of a product are scaled alike. A pivot that is not above 0 makes NaN.
// Source: Goodnight, The American Statistician, 1979. Used by surgeon.path and surgeon.refit.

const LANES: u32 = 64u;
// Columns that fit 16 KiB with the vectors beside them.
const MOST: u32 = 60u;
const STRIDE: u32 = MOST + 1u;

var<workgroup> matrix: array<f32, MOST * STRIDE>;
// The pivot's row by the root of the pivot.
var<workgroup> pivot_row: array<f32, STRIDE>;

// Loads a matrix of `size` rows of `size + 1` that starts at place `start`; the lane's own row, so no barrier is needed yet.
fn load(start: u32, size: u32, lane: u32) {
    if (lane < size) {
        for (var j = 0u; j <= size; j++) {
            matrix[lane * STRIDE + j] = moments[start + lane * (size + 1u) + j];
        }
    }
}

// Sweeps all pivots; the first `columns` columns take part.
fn sweep_all(size: u32, columns: u32, lane: u32) {
    for (var p = 0u; p < size; p++) {
        if (lane == p) {
            let scale = 1.0 / sqrt(matrix[p * STRIDE + p]);
            for (var j = 0u; j < columns; j++) {
                pivot_row[j] = matrix[p * STRIDE + j] * scale;
            }
            pivot_row[p] = scale;
        }
        workgroupBarrier();
        let own = lane * STRIDE;
        if (lane == p) {
            for (var j = 0u; j < columns; j++) {
                matrix[own + j] = pivot_row[j] * pivot_row[p];
            }
            matrix[own + p] = -pivot_row[p] * pivot_row[p];
        } else if (lane < size) {
            let factor = pivot_row[lane];
            for (var j = 0u; j < columns; j++) {
                matrix[own + j] -= factor * pivot_row[j];
            }
            matrix[own + p] = factor * pivot_row[p];
        }
        workgroupBarrier();
    }
}
