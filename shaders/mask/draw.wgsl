// mask.draw: a random number for each weight that is in one state, 0 for all others; ranked, they choose weights at random.
//
// One invocation owns one weight of a part, a tensor of the selection; z is the replica. Counter = (replica id, update,
// selected weight, stream 7), first word.
//   changes  [replica]            read
//   mask     [replica, masked]    read
//   draws    [replica, selected]  written at the part: bits of positive finite numbers
// with: grid, philox, change

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    weight_count: u32, // of the part
    start: u32,        // of its first weight among all selected ones
    selected: u32,     // weights of all parts
    masked: u32,       // parameters that the mask covers, per replica
    mask_offset: u32,  // the part's first weight among them
    state: u32,        // of the weights that take part
    key_low: u32,
    key_high: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> changes: array<Change>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> draws: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let weight_index = flat_index(id, WORKGROUP_SIZE);
    if (weight_index >= params.weight_count) { return; }
    let r = id.z;
    let change = changes[r];
    let drawn = vec4u(change.replica_id, change.update, params.start + weight_index, 7u);
    let words = philox(drawn, vec2u(params.key_low, params.key_high));
    let state = mask[r * params.masked + params.mask_offset + weight_index];
    // At most the bits of 2.0: above every 0, and no number that a comparison would treat differently.
    draws[r * params.selected + params.start + weight_index] = select(0u, (words.x >> 2u) + 1u, state == params.state);
}
