//! Initial weights: He normal, truncated at two standard deviations as Keras does.

use super::Real;
use crate::random::{Stream, key, philox};

/// Standard deviation of a normal distribution truncated at two standard deviations: dividing by it restores the variance.
const TRUNCATED_DEVIATION: f64 = 0.8796256610342398;

/// Probability between -2 and 2 standard deviations.
const CENTRAL_PROBABILITY: f64 = 0.9544997361036416;

/// The quantile function divided by its argument is `NUMERATOR(r) / DENOMINATOR(r)` with `r = CENTRE - q^2`, lowest power
/// first: our own least-squares fit over |q| <= 0.4772499 (`docs/kernels/he_normal.md`), 1e-7 from the true quantile.
/// All coefficients are positive, so nothing cancels in single precision.
pub const NUMERATOR: [f64; 5] = [4.192095756530762, 223.48458862304688, 3015.568359375, 9644.1640625, 3422.77294921875];
/// Denominator of the fit, see [`NUMERATOR`].
pub const DENOMINATOR: [f64; 5] = [1.0, 60.830020904541016, 1012.6849365234375, 4688.12353515625, 3988.713623046875];
/// Where the fit's variable is zero: just outside the largest q^2.
pub const CENTRE: f64 = 0.2278125;

/// Scale of a layer with `fan_in` inputs: sqrt(2 / fan_in), corrected for the truncation (Keras' `HeNormal`).
pub fn scale(fan_in: usize) -> f64 {
    (2.0 / fan_in as f64).sqrt() / TRUNCATED_DEVIATION
}

/// The quantile of the standard normal distribution restricted to +-2, from 23 random bits: symmetric, never 0.
pub fn truncated_normal<T: Real>(word: u32) -> T {
    // (k + 0.5) / 2^23 - 0.5 for k in 0..2^23 is exact in f32.
    let centred = T::of(f64::from((word >> 9) as i32 - (1 << 22)) + 0.5) * T::of(1.0 / 8_388_608.0);
    let q = centred * T::of(CENTRAL_PROBABILITY);
    let r = T::of(CENTRE) - q * q;
    let horner = |coefficients: [f64; 5]| coefficients.iter().rev().fold(T::zero(), |sum, &c| sum * r + T::of(c));
    q * horner(NUMERATOR) / horner(DENOMINATOR)
}

/// Fills one weight tensor of one replica. Weight `i` takes word `i % 4` of the Philox block with counter
/// (replica id, tensor, `i / 4`, stream), so it depends on nothing else.
///
/// Twin of `shaders/he_normal/fill.wgsl`.
pub fn fill<T: Real>(seed: u64, replica_id: u32, tensor: u32, scale: T, weights: &mut [T]) {
    for (block, weights) in (0u32..).zip(weights.chunks_mut(4)) {
        let words = philox([replica_id, tensor, block, Stream::InitialWeights as u32], key(seed));
        for (weight, word) in weights.iter_mut().zip(words) {
            *weight = truncated_normal::<T>(word) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_bound_are_those_of_the_truncated_normal() {
        let mut weights = vec![0.0f64; 400_000];
        fill(11, 3, 1, 1.0, &mut weights);
        let n = weights.len() as f64;
        let mean = weights.iter().sum::<f64>() / n;
        let variance = weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / n;
        let kurtosis = weights.iter().map(|w| (w - mean).powi(4)).sum::<f64>() / n / variance.powi(2);
        // Five standard errors around 0, the truncated deviation, and its kurtosis 2.3655.
        assert!(mean.abs() < 5.0 * TRUNCATED_DEVIATION / n.sqrt(), "mean {mean}");
        assert!((variance.sqrt() - TRUNCATED_DEVIATION).abs() < 5.0 * 0.6 / n.sqrt(), "deviation {}", variance.sqrt());
        assert!((kurtosis - 2.3655).abs() < 0.03, "kurtosis {kurtosis}");
        assert!(weights.iter().all(|w| w.abs() <= 2.0));
    }

    #[test]
    fn quantiles_agree_with_tables() {
        // Standard normal quantiles of 0.75 and 0.9, reached where q = p - 0.5.
        for (probability, quantile) in [(0.75, 0.674_489_750_196_081_7), (0.9, 1.281_551_565_544_600_4)] {
            let word = (((probability - 0.5) / CENTRAL_PROBABILITY + 0.5) * 4_294_967_296.0) as u32;
            let found: f64 = truncated_normal(word);
            assert!((found - quantile).abs() < 1e-6, "{probability}: {found}");
        }
    }

    #[test]
    fn a_weight_does_not_depend_on_the_length_of_its_tensor() {
        let (mut short, mut long) = (vec![0.0f32; 7], vec![0.0f32; 1000]);
        fill(1, 2, 3, 0.5, &mut short);
        fill(1, 2, 3, 0.5, &mut long);
        assert_eq!(short, long[..7]);
    }
}
