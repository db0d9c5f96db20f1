//! One whole training step composed of twins: in `f64` the oracle of every fused kernel and of both engines.

use super::conv2d::ConvShape;
use super::dense::DenseShape;
use super::max_pool2d::PoolShape;
use super::softmax_cross_entropy::BatchLoss;
use super::{Real, adam, conv2d, dense, mask, max_pool2d, mean, softmax_cross_entropy};
use crate::network::{Architecture, ConvLayer, ParameterLayout};

/// One replica: parameters and Adam's two moments, and the mask, all in the layout of [`ParameterLayout`].
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Replica<T> {
    /// Weights and biases.
    pub parameters: Vec<T>,
    /// Running means of gradients.
    pub m: Vec<T>,
    /// Running means of squared gradients.
    pub v: Vec<T>,
    /// State of each parameter: 0 pruned, 1 kept, 2 decaying (see [`super::mask`]).
    pub mask: Vec<u32>,
    /// Sums of the parameters after the epochs that are averaged, see [`super::mean`]; empty before the first of them.
    pub sums: Vec<T>,
}

impl<T: Real> Replica<T> {
    /// A replica with these parameters, moments 0 and nothing pruned.
    pub fn new(parameters: Vec<T>) -> Self {
        let (zeros, mask) = (vec![T::zero(); parameters.len()], vec![mask::KEPT; parameters.len()]);
        Self { parameters, m: zeros.clone(), v: zeros, mask, sums: Vec::new() }
    }

    /// Adds the parameters to their sums over epochs; the first time they become these.
    pub fn accumulate(&mut self) {
        if self.sums.is_empty() {
            self.sums.clone_from(&self.parameters);
        } else {
            mean::accumulate(&self.parameters, &mut self.sums);
        }
    }

    /// The mean of the parameters over as many epochs as were added to their sums.
    pub fn mean(&self, epochs: u32) -> Vec<T> {
        mean::divide(&self.sums, epochs)
    }
}

/// What a convolution produces.
struct Convolved<T> {
    /// `[sample, y, x, channel]`, pooled where the layer pools.
    values: Vec<T>,
    /// Where pooling found each value; empty where the layer does not pool.
    argmax: Vec<u8>,
}

/// What every layer produces for `input` `[sample, y, x, channel]`: convolutions, pooled where they pool, then dense layers with
/// one array `[sample, unit]` each, the last one the logits.
pub fn forward<T: Real>(architecture: &Architecture, parameters: &[T], input: &[T]) -> Vec<Vec<T>> {
    let convolved = forward_convolutions(architecture, parameters, input);
    let features = convolved.last().map_or(input, |last| &last.values);
    let dense = forward_dense(architecture, parameters, features);
    convolved.into_iter().map(|convolved| convolved.values).chain(dense).collect()
}

fn forward_convolutions<T: Real>(architecture: &Architecture, parameters: &[T], input: &[T]) -> Vec<Convolved<T>> {
    let layout = ParameterLayout::new(architecture);
    let samples = input.len() / architecture.image_len();
    let mut convolved: Vec<Convolved<T>> = Vec::new();
    for (index, layer) in architecture.conv_layers().iter().enumerate() {
        let input = convolved.last().map_or(input, |previous| &previous.values);
        let weights = &parameters[layout.conv_weight(index).range()];
        let bias = &parameters[layout.conv_bias(index).range()];
        let mut values = vec![T::zero(); samples * layer.height * layer.width * layer.outputs];
        conv2d::forward(conv_shape(layer, samples), input, weights, bias, &mut values);
        let (values, argmax) = pooled(layer, samples, values);
        convolved.push(Convolved { values, argmax });
    }
    convolved
}

/// What is left of `values` if the layer pools, and where it was found; else `values`.
pub(super) fn pooled<T: Real>(layer: &ConvLayer, samples: usize, values: Vec<T>) -> (Vec<T>, Vec<u8>) {
    if !layer.pool {
        return (values, Vec::new());
    }
    let mut pooled = vec![T::zero(); samples * layer.output_len()];
    let mut argmax = vec![0; pooled.len()];
    max_pool2d::forward(pool_shape(layer, samples), &values, &mut pooled, &mut argmax);
    (pooled, argmax)
}

