//! Evaluating pruned focus layers: everything before the focus layer is shared, so a mask costs two small layers.

use super::{Real, dense, softmax_cross_entropy};
use dense::DenseShape;

/// Sizes of a sweep over masks of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepShape {
    /// Test images.
    pub samples: usize,
    /// Units before the focus layer.
    pub inputs: usize,
    /// Units of the focus layer.
    pub units: usize,
    /// Units of the output layer.
    pub classes: usize,
}

/// Packs a mask `[in, out]` of a layer of so many `units`: a bit for each weight, 1 where it is kept. Each row takes whole words,
/// its first unit the lowest bit.
pub fn pack(units: usize, kept: &[bool]) -> Vec<u32> {
    let word = |kept: &[bool]| kept.iter().rev().fold(0, |word, &kept| word << 1 | u32::from(kept));
    kept.chunks_exact(units).flat_map(|row| row.chunks(32)).map(word).collect()
}

/// Whether a packed mask keeps the weight from `input` to `unit`.
pub fn keeps(units: usize, mask: &[u32], input: usize, unit: usize) -> bool {
    mask[input * units.div_ceil(32) + unit / 32] >> (unit % 32) & 1 == 1
}

/// Sum of losses and number of correct samples of one pruned network.
///
/// `input` `[sample, in]` is what the focus layer reads; `mask` says which of its weights `[in, out]` are not taken for 0, see
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
    let SweepShape { samples, inputs, units, classes } = shape;
    let mut hidden = vec![T::zero(); samples * units];
    let mut logits = vec![T::zero(); samples * classes];
    let focus = DenseShape { samples, inputs, outputs: units };
    let kept = |(index, &weight)| if keeps(units, mask, index / units, index % units) { weight } else { T::zero() };
    let pruned: Vec<T> = focus_weights.iter().enumerate().map(kept).collect();
    dense::forward(focus, input, &pruned, focus_bias, true, &mut hidden);
    let output = DenseShape { samples, inputs: units, outputs: classes };
    dense::forward(output, &hidden, output_weights, output_bias, false, &mut logits);
    let mut gradient = vec![T::zero(); logits.len()];
    let loss = softmax_cross_entropy::loss(classes, &logits, labels, &mut gradient);
    (loss.mean * T::of(samples as f64), loss.correct)
}
