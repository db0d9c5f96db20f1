//! The launches of training steps: layer by layer, or all dense layers at once.

use super::{Binder, Sequence};
use crate::engine::gpu::samples::BatchUploader;
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Recorder};
use crate::kernels::dense_stack::{self, StepArguments, StepInput};
use crate::kernels::softmax_cross_entropy::BatchLoss;
use crate::kernels::{Bound, adam};
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
    /// Binds forward pass, loss, backward pass and update; decaying weights are multiplied by `decay`, where the uploader does
    /// not say it. `gradient` `[replica, parameter]` is scratch.
    pub(in crate::engine::gpu) fn new(
        binder: Binder<'_>,
        gradient: &Buffer<f32>,
        losses: &Buffer<BatchLoss>,
        decay: f32,
    ) -> Result<Self> {
        let Binder { gpu, kernels, network, uploader, state, activations } = binder;
        let (Some(step), Some(launches)) = (&kernels.step, &uploader.launches) else {
            return layers(binder, gradient, losses, decay).map(Self::Layers);
        };
        let convolutions = network.convolutions();
        let features = activations.before(convolutions);
        let arguments = StepArguments {
            launches,
            input: match features {
                None => StepInput::Images(uploader.images()),
                Some(features) => StepInput::Features(features),
            },
            mask: &state.mask,
            parameters: &state.parameters,
            m: &state.m,
            v: &state.v,
            scratch: activations.output(convolutions),
            losses,
        };
        let mut backward = Vec::new();
        if let Some(features) = features {
            backward = self::backward(binder, convolutions, features, activations.gradients.each_ref(), gradient)?;
            backward.push(bind_adam(binder, gradient, network.place(convolutions).weights, decay)?);
        }
        let (stack, backward) = (step.bind(gpu, &arguments)?, Sequence(backward));
        let forward = Sequence::forward(binder, 0..convolutions)?;
        Ok(Self::Fused { forward, stack, backward })
    }

    /// Records the launch of [`BatchUploader::load_leave`], if there is one.
    pub(in crate::engine::gpu) fn record_leave(
        &self,
        recorder: &mut Recorder<'_>,
        uploader: &BatchUploader,
    ) -> Result<()> {
        match (self, &uploader.launches) {
            (Self::Fused { stack, .. }, Some(launches)) => stack.record(recorder, launches, 0),
            _ => Ok(()),
        }
    }

    /// Records the steps that were loaded into `uploader`, on `batches`.
    pub(in crate::engine::gpu) fn record(
        &self,
        recorder: &mut Recorder<'_>,
        uploader: &BatchUploader,
        batches: &[Range<usize>],
    ) -> Result<()> {
        let mut steps = (0..).zip(batches).map(|(step, batch)| (step, batch.len()));
        match (self, &uploader.launches) {
            (Self::Layers(layers), _) => steps.try_for_each(|(step, samples)| layers.record(recorder, step, samples)),
            (Self::Fused { stack, .. }, Some(launches)) if launches.tell_all() => {
                (0..launches.written() as u32).try_for_each(|launch| stack.record(recorder, launches, launch))
            }
            (Self::Fused { forward, stack, backward }, Some(launches)) => steps.try_for_each(|(step, samples)| {
                forward.record(recorder, step, samples)?;
                stack.record(recorder, launches, step)?;
                backward.record(recorder, step, samples)
            }),
            (Self::Fused { .. }, None) => {
                Err(Error::Shape("the batch uploader has no launches, which fused steps need".into()))
            }
        }
    }
}

/// Binds the update of the first `updated` parameters of each replica.
fn bind_adam(binder: Binder<'_>, gradient: &Buffer<f32>, updated: usize, decay: f32) -> Result<Bound> {
    let Binder { gpu, kernels, network, uploader, state, .. } = binder;
    let arguments = adam::StepArguments {
        replicas: state.replicas,
        parameters_per_replica: network.layout.parameters(),
        updated,
        masked: network.masked(),
        decay,
        steps: &uploader.steps,
        gradient,
        mask: &state.mask,
        parameters: &state.parameters,
        m: &state.m,
        v: &state.v,
    };
    kernels.adam.bind(gpu, &arguments)
}

/// Binds the backward pass of the layers before `end`, from the last to the first: gradients of weights, and of the input unless that
/// is an image. The gradient with respect to what the last one produces lies in `output_gradient`; those of the others take turns in
/// two arrays.
fn backward<'a>(
    binder: Binder<'_>,
    end: usize,
    mut output_gradient: &'a Buffer<f32>,
    [mut input_gradient, mut next]: [&'a Buffer<f32>; 2],
    gradient: &Buffer<f32>,
) -> Result<Vec<Bound>> {
    let mut launches = Vec::new();
    for index in (0..end).rev() {
        let layer = binder.layer(index);
        launches.push(layer.backward_weights(output_gradient, gradient)?);
        if let Some(input) = binder.activations.before(index) {
            launches.push(layer.backward_input(output_gradient, input, input_gradient)?);
        }
        output_gradient = input_gradient;
        std::mem::swap(&mut input_gradient, &mut next);
    }
    Ok(launches)
}

/// A whole training step, layer by layer.
fn layers(binder: Binder<'_>, gradient: &Buffer<f32>, losses: &Buffer<BatchLoss>, decay: f32) -> Result<Sequence> {
    let Binder { gpu, kernels, network, uploader, state, activations } = binder;
    let [of_logits, other] = activations.gradients.each_ref();
    let stack = kernels.stack.as_ref().zip(network.stack(state.replicas, activations.capacity));
    let end = if stack.is_some() { network.convolutions() + 1 } else { network.layers().len() };
    let Sequence(mut launches) = Sequence::forward(binder, 0..end)?;
    let output_gradient = if let Some((stack, shape)) = stack {
        // All dense layers after the first, forward and backward, with the loss between: they leave the gradient where they
        // found the output of the first.
        let arguments = dense_stack::GradientArguments {
            shape,
            parameters_per_replica: network.layout.parameters(),
            first: network.place(end).weights,
            steps: &uploader.steps,
            order: &uploader.order,
            labels: uploader.labels(),
            parameters: &state.parameters,
            activations: activations.output(end - 1),
            gradient,
            losses,
        };
        launches.push(stack.bind(gpu, &arguments)?);
        activations.output(end - 1)
    } else {
        launches.push(binder.loss(losses)?);
        of_logits
    };
    launches.extend(backward(binder, end, output_gradient, [other, of_logits], gradient)?);
    launches.push(bind_adam(binder, gradient, network.layout.parameters(), decay)?);
    Ok(Sequence(launches))
}
