//! Dense layers in blocks of registers. Rows of units are padded with zeros to [`super::LANES`].
//!
//! A block of `ROWS` x `COLUMNS` registers of sums stays in registers while the inner index runs: each loaded number is
//! used several times, and each sum still adds its terms in the order of the twin.

use crate::cpu::adam;
use pulp::Simd;
use std::slice::{Iter, IterMut};

/// Rows of a block: with two registers of columns, twelve running sums hide the latency of the multiply-add.
const ROWS: usize = 6;
/// Vector registers of columns of a block.
const COLUMNS: usize = 2;

/// What happens to a finished sum of [`multiply`].
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    Identity,
    /// ReLU.
    Relu,
    /// Zero where this array of the output's shape is not positive: the derivative of the ReLU that made it.
    WherePositive(&'a [f32]),
}

/// `output[n, k] = epilogue(bias[k] + sum_i left[n, i] * right[i, k])` for `n` in `0..samples`, `i` in `0..inner` and all
/// padded columns `k`; `left` has rows of `left_stride`, `right` and `output` rows of `columns` (whole [`super::LANES`]).
///
/// The forward pass with the weights as `right`; the input gradient with the transposed weights and no bias.
#[inline(always)]
pub fn multiply<S: Simd>(
    simd: S,
    samples: usize,
    inner: usize,
    columns: usize,
    left: &[f32],
    left_stride: usize,
    right: &[f32],
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
) {
    let mut sample = 0;
    while sample < samples {
        // Seven or eight rows are halved: two rows alone have too few running sums to hide the latency.
        let rows = match samples - sample {
            left @ 7..=8 => left.div_ceil(2),
            left => left.min(ROWS),
        };
        let left = &left[sample * left_stride..];
        let target = sample * columns..(sample + rows) * columns;
        let epilogue = match epilogue {
            Epilogue::WherePositive(values) => Epilogue::WherePositive(&values[target.clone()]),
            other => other,
        };
        let output = &mut output[target];
        match rows {
            6 => multiply_rows::<S, 6>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
            5 => multiply_rows::<S, 5>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
            4 => multiply_rows::<S, 4>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
            3 => multiply_rows::<S, 3>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
            2 => multiply_rows::<S, 2>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
            _ => multiply_rows::<S, 1>(simd, inner, columns, left, left_stride, right, bias, epilogue, output),
        }
        sample += rows;
    }
}

/// All columns of `R` rows.
#[inline(always)]
fn multiply_rows<S: Simd, const R: usize>(
    simd: S,
    inner: usize,
    columns: usize,
    left: &[f32],
    left_stride: usize,
    right: &[f32],
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
) {
    let registers = columns / S::F32_LANES;
    let mut register = 0;
    while register + COLUMNS <= registers {
        multiply_block::<S, R, COLUMNS>(
            simd,
            inner,
            columns,
            left,
            left_stride,
            right,
            register,
            bias,
            epilogue,
            output,
        );
        register += COLUMNS;
    }
    if register < registers {
        multiply_block::<S, R, 1>(simd, inner, columns, left, left_stride, right, register, bias, epilogue, output);
    }
}

/// `R` rows x `C` registers of sums, starting at column register `register`.
#[inline(always)]
fn multiply_block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    inner: usize,
    columns: usize,
    left: &[f32],
    left_stride: usize,
    right: &[f32],
    register: usize,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
    output: &mut [f32],
) {
    let rows: [&[f32]; R] = std::array::from_fn(|row| &left[row * left_stride..][..inner]);
    let zero = simd.splat_f32s(0.0);
    let start = bias.map_or([zero; C], |bias| {
        let bias = &S::as_simd_f32s(bias).0[register..register + C];
        std::array::from_fn(|column| bias[column])
    });
    let mut sums = [start; R];
    // Counted by `inner`, so that no load of a row needs a check of its own.
    for (index, weights) in (0..inner).zip(right.chunks_exact(columns)) {
        let weights = &S::as_simd_f32s(weights).0[register..register + C];
        for (sums, row) in sums.iter_mut().zip(rows) {
            let x = simd.splat_f32s(row[index]);
            for (sum, &w) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, w, *sum);
            }
        }
    }
    for (row, (sums, output)) in sums.iter().zip(output.chunks_exact_mut(columns)).enumerate() {
        let output = &mut S::as_mut_simd_f32s(output).0[register..register + C];
        for (column, (output, &sum)) in output.iter_mut().zip(sums).enumerate() {
            *output = match epilogue {
                Epilogue::Identity => sum,
                Epilogue::Relu => simd.max_f32s(sum, zero),
                Epilogue::WherePositive(values) => {
                    let values = S::as_simd_f32s(&values[row * columns..(row + 1) * columns]).0;
                    simd.select_f32s(simd.greater_than_f32s(values[register + column], zero), sum, zero)
                }
            };
        }
    }
}

