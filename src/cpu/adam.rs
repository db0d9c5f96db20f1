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

/// How the learning rate moves over the steps of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateSchedule {
    /// It stays as it is.
    #[default]
    Constant,
    /// It falls along half a period of the cosine, to 0 behind the last of so many steps.
    Cosine {
        /// All steps that are planned.
        steps: u64,
    },
}

impl RateSchedule {
    /// The bias-corrected rate of step `t = 1, 2, ...`: [`corrected_rate`], for the cosine times
    /// `(1 + cos(pi (t - 1) / steps)) / 2`. Source: Loshchilov & Hutter 2017, equation 5, without restarts.
    pub fn rate(self, t: u64) -> f64 {
        match self {
            Self::Constant => corrected_rate(t),
            Self::Cosine { steps } => {
                let passed = t.saturating_sub(1).min(steps) as f64 / steps.max(1) as f64;
                corrected_rate(t) * (1.0 + (std::f64::consts::PI * passed).cos()) / 2.0
            }
        }
    }

    /// The rates of `count` steps after the first `taken`, as devices take them.
    pub fn rates(self, taken: u64, count: usize) -> Vec<f32> {
        (1..=count as u64).map(|step| self.rate(taken + step) as f32).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_at_the_whole_rate_halves_in_the_middle_and_ends_at_0() {
        let cosine = RateSchedule::Cosine { steps: 100 };
        let share = |t: u64| cosine.rate(t) / corrected_rate(t);
        assert_eq!(share(1), 1.0);
        assert!((share(51) - 0.5).abs() < 1e-15);
        assert!((share(26) - (1.0 + 0.5f64.sqrt()) / 2.0).abs() < 1e-15);
        // The last planned step still moves; behind it nothing does.
        assert!(share(100) > 0.0 && share(100) < 3e-4);
        assert_eq!([cosine.rate(101), cosine.rate(1000)], [0.0; 2]);
        assert!((1..100).all(|t| share(t + 1) < share(t)));
    }

    #[test]
    fn a_constant_rate_is_the_corrected_one_bit_for_bit() {
        let rates = RateSchedule::Constant.rates(4, 3);
        assert_eq!(rates, [5, 6, 7].map(|t| corrected_rate(t) as f32));
        assert_eq!(RateSchedule::Cosine { steps: 9 }.rates(0, 2)[1], RateSchedule::Cosine { steps: 9 }.rate(2) as f32);
    }
}
