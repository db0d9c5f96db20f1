//! Ranks, counts and envelopes of a piece of a history: columns `[replica, node]` that lie side by side, all epochs.
//!
//! Each streams its piece once, a row of an epoch at a time, so that the compiler compares a register of weights at once.
//! Definitions: [`crate::cpu::magnitude_sort`] and [`crate::cpu::stability`].

use crate::cpu::magnitude_sort::magnitude_key;
use crate::cpu::stability::{from_sortable_key, sortable_key};
use std::ops::Range;

/// From so many weights on, three passes over memory are faster than comparing.
const RADIX_FROM: usize = 3000;
/// Where the digits of a key of 31 bits start, the lowest first.
const SHIFTS: [u32; 3] = [0, 11, 22];
/// Values of a digit: its counts stay in the first-level cache.
const DIGITS: usize = 1 << 11;

/// `rank[i]` by descending magnitude, ties by lower index: one sort of integers that hold key and index.
pub fn rank(weights: &[f32], composite: &mut Vec<u64>, rank: &mut [u32]) {
    if weights.len() >= RADIX_FROM {
        return rank_by_digits(weights, composite, rank);
    }
    composite.clear();
    composite.extend((0u64..).zip(weights).map(|(index, &weight)| (u64::from(descending_key(weight)) << 32) | index));
    composite.sort_unstable();
    for (place, &pair) in (0u32..).zip(composite.iter()) {
        rank[pair as u32 as usize] = place;
    }
}

/// A key of 31 bits that ascends where magnitudes descend.
fn descending_key(weight: f32) -> u32 {
    0x7fff_ffff - magnitude_key(weight)
}

/// [`rank`] by a radix sort: by the lowest digit first, each pass keeping the order within equal digits.
fn rank_by_digits(weights: &[f32], scratch: &mut Vec<u64>, rank: &mut [u32]) {
    let digit = |key: u32, pass: usize| (key >> SHIFTS[pass]) as usize & (DIGITS - 1);
    let mut places = vec![[0u32; DIGITS]; SHIFTS.len()];
    for &weight in weights {
        let key = descending_key(weight);
        places.iter_mut().enumerate().for_each(|(pass, counts)| counts[digit(key, pass)] += 1);
    }
    // From counts to where the keys of each digit start.
    for counts in &mut places {
        let mut start = 0;
        for count in counts {
            start += std::mem::replace(count, start);
        }
    }
    let mut take = |key: u32, pass: usize| {
        let place = &mut places[pass][digit(key, pass)];
        *place += 1;
        *place - 1
    };
    scratch.resize(2 * weights.len(), 0);
    let (first, second) = scratch.split_at_mut(weights.len());
    for (index, &weight) in (0u64..).zip(weights) {
        let key = descending_key(weight);
        first[take(key, 0) as usize] = (u64::from(key) << 32) | index;
    }
    for &mut pair in first {
        second[take((pair >> 32) as u32, 1) as usize] = pair;
    }
    for &mut pair in second {
        rank[pair as u32 as usize] = take((pair >> 32) as u32, 2);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::magnitude_sort;
    use crate::random::{Sequence, Stream};

    #[test]
    fn ranks_are_those_of_the_stable_sort_at_every_size() {
        let extremes = [0.0, -0.0, f32::from_bits(1), -f32::from_bits(2), 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY];
        let mut scratch = Vec::new();
        for nodes in [1, 2, 900, RADIX_FROM - 1, RADIX_FROM, RADIX_FROM + 1, 70_001, 5000] {
            let mut draws = Sequence::new(3, Stream::Check, nodes as u32, 0);
            let plain: Vec<f32> = (0..nodes).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect();
            let equal: Vec<f32> = (0..nodes).map(|_| extremes[draws.below(extremes.len() as u32) as usize]).collect();
            let ascending: Vec<f32> = (0..nodes).map(|i| f32::from_bits(i as u32 / 2)).collect();
            let descending: Vec<f32> = ascending.iter().rev().copied().collect();
            for weights in [plain, equal, ascending, descending] {
                let (mut found, mut expected) = (vec![u32::MAX; nodes], vec![0; nodes]);
                rank(&weights, &mut scratch, &mut found);
                magnitude_sort::rank(&weights, &mut expected);
                assert!(found == expected, "{nodes} nodes");
            }
        }
    }
}
