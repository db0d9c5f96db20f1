// stability.naive: for up to four tolerances at once, the consecutive last epochs in which a weight lies within its
// bounds (magnitude stability), and how many weights lie within theirs at each epoch (stable weights).
//
// To begin reading with, never used by the engine: one invocation owns one weight and adds to memory at once; z is the replica.
//   history         [epoch, replica, weight]      bits of f32, read
//   lower, upper    [replica, weight]             sortable keys, a component for each tolerance, read
//   stability       [replica, weight]             a component for each tolerance, written
//   stable_weights  [epoch, replica, tolerance] of four, starts at 0, added to
// with: grid, keys

override WORKGROUP_SIZE: u32 = 64;

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

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let weight = flat_index(id, WORKGROUP_SIZE);
    if (weight >= params.weight_count) { return; }
    let column = id.z * params.weight_count + weight;
    var unbroken = vec4<bool>(true);
    var counted = vec4u(0u);
    for (var epoch = params.epochs; epoch > 0u; epoch--) {
        let row = (epoch - 1u) * params.replicas;
        let key = vec4u(sortable_key(history[row * params.weight_count + column]));
        let within = (lower[column] <= key) & (key <= upper[column]);
        unbroken = unbroken & within;
        counted += select(vec4u(0u), vec4u(1u), unbroken);
        for (var tolerance = 0u; tolerance < 4u; tolerance++) {
            if (within[tolerance]) { atomicAdd(&stable_weights[(row + id.z) * 4u + tolerance], 1u); }
        }
    }
    stability[column] = counted;
}
