//! `surgeon.importance`: what one logit adds to the importance of a layer's units.

use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};
use crate::kernels::{Bound, StepRecord, grid, read, record, require, require_positive, write};

shader!(IMPORTANCE = "surgeon", "importance"; with "grid" "step"; ImportanceParams;
    read params, record step, read gradient, write sums; "WORKGROUP_SIZE");

parameters! {
    struct ImportanceParams {
        units: u32,
        runs: u32,
        length: u32,
    }
}

/// Sizes of a layer's derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportanceShape {
    /// Samples that there is room for.
    pub capacity: usize,
    /// Runs of positions of a sample: rows of a convolution, 1 of a dense layer.
    pub runs: usize,
    /// Positions of a run: columns of a convolution, 1 of a dense layer.
    pub length: usize,
    /// Units.
    pub units: usize,
}

impl ImportanceShape {
    /// Sums of all samples.
    pub fn sums(&self) -> usize {
        self.capacity * self.runs * self.units
    }
}

/// Arrays of [`Importance`].
pub struct ImportanceArguments<'a> {
    /// Sizes.
    pub shape: ImportanceShape,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[sample, y, x, unit]`: derivatives of a logit by what the layer gives.
    pub gradient: &'a Buffer<f32>,
    /// `[sample, y, unit]`, added to.
    pub sums: &'a Buffer<f32>,
}

wrapper! {
    /// Adds the squares of derivatives to sums of their own for each sample, run and unit.
    Importance: IMPORTANCE
}

impl Importance {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ImportanceArguments<'_>) -> Result<Bound> {
        let name = IMPORTANCE.name;
        let ImportanceArguments { shape, steps, gradient, sums } = *arguments;
        let ImportanceShape { capacity, runs, length, units } = shape;
        let sizes = [("capacity", capacity), ("runs", runs), ("length", length), ("units", units)];
        require_positive(name, &sizes)?;
        let all = shape.sums();
        require(name, "gradient", gradient, all * length)?;
        require(name, "sums", sums, all)?;
        gpu.check_iterations(name, length)?;
        let params = params!(gpu, "surgeon.importance"; ImportanceParams { units, runs, length })?;
        let kernel = self.0.bind(gpu, &[&params, steps, gradient, sums])?;
        let kernel = kernel.costing(Cost::new(all * length, all * (length + 2)));
        let size = self.0.workgroup_size();
        Ok(Bound::new(kernel, capacity, move |samples| grid(samples * runs * units, size, 1)))
    }
}
