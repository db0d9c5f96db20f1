//! Ranks, counts and envelopes of a piece of a history: columns `[replica, weight_index]` that lie side by side, all epochs.
//!
//! Each streams its piece once, a row of an epoch at a time, and compares a register of weights at once.
//! Definitions: [`crate::cpu::magnitude_sort`] and [`crate::cpu::stability`].

use crate::cpu::magnitude_sort::magnitude_key;
use crate::cpu::stability::{Counts, Envelope};
use pulp::{Simd, WithSimd};
use std::convert::Infallible;
use std::ops::Range;

/// From so many weights on, three passes over memory are faster than comparing.
const RADIX_FROM: usize = 3000;
/// Where the digits of a key of 31 bits start, the lowest first.
const SHIFTS: [u32; 3] = [0, 11, 22];
/// Values of a digit: its counts stay in the first-level cache.
const DIGITS: usize = 1 << 11;
/// Weights between two looks at whether to go on: some milliseconds of a pass.
const PIECE: usize = 1 << 18;

/// `rank[i]` by descending magnitude, ties by lower index: one sort of integers that hold key and index.
pub fn rank(weights: &[f32], composite: &mut Vec<u64>, rank: &mut [u32]) {
    let Ok(()) = rank_while(weights, composite, rank, || Ok::<(), Infallible>(()));
}

/// [`rank`], as long as `go_on` does not fail: it is asked at the start and every few milliseconds.
pub fn rank_while<E>(
    weights: &[f32],
    composite: &mut Vec<u64>,
    rank: &mut [u32],
    go_on: impl Fn() -> Result<(), E>,
) -> Result<(), E> {
    go_on()?;
    if weights.len() >= RADIX_FROM {
        return rank_by_digits(weights, composite, rank, go_on);
    }
    composite.clear();
    composite.extend((0u64..).zip(weights).map(|(index, &weight)| (u64::from(descending_key(weight)) << 32) | index));
    composite.sort_unstable();
    for (place, &pair) in (0u32..).zip(composite.iter()) {
        rank[pair as u32 as usize] = place;
    }
    Ok(())
}

/// A key of 31 bits that ascends where magnitudes descend.
fn descending_key(weight: f32) -> u32 {
    0x7fff_ffff - magnitude_key(weight)
}

/// [`rank`] by a radix sort: by the lowest digit first, each pass keeping the order within equal digits.
fn rank_by_digits<E>(
    weights: &[f32],
    scratch: &mut Vec<u64>,
    rank: &mut [u32],
    go_on: impl Fn() -> Result<(), E>,
) -> Result<(), E> {
    let digit = |key: u32, pass: usize| (key >> SHIFTS[pass]) as usize & (DIGITS - 1);
    let mut places = vec![[0u32; DIGITS]; SHIFTS.len()];
    for weights in weights.chunks(PIECE) {
        go_on()?;
        for &weight in weights {
            let key = descending_key(weight);
            places.iter_mut().enumerate().for_each(|(pass, counts)| counts[digit(key, pass)] += 1);
        }
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
    if scratch.len() < 2 * weights.len() {
        // Zeros that the system has at hand, not written one by one.
        *scratch = vec![0; 2 * weights.len()];
    }
    let (first, second) = scratch[..2 * weights.len()].split_at_mut(weights.len());
    let mut index = 0u64;
    for weights in weights.chunks(PIECE) {
        go_on()?;
        for &weight in weights {
            let key = descending_key(weight);
            first[take(key, 0) as usize] = (u64::from(key) << 32) | index;
            index += 1;
        }
    }
    for pairs in first.chunks(PIECE) {
        go_on()?;
        for &pair in pairs {
            second[take((pair >> 32) as u32, 1) as usize] = pair;
        }
    }
    for pairs in second.chunks(PIECE) {
        go_on()?;
        for &pair in pairs {
            rank[pair as u32 as usize] = take((pair >> 32) as u32, 2);
        }
    }
    Ok(())
}

/// Epochs that are counted together: bounds and counts are loaded once for all of them, and the processor reads from as many
/// places of the history at once.
const EPOCHS: usize = 4;

/// Counts the columns `piece` of one replica in a history with rows of `columns`; `lower` and `upper` `[tolerance, column of the
/// history]` are bounds. This processor compares floating-point numbers exactly, so no keys are needed.
pub fn count(history: &[f32], columns: usize, piece: Range<usize>, lower: &[f32], upper: &[f32]) -> Counts {
    pulp::Arch::new().dispatch(Count { history, columns, piece, lower, upper })
}

/// See [`count`].
struct Count<'a> {
    history: &'a [f32],
    columns: usize,
    piece: Range<usize>,
    lower: &'a [f32],
    upper: &'a [f32],
}

