//! Magnitude stability (Riedel & Segev 2023, section 3): for how many last epochs each weight kept its value.

use super::{History, Reading, check_array};
use crate::engine::{Counts, Engine, HistoryShape, Watch};
use crate::error::{Error, Result};
use std::sync::atomic::AtomicBool;

/// Counts of a history for some tolerances.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// The tolerances, in the order asked for.
    pub tolerances: Vec<f64>,
    /// Magnitude stability `[tolerance, replica, weight_index]` and stable weights `[tolerance, epoch, replica]`.
    pub counts: Counts,
}

impl Stability {
    /// Counts `history` on `engine` by a reading.
    ///
    /// Fails with [`Error::Usage`] if a tolerance is impossible, see [`check_tolerances`].
    pub fn count(engine: &mut Engine, history: &History, tolerances: &[f64], reading: Reading) -> Result<Self> {
        check_tolerances(tolerances)?;
        let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
        let counts = reading.count(engine, history.shape(), history.weights(), tolerances, &watch)?;
        Ok(Self { tolerances: tolerances.to_vec(), counts })
    }

    /// The same of an array `[epoch, replica, weight_index]` that stays where it is.
    ///
    /// Fails as [`Self::count`] and [`check_array`] do.
    pub fn of_array(
        engine: &mut Engine,
        shape: HistoryShape,
        weights: &[f32],
        tolerances: &[f64],
        reading: Reading,
        watch: &Watch<'_>,
    ) -> Result<Self> {
        check_tolerances(tolerances)?;
        check_array(shape, weights, watch)?;
        let counts = reading.count(engine, shape, weights, tolerances, watch)?;
        Ok(Self { tolerances: tolerances.to_vec(), counts })
    }

    /// Magnitude stability of each weight of a replica, `1..=epochs`, at the tolerance with this index.
    pub fn of_replica(&self, tolerance: usize, history: &History, replica: usize) -> &[u32] {
        let shape = history.shape();
        &self.counts.stability[tolerance * shape.columns() + replica * shape.weight_count..][..shape.weight_count]
    }
}

/// Tolerances must be finite, not negative, and different from each other.
///
/// Fails with [`Error::Usage`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_tolerances_are_refused() {
        assert!(check_tolerances(&[0.01, f64::NAN]).is_err());
        assert!(check_tolerances(&[-0.01]).is_err());
        assert!(check_tolerances(&[0.03, 0.03]).is_err());
        assert!(check_tolerances(&[0.0, 0.03]).is_ok());
    }
}
