//! Max pooling in registers of channels. Definition: [`crate::cpu::max_pool2d`].
//!
//! Where a value came from is kept as a number, 0.0 to 3.0: it is compared in the same registers as the values.

use super::relu;
use pulp::Simd;

/// Channels are padded with zeros to a multiple of this many: one AVX2 register, two of NEON.
pub const CHANNELS: usize = 8;

/// ReLU, and the pooling of two rows of `[x, channel]` into one: `output` and `argmax` `[x / 2, channel]`. A last column that
/// has no partner is not in them. Where no value is positive, `argmax` may point to any: no gradient passes there.
#[inline(always)]
pub fn relu_and_pool<S: Simd>(simd: S, rows: &[f32], channels: usize, output: &mut [f32], argmax: &mut [f32]) {
    let zero = simd.splat_f32s(0.0);
    let codes = [1.0, 2.0, 3.0].map(|code| simd.splat_f32s(code));
    let registers = channels / S::F32_LANES;
    let (upper, lower) = rows.split_at(rows.len() / 2);
    let quads = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
    let targets = output.chunks_exact_mut(channels).zip(argmax.chunks_exact_mut(channels));
    for ((upper, lower), (output, argmax)) in quads.zip(targets) {
        let (first, second) = S::as_simd_f32s(upper).0.split_at(registers);
        let (third, fourth) = S::as_simd_f32s(lower).0.split_at(registers);
        let inputs = first.iter().zip(second).zip(third.iter().zip(fourth));
        let targets = S::as_mut_simd_f32s(output).0.iter_mut().zip(S::as_mut_simd_f32s(argmax).0);
        for (((&first, &second), (&third, &fourth)), (output, argmax)) in inputs.zip(targets) {
            let (mut best, mut best_code) = (first, zero);
            // The first of equal values wins, so only a larger one takes its place.
            for (value, code) in [(second, codes[0]), (third, codes[1]), (fourth, codes[2])] {
                // NaN compares as nothing, not as larger: it is taken for what it is, and then stays.
                let larger = simd.greater_than_f32s(value, best);
                let wins = simd.or_m32s(larger, simd.not_m32s(simd.equal_f32s(value, value)));
                best = simd.select_f32s(wins, value, best);
                best_code = simd.select_f32s(wins, code, best_code);
            }
            *output = relu(simd, best);
            *argmax = best_code;
        }
    }
}

/// The other way round: gradients of one pooled row go to where its values came from, in the rows `upper` and `lower` of
/// `[x, channel]`; the other three of each four places become 0.
#[inline(always)]
pub fn spread_row<S: Simd>(
    simd: S,
    gradient: &[f32],
    argmax: &[f32],
    channels: usize,
    upper: &mut [f32],
    lower: &mut [f32],
) {
    let zero = simd.splat_f32s(0.0);
    let codes = [0.0, 1.0, 2.0, 3.0].map(|code| simd.splat_f32s(code));
    let registers = channels / S::F32_LANES;
    let sources = gradient.chunks_exact(channels).zip(argmax.chunks_exact(channels));
    let quads = upper.chunks_exact_mut(2 * channels).zip(lower.chunks_exact_mut(2 * channels));
    for ((gradient, argmax), (upper, lower)) in sources.zip(quads) {
        let sources = S::as_simd_f32s(gradient).0.iter().zip(S::as_simd_f32s(argmax).0);
        let (first, second) = S::as_mut_simd_f32s(upper).0.split_at_mut(registers);
        let (third, fourth) = S::as_mut_simd_f32s(lower).0.split_at_mut(registers);
        let targets = first.iter_mut().zip(second).zip(third.iter_mut().zip(fourth));
        for ((&gradient, &argmax), ((first, second), (third, fourth))) in sources.zip(targets) {
            for (target, code) in [first, second, third, fourth].into_iter().zip(codes) {
                *target = simd.select_f32s(simd.equal_f32s(argmax, code), gradient, zero);
            }
        }
    }
}
