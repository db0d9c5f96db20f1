//! `focus_sweep.evaluate`: many pruned networks at once.

use super::{Bound, StepRecord, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Gpu, Kernel, Shader, parameters};
use std::sync::Arc;

shader!(EVALUATE = "focus_sweep", "evaluate"; with "step" "relu"; Params;
    read params, record step, read labels, read input, read parameters, read masks, read point_replica.indexing,
    write losses; "LANES" "HIDDEN");

shader!(NAIVE = "focus_sweep", "naive"; with "step"; as EVALUATE ["HIDDEN"]);

/// Workgroup memory that every device has, in bytes.
const WORKGROUP_MEMORY: usize = 16_384;
/// Samples of one invocation.
const SAMPLES_PER_LANE: usize = 4;
/// The most invocations of a workgroup.
const MOST_LANES: usize = 64;

parameters! {
    struct Params {
        inputs: u32,
        units: u32,
        classes: u32,
        capacity: u32,
        parameters: u32,
        focus_weights: u32,
        focus_bias: u32,
        output_weights: u32,
        output_bias: u32,
        blocks: u32,
    }
}

/// Sum of losses and correct samples of one block of samples of one point.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct BlockLoss {
    /// Sum of cross-entropies.
    pub sum: f32,
    /// Correctly classified samples.
    pub correct: u32,
}

/// Where the focus layer and the output layer lie in the flat parameter buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterOffsets {
    /// Parameters of one replica.
    pub parameters: usize,
    /// First weight of the focus layer.
    pub focus_weights: usize,
    /// First bias of the focus layer.
    pub focus_bias: usize,
    /// First weight of the output layer.
    pub output_weights: usize,
    /// First bias of the output layer.
    pub output_bias: usize,
}

/// Arrays of [`Evaluate`].
pub struct EvaluateArguments<'a> {
    /// Replicas in `input` and `parameters`.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Classes.
    pub classes: usize,
    /// Where weights and biases lie in `parameters`.
    pub place: ParameterOffsets,
    /// Blocks of samples that each point has room for.
    pub blocks: usize,
    /// The steps that launches choose from: `first` is the first label, `row` the first block.
    pub steps: &'a Buffer<StepRecord>,
    /// `[image]`, each below `classes`.
    pub labels: &'a Buffer<u32>,
    /// `[replica, sample, unit]`: what the focus layer reads.
    pub input: &'a Buffer<f32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[point, in, word]`: a bit for each focus weight, 1 where it is kept; each row in whole words, its first unit in the
    /// lowest bit.
    pub masks: &'a Buffer<u32>,
    /// `[point]`, each below `replicas`.
    pub point_replica: &'a Buffer<u32>,
    /// `[point, block]`, written.
    pub losses: &'a Buffer<BlockLoss>,
}

/// Sum of losses and correct samples of each point, by blocks of samples.
pub struct Evaluate {
    kernel: Arc<Kernel>,
    inputs: usize,
    units: usize,
    /// Samples of a workgroup.
    block: usize,
}

/// Words of a mask of a layer of `inputs` x `units` weights.
fn mask_words(inputs: usize, units: usize) -> usize {
    inputs * units.div_ceil(32)
}

/// Invocations of a workgroup for layers of so many `units`: a vector for each hidden unit and a pair for the sums of each of
/// them fit workgroup memory. Nothing if they do not fit for one.
fn lanes(units: usize) -> Option<usize> {
    let fitting = WORKGROUP_MEMORY / (4 * SAMPLES_PER_LANE * units + 8);
    fitting.checked_ilog2().map(|log| MOST_LANES.min(1 << log))
}

/// Words of the mask of a point of a layer of `[inputs, units]`, and of what it leaves behind of so many samples.
pub fn point_words([inputs, units]: [usize; 2], samples: usize) -> usize {
    mask_words(inputs, units) + 2 * lanes(units).map_or(0, |lanes| samples.div_ceil(SAMPLES_PER_LANE * lanes))
}

impl Evaluate {
    /// Compiles the kernel for focus layers of `[inputs, units]`. Fails if the hidden units of four samples do not fit
    /// workgroup memory.
    pub fn new(gpu: &Gpu, [inputs, units]: [usize; 2]) -> Result<Self> {
        let Some(lanes) = lanes(units).filter(|_| inputs > 0 && units > 0) else {
            return Err(Error::Shape(format!(
                "{}: a focus layer of {units} units with {inputs} inputs; 1 to {} units fit workgroup memory, use a smaller \
                 --width or --device cpu",
                EVALUATE.name,
                (WORKGROUP_MEMORY - 8) / (4 * SAMPLES_PER_LANE)
            )));
        };
        let constants = [("LANES", lanes as u32), ("HIDDEN", (units * lanes) as u32)];
        Ok(Self { kernel: Kernel::new(gpu, &EVALUATE, &constants)?, inputs, units, block: SAMPLES_PER_LANE * lanes })
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, [inputs, units]: [usize; 2]) -> Result<Self> {
        Ok(Self { kernel: Kernel::new(gpu, &NAIVE, &[("HIDDEN", units as u32)])?, inputs, units, block: 1 })
    }

    /// Samples of a block: of one workgroup.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &EvaluateArguments<'_>) -> Result<Bound> {
        let name = self.kernel.name();
        let EvaluateArguments { replicas, capacity, classes, place, blocks, steps, labels, .. } = *arguments;
        let EvaluateArguments { input, parameters, masks, point_replica, losses, .. } = *arguments;
        let (inputs, units, points) = (self.inputs, self.units, point_replica.len());
        let sizes = [("replicas", replicas), ("capacity", capacity), ("points", points), ("blocks", blocks)];
        require_positive(name, &sizes)?;
        if classes < 2 {
            return Err(Error::Shape(format!("{name}: {classes} classes, at least 2 are needed")));
        }
        require(name, "labels", labels, 1)?;
        require(name, "input", input, replicas * capacity * inputs)?;
        let ends = [
            place.focus_weights + inputs * units,
            place.focus_bias + units,
            place.output_weights + units * classes,
            place.output_bias + classes,
        ];
        let end = ends.into_iter().fold(0, usize::max);
        require(name, "parameters", parameters, (replicas - 1) * place.parameters + end)?;
        require(name, "masks", masks, points * mask_words(inputs, units))?;
        require(name, "losses", losses, points * blocks)?;
        let together = if name == NAIVE.name { 1 } else { 4 };
        gpu.check_iterations(name, units.div_ceil(together) * (inputs + 1) + classes * (units + 1) + 6)?;
        let params = params!(gpu, "focus_sweep.evaluate"; Params {
            inputs, units, classes, capacity, parameters: place.parameters, focus_weights: place.focus_weights,
            focus_bias: place.focus_bias, output_weights: place.output_weights, output_bias: place.output_bias,
            blocks
        })?;
        let arrays: [&dyn crate::gpu::Bindable; 8] =
            [&params, steps, labels, input, parameters, masks, point_replica, losses];
        let kernel = self.kernel.bind(gpu, &arrays)?;
        let weights = units * (inputs + classes);
        let read = capacity * inputs + weights + units + classes;
        let words = points * (mask_words(inputs, units) + blocks) + replicas * read;
        let kernel = kernel.costing(Cost::new(points * capacity * weights, words));
        let block = self.block;
        Ok(Bound::new(kernel, capacity, move |samples| [samples.div_ceil(block) as u32, 1, points as u32]))
    }
}
