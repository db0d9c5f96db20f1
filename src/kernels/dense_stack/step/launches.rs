//! What the launches of `dense_stack.step` are told: `Launch` in `shaders/prelude/dense_layout.wgsl`.

use super::super::super::dense::ImageShape;
use super::{Reads, StepShape};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Records, parameters};

/// The most steps of a launch.
pub const MOST_STEPS: usize = 64;
/// Words of a record are a multiple of this: WebGPU's alignment of 256 bytes.
const ALIGNMENT: usize = 64;

parameters! {
    pub(super) struct Params {
        height: u32,
        width: u32,
        row_words: u32,
        scale: f32,
        units: u32,
        classes: u32,
        depth: u32,
        capacity: u32,
        rows: u32,
        replicas: u32,
        parameters: u32,
        first: u32,
        decay: f32,
        mask_offset: u32,
        masked: u32,
    }
}

impl Params {
    fn new(shape: &StepShape, decay: f32) -> Self {
        let StepShape { input, scale, units, classes, depth, capacity, replicas, parameters, first, .. } = *shape;
        let (ImageShape { height, width }, row_words, rows) = (input, input.row_words(), shape.rows());
        let (mask_offset, masked) = (shape.mask_offset, shape.masked);
        params!(; Params {
            height, width, row_words, scale, units, classes, depth, capacity, rows, replicas, parameters, first, decay,
            mask_offset, masked
        })
    }
}

parameters! {
    /// The part of a record before its samples.
    struct Head {
        params: Params,
        enters: u32,
        leaves: u32,
        steps: u32,
        samples_per_replica: u32,
        each: [LaunchStep; MOST_STEPS],
    }
}

parameters! {
    /// A step of a launch.
    pub struct LaunchStep {
        first: u32,
        samples: u32,
        row: u32,
        rate: f32,
    }
}

parameters! {
    /// A sample of a launch.
    pub struct Sample {
        image: u32,
        label: u32,
    }
}

/// The structures behind the binding `launch`, for the catalogue: the first is followed by an array of the last.
pub const STRUCTURES: [(&str, crate::gpu::Parameters); 3] =
    [("Launch", Head::LAYOUT), ("Step", LaunchStep::LAYOUT), ("Sample", Sample::LAYOUT)];

/// What a launch does with weights and moments apart from training them. They stay in scratch from launch to launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residency {
    /// It brings them into scratch before its first step.
    pub enters: bool,
    /// It puts them back behind its last step. Until then their arrays are out of date.
    pub leaves: bool,
}

impl Residency {
    /// Neither.
    pub const NONE: Self = Self { enters: false, leaves: false };
}

impl LaunchStep {
    /// A step on `samples` samples; they start at place `first` of those that the launch has for each replica. Its loss goes
    /// to row `row`; `rate` is Adam's bias-corrected learning rate.
    pub fn new(first: usize, samples: usize, row: usize, rate: f32) -> Self {
        Self { first: first as u32, samples: samples as u32, row: row as u32, rate }
    }
}

impl Sample {
    /// A sample of class `label`; the index of its image is unused where layer 0 reads features.
    pub fn new(image: u32, label: u32) -> Self {
        Self { image, label }
    }
}

/// What one record says.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// The last row that it writes a loss to.
    pub(super) last_row: usize,
    /// Its steps.
    pub(super) steps: usize,
    /// Samples of each replica in all of them.
    pub(super) samples: usize,
}

/// Records for launches of [`super::Step`], each with the steps that it takes and their samples.
pub struct Launches {
    buffer: Buffer<u32>,
    shape: StepShape,
    decay: f32,
    steps: usize,
    words: usize,
    /// What was written for each launch.
    written: Vec<Written>,
}

impl Launches {
    /// Words of a record of up to `steps` steps.
    pub fn words(shape: &StepShape, steps: usize) -> usize {
        let samples = shape.replicas * steps * shape.capacity;
        ((size_of::<Head>() + samples * size_of::<Sample>()) / 4).next_multiple_of(ALIGNMENT)
    }

