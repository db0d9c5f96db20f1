//! The launches of a forward pass and of a training step: which kernels, on which arrays, in which order.

mod training;

pub(super) use training::TrainingLaunches;

use super::layer::{LayerBinder, argmax_words, place};
use super::samples::BatchUploader;
use super::tuning::TuningChoice;
use crate::cpu::mask as states;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernels::dense::ImageShape;
use crate::kernels::dense_stack::{self, Reads, StepShape};
use crate::kernels::softmax_cross_entropy::{BatchLoss, Loss, LossArguments};
use crate::kernels::{Bound, ParameterOffsets, StepRecord, adam, dense};
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use std::ops::Range;

/// What all launches of a network need to know.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) architecture: Architecture,
    pub(super) layout: ParameterLayout,
    /// The weights that can be masked; the mask covers their span.
    pub(super) selection: Selection,
    /// What pixels are multiplied by.
    pub(super) scale: f32,
}

impl Network {
    /// Convolutions, which stand before all dense layers.
    pub(super) fn convolutions(&self) -> usize {
        self.architecture.convolutions.len()
    }

    /// Where layer `index`, counted from the image, lies in the flat parameter buffer.
    fn place(&self, index: usize) -> ParameterOffsets {
        place(&self.layout, index)
    }

    /// Records copies of the weights of a selection to `target` `[replica, selected]`.
    pub(super) fn copy_weights(
        &self,
        recorder: &mut Recorder<'_>,
        state: &State,
        selection: &Selection,
        target: &Buffer<f32>,
    ) -> Result<()> {
        let (stride, all) = (self.layout.parameters(), selection.weights());
        (0..state.replicas).try_for_each(|replica| {
            selection.parts().iter().try_for_each(|part| {
                let first = replica * stride + part.range.start;
                recorder.copy(&state.parameters, first, target, replica * all + part.start, part.weights())
            })
        })
    }

    /// Parameters that the mask on the device covers. A network without biases holds them by it, so there it covers all.
    pub(super) fn masked(&self) -> Range<usize> {
        if self.architecture.bias { self.selection.span() } else { 0..self.layout.parameters() }
    }

    /// Has the mask of one replica `[masked]` hold biases that are not there at 0.
    pub(super) fn hold_missing(&self, mask: &mut [u32]) {
        self.layout.missing().for_each(|bias| mask[bias.range()].fill(states::PRUNED));
    }

    /// The layers from the image to the logits.
    pub(super) fn layers(&self) -> Vec<Layer> {
        Layer::all(&self.architecture)
    }

    /// Values of one sample in the widest activation.
    pub(super) fn widest(&self) -> usize {
        self.layers().iter().map(Layer::output_len).fold(self.gathered_len(), usize::max)
    }

    /// Numbers of one image as an array of its own: convolutions read colours as features.
    fn gathered_len(&self) -> usize {
        let gathers = self.architecture.channels > 1 && !self.architecture.convolutions.is_empty();
        if gathers { self.architecture.image_len() } else { 0 }
    }

    /// Words of all activations of one sample, and of its gradients if it is trained on.
    pub(super) fn words_per_sample(&self, path: TrainingPath) -> usize {
        let layers = self.layers();
        // What fused layers produce is part of their scratch.
        let apart = if path == TrainingPath::FusedTraining { self.convolutions() } else { layers.len() };
        let outputs: usize = layers[..apart].iter().map(Layer::output_len).sum();
        let codes: usize = layers.iter().filter_map(|layer| argmax_words(layer, 1)).sum();
        self.gathered_len() + outputs + codes + 2 * self.gradient_units(path)
    }

    /// Sizes of the dense layers after the first; nothing where hidden layers differ in width, which the stack is not made
    /// for.
    pub(super) fn stack(&self, replicas: usize, capacity: usize) -> Option<dense_stack::Shape> {
        let Architecture { classes, ref hidden, .. } = self.architecture;
        let units = self.architecture.common_width()?;
        Some(dense_stack::Shape { replicas, capacity, units, classes, depth: hidden.len() })
    }

    /// Sizes of all dense layers, for whole steps of them; nothing where hidden layers differ in width, or have no biases:
    /// whole steps update each bias as a weight that is kept.
    pub(super) fn whole_stack(&self, replicas: usize, capacity: usize) -> Option<StepShape> {
        let Architecture { image_height: height, image_width, channels, classes, ref hidden, .. } = self.architecture;
        let units = self.architecture.common_width().filter(|_| self.architecture.bias)?;
        let depth = hidden.len();
        let images = self.architecture.convolutions.is_empty();
        let features = ImageShape { height: 1, width: self.architecture.features() };
        Some(StepShape {
            replicas,
            capacity,
            reads: self.reads(),
            input: if images { ImageShape { height, width: image_width * channels } } else { features },
            scale: if images { self.scale } else { 1.0 },
            units,
            classes,
            depth,
            parameters: self.layout.parameters(),
            first: self.place(self.convolutions()).weights,
            mask_offset: self.selection.span().start,
            masked: self.selection.span().len(),
        })
    }

