// mask.apply: parameters of pruned networks: pruned[p] = parameters[p] where it is kept, else 0.
//
// One invocation owns one parameter of one point (z), a pruned network. Masks are bits: nothing else has to go up.
//   kept           [point, word]         read: a bit for each parameter, the first one the lowest
//   point_replica  [point]               read: whose parameters
//   parameters     [replica, parameter]  read
//   pruned         [point, parameter]    written
// Bytes: 8 and a bit per parameter.
// with: grid

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    parameters: u32, // per replica and point
    words: u32,      // per point
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> kept: array<u32>;
@group(0) @binding(2) var<storage, read> point_replica: array<u32>;
@group(0) @binding(3) var<storage, read> parameters: array<u32>;
@group(0) @binding(4) var<storage, read_write> pruned: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let parameter = flat_index(id, WORKGROUP_SIZE);
    if (parameter >= params.parameters) { return; }
    let point = id.z;
    let word = kept[point * params.words + parameter / 32u];
    let own = parameters[point_replica[point] * params.parameters + parameter];
    // As bits: a number that is not kept may be anything.
    pruned[point * params.parameters + parameter] = select(0u, own, ((word >> (parameter % 32u)) & 1u) == 1u);
}
