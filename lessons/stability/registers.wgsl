// lessons/stability/registers: stability of each weight and stable weights of each epoch, four tolerances in one walk.
//
// One invocation owns one weight with all its tolerances, in vectors: a number of the history is read once and compared with
// eight bounds that lie in registers.

const BLOCK: u32 = 64u;

struct Sizes {
    epochs: u32,
    weights: u32,
}

@group(0) @binding(0) var<storage, read> sizes: Sizes;
@group(0) @binding(1) var<storage, read> keys: array<u32>; // [epoch, weight]
@group(0) @binding(2) var<storage, read> lower: array<vec4u>; // [weight], a component for each tolerance
@group(0) @binding(3) var<storage, read> upper: array<vec4u>; // [weight]
@group(0) @binding(4) var<storage, read_write> stability: array<vec4u>; // [weight]
@group(0) @binding(5) var<storage, read_write> stable_weights: array<atomic<u32>>; // [epoch, tolerance], starts at 0

var<workgroup> counts: array<atomic<u32>, 4u * BLOCK>; // [epoch of the block, tolerance]

fn key_at(epoch: u32, i: u32) -> u32 {
    return keys[epoch * sizes.weights + i];
}

@compute @workgroup_size(BLOCK)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    // Invocations behind the last weight stay for the barriers, and count nothing.
    let exists = id.x < sizes.weights;
    let i = min(id.x, sizes.weights - 1u);
    let low = lower[i];
    let high = upper[i];
    var unbroken = vec4<bool>(exists);
    var count = vec4u(0u);
    var end = sizes.epochs;
    while (end > 0u) {
        let size = min(BLOCK, end);
        for (var place = lane; place < 4u * BLOCK; place += BLOCK) { atomicStore(&counts[place], 0u); }
        workgroupBarrier();
        for (var back = 0u; back < size; back++) {
            let key = vec4u(key_at(end - 1u - back, i));
            let within = (low <= key) & (key <= high) & vec4<bool>(exists);
            unbroken = unbroken & within;
            count += select(vec4u(0u), vec4u(1u), unbroken);
            for (var tolerance = 0u; tolerance < 4u; tolerance++) {
                if (within[tolerance]) { atomicAdd(&counts[4u * back + tolerance], 1u); }
            }
        }
        workgroupBarrier();
        for (var place = lane; place < 4u * size; place += BLOCK) {
            let epoch = end - 1u - place / 4u;
            atomicAdd(&stable_weights[4u * epoch + place % 4u], atomicLoad(&counts[place]));
        }
        workgroupBarrier();
        end -= size;
    }
    if (exists) { stability[i] = count; }
}
