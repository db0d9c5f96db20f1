//! A network layer by layer, as the surgeon walks through it: what a layer gives before its ReLU, and how much an error of
//! that matters to the logits. The twins of [`conv2d`], [`max_pool2d`] and [`dense`] composed.

use super::dense::DenseShape;
use super::training_step::{conv_shape, pool_shape, pooled};
use super::{Real, conv2d, dense, max_pool2d, relu};
use crate::network::{Architecture, Layer, ParameterLayout};

/// What one layer makes of what it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerOutput<T> {
    /// Before ReLU and pooling `[sample, unit]`, of a convolution `[sample, y, x, unit]`.
    pub pre_activations: Vec<T>,
    /// What the next layer reads; of the output layer the logits.
    pub values: Vec<T>,
    /// Where pooling found each value, see [`max_pool2d::forward`]; empty where the layer does not pool.
    pub argmax: Vec<u8>,
}

/// One layer of some samples: `input` is `[sample, feature]`, of a convolution `[sample, y, x, channel]`.
pub fn forward<T: Real>(layer: &Layer, weights: &[T], bias: &[T], input: &[T]) -> LayerOutput<T> {
    let samples = input.len() / layer.input_len();
    let mut pre_activations = vec![T::zero(); samples * layer.rows() * layer.units()];
    match layer {
        Layer::Convolution(layer) => {
            conv2d::pre_activations(conv_shape(layer, samples), input, weights, bias, &mut pre_activations);
            let (values, argmax) = pooled(layer, samples, pre_activations.iter().map(|&z| relu(z)).collect());
            LayerOutput { pre_activations, values, argmax }
        }
        Layer::Dense(layer) => {
            let shape = DenseShape { samples, inputs: layer.inputs, outputs: layer.outputs };
            dense::forward(shape, input, weights, bias, false, &mut pre_activations);
            let values = pre_activations.iter().map(|&z| if layer.relu { relu(z) } else { z }).collect();
            LayerOutput { pre_activations, values, argmax: Vec::new() }
        }
    }
}

/// For each layer and unit k the sum over samples, classes c and positions of `(d logit_c / d z_k)^2`, z before the ReLU.
///
/// Exact for ReLU networks: one backward pass for each class.
pub fn importance<T: Real>(architecture: &Architecture, parameters: &[T], input: &[T]) -> Vec<Vec<T>> {
    let layers = Layer::all(architecture);
    let mut importance: Vec<Vec<T>> = layers.iter().map(|layer| vec![T::zero(); layer.units()]).collect();
    logit_gradients(architecture, parameters, input, &mut |Gradient { layer, values, .. }| {
        add_squares(values, &mut importance[layer]);
    });
    importance
}

/// Adds the squares of `gradient` `[row, unit]` to `sums` `[unit]`.
///
/// Twin of `shaders/surgeon/importance.wgsl`, whose sums are those of one run of rows.
pub fn add_squares<T: Real>(gradient: &[T], sums: &mut [T]) {
    for row in gradient.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, &g)| *sum += g * g);
    }
}

/// What one logit of some samples has to do with one layer.
pub(super) struct Gradient<'a, T> {
    /// Which logit.
    pub class: usize,
    /// Which layer, counted from the image.
    pub layer: usize,
    /// What the layer reads `[sample, feature]`.
    pub input: &'a [T],
    /// `d logit / d z`, z before the ReLU: `[sample, unit]`, of a convolution `[sample, y, x, unit]`.
    pub values: &'a [T],
}

/// Gives `each` the gradients of every logit by the pre-activations of every layer, layers back to front.
pub(super) fn logit_gradients<T: Real>(
    architecture: &Architecture,
    parameters: &[T],
    input: &[T],
    each: &mut dyn FnMut(Gradient<'_, T>),
) {
    let layout = ParameterLayout::new(architecture);
    let layers = Layer::all(architecture);
    let mut inputs = vec![input.to_vec()];
    let mut argmax = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
        let output = forward(layer, weights, bias, &inputs[index]);
        inputs.push(output.values);
        argmax.push(output.argmax);
    }
    let samples = input.len() / layers[0].input_len();
    let classes = architecture.classes;
    for class in 0..classes {
        // Of each layer, back to front: the gradient of the logit by what the layer gives, then by what it gives before its
        // ReLU, which the layer behind it has masked already.
        let mut gradient: Vec<T> =
            (0..samples * classes).map(|place| if place % classes == class { T::one() } else { T::zero() }).collect();
        for (index, layer) in layers.iter().enumerate().rev() {
            let input = &inputs[index];
            let weights = &parameters[Layer::tensors(&layout, index)[0].range()];
            let mut before = vec![T::zero(); if index == 0 { 0 } else { input.len() }];
            match layer {
                Layer::Convolution(layer) => {
                    if layer.pool {
                        let mut unpooled = vec![T::zero(); samples * layer.height * layer.width * layer.outputs];
                        max_pool2d::backward(pool_shape(layer, samples), &gradient, &argmax[index], &mut unpooled);
                        gradient = unpooled;
                    }
                    if index > 0 {
                        conv2d::backward_input(conv_shape(layer, samples), &gradient, weights, input, &mut before);
                    }
                }
                Layer::Dense(layer) if index > 0 => {
                    let shape = DenseShape { samples, inputs: layer.inputs, outputs: layer.outputs };
                    dense::backward_input(shape, &gradient, weights, input, &mut before);
                }
                Layer::Dense(_) => {}
            }
            each(Gradient { class, layer: index, input, values: &gradient });
            gradient = before;
        }
    }
}
