//! Cases of `mask.smallest`.

use super::comparator::{Report, compare_exact};
use super::{Draws, Output, bits, preset, read, run};
use crate::cpu::{magnitude_sort, mask as twin};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::mask::{SMALLEST, Smallest, SmallestArguments};

/// Parameters before the nodes, and behind them: all must stay.
const AROUND: usize = 5;

/// One pruning of some replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Nodes of the layer.
    pub nodes: usize,
    /// How many each replica removes.
    pub remove: Vec<u32>,
}

/// The cases that every device must pass: nothing, everything, around the workgroup, a prime, and the paper's layer.
pub fn cases() -> Vec<Case> {
    let case = |nodes, remove: &[u32]| Case { nodes, remove: remove.to_vec() };
    vec![
        case(1, &[0, 1]),
        case(63, &[62, 0, 63]),
        case(64, &[1, 64]),
        case(65, &[7, 33]),
        case(499, &[250]),
        case(900, &[0, 450, 899, 900]),
    ]
}

/// Seeded state before the pruning, with every fifth node masked before.
struct Arrays {
    rank: Vec<u32>,
    mask: Vec<u32>,
    state: [Vec<f32>; 3],
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new(case.nodes as u32);
        let stride = case.nodes + 2 * AROUND;
        let replicas = case.remove.len();
        let state = [(); 3].map(|()| draws.numbers(replicas * stride));
        let mut rank = vec![0; replicas * case.nodes];
        for (r, rank) in rank.chunks_exact_mut(case.nodes).enumerate() {
            magnitude_sort::rank(&state[0][r * stride + AROUND..][..case.nodes], rank);
        }
        let mask = draws.below(replicas * case.nodes, 5).into_iter().map(|draw| u32::from(draw > 0)).collect();
        Self { rank, mask, state }
    }
}

/// What the kernel changes: mask `[replica, node]`, then parameters, m and v `[replica, parameter]`.
pub fn smallest(gpu: &Gpu, case: &Case) -> Result<[Output; 4]> {
    let arrays = Arrays::new(case);
    let mask = preset(gpu, &arrays.mask)?;
    let [parameters, m, v] = arrays.state.each_ref().map(|array| preset(gpu, &bits(array)));
    let (parameters, m, v) = (parameters?, m?, v?);
    let arguments = SmallestArguments {
        replicas: case.remove.len(),
        nodes: case.nodes,
        parameters_per_replica: case.nodes + 2 * AROUND,
        offset: AROUND,
        rank: &Buffer::from_slice(gpu, "rank", &arrays.rank)?,
        remove: &Buffer::from_slice(gpu, "remove", &case.remove)?,
        mask: &mask,
        parameters: &parameters,
        m: &m,
        v: &v,
    };
    let bound = Smallest::new(gpu)?.bind(gpu, &arguments)?;
    run(gpu, |recorder| bound.record(recorder))?;
    Ok([read(gpu, &mask)?, read(gpu, &parameters)?, read(gpu, &m)?, read(gpu, &v)?])
}

/// Compares a case with the twin: all bits are equal.
pub fn check(gpu: &Gpu, case: &Case) -> Result<Vec<Report>> {
    let Arrays { rank, mut mask, mut state } = Arrays::new(case);
    let stride = case.nodes + 2 * AROUND;
    for (r, &remove) in case.remove.iter().enumerate() {
        let nodes = r * case.nodes..(r + 1) * case.nodes;
        let [parameters, m, v] = state.each_mut().map(|array| &mut array[r * stride + AROUND..][..case.nodes]);
        twin::smallest(&rank[nodes.clone()], remove as usize, &mut mask[nodes], parameters, m, v);
    }
    let expected = [mask, bits(&state[0]), bits(&state[1]), bits(&state[2])];
    let found = smallest(gpu, case)?;
    let name = format!("r{}_n{}", case.remove.len(), case.nodes);
    let arrays = ["mask", "parameters", "m", "v"].iter().zip(found.iter().zip(&expected));
    let compare = |(array, (found, expected)): (&&str, (&Output, &Vec<u32>))| {
        compare_exact(SMALLEST.name, format!("{name} {array}"), found, expected)
    };
    Ok(arrays.map(compare).collect())
}

/// Checks all cases.
pub fn all(gpu: &Gpu) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for case in &cases() {
        reports.extend(check(gpu, case)?);
    }
    Ok(reports)
}
