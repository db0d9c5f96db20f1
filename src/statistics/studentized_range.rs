//! The distribution of the studentized range: the range of `groups` standard normal numbers divided by an independent
//! estimate of their standard deviation with so many degrees of freedom.
//!
//! Tables are compared with R's, so probabilities and quantiles are R's wherever R has digits
//! (`copenhaver_holland`). Below that R prints the dust of its quadrature, or 0, and the exact tail stands.
//!
//! The exact tail is by the definition (Tukey 1949; Copenhaver & Holland, Journal of Statistical Computation and Simulation 30, 1988): an
//! integral over the estimate of the probability of a normal range. Both integrands are analytic and fall off at least
//! exponentially, so the trapezoidal rule converges geometrically (Trefethen & Weideman, SIAM Review 56, 2014). The upper
//! tail is integrated itself: one minus the distribution function would have no digits where it is small.

use super::copenhaver_holland;
use libm::erfc;
use std::f64::consts::{PI, SQRT_2};

/// Above so many degrees of freedom the estimate counts as exact, as in R, whose tables ours are compared with. At this
/// number that moves the 95 % quantile by less than one part in 8,000.
const MANY: f64 = 25_000.0;

/// Step of the inner integral, in standard deviations.
const NORMAL_STEP: f64 = 0.1;

/// Where a normal density is nothing against the tails asked for, in standard deviations.
const NORMAL_END: f64 = 10.0;

/// The largest normal range whose probability is not 0 in double precision.
const LARGEST_RANGE: f64 = 55.0;

/// Logarithm of what a density has fallen to where the outer integral stops.
const FALLEN: f64 = -100.0;

/// Steps of the outer integral over a narrow density, and the widest step over a wide one, in logarithms of the estimate.
const STEPS: f64 = 100.0;
const WIDEST_STEP: f64 = 0.1;

/// A probability of R's below this has no digit that is sure.
const NEGLIGIBLE: f64 = 1e-9;

/// With fewer degrees of freedom R has no answer.
const FEWEST: f64 = 2.0;

/// Probability that the studentized range is at least `q`, 0 or more: R's, and below `NEGLIGIBLE` the exact one. `groups` >= 2;
/// `degrees_of_freedom` > 0, infinity allowed.
pub fn upper_tail(q: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    let exact = || exact_upper_tail(q, groups, degrees_of_freedom);
    if degrees_of_freedom < FEWEST {
        return exact();
    }
    match copenhaver_holland::upper_tail(q, groups, degrees_of_freedom) {
        dust if dust < NEGLIGIBLE => exact().min(NEGLIGIBLE),
        probability => probability,
    }
}

/// The value that the studentized range stays below with probability `probability`, 0 to 1 exclusive: R's.
pub fn quantile(probability: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    if degrees_of_freedom < FEWEST {
        return exact_quantile(probability, groups, degrees_of_freedom);
    }
    copenhaver_holland::quantile(probability, groups, degrees_of_freedom)
}

/// The upper tail to about 12 digits, also of small probabilities down to 1e-40.
fn exact_upper_tail(q: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    if degrees_of_freedom > MANY {
        return NormalRange::new(groups, q).upper_tail(q);
    }
    // The estimate s, relative to the truth, has density proportional to s^(f - 1) exp(-f s^2 / 2); in u = ln s that is
    // proportional to exp(f (u - (e^2u - 1) / 2)), which is 1 at its maximum u = 0.
    let logarithm = |u: f64| degrees_of_freedom * (u - (2.0 * u).exp_m1() / 2.0);
    let end = |inside: f64, outside: f64| bisect(inside, outside, |u| logarithm(u) > FALLEN);
    let (low, high) = (end(0.0, FALLEN / degrees_of_freedom - 1.0), end(0.0, 5.0 + 1.0 / degrees_of_freedom));
    let steps = STEPS.max((high - low) / WIDEST_STEP).ceil();
    let step = (high - low) / steps;
    let range = NormalRange::new(groups, q * high.exp());
    let (mut tail, mut mass) = (0.0, 0.0);
    for index in 0..=steps as usize {
        let u = low + step * index as f64;
        let density = logarithm(u).exp();
        mass += density;
        tail += density * range.upper_tail(q * u.exp());
    }
    tail / mass
}

