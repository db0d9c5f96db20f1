//! Cases of `mask.smallest`, `mask.draw`, `mask.regrow` and `mask.apply`.

use super::comparator::{EPSILON, Expected, Report, compare, compare_exact};
use super::{
    Draws, Output, Setting, at_every_size, bits, exact, he_normal::ULP, output, part, preset, read, run, widen,
};
use crate::cpu::{magnitude_sort, mask as twin};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::mask::{
    APPLY, Apply, ApplyArguments, Change, DRAW, Draw, DrawArguments, MaskedPart, REGROW, RankedState, Regrow,
    RegrowArguments, Smallest, SmallestArguments,
};
use std::ops::Range;

/// Parameters before the weights, and after them: all must stay.
const AROUND: usize = 5;
/// Of these the mask covers so many before the weights and after them, which belong to other layers.
const MASKED_AROUND: usize = 2;
/// Selected weights of other parts before those of the case, and after them.
const OTHERS: usize = 3;

/// Key of the draws, with both halves in use.
const SEED: u64 = 7 << 33 | 5;
/// Scale of regrown weights.
const SCALE: f32 = 0.29;

/// One change of the masks of some replicas.
#[derive(Clone)]
pub(super) struct Case {
    weight_count: usize,
    /// How many weights of each replica it is about.
    count: Vec<u32>,
    /// The state that `mask.smallest` gives, or whose weights `mask.draw` draws for.
    state: u32,
}

impl Case {
    fn name(&self) -> String {
        format!("r{}_n{} state {}", self.count.len(), self.weight_count, self.state)
    }

    /// Parameters of a replica.
    fn stride(&self) -> usize {
        self.weight_count + 2 * AROUND
    }

    /// Selected weights of a replica.
    fn selected(&self) -> usize {
        self.weight_count + 2 * OTHERS
    }

    /// Parameters of a replica that the mask covers.
    fn masked(&self) -> usize {
        self.weight_count + 2 * MASKED_AROUND
    }

    /// Where the weights of the case lie.
    fn part(&self) -> MaskedPart {
        MaskedPart {
            weight_count: self.weight_count,
            start: OTHERS,
            selected: self.selected(),
            offset: AROUND,
            parameters_per_replica: self.stride(),
            masked: AROUND - MASKED_AROUND..AROUND + self.weight_count + MASKED_AROUND,
        }
    }

    /// The weights of replica `r` in an array of selected weights, in the mask, and in an array of parameters.
    fn own(&self, r: usize) -> [Range<usize>; 3] {
        let firsts = [r * self.selected() + OTHERS, r * self.masked() + MASKED_AROUND, r * self.stride() + AROUND];
        firsts.map(|first| first..first + self.weight_count)
    }
}

/// The cases that every device must pass: nothing, everything, around the workgroup, a prime, and the paper's layer.
fn cases() -> Vec<Case> {
    let case = |weight_count, count: &[u32]| Case { weight_count, count: count.to_vec(), state: twin::PRUNED };
    let pruning = [
        case(1, &[0, 1]),
        case(63, &[62, 0, 63]),
        case(64, &[1, 64]),
        case(65, &[7, 33]),
        case(499, &[250]),
        case(900, &[0, 450, 899, 900]),
        case(130, &[136, 3]),
    ];
    let decaying = pruning.clone().map(|case| Case { state: twin::DECAYING, ..case });
    pruning.into_iter().chain(decaying).collect()
}

/// Seeded state before the change: two weights of five are pruned or decaying.
struct Arrays {
    rank: Vec<u32>,
    mask: Vec<u32>,
    state: [Vec<f32>; 3],
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new(case.weight_count as u32);
        let replicas = case.count.len();
        let state = [(); 3].map(|()| draws.numbers(replicas * case.stride()));
        // Ranked together with the weights of other parts.
        let mut scores = draws.numbers(replicas * case.selected());
        for r in 0..replicas {
            let [weights, _, parameters] = case.own(r);
            scores[weights].copy_from_slice(&state[0][parameters]);
        }
        let mut rank = vec![0; scores.len()];
        for (scores, rank) in scores.chunks_exact(case.selected()).zip(rank.chunks_exact_mut(case.selected())) {
            magnitude_sort::rank(scores, rank);
        }
        let mask = draws
            .below(replicas * case.masked(), 5)
            .into_iter()
            .map(|draw| if draw > 2 { twin::KEPT } else { draw })
            .collect();
        Self { rank, mask, state }
    }
}

