// lessons/magnitude_sort/tiled: rank[i] = #{j : key_j > key_i, or key_j = key_i and j < i}.
//
// One invocation owns one rank; y is the segment. 64 keys at a time are copied to workgroup memory, one by each invocation, and
// read there by all. Behind the last weight lies a key that nothing counts: the smallest, and after all others.

const TILE: u32 = 64u;

struct Sizes {
    weights: u32, // of a segment
    segments: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [segment, weight]
@group(0) @binding(2) var<storage, read_write> rank: array<u32>; // [segment, weight]

var<workgroup> some: array<u32, TILE>;

@compute @workgroup_size(TILE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = id.x;
    let segment = id.y * sizes.weights;
    // Invocations behind the last weight stay for the barriers.
    let mine = keys[segment + min(i, sizes.weights - 1u)];
    var place = 0u;
    for (var first = 0u; first < sizes.weights; first += TILE) {
        some[lane] = 0u;
        if (first + lane < sizes.weights) { some[lane] = keys[segment + first + lane]; }
        workgroupBarrier();
        for (var t = 0u; t < TILE; t++) {
            let other = some[t];
            place += u32(other > mine || (other == mine && first + t < i));
        }
        workgroupBarrier();
    }
    if (i < sizes.weights) { rank[segment + i] = place; }
}
