//! Cases of `magnitude_sort.rank` and of the radix sort that ranks large layers.

use super::comparator::{Report, compare_exact};
use super::{Draws, Output, Setting, at_every_size, output, read, run};
use crate::cpu::magnitude_sort as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::magnitude_sort::{NAIVE, RADIX_RANK, RANK, Rank, RankArguments};

/// What the weights of a case are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Random numbers.
    Plain,
    /// Drawn from a few values, among them both zeros, denormals and infinities: many equal keys.
    Awkward,
    /// In the order that is asked for, each magnitude twice.
    Sorted,
    /// In the opposite order, each magnitude twice.
    Reversed,
}

/// Some epochs of some replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Epochs.
    pub epochs: usize,
    /// Replicas.
    pub replicas: usize,
    /// Weights of a segment.
    pub weight_count: usize,
    /// What they are like.
    pub weights: Weights,
    /// Whether the radix sort ranks them, whatever their number.
    pub radix: bool,
}

/// The cases that every device must pass: around a vector of keys, a workgroup and a tile, primes, and the paper's layer;
/// plain, and with many equal and extreme keys. The radix sort also on sorted weights and on layers of many tiles.
pub fn cases() -> Vec<Case> {
    let sizes = [(1, 1, 1), (2, 2, 3), (2, 3, 7), (1, 2, 8), (1, 1, 9), (2, 2, 63), (1, 2, 64), (1, 1, 65)];
    let large = [(2, 3, 900), (1, 1, 1024), (1, 1, 1031), (1, 1, 2048)];
    let radix = [(2, 2, 1), (2, 3, 65), (1, 2, 2047), (2, 1, 2048), (1, 3, 2049), (2, 2, 4099), (1, 2, 70_001)];
    let counted = sizes.into_iter().chain(large).flat_map(|(epochs, replicas, weight_count)| {
        [Weights::Plain, Weights::Awkward].map(|weights| Case { epochs, replicas, weight_count, weights, radix: false })
    });
    let sorted = radix.into_iter().flat_map(|(epochs, replicas, weight_count)| {
        [Weights::Plain, Weights::Awkward, Weights::Sorted, Weights::Reversed].map(|weights| Case {
            epochs,
            replicas,
            weight_count,
            weights,
            radix: true,
        })
    });
    counted.chain(sorted).collect()
}

pub(crate) fn weights(case: &Case) -> Vec<f32> {
    let mut draws = Draws::new(case.weight_count as u32);
    let len = case.epochs * case.replicas * case.weight_count;
    let places = 0..len as u32;
    match case.weights {
        Weights::Plain => draws.numbers(len),
        Weights::Awkward => {
            let denormal = f32::from_bits(1);
            let values =
                [0.0, -0.0, denormal, -denormal, f32::from_bits(2), 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, 0.5];
            draws.below(len, values.len() as u32).into_iter().map(|index| values[index as usize]).collect()
        }
        // Neighbours differ in the last bit; the signs of equal magnitudes alternate.
        Weights::Sorted => places.map(|i| f32::from_bits((0x7f00_0000 - i / 2) | (i << 31))).collect(),
        Weights::Reversed => places.map(|i| f32::from_bits((i / 2) | (i << 31))).collect(),
    }
}

/// Ranks the segments on the device, with a weight before them and one between two replicas.
pub fn rank(on: Setting<'_>, case: &Case) -> Result<Output> {
    let Setting { gpu, workgroup_size, .. } = on;
    let Case { epochs, replicas, weight_count, .. } = *case;
    let mut spread = vec![9.0];
    for segment in weights(case).chunks_exact(weight_count) {
        spread.extend_from_slice(segment);
        spread.push(9.0);
    }
    let rank = output(gpu, epochs * replicas * weight_count)?;
    let arguments = RankArguments {
        epochs,
        replicas,
        weight_count,
        offset: 1,
        epoch_stride: replicas * (weight_count + 1),
        replica_stride: weight_count + 1,
        weights: &Buffer::from_slice(gpu, "weights", &spread)?,
        rank: &rank,
    };
    let kernel = match on.naive {
        true => Rank::naive(workgroup_size),
        false if case.radix => Rank::radix(workgroup_size),
        false => Rank::new(workgroup_size),
    };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &name(case), |recorder| bound.record(recorder))?;
    read(gpu, &rank)
}

/// Compares a case with the twin, the standard library's stable sort.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Report> {
    let kernel = match on.naive {
        true => NAIVE.name,
        false if case.radix => RADIX_RANK.name,
        false => RANK.name,
    };
    Ok(compare_exact(kernel, name(case), &rank(on, case)?, &expected(case)))
}

/// The twin's ranks `[epoch, replica, weight_index]`.
pub(crate) fn expected(case: &Case) -> Vec<u32> {
    let weights = weights(case);
    let mut expected = vec![0; weights.len()];
    for (weights, rank) in weights.chunks_exact(case.weight_count).zip(expected.chunks_exact_mut(case.weight_count)) {
        twin::rank(weights, rank);
    }
    expected
}

pub(crate) fn name(case: &Case) -> String {
    let kind = match case.weights {
        Weights::Plain => "",
        Weights::Awkward => " equal keys",
        Weights::Sorted => " sorted",
        Weights::Reversed => " reversed",
    };
    let variant = if case.radix { " radix" } else { "" };
    format!("e{}_r{}_n{}{variant}{kind}", case.epochs, case.replicas, case.weight_count)
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    // The naive kernel counts in one loop, which drivers may cut short in large layers.
    let check = |on: Setting<'_>, case: &Case| {
        if on.naive && case.radix { Ok(Vec::new()) } else { Ok(vec![check(on, case)?]) }
    };
    at_every_size(settings, &cases(), |_| true, check)
}
