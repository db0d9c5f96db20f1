// gram.naive: the Gram matrix sum_n q_n x_n x_n^T / N of a unit's columns, and right of it the cross moments with z.
//
// To begin reading with, never used by the engine: one invocation owns one sum and its mirror image; z is the unit.
//   values       [replica, row, input], or activations [replica, sample, y, x, channel], read
//   positions    [row]                  the pixel [sample, y, x] of each row of a convolution, read
//   columns      [replica, unit, column]  inputs, the constant 1, or no column, read
//   row_weights, targets  [replica, row, unit]  q and z, read
//   moments      [replica, unit, column, column + 1]  written where the step is the first, else added to
// with: grid, step, layer_rows

override WORKGROUP_SIZE: u32 = 64;

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> columns: array<u32>;
@group(0) @binding(5) var<storage, read> row_weights: array<f32>;
@group(0) @binding(6) var<storage, read> targets: array<f32>;
@group(0) @binding(7) var<storage, read_write> moments: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let size = params.columns;
    let place = flat_index(id, WORKGROUP_SIZE);
    let i = place / (size + 1u);
    let j = place % (size + 1u);
    if (i >= size || j < i) { return; }
    let r = id.z / params.units;
    let own = id.z * size;
    var sum = 0.0;
    for (var row = step.first; row < step.first + step.samples; row++) {
        let n = (r * params.rows + row) * params.units + id.z % params.units;
        var right = targets[n];
        if (j < size) { right = row_value(r, row, columns[own + j]); }
        sum += row_weights[n] * row_value(r, row, columns[own + i]) * right;
    }
    let start = own * (size + 1u);
    let before = select(moments[start + place], 0.0, step.first == 0u);
    let moment = before + sum / f32(params.rows);
    moments[start + place] = moment;
    if (j < size) { moments[start + j * (size + 1u) + i] = moment; }
}
