// Puzzle 10: rank[i] = the place of weight i in descending order of magnitude; of equal ones the first comes first.

struct Sizes {
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> rank: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    var place = 0u;
    for (var j = 0u; j < sizes.weights; j++) {
        if (abs(weights[j]) > abs(weights[i])) { place++; }
    }
    rank[i] = place;
}