    /// Room for `launches` launches of up to `steps` steps each, in which decaying weights are multiplied by `decay`.
    pub fn new(gpu: &Gpu, shape: &StepShape, decay: f32, steps: usize, launches: usize) -> Result<Self> {
        let steps = steps.clamp(1, MOST_STEPS);
        let words = Self::words(shape, steps);
        let buffer = Buffer::new(gpu, "launches", launches * words)?;
        Ok(Self { buffer, shape: *shape, decay, steps, words, written: Vec::new() })
    }

    /// The most steps of a launch.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How many launches there is room for.
    pub fn launches(&self) -> usize {
        self.buffer.len() / self.words
    }

    /// How many launches were written.
    pub fn written(&self) -> usize {
        self.written.len()
    }

    /// Whether no other launch of a step has to be told anything: nothing comes before the dense layers.
    pub fn tell_all(&self) -> bool {
        self.shape.reads == Reads::Images
    }

    /// Sizes of what is launched.
    pub(super) fn shape(&self) -> &StepShape {
        &self.shape
    }

    /// The records as a kernel is bound to them.
    pub(super) fn records(&self) -> Records<'_, u32> {
        Records { buffer: &self.buffer, bytes: 4 * self.words as u64 }
    }

    /// The launch in record `launch`, if there is one.
    pub(super) fn launch(&self, launch: u32) -> Option<Written> {
        self.written.get(launch as usize).copied()
    }

    /// Says what the launch in the next record does, from the first on after [`Self::clear`]: `samples` are
    /// `[replica, sample]`. Only a launch that leaves may have no steps. Fails if there is no room for it.
    pub fn push(
        &mut self,
        gpu: &Gpu,
        residency: Residency,
        steps: &[LaunchStep],
        samples: impl ExactSizeIterator<Item = Sample>,
    ) -> Result<()> {
        let StepShape { replicas, capacity, .. } = self.shape;
        let own = samples.len() / replicas;
        let last = steps.iter().map(|step| (step.first + step.samples) as usize).max().unwrap_or(0);
        let fits = |step: &LaunchStep| (1..=capacity).contains(&(step.samples as usize));
        let launch = self.written.len();
        if launch == self.launches()
            || !(usize::from(!residency.leaves)..=self.steps).contains(&steps.len())
            || !steps.iter().all(fits)
            || own != last
            || own > self.steps * capacity
            || samples.len() != own * replicas
        {
            return Err(Error::Shape(format!(
                "dense_stack.step: launch {launch} of {} has {} steps with {last} samples, and {} samples for {replicas} \
                 replicas; up to {} steps of 1 to {capacity} samples have room",
                self.launches(),
                steps.len(),
                samples.len(),
                self.steps
            )));
        }
        let mut head = Head {
            params: Params::new(&self.shape, self.decay),
            enters: u32::from(residency.enters),
            leaves: u32::from(residency.leaves),
            steps: steps.len() as u32,
            samples_per_replica: own as u32,
            each: [LaunchStep::new(0, 0, 0, 0.0); MOST_STEPS],
        };
        head.each[..steps.len()].copy_from_slice(steps);
        let head: &[u32] = bytemuck::cast_slice(bytemuck::bytes_of(&head));
        let len = head.len() + 2 * samples.len();
        let words = head.iter().copied().chain(samples.flat_map(|Sample { image, label }| [image, label]));
        self.buffer.gather(gpu, launch * self.words, len, words)?;
        let last_row = steps.iter().map(|step| step.row as usize).max().unwrap_or(0);
        self.written.push(Written { last_row, steps: steps.len(), samples: last });
        Ok(())
    }

    /// Forgets all launches: what was submitted with them keeps them.
    pub fn clear(&mut self) {
        self.written.clear();
    }
}
