//! `adam.step`: one update of parameters.

use super::{Bound, StepRecord, grid, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};
use std::ops::Range;

shader!(STEP = "adam", "step"; with "grid" "step" "states" "adam"; Params;
    read params, record step, read gradient, read mask, write parameters, write m, write v; "WORKGROUP_SIZE");

shader!(NAIVE = "adam", "naive"; with "grid" "step"; as STEP);

parameters! {
    struct Params {
        parameters: u32,
        updated: u32,
        mask_offset: u32,
        masked: u32,
        decay: f32,
    }
}

/// Arrays of [`Step`].
pub struct StepArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// How many of them are updated, from the first on.
    pub updated: usize,
    /// Which parameters of a replica the mask covers.
    pub masked: Range<usize>,
    /// What decaying weights are multiplied by after each step.
    pub decay: f32,
    /// The steps that launches choose from; they hold the rate.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, parameter]`
    pub gradient: &'a Buffer<f32>,
    /// `[replica, masked]`: 0 pruned, 1 kept, 2 decaying.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`, read and written.
    pub parameters: &'a Buffer<f32>,
    /// Running means of gradients, as `parameters`.
    pub m: &'a Buffer<f32>,
    /// Running means of squared gradients, as `parameters`.
    pub v: &'a Buffer<f32>,
}

wrapper! {
    /// One Adam step on parameters of all replicas.
    Step: STEP or NAIVE
}

impl Step {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &StepArguments<'_>) -> Result<Bound> {
        let name = self.0.name();
        let StepArguments { replicas, parameters_per_replica, updated, steps, gradient, mask, .. } = *arguments;
        let StepArguments { parameters, m, v, .. } = *arguments;
        let masked = &arguments.masked;
        require_positive(name, &[("replicas", replicas), ("updated", updated)])?;
        if updated > parameters_per_replica {
            return Err(Error::Shape(format!("{name}: {updated} of {parameters_per_replica} parameters to update")));
        }
        if masked.end > parameters_per_replica {
            return Err(Error::Shape(format!(
                "{name}: the mask covers parameters {masked:?} of {parameters_per_replica}"
            )));
        }
        let needed = replicas * parameters_per_replica;
        for (role, array) in [("gradient", gradient), ("parameters", parameters), ("m", m), ("v", v)] {
            require(name, role, array, needed)?;
        }
        require(name, "mask", mask, replicas * masked.len())?;
        let params = params!(gpu, "adam.step"; Params {
            parameters: parameters_per_replica, updated, mask_offset: masked.start, masked: masked.len(),
            decay: arguments.decay
        })?;
        let kernel = self.0.bind(gpu, &[&params, steps, gradient, mask, parameters, m, v])?;
        // Both running means, the root, the division and the update: about six multiply-adds; the gradient is read, the rest
        // read and written.
        let all = replicas * updated;
        let kernel = kernel.costing(Cost::new(6 * all, 7 * all + replicas * masked.len()));
        Ok(Bound::fixed(kernel, grid(updated, self.0.workgroup_size(), replicas)))
    }
}