/// Adam's state of some rows of one tensor, and the rate of this step.
#[derive(Debug)]
pub struct AdamTensor<'a> {
    /// The bias-corrected rate, see [`adam::corrected_rate`].
    pub rate: f32,
    /// Parameters.
    pub parameters: &'a mut [f32],
    /// Running means of gradients.
    pub m: &'a mut [f32],
    /// Running means of squared gradients.
    pub v: &'a mut [f32],
}

impl<'a> AdamTensor<'a> {
    /// The first `length` numbers, and the rest.
    pub fn split_at(self, length: usize) -> (Self, Self) {
        let rate = self.rate;
        let (parameters, other_parameters) = self.parameters.split_at_mut(length);
        let (m, other_m) = self.m.split_at_mut(length);
        let (v, other_v) = self.v.split_at_mut(length);
        (Self { rate, parameters, m, v }, Self { rate, parameters: other_parameters, m: other_m, v: other_v })
    }
}

/// What a gradient of weights is summed over: samples that lie side by side, `[n, in]` and `[n, out]` with padded rows.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// What the layer read.
    pub input: &'a [f32],
    /// Numbers from one row of it to the next.
    pub input_stride: usize,
    /// The gradient of what it gave out.
    pub output_gradient: &'a [f32],
    /// Numbers from one row of it to the next.
    pub columns: usize,
}

/// How large the scratch of [`update_weights`] is, in rows: the gradient that is being summed, and the one before it.
pub const GRADIENT_ROWS: usize = 2 * ROWS;
/// After so many samples of a sum Adam takes one register of the rows before: twelve of them in 32 samples.
const SAMPLES_BESIDE: usize = 2;

/// Whether a processor has registers for sums and Adam at once. AVX-512 has 32; of AVX2's 16 the sums take all.
const fn has_registers_to_spare<S: Simd>() -> bool {
    S::F32_LANES == 16
}

