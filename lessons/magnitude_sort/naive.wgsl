// lessons/magnitude_sort/naive: rank[i] = #{j : key_j > key_i, or key_j = key_i and j < i}.
//
// One invocation owns one rank and walks over all keys of its segment; y is the segment. All invocations read the same key at the
// same time, so that it arrives once for all of them.

struct Sizes {
    weights: u32, // of a segment
    segments: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [segment, weight]
@group(0) @binding(2) var<storage, read_write> rank: array<u32>; // [segment, weight]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    let segment = id.y * sizes.weights;
    let mine = keys[segment + i];
    var place = 0u;
    for (var j = 0u; j < sizes.weights; j++) {
        let other = keys[segment + j];
        place += u32(other > mine || (other == mine && j < i));
    }
    rank[segment + i] = place;
}
