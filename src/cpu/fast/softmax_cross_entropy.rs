//! The loss on rows of logits that are padded to [`super::LANES`].

use super::LANES;

/// `exp(x)` for `x <= 0` within 2e-7 relative, 0 below -87, NaN for NaN: `2^n * p(x - n ln 2)` with a polynomial of degree 6. Shaped so
/// that the compiler computes a register of them at once. Coefficients: Taylor terms economised as in Cephes' `expf`.
#[inline(always)]
fn exp_negative(x: f32) -> f32 {
    const ROUNDING: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer in the low bits
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    // ln 2 in two parts, so that the remainder is exact to the last bit.
    let r = (clamped - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let polynomial =
        ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 1.666_666_5e-1) * r
            + 0.5;
    let fraction = polynomial * (r * r) + r + 1.0;
    // The integer sits in the low bits of `shifted`: moved to the exponent it is a factor of 2^n.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { fraction * power }
}

/// Largest logit and its first index.
#[inline(always)]
fn largest(logits: &[f32]) -> (usize, f32) {
    let mut largest = (0, logits[0]);
    for (class, &logit) in logits.iter().enumerate().skip(1) {
        if logit > largest.1 {
            largest = (class, logit);
        }
    }
    largest
}

/// The loss of each of `labels` and the gradient of their mean over a batch of `batch` samples, of rows of `columns` logits of
/// which the first `classes` count; the gradient of the padding is 0. Returns how many are correct.
/// Definition: [`crate::cpu::softmax_cross_entropy::loss`].
#[inline(always)]
pub fn loss(
    classes: usize,
    columns: usize,
    logits: &[f32],
    labels: &[u8],
    batch: usize,
    gradient: &mut [f32],
    losses: &mut [f64],
) -> u32 {
    let samples = batch as f32;
    let mut correct = 0;
    let rows = logits.chunks_exact(columns).zip(gradient.chunks_exact_mut(columns));
    for (((logits, gradient), &label), loss) in rows.zip(labels).zip(losses) {
        let label = usize::from(label);
        let (class, maximum) = largest(&logits[..classes]);
        correct += u32::from(class == label);
        for (gradient, &logit) in gradient.iter_mut().zip(logits) {
            *gradient = exp_negative(logit - maximum);
        }
        gradient[classes..].fill(0.0);
        let sum: f32 = gradient[..classes].iter().sum();
        *loss = f64::from(sum.ln() - (logits[label] - maximum));
        let factor = 1.0 / (sum * samples);
        gradient.iter_mut().for_each(|g| *g *= factor);
        gradient[label] -= 1.0 / samples;
    }
    correct
}

