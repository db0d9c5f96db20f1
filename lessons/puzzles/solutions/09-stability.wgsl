// Puzzle 9: stability[i] = for how many last epochs in a row weight i lies within its bounds.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> history: array<f32>; // [epoch, weight]
@group(0) @binding(2) var<storage, read> lower: array<f32>; // [weight]
@group(0) @binding(3) var<storage, read> upper: array<f32>; // [weight]
@group(0) @binding(4) var<storage, read_write> stability: array<u32>; // [weight]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    var count = 0u;
    for (var epoch = sizes.epochs; epoch > 0u; epoch--) {
        let weight = history[(epoch - 1u) * sizes.weights + i];
        if (weight < lower[i] || weight > upper[i]) { break; }
        count++;
    }
    stability[i] = count;
}
