// mask.naive: gives a state to the `count` selected weights that come last by rank, and lets the others be kept.
//
// To begin reading with, never used by the engine: one invocation owns one weight of a part; z is the replica. States are
// 0 pruned, 1 kept, 2 decaying. What was pruned stays so; a pruned weight and its moments are 0.
//   rank, changes     [replica, selected], [replica]  read: rank 0 is the largest magnitude
//   mask              [replica, masked]               read and written
//   parameters, m, v  [replica, parameter]            written at the pruned weights
// with: grid, change

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
    let weight = flat_index(id, WORKGROUP_SIZE);
    if (weight >= params.weight_count) { return; }
    let own_rank = rank[id.z * params.selected + params.start + weight];
    let is_last = own_rank >= params.selected - changes[id.z].count;
    let i = id.z * params.masked + params.mask_offset + weight;
    if (mask[i] != 0u) { mask[i] = select(1u, params.state, is_last); }
    if (mask[i] != 0u) { return; }
    let place = id.z * params.parameters + params.offset + weight;
    parameters[place] = 0.0;
    m[place] = 0.0;
    v[place] = 0.0;
}
