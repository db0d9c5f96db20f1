//! `dense_stack.step`: whole training steps of all dense layers, many in one launch.

pub(super) mod launches;

use super::super::dense::ImageShape;
use super::super::softmax_cross_entropy::BatchLoss;
use super::super::{read, record, require, require_positive, write};
use super::WIDTH;
use crate::error::{Error, Result};
use crate::gpu::{Bindable, BoundKernel, Buffer, Cost, Gpu, Kernel, Recorder, Shader};
use launches::{Launches, Params};
use std::sync::Arc;

shader!(STEP = "dense_stack", "step";
    with "states" "adam" "relu" "pixels" "dense_layout" "dense_products" "dense_update"; Params;
    record launch.indexing, read images, read mask, write parameters, write m, write v, write scratch, write losses;
    "WORKGROUP_SIZE");

shader!(STEP_FEATURES = "dense_stack", "step_features";
    with "states" "adam" "relu" "dense_layout" "dense_products" "dense_update"; Params;
    record launch.indexing, write features, read mask, write parameters, write m, write v, write scratch, write losses;
    "WORKGROUP_SIZE");

/// Rows of a tile of a product; it is four columns wide.
pub(in crate::kernels) const ROWS: usize = 4;

/// What layer 0 reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Images.
    Images,
    /// Features, which are exchanged for their gradient.
    Features,
}

/// Sizes of a stack of dense layers that is trained by [`Step`], and where its parameters lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepShape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// What layer 0 reads.
    pub reads: Reads,
    /// Sizes of an image; features are an image of one row.
    pub input: ImageShape,
    /// What pixels are multiplied by; 1 for features.
    pub scale: f32,
    /// Units of each hidden layer, at most 32.
    pub units: usize,
    /// Units of the last layer, 2 to 32.
    pub classes: usize,
    /// Hidden layers, layer 0 included, at least 2.
    pub depth: usize,
    /// Parameters of one replica.
    pub parameters: usize,
    /// The first weight of layer 0; weights `[in, out]` and bias of each layer follow one another.
    pub first: usize,
    /// The first parameter of a replica that the mask covers.
    pub mask_offset: usize,
    /// How many of its parameters the mask covers.
    pub masked: usize,
}

impl StepShape {
    /// How many steps a launch may have: none if a layer is too wide, or the driver does not complete the loops of even
    /// one.
    pub fn most_steps(&self, gpu: &Gpu, workgroup_size: u32) -> usize {
        if self.units > WIDTH || self.classes > WIDTH {
            return 0;
        }
        let limit = gpu.max_loop_iterations().map_or(usize::MAX, |limit| limit as usize);
        let most = if self.reads == Reads::Features { 1 } else { super::MOST_STEPS };
        (limit.saturating_sub(self.moving_iterations(workgroup_size)) / self.iterations(workgroup_size)).min(most)
    }

    /// Elements of the scratch.
    pub fn scratch(&self) -> usize {
        let matrices = 2 * self.depth + 2;
        self.replicas * (3 * self.rows_of_all() + matrices * self.rows()) * WIDTH
    }

    /// Rows of weights and biases of all layers in scratch.
    fn rows_of_all(&self) -> usize {
        4 * self.input.words() + 1 + self.depth * (WIDTH + 1)
    }

    /// Rows of a matrix in scratch.
    pub(super) fn rows(&self) -> usize {
        self.capacity.next_multiple_of(WIDTH)
    }

    /// One past the last parameter of the stack.
    fn end(&self) -> usize {
        let Self { input, units, classes, depth, first, .. } = *self;
        first + (input.height * input.width + 1) * units + (units + 1) * ((depth - 1) * units + classes)
    }

    /// `steps` steps on `samples` samples together: forward, input gradients of all layers that do not read images, weight
    /// gradients, and Adam's six multiply-adds; weights and moments are read and written once, whatever the steps.
    fn cost(&self, steps: usize, samples: usize) -> Cost {
        let Self { replicas, reads, input, units, classes, depth, first, .. } = *self;
        let inputs = input.height * input.width;
        let (before, behind) = (inputs * units, units * ((depth - 1) * units + classes));
        let products = 3 * behind + if reads == Reads::Images { 2 } else { 3 } * before;
        let parameters = self.end() - first;
        let read = samples * if reads == Reads::Images { input.words() } else { 2 * inputs };
        let multiply_adds = samples * products + 6 * steps * parameters;
        Cost::new(replicas * multiply_adds, replicas * (6 * parameters + read + self.masked + 2 * steps))
    }

    /// Loop iterations of one invocation in a step, from above: for every 32 samples each layer forward and back, and the
    /// loss; once the weights; and the loops around them.
    fn iterations(&self, workgroup_size: u32) -> usize {
        let (words, quads) = (self.input.words(), WIDTH / 4);
        let rounds = |rows: usize| (rows.div_ceil(ROWS) * quads).div_ceil(workgroup_size as usize);
        let (chunk, samples) = (self.capacity.div_ceil(WIDTH), self.rows() / 4);
        let layers = rounds(WIDTH) * (words + 1 + 2 * self.depth * (quads + 1)) + 2 * self.depth;
        let loss = WIDTH.div_ceil(workgroup_size as usize) * (3 * quads + 3);
        let inputs = rounds(4 * words) + self.depth * rounds(WIDTH);
        // Features, 32 at a time: their gradient is a layer's, and put in their place.
        let blocks = if self.reads == Reads::Features { words.div_ceil(quads) } else { 0 };
        let features =
            chunk * rounds(WIDTH) * (quads + 1) + (self.rows() * quads).div_ceil(workgroup_size as usize) + 1;
        chunk * (layers + loss + 1) + inputs * (samples + 5) + blocks * (features + samples + 5) + self.depth + 64
    }

