//! Every operating point that a trained net offers without retraining: criteria and controls with their settings.

use super::Method;
use super::masks::{Mask, RemovalOrder, by_stability, removed_weights};
use crate::stability::{History, Stability, WindowedEnvelope};
use std::collections::BTreeSet;

/// Rule of criteria that remove frozen weights before all others.
pub const FROZEN_FIRST: &str = "frozen-first";
/// Rule of criteria that treat frozen weights like all others.
pub const FROZEN_KEPT: &str = "frozen-kept";

/// Rule of criteria whose window was chosen by accuracy on the training set.
pub const CHOSEN_IN_TRAINING: &str = "chosen-in-training";

/// What is known of the trained nets: the numbers that criteria choose by.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    /// The recorded focus layers.
    pub history: &'a History,
    /// Magnitude stability for some tolerances.
    pub stability: &'a Stability,
    /// Extremes over windows, and which weights are frozen.
    pub envelope: &'a WindowedEnvelope,
    /// Seed of the random control.
    pub seed: u64,
    /// Sparsities `0..=1` that every criterion but magnitude stability is asked for.
    pub sparsities: &'a [f64],
}

/// One mask that a user could pick, and the settings that lead to it.
#[derive(Clone, Debug, Default)]
pub struct OperatingPoint {
    /// Which replica.
    pub replica: usize,
    /// Tolerance, for magnitude stability.
    pub tolerance: Option<f64>,
    /// Threshold, for magnitude stability.
    pub threshold: Option<u32>,
    /// Window, for settling tolerance and holding magnitude.
    pub window: Option<u32>,
    /// The weights that stay.
    pub kept: Mask,
}

/// All operating points of a method; `frozen_first` counts for settle and hold only.
///
/// Controls are asked for every sparsity, and for each number of weights that magnitude stability removes from the same
/// replica, so that both can be compared in pairs.
pub fn of_method(method: Method, frozen_first: bool, numbers: &Numbers<'_>) -> Vec<OperatingPoint> {
    let envelope = numbers.envelope;
    let weight_count = numbers.history.shape().weight_count;
    let magnitudes = |replica: usize| -> RemovalOrder {
        let weights = &numbers.history.reference()[replica * weight_count..][..weight_count];
        RemovalOrder::smallest_first(&weights.iter().map(|weight| weight.abs()).collect::<Vec<f32>>())
    };
    (0..numbers.history.shape().replicas)
        .flat_map(|replica| match method {
            Method::Stability => by_thresholds(numbers, replica),
            Method::Settle => by_windows(frozen_first, numbers, replica, |window| {
                RemovalOrder::largest_first(&envelope.settling_tolerances(window, replica))
            }),
            Method::Hold => by_windows(frozen_first, numbers, replica, |window| {
                RemovalOrder::smallest_first(envelope.holding_magnitude(window, replica))
            }),
            Method::Magnitude => controls(magnitudes(replica), numbers, replica),
            Method::MagnitudeFrozenFirst => {
                controls(magnitudes(replica).frozen_first(envelope.frozen_of_replica(replica)), numbers, replica)
            }
            Method::Random => {
                controls(RemovalOrder::random(numbers.seed, replica as u32, weight_count), numbers, replica)
            }
            // What scores by inputs needs their norms besides these numbers.
            Method::HoldInput | Method::Wanda | Method::Surgeon | Method::HoldSurgeon => Vec::new(),
            Method::Dense | Method::DecaySequential | Method::DecayBatched => Vec::new(),
        })
        .collect()
}

/// Every tolerance and threshold.
fn by_thresholds(numbers: &Numbers<'_>, replica: usize) -> Vec<OperatingPoint> {
    let epochs = numbers.history.shape().epochs as u32;
    let tolerances = numbers.stability.tolerances.iter().enumerate();
    tolerances
        .flat_map(|(index, &tolerance)| {
            let stability = numbers.stability.of_replica(index, numbers.history, replica);
            (1..=epochs).map(move |threshold| OperatingPoint {
                replica,
                tolerance: Some(tolerance),
                threshold: Some(threshold),
                kept: by_stability(stability, threshold),
                ..OperatingPoint::default()
            })
        })
        .collect()
}

/// Every window and sparsity of settle or hold, by the `order` over the window with an index.
fn by_windows(
    frozen_first: bool,
    numbers: &Numbers<'_>,
    replica: usize,
    order: impl Fn(usize) -> RemovalOrder,
) -> Vec<OperatingPoint> {
    let frozen = numbers.envelope.frozen_of_replica(replica);
    let windows = numbers.envelope.windows.iter().enumerate();
    windows
        .flat_map(|(index, &window)| {
            let order = if frozen_first { order(index).frozen_first(frozen) } else { order(index) };
            let removed = grid(numbers);
            removed.into_iter().map(move |removed| OperatingPoint {
                replica,
                window: Some(window),
                kept: order.mask(removed),
                ..OperatingPoint::default()
            })
        })
        .collect()
}

/// Every sparsity of a control that removes weights in this `order`, and every number that magnitude stability removes.
fn controls(order: RemovalOrder, numbers: &Numbers<'_>, replica: usize) -> Vec<OperatingPoint> {
    let matched = by_thresholds(numbers, replica);
    let matched = matched.iter().map(|point| point.kept.iter().filter(|&&kept| !kept).count());
    let removed: BTreeSet<usize> = grid(numbers).into_iter().chain(matched).collect();
    let point = |removed| OperatingPoint { replica, kept: order.mask(removed), ..OperatingPoint::default() };
    removed.into_iter().map(point).collect()
}

/// How many weights each asked sparsity removes.
fn grid(numbers: &Numbers<'_>) -> Vec<usize> {
    let weight_count = numbers.history.shape().weight_count;
    numbers.sparsities.iter().map(|&sparsity| removed_weights(sparsity, weight_count)).collect()
}
