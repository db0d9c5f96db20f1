//! Convolutions in blocks of registers, one sample at a time. Definition: [`crate::cpu::conv2d`].
//!
//! A pixel reads three runs of three neighbours, and a run is contiguous where channels are innermost: so a convolution is a
//! dense layer whose rows overlap. A border of zeros stands for the pixels outside of the image, and channels are padded
//! with zeros to whole [`CHANNELS`].

use super::max_pool2d::CHANNELS;
use pulp::Simd;
use std::ops::Range;

/// One sample `[y, x, channel]` inside a border of zeros, one pixel wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows without the border.
    pub height: usize,
    /// Columns without the border.
    pub width: usize,
    /// Channels: whole [`CHANNELS`], or the one of an image.
    pub channels: usize,
}

impl Grid {
    /// Numbers of a sample, border included.
    pub fn len(&self) -> usize {
        (self.height + 2) * self.row_stride()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers from one row to the next.
    pub fn row_stride(&self) -> usize {
        (self.width + 2) * self.channels
    }

    /// The place of pixel `(y, x)`.
    pub fn place(&self, y: usize, x: usize) -> usize {
        (y + 1) * self.row_stride() + (x + 1) * self.channels
    }

    /// The place of the first pixel that a convolution reads for pixel `(y, x)`.
    fn corner(&self, y: usize, x: usize) -> usize {
        y * self.row_stride() + x * self.channels
    }
}

/// What happens to a finished sum of [`convolve`].
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// Starts from this bias; ReLU at the end.
    BiasRelu(&'a [f32]),
    /// Zero where this grid of the output's size is not positive: the derivative of the ReLU that made it.
    WherePositive(&'a [f32]),
}

/// What [`convolve`] works on.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// The sample.
    pub input: &'a [f32],
    /// How it lies.
    pub grid: Grid,
    /// Weights `[ky, kx, in, out]` with padded rows.
    pub weights: &'a [f32],
    /// Padded channels that go out.
    pub outputs: usize,
    /// What follows.
    pub epilogue: Epilogue<'a>,
}

/// The first `columns` pixels of each of `rows`: `output` `[pixel, out]`.
///
/// The forward pass; with the weights of [`flip`] and the output's gradient as input also the input's gradient.
#[inline(always)]
pub fn convolve<S: Simd>(
    simd: S,
    convolution: Convolution<'_>,
    rows: Range<usize>,
    columns: usize,
    output: &mut [f32],
) {
    // Twelve running sums hide the latency of the multiply-add; one register holds as many units as it can.
    let registers = convolution.outputs / S::F32_LANES;
    let mut register = 0;
    while register + 2 <= registers {
        convolve_register::<S, 6, 2, 2>(simd, convolution, rows.clone(), columns, register, output);
        register += 2;
    }
    if register < registers {
        convolve_register::<S, 12, 4, 1>(simd, convolution, rows, columns, register, output);
    }
}

/// Pixels in row-major order.
#[derive(Clone, Copy)]
struct Pixels {
    next: (usize, usize),
    columns: usize,
}

impl Pixels {
    #[inline(always)]
    fn take<const R: usize>(&mut self) -> [(usize, usize); R] {
        std::array::from_fn(|_| {
            let (y, x) = self.next;
            self.next = if x + 1 == self.columns { (y + 1, 0) } else { (y, x + 1) };
            (y, x)
        })
    }
}

/// `C` registers of channels of all pixels: `R` pixels at a time, then `Q`, then one.
#[inline(always)]
fn convolve_register<S: Simd, const R: usize, const Q: usize, const C: usize>(
    simd: S,
    convolution: Convolution<'_>,
    rows: Range<usize>,
    columns: usize,
    register: usize,
    output: &mut [f32],
) {
    let pixels = rows.len() * columns;
    let mut walk = Pixels { next: (rows.start, 0), columns };
    let mut pixel = 0;
    while pixel + R <= pixels {
        convolve_block::<S, R, C>(simd, convolution, walk.take(), pixel, register, output);
        pixel += R;
    }
    while pixel + Q <= pixels {
        convolve_block::<S, Q, C>(simd, convolution, walk.take(), pixel, register, output);
        pixel += Q;
    }
    while pixel < pixels {
        convolve_block::<S, 1, C>(simd, convolution, walk.take(), pixel, register, output);
        pixel += 1;
    }
}

/// `R` pixels x `C` registers of channels, written from pixel `first` of the output on.
#[inline(always)]
fn convolve_block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    convolution: Convolution<'_>,
    pixels: [(usize, usize); R],
    first: usize,
    register: usize,
    output: &mut [f32],
) {
    let Convolution { input, grid, weights, outputs, epilogue } = convolution;
    let zero = simd.splat_f32s(0.0);
    let start: [S::f32s; C] = match epilogue {
        Epilogue::BiasRelu(bias) => {
            let bias = &S::as_simd_f32s(bias).0[register..register + C];
            std::array::from_fn(|column| bias[column])
        }
        Epilogue::WherePositive(_) => [zero; C],
    };
    let mut sums = [start; R];
    let run = 3 * grid.channels;
    for ky in 0..3 {
        let rows: [&[f32]; R] =
            std::array::from_fn(|row| &input[grid.corner(pixels[row].0 + ky, pixels[row].1)..][..run]);
        let weights = &weights[ky * run * outputs..][..run * outputs];
        for index in 0..run {
            let weights = &S::as_simd_f32s(&weights[index * outputs..][..outputs]).0[register..register + C];
            for (sums, row) in sums.iter_mut().zip(rows) {
                let x = simd.splat_f32s(row[index]);
                for (sum, &w) in sums.iter_mut().zip(weights) {
                    *sum = simd.mul_add_e_f32s(x, w, *sum);
                }
            }
        }
    }
    let targets = output[first * outputs..][..R * outputs].chunks_exact_mut(outputs);
    for ((sums, target), (y, x)) in sums.iter().zip(targets).zip(pixels) {
        let target = &mut S::as_mut_simd_f32s(target).0[register..register + C];
        match epilogue {
            Epilogue::BiasRelu(_) => {
                for (target, &sum) in target.iter_mut().zip(sums) {
                    *target = simd.max_f32s(sum, zero);
                }
            }
            Epilogue::WherePositive(values) => {
                let place = Grid { channels: outputs, ..grid }.place(y, x);
                let values = &S::as_simd_f32s(&values[place..][..outputs]).0[register..register + C];
                for ((target, &sum), &value) in target.iter_mut().zip(sums).zip(values) {
                    *target = simd.select_f32s(simd.greater_than_f32s(value, zero), sum, zero);
                }
            }
        }
    }
}