/// The quantile to about 12 digits.
fn exact_quantile(probability: f64, groups: u32, degrees_of_freedom: f64) -> f64 {
    // In logarithms the tail is close to a straight line or a parabola, so secants find it in a few steps; a bracket
    // around the root keeps them safe (the Illinois variant of regula falsi).
    let target = (-probability).ln_1p();
    let excess = |q: f64| exact_upper_tail(q, groups, degrees_of_freedom).max(f64::MIN_POSITIVE).ln() - target;
    let (mut low, mut at_low) = (0.0, -target);
    let mut high = 4.0;
    let mut at_high = excess(high);
    while at_high > 0.0 {
        (low, at_low) = (high, at_high);
        high *= 2.0;
        at_high = excess(high);
    }
    let mut last_was_low = None;
    loop {
        let middle = (low * at_high - high * at_low) / (at_high - at_low);
        let at_middle = excess(middle);
        let is_low = at_middle > 0.0;
        // A side that stays for a second time counts for half, so that the bracket closes from both.
        let halve = if last_was_low == Some(is_low) { 0.5 } else { 1.0 };
        let moved = if is_low { middle - low } else { high - middle };
        if is_low {
            (low, at_low, at_high) = (middle, at_middle, at_high * halve);
        } else {
            (high, at_high, at_low) = (middle, at_middle, at_low * halve);
        }
        last_was_low = Some(is_low);
        if moved <= 1e-13 * middle || at_middle.abs() <= 1e-14 {
            return middle;
        }
    }
}

/// The place between `inside`, where `holds`, and `outside`, where it does not, at which that changes.
fn bisect(mut inside: f64, mut outside: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(inside, outside);
        if holds(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    outside
}

/// Probability that a standard normal number is below `z`.
fn normal(z: f64) -> f64 {
    erfc(-z / SQRT_2) / 2.0
}

/// The range of normal numbers with known standard deviation.
struct NormalRange {
    /// `groups` - 1.
    others: f64,
    /// Places of the integral over the largest of the numbers: where, its share of the integral, probability below.
    places: Vec<(f64, f64, f64)>,
}

impl NormalRange {
    /// For ranges up to `widest`.
    fn new(groups: u32, widest: f64) -> Self {
        // With the smallest number w below the largest, both lie around w / 2 from 0 at best.
        let end = NORMAL_END + widest.min(LARGEST_RANGE) / 2.0;
        let steps = ((end + NORMAL_END) / NORMAL_STEP) as usize;
        let others = f64::from(groups) - 1.0;
        let place = |index: usize| {
            let z = -NORMAL_END + NORMAL_STEP * index as f64;
            let (density, below) = ((-z * z / 2.0).exp() / (2.0 * PI).sqrt(), normal(z));
            (z, NORMAL_STEP * f64::from(groups) * density * below.powf(others), below)
        };
        Self { others, places: (0..=steps).map(place).collect() }
    }

    /// Probability of a range of at least `w`: over the largest number z, that not all others lie between z - w and z.
    fn upper_tail(&self, w: f64) -> f64 {
        if w > LARGEST_RANGE {
            return 0.0;
        }
        let outside = |&(z, share, below): &(f64, f64, f64)| {
            let ratio = (normal(z - w) / below).min(1.0);
            -share * (self.others * (-ratio).ln_1p()).exp_m1()
        };
        self.places.iter().map(outside).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::t_two_sided;
    use super::*;

    #[test]
    fn of_two_groups_it_is_students_t() {
        for freedom in [1.0, 2.0, 3.5, 10.0, 395.0, 20_000.0] {
            for q in [0.01, 0.7, 3.0, 9.0, 40.0] {
                let (found, expected) = (exact_upper_tail(q, 2, freedom), t_two_sided(q / SQRT_2, freedom));
                let expected_digits = 1e-10 * expected + 1e-40;
                assert!((found - expected).abs() <= expected_digits, "{q} {freedom}: {found:e} {expected:e}");
            }
        }
    }

    #[test]
    fn without_a_range_the_tail_is_whole_and_far_out_nothing_is_left() {
        for groups in [2, 8, 100] {
            let whole = exact_upper_tail(0.0, groups, 7.0);
            assert!((whole - 1.0).abs() < 1e-12, "{groups}: {whole}");
            assert_eq!(exact_upper_tail(1e3, groups, f64::INFINITY), 0.0);
        }
    }

    #[test]
    fn a_quantile_has_its_probability() {
        for (groups, freedom) in [(2, 1.0), (3, 2.0), (5, 20.0), (20, 300.0), (4, f64::INFINITY)] {
            for probability in [0.01, 0.5, 0.95, 0.999] {
                let tail = exact_upper_tail(exact_quantile(probability, groups, freedom), groups, freedom);
                assert!((tail + probability - 1.0).abs() < 1e-12, "{groups} {freedom} {probability}: {tail}");
            }
        }
    }

    #[test]
    fn beyond_the_digits_of_r_the_exact_tail_stands() {
        for (groups, freedom) in [(2, 395.0), (4, 4500.0), (4, 8.0), (3, f64::INFINITY)] {
            let tails: Vec<f64> = (1..200).map(|step| upper_tail(f64::from(step) * 0.1, groups, freedom)).collect();
            assert!(tails.is_sorted_by(|a, b| a + 1e-12 >= *b), "{groups} {freedom}");
        }
        let (found, expected) = (upper_tail(16.0, 2, 395.0), t_two_sided(16.0 / SQRT_2, 395.0));
        assert!((found - expected).abs() < 1e-10 * expected && found < 1e-20, "{found:e}");
        assert!(upper_tail(3.0, 2, 1.0) > 0.2 && quantile(0.95, 2, 1.0) > 17.0);
    }
}
