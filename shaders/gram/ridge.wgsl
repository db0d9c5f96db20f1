// gram.ridge: adds the ridge m = strength x mean(diagonal) to the diagonal of a unit's Gram matrix, and finishes the column
// at its right: the cross moments plus m w for a refit, the weights w for a path.
//
// A workgroup owns a unit. What is no column gets 1 on the diagonal, so that it stands apart.
//   columns  [unit, column]  inputs, the constant 1, or no column, read
//   weights  [unit, column]  read
//   moments  [unit, column, column + 1]  read and written
// Where nothing ever comes in the mean is 0; then the ridge is next to nothing. Twins: `ridge`, `add_ridge` in src/cpu/gram.rs.

const LANES: u32 = 64u;
const NO_COLUMN: u32 = 0xffffffffu;

struct Params {
    columns: u32, // of a unit
    strength: f32,
    path: u32,    // 1 for a path, 0 for a refit
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> moments: array<f32>;

// Sum of the diagonal and number of columns, of each lane.
var<workgroup> sums: array<vec2f, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let size = params.columns;
    let unit = group.z;
    let start = unit * size * (size + 1u);
    var sum = vec2f(0.0);
    for (var i = lane; i < size; i += LANES) {
        if (columns[unit * size + i] != NO_COLUMN) {
            sum += vec2f(moments[start + i * (size + 1u) + i], 1.0);
        }
    }
    sums[lane] = sum;
    workgroupBarrier();
    var total = vec2f(0.0);
    for (var other = 0u; other < LANES; other++) {
        total += sums[other];
    }
    let mean = total.x / max(total.y, 1.0);
    let ridge = params.strength * select(1.1920929e-7, mean, mean > 0.0);
    for (var i = lane; i < size; i += LANES) {
        let row = start + i * (size + 1u);
        let there = columns[unit * size + i] != NO_COLUMN;
        let weight = weights[unit * size + i];
        let cross = select(moments[row + size] + ridge * weight, weight, params.path == 1u);
        moments[row + i] = select(1.0, moments[row + i] + ridge, there);
        moments[row + size] = select(0.0, cross, there);
    }
}
