//! The launches of training steps: layer by layer, or all dense layers at once.

use super::convolutions;
use super::{Binder, ForwardLaunches};
use crate::engine::gpu::samples::BatchUploader;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Recorder};
use crate::kernels::dense_stack::{self, Launches, StepArguments, StepInput};
use crate::kernels::softmax_cross_entropy::BatchLoss;
use crate::kernels::{Bound, adam, dense};
use std::ops::Range;

/// One layer of the backward pass: gradients of its weights, and of its input unless that is an image.
struct BackwardLayer {
    weights: Bound,
    input: Option<Bound>,
}

impl BackwardLayer {
    /// Binds dense layer `index`. `gradients` are those with respect to its output, its input, and the parameters.
    fn new(binder: Binder<'_>, index: usize, gradients: [&Buffer<f32>; 3]) -> Result<Self> {
        let Binder { gpu, kernels, network, feed, state, activations } = binder;
        let [output_gradient, input_gradient, gradient] = gradients;
        let layer = network.architecture.dense_layers()[index];
        let (shape, place) = (binder.shape(layer.inputs, layer.outputs), network.place(index));
        let steps = feed.steps();
        let (input, size) = (binder.input(index)?, kernels.workgroup_size);
        let arguments = dense::BackwardWeightsArguments { shape, place, steps, input, output_gradient, gradient };
        let weights = dense::BackwardWeights::new(size).bind(gpu, &arguments)?;
        let Some(input) = activations.input(index) else { return Ok(Self { weights, input: None }) };
        let parameters = &state.parameters;
        let arguments =
            dense::BackwardInputArguments { shape, place, steps, output_gradient, parameters, input, input_gradient };
        Ok(Self { weights, input: Some(dense::BackwardInput::new(size).bind(gpu, &arguments)?) })
    }
}

/// Training steps.
pub(in crate::engine::gpu) enum TrainingLaunches {
    /// Launches of each layer by itself, or of the dense ones after the first together.
    Layers(Box<LayerLaunches>),
    /// All dense layers and their update together.
    Fused(Box<FusedLaunches>),
}

impl TrainingLaunches {
    /// Binds forward pass, loss, backward pass and update; decaying weights are multiplied by `decay`, where the feed does
    /// not say it. `gradient` `[replica, parameter]` is scratch.
    pub(in crate::engine::gpu) fn new(
        binder: Binder<'_>,
        gradient: &Buffer<f32>,
        losses: &Buffer<BatchLoss>,
        decay: f32,
    ) -> Result<Self> {
        if let (Some(step), Some(launches)) = (&binder.kernels.step, binder.feed.launches()) {
            let fused = FusedLaunches::new(binder, (step, launches), gradient, losses, decay)?;
            return Ok(Self::Fused(Box::new(fused)));
        }
        Ok(Self::Layers(Box::new(LayerLaunches::new(binder, gradient, losses, decay)?)))
    }

    /// Records the launch of [`BatchUploader::load_leave`], if there is one.
    pub(in crate::engine::gpu) fn record_leave(&self, recorder: &mut Recorder<'_>, feed: &BatchUploader) -> Result<()> {
        match (self, feed.launches()) {
            (Self::Fused(fused), Some(launches)) => fused.stack.record(recorder, launches, 0),
            _ => Ok(()),
        }
    }

    /// Records the steps that were loaded into `feed`, on `batches`.
    pub(in crate::engine::gpu) fn record(
        &self,
        recorder: &mut Recorder<'_>,
        feed: &BatchUploader,
        batches: &[Range<usize>],
    ) -> Result<()> {
        match (self, feed.launches()) {
            (Self::Fused(fused), Some(launches)) => fused.record(recorder, launches, batches),
            (Self::Fused(_), None) => Err(Error::Shape("a feed without launches for fused steps".into())),
            (Self::Layers(layers), _) => {
                let mut steps = (0..).zip(batches);
                steps.try_for_each(|(step, batch)| layers.record(recorder, step, batch.len()))
            }
        }
    }
}

/// A training step whose dense layers are one launch.
pub(in crate::engine::gpu) struct FusedLaunches {
    /// The convolutions.
    forward: ForwardLaunches,
    stack: dense_stack::BoundStep,
    /// From the last convolution to the first.
    convolutions: Vec<convolutions::Backward>,
    /// The update of the convolutions, if there are any.
    adam: Option<Bound>,
}

impl FusedLaunches {
    fn new(
        binder: Binder<'_>,
        (step, launches): (&dense_stack::Step, &Launches),
        gradient: &Buffer<f32>,
        losses: &Buffer<BatchLoss>,
        decay: f32,
    ) -> Result<Self> {
        let Binder { gpu, network, feed, state, activations, .. } = binder;
        let forward = ForwardLaunches::new(binder, 0)?;
        let features = activations.convolved.last().map(|last| &last.values);
        let arguments = StepArguments {
            launches,
            input: match features {
                None => StepInput::Images(feed.images()?),
                Some(features) => StepInput::Features(features),
            },
            mask: &state.mask,
            parameters: &state.parameters,
            m: &state.m,
            v: &state.v,
            scratch: activations.output(0),
            losses,
        };
        let stack = step.bind(gpu, &arguments)?;
        let Some(features) = features else {
            return Ok(Self { forward, stack, convolutions: Vec::new(), adam: None });
        };
        let gradients = activations.gradients.each_ref();
        let convolutions = convolutions::backward(binder, features, gradients, gradient)?;
        let updated = network.place(0).weights;
        let adam = bind_adam(binder, gradient, updated, decay)?;
        Ok(Self { forward, stack, convolutions, adam: Some(adam) })
    }