    /// Loop iterations of one invocation that brings weights and moments into scratch and puts them back.
    fn moving_iterations(&self, workgroup_size: u32) -> usize {
        2 * ((self.rows_of_all() * WIDTH / 4).div_ceil(workgroup_size as usize) + 2 * self.depth + 4)
    }
}

/// What layer 0 reads, as an array.
#[derive(Clone, Copy)]
pub enum StepInput<'a> {
    /// `[image, y, word]`, made by [`ImageShape::pack`]; samples name their images.
    Images(&'a Buffer<u32>),
    /// `[replica, sample, feature]`, what convolutions produced behind a ReLU; become the gradient with respect to what
    /// enters that. A launch has one step.
    Features(&'a Buffer<f32>),
}

/// Arrays of [`Step`].
pub struct StepArguments<'a> {
    /// What the launches do.
    pub launches: &'a Launches,
    /// What layer 0 reads.
    pub input: StepInput<'a>,
    /// `[replica, masked]`: 0 pruned, 1 kept, 2 decaying.
    pub mask: &'a Buffer<u32>,
    /// `[replica, parameter]`, read and written.
    pub parameters: &'a Buffer<f32>,
    /// Running means of gradients, as `parameters`.
    pub m: &'a Buffer<f32>,
    /// Running means of squared gradients, as `parameters`.
    pub v: &'a Buffer<f32>,
    /// Anything, [`StepShape::scratch`] elements.
    pub scratch: &'a Buffer<f32>,
    /// `[row, replica]`; a step writes the row that it names.
    pub losses: &'a Buffer<BatchLoss>,
}

/// Whole training steps: forward, loss, backward and Adam, one workgroup for each replica.
pub struct Step {
    kernel: Arc<Kernel>,
    reads: Reads,
}

/// [`Step`] with its arrays.
pub struct BoundStep {
    kernel: BoundKernel,
    name: &'static str,
    replicas: usize,
    /// Rows that there are losses for.
    rows: usize,
}

impl Step {
    /// Compiles the kernel with so many invocations for each replica; their number changes no bit.
    pub fn new(gpu: &Gpu, workgroup_size: u32, reads: Reads) -> Result<Self> {
        let shader = match reads {
            Reads::Images => &STEP,
            Reads::Features => &STEP_FEATURES,
        };
        Ok(Self { kernel: Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", workgroup_size)])?, reads })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &StepArguments<'_>) -> Result<BoundStep> {
        let StepArguments { launches, input, mask, parameters, m, v, scratch, losses } = *arguments;
        let (name, shape) = (self.kernel.name(), launches.shape());
        let StepShape { replicas, capacity, units, classes, depth, .. } = *shape;
        let pixels = shape.input.height * shape.input.width;
        let sizes = [("replicas", replicas), ("capacity", capacity), ("units", units), ("inputs", pixels)];
        require_positive(name, &sizes)?;
        if units > WIDTH || !(2..=WIDTH).contains(&classes) || depth < 2 {
            return Err(Error::Shape(format!(
                "{name}: {depth} hidden layers of {units} units and {classes} classes; at least 2 layers, at most {WIDTH} \
                 of each, and 2 classes or more, are possible"
            )));
        }
        if shape.reads == Reads::Features && launches.steps() > 1 {
            return Err(Error::Shape(format!("{name}: launches of {} steps; features last for one", launches.steps())));
        }
        let steps = launches.steps() * shape.iterations(self.kernel.workgroup_size());
        gpu.check_iterations(name, steps + shape.moving_iterations(self.kernel.workgroup_size()))?;
        let needed = (replicas - 1) * shape.parameters + shape.end();
        for (role, array) in [("parameters", parameters), ("m", m), ("v", v)] {
            require(name, role, array, needed)?;
        }
        require(name, "mask", mask, replicas * shape.masked)?;
        require(name, "scratch", scratch, shape.scratch())?;
        require(name, "losses", losses, replicas)?;
        let reads = match input {
            StepInput::Images(_) => Reads::Images,
            StepInput::Features(_) => Reads::Features,
        };
        if [shape.reads, self.reads] != [reads; 2] {
            return Err(Error::Shape(format!(
                "{name} is bound to {reads:?}, and the launches were made for {:?}",
                shape.reads
            )));
        }
        let input: &dyn Bindable = match input {
            StepInput::Images(images) => {
                require(name, "images", images, shape.input.words())?;
                images
            }
            StepInput::Features(features) => {
                require(name, "features", features, replicas * capacity * pixels)?;
                features
            }
        };
        let arrays: [&dyn Bindable; 8] = [&launches.records(), input, mask, parameters, m, v, scratch, losses];
        Ok(BoundStep { kernel: self.kernel.bind(gpu, &arrays)?, name, replicas, rows: losses.len() / replicas })
    }
}

impl BoundStep {
    /// Records the launch in record `launch` of `launches`, those that it was bound to. Fails if that was not written, or
    /// there is no row for one of its losses.
    pub fn record(&self, recorder: &mut Recorder<'_>, launches: &Launches, launch: u32) -> Result<()> {
        let Some(written) = launches.launch(launch) else {
            return Err(Error::Shape(format!("{}: launch {launch} has no steps", self.name)));
        };
        let row = written.last_row;
        if row >= self.rows {
            return Err(Error::Shape(format!("{}: the losses have {} rows, not row {row}", self.name, self.rows)));
        }
        // What a launch costs depends on the steps that it takes.
        let kernel = self.kernel.clone().costing(launches.shape().cost(written.steps, written.samples));
        recorder.dispatch(&kernel, [1, 1, self.replicas as u32], Some(launch))
    }
}
