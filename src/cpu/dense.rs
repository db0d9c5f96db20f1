//! Fully connected layers. Activations are `[sample, unit]`, weights `[in, out]`, all row-major.

use super::Real;

/// Sizes of one application of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseShape {
    /// Samples in the batch.
    pub samples: usize,
    /// Features that come in.
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
}

/// `output[n, k] = activation(bias[k] + sum_i input[n, i] * weights[i, k])`, where the activation is ReLU or nothing.
///
/// Twin of `shaders/dense/forward.wgsl`.
pub fn forward<T: Real>(shape: DenseShape, input: &[T], weights: &[T], bias: &[T], relu: bool, output: &mut [T]) {
    assert_eq!(weights.len(), shape.inputs * shape.outputs, "weights");
    for (input, output) in input.chunks_exact(shape.inputs).zip(output.chunks_exact_mut(shape.outputs)) {
        output.copy_from_slice(bias);
        for (&x, weights) in input.iter().zip(weights.chunks_exact(shape.outputs)) {
            for (y, &w) in output.iter_mut().zip(weights) {
                *y += x * w;
            }
        }
        if relu {
            output.iter_mut().for_each(|y| *y = super::relu(*y));
        }
    }
}

/// `input[n, i] = images[order[n], i] * scale`: gathers the images of a batch and widens their pixels.
///
/// Twin of `shaders/dense/gather.wgsl`, and the first half of `forward_images.wgsl`; [`forward`] is the second.
pub fn gather<T: Real>(pixels: usize, images: &[u8], order: &[u32], scale: T, input: &mut [T]) {
    for (&index, input) in order.iter().zip(input.chunks_exact_mut(pixels)) {
        let image = &images[index as usize * pixels..][..pixels];
        for (x, &pixel) in input.iter_mut().zip(image) {
            *x = T::of(f64::from(pixel)) * scale;
        }
    }
}

/// `input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k]` where `input[n, i]` is greater than 0 or NaN,
/// else 0.
///
/// `input` is what the layer before produced after its ReLU, so the mask is that ReLU's derivative (0 at 0).
/// Twin of `shaders/dense/backward_input.wgsl`.
pub fn backward_input<T: Real>(
    shape: DenseShape,
    output_gradient: &[T],
    weights: &[T],
    input: &[T],
    input_gradient: &mut [T],
) {
    let rows = output_gradient.chunks_exact(shape.outputs).zip(input.chunks_exact(shape.inputs));
    for ((output_gradient, input), input_gradient) in rows.zip(input_gradient.chunks_exact_mut(shape.inputs)) {
        let columns = input.iter().zip(weights.chunks_exact(shape.outputs));
        for (gradient, (&x, weights)) in input_gradient.iter_mut().zip(columns) {
            *gradient = if x <= T::zero() {
                T::zero()
            } else {
                output_gradient.iter().zip(weights).map(|(&g, &w)| g * w).sum()
            };
        }
    }
}

/// `weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k]` and
/// `bias_gradient[k] = sum_n output_gradient[n, k]`.
///
/// Twin of `shaders/dense/backward_weights.wgsl`, and after [`gather`] of `backward_weights_images.wgsl`.
pub fn backward_weights<T: Real>(
    shape: DenseShape,
    input: &[T],
    output_gradient: &[T],
    weight_gradient: &mut [T],
    bias_gradient: &mut [T],
) {
    weight_gradient.fill(T::zero());
    bias_gradient.fill(T::zero());
    for (input, output_gradient) in input.chunks_exact(shape.inputs).zip(output_gradient.chunks_exact(shape.outputs)) {
        for (&x, gradients) in input.iter().zip(weight_gradient.chunks_exact_mut(shape.outputs)) {
            for (gradient, &g) in gradients.iter_mut().zip(output_gradient) {
                *gradient += x * g;
            }
        }
        for (gradient, &g) in bias_gradient.iter_mut().zip(output_gradient) {
            *gradient += g;
        }
    }
}
