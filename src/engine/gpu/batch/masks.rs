//! Changes of the masks of a wave, in place: all launches are bound once, and each change tells them twelve bytes a replica.

use crate::cpu::{he_normal, mask as states};
use crate::engine::{
    MaskChange,
    gpu::launches::{Network, State},
};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernels::Bound;
use crate::kernels::magnitude_sort::{BoundRank, Rank, RankArguments};
use crate::kernels::mask::{
    Change, Draw, DrawArguments, MaskedPart, RankedState, Regrow, RegrowArguments, Smallest, SmallestArguments,
};

/// The launches of every change, one for each part of the selection, and their arrays.
pub(super) struct MaskLaunches {
    /// `[replica]`
    changes: Buffer<Change>,
    /// What weights are ranked by, `[replica, selected]`: themselves, or what was drawn for them.
    scores: Buffer<f32>,
    rank: BoundRank,
    draw_among_kept: Vec<Bound>,
    draw_among_pruned: Vec<Bound>,
    prune: Vec<Bound>,
    decay: Vec<Bound>,
    regrow: Vec<Bound>,
}

impl MaskLaunches {
    /// Binds them to the arrays of a wave.
    pub(super) fn new(gpu: &Gpu, workgroup_size: u32, network: &Network, seed: u64, state: &State) -> Result<Self> {
        let &State { replicas, ref parameters, ref m, ref v, ref mask } = state;
        let selected = network.selection.weights();
        let parts: Vec<(MaskedPart, f32)> = network
            .selection
            .parts()
            .iter()
            .map(|part| {
                let place = MaskedPart {
                    weight_count: part.weights(),
                    start: part.start,
                    selected,
                    offset: part.range.start,
                    parameters_per_replica: network.layout.parameters(),
                    masked: network.masked(),
                };
                (place, he_normal::scale(part.fan_in()) as f32)
            })
            .collect();
        let changes = Buffer::new(gpu, "changes", replicas)?;
        let scores = Buffer::new(gpu, "scores", replicas * selected)?;
        let rank = Buffer::new(gpu, "rank", replicas * selected)?;
        let draw = |state| -> Result<Vec<Bound>> {
            let draw = Draw::new(gpu, workgroup_size)?;
            let bind = |(part, _): &(MaskedPart, f32)| {
                draw.bind(gpu, &DrawArguments { part, state, seed, changes: &changes, mask, draws: &scores })
            };
            parts.iter().map(bind).collect()
        };
        let ranked = RankedState { rank: &rank, changes: &changes, mask, parameters, m, v };
        let smallest = |state| -> Result<Vec<Bound>> {
            let smallest = Smallest::new(gpu, workgroup_size)?;
            let bind = |(part, _): &(MaskedPart, f32)| smallest.bind(gpu, &SmallestArguments { part, state, ranked });
            parts.iter().map(bind).collect()
        };
        let regrow = Regrow::new(gpu, workgroup_size)?;
        let regrow =
            |&(ref part, scale): &(MaskedPart, f32)| regrow.bind(gpu, &RegrowArguments { part, seed, scale, ranked });
        let by_magnitude = RankArguments {
            epochs: 1,
            replicas,
            weight_count: selected,
            offset: 0,
            epoch_stride: 0,
            replica_stride: selected,
            weights: &scores,
            rank: &rank,
        };
        Ok(Self {
            draw_among_kept: draw(states::KEPT)?,
            draw_among_pruned: draw(states::PRUNED)?,
            prune: smallest(states::PRUNED)?,
            decay: smallest(states::DECAYING)?,
            regrow: parts.iter().map(regrow).collect::<Result<_>>()?,
            rank: Rank::new(workgroup_size).bind(gpu, &by_magnitude)?,
            changes,
            scores,
        })
    }

    /// Changes the masks of the replicas with these ids, each by as many weights as its count says.
    pub(super) fn change(
        &self,
        gpu: &Gpu,
        network: &Network,
        state: &State,
        change: MaskChange,
        replica_ids: &[u32],
        counts: &[u32],
    ) -> Result<()> {
        let update = match change {
            MaskChange::PruneRandom { update } | MaskChange::RegrowRandom { update } => update,
            MaskChange::PruneSmallest | MaskChange::DecaySmallest => 0,
        };
        let told = replica_ids.iter().zip(counts).map(|(&id, &count)| Change::new(id, update, count));
        self.changes.write(gpu, 0, &told.collect::<Vec<_>>())?;
        let mut recorder = Recorder::new(gpu, "change of masks");
        match change {
            MaskChange::PruneSmallest | MaskChange::DecaySmallest => {
                network.copy_weights(&mut recorder, state, &network.selection, &self.scores)?;
            }
            MaskChange::PruneRandom { .. } => record(&self.draw_among_kept, &mut recorder)?,
            MaskChange::RegrowRandom { .. } => record(&self.draw_among_pruned, &mut recorder)?,
        }
        self.rank.record(&mut recorder)?;
        let apply = match change {
            MaskChange::PruneSmallest | MaskChange::PruneRandom { .. } => &self.prune,
            MaskChange::DecaySmallest => &self.decay,
            MaskChange::RegrowRandom { .. } => &self.regrow,
        };
        record(apply, &mut recorder)?;
        recorder.submit().map(|_| ())
    }
}

/// Records one launch of each.
fn record(launches: &[Bound], recorder: &mut Recorder<'_>) -> Result<()> {
    launches.iter().try_for_each(|launch| launch.record_once(recorder))
}
