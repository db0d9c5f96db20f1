//! Dense layers in blocks of registers. Rows of units are padded with zeros to [`super::LANES`].
//!
//! A block of `ROWS` x `COLUMNS` registers of sums stays in registers while the inner index runs: each loaded number is
//! used several times, and each sum still adds its terms in the order of the twin.

use super::relu;
use crate::cpu::adam;
use pulp::Simd;

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
    /// Zero where this array of the output's shape is 0 or less, not where it is NaN: the derivative of the ReLU that made it.
    WherePositive(&'a [f32]),
}

/// What [`multiply`] multiplies.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// Terms of each sum.
    pub inner: usize,
    /// Padded columns of `right` and of the output, whole [`super::LANES`].
    pub columns: usize,
    /// A row for each sample.
    pub left: &'a [f32],
    /// Numbers from one row of it to the next.
    pub left_stride: usize,
    /// `[inner, columns]`
    pub right: &'a [f32],
    /// What sums start from; 0 if absent.
    pub bias: Option<&'a [f32]>,
    /// What happens to a finished sum.
    pub epilogue: Epilogue<'a>,
}

/// `output[n, k] = epilogue(bias[k] + sum_i left[n, i] * right[i, k])` for `n` in `0..samples`, `i` in `0..inner` and all
/// padded columns `k`.
///
/// The forward pass with the weights as `right`; the input gradient with the transposed weights and no bias.
#[inline(always)]
pub fn multiply<S: Simd>(simd: S, samples: usize, product: Product<'_>, output: &mut [f32]) {
    let columns = product.columns;
    let mut sample = 0;
    while sample < samples {
        // Seven or eight rows are halved: two rows alone have too few running sums to hide the latency.
        let rows = match samples - sample {
            left @ 7..=8 => left.div_ceil(2),
            left => left.min(ROWS),
        };
        let target = sample * columns..(sample + rows) * columns;
        let epilogue = match product.epilogue {
            Epilogue::WherePositive(values) => Epilogue::WherePositive(&values[target.clone()]),
            other => other,
        };
        let product = Product { left: &product.left[sample * product.left_stride..], epilogue, ..product };
        let output = &mut output[target];
        match rows {
            6 => multiply_rows::<S, 6>(simd, product, output),
            5 => multiply_rows::<S, 5>(simd, product, output),
            4 => multiply_rows::<S, 4>(simd, product, output),
            3 => multiply_rows::<S, 3>(simd, product, output),
            2 => multiply_rows::<S, 2>(simd, product, output),
            _ => multiply_rows::<S, 1>(simd, product, output),
        }
        sample += rows;
    }
}

/// All columns of `R` rows.
#[inline(always)]
fn multiply_rows<S: Simd, const R: usize>(simd: S, product: Product<'_>, output: &mut [f32]) {
    let registers = product.columns / S::F32_LANES;
    let mut register = 0;
    while register + COLUMNS <= registers {
        multiply_block::<S, R, COLUMNS>(simd, product, register, output);
        register += COLUMNS;
    }
    if register < registers {
        multiply_block::<S, R, 1>(simd, product, register, output);
    }
}

/// `R` rows x `C` registers of sums, starting at column register `register`.
#[inline(always)]
fn multiply_block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    product: Product<'_>,
    register: usize,
    output: &mut [f32],
) {
    let Product { inner, columns, left, left_stride, right, bias, epilogue } = product;
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
                Epilogue::Relu => relu(simd, sum),
                Epilogue::WherePositive(values) => {
                    let values = S::as_simd_f32s(&values[row * columns..(row + 1) * columns]).0;
                    simd.select_f32s(simd.less_than_or_equal_f32s(values[register + column], zero), zero, sum)
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
    /// The gradient of what it produced.
    pub output_gradient: &'a [f32],
    /// Numbers from one row of it to the next.
    pub columns: usize,
}

/// Rows of weights whose gradient is summed at once: how large the scratch of [`update_weights`] is, in rows.
pub const GRADIENT_ROWS: usize = ROWS;

/// Adam with the gradient `sum_n input[n, i] * output_gradient[n, k]` of the weights of the inputs from `first` on, as many as
/// the tensor has rows, over all `parts` of a batch in their order. The gradient goes no further than `scratch`, a few rows
/// that stay in the first-level cache.
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
    let (mut row, mut rest) = (0, tensor);
    while row < rows {
        let block = if row + ROWS <= rows { ROWS } else { 1 };
        let gradient = &mut scratch[..block * columns];
        if block == ROWS {
            gradient_rows::<S, ROWS, PARTS>(simd, first + row, parts, gradient);
        } else {
            gradient_rows::<S, 1, PARTS>(simd, first + row, parts, gradient);
        }
        let (mut own, others) = rest.split_at(block * columns);
        update_from_gradient(simd, gradient, &mut own);
        rest = others;
        row += block;
    }
}