/// Adam with the gradient `sum_n input[n, i] * output_gradient[n, k]` of the weights of the inputs from `first` on, as many as
/// the tensor has rows, over all `parts` of a batch in their order. The gradient goes no further than `scratch`, a few rows
/// that stay in the first-level cache. Adam's roots and divisions of one block run beside the sums of the next, where there
/// are registers for both.
#[inline(always)]
pub fn update_weights<S: Simd, const PARTS: usize>(
    simd: S,
    first: usize,
    parts: &[Samples<'_>; PARTS],
    scratch: &mut [f32],
    tensor: AdamTensor<'_>,
) {
    let columns = parts[0].columns;
    let rows = tensor.parameters.len() / columns;
    let adam = Adam::new(simd, tensor.rate);
    let (mut now, mut before) = scratch.split_at_mut(ROWS * columns);
    let (mut waiting, mut rest) = tensor.split_at(0);
    let mut row = 0;
    while row < rows {
        let block = if row + ROWS <= rows { ROWS } else { 1 };
        let (own, others) = rest.split_at(block * columns);
        let mut updates = waiting.updates(&adam, before);
        if block == ROWS {
            gradient_rows::<S, ROWS, PARTS>(simd, first + row, parts, now, &mut updates);
        } else {
            gradient_rows::<S, 1, PARTS>(simd, first + row, parts, now, &mut updates);
        }
        updates.finish(simd);
        (waiting, rest) = (own, others);
        std::mem::swap(&mut now, &mut before);
        row += block;
    }
    waiting.updates(&adam, before).finish(simd);
}

/// All columns of the gradient of the weights of `R` inputs from `row` on.
#[inline(always)]
fn gradient_rows<S: Simd, const R: usize, const PARTS: usize>(
    simd: S,
    row: usize,
    parts: &[Samples<'_>; PARTS],
    gradient: &mut [f32],
    updates: &mut Updates<'_, S>,
) {
    let registers = parts[0].columns / S::F32_LANES;
    let mut register = 0;
    while register + COLUMNS <= registers {
        gradient_block::<S, R, COLUMNS, PARTS>(simd, row, parts, register, gradient, updates);
        register += COLUMNS;
    }
    if register < registers {
        gradient_block::<S, R, 1, PARTS>(simd, row, parts, register, gradient, updates);
    }
}

/// `R` inputs x `C` registers of units; meanwhile as many of the `updates` as there is time for.
#[inline(always)]
fn gradient_block<S: Simd, const R: usize, const C: usize, const PARTS: usize>(
    simd: S,
    row: usize,
    parts: &[Samples<'_>; PARTS],
    register: usize,
    gradient: &mut [f32],
    updates: &mut Updates<'_, S>,
) {
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for part in parts {
        let Samples { input, input_stride, output_gradient, columns } = *part;
        let samples = input.chunks_exact(input_stride).zip(output_gradient.chunks_exact(columns));
        for (sample, (input, gradients)) in samples.enumerate() {
            if has_registers_to_spare::<S>() && sample % SAMPLES_BESIDE == 0 {
                updates.next(simd);
            }
            let input = &input[row..row + R];
            let gradients = &S::as_simd_f32s(gradients).0[register..register + C];
            for (sums, &x) in sums.iter_mut().zip(input) {
                let x = simd.splat_f32s(x);
                for (sum, &g) in sums.iter_mut().zip(gradients) {
                    *sum = simd.mul_add_e_f32s(x, g, *sum);
                }
            }
        }
    }
    for (sums, gradient) in sums.iter().zip(gradient.chunks_exact_mut(parts[0].columns)) {
        S::as_mut_simd_f32s(gradient).0[register..register + C].copy_from_slice(sums);
    }
}

/// Moments smaller than this become 0. Those of a weight that has no gradient any more shrink until they are denormal numbers,
/// and stay such for ever, since rounding brings them back up; a processor takes several times as long for each of them. The
/// root of such a `v` is lost beside epsilon, and such an `m` moves a weight by less than 1e-25.
const NEGLIGIBLE: f32 = 1e-30;

/// The constants of an update by [`adam`].
struct Adam<S: Simd> {
    keep: [S::f32s; 2],
    take: [S::f32s; 2],
    epsilon: S::f32s,
    rate: S::f32s,
}

impl<S: Simd> Adam<S> {
    #[inline(always)]
    fn new(simd: S, rate: f32) -> Self {
        let splat = |value: f64| simd.splat_f32s(value as f32);
        Self {
            keep: [splat(adam::BETA1), splat(adam::BETA2)],
            take: [splat(1.0 - adam::BETA1), splat(1.0 - adam::BETA2)],
            epsilon: splat(adam::EPSILON),
            rate: simd.splat_f32s(rate),
        }
    }

    /// One register of parameters.
    #[inline(always)]
    fn update(&self, simd: S, p: &mut S::f32s, m: &mut S::f32s, v: &mut S::f32s, gradient: S::f32s) {
        let mean = simd.mul_add_e_f32s(self.keep[0], *m, simd.mul_f32s(self.take[0], gradient));
        let square =
            simd.mul_add_e_f32s(self.keep[1], *v, simd.mul_f32s(self.take[1], simd.mul_f32s(gradient, gradient)));
        let zero = simd.splat_f32s(0.0);
        let negligible = simd.splat_f32s(NEGLIGIBLE);
        *m = simd.select_f32s(simd.less_than_f32s(simd.abs_f32s(mean), negligible), zero, mean);
        *v = simd.select_f32s(simd.less_than_f32s(square, negligible), zero, square);
        let denominator = simd.add_f32s(simd.sqrt_f32s(*v), self.epsilon);
        *p = simd.sub_f32s(*p, simd.div_f32s(simd.mul_f32s(self.rate, *m), denominator));
    }
}

/// Updates of registers whose gradients lie in memory, one after the other. A closure would not do: the compiler gives it no
/// vector instructions of its own.
struct Updates<'a, S: Simd> {
    adam: &'a Adam<S>,
    p: IterMut<'a, S::f32s>,
    m: IterMut<'a, S::f32s>,
    v: IterMut<'a, S::f32s>,
    gradients: Iter<'a, S::f32s>,
}

impl<S: Simd> Updates<'_, S> {
    /// Makes the next update. Whether there was one.
    #[inline(always)]
    fn next(&mut self, simd: S) -> bool {
        let (Some(p), Some(m), Some(v), Some(&gradient)) =
            (self.p.next(), self.m.next(), self.v.next(), self.gradients.next())
        else {
            return false;
        };
        self.adam.update(simd, p, m, v, gradient);
        true
    }

    /// Makes all updates that are left.
    #[inline(always)]
    fn finish(mut self, simd: S) {
        while self.next(simd) {}
    }
}

impl AdamTensor<'_> {
    /// Updates of all registers with a gradient that lies in memory.
    #[inline(always)]
    fn updates<'a, S: Simd>(&'a mut self, adam: &'a Adam<S>, gradient: &'a [f32]) -> Updates<'a, S> {
        Updates {
            adam,
            p: S::as_mut_simd_f32s(self.parameters).0.iter_mut(),
            m: S::as_mut_simd_f32s(self.m).0.iter_mut(),
            v: S::as_mut_simd_f32s(self.v).0.iter_mut(),
            gradients: S::as_simd_f32s(gradient).0.iter(),
        }
    }
}

