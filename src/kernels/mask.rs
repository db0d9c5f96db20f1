//! `mask.smallest`, `mask.draw`, `mask.regrow`: pruning, decay and rewiring during training; `mask.apply`: pruned networks.

use super::{Bound, grid, read, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};
use std::ops::Range;

shader!(SMALLEST = "mask", "smallest"; with "grid" "states" "change"; Params;
    read params, read rank, read changes, write mask, write parameters, write m, write v; "WORKGROUP_SIZE");

shader!(NAIVE = "mask", "naive"; with "grid" "change"; as SMALLEST);

parameters! {
    struct Params {
        weight_count: u32,
        start: u32,
        selected: u32,
        parameters: u32,
        offset: u32,
        masked: u32,
        mask_offset: u32,
        state: u32,
    }
}

/// One tensor of a selection, and where its weights lie in the arrays of a change of masks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskedPart {
    /// Its weights.
    pub weight_count: usize,
    /// Index of the first of them among all selected weights.
    pub start: usize,
    /// Weights of all parts: what ranks and draws have of each replica.
    pub selected: usize,
    /// Parameter of its first weight.
    pub offset: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// Which of them the mask covers.
    pub masked: Range<usize>,
}

impl MaskedPart {
    /// Fails unless the part lies among the selected weights and the parameters that the mask covers, and these in a replica.
    fn check(&self, kernel: &str) -> Result<()> {
        let Self { weight_count, start, selected, offset, parameters_per_replica, ref masked } = *self;
        require_positive(kernel, &[("weights", weight_count)])?;
        let covered = masked.start <= offset && offset + weight_count <= masked.end;
        if !covered || masked.end > parameters_per_replica || start + weight_count > selected {
            return Err(Error::Shape(format!(
                "{kernel}: {weight_count} weights from number {start} of {selected} and parameter {offset} of \
                 {parameters_per_replica} on, with a mask of parameters {masked:?}"
            )));
        }
        Ok(())
    }

    /// One past the last parameter of the last of `replicas` that a change writes.
    fn end(&self, replicas: usize) -> usize {
        (replicas - 1) * self.parameters_per_replica + self.offset + self.weight_count
    }
}

parameters! {
    /// What a change is told of each replica.
    pub struct Change {
        replica_id: u32,
        update: u32,
        count: u32,
    }
}

impl Change {
    /// Layout of the shader's `Change`, for the catalogue.
    pub const PARAMETERS: crate::gpu::Parameters = Self::LAYOUT;

    /// A change of `count` weights of the replica `replica_id`; `update` tells its draws apart.
    pub fn new(replica_id: u32, update: u32, count: u32) -> Self {
        Self { replica_id, update, count }
    }
}

/// Ranked weights, how many of them change, and what is written where they do.
#[derive(Clone, Copy)]
pub struct RankedState<'a> {
    /// `[replica, selected]`: place in descending order of what weights are ranked by.
    pub rank: &'a Buffer<u32>,
    /// `[replica]`: how many change, each at most as many as are selected.
    pub changes: &'a Buffer<Change>,
    /// `[replica, masked]`, read and written: 0 pruned, 1 kept, 2 decaying.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// As `parameters`.
    pub m: &'a Buffer<f32>,
    /// As `parameters`.
    pub v: &'a Buffer<f32>,
}

impl RankedState<'_> {
    /// Fails unless there are arrays for all replicas, whose number it gives.
    fn check(&self, kernel: &str, part: &MaskedPart) -> Result<usize> {
        let Self { rank, changes, mask, parameters, m, v } = *self;
        let replicas = changes.len();
        require_positive(kernel, &[("replicas", replicas)])?;
        part.check(kernel)?;
        require(kernel, "rank", rank, replicas * part.selected)?;
        require(kernel, "mask", mask, replicas * part.masked.len())?;
        for (role, array) in [("parameters", parameters), ("m", m), ("v", v)] {
            require(kernel, role, array, part.end(replicas))?;
        }
        Ok(replicas)
    }
}