/// All columns of the gradient of the weights of `R` inputs from `row` on.
#[inline(always)]
fn gradient_rows<S: Simd, const R: usize, const PARTS: usize>(
    simd: S,
    row: usize,
    parts: &[Samples<'_>; PARTS],
    gradient: &mut [f32],
) {
    let registers = parts[0].columns / S::F32_LANES;
    let mut register = 0;
    while register + COLUMNS <= registers {
        gradient_block::<S, R, COLUMNS, PARTS>(simd, row, parts, register, gradient);
        register += COLUMNS;
    }
    if register < registers {
        gradient_block::<S, R, 1, PARTS>(simd, row, parts, register, gradient);
    }
}

/// `R` inputs x `C` registers of units.
#[inline(always)]
fn gradient_block<S: Simd, const R: usize, const C: usize, const PARTS: usize>(
    simd: S,
    row: usize,
    parts: &[Samples<'_>; PARTS],
    register: usize,
    gradient: &mut [f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for part in parts {
        let Samples { input, input_stride, output_gradient, columns } = *part;
        for (input, gradients) in input.chunks_exact(input_stride).zip(output_gradient.chunks_exact(columns)) {
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

/// Adam on whole registers whose gradients are at hand.
#[inline(always)]
fn adam_registers<S: Simd>(simd: S, tensor: &mut AdamTensor<'_>, place: std::ops::Range<usize>, gradients: &[S::f32s]) {
    let splat = |value: f64| simd.splat_f32s(value as f32);
    let (b1, b2) = (splat(adam::BETA1), splat(adam::BETA2));
    let (c1, c2) = (splat(1.0 - adam::BETA1), splat(1.0 - adam::BETA2));
    let epsilon = splat(adam::EPSILON);
    let (zero, negligible) = (simd.splat_f32s(0.0), simd.splat_f32s(NEGLIGIBLE));
    let rate = simd.splat_f32s(tensor.rate);
    let p = S::as_mut_simd_f32s(&mut tensor.parameters[place.clone()]).0;
    let m = S::as_mut_simd_f32s(&mut tensor.m[place.clone()]).0;
    let v = S::as_mut_simd_f32s(&mut tensor.v[place]).0;
    for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(gradients) {
        let mean = simd.mul_add_e_f32s(b1, *m, simd.mul_f32s(c1, g));
        let square = simd.mul_add_e_f32s(b2, *v, simd.mul_f32s(c2, simd.mul_f32s(g, g)));
        *m = simd.select_f32s(simd.less_than_f32s(simd.abs_f32s(mean), negligible), zero, mean);
        *v = simd.select_f32s(simd.less_than_f32s(square, negligible), zero, square);
        let denominator = simd.add_f32s(simd.sqrt_f32s(*v), epsilon);
        *p = simd.sub_f32s(*p, simd.div_f32s(simd.mul_f32s(rate, *m), denominator));
    }
}

/// Adam with the gradient `sum_n output_gradient[n, k]` of the bias, over all `parts` of a batch in their order.
#[inline(always)]
pub fn update_bias<S: Simd>(simd: S, parts: &[Samples<'_>], tensor: &mut AdamTensor<'_>) {
    for register in 0..parts[0].columns / S::F32_LANES {
        let mut sum = simd.splat_f32s(0.0);
        for gradients in parts.iter().flat_map(|part| part.output_gradient.chunks_exact(part.columns)) {
            sum = simd.add_f32s(sum, S::as_simd_f32s(gradients).0[register]);
        }
        let place = register * S::F32_LANES..(register + 1) * S::F32_LANES;
        adam_registers(simd, tensor, place, &[sum]);
    }
}

/// Adam with a gradient of whole registers that lies in memory.
#[inline(always)]
pub fn update_from_gradient<S: Simd>(simd: S, gradient: &[f32], tensor: &mut AdamTensor<'_>) {
    adam_registers(simd, tensor, 0..gradient.len(), S::as_simd_f32s(gradient).0);
}

/// Adam with a gradient that is the sum of two, all in memory.
#[inline(always)]
pub fn update_from_two<S: Simd>(simd: S, first: &[f32], second: &[f32], tensor: &mut AdamTensor<'_>) {
    let pairs = S::as_simd_f32s(first).0.iter().zip(S::as_simd_f32s(second).0);
    for (register, (&first, &second)) in pairs.enumerate() {
        let place = register * S::F32_LANES..(register + 1) * S::F32_LANES;
        adam_registers(simd, tensor, place, &[simd.add_f32s(first, second)]);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::fast::AlignedBuffer;
    use pulp::WithSimd;

    const UNITS: usize = 16;

    /// A step of Adam on a bias without gradient.
    struct Step<'a>(AdamTensor<'a>);

    impl WithSimd for Step<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) {
            let zeros = AlignedBuffer::zeros(UNITS);
            let samples = Samples { input: &[], input_stride: 1, output_gradient: &zeros, columns: UNITS };
            update_bias(simd, &[samples], &mut self.0);
        }
    }

    #[test]
    fn moments_without_gradient_end_at_0_and_not_among_denormal_numbers() {
        let [mut parameters, mut m, mut v] = [0.5, -1e-3, 1e-6].map(|value| {
            let mut lines = AlignedBuffer::zeros(UNITS);
            lines.fill(value);
            lines
        });
        let mut smallest = f32::INFINITY;
        for _ in 0..1000 {
            let tensor = AdamTensor { rate: 1e-3, parameters: &mut parameters, m: &mut m, v: &mut v };
            pulp::Arch::new().dispatch(Step(tensor));
            assert!(m[0] == 0.0 || m[0].is_normal(), "{}", m[0]);
            smallest = if m[0] == 0.0 { smallest } else { m[0].abs() };
        }
        assert!((NEGLIGIBLE..1.2 * NEGLIGIBLE).contains(&smallest), "{smallest}");
        assert!(m.iter().all(|&m| m == 0.0), "{:?}", &m[..]);
        assert!(v.iter().all(|v| (0.36e-6..0.37e-6).contains(v)), "{:?}", &v[..]);
    }
}
