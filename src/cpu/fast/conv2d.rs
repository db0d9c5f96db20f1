//! Convolutions in blocks of registers, one sample at a time. Definition: [`crate::cpu::conv2d`].
//!
//! A pixel reads three runs of three neighbours, and a run is contiguous where channels are innermost: so a convolution is a
//! dense layer whose rows overlap. A border of zeros stands for the pixels outside of the image, and channels are padded
//! with zeros to whole [`CHANNELS`].

use super::max_pool2d::CHANNELS;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// One sample `[y, x, channel]` inside a border of zeros, one pixel wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Rows without the border.
    pub height: usize,
    /// Columns without the border.
    pub width: usize,
    /// Channels: whole [`CHANNELS`], or the one or three of an image.
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
    /// What sums start from, for each padded channel; 0 if absent.
    pub bias: Option<&'a [f32]>,
}

/// The first `columns` pixels of each of `rows`: `output` `[pixel, out]`, without ReLU.
///
/// The forward pass; with the weights of [`flip`] and the output's gradient as input also the input's gradient. What is done
/// to a finished sum is left to [`relu`], [`where_positive`] and the pooling: it would keep the sums from staying in
/// registers.
#[inline(always)]
pub fn convolve<S: Simd>(
    simd: S,
    convolution: Convolution<'_>,
    rows: Range<usize>,
    columns: usize,
    output: &mut [f32],
) {
    // A function of its own: inlined into each of its callers it would be most of the program.
    simd.vectorize(Convolve { convolution, rows, columns, output });
}

/// See [`convolve`].
struct Convolve<'a> {
    convolution: Convolution<'a>,
    rows: Range<usize>,
    columns: usize,
    output: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { convolution, rows, columns, output } = self;
        let registers = convolution.outputs / S::F32_LANES;
        // A dozen running sums hide the latency of the multiply-add. Of AVX2's sixteen registers they leave four, and with
        // three one sum went to memory and back at every step; AVX-512 has twice as many.
        let widest_of_pairs = if S::F32_LANES == 16 { 6 } else { 3 };
        for register in (0..registers - registers % 2).step_by(2) {
            let walk = PixelBlocks { rows: rows.clone(), columns, register, widest: widest_of_pairs };
            walk.run::<S, 0, 2>(simd, convolution, output);
        }
        if registers % 2 == 1 {
            let walk = PixelBlocks { rows, columns, register: registers - 1, widest: 6 };
            // Where the distance from pixel to pixel is a constant, all pixels of a block share one pointer.
            match convolution.grid.channels {
                1 => walk.run::<S, 1, 1>(simd, convolution, output),
                8 => walk.run::<S, 8, 1>(simd, convolution, output),
                _ => walk.run::<S, 0, 1>(simd, convolution, output),
            }
        }
    }
}

/// All pixels, for some registers of channels.
struct PixelBlocks {
    rows: Range<usize>,
    columns: usize,
    register: usize,
    /// Columns of a block at most, up to 6.
    widest: usize,
}

/// Where a block of pixels lies.
#[derive(Clone, Copy)]
struct Block {
    /// Its first row.
    y: usize,
    /// Its first column.
    x: usize,
    /// Its first pixel in the output.
    first: usize,
    /// Pixels of a row of the output.
    columns: usize,
    /// Its first register of channels.
    register: usize,
}

impl PixelBlocks {
    /// Rows by twos, then a last one, in blocks of nearly equal widths; `C` registers of channels; `CHANNELS_IN` channels that
    /// come in, where 0 stands for any number.
    #[inline(always)]
    fn run<S: Simd, const CHANNELS_IN: usize, const C: usize>(
        self,
        simd: S,
        convolution: Convolution<'_>,
        output: &mut [f32],
    ) {
        let Self { rows, columns, register, widest } = self;
        let mut y = rows.start;
        while y < rows.end {
            let pair = y + 2 <= rows.end;
            let mut x = 0;
            while x < columns {
                let block = Block { y, x, first: (y - rows.start) * columns + x, columns, register };
                let left = columns - x;
                let width = left.div_ceil(left.div_ceil(widest));
                x += match (pair, width) {
                    (true, 6) => convolve_block::<S, CHANNELS_IN, 2, 6, C>(simd, convolution, block, output),
                    (true, 5) => convolve_block::<S, CHANNELS_IN, 2, 5, C>(simd, convolution, block, output),
                    (true, 4) => convolve_block::<S, CHANNELS_IN, 2, 4, C>(simd, convolution, block, output),
                    (true, 3) => convolve_block::<S, CHANNELS_IN, 2, 3, C>(simd, convolution, block, output),
                    (true, 2) => convolve_block::<S, CHANNELS_IN, 2, 2, C>(simd, convolution, block, output),
                    (true, _) => convolve_block::<S, CHANNELS_IN, 2, 1, C>(simd, convolution, block, output),
                    (false, 6) => convolve_block::<S, CHANNELS_IN, 1, 6, C>(simd, convolution, block, output),
                    (false, 3..) => convolve_block::<S, CHANNELS_IN, 1, 3, C>(simd, convolution, block, output),
                    (false, _) => convolve_block::<S, CHANNELS_IN, 1, 1, C>(simd, convolution, block, output),
                };
            }
            y += if pair { 2 } else { 1 };
        }
    }
}