    /// What the first dense layer reads.
    pub(super) fn reads(&self) -> Reads {
        if self.architecture.convolutions.is_empty() { Reads::Images } else { Reads::Features }
    }

    /// Values of one sample in a gradient with respect to an activation that is an array of its own: of any layer in
    /// training, of convolutions only if dense layers keep theirs to themselves, else of the logits.
    fn gradient_units(&self, path: TrainingPath) -> usize {
        match path {
            TrainingPath::Evaluation => self.architecture.classes,
            TrainingPath::FusedTraining => {
                self.layers()[..self.convolutions()].iter().map(Layer::output_len).max().unwrap_or(1)
            }
            TrainingPath::Training | TrainingPath::StackedTraining => self.widest(),
        }
    }
}

/// The compiled kernels of training and evaluation.
pub(super) struct Kernels {
    pub(super) workgroup_size: u32,
    stack: Option<dense_stack::Gradient>,
    step: Option<dense_stack::Step>,
    loss: Loss,
    adam: adam::Step,
}

impl Kernels {
    /// Compiles what training for this `path` and any evaluation need. `choice` changes no bit.
    pub(super) fn new(gpu: &Gpu, network: &Network, path: TrainingPath, choice: TuningChoice) -> Result<Self> {
        let size = choice.workgroup_size;
        let stack = (path == TrainingPath::StackedTraining).then(|| dense_stack::Gradient::new(gpu, size));
        let step = (path == TrainingPath::FusedTraining).then(|| dense_stack::Step::new(gpu, size, network.reads()));
        Ok(Self {
            workgroup_size: size,
            stack: stack.transpose()?,
            step: step.transpose()?,
            loss: Loss::new(gpu)?,
            adam: adam::Step::new(gpu, size)?,
        })
    }
}

/// What activations are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrainingPath {
    /// Only forward: gradients have room for the logits.
    Evaluation,
    /// Forward and backward, each dense layer by itself.
    Training,
    /// Forward and backward, all dense layers after the first in one launch: what they produce is its own affair.
    StackedTraining,
    /// All dense layers forward and backward and Adam in one launch, of many steps if nothing comes before them.
    FusedTraining,
}

/// What a forward pass leaves behind, and two gradients with room for the largest of it.
pub(super) struct Activations {
    /// Samples that each replica has room for.
    pub(super) capacity: usize,
    /// Images in colour `[replica, sample, y, x, channel]`, if convolutions read them.
    gathered: Option<Buffer<f32>>,
    /// What each layer produces, from the image on: `[replica, sample, unit]`, of convolutions `[replica, sample, y, x, channel]`,
    /// pooled where they pool. Where dense layers are launched together, the last is scratch of them all.
    outputs: Vec<Buffer<f32>>,
    /// See [`LayerBinder::argmax`], of each layer.
    argmax: Vec<Option<Buffer<u32>>>,
    gradients: [Buffer<f32>; 2],
}

/// Elements of the arrays of [`Activations`].
pub(super) struct ActivationSizes {
    capacity: usize,
    gathered: usize,
    outputs: Vec<usize>,
    argmax: Vec<Option<usize>>,
    gradient: usize,
}

impl ActivationSizes {
    /// Room for `capacity` samples of each of `replicas`.
    pub(super) fn new(network: &Network, replicas: usize, capacity: usize, path: TrainingPath) -> Self {
        let (samples, layers) = (replicas * capacity, network.layers());
        let mut outputs: Vec<usize> = layers.iter().map(|layer| samples * layer.output_len()).collect();
        let together = match path {
            TrainingPath::StackedTraining => network.stack(replicas, capacity).map(|stack| stack.activations()),
            TrainingPath::FusedTraining => network.whole_stack(replicas, capacity).map(|stack| stack.scratch()),
            TrainingPath::Training | TrainingPath::Evaluation => None,
        };
        if let Some(together) = together {
            outputs.truncate(network.convolutions());
            outputs.push(together);
        }
        Self {
            capacity,
            gathered: samples * network.gathered_len(),
            outputs,
            argmax: layers.iter().map(|layer| argmax_words(layer, samples)).collect(),
            gradient: samples * network.gradient_units(path),
        }
    }

    /// All of them together, each a word.
    pub(super) fn words(&self) -> usize {
        let codes: usize = self.argmax.iter().flatten().sum();
        self.gathered + self.outputs.iter().sum::<usize>() + codes + 2 * self.gradient
    }
}

impl Activations {
    /// Arrays of these sizes.
    pub(super) fn new(gpu: &Gpu, sizes: ActivationSizes) -> Result<Self> {
        let ActivationSizes { capacity, gathered, outputs, argmax, gradient } = sizes;
        let gathered = (gathered > 0).then(|| Buffer::new(gpu, "gathered", gathered));
        let outputs = outputs.into_iter().map(|len| Buffer::new(gpu, "activations", len));
        let argmax = argmax.into_iter().map(|len| len.map(|len| Buffer::new(gpu, "argmax", len)).transpose());
        Ok(Self {
            capacity,
            gathered: gathered.transpose()?,
            outputs: outputs.collect::<Result<_>>()?,
            argmax: argmax.collect::<Result<_>>()?,
            gradients: [Buffer::new(gpu, "gradient", gradient)?, Buffer::new(gpu, "gradient", gradient)?],
        })
    }

