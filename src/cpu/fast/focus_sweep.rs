//! Evaluating one pruned focus layer in blocks of samples that stay in the first-level cache.
//! Definition: [`crate::cpu::focus_sweep`].
//!
//! Samples lie side by side in the registers, and a weight is a factor of all of them. So a weight that is zero costs
//! nothing, units need no padding, and the largest logit of a sample is found without looking across a register.

pub use super::lanes::BLOCK;
use super::lanes::{Lane, Lanes};
use super::{AlignedBuffer, padded, softmax_cross_entropy};
use crate::cpu::focus_sweep::{SweepShape, keeps};
use pulp::{Simd, WithSimd};

/// What a focus layer reads of a data set, in blocks `[block, input, sample of the block]`; the last one is filled up with zeros.
#[derive(Clone, Debug)]
pub struct SweepInput {
    inputs: usize,
    blocks: AlignedBuffer,
}

impl SweepInput {
    /// From `[sample, input]` with padded rows of so many `inputs`.
    pub fn new(inputs: usize, rows: &[f32]) -> Self {
        let columns = padded(inputs);
        let mut blocks = AlignedBuffer::zeros((rows.len() / columns).next_multiple_of(BLOCK) * inputs);
        for (block, rows) in blocks.chunks_exact_mut(BLOCK * inputs).zip(rows.chunks(BLOCK * columns)) {
            for (sample, row) in rows.chunks_exact(columns).enumerate() {
                for (input, &value) in row[..inputs].iter().enumerate() {
                    block[input * BLOCK + sample] = value;
                }
            }
        }
        Self { inputs, blocks }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.blocks[..])
    }
}

/// One weight that is not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// Which of the numbers that a unit reads it multiplies; networks have no more parameters than kernels can number.
    pub(super) input: u32,
    pub(super) weight: f32,
}

/// A dense layer as a list of its weights that are neither zero nor pruned, unit by unit, inputs ascending.
#[derive(Debug)]
struct Layer<'a> {
    terms: Vec<Term>,
    /// Where the terms of each unit end.
    ends: Vec<usize>,
    bias: &'a [f32],
}

impl<'a> Layer<'a> {
    /// The layer of `units` with `weights` `[in, out]` in padded rows, and the mask of one that is pruned.
    fn new(units: usize, weights: &[f32], mask: Option<&[u32]>, bias: &'a [f32]) -> Self {
        let mut terms = Vec::with_capacity(weights.len());
        let mut ends = Vec::with_capacity(units);
        for unit in 0..units {
            for (input, row) in (0..).zip(weights.chunks_exact(padded(units))) {
                if row[unit] != 0.0 && mask.is_none_or(|mask| keeps(units, mask, input as usize, unit)) {
                    terms.push(Term { input, weight: row[unit] });
                }
            }
            ends.push(terms.len());
        }
        Self { terms, ends, bias }
    }

    /// `output[unit, sample] = bias[unit] + sum_i weights[i, unit] * input[i, sample]`, then ReLU if `relu`.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, input: &[Lane], relu: bool, output: &mut [Lane]) {
        let mut start = 0;
        for ((&end, &bias), output) in self.ends.iter().zip(self.bias).zip(output) {
            unit(simd, &self.terms[start..end], Some(bias), input, relu, output);
            start = end;
        }
    }
}

/// One unit of a layer: `output[sample] = bias + sum over terms of weight * input[term, sample]`, then ReLU if `relu`. Without a
/// bias the terms are added to what `output` holds already.
#[inline(always)]
pub(super) fn unit<S: Simd>(simd: S, terms: &[Term], bias: Option<f32>, input: &[Lane], relu: bool, output: &mut Lane) {
    // A block is four registers of AVX-512; of others it is eight, or several times eight.
    if S::F32_LANES == 16 {
        add_terms::<S, 4>(simd, terms, bias, input, relu, output);
    } else {
        add_terms::<S, 8>(simd, terms, bias, input, relu, output);
    }
}

/// The same, `C` registers of samples at a time.
#[inline(always)]
fn add_terms<S: Simd, const C: usize>(
    simd: S,
    terms: &[Term],
    bias: Option<f32>,
    input: &[Lane],
    relu: bool,
    output: &mut Lane,
) {
    for (tile, output) in S::as_mut_simd_f32s(output).0.chunks_exact_mut(C).enumerate() {
        let mut sums: [S::f32s; C] = match bias {
            Some(bias) => [simd.splat_f32s(bias); C],
            None => std::array::from_fn(|register| output[register]),
        };
        for &Term { input: index, weight } in terms {
            let weight = simd.splat_f32s(weight);
            let values = &S::as_simd_f32s(&input[index as usize]).0[tile * C..(tile + 1) * C];
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum = simd.mul_add_e_f32s(weight, value, *sum);
            }
        }
        for (output, sum) in output.iter_mut().zip(sums) {
            *output = if relu { super::relu(simd, sum) } else { sum };
        }
    }
}

