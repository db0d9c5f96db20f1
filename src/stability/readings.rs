//! How magnitude stability may be read where the paper leaves it open (protocol, section 4): what is followed back, how a
//! tolerance is meant, and what a weight is compared with.
//!
//! Kernels only ask how long values stay between fixed bounds. A reading turns a history and a tolerance into values and
//! bounds to count, and says which count belongs to which weight.

use crate::engine::{Counts, Engine, HistoryShape, Watch};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Epochs are ranked in groups of about this many weights, so that ranks never take as much memory as the history.
const WEIGHTS_RANKED_AT_ONCE: usize = 1 << 24;

/// Bounds that are made before anybody asks whether to stop.
const BOUNDS_AT_ONCE: usize = 1 << 20;

/// What is followed back through the epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Tracking {
    /// The weight in the same row and column.
    #[default]
    Position,
    /// The magnitude at the same place when weights are sorted by descending magnitude.
    Rank,
}

/// How far a weight may be from the value that it is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ToleranceKind {
    /// By a share of the last epoch's magnitude: `|W_t - W| <= tolerance * |W_T|`.
    #[default]
    Relative,
    /// By the tolerance itself: `|W_t - W| <= tolerance`.
    Absolute,
}

/// Which value a weight is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Against {
    /// That of the last epoch.
    #[default]
    Last,
    /// That of the epoch after it: counting back, the one looked at just before.
    Previous,
}

/// One way to read magnitude stability. The default is the one closest to the paper's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Reading {
    /// What is followed.
    pub tracking: Tracking,
    /// How a tolerance is meant.
    pub tolerance_kind: ToleranceKind,
    /// What a weight is compared with.
    pub against: Against,
}

impl Reading {
    /// Counts a history by this reading: magnitude stability `[tolerance, replica, weight_index]` and stable weights
    /// `[tolerance, epoch, replica]`; where ranks are followed, stable weights are stable places.
    pub(super) fn count(
        self,
        engine: &mut Engine,
        shape: HistoryShape,
        weights: &[f32],
        tolerances: &[f64],
        watch: &Watch<'_>,
    ) -> Result<Counts> {
        match self.tracking {
            Tracking::Position => self.count_followed(engine, shape, weights, tolerances, watch),
            Tracking::Rank => {
                let (magnitudes, places) = sorted(engine, shape, weights)?;
                let counts = self.count_followed(engine, shape, &magnitudes, tolerances, watch)?;
                Ok(Counts { stability: of_weights(shape, &counts.stability, &places), ..counts })
            }
        }
    }

    /// Counts what is followed, `[epoch, replica, place]`.
    fn count_followed(
        self,
        engine: &mut Engine,
        shape: HistoryShape,
        followed: &[f32],
        tolerances: &[f64],
        watch: &Watch<'_>,
    ) -> Result<Counts> {
        let kind = self.tolerance_kind;
        match self.against {
            Against::Last => {
                let reference = &followed[followed.len() - shape.columns()..];
                let [mut lower, mut upper] = [(); 2].map(|()| Vec::with_capacity(tolerances.len() * reference.len()));
                for &tolerance in tolerances {
                    for part in reference.chunks(BOUNDS_AT_ONCE) {
                        watch.check()?;
                        for (low, high) in part.iter().map(|&weight| bounds(weight, tolerance, kind)) {
                            lower.push(low);
                            upper.push(high);
                        }
                    }
                }
                engine.count(shape, followed, &lower, &upper)
            }
            Against::Previous => {
                let zeros = vec![0.0; shape.columns()];
                let mut all = Counts { stability: Vec::new(), stable_weights: Vec::new() };
                for &tolerance in tolerances {
                    let moved = moved(shape, followed, tolerance, kind);
                    let counts = engine.count(shape, &moved, &zeros, &zeros)?;
                    all.stability.extend(counts.stability);
                    all.stable_weights.extend(counts.stable_weights);
                }
                Ok(all)
            }
        }
    }
}

/// Magnitudes of each epoch and replica in descending order `[epoch, replica, place]`, and the place of each weight at the
/// last epoch `[replica, weight_index]`.
fn sorted(engine: &mut Engine, shape: HistoryShape, history: &[f32]) -> Result<(Vec<f32>, Vec<u32>)> {
    let mut magnitudes = vec![0.0; shape.len()];
    let mut places = Vec::new();
    let group = (WEIGHTS_RANKED_AT_ONCE / shape.columns()).max(1) * shape.columns();
    for (weights, magnitudes) in history.chunks(group).zip(magnitudes.chunks_mut(group)) {
        places = engine.rank(HistoryShape { epochs: weights.len() / shape.columns(), ..shape }, weights)?;
        let segments = weights.chunks(shape.weight_count).zip(places.chunks(shape.weight_count));
        for ((weights, places), magnitudes) in segments.zip(magnitudes.chunks_mut(shape.weight_count)) {
            for (weight, &place) in weights.iter().zip(places) {
                magnitudes[place as usize] = weight.abs();
            }
        }
    }
    Ok((magnitudes, places.split_off(places.len() - shape.columns())))
}

