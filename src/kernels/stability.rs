//! `stability.*`: counting what held still, and the extremes of the last epochs.

use super::{Bound, grid, read, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Buffer, Cost, Gpu, Shader, parameters};

shader!(COUNT = "stability", "count"; with "grid" "keys"; CountParams;
    read params, read history, read lower, read upper, write stability, write stable_weights; "WORKGROUP_SIZE");

shader!(NAIVE = "stability", "naive"; with "grid" "keys"; as COUNT);

shader!(ENVELOPE = "stability", "envelope"; with "grid" "keys"; EnvelopeParams;
    read params, read windows.indexing, read history, write minimum, write maximum, write smallest_magnitude;
    "WORKGROUP_SIZE");

/// Tolerances that one launch counts: the components of a vector.
pub const TOLERANCES: usize = 4;

/// Epochs that a workgroup gathers before it adds them.
pub(super) const BLOCK: usize = 64;

parameters! {
    struct CountParams {
        epochs: u32,
        replicas: u32,
        weight_count: u32,
    }
}

parameters! {
    struct EnvelopeParams {
        epochs: u32,
        replicas: u32,
        weight_count: u32,
        windows: u32,
    }
}

/// Sizes of a history `[epoch, replica, weight_index]` on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Epochs; the last one is the reference.
    pub epochs: usize,
    /// Replicas.
    pub replicas: usize,
    /// Weights.
    pub weight_count: usize,
}

impl Shape {
    fn check(&self, kernel: &str) -> Result<()> {
        require_positive(
            kernel,
            &[("epochs", self.epochs), ("replicas", self.replicas), ("weights", self.weight_count)],
        )
    }

    fn columns(&self) -> usize {
        self.replicas * self.weight_count
    }
}

/// Arrays of [`Count`]. The last axis of four are the tolerances.
pub struct CountArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// `[epoch, replica, weight_index]`
    pub history: &'a Buffer<f32>,
    /// `[replica, weight_index]`: sortable keys of the lower bounds.
    pub lower: &'a Buffer<[u32; TOLERANCES]>,
    /// `[replica, weight_index]`: sortable keys of the upper bounds; below the lower ones where there is no tolerance.
    pub upper: &'a Buffer<[u32; TOLERANCES]>,
    /// `[replica, weight_index]`, written.
    pub stability: &'a Buffer<[u32; TOLERANCES]>,
    /// `[epoch, replica]`, added to: it must start at 0.
    pub stable_weights: &'a Buffer<[u32; TOLERANCES]>,
}

wrapper! {
    /// Magnitude stability and stable weights for up to four tolerances in one pass over the history.
    Count: COUNT or NAIVE
}

impl Count {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &CountArguments<'_>) -> Result<Bound> {
        let name = self.0.name();
        let CountArguments { shape, history, lower, upper, stability, stable_weights } = *arguments;
        shape.check(name)?;
        require(name, "history", history, shape.epochs * shape.columns())?;
        for (role, array) in [("lower", lower), ("upper", upper), ("stability", stability)] {
            require(name, role, array, shape.columns())?;
        }
        require(name, "stable_weights", stable_weights, shape.epochs * shape.replicas)?;
        let gathered = 2 * TOLERANCES * BLOCK / self.0.workgroup_size() as usize + 1;
        gpu.check_iterations(name, shape.epochs + shape.epochs.div_ceil(BLOCK) * gathered)?;
        let params = params!(gpu, "stability.count"; CountParams {
            epochs: shape.epochs, replicas: shape.replicas, weight_count: shape.weight_count
        })?;
        let kernel = self.0.bind(gpu, &[&params, history, lower, upper, stability, stable_weights])?;
        let (columns, counters) = (shape.columns(), shape.epochs * shape.replicas);
        let words = shape.epochs * columns + TOLERANCES * (3 * columns + counters);
        let kernel = kernel.costing(Cost::comparisons(2 * TOLERANCES * shape.epochs * columns, words));
        Ok(Bound::fixed(kernel, grid(shape.weight_count, self.0.workgroup_size(), shape.replicas)))
    }
}

/// Arrays of [`Envelope`].
pub struct EnvelopeArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Ascending, each in `1..=epochs`.
    pub windows: &'a Buffer<u32>,
    /// `[epoch, replica, weight_index]`
    pub history: &'a Buffer<f32>,
    /// `[window, replica, weight_index]`, written.
    pub minimum: &'a Buffer<f32>,
    /// `[window, replica, weight_index]`, written.
    pub maximum: &'a Buffer<f32>,
    /// `[window, replica, weight_index]`, written.
    pub smallest_magnitude: &'a Buffer<f32>,
}

wrapper! {
    /// Extremes over all windows in one pass over the history.
    Envelope: ENVELOPE
}

impl Envelope {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &EnvelopeArguments<'_>) -> Result<Bound> {
        let name = ENVELOPE.name;
        let EnvelopeArguments { shape, windows, history, minimum, maximum, smallest_magnitude } = *arguments;
        shape.check(name)?;
        require_positive(name, &[("windows", windows.len())])?;
        require(name, "history", history, shape.epochs * shape.columns())?;
        for (role, array) in [("minimum", minimum), ("maximum", maximum), ("smallest_magnitude", smallest_magnitude)] {
            require(name, role, array, windows.len() * shape.columns())?;
        }
        gpu.check_iterations(name, shape.epochs + windows.len())?;
        let params = params!(gpu, "stability.envelope"; EnvelopeParams {
            epochs: shape.epochs, replicas: shape.replicas, weight_count: shape.weight_count, windows: windows.len()
        })?;
        let kernel = self.0.bind(gpu, &[&params, windows, history, minimum, maximum, smallest_magnitude])?;
        let words = (shape.epochs + 3 * windows.len()) * shape.columns();
        let kernel = kernel.costing(Cost::comparisons(3 * shape.epochs * shape.columns(), words));
        Ok(Bound::fixed(kernel, grid(shape.weight_count, self.0.workgroup_size(), shape.replicas)))
    }
}
