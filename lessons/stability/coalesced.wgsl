// lessons/stability/coalesced: stability of each weight and stable weights of each epoch in one walk.
//
// One invocation owns one weight and walks back through all epochs; y is the tolerance. Neighbours read neighbours, and the
// history is read once a tolerance. Every weight adds to the count of its epoch: all of them to the same number in memory.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [epoch, weight]
@group(0) @binding(2) var<storage, read> lower: array<u32>; // [weight, tolerance] of four
@group(0) @binding(3) var<storage, read> upper: array<u32>; // [weight, tolerance] of four
@group(0) @binding(4) var<storage, read_write> stability: array<u32>; // [weight, tolerance] of four
@group(0) @binding(5) var<storage, read_write> stable_weights: array<atomic<u32>>; // [epoch, tolerance], starts at 0

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    let own = 4u * i + id.y;
    let low = lower[own];
    let high = upper[own];
    var unbroken = true;
    var count = 0u;
    for (var epoch = sizes.epochs; epoch > 0u; epoch--) {
        let key = keys[(epoch - 1u) * sizes.weights + i];
        let within = low <= key && key <= high;
        unbroken = unbroken && within;
        count += u32(unbroken);
        if (within) { atomicAdd(&stable_weights[4u * (epoch - 1u) + id.y], 1u); }
    }
    stability[own] = count;
}
