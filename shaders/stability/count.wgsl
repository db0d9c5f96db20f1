// stability.count: for up to four tolerances at once, the consecutive last epochs in which a weight lies within its
// bounds (magnitude stability), and how many weights lie within theirs at each epoch (stable weights).
//
// One invocation owns one weight and goes back through the epochs once; z is the replica. Integers only: exact everywhere.
//   history         [epoch, replica, weight]      bits of f32, read
//   lower, upper    [replica, weight]             sortable keys, a component for each tolerance, read
//   stability       [replica, weight]             a component for each tolerance, written
//   stable_weights  [epoch, replica, tolerance] of four, starts at 0, added to
// Sums of whole numbers may be added in any order: a workgroup gathers 64 epochs before it adds them.
// with: grid, keys

override WORKGROUP_SIZE: u32 = 64;

const BLOCK: u32 = 64; // epochs gathered at a time

struct Params {
    epochs: u32,
    replicas: u32,
    weight_count: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> history: array<u32>;
@group(0) @binding(2) var<storage, read> lower: array<vec4u>;
@group(0) @binding(3) var<storage, read> upper: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> stability: array<vec4u>;
@group(0) @binding(5) var<storage, read_write> stable_weights: array<atomic<u32>>;

var<workgroup> stable: array<atomic<u32>, 4u * BLOCK>; // [epoch, tolerance]

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let weight_index = flat_index(id, WORKGROUP_SIZE);
    let r = id.z;
    // Invocations beyond the last weight stay for the barriers, with bounds that nothing meets.
    let exists = weight_index < params.weight_count;
    let column = r * params.weight_count + min(weight_index, params.weight_count - 1u);
    let low = select(vec4u(0xffffffffu), lower[column], exists);
    let high = select(vec4u(0u), upper[column], exists);
    let columns = params.replicas * params.weight_count;

    var unbroken = vec4<bool>(true);
    var counted = vec4u(0u);
    var end = params.epochs;
    while (end > 0u) {
        let size = min(BLOCK, end);
        for (var i = lane; i < 4u * BLOCK; i += WORKGROUP_SIZE) {
            atomicStore(&stable[i], 0u);
        }
        workgroupBarrier();
        for (var back = 0u; back < size; back++) {
            let key = vec4u(sortable_key(history[(end - 1u - back) * columns + column]));
            let within = (low <= key) & (key <= high);
            unbroken = unbroken & within;
            counted += select(vec4u(0u), vec4u(1u), unbroken);
            if (within.x) { atomicAdd(&stable[4u * back], 1u); }
            if (within.y) { atomicAdd(&stable[4u * back + 1u], 1u); }
            if (within.z) { atomicAdd(&stable[4u * back + 2u], 1u); }
            if (within.w) { atomicAdd(&stable[4u * back + 3u], 1u); }
        }
        workgroupBarrier();
        for (var i = lane; i < 4u * size; i += WORKGROUP_SIZE) {
            let epoch = end - 1u - i / 4u;
            atomicAdd(&stable_weights[(epoch * params.replicas + r) * 4u + i % 4u], atomicLoad(&stable[i]));
        }
        workgroupBarrier();
        end -= size;
    }
    if (exists) { stability[column] = counted; }
}