/// Arrays of [`Smallest`].
pub struct SmallestArguments<'a> {
    /// Whose weights.
    pub part: &'a MaskedPart,
    /// The state that they get: 0 prunes, 2 lets decay.
    pub state: u32,
    /// Ranks of magnitudes; moments and weights are written where they are pruned.
    pub ranked: RankedState<'a>,
}

wrapper! {
    /// Prunes the weights of smallest magnitude of every replica, or lets them decay.
    Smallest: SMALLEST or NAIVE
}

impl Smallest {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &SmallestArguments<'_>) -> Result<Bound> {
        let name = self.0.name();
        let SmallestArguments { part, state, ranked } = *arguments;
        let replicas = ranked.check(name, part)?;
        let RankedState { rank, changes, mask, parameters, m, v } = ranked;
        let MaskedPart { weight_count, start, selected, offset, parameters_per_replica, ref masked } = *part;
        let params = params!(gpu, "mask.smallest"; Params {
            weight_count, start, selected, parameters: parameters_per_replica, offset, masked: masked.len(),
            mask_offset: offset - masked.start, state
        })?;
        let kernel = self.0.bind(gpu, &[&params, rank, changes, mask, parameters, m, v])?;
        let kernel = kernel.costing(Cost::new(0, 5 * replicas * weight_count));
        Ok(Bound::fixed(kernel, grid(weight_count, self.0.workgroup_size(), replicas)))
    }
}

shader!(DRAW = "mask", "draw"; with "grid" "philox" "change"; DrawParams;
    read params, read changes, read mask, write draws; "WORKGROUP_SIZE");

parameters! {
    struct DrawParams {
        weight_count: u32,
        start: u32,
        selected: u32,
        masked: u32,
        mask_offset: u32,
        state: u32,
        key_low: u32,
        key_high: u32,
    }
}

/// Arrays of [`Draw`].
pub struct DrawArguments<'a> {
    /// Whose weights.
    pub part: &'a MaskedPart,
    /// State of the weights that take part.
    pub state: u32,
    /// Key of every draw.
    pub seed: u64,
    /// `[replica]`: which replica each is, and the update.
    pub changes: &'a Buffer<Change>,
    /// `[replica, masked]`
    pub mask: &'a Buffer<u32>,
    /// `[replica, selected]`, written at the part.
    pub draws: &'a Buffer<f32>,
}

wrapper! {
    /// Draws a number for each weight in a state.
    Draw: DRAW
}

impl Draw {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &DrawArguments<'_>) -> Result<Bound> {
        let name = DRAW.name;
        let DrawArguments { part, state, seed, changes, mask, draws } = *arguments;
        let replicas = changes.len();
        require_positive(name, &[("replicas", replicas)])?;
        part.check(name)?;
        let MaskedPart { weight_count, start, selected, offset, ref masked, .. } = *part;
        require(name, "mask", mask, replicas * masked.len())?;
        require(name, "draws", draws, replicas * selected)?;
        let [key_low, key_high] = halves(seed);
        let params = params!(gpu, "mask.draw"; DrawParams {
            weight_count, start, selected, masked: masked.len(), mask_offset: offset - masked.start, state, key_low, key_high
        })?;
        let kernel = self.0.bind(gpu, &[&params, changes, mask, draws])?;
        let kernel = kernel.costing(Cost::new(0, 2 * replicas * weight_count));
        Ok(Bound::fixed(kernel, grid(weight_count, self.0.workgroup_size(), replicas)))
    }
}

