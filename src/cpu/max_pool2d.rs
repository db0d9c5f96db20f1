//! Max pooling: the largest of each 2 x 2 pixels goes on. Activations are `[sample, y, x, channel]`.

use super::Real;

/// Sizes of one application of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Samples in the batch.
    pub samples: usize,
    /// Rows that come in; half of them, rounded down, go out.
    pub height: usize,
    /// Columns that come in; half of them, rounded down, go out.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl PoolShape {
    /// Calls `visit` for each output value with its place and the place of the first of its four inputs.
    fn values(&self, mut visit: impl FnMut(usize, usize)) {
        let Self { samples, height, width, channels } = *self;
        let mut output = 0;
        for n in 0..samples {
            for y in 0..height / 2 {
                for x in 0..width / 2 {
                    for channel in 0..channels {
                        visit(output, ((n * height + 2 * y) * width + 2 * x) * channels + channel);
                        output += 1;
                    }
                }
            }
        }
    }

    /// From the first of four inputs to the one with `code` 0..4, in row-major order.
    fn offset(&self, code: usize) -> usize {
        (code / 2 * self.width + code % 2) * self.channels
    }
}

/// `output[n, y, x, c]` is the largest of `input[n, 2y + dy, 2x + dx, c]` over `dy, dx` in 0..2, and `argmax` the code
/// `2 dy + dx` of where it stands: the first in row-major order, where several are equally large. NaN is larger than any number.
///
/// Twin of `shaders/max_pool2d/forward.wgsl`.
pub fn forward<T: Real>(shape: PoolShape, input: &[T], output: &mut [T], argmax: &mut [u8]) {
    shape.values(|place, first| {
        let mut best = (input[first], 0);
        for code in 1..4 {
            let value = input[first + shape.offset(code)];
            if value > best.0 || value.is_nan() && !best.0.is_nan() {
                best = (value, code as u8);
            }
        }
        (output[place], argmax[place]) = best;
    });
}

/// `input_gradient` is the output's gradient where `argmax` points to, and 0 elsewhere.
///
/// Twin of `shaders/max_pool2d/backward.wgsl`.
pub fn backward<T: Real>(shape: PoolShape, output_gradient: &[T], argmax: &[u8], input_gradient: &mut [T]) {
    input_gradient.fill(T::zero());
    shape.values(|place, first| {
        input_gradient[first + shape.offset(usize::from(argmax[place]))] = output_gradient[place];
    });
}
