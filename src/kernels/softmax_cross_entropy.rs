//! `softmax_cross_entropy.loss`: the loss of a batch and its gradient.

use super::{Bound, StepRecord, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Shader, parameters};
use std::sync::Arc;

shader!(LOSS = "softmax_cross_entropy", "loss"; with "step"; Params;
    read params, record step, read order.indexing, read labels.indexing, read logits, write gradient, write losses);

/// Invocations of the workgroup that owns a replica. Fixed: the tree of additions has its shape.
pub(super) const WORKGROUP_SIZE: usize = 64;

shader!(NAIVE = "softmax_cross_entropy", "naive"; with "step"; as LOSS);

parameters! {
    struct Params {
        classes: u32,
        capacity: u32,
        replicas: u32,
    }
}

/// Mean loss and correct samples of one step of one replica.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct BatchLoss {
    /// Mean cross-entropy.
    pub mean: f32,
    /// Correctly classified samples.
    pub correct: u32,
}

/// Arrays of [`Loss`].
pub struct LossArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Classes, 2 to 256.
    pub classes: usize,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// Indices of samples; steps say where each replica's lie. They must be below the number of labels.
    pub order: &'a Buffer<u32>,
    /// `[image]`, each below `classes`.
    pub labels: &'a Buffer<u32>,
    /// `[replica, sample, class]`
    pub logits: &'a Buffer<f32>,
    /// `[replica, sample, class]`, written.
    pub gradient: &'a Buffer<f32>,
    /// `[row, replica]`; a launch writes the row that its step names.
    pub losses: &'a Buffer<BatchLoss>,
}

/// Mean cross-entropy, correct samples, and the gradient of the mean with respect to the logits.
pub struct Loss(Arc<Kernel>);

impl Loss {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        Kernel::new(gpu, &LOSS, &[]).map(Self)
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu) -> Result<Self> {
        Kernel::new(gpu, &NAIVE, &[]).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &LossArguments<'_>) -> Result<Bound> {
        let LossArguments { replicas, capacity, classes, steps, order, labels, logits, gradient, losses } = *arguments;
        let name = self.0.name();
        require_positive(name, &[("replicas", replicas), ("capacity", capacity)])?;
        if !(2..=256).contains(&classes) {
            return Err(Error::Shape(format!("{name}: {classes} classes, 2 to 256 are possible")));
        }
        require(name, "order", order, 1)?;
        require(name, "labels", labels, 1)?;
        require(name, "logits", logits, replicas * capacity * classes)?;
        require(name, "gradient", gradient, replicas * capacity * classes)?;
        require(name, "losses", losses, replicas)?;
        let invocations = if name == NAIVE.name { 1 } else { WORKGROUP_SIZE };
        gpu.check_iterations(name, capacity.div_ceil(invocations) * (3 * classes + 1) + 6)?;
        let params = params!(gpu, "softmax_cross_entropy.loss"; Params { classes, capacity, replicas })?;
        let kernel = self.0.bind(gpu, &[&params, steps, order, labels, logits, gradient, losses])?;
        let kernel = kernel.costing(Cost::new(0, replicas * (2 * capacity * classes + 2)));
        Ok(Bound::new(kernel, capacity, move |_| [1, 1, replicas as u32]))
    }
}
