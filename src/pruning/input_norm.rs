//! Scores that know how much arrives at a weight: a number for each weight times the norm of its input.

use crate::error::{Error, Result};

/// The score of Wanda (Sun et al. 2024): `|w| * ‖x‖`, in the weights' order.
///
/// `weights` are `[in, out]`, or `[ky, kx, in, out]` of a convolution: the last axis counts the `outputs`. `norms` has a number
/// for each input, in the order of the other axes: the Euclidean norm, over all calibration images, of what arrives there; of a
/// convolution over all places of its window too.
///
/// ```
/// // Two inputs, two outputs: a small weight with much input stays longer than a large one with little.
/// let scores = holdfast::pruning::input_norm::wanda(&[0.5, -0.25, 2.0, 1.0], 2, &[8.0, 1.0])?;
/// assert_eq!(scores, [4.0, 2.0, 2.0, 1.0]);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
///
/// Fails with [`Error::Shape`] if there is not a norm for each input, or one is negative or not finite.
pub fn wanda(weights: &[f32], outputs: usize, norms: &[f32]) -> Result<Vec<f32>> {
    scaled(weights, outputs, norms)
}

/// Holding magnitude times the norm of the input, `h(s) * ‖x‖`: as [`wanda`], with the smallest magnitude of each weight within
/// a window of last epochs in place of its last one.
///
/// Fails as [`wanda`] does.
pub fn hold_input(holding_magnitude: &[f32], outputs: usize, norms: &[f32]) -> Result<Vec<f32>> {
    scaled(holding_magnitude, outputs, norms)
}

fn scaled(values: &[f32], outputs: usize, norms: &[f32]) -> Result<Vec<f32>> {
    if outputs.checked_mul(norms.len()) != Some(values.len()) {
        return Err(Error::Shape(format!(
            "{} weights of {outputs} outputs need a norm for each of their inputs, but there are {} norms",
            values.len(),
            norms.len()
        )));
    }
    if let Some(norm) = norms.iter().find(|norm| !(norm.is_finite() && **norm >= 0.0)) {
        return Err(Error::Shape(format!("the norm of an input is {norm}; norms are finite and not negative")));
    }
    let rows = values.chunks_exact(outputs.max(1)).zip(norms);
    Ok(rows.flat_map(|(row, norm)| row.iter().map(move |value| value.abs() * norm)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_place_and_input_of_a_convolution_has_a_norm_of_its_own() {
        // `[ky 1, kx 2, in 2, out 2]`.
        let weights = [1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0];
        let scores = wanda(&weights, 2, &[1.0, 0.5, 0.0, 2.0]).unwrap();
        assert_eq!(scores, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 8.0, 8.0]);
        assert_eq!(hold_input(&[0.5, 0.25], 1, &[2.0, 4.0]).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn norms_that_do_not_fit_are_refused() {
        for (outputs, norms) in [(2, &[1.0][..]), (0, &[1.0, 1.0]), (2, &[1.0, -1.0]), (2, &[1.0, f32::NAN])] {
            assert!(matches!(wanda(&[1.0; 4], outputs, norms), Err(Error::Shape(_))), "{outputs} {norms:?}");
        }
        assert!(wanda(&[], 3, &[]).unwrap().is_empty());
    }
}
