// mask.draw: a random number for each node that is in one state, 0 for all others; ranked, they choose nodes at random.
//
// One invocation owns one node; z is the replica. Counter = (replica id, update, node, stream 7), first word.
//   replica_ids  [replica]        read
//   mask         [replica, node]  read
//   draws        [replica, node]  written: bits of positive finite numbers

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    nodes: u32,
    update: u32, // tells the draws of one replica apart
    state: u32,  // of the nodes that take part
    key_low: u32,
    key_high: u32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> replica_ids: array<u32>;
@group(0) @binding(2) var<storage, read> mask: array<u32>;
@group(0) @binding(3) var<storage, read_write> draws: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let node = flat_index(id, WORKGROUP_SIZE);
    if (node >= params.nodes) { return; }
    let r = id.z;
    let i = r * params.nodes + node;
    let words = philox(vec4u(replica_ids[r], params.update, node, 7u), vec2u(params.key_low, params.key_high));
    // At most the bits of 2.0: above every 0, and no number that a comparison would treat differently.
    draws[i] = select(0u, (words.x >> 2u) + 1u, mask[i] == params.state);
}
