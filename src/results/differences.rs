//! Whether two methods differ: in pairs where they prune the same networks, else between two groups of networks.

use super::accuracy::CurvePoint;
use super::summary::Summary;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Differences within so much are called equal where the interval holds 0; with a wider interval nothing is known.
const EQUAL_WITHIN: f64 = 0.01;

/// A difference of accuracies, with half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean of the one less that of the other.
    pub mean: f64,
    /// Half of the interval's width; none where it would say nothing.
    pub half_width: Option<f64>,
}

/// What a difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The interval leaves 0 out.
    Apart,
    /// It holds 0 and is narrow.
    Equal,
    /// It holds 0 and is wide, or there is none: more networks would tell.
    Unknown,
}

impl Difference {
    /// Of two methods that prune the same networks: mean over pairs, interval by Student's t. Of one network the interval is
    /// that of two shares of `images`. None if they were not evaluated on the same networks.
    pub fn in_pairs(one: &CurvePoint, other: &CurvePoint, images: usize) -> Option<Self> {
        if one.accuracies.len() != other.accuracies.len() {
            return None;
        }
        let pairs: Vec<f64> = one.accuracies.iter().zip(&other.accuracies).map(|(one, other)| one - other).collect();
        let summary = Summary::of(&pairs)?;
        let half_width = match pairs.len() {
            1 => Some(of_images(one.accuracy.mean, other.accuracy.mean, images)),
            _ => summary.half_width().filter(|_| !summary.is_of_too_few()),
        };
        Some(Self { mean: summary.mean, half_width })
    }

    /// Of two groups of networks: interval by Welch's t (1947), degrees of freedom by Satterthwaite (1946). Of one network
    /// each, that of two shares of `images`.
    pub fn between(one: &Summary, other: &Summary, images: usize) -> Self {
        let mean = one.mean - other.mean;
        let half_width = match (one.sd, other.sd) {
            (Some(first), Some(second)) => welch([(first, one.count), (second, other.count)]),
            _ => Some(of_images(one.mean, other.mean, images)),
        };
        Self { mean, half_width: half_width.filter(|half| *half <= 0.5 && mean.abs() + half <= 1.0) }
    }

    /// What it says.
    pub fn told(&self) -> Told {
        match self.half_width {
            Some(half) if self.mean.abs() > half => Told::Apart,
            Some(half) if half <= EQUAL_WITHIN => Told::Equal,
            _ => Told::Unknown,
        }
    }
}

/// Half the width of the 95 % interval of a difference of two means, of standard deviations and counts.
fn welch(groups: [(f64, usize); 2]) -> Option<f64> {
    let [first, second] = groups.map(|(sd, count)| sd * sd / count as f64);
    let error = first + second;
    if error == 0.0 {
        return Some(0.0);
    }
    let [first, second] =
        [(first, groups[0].1), (second, groups[1].1)].map(|(part, count)| part * part / (count - 1) as f64);
    let student = StudentsT::new(0.0, 1.0, error * error / (first + second)).ok()?;
    Some(student.inverse_cdf(0.975) * error.sqrt())
}

/// The same of two shares of independent images, by the normal distribution: too wide where both saw the same images.
fn of_images(one: f64, other: f64, images: usize) -> f64 {
    let variance = |share: f64| share * (1.0 - share) / images.max(1) as f64;
    1.96 * (variance(one) + variance(other)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(accuracies: &[f64]) -> CurvePoint {
        let accuracy = Summary::of(accuracies).unwrap();
        CurvePoint {
            sparsity: Summary::of(&[0.5]).unwrap(),
            accuracy,
            accuracies: accuracies.to_vec(),
            over_one_shot: None,
            over_frozen_first: None,
            smaller: 1.0,
            theoretical_speedup: 1.0,
            agreement: None,
        }
    }

    #[test]
    fn pairs_tell_what_groups_do_not() {
        let (one, other) = (point(&[0.95, 0.90, 0.85]), point(&[0.94, 0.89, 0.84]));
        let paired = Difference::in_pairs(&one, &other, 10_000).unwrap();
        assert!((paired.mean - 0.01).abs() < 1e-12 && paired.told() == Told::Apart, "{paired:?}");
        assert_eq!(Difference::between(&one.accuracy, &other.accuracy, 10_000).told(), Told::Unknown);
        assert_eq!(Difference::in_pairs(&one, &one, 10_000).unwrap().told(), Told::Equal);
        assert_eq!(Difference::in_pairs(&one, &point(&[0.9]), 10_000), None);
    }

    #[test]
    fn of_groups_alike_in_size_and_spread_the_interval_is_students() {
        // Both have the variance 2.5 / 10,000 and 5 members: error 0.01, t(0.975, 8 degrees of freedom) = 2.306004 (any table).
        let [one, other] =
            [1.0, 3.0].map(|first| Summary::of(&[0.0, 1.0, 2.0, 3.0, 4.0].map(|step| (first + step) / 100.0)));
        let found = Difference::between(&one.unwrap(), &other.unwrap(), 1);
        assert!(
            (found.mean + 0.02).abs() < 1e-12 && (found.half_width.unwrap() - 0.023_060_04).abs() < 1e-7,
            "{found:?}"
        );
    }

    #[test]
    fn one_network_is_judged_by_its_images() {
        // 1.96 * sqrt(2 * 0.5 * 0.5 / 100) = 0.1386
        let [one, other] = [0.5, 0.5].map(|share| Summary::of(&[share]).unwrap());
        let found = Difference::between(&one, &other, 100);
        assert!((found.half_width.unwrap() - 0.138_6).abs() < 1e-4 && found.told() == Told::Unknown);
        assert_eq!(Difference::between(&one, &other, 1_000_000).told(), Told::Equal);
    }
}
