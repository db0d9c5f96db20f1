// lessons/stability/stable_weights: at each epoch, how many weights lie within their bounds.
//
// One invocation owns one epoch and walks over all weights; y is the tolerance. Neighbours read numbers that lie a whole epoch
// apart.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [epoch, weight]
@group(0) @binding(2) var<storage, read> lower: array<u32>; // [weight, tolerance] of four
@group(0) @binding(3) var<storage, read> upper: array<u32>; // [weight, tolerance] of four
@group(0) @binding(4) var<storage, read_write> stable_weights: array<u32>; // [epoch, tolerance] of four

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let epoch = id.x;
    if (epoch >= sizes.epochs) { return; }
    var count = 0u;
    for (var i = 0u; i < sizes.weights; i++) {
        let key = keys[epoch * sizes.weights + i];
        count += u32(lower[4u * i + id.y] <= key && key <= upper[4u * i + id.y]);
    }
    stable_weights[4u * epoch + id.y] = count;
}