    /// What layer `index` produces, counted from the image.
    pub(super) fn output(&self, index: usize) -> &Buffer<f32> {
        &self.outputs[index]
    }

    /// What the layer before layer `index` produces; nothing before the first.
    fn before(&self, index: usize) -> Option<&Buffer<f32>> {
        index.checked_sub(1).map(|before| &self.outputs[before])
    }

    /// The logits.
    pub(super) fn logits(&self) -> &Buffer<f32> {
        &self.outputs[self.outputs.len() - 1]
    }
}

/// State of the replicas of a wave, each `[replica, parameter]`, and the mask `[replica, masked]`: states of the parameters in
/// the span of the network's selection.
pub(super) struct State {
    pub(super) replicas: usize,
    pub(super) parameters: Buffer<f32>,
    pub(super) m: Buffer<f32>,
    pub(super) v: Buffer<f32>,
    pub(super) mask: Buffer<u32>,
}

/// What launches are bound to: the kernels, and the arrays of a wave of replicas.
#[derive(Clone, Copy)]
pub(super) struct Binder<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) kernels: &'a Kernels,
    pub(super) network: &'a Network,
    pub(super) uploader: &'a BatchUploader,
    pub(super) state: &'a State,
    pub(super) activations: &'a Activations,
}

impl<'a> Binder<'a> {
    /// The images of the batch uploader.
    pub(super) fn images(&self) -> dense::Images<'a> {
        let Self { network, uploader, .. } = self;
        dense::Images {
            shape: uploader.shape(),
            scale: network.scale,
            order: &uploader.order,
            images: uploader.images(),
        }
    }

    /// Layer `index`, counted from the image.
    fn layer(&self, index: usize) -> LayerBinder<'a> {
        let Self { gpu, kernels, network, uploader, state, activations } = *self;
        let features = activations.before(index).or(activations.gathered.as_ref());
        LayerBinder {
            gpu,
            workgroup_size: kernels.workgroup_size,
            replicas: state.replicas,
            capacity: activations.capacity,
            steps: &uploader.steps,
            parameters: &state.parameters,
            layer: network.layers()[index],
            place: network.place(index),
            input: features.map_or_else(|| dense::Input::Images(self.images()), dense::Input::Features),
            argmax: activations.argmax[index].as_ref(),
        }
    }

    fn loss(&self, losses: &Buffer<BatchLoss>) -> Result<Bound> {
        let Self { gpu, kernels, network, uploader, state, activations } = *self;
        let arguments = LossArguments {
            replicas: state.replicas,
            capacity: activations.capacity,
            classes: network.architecture.classes,
            steps: &uploader.steps,
            order: &uploader.order,
            labels: uploader.labels(),
            logits: activations.logits(),
            gradient: &activations.gradients[0],
            losses,
        };
        kernels.loss.bind(gpu, &arguments)
    }
}

/// Launches that follow each other in a step.
pub(super) struct Sequence(Vec<Bound>);

impl Sequence {
    /// The layers in `range`, counted from the image, on the samples of a batch uploader: one launch each, and one before the first that
    /// widens images in colour.
    pub(super) fn forward(binder: Binder<'_>, range: Range<usize>) -> Result<Self> {
        let Binder { gpu, kernels, uploader, state, activations, .. } = binder;
        let mut launches = Vec::new();
        if let Some(output) = activations.gathered.as_ref().filter(|_| range.contains(&0)) {
            let (replicas, capacity, steps, images) =
                (state.replicas, activations.capacity, &uploader.steps, binder.images());
            let arguments = dense::GatherArguments { replicas, capacity, steps, images, output };
            launches.push(dense::Gather::new(kernels.workgroup_size).bind(gpu, &arguments)?);
        }
        for index in range {
            launches.push(binder.layer(index).forward(activations.output(index))?);
        }
        Ok(Self(launches))
    }

    /// A forward pass through all layers from `first` on, counted from the image, and its loss; results go to `losses`
    /// `[row, replica]`.
    pub(super) fn evaluation(binder: Binder<'_>, first: usize, losses: &Buffer<BatchLoss>) -> Result<Self> {
        let mut launches = Self::forward(binder, first..binder.network.layers().len())?;
        launches.0.push(binder.loss(losses)?);
        Ok(launches)
    }

    /// Records them for the step in record `step`.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        self.0.iter().try_for_each(|launch| launch.record(recorder, step, samples))
    }
}

/// Words of a step record: what a batch uploader's step buffer is made of.
pub(super) const RECORD_WORDS: usize = size_of::<StepRecord>() / 4;
