//! Convolutions of 3 x 3 with padding that keeps the size, bias and ReLU. Activations are `[sample, y, x, channel]`, weights
//! `[ky, kx, in, out]`, all row-major.

use super::{Real, relu};

/// Sizes of one application of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Samples in the batch.
    pub samples: usize,
    /// Rows, in and out.
    pub height: usize,
    /// Columns, in and out.
    pub width: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
}

impl ConvShape {
    /// Calls `visit` with the places of all pairs of an output pixel and an input pixel that it reads, and with the tap
    /// `ky * 3 + kx` between them: pixel `(y, x)` reads `(y + ky - 1, x + kx - 1)` where that lies within the image.
    fn pairs(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let Self { samples, height, width, .. } = *self;
        for n in 0..samples {
            for y in 0..height {
                for x in 0..width {
                    let pixel = (n * height + y) * width + x;
                    for tap in 0..9 {
                        let (row, column) = (y + tap / 3, x + tap % 3);
                        if (1..=height).contains(&row) && (1..=width).contains(&column) {
                            visit(pixel, (n * height + row - 1) * width + column - 1, tap);
                        }
                    }
                }
            }
        }
    }
}

/// `output[n, y, x, k] = relu(bias[k] + sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c] * weights[ky, kx, c, k])`,
/// where pixels outside of the image are 0.
///
/// Twin of `shaders/conv2d/forward.wgsl`; followed by [`super::max_pool2d::forward`] of `forward_pool.wgsl`.
pub fn forward<T: Real>(shape: ConvShape, input: &[T], weights: &[T], bias: &[T], output: &mut [T]) {
    pre_activations(shape, input, weights, bias, output);
    output.iter_mut().for_each(|y| *y = relu(*y));
}

/// What [`forward`] gives before its ReLU.
pub fn pre_activations<T: Real>(shape: ConvShape, input: &[T], weights: &[T], bias: &[T], output: &mut [T]) {
    let ConvShape { inputs, outputs, .. } = shape;
    assert_eq!(weights.len(), 9 * inputs * outputs, "weights");
    output.chunks_exact_mut(outputs).for_each(|output| output.copy_from_slice(bias));
    shape.pairs(|pixel, read, tap| {
        let output = &mut output[pixel * outputs..][..outputs];
        let weights = &weights[tap * inputs * outputs..][..inputs * outputs];
        for (&x, weights) in input[read * inputs..][..inputs].iter().zip(weights.chunks_exact(outputs)) {
            for (y, &w) in output.iter_mut().zip(weights) {
                *y += x * w;
            }
        }
    });
}

/// `input_gradient[n, y, x, c] = sum_{ky, kx, k} output_gradient[n, y - ky + 1, x - kx + 1, k] * weights[ky, kx, c, k]`
/// where `input[n, y, x, c]` is greater than 0 or NaN, else 0.
///
/// `input` is what the layer before produced after its ReLU (and pooling), so the mask is that ReLU's derivative (0 at 0).
/// Twin of `shaders/conv2d/backward_input.wgsl`; of a layer that pools after [`super::max_pool2d::backward`].
pub fn backward_input<T: Real>(
    shape: ConvShape,
    output_gradient: &[T],
    weights: &[T],
    input: &[T],
    input_gradient: &mut [T],
) {
    let ConvShape { inputs, outputs, .. } = shape;
    input_gradient.fill(T::zero());
    shape.pairs(|pixel, read, tap| {
        let output_gradient = &output_gradient[pixel * outputs..][..outputs];
        let weights = &weights[tap * inputs * outputs..][..inputs * outputs];
        let gradients = &mut input_gradient[read * inputs..][..inputs];
        for (gradient, weights) in gradients.iter_mut().zip(weights.chunks_exact(outputs)) {
            for (&g, &w) in output_gradient.iter().zip(weights) {
                *gradient += g * w;
            }
        }
    });
    for (gradient, &x) in input_gradient.iter_mut().zip(input) {
        if x <= T::zero() {
            *gradient = T::zero();
        }
    }
}

/// `weight_gradient[ky, kx, c, k] = sum_{n, y, x} input[n, y + ky - 1, x + kx - 1, c] * output_gradient[n, y, x, k]` and
/// `bias_gradient[k] = sum_{n, y, x} output_gradient[n, y, x, k]`.
///
/// Twin of `shaders/conv2d/backward_weights.wgsl`; of a layer that pools after [`super::max_pool2d::backward`].
pub fn backward_weights<T: Real>(
    shape: ConvShape,
    input: &[T],
    output_gradient: &[T],
    weight_gradient: &mut [T],
    bias_gradient: &mut [T],
) {
    let ConvShape { inputs, outputs, .. } = shape;
    weight_gradient.fill(T::zero());
    bias_gradient.fill(T::zero());
    shape.pairs(|pixel, read, tap| {
        let output_gradient = &output_gradient[pixel * outputs..][..outputs];
        let gradients = &mut weight_gradient[tap * inputs * outputs..][..inputs * outputs];
        for (&x, gradients) in input[read * inputs..][..inputs].iter().zip(gradients.chunks_exact_mut(outputs)) {
            for (gradient, &g) in gradients.iter_mut().zip(output_gradient) {
                *gradient += x * g;
            }
        }
    });
    for output_gradient in output_gradient.chunks_exact(outputs) {
        for (gradient, &g) in bias_gradient.iter_mut().zip(output_gradient) {
            *gradient += g;
        }
    }
}
