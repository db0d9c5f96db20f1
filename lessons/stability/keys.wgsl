// lessons/stability/keys: a whole number for each recorded weight that orders as the weights do.
//
// One invocation owns one number of the history. A launch of its own, which reads the history and writes another as large.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> history: array<u32>; // [epoch, weight], bits of f32
@group(0) @binding(2) var<storage, read_write> keys: array<u32>; // [epoch, weight]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.epochs * sizes.weights) { return; }
    let bits = history[id.x];
    // Positive numbers get the sign bit, negative ones are inverted, and -0 has the key of 0.
    let key = select(bits ^ 0x80000000u, ~bits, (bits >> 31u) == 1u);
    keys[id.x] = select(key, 0x80000000u, bits == 0x80000000u);
}
