// lessons/stability/tiled: stability of each weight and stable weights of each epoch, counted in workgroup memory.
//
// One invocation owns one weight; y is the tolerance. A workgroup gathers the counts of 64 epochs in its own memory, and adds
// them to the array once: 64 epochs x 64 weights come to 64 additions there.

const BLOCK: u32 = 64u;

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

var<workgroup> counts: array<atomic<u32>, BLOCK>; // [epoch of the block]

@compute @workgroup_size(BLOCK)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    // Invocations behind the last weight stay for the barriers, and count nothing.
    let exists = id.x < sizes.weights;
    let i = min(id.x, sizes.weights - 1u);
    let own = 4u * i + id.y;
    let low = lower[own];
    let high = upper[own];
    var unbroken = true;
    var count = 0u;
    var end = sizes.epochs;
    while (end > 0u) {
        let size = min(BLOCK, end);
        atomicStore(&counts[lane], 0u);
        workgroupBarrier();
        for (var back = 0u; back < size; back++) {
            let key = keys[(end - 1u - back) * sizes.weights + i];
            let within = exists && low <= key && key <= high;
            unbroken = unbroken && within;
            count += u32(unbroken);
            if (within) { atomicAdd(&counts[back], 1u); }
        }
        workgroupBarrier();
        if (lane < size) { atomicAdd(&stable_weights[4u * (end - 1u - lane) + id.y], atomicLoad(&counts[lane])); }
        workgroupBarrier();
        end -= size;
    }
    if (exists) { stability[own] = count; }
}
