// mask.regrow: the weights that come first by rank are kept again, with a new weight from the layer's initial distribution.
//
// One invocation owns one weight of a part, a tensor of the selection; z is the replica. Counter = (replica id, update,
// selected weight, stream 7), second word: the first one chose the weight. Moments become 0; a weight is never 0.
//   changes           [replica]             read
//   rank              [replica, selected]   read
//   mask              [replica, masked]     written at the chosen weights
//   parameters, m, v  [replica, parameter]  written at the chosen weights
// with: grid, philox, truncated_normal, states, change

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    weight_count: u32, // of the part
    start: u32,        // of its first weight among all selected ones
    selected: u32,     // weights of all parts
    parameters: u32,   // per replica
    offset: u32,       // parameter of the part's first weight
    masked: u32,       // parameters that the mask covers, per replica
    mask_offset: u32,  // the part's first weight among them
    key_low: u32,
    key_high: u32,
    scale: f32,
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
    let change = changes[r];
    let selected = params.start + weight_index;
    if (rank[r * params.selected + selected] >= change.count) { return; }
    let words = philox(vec4u(change.replica_id, change.update, selected, 7u), vec2u(params.key_low, params.key_high));
    let place = r * params.parameters + params.offset + weight_index;
    mask[r * params.masked + params.mask_offset + weight_index] = KEPT;
    parameters[place] = truncated_normal(words.y) * params.scale;
    m[place] = 0.0;
    v[place] = 0.0;
}
