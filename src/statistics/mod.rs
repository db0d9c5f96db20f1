//! The statistics of the study: models, tests and fits, as R computes them. Pure functions of numbers.

pub mod anova;
mod copenhaver_holland;
pub mod correlation;
pub mod design;
pub mod glm;
pub mod growth;
pub mod ranks;
pub mod regression;
pub mod scaling;
pub mod spread;
pub mod studentized_range;
pub mod tukey;

use statrs::function::beta::beta_reg;

/// Probability that F with `numerator` and `denominator` degrees of freedom is at least `f` >= 0.
///
/// The regularised incomplete beta function in its small argument (Abramowitz & Stegun 26.6.2), so that small
/// probabilities keep all their digits, which one minus the distribution function would lose.
fn f_upper_tail(f: f64, numerator: f64, denominator: f64) -> f64 {
    let argument = denominator / (denominator + numerator * f);
    beta_reg(denominator / 2.0, numerator / 2.0, argument)
}

/// Probability that the magnitude of Student's t with `degrees_of_freedom` is at least that of `t`.
fn t_two_sided(t: f64, degrees_of_freedom: f64) -> f64 {
    f_upper_tail(t * t, 1.0, degrees_of_freedom)
}

/// Mean of `values`, of at least one. Equal values have exactly themselves as their mean.
pub fn mean(values: &[f64]) -> f64 {
    let origin = values[0];
    origin + values.iter().map(|value| value - origin).sum::<f64>() / values.len() as f64
}

/// Sum of squared distances of `values`, of at least one, from their mean.
fn sum_of_squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Standard deviation with n - 1 in the denominator; `None` of fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    (values.len() > 1).then(|| (sum_of_squares(values) / (values.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_keep_their_digits_where_they_are_small() {
        // The first two from R 4.2: pf(44.3.., 3, 955, lower.tail = FALSE) and 2 * pt(-10.01.., 955).
        for (found, expected) in [
            (f_upper_tail(44.309_366_511_261_7, 3.0, 955.0), 8.204_130_452_527_88e-27),
            (t_two_sided(-10.010_457_533_913_9, 955.0), 1.683_639_679_111_97e-22),
            (f_upper_tail(1e30, 1.0, 10.0), 0.0),
            (f_upper_tail(0.0, 2.0, 10.0), 1.0),
        ] {
            assert!((found - expected).abs() <= 1e-9 * expected + 1e-60, "{found:e} {expected:e}");
        }
    }

    #[test]
    fn equal_values_have_no_spread_at_all() {
        let values = [0.1; 7];
        assert_eq!((mean(&values), standard_deviation(&values)), (0.1, Some(0.0)));
        assert_eq!(standard_deviation(&values[..1]), None);
    }
}
