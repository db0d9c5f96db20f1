// lessons/magnitude_sort/coalesced: rank[i] = #{j : key_j > key_i, or key_j = key_i and j < i}.
//
// One invocation owns one rank, and begins its walk at its own key: neighbours read neighbours. That is what coalescing asks for,
// and yet no gain is to be expected: a key that all read together arrives once, 64 neighbouring keys are 64 numbers.

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
    var j = i;
    for (var round = 0u; round < sizes.weights; round++) {
        let other = keys[segment + j];
        place += u32(other > mine || (other == mine && j < i));
        j = select(j + 1u, 0u, j + 1u == sizes.weights);
    }
    rank[segment + i] = place;
}
