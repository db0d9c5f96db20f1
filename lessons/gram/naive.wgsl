// lessons/gram/naive: total[i, j] = sum_n weighed[n, i] * x[n, j].
//
// One invocation owns one sum. Neighbours own neighbouring rows i of the result: they read neighbours, and write numbers that
// lie a whole row apart.

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weighed: array<f32>; // [row, column]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [row, column]
@group(0) @binding(3) var<storage, read_write> total: array<f32>; // [column, column]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x % sizes.columns;
    let j = id.x / sizes.columns;
    if (j >= sizes.columns) { return; }
    var sum = 0.0;
    for (var n = 0u; n < sizes.rows; n++) {
        sum += weighed[n * sizes.columns + i] * x[n * sizes.columns + j];
    }
    total[i * sizes.columns + j] = sum;
}
