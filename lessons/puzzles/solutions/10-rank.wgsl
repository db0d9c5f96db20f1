// Puzzle 10: rank[i] = the place of weight i in descending order of magnitude; of equal ones the first comes first.

struct Sizes {
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;

// Bits of |w|: whole numbers in the order of the magnitudes, which no device rounds to 0.
fn key(i: u32) -> u32 {
    return bitcast<u32>(weights[i]) & 0x7fffffffu;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    var place = 0u;
    for (var j = 0u; j < sizes.weights; j++) {
        if (key(j) > key(i) || (key(j) == key(i) && j < i)) { place++; }
    }
    rank[i] = place;
}
