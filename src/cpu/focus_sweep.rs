//! Evaluating pruned focus layers: everything before the focus layer is shared, so a mask costs two small layers.

use super::{Real, dense, softmax_cross_entropy};
use dense::DenseShape;

/// Sizes of a sweep over masks of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepShape {
    /// Test images.
    pub samples: usize,
    /// Units before and in the focus layer.
    pub width: usize,
    /// Units of the output layer.
    pub classes: usize,
}

/// Sum of losses and number of correct samples of one pruned network.
///
/// `input` `[sample, unit]` is what the focus layer reads; `focus_weights` `[in, out]` already have zeros where the mask
/// prunes. Twin of `shaders/focus_sweep/evaluate.wgsl`.
pub fn evaluate<T: Real>(
    shape: SweepShape,
    input: &[T],
    focus_weights: &[T],
    focus_bias: &[T],
    output_weights: &[T],
    output_bias: &[T],
    labels: &[u8],
) -> (T, u32) {
    let SweepShape { samples, width, classes } = shape;
    let mut hidden = vec![T::zero(); samples * width];
    let mut logits = vec![T::zero(); samples * classes];
    let focus = DenseShape { samples, inputs: width, outputs: width };
    dense::forward(focus, input, focus_weights, focus_bias, true, &mut hidden);
    let output = DenseShape { samples, inputs: width, outputs: classes };
    dense::forward(output, &hidden, output_weights, output_bias, false, &mut logits);
    let mut gradient = vec![T::zero(); logits.len()];
    let loss = softmax_cross_entropy::loss(classes, &logits, labels, &mut gradient);
    (loss.mean * T::of(samples as f64), loss.correct)
}
