// Puzzle 2: y += a x, for every replica.

struct Sizes {
    elements: u32, // of one replica
    replicas: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [replica]
@group(0) @binding(2) var<storage, read> x: array<f32>; // [replica, element]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [replica, element]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.elements) { return; }
    y[id.x] += a[0] * x[id.x];
}
