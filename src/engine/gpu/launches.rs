//! The launches of a forward pass and of a training step: which kernels, on which arrays, in which order.

mod convolutions;
mod training;

pub(super) use training::TrainingLaunches;

use super::samples::BatchUploader;
use super::tuning::Choice;
use crate::cpu::mask as states;
use crate::error::Result;
use crate::gpu::{Buffer, Gpu, Recorder};
use crate::kernels::dense::ImageShape;
use crate::kernels::dense_stack::{self, Reads, StepShape};
use crate::kernels::softmax_cross_entropy::{BatchLoss, Loss, LossArguments};
use crate::kernels::{Bound, ParameterOffsets, StepRecord, adam, dense};
use crate::network::{Architecture, ConvLayer, ParameterLayout, Selection};
use convolutions::Convolved;
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
    /// Where dense layer `index` lies in the flat parameter buffer.
    pub(super) fn place(&self, index: usize) -> ParameterOffsets {
        ParameterOffsets {
            parameters: self.layout.parameters(),
            weights: self.layout.dense_weight(index).offset,
            bias: self.layout.dense_bias(index).offset,
        }
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

    /// Number of layers, from the image to the logits.
    pub(super) fn layers(&self) -> usize {
        self.architecture.convolutions.len() + self.architecture.dense_layers().len()
    }

    /// Numbers that layer `index`, counted from the image, produces of one sample.
    pub(super) fn outputs(&self, index: usize) -> usize {
        let convolutions = self.architecture.conv_layers();
        match index.checked_sub(convolutions.len()) {
            None => convolutions[index].output_len(),
            Some(index) => self.architecture.dense_layers()[index].outputs,
        }
    }

    /// Values of one sample in the widest activation.
    pub(super) fn widest(&self) -> usize {
        let dense = self.architecture.hidden.iter().copied().fold(self.architecture.classes, usize::max);
        let widest = self.architecture.conv_layers().iter().map(ConvLayer::output_len).fold(dense, usize::max);
        widest.max(self.gathered_len())
    }

    /// Numbers of one image as an array of its own: convolutions read colours as features.
    fn gathered_len(&self) -> usize {
        let gathers = self.architecture.channels > 1 && !self.architecture.convolutions.is_empty();
        if gathers { self.architecture.image_len() } else { 0 }
    }

    /// Words of all activations of one sample, and of its gradients if it is trained on.
    pub(super) fn words_per_sample(&self, path: TrainingPath) -> usize {
        let convolved: usize = self.architecture.conv_layers().iter().map(convolutions::words_per_sample).sum();
        // What fused layers produce is part of their scratch.
        let dense = match path {
            TrainingPath::FusedTraining => 0,
            _ => self.architecture.dense_layers().iter().map(|layer| layer.outputs).sum(),
        };
        self.gathered_len() + convolved + dense + 2 * self.gradient_units(path)
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
            first: self.place(0).weights,
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
                self.architecture.conv_layers().iter().map(ConvLayer::output_len).max().unwrap_or(1)
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
    pub(super) fn new(gpu: &Gpu, network: &Network, path: TrainingPath, choice: Choice) -> Result<Self> {
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

/// What a forward pass leaves behind: what convolutions produce, and the output of each dense layer
/// `[replica, sample, unit]`; and two gradients with room for the largest of them.
pub(super) struct Activations {
    /// Samples that each replica has room for.
    pub(super) capacity: usize,
    /// Images in colour `[replica, sample, y, x, channel]`, if convolutions read them.
    gathered: Option<Buffer<f32>>,
    /// From the image on.
    convolved: Vec<Convolved>,
    outputs: Vec<Buffer<f32>>,
    gradients: [Buffer<f32>; 2],
}

/// Elements of the arrays of [`Activations`].
pub(super) struct ActivationSizes {
    capacity: usize,
    gathered: usize,
    /// What each convolution produces, and the codes of its pooling.
    convolved: Vec<(usize, Option<usize>)>,
    outputs: Vec<usize>,
    gradient: usize,
}

impl ActivationSizes {
    /// Room for `capacity` samples of each of `replicas`.
    pub(super) fn new(network: &Network, replicas: usize, capacity: usize, path: TrainingPath) -> Self {
        let array = |units: usize| replicas * capacity * units;
        let convolved = |layer: &ConvLayer| Convolved::sizes(layer, replicas * capacity);
        let stack = network.stack(replicas, capacity).filter(|_| path == TrainingPath::StackedTraining);
        let whole = network.whole_stack(replicas, capacity).filter(|_| path == TrainingPath::FusedTraining);
        let outputs = match (stack, whole) {
            (Some(stack), _) => vec![stack.activations()],
            (None, Some(whole)) => vec![whole.scratch()],
            (None, None) => network.architecture.dense_layers().into_iter().map(|layer| array(layer.outputs)).collect(),
        };
        Self {
            capacity,
            gathered: array(network.gathered_len()),
            convolved: network.architecture.conv_layers().iter().map(convolved).collect(),
            outputs,
            gradient: array(network.gradient_units(path)),
        }
    }

    /// All of them together, each a word.
    pub(super) fn words(&self) -> usize {
        let convolved: usize = self.convolved.iter().map(|(values, argmax)| values + argmax.unwrap_or(0)).sum();
        self.gathered + convolved + self.outputs.iter().sum::<usize>() + 2 * self.gradient
    }
}

impl Activations {
    /// Arrays of these sizes.
    pub(super) fn new(gpu: &Gpu, sizes: ActivationSizes) -> Result<Self> {
        let ActivationSizes { capacity, gathered, convolved, outputs, gradient } = sizes;
        let gathered = (gathered > 0).then(|| Buffer::new(gpu, "gathered", gathered));
        let convolved = convolved.into_iter().map(|(values, argmax)| Convolved::new(gpu, values, argmax));
        let outputs = outputs.into_iter().map(|len| Buffer::new(gpu, "activations", len));
        Ok(Self {
            capacity,
            gathered: gathered.transpose()?,
            convolved: convolved.collect::<Result<_>>()?,
            outputs: outputs.collect::<Result<_>>()?,
            gradients: [Buffer::new(gpu, "gradient", gradient)?, Buffer::new(gpu, "gradient", gradient)?],
        })
    }

    /// What dense layer `index` produces.
    pub(super) fn output(&self, index: usize) -> &Buffer<f32> {
        &self.outputs[index]
    }

    /// What layer `index` produces, counted from the image.
    pub(super) fn produced(&self, index: usize) -> &Buffer<f32> {
        match index.checked_sub(self.convolved.len()) {
            None => &self.convolved[index].values,
            Some(index) => self.output(index),
        }
    }

    /// What dense layer `index` reads: nothing here if that is images.
    fn input(&self, index: usize) -> Option<&Buffer<f32>> {
        match index.checked_sub(1) {
            Some(before) => Some(self.output(before)),
            None => self.convolved.last().map(|convolved| &convolved.values),
        }
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
    pub(super) feed: &'a BatchUploader,
    pub(super) state: &'a State,
    pub(super) activations: &'a Activations,
}

impl<'a> Binder<'a> {
    /// Sizes of a dense layer.
    fn shape(&self, inputs: usize, outputs: usize) -> dense::Shape {
        dense::Shape { replicas: self.state.replicas, capacity: self.activations.capacity, inputs, outputs }
    }

    /// The images of the feed.
    pub(super) fn images(&self) -> dense::Images<'a> {
        let Self { network, feed, .. } = self;
        dense::Images { shape: feed.shape(), scale: network.scale, order: &feed.order, images: feed.images() }
    }

    /// What dense layer `index` reads.
    fn input(&self, index: usize) -> dense::Input<'a> {
        match self.activations.input(index) {
            Some(features) => dense::Input::Features(features),
            None => dense::Input::Images(self.images()),
        }
    }

    fn loss(&self, losses: &Buffer<BatchLoss>) -> Result<Bound> {
        let Self { gpu, kernels, network, feed, state, activations } = *self;
        let arguments = LossArguments {
            replicas: state.replicas,
            capacity: activations.capacity,
            classes: network.architecture.classes,
            steps: &feed.steps,
            order: &feed.order,
            labels: feed.labels(),
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
    /// The layers in `range`, counted from the image, on the samples of a feed.
    pub(super) fn forward(binder: Binder<'_>, range: Range<usize>) -> Result<Self> {
        let Binder { gpu, kernels, network, feed, state, activations } = binder;
        let convolutions = network.architecture.convolutions.len();
        let mut launches = convolutions::forward(binder, &range)?;
        for (index, layer) in network.architecture.dense_layers().iter().enumerate() {
            if !range.contains(&(convolutions + index)) {
                continue;
            }
            let shape = binder.shape(layer.inputs, layer.outputs);
            let (place, relu, output) = (network.place(index), layer.relu, activations.output(index));
            let (steps, parameters) = (&feed.steps, &state.parameters);
            let input = binder.input(index);
            let arguments = dense::ForwardArguments { shape, place, relu, steps, input, parameters, output };
            launches.push(dense::Forward::new(kernels.workgroup_size).bind(gpu, &arguments)?);
        }
        Ok(Self(launches))
    }

    /// A forward pass through all layers from `first` on, counted from the image, and its loss; results go to `losses`
    /// `[row, replica]`.
    pub(super) fn evaluation(binder: Binder<'_>, first: usize, losses: &Buffer<BatchLoss>) -> Result<Self> {
        let mut launches = Self::forward(binder, first..binder.network.layers())?;
        launches.0.push(binder.loss(losses)?);
        Ok(launches)
    }

    /// Records them for the step in record `step`.
    pub(super) fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        self.0.iter().try_for_each(|launch| launch.record(recorder, step, samples))
    }
}

/// Words of a step record: what a feed's step buffer is made of.
pub(super) const RECORD_WORDS: usize = size_of::<StepRecord>() / 4;