/// Adam with the gradient `sum_n output_gradient[n, k]` of the bias, over all `parts` of a batch in their order.
#[inline(always)]
pub fn update_bias<S: Simd>(simd: S, parts: &[Samples<'_>], scratch: &mut [f32], mut tensor: AdamTensor<'_>) {
    let gradient = &mut scratch[..parts[0].columns];
    for (register, sum) in S::as_mut_simd_f32s(gradient).0.iter_mut().enumerate() {
        *sum = simd.splat_f32s(0.0);
        for gradients in parts.iter().flat_map(|part| part.output_gradient.chunks_exact(part.columns)) {
            *sum = simd.add_f32s(*sum, S::as_simd_f32s(gradients).0[register]);
        }
    }
    let adam = Adam::new(simd, tensor.rate);
    tensor.updates(&adam, gradient).finish(simd);
}

/// Adam with a gradient that is the sum of two, all in memory.
#[inline(always)]
pub fn update_from_two<S: Simd>(simd: S, first: &[f32], second: &[f32], tensor: &mut AdamTensor<'_>) {
    let adam = Adam::new(simd, tensor.rate);
    let p = S::as_mut_simd_f32s(tensor.parameters).0.iter_mut();
    let moments = S::as_mut_simd_f32s(tensor.m).0.iter_mut().zip(S::as_mut_simd_f32s(tensor.v).0);
    let gradients = S::as_simd_f32s(first).0.iter().zip(S::as_simd_f32s(second).0);
    for ((p, (m, v)), (&first, &second)) in p.zip(moments).zip(gradients) {
        adam.update(simd, p, m, v, simd.add_f32s(first, second));
    }
}

/// `output[k, i] = weights[i, k]`: rows of `columns` become rows of `output_columns`; what lies beyond stays as it was.
#[inline(always)]
pub fn transpose(
    inputs: usize,
    outputs: usize,
    columns: usize,
    weights: &[f32],
    output_columns: usize,
    output: &mut [f32],
) {
    // Tiles of four by four, which the compiler turns around in registers.
    const TILE: usize = 4;
    let (tiled_inputs, tiled_outputs) = (inputs - inputs % TILE, outputs - outputs % TILE);
    for i in (0..tiled_inputs).step_by(TILE) {
        for k in (0..tiled_outputs).step_by(TILE) {
            let mut tile = [[0.0; TILE]; TILE];
            for (row, tile) in tile.iter_mut().enumerate() {
                tile.copy_from_slice(&weights[(i + row) * columns + k..][..TILE]);
            }
            for column in 0..TILE {
                let turned = tile.map(|row| row[column]);
                output[(k + column) * output_columns + i..][..TILE].copy_from_slice(&turned);
            }
        }
    }
    for k in 0..outputs {
        for i in if k < tiled_outputs { tiled_inputs } else { 0 }..inputs {
            output[k * output_columns + i] = weights[i * columns + k];
        }
    }
}
