//! `dense_stack.*`: many dense layers in one launch: whole training steps of all of them, or, from what the first one produced,
//! the gradients of those after it.

mod step;

pub(super) use step::ROWS;
pub use step::launches::{LaunchStep, Launches, MOST_STEPS, Residency, STRUCTURES, Sample};
pub use step::{BoundStep, Reads, STEP, STEP_FEATURES, Step, StepArguments, StepInput, StepShape};

use super::softmax_cross_entropy::BatchLoss;
use super::{Bound, StepRecord, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Shader, parameters};
use std::sync::Arc;

shader!(GRADIENT = "dense_stack", "gradient"; with "step" "relu"; Params;
    read params, record step, read order.indexing, read labels.indexing, read parameters, write activations,
    write gradient, write losses; "WORKGROUP_SIZE");

shader!(NAIVE = "dense_stack", "naive"; with "step"; as GRADIENT []);

/// The most units of a layer, and the samples that a workgroup takes at a time.
pub(super) const WIDTH: usize = 32;

parameters! {
    struct Params {
        units: u32,
        classes: u32,
        depth: u32,
        capacity: u32,
        replicas: u32,
        parameters: u32,
        first: u32,
        scratch: u32,
        rows: u32,
    }
}

/// Sizes of the dense layers after the first over a batch of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Units of each hidden layer, at most 32.
    pub units: usize,
    /// Units of the last layer, 2 to 32.
    pub classes: usize,
    /// Hidden layers, the first included.
    pub depth: usize,
}

impl Shape {
    /// Whether the layers are narrow enough, and the driver completes the loops.
    pub fn fits(&self, gpu: &Gpu) -> bool {
        self.units <= WIDTH
            && self.classes <= WIDTH
            && gpu.check_iterations(GRADIENT.name, self.iterations(gpu.usual_workgroup_size() as usize)).is_ok()
    }

    /// Elements of the activations: those of the first layer, and scratch for the other hidden ones.
    pub fn activations(&self) -> usize {
        self.scratch() + self.replicas * (self.depth - 1) * self.rows() * self.units
    }

    /// Forward and backward through all layers, gradients of inputs and weights; each parameter is read, its gradient written, and
    /// what the first layer produced read and written.
    fn cost(&self) -> Cost {
        let Self { replicas, capacity, units, classes, depth } = *self;
        let weights = units * ((depth - 1) * units + classes);
        let parameters = weights + (depth - 1) * units + classes;
        Cost::new(3 * replicas * capacity * weights, 2 * replicas * (parameters + capacity * units))
    }

    fn scratch(&self) -> usize {
        self.replicas * self.capacity * self.units
    }

    fn rows(&self) -> usize {
        self.capacity.min(WIDTH)
    }

    /// Loop iterations of one invocation, from above: for every 32 samples and each layer two copies of its weights and
    /// activations, and three products of tiles; once the loss.
    fn iterations(&self, workgroup_size: usize) -> usize {
        let (quads, tiles) =
            ((WIDTH * WIDTH / 4).div_ceil(workgroup_size), (WIDTH * WIDTH / 32).div_ceil(workgroup_size));
        let layer = 5 * quads + tiles * (3 + WIDTH / 4 + WIDTH + WIDTH / 4);
        let loss = WIDTH.div_ceil(workgroup_size) * (3 * self.classes + WIDTH / 4);
        self.capacity.div_ceil(WIDTH) * (self.depth * layer + loss + 2 * quads) + 64
    }
}

/// Arrays of [`Gradient`].
pub struct GradientArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Parameters of one replica.
    pub parameters_per_replica: usize,
    /// The first weight of the layer after the first; weights `[in, out]` and bias of each layer follow one another.
    pub first: usize,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// Indices of samples; steps say where each replica's lie. They must be below the number of labels.
    pub order: &'a Buffer<u32>,
    /// `[image]`, each below `classes`.
    pub labels: &'a Buffer<u32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, unit]`, what the first layer produced behind its ReLU; becomes the gradient with respect to what
    /// enters it. Behind it lies scratch, [`Shape::activations`] elements together.
    pub activations: &'a Buffer<f32>,
    /// `[replica, parameter]`, written from `first` on.
    pub gradient: &'a Buffer<f32>,
    /// `[row, replica]`; a launch writes the row that its step names.
    pub losses: &'a Buffer<BatchLoss>,
}

/// Mean cross-entropy, correct samples, and the gradients of all dense layers after the first.
pub struct Gradient(Arc<Kernel>);

impl Gradient {
    /// Compiles the kernel with so many invocations for each replica; their number changes no bit.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        Kernel::new(gpu, &GRADIENT, &[("WORKGROUP_SIZE", workgroup_size)]).map(Self)
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu) -> Result<Self> {
        Kernel::new(gpu, &NAIVE, &[]).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &GradientArguments<'_>) -> Result<Bound> {
        let GradientArguments { shape, parameters_per_replica, first, steps, order, labels, .. } = *arguments;
        let GradientArguments { parameters, activations, gradient, losses, .. } = *arguments;
        let Shape { replicas, capacity, units, classes, depth } = shape;
        let name = self.0.name();
        require_positive(name, &[("replicas", replicas), ("capacity", capacity), ("units", units), ("depth", depth)])?;
        if units > WIDTH || !(2..=WIDTH).contains(&classes) {
            return Err(Error::Shape(format!(
                "{name}: {units} units and {classes} classes; at most {WIDTH} of each, and 2 classes or more, are possible"
            )));
        }
        let iterations = if name == NAIVE.name {
            (capacity + 1) * (3 * depth * WIDTH + 2 * classes)
        } else {
            shape.iterations(self.0.workgroup_size() as usize)
        };
        gpu.check_iterations(name, iterations)?;
        let end = first + (units + 1) * ((depth - 1) * units + classes);
        require(name, "order", order, 1)?;
        require(name, "labels", labels, 1)?;
        require(name, "parameters", parameters, (replicas - 1) * parameters_per_replica + end)?;
        require(name, "activations", activations, shape.activations())?;
        require(name, "gradient", gradient, (replicas - 1) * parameters_per_replica + end)?;
        require(name, "losses", losses, replicas)?;
        let params = params!(gpu, "dense_stack.gradient"; Params {
            units, classes, depth, capacity, replicas, parameters: parameters_per_replica, first,
            scratch: shape.scratch(), rows: shape.rows()
        })?;
        let arrays: [&dyn crate::gpu::Bindable; 8] =
            [&params, steps, order, labels, parameters, activations, gradient, losses];
        let kernel = self.0.bind(gpu, &arrays)?.costing(shape.cost());
        Ok(Bound::new(kernel, capacity, move |_| [1, 1, replicas as u32]))
    }
}