fn forward_dense<T: Real>(architecture: &Architecture, parameters: &[T], features: &[T]) -> Vec<Vec<T>> {
    let layout = ParameterLayout::new(architecture);
    let samples = features.len() / architecture.features();
    let mut activations: Vec<Vec<T>> = Vec::new();
    for (index, layer) in architecture.dense_layers().iter().enumerate() {
        let shape = DenseShape { samples, inputs: layer.inputs, outputs: layer.outputs };
        let mut output = vec![T::zero(); samples * layer.outputs];
        let weights = &parameters[layout.dense_weight(index).range()];
        let bias = &parameters[layout.dense_bias(index).range()];
        let input = activations.last().map_or(features, |previous| previous);
        dense::forward(shape, input, weights, bias, layer.relu, &mut output);
        activations.push(output);
    }
    activations
}

pub(super) fn conv_shape(layer: &ConvLayer, samples: usize) -> ConvShape {
    let ConvLayer { height, width, inputs, outputs, .. } = *layer;
    ConvShape { samples, height, width, inputs, outputs }
}

pub(super) fn pool_shape(layer: &ConvLayer, samples: usize) -> PoolShape {
    PoolShape { samples, height: layer.height, width: layer.width, channels: layer.outputs }
}

/// Mean loss of a batch and its gradient with respect to all parameters.
pub fn gradient<T: Real>(
    architecture: &Architecture,
    parameters: &[T],
    input: &[T],
    labels: &[u8],
) -> (BatchLoss<T>, Vec<T>) {
    let layout = ParameterLayout::new(architecture);
    let layers = architecture.dense_layers();
    let convolved = forward_convolutions(architecture, parameters, input);
    let features = convolved.last().map_or(input, |last| &last.values);
    let activations = forward_dense(architecture, parameters, features);
    let logits = &activations[layers.len() - 1];
    let mut gradient = vec![T::zero(); parameters.len()];
    let mut output_gradient = vec![T::zero(); logits.len()];
    let loss = softmax_cross_entropy::loss(architecture.classes, logits, labels, &mut output_gradient);
    for (index, layer) in layers.iter().enumerate().rev() {
        let shape = DenseShape { samples: labels.len(), inputs: layer.inputs, outputs: layer.outputs };
        let input = if index == 0 { features } else { &activations[index - 1] };
        let (weight, bias) = (layout.dense_weight(index), layout.dense_bias(index));
        let (weight_gradient, bias_gradient) = gradient[weight.offset..bias.range().end].split_at_mut(weight.len());
        dense::backward_weights(shape, input, &output_gradient, weight_gradient, bias_gradient);
        if index > 0 || !convolved.is_empty() {
            let mut input_gradient = vec![T::zero(); input.len()];
            let weights = &parameters[weight.range()];
            dense::backward_input(shape, &output_gradient, weights, input, &mut input_gradient);
            output_gradient = input_gradient;
        }
    }
    for (index, layer) in architecture.conv_layers().iter().enumerate().rev() {
        let shape = conv_shape(layer, labels.len());
        if layer.pool {
            let mut before_pooling = vec![T::zero(); labels.len() * layer.height * layer.width * layer.outputs];
            let argmax = &convolved[index].argmax;
            max_pool2d::backward(pool_shape(layer, labels.len()), &output_gradient, argmax, &mut before_pooling);
            output_gradient = before_pooling;
        }
        let input = if index == 0 { input } else { &convolved[index - 1].values };
        let (weight, bias) = (layout.conv_weight(index), layout.conv_bias(index));
        let (weight_gradient, bias_gradient) = gradient[weight.offset..bias.range().end].split_at_mut(weight.len());
        conv2d::backward_weights(shape, input, &output_gradient, weight_gradient, bias_gradient);
        if index > 0 {
            let mut input_gradient = vec![T::zero(); input.len()];
            let weights = &parameters[weight.range()];
            conv2d::backward_input(shape, &output_gradient, weights, input, &mut input_gradient);
            output_gradient = input_gradient;
        }
    }
    // A bias that is not there does not move.
    layout.missing().for_each(|bias| gradient[bias.range()].fill(T::zero()));
    (loss, gradient)
}

/// One training step: gradient, then Adam with the bias-corrected `rate`, pruned weights held at 0, decaying ones multiplied
/// by `decay`.
pub fn step<T: Real>(
    architecture: &Architecture,
    replica: &mut Replica<T>,
    input: &[T],
    labels: &[u8],
    rate: T,
    decay: T,
) -> BatchLoss<T> {
    let (loss, gradient) = gradient(architecture, &replica.parameters, input, labels);
    let masked = Some(adam::Masked { offset: 0, mask: &replica.mask, decay });
    adam::step(rate, &gradient, masked, &mut replica.parameters, &mut replica.m, &mut replica.v);
    loss
}
