//! All dense layers after the first, forward and backward, and whole steps of all of them: the twins of [`dense`],
//! [`softmax_cross_entropy`] and [`adam`] composed.

use super::Real;
use super::adam::{self, Masked};
use super::dense::{self, DenseShape};
use super::softmax_cross_entropy::{self, BatchLoss};

/// Sizes of the dense layers after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackShape {
    /// Units of each hidden layer.
    pub units: usize,
    /// Units of the last layer.
    pub classes: usize,
    /// Hidden layers, the first included.
    pub depth: usize,
}

impl StackShape {
    /// Parameters of all layers after the first: weights `[in, out]` and bias of one after the other.
    pub fn parameters(&self) -> usize {
        (self.units + 1) * ((self.depth - 1) * self.units + self.classes)
    }
}

/// Forward pass, loss and backward pass of all layers after the first, on what the first produced behind its ReLU:
/// `activations` `[sample, unit]`. They become the mean loss's gradient with respect to what enters that ReLU; `gradient`
/// becomes the one with respect to `parameters`.
///
/// Twin of `shaders/dense_stack/gradient.wgsl`.
pub fn gradient<T: Real>(
    shape: StackShape,
    parameters: &[T],
    labels: &[u8],
    activations: &mut [T],
    gradient: &mut [T],
) -> BatchLoss<T> {
    let StackShape { units, classes, depth } = shape;
    let layer = |index: usize| {
        let outputs = if index == depth { classes } else { units };
        let first = (index - 1) * (units + 1) * units;
        (DenseShape { samples: labels.len(), inputs: units, outputs }, first..first + (units + 1) * outputs)
    };
    let mut inputs = vec![activations.to_vec()];
    for index in 1..=depth {
        let (shape, range) = layer(index);
        let (weights, bias) = parameters[range].split_at(units * shape.outputs);
        let mut output = vec![T::zero(); labels.len() * shape.outputs];
        dense::forward(shape, &inputs[index - 1], weights, bias, index < depth, &mut output);
        inputs.push(output);
    }
    let mut output_gradient = vec![T::zero(); labels.len() * classes];
    let loss = softmax_cross_entropy::loss(classes, &inputs[depth], labels, &mut output_gradient);
    for index in (1..=depth).rev() {
        let (shape, range) = layer(index);
        let (input, weights) = (&inputs[index - 1], &parameters[range.start..]);
        let (weight_gradient, bias_gradient) = gradient[range].split_at_mut(units * shape.outputs);
        dense::backward_weights(shape, input, &output_gradient, weight_gradient, bias_gradient);
        let mut input_gradient = vec![T::zero(); input.len()];
        let weights = &weights[..units * shape.outputs];
        dense::backward_input(shape, &output_gradient, weights, input, &mut input_gradient);
        output_gradient = input_gradient;
    }
    activations.copy_from_slice(&output_gradient);
    loss
}

/// What a training step changes: parameters of all layers, weights `[in, out]` and bias of one after the other, and their
/// moments.
pub struct Trained<'a, T> {
    /// Weights and biases.
    pub parameters: &'a mut [T],
    /// Running means of gradients.
    pub m: &'a mut [T],
    /// Running means of squared gradients.
    pub v: &'a mut [T],
}

/// A training step of all layers, layer 0 on `input` `[sample, feature]`, with the bias-corrected `rate`: forward, loss,
/// backward and Adam. `masked` is relative to the parameters. Returns the loss before the update and the gradient; where the
/// input is greater than 0, `input` becomes the gradient with respect to it, else 0.
///
/// Twin of `shaders/dense_stack/step.wgsl`, and `input` of `step_features.wgsl`.
pub fn step<T: Real>(
    shape: StackShape,
    input: &mut [T],
    labels: &[u8],
    rate: T,
    masked: Masked<'_, T>,
    trained: Trained<'_, T>,
) -> (BatchLoss<T>, Vec<T>) {
    let first = DenseShape { samples: labels.len(), inputs: input.len() / labels.len(), outputs: shape.units };
    let Trained { parameters, m, v } = trained;
    let mut gradients = vec![T::zero(); parameters.len()];
    let (own, behind) = parameters.split_at((first.inputs + 1) * first.outputs);
    let (weights, bias) = own.split_at(first.inputs * first.outputs);
    let (own_gradients, gradients_behind) = gradients.split_at_mut(own.len());
    let (weight_gradient, bias_gradient) = own_gradients.split_at_mut(weights.len());
    let mut activations = vec![T::zero(); labels.len() * shape.units];
    dense::forward(first, input, weights, bias, true, &mut activations);
    let loss = gradient(shape, behind, labels, &mut activations, gradients_behind);
    dense::backward_weights(first, input, &activations, weight_gradient, bias_gradient);
    let mut input_gradient = vec![T::zero(); input.len()];
    dense::backward_input(first, &activations, weights, input, &mut input_gradient);
    input.copy_from_slice(&input_gradient);
    adam::step(rate, &gradients, Some(masked), parameters, m, v);
    (loss, gradients)
}
