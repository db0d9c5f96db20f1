//! The convolutions of a network: what they leave behind, and their launches.

use super::{Activations, Binder};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::conv2d::{
    BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, Forward, ForwardArguments, Input,
    Shape,
};
use crate::kernels::dense::{Gather, GatherArguments};
use crate::kernels::max_pool2d::{self, argmax_len};
use crate::kernels::{Bound, ParameterOffsets, StepRecord};
use crate::network::ConvLayer;
use std::ops::Range;

/// What a convolution produces.
pub(super) struct Convolved {
    /// `[replica, sample, y, x, channel]`, pooled where the layer pools.
    pub(super) values: Buffer<f32>,
    /// Codes of where pooling found each value, where the layer pools.
    argmax: Option<Buffer<u32>>,
}

impl Convolved {
    /// Elements of values and codes of so many samples.
    pub(super) fn sizes(layer: &ConvLayer, samples: usize) -> (usize, Option<usize>) {
        (samples * layer.output_len(), layer.pool.then(|| samples * argmax_words(layer)))
    }

    /// Arrays of these sizes.
    pub(super) fn new(gpu: &Gpu, values: usize, argmax: Option<usize>) -> Result<Self> {
        let argmax = argmax.map(|argmax| Buffer::new(gpu, "argmax", argmax));
        Ok(Self { values: Buffer::new(gpu, "convolved", values)?, argmax: argmax.transpose()? })
    }
}

/// Words of what a convolution leaves behind for one sample.
pub(super) fn words_per_sample(layer: &ConvLayer) -> usize {
    layer.output_len() + if layer.pool { argmax_words(layer) } else { 0 }
}

fn argmax_words(layer: &ConvLayer) -> usize {
    let ConvLayer { height, width, outputs: channels, .. } = *layer;
    argmax_len(max_pool2d::Shape { replicas: 1, capacity: 1, height, width, channels })
}

/// Which replicas and samples the launches of all layers are about.
struct Layer<'a> {
    shape: Shape,
    place: ParameterOffsets,
    input: Input<'a>,
    convolved: &'a Convolved,
    /// What the layer before produced; nothing before the first.
    features: Option<&'a Buffer<f32>>,
}

/// The convolutions from the image on.
fn layers(binder: Binder<'_>) -> Vec<Layer<'_>> {
    let Binder { network, state, activations, .. } = binder;
    let mut features: Option<&Buffer<f32>> = None;
    let mut layers = Vec::new();
    for (index, (layer, convolved)) in network.architecture.conv_layers().iter().zip(&activations.convolved).enumerate()
    {
        let ConvLayer { height, width, inputs, outputs, .. } = *layer;
        let Activations { capacity, .. } = *activations;
        layers.push(Layer {
            shape: Shape { replicas: state.replicas, capacity, height, width, inputs, outputs },
            place: ParameterOffsets {
                parameters: network.layout.parameters(),
                weights: network.layout.conv_weight(index).offset,
                bias: network.layout.conv_bias(index).offset,
            },
            input: match features.or(activations.gathered.as_ref()) {
                None => Input::Images(binder.images()),
                Some(features) => Input::Features(features),
            },
            convolved,
            features,
        });
        features = Some(&convolved.values);
    }
    layers
}

/// Binds the forward pass of the layers in `range`: one launch a layer, and of images in colour one before that widens them.
pub(super) fn forward(binder: Binder<'_>, range: &Range<usize>) -> Result<Vec<Bound>> {
    let Binder { gpu, kernels, feed, state, activations, .. } = binder;
    let gather = activations.gathered.as_ref().filter(|_| range.contains(&0)).map(|output| {
        let (replicas, capacity, steps, images) = (state.replicas, activations.capacity, &feed.steps, binder.images());
        Gather::new(kernels.workgroup_size).bind(gpu, &GatherArguments { replicas, capacity, steps, images, output })
    });
    let bind = |Layer { shape, place, input, convolved, .. }: Layer<'_>| {
        let arguments = ForwardArguments {
            shape,
            place,
            steps: &feed.steps,
            input,
            parameters: &state.parameters,
            output: &convolved.values,
            argmax: convolved.argmax.as_ref(),
        };
        Forward::new(kernels.workgroup_size).bind(gpu, &arguments)
    };
    let chosen = layers(binder).into_iter().enumerate().filter(|(index, _)| range.contains(index));
    gather.into_iter().chain(chosen.map(|(_, layer)| bind(layer))).collect()
}

/// Binds the backward pass, from the last convolution to the first: gradients of its weights, and of its input unless that is
/// an image. The gradient with respect to what the last one gives
/// out lies in `last`; those of the others take turns in `gradients`.
pub(super) fn backward(
    binder: Binder<'_>,
    last: &Buffer<f32>,
    gradients: [&Buffer<f32>; 2],
    gradient: &Buffer<f32>,
) -> Result<Vec<Bound>> {
    let Binder { gpu, kernels, feed, state, .. } = binder;
    let steps: &Buffer<StepRecord> = &feed.steps;
    let mut output_gradient = last;
    let [mut input_gradient, mut next] = gradients;
    let mut backward = Vec::new();
    for Layer { shape, place, input, convolved, features } in layers(binder).into_iter().rev() {
        let argmax = convolved.argmax.as_ref();
        let arguments = BackwardWeightsArguments { shape, place, steps, input, output_gradient, argmax, gradient };
        backward.push(BackwardWeights::new(kernels.workgroup_size).bind(gpu, &arguments)?);
        if let Some(input) = features {
            let arguments = BackwardInputArguments {
                shape,
                place,
                steps,
                output_gradient,
                argmax,
                parameters: &state.parameters,
                input,
                input_gradient,
            };
            backward.push(BackwardInput::new(kernels.workgroup_size).bind(gpu, &arguments)?);
        }
        output_gradient = input_gradient;
        std::mem::swap(&mut input_gradient, &mut next);
    }
    Ok(backward)
}
