// gram.accumulate: the Gram matrix sum_n q_n x_n x_n^T / N of a unit's columns, and right of it the cross moments with z.
//
// A workgroup owns 32 x 32 sums on or right of the diagonal and their mirror image, an invocation 4 x 4; z is the unit.
//   values       [replica, row, input], or activations [replica, sample, y, x, channel], read
//   positions    [row]                  the pixel [sample, y, x] of each row of a convolution, read
//   columns      [replica, unit, column]  inputs, the constant 1, or no column, read
//   row_weights, targets  [replica, row, unit]  q and z, read
//   moments      [replica, unit, column, column + 1]  written where the step is the first, else added to
// with: step, layer_rows

const SUMS: u32 = 32u;
const ROWS: u32 = 16u; // gathered at a time

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> columns: array<u32>;
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;
@group(0) @binding(6) var<storage, read> targets: array<f32>;
@group(0) @binding(7) var<storage, read_write> moments: array<f32>;

// [row, column]: weighted, and plain.
var<workgroup> left: array<f32, ROWS * SUMS>;
var<workgroup> right: array<f32, ROWS * SUMS>;

fn four(place: u32) -> vec4f {
    return vec4f(right[place], right[place + 1u], right[place + 2u], right[place + 3u]);
}

// Column `i` of a unit's list, or no column behind its end.
fn column_of(unit: u32, i: u32) -> u32 {
    return select(NO_COLUMN, columns[unit * params.columns + min(i, params.columns - 1u)], i < params.columns);
}

fn store(unit: u32, i: u32, j: u32, sum: f32) {
    let size = params.columns;
    if (i >= size || j < i || j > size) { return; }
    let start = unit * size * (size + 1u);
    let place = start + i * (size + 1u) + j;
    let moment = select(moments[place], 0.0, step.first == 0u) + sum / f32(params.rows);
    moments[place] = moment;
    if (j > i && j < size) { moments[start + j * (size + 1u) + i] = moment; }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    if (group.x < group.y) { return; }
    let unit = group.z;
    let r = unit / params.units;
    // What this invocation gathers: one column of each side, every other row.
    let gathered = lane % SUMS;
    let left_column = column_of(unit, group.y * SUMS + gathered);
    let j = group.x * SUMS + gathered;
    let right_column = column_of(unit, j);
    // What it sums.
    let own_row = 4u * (lane / 8u);
    let own_column = 4u * (lane % 8u);
    var first = vec4f(0.0);
    var second = vec4f(0.0);
    var third = vec4f(0.0);
    var fourth = vec4f(0.0);
    let end = step.first + step.samples;
    for (var block = step.first; block < end; block += ROWS) {
        for (var k = lane / SUMS; k < ROWS; k += 2u) {
            // Rows behind the last one count 0.
            let row = min(block + k, params.rows - 1u);
            let n = (r * params.rows + row) * params.units + unit % params.units;
            let q = select(0.0, row_weights[n], block + k < end);
            left[k * SUMS + gathered] = q * row_value(r, row, left_column);
            var value = targets[n];
            if (j != params.columns) { value = row_value(r, row, right_column); }
            right[k * SUMS + gathered] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < ROWS; k++) {
            let x = four(k * SUMS + own_column);
            let q = k * SUMS + own_row;
            first += left[q] * x;
            second += left[q + 1u] * x;
            third += left[q + 2u] * x;
            fourth += left[q + 3u] * x;
        }
        workgroupBarrier();
    }
    let i = group.y * SUMS + own_row;
    for (var k = 0u; k < 4u; k++) {
        let column = group.x * SUMS + own_column + k;
        store(unit, i, column, first[k]);
        store(unit, i + 1u, column, second[k]);
        store(unit, i + 2u, column, third[k]);
        store(unit, i + 3u, column, fourth[k]);
    }
}
