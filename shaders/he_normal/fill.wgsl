// he_normal.fill: initial weights of one tensor, normal with deviation sqrt(2 / fan_in), truncated at two deviations.
//
// One invocation owns one Philox block, that is four weights; z is the replica. Counter = (replica id, tensor, block,
// stream 0), so no weight depends on another or on its slot.
//   replica_ids  [replica]             read
//   parameters   [replica, parameter]  weights at `offset` written
// The quantile function is in shaders/prelude/truncated_normal.wgsl: no draw is rejected.
// with: grid, philox, truncated_normal

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    parameters: u32, // per replica
    offset: u32,     // first weight of the tensor
    weights: u32,    // weights of the tensor
    tensor: u32,     // its number
    key_low: u32,
    key_high: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> replica_ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> parameters: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let block = flat_index(id, WORKGROUP_SIZE);
    let first = block * 4u;
    if (first >= params.weights) { return; }
    let r = id.z;
    let words = philox(vec4u(replica_ids[r], params.tensor, block, 0u), vec2u(params.key_low, params.key_high));
    let place = r * params.parameters + params.offset + first;
    let remaining = params.weights - first;
    parameters[place] = truncated_normal(words.x) * params.scale;
    if (remaining > 1u) { parameters[place + 1u] = truncated_normal(words.y) * params.scale; }
    if (remaining > 2u) { parameters[place + 2u] = truncated_normal(words.z) * params.scale; }
    if (remaining > 3u) { parameters[place + 3u] = truncated_normal(words.w) * params.scale; }
}
