// prelude.truncated_normal: a normal number between -2 and 2 from 23 random bits.
//
// The quantile function is a ratio of two polynomials in CENTRE - q^2 (docs/kernels/he_normal.md).
// Symmetric, and never 0. Twin: `truncated_normal` in src/cpu/he_normal.rs.

const CENTRAL_PROBABILITY: f32 = 0.9544997361036416;
const CENTRE: f32 = 0.2278125;

// The quantile of the standard normal distribution restricted to +-2, at the top 23 bits of `word`.
fn truncated_normal(word: u32) -> f32 {
    let centred = (f32(i32(word >> 9u) - 4194304) + 0.5) * (1.0 / 8388608.0);
    let q = centred * CENTRAL_PROBABILITY;
    let r = CENTRE - q * q;
    let numerator =
        (((3422.77294921875 * r + 9644.1640625) * r + 3015.568359375) * r + 223.48458862304688) * r + 4.192095756530762;
    let denominator =
        (((3988.713623046875 * r + 4688.12353515625) * r + 1012.6849365234375) * r + 60.830020904541016) * r + 1.0;
    return q * numerator / denominator;
}
