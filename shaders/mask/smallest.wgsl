// mask.smallest: gives a state to the `count` selected weights that come last by rank, and lets the others be kept.
//
// One invocation owns one weight of a part, a tensor of the selection; z is the replica. A weight that was pruned stays
// pruned; weight and both moments of pruned weights become exactly 0.
//   rank              [replica, selected]   read: 0 is the largest magnitude
//   changes           [replica]             read
//   mask              [replica, masked]     read and written: 0 pruned, 1 kept, 2 decaying
//   parameters, m, v  [replica, parameter]  written at the pruned weights
// with: grid, states, change

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    weight_count: u32, // of the part
    start: u32,        // of its first weight among all selected ones
    selected: u32,     // weights of all parts
    parameters: u32,   // per replica
    offset: u32,       // parameter of the part's first weight
    masked: u32,       // parameters that the mask covers, per replica
    mask_offset: u32,  // the part's first weight among them
    state: u32,        // of the last weights: 0 or 2
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> rank: array<u32>;
@group(0) @binding(2) var<storage, read> changes: array<Change>;
@group(0) @binding(3) var<storage, read_write> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let weight_index = flat_index(id, WORKGROUP_SIZE);
    if (weight_index >= params.weight_count) { return; }
    let r = id.z;
    let own_rank = rank[r * params.selected + params.start + weight_index];
    let i = r * params.masked + params.mask_offset + weight_index;
    var state = select(params.state, KEPT, own_rank < params.selected - changes[r].count);
    if (mask[i] == PRUNED) { state = PRUNED; }
    mask[i] = state;
    if (state == PRUNED) {
        let place = r * params.parameters + params.offset + weight_index;
        parameters[place] = 0.0;
        m[place] = 0.0;
        v[place] = 0.0;
    }
}
