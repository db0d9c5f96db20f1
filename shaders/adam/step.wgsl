// adam.step: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= rate * m / (sqrt(v) + epsilon), for all parameters.
//
// One invocation owns one parameter; z is the replica. Where the focus layer's mask is 0 (pruned), all three become
// exactly 0; where it is 2 (decaying), p is multiplied by `decay` behind the step.
//   gradient             [replica, parameter]  read
//   mask                 [replica, node]       read; nodes start at parameter `mask_offset`
//   parameters, m, v     [replica, parameter]  read and written
// `rate` is bias-corrected on the host in double precision: a device's pow is not good enough.
// Source: Kingma & Ba 2015, section 2, last paragraph, as Keras computes it. Bytes: 28 per parameter.

override WORKGROUP_SIZE: u32 = 64;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const ONE_MINUS_BETA1: f32 = 0.1;
const ONE_MINUS_BETA2: f32 = 0.001;
const EPSILON: f32 = 1e-7;

struct Params {
    parameters: u32,  // per replica
    mask_offset: u32, // parameter of the first node
    nodes: u32,       // of the focus layer
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
    if (parameter >= params.parameters) { return; }
    let r = id.z;
    let place = r * params.parameters + parameter;
    var state = 1u;
    if (parameter >= params.mask_offset && parameter - params.mask_offset < params.nodes) {
        state = mask[r * params.nodes + parameter - params.mask_offset];
        if (state == 0u) {
            parameters[place] = 0.0;
            m[place] = 0.0;
            v[place] = 0.0;
            return;
        }
    }
    let g = gradient[place];
    let mean = BETA1 * m[place] + ONE_MINUS_BETA1 * g;
    let square = BETA2 * v[place] + ONE_MINUS_BETA2 * (g * g);
    m[place] = mean;
    v[place] = square;
    let updated = parameters[place] - step.rate * mean / (sqrt(square) + EPSILON);
    parameters[place] = select(updated, updated * params.decay, state == 2u);
}
