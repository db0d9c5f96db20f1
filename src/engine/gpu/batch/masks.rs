//! Changes of the masks of a wave, in place: all launches are bound once, and each change tells them twelve bytes a replica.

use crate::cpu::{he_normal, mask as states};
use crate::engine::MaskChange;
use crate::engine::gpu::launches::{Network, State};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernels::Bound;
use crate::kernels::magnitude_sort::{BoundRank, Rank, RankArguments};
use crate::kernels::mask::{Change, Draw, DrawArguments, Regrow, RegrowArguments, Smallest, SmallestArguments};

/// The launches of every change, and their arrays.
pub(super) struct MaskLaunches {
    /// `[replica]`
    changes: Buffer<Change>,
    /// What weights are ranked by, `[replica, weight_index]`: themselves, or what was drawn for them.
    scores: Buffer<f32>,
    rank: BoundRank,
    draw_among_kept: Bound,
    draw_among_pruned: Bound,
    prune: Bound,
    decay: Bound,
    regrow: Bound,
}

impl MaskLaunches {
    /// Binds them to the arrays of a wave.
    pub(super) fn new(gpu: &Gpu, workgroup_size: u32, network: &Network, seed: u64, state: &State) -> Result<Self> {
        let &State { replicas, ref parameters, ref m, ref v, ref mask } = state;
        let (weight_count, offset) = (network.layout.focus_weight().len(), network.layout.focus_weight().offset);
        let parameters_per_replica = network.layout.parameters();
        let changes = Buffer::new(gpu, "changes", replicas)?;
        let scores = Buffer::new(gpu, "scores", replicas * weight_count)?;
        let rank = Buffer::new(gpu, "rank", replicas * weight_count)?;
        let draw = |state| {
            let arguments = DrawArguments { weight_count, state, seed, changes: &changes, mask, draws: &scores };
            Draw::new(gpu, workgroup_size)?.bind(gpu, &arguments)
        };
        let smallest = |state| {
            let arguments = SmallestArguments {
                replicas,
                weight_count,
                parameters_per_replica,
                offset,
                rank: &rank,
                changes: &changes,
                state,
                mask,
                parameters,
                m,
                v,
            };
            Smallest::new(gpu, workgroup_size)?.bind(gpu, &arguments)
        };
        let regrow = RegrowArguments {
            weight_count,
            parameters_per_replica,
            offset,
            seed,
            scale: he_normal::scale(network.architecture.focus_shape()[0]) as f32,
            rank: &rank,
            changes: &changes,
            mask,
            parameters,
            m,
            v,
        };
        let ranked = RankArguments {
            epochs: 1,
            replicas,
            weight_count,
            offset: 0,
            epoch_stride: 0,
            replica_stride: weight_count,
            weights: &scores,
            rank: &rank,
        };
        Ok(Self {
            draw_among_kept: draw(states::KEPT)?,
            draw_among_pruned: draw(states::PRUNED)?,
            prune: smallest(states::PRUNED)?,
            decay: smallest(states::DECAYING)?,
            regrow: Regrow::new(gpu, workgroup_size)?.bind(gpu, &regrow)?,
            rank: Rank::new(workgroup_size).bind(gpu, &ranked)?,
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
                network.copy_focus_weights(&mut recorder, state, &self.scores)?;
            }
            MaskChange::PruneRandom { .. } => self.draw_among_kept.record_once(&mut recorder)?,
            MaskChange::RegrowRandom { .. } => self.draw_among_pruned.record_once(&mut recorder)?,
        }
        self.rank.record(&mut recorder)?;
        let apply = match change {
            MaskChange::PruneSmallest | MaskChange::PruneRandom { .. } => &self.prune,
            MaskChange::DecaySmallest => &self.decay,
            MaskChange::RegrowRandom { .. } => &self.regrow,
        };
        apply.record_once(&mut recorder)?;
        recorder.submit().map(|_| ())
    }
}
