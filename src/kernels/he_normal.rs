//! `he_normal.fill`: initial weights.

use super::{Bound, grid, read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};

shader!(FILL = "he_normal", "fill"; with "grid" "philox" "truncated_normal"; Params;
    read params, read replica_ids, write parameters; "WORKGROUP_SIZE");

shader!(NAIVE = "he_normal", "naive"; with "grid" "philox" "truncated_normal"; as FILL);

parameters! {
    struct Params {
        parameters: u32,
        offset: u32,
        weights: u32,
        tensor: u32,
        key_low: u32,
        key_high: u32,
        scale: f32,
    }
}

/// Which weights to fill.
pub struct FillArguments<'a> {
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// First weight of the tensor.
    pub offset: usize,
    /// Weights of the tensor.
    pub weights: usize,
    /// Number of the tensor in its network.
    pub tensor: u32,
    /// Key of every draw.
    pub seed: u64,
    /// What standard draws are multiplied by.
    pub scale: f32,
    /// `[replica]`
    pub replica_ids: &'a Buffer<u32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
}

wrapper! {
    /// Fills one weight tensor of every replica.
    Fill: FILL or NAIVE
}

impl Fill {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &FillArguments<'_>) -> Result<Bound> {
        let FillArguments { parameters_per_replica, offset, weights, .. } = *arguments;
        let replicas = arguments.replica_ids.len();
        require_positive(FILL.name, &[("replicas", replicas), ("weights", weights)])?;
        let needed = (replicas - 1) * parameters_per_replica + offset + weights;
        require(FILL.name, "parameters", arguments.parameters, needed)?;
        let params = params!(gpu, "he_normal.fill"; Params {
            parameters: parameters_per_replica, offset, weights, tensor: arguments.tensor, key_low: arguments.seed as u32,
            key_high: (arguments.seed >> 32) as u32, scale: arguments.scale
        })?;
        let kernel = self.0.bind(gpu, &[&params, arguments.replica_ids, arguments.parameters])?;
        let kernel = kernel.costing(Cost::new(0, replicas * weights));
        let each = if self.0.name() == NAIVE.name { 1 } else { 4 };
        Ok(Bound::fixed(kernel, grid(weights.div_ceil(each), self.0.workgroup_size(), replicas)))
    }
}
