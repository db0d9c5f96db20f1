//! Magnitude stability (Riedel & Segev 2023, section 3): for how many last epochs each weight kept its value.

use super::History;
use crate::engine::{Counts, Engine};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How far a weight may be from its reference value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToleranceKind {
    /// By a share of the reference's magnitude: `|W_t - W_T| <= tolerance * |W_T|`.
    #[default]
    Relative,
    /// By the tolerance itself: `|W_t - W_T| <= tolerance`.
    Absolute,
}

/// Counts of a history for some tolerances.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// The tolerances, in the order asked for.
    pub tolerances: Vec<f64>,
    /// Magnitude stability `[tolerance, replica, node]` and stable nodes `[tolerance, epoch, replica]`.
    pub counts: Counts,
}

impl Stability {
    /// Counts `history` on `engine` with the weights of the last epoch as reference.
    pub fn count(engine: &mut dyn Engine, history: &History, tolerances: &[f64], kind: ToleranceKind) -> Result<Self> {
        check_tolerances(tolerances)?;
        let bounds = tolerances
            .iter()
            .flat_map(|&tolerance| history.reference().iter().map(move |&weight| bounds(weight, tolerance, kind)));
        let (lower, upper): (Vec<f32>, Vec<f32>) = bounds.unzip();
        let counts = engine.count(history.shape(), history.weights(), &lower, &upper)?;
        Ok(Self { tolerances: tolerances.to_vec(), counts })
    }

    /// Magnitude stability of each node of a replica, `1..=epochs`, at the tolerance with this index.
    pub fn of_replica(&self, tolerance: usize, history: &History, replica: usize) -> &[u32] {
        let shape = history.shape();
        &self.counts.stability[tolerance * shape.columns() + replica * shape.nodes..][..shape.nodes]
    }
}

/// Tolerances must be finite, not negative, and different from each other.
pub fn check_tolerances(tolerances: &[f64]) -> Result<()> {
    for (index, &tolerance) in tolerances.iter().enumerate() {
        if !tolerance.is_finite() || tolerance < 0.0 {
            return Err(Error::Usage(format!(
                "tolerance {tolerance} is not a number of at least 0; e.g. --tolerance 0.01,0.03,0.05"
            )));
        }
        if tolerances[..index].contains(&tolerance) {
            return Err(Error::Usage(format!("tolerance {tolerance} is given twice; name each once")));
        }
    }
    Ok(())
}

/// The smallest and the largest single-precision number within the tolerance of a reference weight. Made once, in double
/// precision and rounded inwards; kernels only compare, so that counts are equal on every device.
fn bounds(reference: f32, tolerance: f64, kind: ToleranceKind) -> (f32, f32) {
    let weight = f64::from(reference);
    let margin = match kind {
        ToleranceKind::Relative => tolerance * weight.abs(),
        ToleranceKind::Absolute => tolerance,
    };
    let (low, high) = (weight - margin, weight + margin);
    let (lower, upper) = (low as f32, high as f32);
    (
        if f64::from(lower) < low { lower.next_up() } else { lower },
        if f64::from(upper) > high { upper.next_down() } else { upper },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_outermost_numbers_within_the_tolerance() {
        for reference in [0.3f32, -0.017, 1e-40, 0.0, -0.0, 123.456] {
            for tolerance in [0.0, 0.01, 0.03, 0.05] {
                let within = |value: f32| {
                    (f64::from(value) - f64::from(reference)).abs() <= tolerance * f64::from(reference).abs()
                };
                let (lower, upper) = bounds(reference, tolerance, ToleranceKind::Relative);
                assert!(within(lower) && within(upper), "{reference} {tolerance}");
                assert!(!within(lower.next_down()) && !within(upper.next_up()), "{reference} {tolerance}");
            }
        }
    }

    #[test]
    fn impossible_tolerances_are_refused() {
        assert!(check_tolerances(&[0.01, f64::NAN]).is_err());
        assert!(check_tolerances(&[-0.01]).is_err());
        assert!(check_tolerances(&[0.03, 0.03]).is_err());
        assert!(check_tolerances(&[0.0, 0.03]).is_ok());
    }
}
