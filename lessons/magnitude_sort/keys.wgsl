// lessons/magnitude_sort/keys: key[i] = the bits of |w[i]|, which order as whole numbers like the magnitudes.
//
// One invocation owns one weight. A launch of its own, which reads the weights and writes as many keys.

struct Sizes {
    weights: u32, // of a segment
    segments: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weights: array<u32>; // [segment, weight], bits of f32
@group(0) @binding(2) var<storage, read_write> keys: array<u32>; // [segment, weight]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.weights * sizes.segments) { return; }
    keys[id.x] = weights[id.x] & 0x7fffffffu;
}
