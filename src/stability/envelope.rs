//! Beyond the paper: what a weight did in its last epochs. From minimum, maximum and smallest magnitude over windows follow
//! the settling tolerance, the frozen weights and the holding magnitude.

use super::History;
use crate::engine::{Engine, Envelope, HistoryShape};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// A weight is frozen if its weight did not change by one bit in this many last epochs (or in all, if there are fewer).
pub const FROZEN_WINDOW: u32 = 20;

/// The windows that are looked at when none are named, besides half of the epochs and all of them.
const DEFAULT_WINDOWS: [u32; 5] = [2, 5, 10, 20, 50];

/// Windows for a history of `epochs`: those asked for, or 2, 5, 10, 20, 50, half of the epochs and all, as far as they fit.
/// Ascending, each once.
///
/// Fails with [`Error::Usage`] if a window does not fit, or is given twice.
pub fn windows(asked: Option<&[u32]>, epochs: u32) -> Result<Vec<u32>> {
    let Some(asked) = asked else {
        let all = DEFAULT_WINDOWS.into_iter().chain([headline_window(epochs), epochs]);
        return Ok(all.filter(|&window| window <= epochs).collect::<BTreeSet<_>>().into_iter().collect());
    };
    for &window in asked {
        if !(1..=epochs).contains(&window) {
            return Err(Error::Usage(format!(
                "window {window} does not fit a history of {epochs} epochs; use 1 to {epochs}"
            )));
        }
    }
    let unique: BTreeSet<u32> = asked.iter().copied().collect();
    if unique.len() < asked.len() {
        return Err(Error::Usage("a window is given twice; name each once".into()));
    }
    Ok(unique.into_iter().collect())
}

/// The window that the headline numbers use: half of the epochs (at least 1), fixed before any run.
pub fn headline_window(epochs: u32) -> u32 {
    (epochs / 2).max(1)
}

/// What each weight did in some windows of last epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowedEnvelope {
    /// The windows, ascending.
    pub windows: Vec<u32>,
    /// Extremes `[window, replica, weight_index]`.
    pub extremes: Envelope,
    /// For each `[replica, weight_index]` whether the weight stood still to the bit in the last [`FROZEN_WINDOW`] epochs.
    pub frozen: Vec<bool>,
    shape: HistoryShape,
    reference: Vec<f32>,
}

impl WindowedEnvelope {
    /// Makes the envelope of `history` on `engine`; `windows` as [`windows`] gives them.
    ///
    /// Fails as [`Engine::envelope`] does.
    pub fn new(engine: &mut Engine, history: &History, windows: &[u32]) -> Result<Self> {
        let shape = history.shape();
        let columns = shape.columns();
        let frozen_window = FROZEN_WINDOW.min(shape.epochs as u32);
        let with_frozen: Vec<u32> =
            windows.iter().copied().chain([frozen_window]).collect::<BTreeSet<_>>().into_iter().collect();
        let mut extremes = engine.envelope(shape, history.weights(), &with_frozen)?;
        // Found: the frozen window was put in above.
        let place = with_frozen.partition_point(|&window| window < frozen_window) * columns;
        let frozen = extremes.minimum[place..place + columns]
            .iter()
            .zip(&extremes.maximum[place..place + columns])
            .map(|(minimum, maximum)| minimum == maximum)
            .collect();
        if with_frozen.len() > windows.len() {
            for values in [&mut extremes.minimum, &mut extremes.maximum, &mut extremes.smallest_magnitude] {
                values.drain(place..place + columns);
            }
        }
        Ok(Self { windows: windows.to_vec(), extremes, frozen, shape, reference: history.reference().to_vec() })
    }

    /// Whether each weight of a replica is frozen.
    pub fn frozen_of_replica(&self, replica: usize) -> &[bool] {
        &self.frozen[replica * self.shape.weight_count..][..self.shape.weight_count]
    }

    /// Holding magnitude of each weight of a replica: the smallest |w| that it had within the window with this index.
    pub fn holding_magnitude(&self, window: usize, replica: usize) -> &[f32] {
        let first = window * self.shape.columns() + replica * self.shape.weight_count;
        &self.extremes.smallest_magnitude[first..][..self.shape.weight_count]
    }

    /// Settling tolerance of a weight: the smallest relative tolerance at which it counts as stable over the whole window,
    /// `max(maximum - W_T, W_T - minimum) / |W_T|`; 0 if nothing moved, infinite if only the reference is 0.
    pub fn settling_tolerance(&self, window: usize, replica: usize, weight_index: usize) -> f64 {
        let column = replica * self.shape.weight_count + weight_index;
        let place = window * self.shape.columns() + column;
        settling_tolerance(self.reference[column], self.extremes.minimum[place], self.extremes.maximum[place])
    }

    /// [`Self::settling_tolerance`] of each weight of a replica.
    pub fn settling_tolerances(&self, window: usize, replica: usize) -> Vec<f64> {
        (0..self.shape.weight_count)
            .map(|weight_index| self.settling_tolerance(window, replica, weight_index))
            .collect()
    }
}

/// The smallest relative tolerance at which a weight held its last value `reference` over a window of these extremes; 0 if it
/// did not move, infinity if it moved and ended at 0.
pub fn settling_tolerance(reference: f32, minimum: f32, maximum: f32) -> f64 {
    let reference = f64::from(reference);
    let moved = (f64::from(maximum) - reference).max(reference - f64::from(minimum));
    if moved == 0.0 { 0.0 } else { moved / reference.abs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_windows_fit_the_epochs_and_ascend_and_others_must_fit() {
        assert_eq!(windows(None, 100).unwrap(), [2, 5, 10, 20, 50, 100]);
        assert_eq!(windows(None, 6).unwrap(), [2, 3, 5, 6]);
        assert_eq!(windows(None, 1).unwrap(), [1]);
        assert_eq!(windows(Some(&[5, 2]), 6).unwrap(), [2, 5]);
        for refused in [&[7][..], &[0], &[2, 2]] {
            assert!(windows(Some(refused), 6).is_err(), "{refused:?}");
        }
    }
}
