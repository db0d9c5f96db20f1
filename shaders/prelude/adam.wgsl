// prelude.adam: one step on one parameter: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= rate * m / (sqrt(v) + epsilon).
//
// `rate` is bias-corrected on the host in double precision: a device's pow is not good enough. `state` is what the
// mask says: where it is pruned, all three become exactly 0; where it is decaying, p is multiplied by `decay`
// after the step; other parameters are kept.
// Source: Kingma & Ba 2015, section 2, last paragraph, as Keras computes it. Twin: `step` in src/cpu/adam.rs.

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const ONE_MINUS_BETA1: f32 = 0.1;
const ONE_MINUS_BETA2: f32 = 0.001;
const EPSILON: f32 = 1e-7;

// A parameter and its two moments.
struct Trained {
    parameter: f32,
    m: f32,
    v: f32,
}

fn adam(before: Trained, gradient: f32, rate: f32, state: u32, decay: f32) -> Trained {
    let m = BETA1 * before.m + ONE_MINUS_BETA1 * gradient;
    let v = BETA2 * before.v + ONE_MINUS_BETA2 * (gradient * gradient);
    let updated = before.parameter - rate * m / (sqrt(v) + EPSILON);
    let parameter = select(updated, updated * decay, state == DECAYING);
    let kept = state != PRUNED;
    return Trained(select(0.0, parameter, kept), select(0.0, m, kept), select(0.0, v, kept));
}
