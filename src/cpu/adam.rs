//! Adam, in the form that Keras computes.

use super::{Real, mask};

/// Decay of the running mean of gradients.
pub const BETA1: f64 = 0.9;
/// Decay of the running mean of squared gradients.
pub const BETA2: f64 = 0.999;
/// Added to the root of the second moment, outside the bias correction.
pub const EPSILON: f64 = 1e-7;
/// The learning rate of the paper (section 4.2).
pub const LEARNING_RATE: f64 = 0.001;

/// `rate * sqrt(1 - beta2^t) / (1 - beta1^t)`, the bias-corrected rate of step `t = 1, 2, ...`. Always made in `f64` on
/// the host: a device's `pow` was seen wrong by 4e-3.
pub fn corrected_rate(t: u64) -> f64 {
    let t = t as f64;
    LEARNING_RATE * (1.0 - BETA2.powf(t)).sqrt() / (1.0 - BETA1.powf(t))
}

/// The mask of some parameters, and what a step does by it.
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a, T> {
    /// The first of them.
    pub offset: usize,
    /// State of each of them, see [`mask`].
    pub mask: &'a [u32],
    /// What decaying weights are multiplied by.
    pub decay: T,
}

/// One step on all parameters: `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p -= rate m / (sqrt(v) + epsilon)`,
/// where `rate` is [`corrected_rate`].
///
/// Where `masked` says that a weight is pruned, parameter and moments become and stay exactly 0; where it is decaying, the
/// parameter is multiplied by the decay behind the step. Twin of `shaders/adam/step.wgsl`. Source: Kingma & Ba 2015, section 2, last paragraph ("epsilon hat").
pub fn step<T: Real>(
    rate: T,
    gradient: &[T],
    masked: Option<Masked<'_, T>>,
    parameters: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    let (b1, b2) = (T::of(BETA1), T::of(BETA2));
    let (c1, c2) = (T::of(1.0 - BETA1), T::of(1.0 - BETA2));
    for (((p, m), v), &g) in parameters.iter_mut().zip(m.iter_mut()).zip(v.iter_mut()).zip(gradient) {
        *m = b1 * *m + c1 * g;
        *v = b2 * *v + c2 * (g * g);
        *p -= rate * *m / (v.sqrt() + T::of(EPSILON));
    }
    if let Some(Masked { offset, mask: states, decay }) = masked {
        mask::hold(states, &mut parameters[offset..], &mut m[offset..], &mut v[offset..]);
        mask::decay(states, decay, &mut parameters[offset..]);
    }
}
