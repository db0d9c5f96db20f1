// mask.smallest: gives a state to the `count` nodes that come last by rank, and lets the others be kept.
//
// One invocation owns one node; z is the replica. A node that was pruned stays pruned; weight and both moments of pruned
// nodes become exactly 0.
//   rank              [replica, node]       read: 0 is the largest magnitude
//   count             [replica]             read
//   mask              [replica, node]       read and written: 0 pruned, 1 kept, 2 decaying
//   parameters, m, v  [replica, parameter]  written at the pruned nodes

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    nodes: u32,
    parameters: u32, // per replica
    offset: u32,     // parameter of the first node
    state: u32,      // of the last nodes: 0 or 2
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> rank: array<u32>;
@group(0) @binding(2) var<storage, read> count: array<u32>;
@group(0) @binding(3) var<storage, read_write> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let node = flat_index(id, WORKGROUP_SIZE);
    if (node >= params.nodes) { return; }
    let r = id.z;
    let i = r * params.nodes + node;
    var state = select(params.state, KEPT, rank[i] < params.nodes - count[r]);
    if (mask[i] == PRUNED) { state = PRUNED; }
    mask[i] = state;
    if (state == PRUNED) {
        let place = r * params.parameters + params.offset + node;
        parameters[place] = 0.0;
        m[place] = 0.0;
        v[place] = 0.0;
    }
}