/// Largest number of a row of whole [`LANES`] and its first place, in steps that the compiler makes on a register at once.
#[inline(always)]
fn largest_of_lanes(row: &[f32]) -> (u32, f32) {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks_exact(LANES) {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let maximum = lanes.iter().fold(f32::NEG_INFINITY, |maximum, &lane| if lane > maximum { lane } else { maximum });
    let mut places = [u32::MAX; LANES];
    for (first, chunk) in (0u32..).step_by(LANES).zip(row.chunks_exact(LANES)) {
        for ((place, &value), lane) in places.iter_mut().zip(chunk).zip(0u32..) {
            let found = if value == maximum { first + lane } else { u32::MAX };
            *place = found.min(*place);
        }
    }
    (places.into_iter().fold(u32::MAX, u32::min), maximum)
}

/// Sum of losses and correct count of rows of logits, without the gradient; the logits are used up.
#[inline(always)]
pub fn evaluate(classes: usize, columns: usize, logits: &mut [f32], labels: &[u8]) -> (f64, u32) {
    let mut total = 0.0f64;
    let mut correct = 0;
    // A product of up to 32 sums of at most 256 fits f64, and one logarithm of it replaces 32.
    for (logits, labels) in logits.chunks_mut(32 * columns).zip(labels.chunks(32)) {
        let mut product = 1.0f64;
        for (logits, &label) in logits.chunks_exact_mut(columns).zip(labels) {
            // Padding must neither be the largest nor count in the sum.
            logits[classes..].fill(f32::NEG_INFINITY);
            let (class, maximum) = largest_of_lanes(logits);
            correct += u32::from(class == u32::from(label));
            total -= f64::from(logits[usize::from(label)] - maximum);
            let mut sums = [0.0f32; LANES];
            for chunk in logits.chunks_exact(LANES) {
                for (sum, &logit) in sums.iter_mut().zip(chunk) {
                    *sum += exp_negative(logit - maximum);
                }
            }
            product *= f64::from(sums.iter().sum::<f32>());
        }
        total += product.ln();
    }
    (total, correct)
}

/// Sum of losses and correct count of up to `BLOCK` samples, as many as `labels`, from logits `[class, sample]`.
#[inline(always)]
pub fn evaluate_block<const BLOCK: usize>(logits: &[[f32; BLOCK]], labels: &[u8]) -> (f64, u32) {
    let mut maximum = [f32::NEG_INFINITY; BLOCK];
    for row in logits {
        for (maximum, &logit) in maximum.iter_mut().zip(row) {
            *maximum = if logit > *maximum { logit } else { *maximum };
        }
    }
    let (mut sums, mut places) = ([0.0f32; BLOCK], [u32::MAX; BLOCK]);
    // Classes in the order in which [`evaluate`] adds them, so that a network has one loss however it is evaluated.
    for first in 0..logits.len().min(LANES) {
        let mut lane = [0.0f32; BLOCK];
        for (class, row) in (0..logits.len() as u32).zip(logits).skip(first).step_by(LANES) {
            let lanes = lane.iter_mut().zip(&mut places).zip(row.iter().zip(&maximum));
            for ((sum, place), (&logit, &maximum)) in lanes {
                *sum += exp_negative(logit - maximum);
                *place = if logit == maximum { class.min(*place) } else { *place };
            }
        }
        sums.iter_mut().zip(&lane).for_each(|(sum, &lane)| *sum += lane);
    }
    // A product of up to 64 sums of at most 256 fits f64, and one logarithm of it replaces 64.
    let (mut product, mut margins, mut correct) = (1.0f64, 0.0f64, 0);
    for (sample, &label) in labels.iter().enumerate() {
        product *= f64::from(sums[sample]);
        margins += f64::from(logits[usize::from(label)][sample] - maximum[sample]);
        correct += u32::from(places[sample] == u32::from(label));
    }
    (product.ln() - margins, correct)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_equals_the_definition_with_ties_and_padding() {
        let classes = 10;
        let mut logits = vec![0.0f32; 40 * LANES];
        let labels: Vec<u8> = (0..40).map(|sample| (sample % classes) as u8).collect();
        let mut plain = Vec::new();
        for (sample, row) in logits.chunks_exact_mut(LANES).enumerate() {
            for (class, logit) in row[..classes].iter_mut().enumerate() {
                // Few values, so that the largest often comes twice; all below the padding's 0.
                *logit = -1.0 - ((sample * 7 + class * 3) % 5) as f32;
            }
            plain.extend(row[..classes].iter().map(|&logit| f64::from(logit)));
        }
        let mut gradient = vec![0.0; plain.len()];
        let expected = crate::cpu::softmax_cross_entropy::loss(classes, &plain, &labels, &mut gradient);
        let (total, correct) = evaluate(classes, LANES, &mut logits, &labels);
        assert_eq!(correct, expected.correct);
        assert!((total / 40.0 - expected.mean).abs() < 1e-6, "{total}, {}", 40.0 * expected.mean);
        let mut block = [[7.0f32; 64]; 10];
        for (sample, row) in plain.chunks_exact(classes).enumerate() {
            row.iter().zip(&mut block).for_each(|(&logit, class)| class[sample] = logit as f32);
        }
        let (total, correct) = evaluate_block(&block, &labels);
        assert_eq!(correct, expected.correct);
        assert!((total / 40.0 - expected.mean).abs() < 1e-6, "{total}, {}", 40.0 * expected.mean);
    }

    #[test]
    fn exponentials_are_within_two_units_in_ten_million() {
        for step in 0..=1_000_000 {
            let x = -86.9 * (step as f32 / 1_000_000.0);
            let expected = f64::from(x).exp();
            let error = (f64::from(exp_negative(x)) / expected - 1.0).abs();
            assert!(error < 2e-7, "exp({x}) is off by {error}");
        }
        assert_eq!(exp_negative(0.0), 1.0);
        assert_eq!(exp_negative(-88.0), 0.0);
        assert_eq!(exp_negative(f32::NEG_INFINITY), 0.0);
        assert!(exp_negative(f32::NAN).is_nan());
    }
}
