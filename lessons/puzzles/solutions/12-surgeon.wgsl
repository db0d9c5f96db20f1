// Puzzle 12: the surgeon takes weight p away, and tells the others.

struct Sizes {
    columns: u32,
    removed: u32, // the column that goes, p
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> inverse: array<f32>; // [column, column], H
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [column], w
@group(0) @binding(3) var<storage, read_write> new_inverse: array<f32>; // [column, column]
@group(0) @binding(4) var<storage, read_write> new_weights: array<f32>; // [column]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let n = sizes.columns;
    let p = sizes.removed;
    if (id.x >= n * n) { return; }
    let i = id.x / n;
    let j = id.x % n;
    let pivot = inverse[p * n + p];
    let factor = inverse[i * n + p] / pivot;
    new_inverse[id.x] = inverse[id.x] - factor * inverse[p * n + j];
    if (j == 0u) { new_weights[i] = select(weights[i] - factor * weights[p], 0.0, i == p); }
}
