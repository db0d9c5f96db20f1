// adam.naive: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= rate * m / (sqrt(v) + epsilon), for every parameter.
//
// To begin reading with, never used by the engine: one invocation owns one parameter; z is the replica. A pruned weight
// (state 0) and its moments become 0, a decaying one (2) is multiplied by `decay`; all others are kept (1).
//   gradient             [replica, parameter]  read
//   mask                 [replica, masked]     read; it covers parameters from `mask_offset` on
//   parameters, m, v     [replica, parameter]  read and written, the first `updated` of each replica
// with: grid, step

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
    var state = 1u;
    let weight = parameter - params.mask_offset;
    if (weight < params.masked) { state = mask[id.z * params.masked + weight]; }
    let kept = f32(min(state, 1u));
    let place = id.z * params.parameters + parameter;
    let g = gradient[place];
    m[place] = kept * (0.9 * m[place] + 0.1 * g);
    v[place] = kept * (0.999 * v[place] + 0.001 * g * g);
    let updated = kept * (parameters[place] - step.rate * m[place] / (sqrt(v[place]) + 1e-7));
    parameters[place] = select(updated, params.decay * updated, state == 2u);
}