/// `flipped[2 - ky, 2 - kx, out, in] = weights[ky, kx, in, out]`: with them a convolution of the output's gradient is the
/// input's gradient.
#[inline(always)]
pub fn flip(inputs: usize, outputs: usize, weights: &[f32], flipped: &mut [f32]) {
    let size = inputs * outputs;
    for (weights, flipped) in weights.chunks_exact(size).zip(flipped.chunks_exact_mut(size).rev()) {
        for (c, weights) in weights.chunks_exact(outputs).enumerate() {
            for (k, &weight) in weights.iter().enumerate() {
                flipped[k * inputs + c] = weight;
            }
        }
    }
}

/// Adds one sample's share of the weights' gradient to `sums` `[ky, kx, in, out]`:
/// `sum_{y, x} input[y + ky - 1, x + kx - 1, c] * output_gradient[y, x, k]`. The output's gradient lies in a grid of the
/// input's size with `outputs` channels.
#[inline(always)]
pub fn add_weight_gradient<S: Simd>(
    simd: S,
    input: &[f32],
    grid: Grid,
    output_gradient: &[f32],
    outputs: usize,
    sums: &mut [f32],
) {
    let registers = outputs / S::F32_LANES;
    let sample = Sample { input, grid, output_gradient, outputs };
    let mut register = 0;
    // An image has one channel: its nine taps are one block. Else a run of three neighbours has whole blocks of twelve.
    if grid.channels == 1 {
        for register in 0..registers {
            add_block::<S, 3, 3, 1>(simd, sample, 0, 0, register, sums);
        }
        return;
    }
    debug_assert!(grid.channels.is_multiple_of(CHANNELS), "channels");
    let run = 3 * grid.channels;
    while register + 2 <= registers {
        for block in 0..3 * run / 6 {
            let (ky, first) = (block * 6 / run, block * 6 % run);
            add_block::<S, 1, 6, 2>(simd, sample, ky, first, register, sums);
        }
        register += 2;
    }
    if register < registers {
        for block in 0..3 * run / 12 {
            let (ky, first) = (block * 12 / run, block * 12 % run);
            add_block::<S, 1, 12, 1>(simd, sample, ky, first, register, sums);
        }
    }
}

