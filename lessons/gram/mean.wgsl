// lessons/gram/mean: gram[i, j] = sum[i, j] / rows.
//
// One invocation owns one number. A launch of its own.

struct Sizes {
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> total: array<f32>; // [column, column]
@group(0) @binding(2) var<storage, read_write> gram: array<f32>; // [column, column]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.columns * sizes.columns) { return; }
    gram[id.x] = total[id.x] / f32(sizes.rows);
}
