//! Cases of `magnitude_sort.rank`.

use super::comparator::{Report, compare_exact};
use super::{Draws, Output, output, read, run};
use crate::cpu::magnitude_sort as twin;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::magnitude_sort::{MOST_NODES, RANK, Rank, RankArguments};

/// Some epochs of some replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Epochs.
    pub epochs: usize,
    /// Replicas.
    pub replicas: usize,
    /// Nodes of a segment.
    pub nodes: usize,
    /// Whether weights are drawn from a few values, among them both zeros, denormals and infinities.
    pub awkward: bool,
}

/// The cases that every device must pass: around a vector of keys and a workgroup, primes, the paper's layer, and the
/// most nodes; plain, and with many equal and extreme keys.
pub fn cases() -> Vec<Case> {
    let sizes = [(1, 1, 1), (2, 2, 3), (2, 3, 7), (1, 2, 8), (1, 1, 9), (2, 2, 63), (1, 2, 64), (1, 1, 65)];
    let large = [(2, 3, 900), (1, 1, 1024), (1, 1, 1031), (1, 1, MOST_NODES)];
    let both = |(epochs, replicas, nodes)| [false, true].map(|awkward| Case { epochs, replicas, nodes, awkward });
    sizes.into_iter().chain(large).flat_map(both).collect()
}

fn weights(case: &Case) -> Vec<f32> {
    let mut draws = Draws::new(case.nodes as u32);
    let len = case.epochs * case.replicas * case.nodes;
    if !case.awkward {
        return draws.numbers(len);
    }
    let denormal = f32::from_bits(1);
    let values = [0.0, -0.0, denormal, -denormal, f32::from_bits(2), 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, 0.5];
    draws.below(len, values.len() as u32).into_iter().map(|index| values[index as usize]).collect()
}

/// Ranks the segments on the device, with a weight before them and one between two replicas.
pub fn rank(gpu: &Gpu, case: &Case) -> Result<Output> {
    let Case { epochs, replicas, nodes, .. } = *case;
    let mut spread = vec![9.0];
    for segment in weights(case).chunks_exact(nodes) {
        spread.extend_from_slice(segment);
        spread.push(9.0);
    }
    let rank = output(gpu, epochs * replicas * nodes)?;
    let arguments = RankArguments {
        epochs,
        replicas,
        nodes,
        offset: 1,
        epoch_stride: replicas * (nodes + 1),
        replica_stride: nodes + 1,
        weights: &Buffer::from_slice(gpu, "weights", &spread)?,
        rank: &rank,
    };
    let bound = Rank::new(gpu)?.bind(gpu, &arguments)?;
    run(gpu, |recorder| bound.record(recorder))?;
    read(gpu, &rank)
}

/// Compares a case with the twin, the standard library's stable sort.
pub fn check(gpu: &Gpu, case: &Case) -> Result<Report> {
    let weights = weights(case);
    let mut expected = vec![0; weights.len()];
    for (weights, rank) in weights.chunks_exact(case.nodes).zip(expected.chunks_exact_mut(case.nodes)) {
        twin::rank(weights, rank);
    }
    let kind = if case.awkward { " equal keys" } else { "" };
    let name = format!("e{}_r{}_n{}{kind}", case.epochs, case.replicas, case.nodes);
    Ok(compare_exact(RANK.name, name, &rank(gpu, case)?, &expected))
}

/// Checks all cases.
pub fn all(gpu: &Gpu) -> Result<Vec<Report>> {
    cases().iter().map(|case| check(gpu, case)).collect()
}
