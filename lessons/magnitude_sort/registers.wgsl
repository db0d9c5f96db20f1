// lessons/magnitude_sort/registers: rank[i] = #{j : key_j > key_i, or key_j = key_i and j < i}.
//
// One invocation owns four ranks, in vectors; y is the segment. A key that is read from workgroup memory meets four. Behind the
// last weight lies a key that nothing counts: the smallest, and after all others.

const TILE: u32 = 64u;

struct Sizes {
    weights: u32, // of a segment
    segments: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [segment, weight]
@group(0) @binding(2) var<storage, read_write> rank: array<u32>; // [segment, weight]

var<workgroup> some: array<u32, TILE>;

fn key_at(segment: u32, i: u32) -> u32 {
    if (i >= sizes.weights) { return 0u; }
    return keys[segment + i];
}

@compute @workgroup_size(TILE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = 4u * id.x + vec4u(0u, 1u, 2u, 3u);
    let segment = id.y * sizes.weights;
    let mine = vec4u(key_at(segment, i.x), key_at(segment, i.y), key_at(segment, i.z), key_at(segment, i.w));
    var place = vec4u(0u);
    for (var first = 0u; first < sizes.weights; first += TILE) {
        some[lane] = key_at(segment, first + lane);
        workgroupBarrier();
        for (var t = 0u; t < TILE; t++) {
            let other = vec4u(some[t]);
            let before = (other > mine) | ((other == mine) & (vec4u(first + t) < i));
            place += select(vec4u(0u), vec4u(1u), before);
        }
        workgroupBarrier();
    }
    for (var own = 0u; own < 4u; own++) {
        if (i[own] < sizes.weights) { rank[segment + i[own]] = place[own]; }
    }
}
