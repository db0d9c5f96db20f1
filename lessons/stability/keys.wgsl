// lessons/stability/keys: a whole number for each recorded weight that orders as the weights do.
//
// One invocation owns one number of the history; y is the epoch. A launch of its own, which reads the history and writes
// another as large.

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> history: array<u32>; // [epoch, weight], bits of f32
@group(0) @binding(2) var<storage, read_write> keys: array<u32>; // [epoch, weight]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= sizes.weights) { return; }
    let place = id.y * sizes.weights + id.x;
    let bits = history[place];
    // Positive numbers get the sign bit, negative ones are inverted, and -0 has the key of 0.
    let key = select(bits ^ 0x80000000u, ~bits, (bits >> 31u) == 1u);
    keys[place] = select(key, 0x80000000u, bits == 0x80000000u);
}
