//! Evaluating one pruned focus layer in blocks of samples that stay in the first-level cache.
//! Definition: [`crate::cpu::focus_sweep`].

use super::dense::{Epilogue, multiply};
use super::{Lines, padded, softmax_cross_entropy};
use crate::cpu::focus_sweep::SweepShape;
use pulp::{Simd, WithSimd};

/// Samples of a block: with 32 units, input and hidden units of a block are 12 KB.
const BLOCK: usize = 48;

/// One pruned network, all with padded rows.
struct Evaluate<'a> {
    shape: SweepShape,
    input: &'a [f32],
    focus_weights: &'a [f32],
    focus_bias: &'a [f32],
    output_weights: &'a [f32],
    output_bias: &'a [f32],
    labels: &'a [u8],
}

impl WithSimd for Evaluate<'_> {
    type Output = (f64, u32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, u32) {
        let SweepShape { width, classes, .. } = self.shape;
        let (units, columns) = (padded(width), padded(classes));
        let mut hidden = Lines::zeros(BLOCK * units);
        let mut logits = Lines::zeros(BLOCK * columns);
        let (mut total, mut correct) = (0.0, 0);
        for (labels, input) in self.labels.chunks(BLOCK).zip(self.input.chunks(BLOCK * units)) {
            let samples = labels.len();
            let focus_bias = Some(self.focus_bias);
            multiply(
                simd,
                samples,
                width,
                units,
                input,
                units,
                self.focus_weights,
                focus_bias,
                Epilogue::Relu,
                &mut hidden,
            );
            let output_bias = Some(self.output_bias);
            let identity = Epilogue::Identity;
            multiply(
                simd,
                samples,
                width,
                columns,
                &hidden,
                units,
                self.output_weights,
                output_bias,
                identity,
                &mut logits,
            );
            let logits = &mut logits[..samples * columns];
            let (loss, right) = softmax_cross_entropy::evaluate(classes, columns, logits, labels);
            total += loss;
            correct += right;
        }
        (total, correct)
    }
}

/// Sum of losses and number of correct samples of one pruned network; all rows of units and classes are padded.
pub fn evaluate(
    shape: SweepShape,
    input: &[f32],
    focus_weights: &[f32],
    focus_bias: &[f32],
    output_weights: &[f32],
    output_bias: &[f32],
    labels: &[u8],
) -> (f64, u32) {
    let evaluate = Evaluate { shape, input, focus_weights, focus_bias, output_weights, output_bias, labels };
    pulp::Arch::new().dispatch(evaluate)
}
