// lessons/stability/naive: for how many last epochs in a row a weight lies within its bounds.
//
// One invocation owns one weight and walks back through all epochs; y is the tolerance. Another launch counts the weights of each
// epoch: the history is read eight times for four tolerances.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [epoch, weight]
@group(0) @binding(2) var<storage, read> lower: array<u32>; // [weight, tolerance] of four
@group(0) @binding(3) var<storage, read> upper: array<u32>; // [weight, tolerance] of four
@group(0) @binding(4) var<storage, read_write> stability: array<u32>; // [weight, tolerance] of four

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let i = id.x;
    if (i >= sizes.weights) { return; }
    let own = 4u * i + id.y;
    var unbroken = true;
    var count = 0u;
    for (var epoch = sizes.epochs; epoch > 0u; epoch--) {
        let key = keys[(epoch - 1u) * sizes.weights + i];
        unbroken = unbroken && lower[own] <= key && key <= upper[own];
        count += u32(unbroken);
    }
    stability[own] = count;
}
