//! One criterion with its setting: which weights of each replica it removes.

use super::Method;
use super::masks::{Mask, by_stability, removed_weights};
use super::operating_points::removal_order;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::stability::{History, Reading, Stability, WindowedEnvelope, envelope};
use serde::Serialize;

/// How weights are chosen without retraining.
///
/// ```
/// use holdfast::engine::{Engine, HistoryShape};
/// use holdfast::error::Result;
/// use holdfast::pruning::criterion::Criterion;
/// use holdfast::stability::History;
///
/// // Two epochs of one replica of four weights; the second weight was near zero after the first epoch.
/// let shape = HistoryShape { epochs: 2, replicas: 1, weight_count: 4 };
/// let history = History::new(shape, vec![-0.6, 0.1, 0.4, 0.5, -0.7, 0.9, 0.3, 0.6])?;
/// let mut engine = Engine::cpu(None)?;
/// let mut kept = |criterion: Criterion| -> Result<Vec<bool>> {
///     Ok(criterion.select(&mut engine, &history)?.masks[0].to_vec())
/// };
/// assert_eq!(kept(Criterion::Magnitude { sparsity: 0.5 })?, [true, true, false, false]);
/// let hold = Criterion::Hold { window: 2, sparsity: 0.5, keep_frozen: false };
/// assert_eq!(kept(hold)?, [true, false, false, true]);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "criterion")]
pub enum Criterion {
    /// Magnitude stability below a threshold (Riedel & Segev 2023).
    #[serde(rename_all = "kebab-case")]
    Stability {
        /// How far a weight may move.
        tolerance: f64,
        /// Weights that were stable for fewer epochs are removed.
        min_stability: u32,
        /// How stability is read.
        reading: Reading,
    },
    /// Largest settling tolerance first.
    #[serde(rename_all = "kebab-case")]
    Settle {
        /// Window of last epochs.
        window: u32,
        /// Share of weights that are removed.
        sparsity: f64,
        /// Whether frozen weights are treated like all others, not removed first.
        keep_frozen: bool,
    },
    /// Smallest holding magnitude first.
    #[serde(rename_all = "kebab-case")]
    Hold {
        /// Window of last epochs.
        window: u32,
        /// Share of weights that are removed.
        sparsity: f64,
        /// Whether frozen weights are treated like all others, not removed first.
        keep_frozen: bool,
    },
    /// Smallest magnitude at the last epoch first.
    Magnitude {
        /// Share of weights that are removed.
        sparsity: f64,
    },
}

/// What a criterion chose.
#[derive(Clone, Debug)]
pub struct Selection {
    /// For each replica which weights are kept.
    pub masks: Vec<Mask>,
    /// For each `[replica, weight_index]` whether it is frozen.
    pub frozen: Vec<bool>,
}

impl Criterion {
    /// Refuses settings that a history of `epochs` does not allow.
    pub fn validate(&self, epochs: u32) -> Result<()> {
        match *self {
            Self::Stability { min_stability, .. } if !(1..=epochs).contains(&min_stability) => {
                Err(Error::Usage(format!(
                    "--min-stability {min_stability} does not fit a history of {epochs} epochs; use 1 (removes nothing) to \
                 {epochs}"
                )))
            }
            Self::Stability { tolerance, .. } => crate::stability::magnitude::check_tolerances(&[tolerance]),
            Self::Settle { window, sparsity, .. } | Self::Hold { window, sparsity, .. } => {
                check_sparsity(sparsity)?;
                envelope::windows(Some(&[window]), epochs).map(|_| ())
            }
            Self::Magnitude { sparsity } => check_sparsity(sparsity),
        }
    }