impl WithSimd for Count<'_> {
    type Output = Counts;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Counts {
        let Self { history, columns, piece, lower, upper } = self;
        let epochs = history.len() / columns;
        let tolerances = lower.len() / columns;
        let width = piece.len();
        let mut counts =
            Counts { stability: vec![0; tolerances * width], stable_weights: vec![0; tolerances * epochs] };
        let row = |epoch: usize| &history[epoch * columns..][piece.clone()];
        let mut walked = 0;
        while walked < epochs {
            let last = epochs - 1 - walked;
            let together = if walked + EPOCHS <= epochs { EPOCHS } else { 1 };
            for tolerance in 0..tolerances {
                let bounds = tolerance * columns + piece.start..tolerance * columns + piece.end;
                let bounds = [&lower[bounds.clone()], &upper[bounds]];
                let own = &mut counts.stability[tolerance * width..(tolerance + 1) * width];
                let stable = &mut counts.stable_weights[tolerance * epochs..(tolerance + 1) * epochs];
                if together == EPOCHS {
                    let rows: [&[f32]; EPOCHS] = std::array::from_fn(|back| row(last - back));
                    for (back, found) in count_rows(simd, walked as u32, rows, bounds, own).into_iter().enumerate() {
                        stable[last - back] = found;
                    }
                } else {
                    [stable[last]] = count_rows(simd, walked as u32, [row(last)], bounds, own);
                }
            }
            walked += together;
        }
        counts
    }
}

/// Some epochs, the last one first, at one tolerance: how many weights of each are within their `bounds`. Those that have been
/// so in all epochs that were `walked` become more stable by one, epoch by epoch.
#[inline(always)]
fn count_rows<S: Simd, const E: usize>(
    simd: S,
    walked: u32,
    rows: [&[f32]; E],
    bounds: [&[f32]; 2],
    stability: &mut [u32],
) -> [u32; E] {
    let width = stability.len();
    let whole = width - width % S::F32_LANES;
    let mut registers: [&[S::f32s]; E] = [&[]; E];
    for (registers, row) in registers.iter_mut().zip(rows) {
        *registers = S::as_simd_f32s(&row[..whole]).0;
    }
    let [lower, upper] = bounds.map(|bounds| &bounds[..width]);
    let (zero, one, all) = (simd.splat_u32s(0), simd.splat_u32s(1), simd.splat_u32s(walked));
    let mut stable = [zero; E];
    let vectors = S::as_simd_f32s(&lower[..whole]).0.iter().zip(S::as_simd_f32s(&upper[..whole]).0);
    let vectors = vectors.zip(S::as_mut_simd_u32s(&mut stability[..whole]).0).enumerate();
    for (place, ((&lower, &upper), stability)) in vectors {
        let mut unbroken = simd.equal_u32s(*stability, all);
        for (registers, stable) in registers.iter().zip(&mut stable) {
            let weight = registers[place];
            let above = simd.less_than_or_equal_f32s(lower, weight);
            let inside = simd.and_m32s(above, simd.less_than_or_equal_f32s(weight, upper));
            // A sum that is kept or not is one instruction where there are masks.
            *stable = simd.select_u32s(inside, simd.add_u32s(*stable, one), *stable);
            unbroken = simd.and_m32s(inside, unbroken);
            *stability = simd.select_u32s(unbroken, simd.add_u32s(*stability, one), *stability);
        }
    }
    let mut totals = [0; E];
    for (epoch, ((total, stable), row)) in totals.iter_mut().zip(stable).zip(rows).enumerate() {
        *total = bytemuck::cast_slice::<S::u32s, u32>(&[stable]).iter().sum();
        for column in whole..width {
            let inside = u32::from(lower[column] <= row[column] && row[column] <= upper[column]);
            *total += inside;
            stability[column] += inside & u32::from(stability[column] == walked + epoch as u32);
        }
    }
    totals
}