/// One pruned network.
struct Evaluate<'a> {
    input: &'a SweepInput,
    focus: Layer<'a>,
    output: Layer<'a>,
    labels: &'a [u8],
}

impl WithSimd for Evaluate<'_> {
    type Output = (f64, u32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, u32) {
        let Self { input: SweepInput { inputs, blocks }, focus, output, labels } = self;
        let mut hidden = Lanes::zeros(focus.ends.len());
        let mut logits = Lanes::zeros(output.ends.len());
        let (mut total, mut correct) = (0.0, 0);
        for (labels, input) in labels.chunks(BLOCK).zip(blocks.chunks_exact(BLOCK * inputs)) {
            focus.apply(simd, input.as_chunks().0, true, &mut hidden);
            output.apply(simd, &hidden, false, &mut logits);
            let (loss, right) = softmax_cross_entropy::evaluate_block(&logits, labels);
            total += loss;
            correct += right;
        }
        (total, correct)
    }
}

/// Sum of losses and number of correct samples of one pruned network; rows of weights and biases are padded, the `mask` is
/// packed as for the definition.
pub fn evaluate(
    shape: SweepShape,
    input: &SweepInput,
    focus_weights: &[f32],
    mask: &[u32],
    focus_bias: &[f32],
    output_weights: &[f32],
    output_bias: &[f32],
    labels: &[u8],
) -> (f64, u32) {
    let SweepShape { units, classes, .. } = shape;
    let focus = Layer::new(units, focus_weights, Some(mask), focus_bias);
    let output = Layer::new(classes, output_weights, None, output_bias);
    pulp::Arch::new().dispatch(Evaluate { input, focus, output, labels })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::focus_sweep as twin;
    use crate::random::{Sequence, Stream};

    /// `rows` of `columns` draws, a share of them not 0, padded with zeros.
    fn draw(draws: &mut Sequence, rows: usize, columns: usize, kept: f64) -> (Vec<f64>, AlignedBuffer) {
        let (mut plain, mut lines) = (Vec::new(), AlignedBuffer::zeros(rows * padded(columns)));
        for row in lines.chunks_exact_mut(padded(columns)).take(rows) {
            for value in &mut row[..columns] {
                let drawn = (2.0 * draws.unit() - 1.0) as f32;
                *value = if draws.unit() < kept { drawn } else { 0.0 };
                plain.push(f64::from(*value));
            }
        }
        (plain, lines)
    }

    #[test]
    fn pruned_networks_of_any_size_are_evaluated_as_by_the_twin() {
        let cases = [
            (1, 1, 1, 2, 1.0),
            (63, 5, 5, 3, 0.0),
            (64, 30, 30, 10, 0.2),
            (65, 31, 31, 17, 1.0),
            (200, 70, 70, 256, 0.5),
            (66, 40, 20, 10, 0.5),
            (65, 7, 33, 3, 0.6),
        ];
        for (samples, inputs, units, classes, kept) in cases {
            let mut draws = Sequence::new(5, Stream::Check, (1000 * inputs + samples) as u32, 0);
            let (input, padded_input) = draw(&mut draws, samples, inputs, 0.7);
            let (focus, padded_focus) = draw(&mut draws, inputs, units, 0.9);
            let kept: Vec<bool> = (0..inputs * units).map(|_| draws.unit() < kept).collect();
            let mask = twin::pack(units, &kept);
            let (focus_bias, padded_focus_bias) = draw(&mut draws, 1, units, 1.0);
            let (output, padded_output) = draw(&mut draws, units, classes, 1.0);
            let (output_bias, padded_output_bias) = draw(&mut draws, 1, classes, 1.0);
            let labels: Vec<u8> = (0..samples).map(|_| draws.below(classes as u32) as u8).collect();
            let shape = SweepShape { samples, inputs, units, classes };
            let expected = twin::evaluate(shape, &input, &focus, &mask, &focus_bias, &output, &output_bias, &labels);
            let found = evaluate(
                shape,
                &SweepInput::new(inputs, &padded_input[..samples * padded(inputs)]),
                &padded_focus,
                &mask,
                &padded_focus_bias,
                &padded_output,
                &padded_output_bias,
                &labels,
            );
            assert_eq!(found.1, expected.1, "{shape:?}: correct");
            assert!((found.0 - expected.0).abs() < 1e-5 * expected.0, "{shape:?}: {} for {}", found.0, expected.0);
        }
    }
}
