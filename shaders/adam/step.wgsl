// adam.step: one Adam step on the parameters of all replicas, as prelude.adam computes it.
//
// One invocation owns one parameter; z is the replica.
//   gradient             [replica, parameter]  read
//   mask                 [replica, masked]     read; it covers parameters from `mask_offset` on
//   parameters, m, v     [replica, parameter]  read and written, the first `updated` of each replica
// Bytes: 28 per parameter.
// with: grid, step, states, adam

override WORKGROUP_SIZE: u32 = 64;

struct Params {
    parameters: u32,   // per replica
    updated: u32,      // of them, from the first on
    mask_offset: u32,  // the first parameter that the mask covers
    masked: u32,       // how many it covers
    decay: f32,
}

@group(0) @binding(0) var<storage, read> params: Params;
@group(0) @binding(1) var<storage, read> step: Step;
@group(0) @binding(2) var<storage, read> gradient: array<f32>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn main(@builtin(global_invocation_id) id: vec3u) {
    let parameter = flat_index(id, WORKGROUP_SIZE);
    if (parameter >= params.updated) { return; }
    let r = id.z;
    let place = r * params.parameters + parameter;
    var state = KEPT;
    if (parameter >= params.mask_offset && parameter - params.mask_offset < params.masked) {
        state = mask[r * params.masked + parameter - params.mask_offset];
    }
    let before = Trained(parameters[place], m[place], v[place]);
    let after = adam(before, gradient[place], step.rate, state, params.decay);
    parameters[place] = after.parameter;
    m[place] = after.m;
    v[place] = after.v;
}