/// Extremes of the columns `piece` over the last `windows[w]` epochs; `windows` ascends.
pub fn envelope(history: &[f32], columns: usize, piece: Range<usize>, windows: &[u32]) -> Envelope {
    pulp::Arch::new().dispatch(Extremes { history, columns, piece, windows })
}

/// See [`envelope`].
struct Extremes<'a> {
    history: &'a [f32],
    columns: usize,
    piece: Range<usize>,
    windows: &'a [u32],
}

impl WithSimd for Extremes<'_> {
    type Output = Envelope;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Envelope {
        let Self { history, columns, piece, windows } = self;
        let epochs = history.len() / columns;
        let width = piece.len();
        let mut low = vec![f32::INFINITY; width];
        let mut high = vec![f32::NEG_INFINITY; width];
        let mut smallest = low.clone();
        let room = || Vec::with_capacity(windows.len() * width);
        let mut envelope = Envelope { minimum: room(), maximum: room(), smallest_magnitude: room() };
        let mut window = windows.iter().peekable();
        for (seen, epoch) in (1u32..).zip((0..epochs).rev()) {
            let row = &history[epoch * columns..][piece.clone()];
            widen_row(simd, row, &mut low, &mut high, &mut smallest);
            while window.next_if(|&&window| window == seen).is_some() {
                envelope.minimum.extend_from_slice(&low);
                envelope.maximum.extend_from_slice(&high);
                envelope.smallest_magnitude.extend_from_slice(&smallest);
            }
        }
        envelope
    }
}

