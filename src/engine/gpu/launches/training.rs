//! The launches of training steps: layer by layer, or all dense layers at once.

use super::{Binder, Sequence, convolutions};
use crate::engine::gpu::samples::BatchUploader;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Recorder};
use crate::kernels::dense_stack::{self, StepArguments, StepInput};
use crate::kernels::softmax_cross_entropy::BatchLoss;
use crate::kernels::{Bound, adam, dense};
use std::ops::Range;

/// Training steps.
pub(in crate::engine::gpu) enum TrainingLaunches {
    /// Launches of each layer by itself, or of the dense ones after the first together.
    Layers(Sequence),
    /// All dense layers and their update in one launch, of many steps if there are no convolutions around it.
    Fused {
        /// The convolutions.
        forward: Sequence,
        stack: dense_stack::BoundStep,
        /// The convolutions, and their update.
        backward: Sequence,
    },
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
        let Binder { gpu, kernels, network, feed, state, activations } = binder;
        let (Some(step), Some(launches)) = (&kernels.step, &feed.launches) else {
            return layers(binder, gradient, losses, decay).map(Self::Layers);
        };
        let features = activations.convolved.last().map(|last| &last.values);
        let arguments = StepArguments {
            launches,
            input: match features {
                None => StepInput::Images(feed.images()),
                Some(features) => StepInput::Features(features),
            },
            mask: &state.mask,
            parameters: &state.parameters,
            m: &state.m,
            v: &state.v,
            scratch: activations.output(0),
            losses,
        };
        let mut backward = Vec::new();
        if let Some(features) = features {
            backward = convolutions::backward(binder, features, activations.gradients.each_ref(), gradient)?;
            backward.push(bind_adam(binder, gradient, network.place(0).weights, decay)?);
        }
        let (stack, backward) = (step.bind(gpu, &arguments)?, Sequence(backward));
        let forward = Sequence::forward(binder, 0..network.architecture.convolutions.len())?;
        Ok(Self::Fused { forward, stack, backward })
    }

    /// Records the launch of [`BatchUploader::load_leave`], if there is one.
    pub(in crate::engine::gpu) fn record_leave(&self, recorder: &mut Recorder<'_>, feed: &BatchUploader) -> Result<()> {
        match (self, &feed.launches) {
            (Self::Fused { stack, .. }, Some(launches)) => stack.record(recorder, launches, 0),
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
        let mut steps = (0..).zip(batches).map(|(step, batch)| (step, batch.len()));
        match (self, &feed.launches) {
            (Self::Layers(layers), _) => steps.try_for_each(|(step, samples)| layers.record(recorder, step, samples)),
            (Self::Fused { stack, .. }, Some(launches)) if launches.tell_all() => {
                (0..launches.written() as u32).try_for_each(|launch| stack.record(recorder, launches, launch))
            }
            (Self::Fused { forward, stack, backward }, Some(launches)) => steps.try_for_each(|(step, samples)| {
                forward.record(recorder, step, samples)?;
                stack.record(recorder, launches, step)?;
                backward.record(recorder, step, samples)
            }),
            (Self::Fused { .. }, None) => Err(Error::Shape("a feed without launches for fused steps".into())),
        }
    }
}

/// Binds the update of the first `updated` parameters of each replica.
fn bind_adam(binder: Binder<'_>, gradient: &Buffer<f32>, updated: usize, decay: f32) -> Result<Bound> {
    let Binder { gpu, kernels, network, feed, state, .. } = binder;
    let arguments = adam::StepArguments {
        replicas: state.replicas,
        parameters_per_replica: network.layout.parameters(),
        updated,
        masked: network.masked(),
        decay,
        steps: &feed.steps,
        gradient,
        mask: &state.mask,
        parameters: &state.parameters,
        m: &state.m,
        v: &state.v,
    };
    kernels.adam.bind(gpu, &arguments)
}

/// A whole training step, layer by layer.
fn layers(binder: Binder<'_>, gradient: &Buffer<f32>, losses: &Buffer<BatchLoss>, decay: f32) -> Result<Sequence> {
    let Binder { gpu, kernels, network, feed, state, activations } = binder;
    let (steps, parameters) = (&feed.steps, &state.parameters);
    let layers = if kernels.stack.is_some() { 1 } else { network.architecture.hidden.len() + 1 };
    let Sequence(mut launches) = Sequence::forward(binder, 0..network.architecture.convolutions.len() + layers)?;
    // The gradient with respect to a layer's output and to its input take turns in two buffers.
    let [mut output_gradient, mut input_gradient] = activations.gradients.each_ref();
    let stack = kernels.stack.as_ref().zip(network.stack(state.replicas, activations.capacity));
    launches.push(if let Some((stack, shape)) = stack {
        // All dense layers after the first, forward and backward, with the loss between: they leave the gradient where they
        // found the output of the first.
        output_gradient = activations.output(0);
        let arguments = dense_stack::GradientArguments {
            shape,
            parameters_per_replica: network.layout.parameters(),
            first: network.place(1).weights,
            steps,
            order: &feed.order,
            labels: feed.labels(),
            parameters,
            activations: output_gradient,
            gradient,
            losses,
        };
        stack.bind(gpu, &arguments)?
    } else {
        binder.loss(losses)?
    });
    for (index, layer) in network.architecture.dense_layers().iter().enumerate().take(layers).rev() {
        let (shape, place) = (binder.shape(layer.inputs, layer.outputs), network.place(index));
        let (input, size) = (binder.input(index), kernels.workgroup_size);
        let arguments = dense::BackwardWeightsArguments { shape, place, steps, input, output_gradient, gradient };
        launches.push(dense::BackwardWeights::new(size).bind(gpu, &arguments)?);
        if let Some(input) = activations.input(index) {
            let arguments = dense::BackwardInputArguments {
                shape,
                place,
                steps,
                output_gradient,
                parameters,
                input,
                input_gradient,
            };
            launches.push(dense::BackwardInput::new(size).bind(gpu, &arguments)?);
        }
        std::mem::swap(&mut output_gradient, &mut input_gradient);
    }
    // What the stack gave is used up, and has only room for the first dense layer.
    let next = if kernels.stack.is_some() { &activations.gradients[0] } else { input_gradient };
    launches.extend(convolutions::backward(binder, output_gradient, [next, output_gradient], gradient)?);
    launches.push(bind_adam(binder, gradient, network.layout.parameters(), decay)?);
    Ok(Sequence(launches))
}