/// The arrays on the device: mask `[replica, masked]`, then parameters, m and v `[replica, parameter]`.
struct Held {
    rank: Buffer<u32>,
    changes: Buffer<Change>,
    mask: Buffer<u32>,
    state: [Buffer<f32>; 3],
}

impl Held {
    fn new(gpu: &Gpu, case: &Case, arrays: &Arrays) -> Result<Self> {
        let [parameters, m, v] = arrays.state.each_ref().map(|array| preset(gpu, &bits(array)));
        Ok(Self {
            rank: Buffer::from_slice(gpu, "rank", &arrays.rank)?,
            changes: changes(gpu, case)?,
            mask: preset(gpu, &arrays.mask)?,
            state: [parameters?, m?, v?],
        })
    }

    fn ranked(&self) -> RankedState<'_> {
        let Self { rank, changes, mask, state: [parameters, m, v] } = self;
        RankedState { rank, changes, mask, parameters, m, v }
    }

    fn read(&self, gpu: &Gpu) -> Result<[Output; 4]> {
        let [parameters, m, v] = &self.state;
        Ok([read(gpu, &self.mask)?, read(gpu, parameters)?, read(gpu, m)?, read(gpu, v)?])
    }
}

/// Compares `mask.smallest` with the twin: all bits are equal.
fn check_smallest(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let (gpu, arrays) = (on.gpu, Arrays::new(case));
    let held = Held::new(gpu, case, &arrays)?;
    let arguments = SmallestArguments { part: &case.part(), state: case.state, ranked: held.ranked() };
    let kernel = if on.naive { Smallest::naive } else { Smallest::new };
    let bound = kernel(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    let Arrays { rank, mut mask, mut state } = arrays;
    for (r, &count) in case.count.iter().enumerate() {
        let [weights, masked, place] = case.own(r);
        let [parameters, m, v] = state.each_mut().map(|array| &mut array[place.clone()]);
        let kept = case.selected() as u32 - count;
        twin::smallest(&rank[weights], kept, case.state, &mut mask[masked], parameters, m, v);
    }
    let [of_mask, parameters, m, v] = held.read(gpu)?;
    let arrays = [
        ("mask", of_mask, mask),
        ("parameters", parameters, bits(&state[0])),
        ("m", m, bits(&state[1])),
        ("v", v, bits(&state[2])),
    ];
    Ok(exact(bound.name(), &case.name(), arrays))
}

/// The draws of a replica of the case; its ids are the largest that there are.
fn draws_of(replica: usize) -> twin::Draws {
    twin::Draws { seed: SEED, replica_id: u32::MAX - 3 * replica as u32, update: 3, first: OTHERS as u32 }
}

/// The same as the kernels are told.
fn changes(gpu: &Gpu, case: &Case) -> Result<Buffer<Change>> {
    let change = |(replica, &count): (usize, &u32)| {
        let twin::Draws { replica_id, update, .. } = draws_of(replica);
        Change::new(replica_id, update, count)
    };
    Buffer::from_slice(gpu, "changes", &case.count.iter().enumerate().map(change).collect::<Vec<_>>())
}

/// Compares the draws `[replica, selected]` for the weights that are in the case's state with the twin: all bits are equal.
fn check_draw(on: Setting<'_>, case: &Case) -> Result<Report> {
    let (gpu, arrays) = (on.gpu, Arrays::new(case));
    let replicas = case.count.len();
    let draws = output(gpu, replicas * case.selected())?;
    let arguments = DrawArguments {
        part: &case.part(),
        state: case.state,
        seed: SEED,
        changes: &changes(gpu, case)?,
        mask: &Buffer::from_slice(gpu, "mask", &arrays.mask)?,
        draws: &draws,
    };
    let bound = Draw::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    let mut expected = Vec::new();
    for replica in 0..replicas {
        let mut draws = vec![0.0; case.weight_count];
        let [_, masked, _] = case.own(replica);
        twin::draw(draws_of(replica), case.state, &arrays.mask[masked], &mut draws);
        expected.extend(draws);
    }
    let found = part(read(gpu, &draws)?, case.selected(), OTHERS..OTHERS + case.weight_count);
    Ok(compare_exact(DRAW.name, case.name(), &found, &bits(&expected)))
}

/// Compares `mask.regrow` with the twin: mask and moments are equal, new weights as close as initial ones, all others equal.
fn check_regrow(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let (gpu, arrays) = (on.gpu, Arrays::new(case));
    let held = Held::new(gpu, case, &arrays)?;
    let arguments = RegrowArguments { part: &case.part(), seed: SEED, scale: SCALE, ranked: held.ranked() };
    let bound = Regrow::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    let Arrays { rank, mut mask, state } = arrays;
    let [mut parameters, mut m, mut v] = state.each_ref().map(|array| widen(array));
    let before = parameters.clone();
    for (r, &count) in case.count.iter().enumerate() {
        let [weights, masked, place] = case.own(r);
        let [parameters, m, v] = [&mut parameters, &mut m, &mut v].map(|array| &mut array[place.clone()]);
        let (rank, mask) = (&rank[weights], &mut mask[masked]);
        twin::regrow(draws_of(r), f64::from(SCALE), rank, count, mask, parameters, m, v);
    }
    let (found, name) = (held.read(gpu)?, case.name());
    let weights: Vec<Expected> = parameters
        .iter()
        .zip(&before)
        .map(|(&value, &before)| {
            let tolerance = if value == before { 0.0 } else { ULP * EPSILON * value.abs() };
            Expected { value, tolerance }
        })
        .collect();
    let exact = |values: &[f64]| values.iter().map(|&value| Expected { value, tolerance: 0.0 }).collect::<Vec<_>>();
    Ok(vec![
        compare_exact(REGROW.name, format!("{name} mask"), &found[0], &mask),
        compare(REGROW.name, format!("{name} parameters"), &found[1], &weights),
        compare(REGROW.name, format!("{name} m"), &found[2], &exact(&m)),
        compare(REGROW.name, format!("{name} v"), &found[3], &exact(&v)),
    ])
}

/// Compares the parameters of pruned networks `[point, parameter]` with the twin: all bits are equal.
fn check_apply(on: Setting<'_>, parameters: usize, points: &[u32]) -> Result<Report> {
    let gpu = on.gpu;
    let mut draws = Draws::new(parameters as u32);
    let replicas = 1 + points.iter().copied().max().unwrap_or(0) as usize;
    let trained = draws.numbers(replicas * parameters);
    let words = parameters.div_ceil(32);
    let kept: Vec<bool> = draws.below(points.len() * parameters, 3).into_iter().map(|draw| draw > 0).collect();
    let packed: Vec<u32> = kept.chunks_exact(parameters).flat_map(twin::pack).collect();
    let pruned = output(gpu, points.len() * parameters)?;
    let arguments = ApplyArguments {
        points: points.len(),
        replicas,
        parameters_per_replica: parameters,
        kept: &Buffer::from_slice(gpu, "kept", &packed)?,
        point_replica: &Buffer::from_slice(gpu, "point replicas", points)?,
        parameters: &Buffer::from_slice(gpu, "parameters", &trained)?,
        pruned: &pruned,
    };
    let name = format!("p{}_n{parameters}", points.len());
    let bound = Apply::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &name, |recorder| bound.record_once(recorder))?;
    let mut expected = vec![0.0; points.len() * parameters];
    let rows = expected.chunks_exact_mut(parameters).zip(packed.chunks_exact(words)).zip(points);
    for ((pruned, kept), &replica) in rows {
        twin::apply(kept, &trained[replica as usize * parameters..][..parameters], pruned);
    }
    Ok(compare_exact(APPLY.name, name, &read(gpu, &pruned)?, &bits(&expected)))
}

/// Parameters, and the replica of each point: around the word of a mask, a prime, and the paper's network.
const APPLIED: [(usize, &[u32]); 6] =
    [(1, &[0]), (31, &[0, 1]), (32, &[1, 0, 1]), (33, &[2, 2]), (997, &[0, 3, 1]), (28_510, &[1, 0])];

/// Checks all cases.
pub(super) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &Case| {
        let mut reports = check_smallest(on, case)?;
        if !on.naive {
            reports.push(check_draw(on, case)?);
            reports.extend(check_regrow(on, case)?);
        }
        Ok(reports)
    };
    let apply = |on: Setting<'_>, &(parameters, points): &(usize, &[u32])| match on.naive {
        true => Ok(Vec::new()),
        false => Ok(vec![check_apply(on, parameters, points)?]),
    };
    let mut reports = at_every_size(settings, &cases(), |_| true, check)?;
    reports.extend(at_every_size(settings, &APPLIED, |_| true, apply)?);
    Ok(reports)
}