    /// Chooses the weights of each replica of `history`.
    ///
    /// Fails with [`Error::Usage`] if the settings do not fit the history.
    pub fn select(&self, engine: &mut Engine, history: &History) -> Result<Selection> {
        let shape = history.shape();
        self.validate(shape.epochs as u32)?;
        let window = match *self {
            Self::Settle { window, .. } | Self::Hold { window, .. } => window,
            Self::Stability { .. } | Self::Magnitude { .. } => 1,
        };
        let envelope = WindowedEnvelope::new(engine, history, &[window])?;
        let ordered = |method, sparsity, frozen_first| {
            let removed = removed_weights(sparsity, shape.weight_count);
            let order = |replica| removal_order(method, frozen_first, &envelope, 0, replica);
            (0..shape.replicas).map(|replica| order(replica).mask(removed)).collect()
        };
        let masks = match *self {
            Self::Stability { tolerance, min_stability, reading } => {
                let stability = Stability::count(engine, history, &[tolerance], reading)?;
                let mask = |replica| by_stability(stability.of_replica(0, history, replica), min_stability);
                (0..shape.replicas).map(mask).collect()
            }
            Self::Settle { sparsity, keep_frozen, .. } => ordered(Method::Settle, sparsity, !keep_frozen),
            Self::Hold { sparsity, keep_frozen, .. } => ordered(Method::Hold, sparsity, !keep_frozen),
            // Over a window of one epoch the holding magnitude is the magnitude.
            Self::Magnitude { sparsity } => ordered(Method::Hold, sparsity, false),
        };
        Ok(Selection { masks, frozen: envelope.frozen })
    }
}

fn check_sparsity(sparsity: f64) -> Result<()> {
    if (0.0..=1.0).contains(&sparsity) {
        return Ok(());
    }
    Err(Error::Usage(format!("--sparsity {sparsity} is not a share of the weights; use 0 to 1, e.g. 0.8 for 80 %")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, HistoryShape};

    /// Two replicas of four weights over three epochs; weight 3 is frozen.
    fn history() -> History {
        let epochs = [
            [0.1, 0.9, 0.4, 0.5, 0.2, 0.8, 0.3, 0.5],
            [0.5, 0.8, 0.4, 0.5, 0.2, 0.1, 0.3, 0.5],
            [0.6, 0.8, 0.4, 0.5, 0.2, 0.8, 0.9, 0.5],
        ];
        History::new(HistoryShape { epochs: 3, replicas: 2, weight_count: 4 }, epochs.concat()).unwrap()
    }

    fn masks(criterion: Criterion) -> Vec<Vec<bool>> {
        let selection = criterion.select(&mut Engine::cpu(Some(1)).unwrap(), &history()).unwrap();
        selection.masks.iter().map(|mask| mask.to_vec()).collect()
    }

    #[test]
    fn each_criterion_removes_what_its_number_says() {
        let ms = Criterion::Stability { tolerance: 0.01, min_stability: 2, reading: Reading::default() };
        assert_eq!(masks(ms), [[false, true, true, true], [true, false, false, true]]);
        assert_eq!(
            masks(Criterion::Magnitude { sparsity: 0.25 }),
            [[true, true, false, true], [false, true, true, true]]
        );
        // Smallest over three epochs: 0.1 0.8 0.4 0.5 and 0.2 0.1 0.3 0.5.
        let hold = |keep_frozen| Criterion::Hold { window: 3, sparsity: 0.5, keep_frozen };
        assert_eq!(masks(hold(true)), [[false, true, false, true], [false, false, true, true]]);
    }

    #[test]
    fn frozen_nodes_go_first_unless_they_are_kept() {
        // In replica 0 weights 2 and 3 are frozen, in replica 1 weights 0 and 3.
        let settle = |keep_frozen| Criterion::Settle { window: 3, sparsity: 0.25, keep_frozen };
        assert_eq!(masks(settle(true)), [[false, true, true, true], [true, false, true, true]]);
        assert_eq!(masks(settle(false)), [[true, true, false, true], [false, true, true, true]]);
    }

    #[test]
    fn settings_that_do_not_fit_are_refused() {
        let reading = Reading::default();
        for (criterion, named) in [
            (Criterion::Stability { tolerance: 0.01, min_stability: 4, reading }, "--min-stability 4"),
            (Criterion::Stability { tolerance: 0.01, min_stability: 0, reading }, "--min-stability 0"),
            (Criterion::Stability { tolerance: -1.0, min_stability: 1, reading }, "tolerance -1"),
            (Criterion::Hold { window: 4, sparsity: 0.5, keep_frozen: false }, "window 4"),
            (Criterion::Settle { window: 3, sparsity: 80.0, keep_frozen: false }, "--sparsity 80"),
            (Criterion::Magnitude { sparsity: f64::NAN }, "--sparsity NaN"),
        ] {
            let error = criterion.validate(3).unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains(named), "{error}");
        }
    }
}