/// Gives the count of each place `[tolerance, replica, place]` to the weight that holds it at the last epoch.
fn of_weights(shape: HistoryShape, of_places: &[u32], places: &[u32]) -> Vec<u32> {
    let replicas = places.chunks(shape.weight_count).cycle();
    let segments = of_places.chunks(shape.weight_count).zip(replicas);
    segments.flat_map(|(counts, places)| places.iter().map(|&place| counts[place as usize])).collect()
}

/// 0 where a value lies within the tolerance of the next epoch's, and at the last epoch; 1 elsewhere. Epochs in which a
/// weight stays at 0 are those in which it was stable. A share is one of the last epoch's magnitude here too.
fn moved(shape: HistoryShape, followed: &[f32], tolerance: f64, kind: ToleranceKind) -> Vec<f32> {
    let next = &followed[shape.columns()..];
    let reference = &followed[followed.len() - shape.columns()..];
    let margins: Vec<f64> = reference.iter().map(|&weight| margin(weight, tolerance, kind)).collect();
    let mut moved = Vec::with_capacity(followed.len());
    moved.extend(followed.iter().zip(next).zip(margins.iter().cycle()).map(|((&value, &next), &margin)| {
        if (f64::from(value) - f64::from(next)).abs() <= margin { 0.0 } else { 1.0 }
    }));
    moved.resize(followed.len(), 0.0);
    moved
}

/// How far a value may lie from the one that it is compared with.
fn margin(reference: f32, tolerance: f64, kind: ToleranceKind) -> f64 {
    match kind {
        ToleranceKind::Relative => tolerance * f64::from(reference).abs(),
        ToleranceKind::Absolute => tolerance,
    }
}

/// The smallest and the largest single-precision number within the tolerance of a weight. Made once, in double precision
/// and rounded inwards; kernels only compare, so that counts are equal on every device.
fn bounds(reference: f32, tolerance: f64, kind: ToleranceKind) -> (f32, f32) {
    let (weight, margin) = (f64::from(reference), margin(reference, tolerance, kind));
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
    use crate::engine::Engine;
    use std::sync::atomic::AtomicBool;

    fn stability(reading: Reading, weights: &[f32], weight_count: usize, tolerance: f64) -> Vec<u32> {
        let shape = HistoryShape { epochs: weights.len() / weight_count, replicas: 1, weight_count };
        let mut engine = Engine::cpu(Some(1)).unwrap();
        reading
            .count(
                &mut engine,
                shape,
                weights,
                &[tolerance],
                &Watch { stop: &AtomicBool::new(false), progress: &|_| {} },
            )
            .unwrap()
            .stability
    }

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
    fn two_weights_that_swap_their_values_move_by_position_and_stand_still_by_rank() {
        let weights = [0.5, -0.25, -0.25, 0.5, 0.5, -0.25];
        let position = Reading::default();
        assert_eq!(stability(position, &weights, 2, 0.01), [1, 1]);
        let rank = Reading { tracking: Tracking::Rank, ..position };
        assert_eq!(stability(rank, &weights, 2, 0.01), [3, 3]);
    }

    #[test]
    fn the_stability_of_a_place_belongs_to_the_node_that_holds_it_at_the_end() {
        // Sorted: 0.9 0.1, 0.8 0.1; the small place stands still, and weight 0 holds it at the end.
        let weights = [0.9, 0.1, 0.1, 0.8];
        let rank = Reading { tracking: Tracking::Rank, ..Reading::default() };
        assert_eq!(stability(rank, &weights, 2, 0.01), [2, 1]);
    }

    #[test]
    fn a_slow_drift_is_stable_against_the_epoch_after_and_not_against_the_last() {
        let weights = [1.00, 1.02, 1.04, 1.06];
        assert_eq!(stability(Reading::default(), &weights, 1, 0.03), [2]);
        let previous = Reading { against: Against::Previous, ..Reading::default() };
        assert_eq!(stability(previous, &weights, 1, 0.03), [4]);
        let absolute = Reading { tolerance_kind: ToleranceKind::Absolute, ..previous };
        assert_eq!(stability(absolute, &weights, 1, 0.01), [1]);
    }

    #[test]
    fn rank_and_previous_go_together() {
        let weights = [1.00, 5.0, 5.0, -1.02, 1.04, 5.0];
        let reading = Reading { tracking: Tracking::Rank, against: Against::Previous, ..Reading::default() };
        assert_eq!(stability(reading, &weights, 2, 0.03), [3, 3]);
        assert_eq!(stability(reading, &weights, 2, 0.0), [1, 3]);
    }
}
