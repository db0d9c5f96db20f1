// Puzzle 1: y[i] = 2 x[i] + 1.

struct Sizes {
    elements: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    // One invocation owns one element, id.x. Workgroups have 64 invocations: the last may have some that own nothing.
}
