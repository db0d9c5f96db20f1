//! When to stop: the number of stable weights grows towards a plateau, and a replica that has reached it gains little from
//! more epochs (Riedel & Segev 2023 leave this to future work).

use crate::engine::Engine;
use crate::error::Result;
use crate::stability::{History, Reading, Stability};
use crate::statistics::growth::Growth;
use rayon::prelude::*;

/// For so many epochs a replica must stay at its plateau.
pub const LASTING: usize = 3;

/// The rule by which a replica stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// How much of the layer may still be missing to the plateau.
    pub share: f64,
    /// Tolerance of stable weights.
    pub tolerance: f64,
    /// How stable weights are counted.
    pub reading: Reading,
}

impl Plateau {
    /// For each of these replicas whether the last epoch of `history` finds it at its plateau: with that epoch as reference,
    /// the growth curve through the numbers of stable weights before it identifies the limit K, and less than the share is
    /// missing, (K − N) / weights, N being the number in the epoch before the last.
    ///
    /// Fails with [`crate::error::Error::Data`] if a weight of the last epoch is not finite.
    pub fn is_reached(&self, engine: &mut Engine, history: &History, replicas: &[usize]) -> Result<Vec<bool>> {
        let shape = history.shape();
        history.check_finite(shape.epochs - 1)?;
        let stability = Stability::count(engine, history, &[self.tolerance], self.reading)?;
        let numbers = &stability.counts.stable_weights;
        let reached = |&replica: &usize| -> bool {
            let before: Vec<(f64, f64)> = (1..shape.epochs)
                .zip(numbers.iter().skip(replica).step_by(shape.replicas))
                .map(|(epoch, &number)| (epoch as f64, f64::from(number)))
                .collect();
            self.is_plateau(&before, shape.weight_count)
        };
        Ok(replicas.par_iter().map(reached).collect())
    }

    /// Whether the growth of (epoch, number of stable weights) has come to its plateau.
    fn is_plateau(&self, points: &[(f64, f64)], weight_count: usize) -> bool {
        let (Some(growth), Some(&(_, last))) = (Growth::fit_quickly(points), points.last()) else { return false };
        growth.limit_is_identified && (growth.limit - last) / (weight_count as f64) < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_is_a_limit_that_is_known_and_near() {
        let rule = Plateau { share: 0.05, tolerance: 0.03, reading: Reading::default() };
        let logistic = |epochs: u32| -> Vec<(f64, f64)> {
            (1..=epochs)
                .map(|epoch| (f64::from(epoch), 800.0 / (1.0 + 79.0 * (-0.1 * f64::from(epoch)).exp())))
                .collect()
        };
        // K = 800 of 900 weights: 45 are missing from N = 755 on, which epoch 71.9 reaches.
        assert!(!rule.is_plateau(&logistic(71), 900));
        assert!(rule.is_plateau(&logistic(72), 900));
        // Growth without a limit, and too few epochs to see one.
        let exponential: Vec<_> = (1..=60).map(|t| (f64::from(t), (0.1 * f64::from(t)).exp())).collect();
        assert!(!rule.is_plateau(&exponential, 900));
        assert!(!rule.is_plateau(&logistic(2), 900) && !rule.is_plateau(&[], 900));
    }
}
