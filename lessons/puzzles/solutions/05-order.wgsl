// Puzzle 5: total[r] = x[r, 0] + x[r, 1] + .., with the same bits whenever it runs.

struct Sizes {
    elements: u32, // of one row
    rows: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [row, element]
@group(0) @binding(2) var<storage, read_write> total: array<f32>; // [row], starts at 0

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x != 0u || id.y >= sizes.rows) { return; }
    var sum = 0.0;
    for (var i = 0u; i < sizes.elements; i++) {
        sum += x[id.y * sizes.elements + i];
    }
    total[id.y] = sum;
}
