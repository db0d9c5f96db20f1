// lessons/gram/weigh: weighed[n, i] = q[n] * x[n, i].
//
// One invocation owns one number. A launch of its own, which writes the matrix a second time.

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [row, column]
@group(0) @binding(2) var<storage, read> q: array<f32>; // [row]
@group(0) @binding(3) var<storage, read_write> weighed: array<f32>; // [row, column]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.rows * sizes.columns) { return; }
    weighed[id.x] = q[id.x / sizes.columns] * x[id.x];
}
