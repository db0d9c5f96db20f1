//! `mask.smallest`, `mask.draw`, `mask.regrow`: pruning, decay and rewiring during training.

use super::{Bound, grid, read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};

shader!(SMALLEST = "mask", "smallest"; with "grid" "states" "change"; Params;
    read params, read rank, read changes, write mask, write parameters, write m, write v; "WORKGROUP_SIZE");

shader!(NAIVE = "mask", "naive"; with "grid" "change"; as SMALLEST);

parameters! {
    struct Params {
        weight_count: u32,
        parameters: u32,
        offset: u32,
        state: u32,
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

/// Arrays of [`Smallest`].
pub struct SmallestArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Weights of the layer.
    pub weight_count: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// Parameter of the first weight.
    pub offset: usize,
    /// `[replica, weight_index]`: place in descending order of magnitude.
    pub rank: &'a Buffer<u32>,
    /// `[replica]`: how many get the state, each at most `weight_count`.
    pub changes: &'a Buffer<Change>,
    /// The state: 0 prunes, 2 lets decay.
    pub state: u32,
    /// `[replica, weight_index]`, read and written: 0 pruned, 1 kept, 2 decaying.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`, written at pruned weights.
    pub parameters: &'a Buffer<f32>,
    /// As `parameters`.
    pub m: &'a Buffer<f32>,
    /// As `parameters`.
    pub v: &'a Buffer<f32>,
}

wrapper! {
    /// Prunes the weights of smallest magnitude of every replica, or lets them decay.
    Smallest: SMALLEST or NAIVE
}

impl Smallest {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &SmallestArguments<'_>) -> Result<Bound> {
        let name = self.0.name();
        let SmallestArguments { replicas, weight_count, parameters_per_replica, offset, rank, changes, mask, .. } =
            *arguments;
        let SmallestArguments { state, parameters, m, v, .. } = *arguments;
        require_positive(name, &[("replicas", replicas), ("weights", weight_count)])?;
        require(name, "rank", rank, replicas * weight_count)?;
        require(name, "changes", changes, replicas)?;
        require(name, "mask", mask, replicas * weight_count)?;
        let needed = (replicas - 1) * parameters_per_replica + offset + weight_count;
        for (role, array) in [("parameters", parameters), ("m", m), ("v", v)] {
            require(name, role, array, needed)?;
        }
        let params = params!(gpu, "mask.smallest"; Params {
            weight_count, parameters: parameters_per_replica, offset, state
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
        state: u32,
        key_low: u32,
        key_high: u32,
    }
}

/// Arrays of [`Draw`].
pub struct DrawArguments<'a> {
    /// Weights of the layer.
    pub weight_count: usize,
    /// State of the weights that take part.
    pub state: u32,
    /// Key of every draw.
    pub seed: u64,
    /// `[replica]`: which replica each is, and the update.
    pub changes: &'a Buffer<Change>,
    /// `[replica, weight_index]`
    pub mask: &'a Buffer<u32>,
    /// `[replica, weight_index]`, written.
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
        let DrawArguments { weight_count, state, seed, changes, mask, draws } = *arguments;
        let replicas = changes.len();
        require_positive(name, &[("replicas", replicas), ("weights", weight_count)])?;
        require(name, "mask", mask, replicas * weight_count)?;
        require(name, "draws", draws, replicas * weight_count)?;
        let [key_low, key_high] = halves(seed);
        let params = params!(gpu, "mask.draw"; DrawParams { weight_count, state, key_low, key_high })?;
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
        parameters: u32,
        offset: u32,
        key_low: u32,
        key_high: u32,
        scale: f32,
    }
}

/// Arrays of [`Regrow`].
pub struct RegrowArguments<'a> {
    /// Weights of the layer.
    pub weight_count: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// Parameter of the first weight.
    pub offset: usize,
    /// Key of every draw.
    pub seed: u64,
    /// What standard draws are multiplied by.
    pub scale: f32,
    /// `[replica, weight_index]`: place in descending order of the draws.
    pub rank: &'a Buffer<u32>,
    /// `[replica]`: as in the draw that chose the weights, and how many grow.
    pub changes: &'a Buffer<Change>,
    /// `[replica, weight_index]`, written at the chosen weights.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`, written at the chosen weights.
    pub parameters: &'a Buffer<f32>,
    /// As `parameters`.
    pub m: &'a Buffer<f32>,
    /// As `parameters`.
    pub v: &'a Buffer<f32>,
}

wrapper! {
    /// Keeps chosen weights again, with new weights.
    Regrow: REGROW
}

impl Regrow {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &RegrowArguments<'_>) -> Result<Bound> {
        let name = REGROW.name;
        let RegrowArguments { weight_count, parameters_per_replica, offset, rank, changes, mask, .. } = *arguments;
        let RegrowArguments { seed, scale, parameters, m, v, .. } = *arguments;
        let replicas = changes.len();
        require_positive(name, &[("replicas", replicas), ("weights", weight_count)])?;
        require(name, "rank", rank, replicas * weight_count)?;
        require(name, "mask", mask, replicas * weight_count)?;
        let needed = (replicas - 1) * parameters_per_replica + offset + weight_count;
        for (role, array) in [("parameters", parameters), ("m", m), ("v", v)] {
            require(name, role, array, needed)?;
        }
        let [key_low, key_high] = halves(seed);
        let params = params!(gpu, "mask.regrow"; RegrowParams {
            weight_count, parameters: parameters_per_replica, offset, key_low, key_high, scale
        })?;
        let kernel = self.0.bind(gpu, &[&params, rank, changes, mask, parameters, m, v])?;
        let kernel = kernel.costing(Cost::new(0, 5 * replicas * weight_count));
        Ok(Bound::fixed(kernel, grid(weight_count, self.0.workgroup_size(), replicas)))
    }
}
