// he_normal.naive: initial weights of one tensor, normal with deviation sqrt(2 / fan_in), truncated at two deviations.
//
// To begin reading with, never used by the engine: one invocation owns one weight and throws three words of its Philox
// block away; z is the replica.
//   replica_ids  [replica]             read
//   parameters   [replica, parameter]  weights at `offset` written
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
    let weight = flat_index(id, WORKGROUP_SIZE);
    if (weight >= params.weights) { return; }
    let counter = vec4u(replica_ids[id.z], params.tensor, weight / 4u, 0u);
    let words = philox(counter, vec2u(params.key_low, params.key_high));
    let place = id.z * params.parameters + params.offset + weight;
    parameters[place] = truncated_normal(words[weight % 4u]) * params.scale;
}
