//! Mean, spread and confidence interval of a few numbers, one for each replica.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and spread of a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n − 1); none of a single number.
    pub sd: Option<f64>,
    /// How many numbers.
    pub count: usize,
}

impl Summary {
    /// The summary of `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self { mean, sd: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()), count })
    }

    /// Whether so few replicas spread so widely that an interval of a difference of accuracies, which lie between 0 and 1,
    /// says nothing: it is wider than 1, or leaves what a difference can be.
    pub fn is_of_too_few(&self) -> bool {
        self.half_width().is_some_and(|half| half > 0.5 || self.mean.abs() + half > 1.0)
    }

    /// Half the width of the 95 % confidence interval of the mean, by Student's t distribution; none of a single number.
    pub fn half_width(&self) -> Option<f64> {
        let student = StudentsT::new(0.0, 1.0, (self.count.checked_sub(1)?) as f64).ok()?;
        Some(student.inverse_cdf(0.975) * self.sd? / (self.count as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_sample_deviation_and_a_single_number_has_none() {
        assert_eq!(Summary::of(&[1.0, 2.0, 3.0]), Some(Summary { mean: 2.0, sd: Some(1.0), count: 3 }));
        assert_eq!(Summary::of(&[4.0]), Some(Summary { mean: 4.0, sd: None, count: 1 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_interval_is_students() {
        // t(0.975, 4 degrees of freedom) = 2.776445 (any table), sd = sqrt(2.5).
        let half = Summary::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().half_width().unwrap();
        assert!((half - 2.776_445 * (2.5f64 / 5.0).sqrt()).abs() < 1e-5, "{half}");
        assert_eq!(Summary::of(&[1.0]).unwrap().half_width(), None);
    }

    #[test]
    fn an_interval_beyond_what_accuracies_can_do_is_of_too_few_replicas() {
        let is_of_too_few = |values: &[f64]| Summary::of(values).unwrap().is_of_too_few();
        assert!(is_of_too_few(&[0.1, 0.2]), "half of the width is 0.64");
        assert!(is_of_too_few(&[0.95, 0.96]), "up to 1.02");
        assert!(is_of_too_few(&[-0.95, -0.96]));
        assert!(!is_of_too_few(&[0.1, 0.2, 0.15]) && !is_of_too_few(&[0.1]));
    }
}