/// `Y` rows of `X` pixels x `C` registers of channels. Gives `X`.
#[inline(always)]
fn convolve_block<S: Simd, const CHANNELS_IN: usize, const Y: usize, const X: usize, const C: usize>(
    simd: S,
    convolution: Convolution<'_>,
    block: Block,
    output: &mut [f32],
) -> usize {
    let Convolution { input, grid, weights, outputs, bias } = convolution;
    let Block { y, x, first, columns, register } = block;
    let channels = if CHANNELS_IN == 0 { grid.channels } else { CHANNELS_IN };
    let mut start = [simd.splat_f32s(0.0); C];
    if let Some(bias) = bias {
        start.copy_from_slice(&S::as_simd_f32s(bias).0[register..register + C]);
    }
    let mut sums = [[start; X]; Y];
    let run = 3 * channels;
    for ky in 0..3 {
        let mut runs: [[&[f32]; X]; Y] = [[&[]; X]; Y];
        for (row, runs) in runs.iter_mut().enumerate() {
            let row = &input[grid.corner(y + row + ky, x)..][..(X + 2) * channels];
            for (pixel, run_of_pixel) in runs.iter_mut().enumerate() {
                *run_of_pixel = &row[pixel * channels..][..run];
            }
        }
        let weights = &weights[ky * run * outputs..][..run * outputs];
        for index in 0..run {
            let weights = &S::as_simd_f32s(&weights[index * outputs..][..outputs]).0[register..register + C];
            for (sums, runs) in sums.iter_mut().zip(&runs) {
                for (sums, run) in sums.iter_mut().zip(runs) {
                    let value = simd.splat_f32s(run[index]);
                    for (sum, &w) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add_e_f32s(value, w, *sum);
                    }
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let targets = output[(first + row * columns) * outputs..][..X * outputs].chunks_exact_mut(outputs);
        for (sums, target) in sums.iter().zip(targets) {
            S::as_mut_simd_f32s(target).0[register..register + C].copy_from_slice(sums);
        }
    }
    X
}

/// The ReLU of each value; NaN stays.
#[inline(always)]
pub fn relu(values: &mut [f32]) {
    for value in values {
        *value = crate::cpu::relu(*value);
    }
}

/// Rows of `gradient` `[y, x, channel]` become 0 where `values`, in a grid, are 0 or less, not where they are NaN: the derivative
/// of the ReLU that made them.
#[inline(always)]
pub fn where_positive(grid: Grid, values: &[f32], gradient: &mut [f32]) {
    for (y, gradient) in gradient.chunks_exact_mut(grid.width * grid.channels).enumerate() {
        for (gradient, &value) in gradient.iter_mut().zip(&values[grid.place(y, 0)..]) {
            *gradient = if value <= 0.0 { 0.0 } else { *gradient };
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
    let run = 3 * grid.channels;
    // A run of three neighbours of an image has one or three times three numbers: a block is three of them in each row of
    // taps. Else it has whole blocks of twelve.
    if !grid.channels.is_multiple_of(CHANNELS) {
        for register in 0..registers {
            for first in (0..run).step_by(3) {
                add_block::<S, 3, 3, 1>(simd, sample, [(0, first), (1, first), (2, first)], register, sums);
            }
        }
        return;
    }
    while register + 2 <= registers {
        for block in 0..3 * run / 6 {
            add_block::<S, 1, 6, 2>(simd, sample, [(block * 6 / run, block * 6 % run)], register, sums);
        }
        register += 2;
    }
    if register < registers {
        for block in 0..3 * run / 12 {
            let (ky, first) = (block * 12 / run, block * 12 % run);
            add_block::<S, 2, 6, 1>(simd, sample, [(ky, first), (ky, first + 6)], register, sums);
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

/// `P` parts of runs, each `I` numbers from a place of the run in row `ky` of taps on, x `C` registers of channels.
#[inline(always)]
fn add_block<S: Simd, const P: usize, const I: usize, const C: usize>(
    simd: S,
    sample: Sample<'_>,
    parts: [(usize, usize); P],
    register: usize,
    sums: &mut [f32],
) {
    let Sample { input, grid, output_gradient, outputs } = sample;
    let run = 3 * grid.channels;
    let row = |(ky, first): (usize, usize), i: usize| (ky * run + first + i) * outputs + register * S::F32_LANES;
    let mut block = [[[simd.splat_f32s(0.0); C]; I]; P];
    for (block, &part) in block.iter_mut().zip(&parts) {
        for (i, block) in block.iter_mut().enumerate() {
            block.copy_from_slice(S::as_simd_f32s(&sums[row(part, i)..][..C * S::F32_LANES]).0);
        }
    }
    let gradient_grid = Grid { channels: outputs, ..grid };
    for y in 0..grid.height {
        let gradients = &output_gradient[gradient_grid.place(y, 0)..][..grid.width * outputs];
        let mut inputs: [&[f32]; P] = [&[]; P];
        for (inputs, &(ky, first)) in inputs.iter_mut().zip(&parts) {
            *inputs = &input[grid.corner(y + ky, 0) + first..][..(grid.width - 1) * grid.channels + I];
        }
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
    for (block, &part) in block.iter().zip(&parts) {
        for (i, block) in block.iter().enumerate() {
            S::as_mut_simd_f32s(&mut sums[row(part, i)..][..C * S::F32_LANES]).0.copy_from_slice(block);
        }
    }
}

/// Adds one sample's share of the bias' gradient: the sum of `output_gradient` `[pixel, out]` over its pixels.
#[inline(always)]
pub fn add_bias_gradient<S: Simd>(simd: S, output_gradient: &[f32], sums: &mut [f32]) {
    let outputs = sums.len();
    for (register, target) in S::as_mut_simd_f32s(sums).0.iter_mut().enumerate() {
        // In a register: through memory one addition would wait for the other.
        let mut sum = *target;
        for gradients in output_gradient.chunks_exact(outputs) {
            sum = simd.add_f32s(sum, S::as_simd_f32s(gradients).0[register]);
        }
        *target = sum;
    }
}