/// What a weight gradient reads of one sample.
#[derive(Clone, Copy)]
struct Sample<'a> {
    input: &'a [f32],
    grid: Grid,
    output_gradient: &'a [f32],
    outputs: usize,
}

/// `Y` rows of taps from `ky` on x `I` neighbouring numbers of a run from `first` on x `C` registers of channels.
#[inline(always)]
fn add_block<S: Simd, const Y: usize, const I: usize, const C: usize>(
    simd: S,
    sample: Sample<'_>,
    ky: usize,
    first: usize,
    register: usize,
    sums: &mut [f32],
) {
    let Sample { input, grid, output_gradient, outputs } = sample;
    let run = 3 * grid.channels;
    let row = |y: usize, i: usize| ((ky + y) * run + first + i) * outputs + register * S::F32_LANES;
    let mut block: [[[S::f32s; C]; I]; Y] = std::array::from_fn(|y| {
        std::array::from_fn(|i| {
            let sums = S::as_simd_f32s(&sums[row(y, i)..][..C * S::F32_LANES]).0;
            std::array::from_fn(|column| sums[column])
        })
    });
    let gradient_grid = Grid { channels: outputs, ..grid };
    for y in 0..grid.height {
        let gradients = &output_gradient[gradient_grid.place(y, 0)..][..grid.width * outputs];
        let inputs: [&[f32]; Y] = std::array::from_fn(|row| {
            &input[grid.corner(y + ky + row, 0) + first..][..(grid.width - 1) * grid.channels + I]
        });
        for (x, gradients) in gradients.chunks_exact(outputs).enumerate() {
            let gradients = &S::as_simd_f32s(gradients).0[register..register + C];
            for (block, inputs) in block.iter_mut().zip(inputs) {
                let inputs = &inputs[x * grid.channels..][..I];
                for (sums, &value) in block.iter_mut().zip(inputs) {
                    let value = simd.splat_f32s(value);
                    for (sum, &g) in sums.iter_mut().zip(gradients) {
                        *sum = simd.mul_add_e_f32s(value, g, *sum);
                    }
                }
            }
        }
    }
    for (y, block) in block.iter().enumerate() {
        for (i, block) in block.iter().enumerate() {
            S::as_mut_simd_f32s(&mut sums[row(y, i)..][..C * S::F32_LANES]).0.copy_from_slice(block);
        }
    }
}

/// Adds one sample's share of the bias' gradient: the sum of `output_gradient` `[pixel, out]` over its pixels.
#[inline(always)]
pub fn add_bias_gradient<S: Simd>(simd: S, output_gradient: &[f32], sums: &mut [f32]) {
    let outputs = sums.len();
    let sums = S::as_mut_simd_f32s(sums).0;
    for gradients in output_gradient.chunks_exact(outputs) {
        for (sum, &g) in sums.iter_mut().zip(S::as_simd_f32s(gradients).0) {
            *sum = simd.add_f32s(*sum, g);
        }
    }
}
