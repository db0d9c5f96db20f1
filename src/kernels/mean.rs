//! `mean.accumulate`: sums of parameters over epochs.

use super::{Bound, grid, read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};

shader!(ACCUMULATE = "mean", "accumulate"; with "grid"; Params; read params, read values, write sums; "WORKGROUP_SIZE");

parameters! {
    struct Params {
        parameters: u32,
    }
}

/// Arrays of [`Accumulate`].
pub struct AccumulateArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// `[replica, parameter]`
    pub values: &'a Buffer<f32>,
    /// `[replica, parameter]`, read and written.
    pub sums: &'a Buffer<f32>,
}

wrapper! {
    /// Adds the parameters of all replicas to sums.
    Accumulate: ACCUMULATE
}

impl Accumulate {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &AccumulateArguments<'_>) -> Result<Bound> {
        let name = ACCUMULATE.name;
        let AccumulateArguments { replicas, parameters_per_replica, values, sums } = *arguments;
        require_positive(name, &[("replicas", replicas), ("parameters", parameters_per_replica)])?;
        let needed = replicas * parameters_per_replica;
        require(name, "values", values, needed)?;
        require(name, "sums", sums, needed)?;
        let params = params!(gpu, "mean.accumulate"; Params { parameters: parameters_per_replica })?;
        let kernel = self.0.bind(gpu, &[&params, values, sums])?.costing(Cost::new(needed, 3 * needed));
        Ok(Bound::fixed(kernel, grid(parameters_per_replica, self.0.workgroup_size(), replicas)))
    }
}
