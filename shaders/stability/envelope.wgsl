// stability.envelope: for each window of last epochs the minimum, the maximum and the smallest magnitude of each weight.
//
// One invocation owns one weight and goes back through the epochs once, writing wherever a window ends; z is the replica.
// It compares integer keys and never rounds: exact everywhere.
//   windows  [window]                 ascending, in 1..=epochs, read
//   history  [epoch, replica, weight]   bits of f32, read
//   minimum, maximum, smallest_magnitude  [window, replica, weight]  bits of f32, written
// with: grid, keys

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    epochs: u32,
    replicas: u32,
    weight_count: u32,
    windows: u32, // how many
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> windows: array<u32>;
@group(0) @binding(2) var<storage, read> history: array<u32>;
@group(0) @binding(3) var<storage, read_write> minimum: array<u32>;
@group(0) @binding(4) var<storage, read_write> maximum: array<u32>;
@group(0) @binding(5) var<storage, read_write> smallest_magnitude: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let weight_index = flat_index(id, WORKGROUP_SIZE);
    if (weight_index >= params.weight_count) { return; }
    let column = id.z * params.weight_count + weight_index;
    let columns = params.replicas * params.weight_count;
    var low = 0xffffffffu;
    var high = 0u;
    var smallest = 0xffffffffu;
    var seen = 0u;
    for (var window = 0u; window < params.windows; window++) {
        while (seen < windows[window]) {
            seen += 1u;
            let bits = history[(params.epochs - seen) * columns + column];
            let key = sortable_key(bits);
            low = min(low, key);
            high = max(high, key);
            smallest = min(smallest, magnitude_key(bits));
        }
        let place = window * columns + column;
        minimum[place] = from_sortable_key(low);
        maximum[place] = from_sortable_key(high);
        smallest_magnitude[place] = smallest;
    }
}
