// surgeon.update: sweeps a pivot, or takes its column out of minus the inverse.
//
// One invocation owns one number; z is the unit. The pivot's row comes by the root of the pivot, so a product's sign alone
// tells both apart.
//   pivots  [unit, column + 2]          from surgeon.choose, read
//   matrix  [unit, column, column + 1]  read and written
// Two numbers a multiply-add: bound by memory bandwidth.
// with: grid, step

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    columns: u32, // of a unit
    solve: u32,   // 1 if the column at the right is swept too, 0 for a path
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> pivots: array<f32>;
@group(0) @binding(3) var<storage, read_write> matrix: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let size = params.columns;
    let stride = size + 1u;
    let place = flat_index(id, WORKGROUP_SIZE);
    let i = place / stride;
    let j = place % stride;
    if (i >= size) { return; }
    let sweeps = step.first < size;
    if (sweeps && j == size && params.solve == 0u) { return; }
    let row = id.z * (size + 2u);
    let p = i32(pivots[row + stride]);
    let at = id.z * size * stride + place;
    let product = pivots[row + i] * pivots[row + j];
    if (i32(i) != p && i32(j) != p) {
        matrix[at] += select(product, -product, sweeps);
    } else if (!sweeps) {
        matrix[at] = 0.0;
    } else {
        // The pivot itself divides its row and its column, and becomes minus its reciprocal.
        let pivot = pivots[row + u32(p)];
        let other = select(product, -1.0, i == j);
        matrix[at] = other / (pivot * pivot);
    }
}