/// Low and high half of a seed.
fn halves(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

shader!(REGROW = "mask", "regrow"; with "grid" "philox" "truncated_normal" "states" "change"; RegrowParams;
    read params, read rank, read changes, write mask, write parameters, write m, write v; "WORKGROUP_SIZE");

parameters! {
    struct RegrowParams {
        weight_count: u32,
        start: u32,
        selected: u32,
        parameters: u32,
        offset: u32,
        masked: u32,
        mask_offset: u32,
        key_low: u32,
        key_high: u32,
        scale: f32,
    }
}

/// Arrays of [`Regrow`].
pub struct RegrowArguments<'a> {
    /// Whose weights.
    pub part: &'a MaskedPart,
    /// Key of every draw.
    pub seed: u64,
    /// What standard draws are multiplied by.
    pub scale: f32,
    /// Ranks of the draws, and changes as the draws were told; all is written at the chosen weights.
    pub ranked: RankedState<'a>,
}

wrapper! {
    /// Keeps chosen weights again, with new weights.
    Regrow: REGROW
}

impl Regrow {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &RegrowArguments<'_>) -> Result<Bound> {
        let name = REGROW.name;
        let RegrowArguments { part, seed, scale, ranked } = *arguments;
        let replicas = ranked.check(name, part)?;
        let RankedState { rank, changes, mask, parameters, m, v } = ranked;
        let [key_low, key_high] = halves(seed);
        let MaskedPart { weight_count, start, selected, offset, parameters_per_replica, ref masked } = *part;
        let params = params!(gpu, "mask.regrow"; RegrowParams {
            weight_count, start, selected, parameters: parameters_per_replica, offset, masked: masked.len(),
            mask_offset: offset - masked.start, key_low, key_high, scale
        })?;
        let kernel = self.0.bind(gpu, &[&params, rank, changes, mask, parameters, m, v])?;
        let kernel = kernel.costing(Cost::new(0, 5 * replicas * weight_count));
        Ok(Bound::fixed(kernel, grid(weight_count, self.0.workgroup_size(), replicas)))
    }
}

shader!(APPLY = "mask", "apply"; with "grid"; ApplyParams;
    read params, read kept, read point_replica.indexing, read parameters, write pruned; "WORKGROUP_SIZE");

parameters! {
    struct ApplyParams {
        parameters: u32,
        words: u32,
    }
}

/// Arrays of [`Apply`].
pub struct ApplyArguments<'a> {
    /// Pruned networks.
    pub points: usize,
    /// Replicas side by side: no point may name another.
    pub replicas: usize,
    /// Parameters of one replica, and of one point.
    pub parameters_per_replica: usize,
    /// `[point, word]`: a bit for each parameter, the first one the lowest of the first word; each point has whole words.
    pub kept: &'a Buffer<u32>,
    /// `[point]`: whose parameters.
    pub point_replica: &'a Buffer<u32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[point, parameter]`, written.
    pub pruned: &'a Buffer<f32>,
}

wrapper! {
    /// Makes the parameters of pruned networks.
    Apply: APPLY
}

impl Apply {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ApplyArguments<'_>) -> Result<Bound> {
        let name = APPLY.name;
        let ApplyArguments { points, replicas, parameters_per_replica, kept, .. } = *arguments;
        let ApplyArguments { point_replica, parameters, pruned, .. } = *arguments;
        require_positive(name, &[("points", points), ("parameters", parameters_per_replica)])?;
        let words = parameters_per_replica.div_ceil(32);
        require(name, "kept", kept, points * words)?;
        require(name, "point_replica", point_replica, points)?;
        require(name, "parameters", parameters, replicas * parameters_per_replica)?;
        require(name, "pruned", pruned, points * parameters_per_replica)?;
        let params = params!(gpu, "mask.apply"; ApplyParams { parameters: parameters_per_replica, words })?;
        let kernel = self.0.bind(gpu, &[&params, kept, point_replica, parameters, pruned])?;
        let kernel = kernel.costing(Cost::new(0, points * (2 * parameters_per_replica + words)));
        Ok(Bound::fixed(kernel, grid(parameters_per_replica, self.0.workgroup_size(), points)))
    }
}