/// Takes one epoch into the running extremes. Adding 0 makes a 0 of -0, which the definition does too.
#[inline(always)]
fn widen_row<S: Simd>(simd: S, row: &[f32], low: &mut [f32], high: &mut [f32], smallest: &mut [f32]) {
    let (row, row_rest) = S::as_simd_f32s(row);
    let [(low, low_rest), (high, high_rest), (smallest, smallest_rest)] =
        [low, high, smallest].map(S::as_mut_simd_f32s);
    let zero = simd.splat_f32s(0.0);
    for ((&weight, (low, high)), smallest) in row.iter().zip(low.iter_mut().zip(high)).zip(smallest) {
        let weight = simd.add_f32s(weight, zero);
        *low = simd.min_f32s(weight, *low);
        *high = simd.max_f32s(weight, *high);
        *smallest = simd.min_f32s(simd.abs_f32s(weight), *smallest);
    }
    for ((&weight, (low, high)), smallest) in row_rest.iter().zip(low_rest.iter_mut().zip(high_rest)).zip(smallest_rest)
    {
        let weight = weight + 0.0;
        *low = weight.min(*low);
        *high = weight.max(*high);
        *smallest = weight.abs().min(*smallest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::magnitude_sort;
    use crate::cpu::stability::{self as definition, HistoryShape, sortable_key};
    use crate::random::{Sequence, Stream};
    use std::cell::Cell;

    #[test]
    fn ranks_are_those_of_the_stable_sort_at_every_size() {
        let extremes = [0.0, -0.0, f32::from_bits(1), -f32::from_bits(2), 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY];
        let mut scratch = Vec::new();
        for weight_count in [1, 2, 900, RADIX_FROM - 1, RADIX_FROM, RADIX_FROM + 1, 70_001, 5000] {
            let mut draws = Sequence::new(3, Stream::Check, weight_count as u32, 0);
            let plain: Vec<f32> = (0..weight_count).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect();
            let equal: Vec<f32> =
                (0..weight_count).map(|_| extremes[draws.below(extremes.len() as u32) as usize]).collect();
            let ascending: Vec<f32> = (0..weight_count).map(|i| f32::from_bits(i as u32 / 2)).collect();
            let descending: Vec<f32> = ascending.iter().rev().copied().collect();
            for weights in [plain, equal, ascending, descending] {
                let (mut found, mut expected) = (vec![u32::MAX; weight_count], vec![0; weight_count]);
                rank(&weights, &mut scratch, &mut found);
                magnitude_sort::rank(&weights, &mut expected);
                assert!(found == expected, "{weight_count} weights");
            }
        }
    }

    #[test]
    fn a_sort_ends_wherever_it_is_told_to() {
        let weights: Vec<f32> = (0..2 * PIECE).map(|place| (place * 7919 % 10_007) as f32).collect();
        let (mut scratch, mut found) = (Vec::new(), vec![0; weights.len()]);
        let mut ends_at = |most: u32| {
            let asked = Cell::new(0);
            let go_on = || {
                asked.set(asked.get() + 1);
                if asked.get() > most { Err(()) } else { Ok(()) }
            };
            (rank_while(&weights, &mut scratch, &mut found, go_on).is_ok(), asked.get())
        };
        // At the start, and at two pieces of each of four passes.
        assert_eq!(ends_at(u32::MAX), (true, 9));
        (0..9).for_each(|most| assert_eq!(ends_at(most), (false, most + 1)));
        // What a sort has left that was ended is nothing to the next.
        assert_eq!(ends_at(u32::MAX), (true, 9));
        let mut expected = vec![0; weights.len()];
        magnitude_sort::rank(&weights, &mut expected);
        assert!(found == expected);
    }

    #[test]
    fn counts_and_extremes_of_any_piece_are_those_of_the_definition() {
        let special = [0.0, -0.0, f32::from_bits(1), -f32::from_bits(3), f32::MIN_POSITIVE];
        for (epochs, columns) in [(1, 1), (5, 7), (30, 33), (12, 70)] {
            let mut draws = Sequence::new(3, Stream::Check, columns as u32, 1);
            let history: Vec<f32> = (0..epochs * columns)
                .map(|place| if place % 3 == 0 { special[draws.below(5) as usize] } else { draws.unit() as f32 - 0.5 })
                .collect();
            let last = &history[(epochs - 1) * columns..];
            let widened = |share: f32| last.iter().map(move |&weight| weight + share * weight.abs());
            let (lower, upper): (Vec<f32>, Vec<f32>) =
                (widened(-0.1).chain(widened(-2.0)).collect(), widened(0.1).chain(widened(2.0)).collect());
            let [low, high] =
                [&lower, &upper].map(|bounds| bounds.iter().copied().map(sortable_key).collect::<Vec<_>>());
            let shape = HistoryShape { epochs, replicas: 1, weight_count: columns };
            let (mut stability, mut stable_weights) = (vec![0; 2 * columns], vec![0; 2 * epochs]);
            definition::count(shape, &history, &low, &high, &mut stability, &mut stable_weights);
            let found = count(&history, columns, 0..columns, &lower, &upper);
            assert_eq!((found.stability, found.stable_weights), (stability.clone(), stable_weights));
            let piece = count(&history, columns, columns / 2..columns, &lower, &upper);
            assert_eq!(piece.stability[..columns - columns / 2], stability[columns / 2..columns]);

            let windows = if epochs == 1 { vec![1] } else { vec![1, 2, epochs as u32] };
            let mut expected = [(); 3].map(|()| vec![0.0f32; windows.len() * columns]);
            let [minimum, maximum, smallest] = &mut expected;
            definition::envelope(shape, &history, &windows, minimum, maximum, smallest);
            let found = envelope(&history, columns, 0..columns, &windows);
            let bits = |list: &[f32]| list.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            for (found, expected) in [found.minimum, found.maximum, found.smallest_magnitude].iter().zip(&expected) {
                assert_eq!(bits(found), bits(expected), "{epochs} epochs, {columns} columns");
            }
        }
    }
}
