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

/// Packs a mask `[in, out]` of a layer of `width` units: a bit for each weight, 1 where it is kept. Each row takes whole words,
/// its first unit the lowest bit.
pub fn pack(width: usize, kept: &[bool]) -> Vec<u32> {
    let word = |kept: &[bool]| kept.iter().rev().fold(0, |word, &kept| word << 1 | u32::from(kept));
    kept.chunks_exact(width).flat_map(|row| row.chunks(32)).map(word).collect()
}

/// Whether a packed mask keeps the weight from `input` to `unit`.
pub fn keeps(width: usize, mask: &[u32], input: usize, unit: usize) -> bool {
    mask[input * width.div_ceil(32) + unit / 32] >> (unit % 32) & 1 == 1
}

/// Sum of losses and number of correct samples of one pruned network.
///
/// `input` `[sample, unit]` is what the focus layer reads; `mask` says which of its weights `[in, out]` are not taken for 0, see
/// [`pack`]. Twin of `shaders/focus_sweep/evaluate.wgsl`.
pub fn evaluate<T: Real>(
    shape: SweepShape,
    input: &[T],
    focus_weights: &[T],
    mask: &[u32],
    focus_bias: &[T],
    output_weights: &[T],
    output_bias: &[T],
    labels: &[u8],
) -> (T, u32) {
    let SweepShape { samples, width, classes } = shape;
    let mut hidden = vec![T::zero(); samples * width];
    let mut logits = vec![T::zero(); samples * classes];
    let focus = DenseShape { samples, inputs: width, outputs: width };
    let kept = |(index, &weight)| if keeps(width, mask, index / width, index % width) { weight } else { T::zero() };
    let pruned: Vec<T> = focus_weights.iter().enumerate().map(kept).collect();
    dense::forward(focus, input, &pruned, focus_bias, true, &mut hidden);
    let output = DenseShape { samples, inputs: width, outputs: classes };
    dense::forward(output, &hidden, output_weights, output_bias, false, &mut logits);
    let mut gradient = vec![T::zero(); logits.len()];
    let loss = softmax_cross_entropy::loss(classes, &logits, labels, &mut gradient);
    (loss.mean * T::of(samples as f64), loss.correct)
}