    fn record(&self, recorder: &mut Recorder<'_>, launches: &Launches, batches: &[Range<usize>]) -> Result<()> {
        let Some(adam) = &self.adam else {
            let mut all = 0..launches.written() as u32;
            return all.try_for_each(|launch| self.stack.record(recorder, launches, launch));
        };
        for (step, batch) in (0..).zip(batches) {
            self.forward.record(recorder, step, batch.len())?;
            self.stack.record(recorder, launches, step)?;
            self.convolutions.iter().try_for_each(|layer| layer.record(recorder, step, batch.len()))?;
            adam.record(recorder, step, batch.len())?;
        }
        Ok(())
    }
}

/// Binds the update of the first `updated` parameters of each replica.
fn bind_adam(binder: Binder<'_>, gradient: &Buffer<f32>, updated: usize, decay: f32) -> Result<Bound> {
    let Binder { gpu, kernels, network, feed, state, .. } = binder;
    let arguments = adam::StepArguments {
        replicas: state.replicas,
        parameters_per_replica: network.layout.parameters(),
        updated,
        focus: network.layout.focus_weight().range(),
        decay,
        steps: feed.steps(),
        gradient,
        mask: &state.mask,
        parameters: &state.parameters,
        m: &state.m,
        v: &state.v,
    };
    kernels.adam.bind(gpu, &arguments)
}

/// A whole training step, layer by layer.
pub(in crate::engine::gpu) struct LayerLaunches {
    /// All layers, or those up to the first dense one.
    forward: ForwardLaunches,
    loss: LossLaunch,
    /// From the output layer to the first dense one, or only that.
    backward: Vec<BackwardLayer>,
    /// From the last convolution to the first.
    convolutions: Vec<convolutions::Backward>,
    adam: Bound,
}

/// What turns the end of the forward pass into the start of the backward pass.
enum LossLaunch {
    /// The loss.
    Loss(Bound),
    /// All dense layers after the first, forward and backward, with the loss between.
    Stack(Bound),
}

impl LayerLaunches {
    fn new(binder: Binder<'_>, gradient: &Buffer<f32>, losses: &Buffer<BatchLoss>, decay: f32) -> Result<Self> {
        let Binder { gpu, kernels, network, feed, state, activations } = binder;
        let steps = feed.steps();
        let stacked = kernels.stack.is_some();
        let layers = if stacked { 1 } else { network.architecture.depth + 1 };
        let forward = ForwardLaunches::new(binder, layers)?;
        // The gradient with respect to a layer's output and to its input take turns in two buffers.
        let [mut output_gradient, mut input_gradient] = activations.gradients.each_ref();
        let loss = if let Some(stack) = &kernels.stack {
            output_gradient = activations.output(0);
            let arguments = dense_stack::GradientArguments {
                shape: network.stack(state.replicas, activations.capacity),
                parameters_per_replica: network.layout.parameters(),
                first: network.place(1).weights,
                steps,
                order: feed.order(),
                labels: feed.labels()?,
                parameters: &state.parameters,
                activations: output_gradient,
                gradient,
                losses,
            };
            LossLaunch::Stack(stack.bind(gpu, &arguments)?)
        } else {
            LossLaunch::Loss(binder.loss(losses)?)
        };
        let mut backward = Vec::new();
        for index in (0..layers).rev() {
            let gradients = [output_gradient, input_gradient, gradient];
            backward.push(BackwardLayer::new(binder, index, gradients)?);
            std::mem::swap(&mut output_gradient, &mut input_gradient);
        }
        // What the stack gave is used up, and has only module for the first dense layer.
        let next = if stacked { &activations.gradients[0] } else { input_gradient };
        let gradients = [next, output_gradient];
        let convolutions = convolutions::backward(binder, output_gradient, gradients, gradient)?;
        let updated = network.layout.parameters();
        let adam = bind_adam(binder, gradient, updated, decay)?;
        Ok(Self { forward, loss, backward, convolutions, adam })
    }

    fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        self.forward.record(recorder, step, samples)?;
        match &self.loss {
            LossLaunch::Loss(loss) => loss.record(recorder, step, samples)?,
            LossLaunch::Stack(stack) => stack.record(recorder, step, samples)?,
        }
        for layer in &self.backward {
            layer.weights.record(recorder, step, samples)?;
            if let Some(input) = &layer.input {
                input.record(recorder, step, samples)?;
            }
        }
        self.convolutions.iter().try_for_each(|layer| layer.record(recorder, step, samples))?;
        self.adam.record(recorder, step, samples)
    }
}
