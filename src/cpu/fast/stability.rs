//! Ranks, counts and envelopes of a piece of a history: columns `[replica, node]` that lie side by side, all epochs.
//!
//! Each streams its piece once, a row of an epoch at a time, so that the compiler compares a register of weights at once.
//! Definitions: [`crate::cpu::magnitude_sort`] and [`crate::cpu::stability`].

use crate::cpu::magnitude_sort::magnitude_key;
use crate::cpu::stability::{from_sortable_key, sortable_key};
use std::ops::Range;

/// `rank[i]` by descending magnitude, ties by lower index: one sort of integers that hold key and index.
pub fn rank(weights: &[f32], composite: &mut Vec<u64>, rank: &mut [u32]) {
    composite.clear();
    composite.extend((0u64..).zip(weights).map(|(index, &weight)| (u64::from(!magnitude_key(weight)) << 32) | index));
    composite.sort_unstable();
    for (place, &pair) in (0u32..).zip(composite.iter()) {
        rank[pair as u32 as usize] = place;
    }
}

/// Counts of some neighbouring columns of one replica, for all tolerances.
#[derive(Debug)]
pub struct PieceCounts {
    /// Magnitude stability `[tolerance, column]`.
    pub stability: Vec<u32>,
    /// Stable nodes among these columns `[tolerance, epoch]`.
    pub stable_nodes: Vec<u32>,
}

/// Counts the columns `piece` of a history with rows of `columns`; `lower` and `upper` `[tolerance, column of the
/// history]` are bounds as [`sortable_key`]s.
pub fn count(history: &[f32], columns: usize, piece: Range<usize>, lower: &[u32], upper: &[u32]) -> PieceCounts {
    let epochs = history.len() / columns;
    let tolerances = lower.len() / columns;
    let width = piece.len();
    let mut keys = vec![0u32; width];
    let mut unbroken = vec![1u32; tolerances * width];
    let mut counts = PieceCounts { stability: vec![0; tolerances * width], stable_nodes: vec![0; tolerances * epochs] };
    for epoch in (0..epochs).rev() {
        let row = &history[epoch * columns..][piece.clone()];
        keys.iter_mut().zip(row).for_each(|(key, &weight)| *key = sortable_key(weight));
        for tolerance in 0..tolerances {
            let bounds = tolerance * columns + piece.start..tolerance * columns + piece.end;
            let own = tolerance * width..(tolerance + 1) * width;
            let bounds = lower[bounds.clone()].iter().zip(&upper[bounds]);
            let state = counts.stability[own.clone()].iter_mut().zip(&mut unbroken[own]);
            let mut stable = 0;
            for ((&key, (&lower, &upper)), (stability, unbroken)) in keys.iter().zip(bounds).zip(state) {
                let inside = u32::from(lower <= key) & u32::from(key <= upper);
                stable += inside;
                *unbroken &= inside;
                *stability += *unbroken;
            }
            counts.stable_nodes[tolerance * epochs + epoch] = stable;
        }
    }
    counts
}

/// Extremes of some neighbouring columns, each `[window, column]`.
#[derive(Debug)]
pub struct PieceEnvelope {
    /// Smallest value.
    pub minimum: Vec<f32>,
    /// Largest value.
    pub maximum: Vec<f32>,
    /// Smallest magnitude.
    pub smallest_magnitude: Vec<f32>,
}

/// Extremes of the columns `piece` over the last `windows[w]` epochs; `windows` ascends.
pub fn envelope(history: &[f32], columns: usize, piece: Range<usize>, windows: &[u32]) -> PieceEnvelope {
    let epochs = history.len() / columns;
    let width = piece.len();
    let (mut low, mut high) = (vec![u32::MAX; width], vec![0u32; width]);
    let mut smallest = vec![u32::MAX; width];
    let room = || Vec::with_capacity(windows.len() * width);
    let mut envelope = PieceEnvelope { minimum: room(), maximum: room(), smallest_magnitude: room() };
    let mut window = windows.iter().peekable();
    for (seen, epoch) in (1u32..).zip((0..epochs).rev()) {
        let row = &history[epoch * columns..][piece.clone()];
        let extremes = low.iter_mut().zip(&mut high).zip(&mut smallest);
        for (&weight, ((low, high), smallest)) in row.iter().zip(extremes) {
            let key = sortable_key(weight);
            *low = key.min(*low);
            *high = key.max(*high);
            *smallest = magnitude_key(weight).min(*smallest);
        }
        while window.next_if(|&&window| window == seen).is_some() {
            envelope.minimum.extend(low.iter().map(|&key| from_sortable_key(key)));
            envelope.maximum.extend(high.iter().map(|&key| from_sortable_key(key)));
            envelope.smallest_magnitude.extend(smallest.iter().map(|&bits| f32::from_bits(bits)));
        }
    }
    envelope
}
