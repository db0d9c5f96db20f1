//! The biological growth curve N_t = K / (1 + (K - N0) / N0 · e^(-rt)), fitted by least squares.
//!
//! With a = 1/K and b = 1/N0 - 1/K it reads 1 / (a + b e^(-rt)), and a = 0 is growth without a limit: an ordinary value,
//! where K would run off to infinity. Fits start from many rates and are refined by the algorithm of Levenberg &
//! Marquardt; K, N0 and r are not negative.

use super::mean;
use levenberg_marquardt::{LeastSquaresProblem, LevenbergMarquardt};
use nalgebra::storage::Owned;
use nalgebra::{DVector, Dyn, Matrix3, OMatrix, U3, Vector3};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Growth rates that are tried, times the number of epochs: from a line to a step.
const SLOWEST: f64 = 0.25;
const RATES: usize = 24;
/// Midpoints that are tried for each rate, from one length of the series before it to two after.
const MIDPOINTS: usize = 37;
/// Curves that fall to K are tried with these values of (N0 - K) / N0.
const FALLS: [f64; 5] = [0.2, 0.5, 0.8, 0.95, 0.99];

/// Evaluations of the curve that a refinement may take, per parameter, and the relative step that ends it.
const PATIENCE: usize = 200;
const EXACTNESS: f64 = 1e-15;

/// The same of a quick fit, and the factor between the rates that it tries.
const QUICK_PATIENCE: usize = 20;
const QUICK_EXACTNESS: f64 = 1e-8;
const QUICK_RATES: usize = 12;
const QUICK_FACTOR: f64 = 1.8;

/// Stands for the distance of a curve that is not defined at every epoch: no step is taken to there.
const UNDEFINED: f64 = 1e100;

/// The share of K that must have been reached: the curve's bend lies at one half, and without it K is a guess.
const REACHED: f64 = 0.5;

/// A fitted growth curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// K, what the number grows to; infinite if the best curve has no limit.
    pub limit: f64,
    /// N0, the number at epoch 0.
    pub start: f64,
    /// r, per epoch.
    pub rate: f64,
    /// Sum of squared distances from the observed numbers.
    pub residual_sum_of_squares: f64,
    /// Whether the observed epochs say what K is: the curve has reached half of it, so that its bend was seen, and the
    /// 95 % interval of 1/K does not hold 0.
    pub limit_is_identified: bool,
}

impl Growth {
    /// Fits the points (epoch, number), epochs and numbers 0 or more; `None` of no points.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        // Sums of squares are compared around 1, whatever the numbers' unit.
        let scale = points.iter().map(|point| point.1).fold(0.0, f64::max);
        if scale == 0.0 {
            return Some(Self::constant(0.0, 0.0));
        }
        let scaled: Vec<(f64, f64)> = points.iter().map(|&(epoch, number)| (epoch, number / scale)).collect();
        let level = mean(&scaled.iter().map(|point| point.1).collect::<Vec<_>>());
        let rss = scaled.iter().map(|point| (point.1 - level).powi(2)).sum();
        let mut best = Self::constant(level, rss);
        let curves = starts(&scaled).into_iter().flat_map(|start| {
            let unlimited = Curve { reciprocal_limit: 0.0, has_limit: false, ..start };
            [start, unlimited].map(|curve| curve.refined(&scaled, EXACTNESS, PATIENCE))
        });
        for growth in curves.filter_map(|curve| curve.growth(&scaled)) {
            if growth.residual_sum_of_squares < best.residual_sum_of_squares {
                best = growth;
            }
        }
        Some(best.scaled(scale))
    }

    /// Fits like [`Self::fit`], in about a hundredth of the time, for whoever asks after each epoch of a training: one
    /// refinement, from the best of a few starts in closed form. `None` if there is no curve with a limit there.
    pub fn fit_quickly(points: &[(f64, f64)]) -> Option<Self> {
        let scale = points.iter().map(|point| point.1).fold(0.0, f64::max);
        if scale == 0.0 {
            return None;
        }
        let scaled: Vec<(f64, f64)> = points.iter().map(|&(epoch, number)| (epoch, number / scale)).collect();
        let start = quick_start(&scaled)?;
        let found = start.refined(&scaled, QUICK_EXACTNESS, QUICK_PATIENCE).growth(&scaled)?;
        Some(found.scaled(scale))
    }

    /// The number at an epoch.
    pub fn at(&self, epoch: f64) -> f64 {
        if self.start == 0.0 {
            return 0.0;
        }
        let reciprocal = 1.0 / self.limit;
        1.0 / (reciprocal + (1.0 / self.start - reciprocal) * (-self.rate * epoch).exp())
    }

    /// The same growth of numbers in another unit.
    fn scaled(self, scale: f64) -> Self {
        Self {
            limit: self.limit * scale,
            start: self.start * scale,
            residual_sum_of_squares: self.residual_sum_of_squares * scale * scale,
            ..self
        }
    }

    /// No growth: any K will do, and the level is as good as any.
    fn constant(level: f64, residual_sum_of_squares: f64) -> Self {
        Self { limit: level, start: level, rate: 0.0, residual_sum_of_squares, limit_is_identified: false }
    }
}

/// The curve 1 / (a + d e^(-r (t - centre))).
#[derive(Clone, Copy)]
struct Curve {
    reciprocal_limit: f64,
    amplitude: f64,
    rate: f64,
    /// An epoch among the observed ones where the curve bends, so that the parameters are not each other's powers.
    centre: f64,
    /// Whether a may differ from 0.
    has_limit: bool,
}

impl Curve {
    fn denominator(&self, epoch: f64) -> f64 {
        self.reciprocal_limit + self.amplitude * (-self.rate * (epoch - self.centre)).exp()
    }

    /// Whether the curve is defined from epoch 0 to the last one; it is monotonic.
    fn is_defined(&self, points: &[(f64, f64)]) -> bool {
        let last = points.iter().map(|point| point.0).fold(0.0, f64::max);
        [0.0, last].into_iter().all(|epoch| {
            let denominator = self.denominator(epoch);
            denominator > 0.0 && denominator.is_finite()
        })
    }

    fn refined(self, points: &[(f64, f64)], exactness: f64, patience: usize) -> Self {
        let settings = LevenbergMarquardt::new().with_tol(exactness).with_patience(patience);
        settings.minimize(Problem { curve: self, points }).0.curve
    }

    /// The curve as a growth curve; `None` if K, N0 or r were negative.
    fn growth(&self, points: &[(f64, f64)]) -> Option<Growth> {
        let is_growth = self.reciprocal_limit >= 0.0 && self.rate > 0.0 && self.is_defined(points);
        let residual_sum_of_squares: f64 =
            points.iter().map(|point| (1.0 / self.denominator(point.0) - point.1).powi(2)).sum();
        (is_growth && residual_sum_of_squares.is_finite()).then(|| Growth {
            limit: 1.0 / self.reciprocal_limit,
            start: 1.0 / self.denominator(0.0),
            rate: self.rate,
            residual_sum_of_squares,
            limit_is_identified: self.has_limit && self.identifies_limit(points, residual_sum_of_squares),
        })
    }

    fn identifies_limit(&self, points: &[(f64, f64)], residual_sum_of_squares: f64) -> bool {
        let last = points.iter().map(|point| point.0).fold(0.0, f64::max);
        let reached = self.reciprocal_limit / self.denominator(last);
        let freedom = points.len().saturating_sub(3) as f64;
        let Ok(student) = StudentsT::new(0.0, 1.0, freedom) else { return false };
        let jacobian = Problem { curve: *self, points }.derivatives();
        let Some(inverse) = (jacobian.transpose() * &jacobian).try_inverse() else { return false };
        let covariance: Matrix3<f64> = inverse * (residual_sum_of_squares / freedom);
        reached >= REACHED && self.reciprocal_limit > student.inverse_cdf(0.975) * covariance[(0, 0)].sqrt()
    }
}

/// For each rate, the best of the tried curves with the K that suits it best.
fn starts(points: &[(f64, f64)]) -> Vec<Curve> {
    let last = points.iter().map(|point| point.0).fold(0.0, f64::max).max(1.0);
    let rates = (0..RATES).map(|step| SLOWEST / last * 1.35f64.powi(step as i32));
    let shapes = |rate: f64| {
        let midpoints = (0..MIDPOINTS).map(move |step| {
            let midpoint = last * (3.0 * step as f64 / (MIDPOINTS - 1) as f64 - 1.0);
            let centre = midpoint.clamp(0.0, last);
            (centre, (rate * (midpoint - centre)).exp())
        });
        midpoints.chain(FALLS.map(|fall| (0.0, -fall)))
    };
    let best = |rate: f64| {
        let curves = shapes(rate).filter_map(|(centre, relative)| {
            let shape = Curve { reciprocal_limit: 1.0, amplitude: relative, rate, centre, has_limit: true };
            if !shape.is_defined(points) {
                return None;
            }
            let heights = || points.iter().map(|point| (1.0 / shape.denominator(point.0), point.1));
            // Least squares of the number on the shape: the sum of squares falls by product² / square.
            let product: f64 = heights().map(|(height, number)| height * number).sum();
            let square: f64 = heights().map(|(height, _)| height * height).sum();
            let reciprocal = square / product;
            let curve = Curve { reciprocal_limit: reciprocal, amplitude: relative * reciprocal, ..shape };
            (product > 0.0 && reciprocal.is_finite()).then_some((product * product / square, curve))
        });
        curves.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, curve)| curve)
    };
    rates.filter_map(best).collect()
}

/// The best of a few rates, each with the curve that suits it in closed form: 1/N = a + b e^(-rt) is linear in a and b, and
/// distances of 1/N weighted by N^4 are, to first order, distances of N. `None` if none of them has a limit.
fn quick_start(points: &[(f64, f64)]) -> Option<Curve> {
    let last = points.iter().map(|point| point.0).fold(0.0, f64::max).max(1.0);
    let curve = |rate: f64| {
        // Normal equations of N on N^2 and N^2 e^(-rt).
        let (mut aa, mut ab, mut bb, mut an, mut bn) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for &(epoch, number) in points {
            let (square, decay) = (number * number, (-rate * epoch).exp());
            let weight = square * square;
            aa += weight;
            ab += weight * decay;
            bb += weight * decay * decay;
            an += square * number;
            bn += square * number * decay;
        }
        let determinant = aa * bb - ab * ab;
        let (a, b) = ((bb * an - ab * bn) / determinant, (aa * bn - ab * an) / determinant);
        let has_limit = determinant > 0.0 && a > 0.0 && b != 0.0;
        // The bend, where both parts are equal.
        let centre = ((b.abs() / a).ln() / rate).clamp(0.0, last);
        let curve = Curve { reciprocal_limit: a, amplitude: b * (-rate * centre).exp(), rate, centre, has_limit: true };
        let rss = || points.iter().map(|point| (1.0 / curve.denominator(point.0) - point.1).powi(2)).sum::<f64>();
        (has_limit && curve.is_defined(points)).then(|| (rss(), curve))
    };
    let rates = (0..QUICK_RATES).map(|step| SLOWEST / last * QUICK_FACTOR.powi(step as i32));
    rates.filter_map(curve).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, curve)| curve)
}

/// What the algorithm of Levenberg & Marquardt asks: a, d and r of a curve, and its distances from the points.
struct Problem<'a> {
    curve: Curve,
    points: &'a [(f64, f64)],
}

impl Problem<'_> {
    /// Derivatives of the curve `[epoch, parameter]`; that by a is 0 where a is held.
    fn derivatives(&self) -> OMatrix<f64, Dyn, U3> {
        let Curve { amplitude, rate, centre, has_limit, .. } = self.curve;
        let mut matrix = OMatrix::<f64, Dyn, U3>::zeros(self.points.len());
        for (row, point) in self.points.iter().enumerate() {
            let away = point.0 - centre;
            let decay = (-rate * away).exp();
            let square = self.curve.denominator(point.0).powi(2);
            matrix[(row, 0)] = if has_limit { -1.0 / square } else { 0.0 };
            matrix[(row, 1)] = -decay / square;
            matrix[(row, 2)] = amplitude * away * decay / square;
        }
        matrix
    }
}

impl LeastSquaresProblem<f64, Dyn, U3> for Problem<'_> {
    type ParameterStorage = Owned<f64, U3>;
    type ResidualStorage = Owned<f64, Dyn>;
    type JacobianStorage = Owned<f64, Dyn, U3>;

    fn set_params(&mut self, parameters: &Vector3<f64>) {
        let reciprocal_limit = if self.curve.has_limit { parameters[0] } else { 0.0 };
        self.curve = Curve { reciprocal_limit, amplitude: parameters[1], rate: parameters[2], ..self.curve };
    }

    fn params(&self) -> Vector3<f64> {
        Vector3::new(self.curve.reciprocal_limit, self.curve.amplitude, self.curve.rate)
    }

    fn residuals(&self) -> Option<DVector<f64>> {
        let is_defined = self.curve.is_defined(self.points);
        let distance = |point: &(f64, f64)| {
            if is_defined { 1.0 / self.curve.denominator(point.0) - point.1 } else { UNDEFINED }
        };
        Some(DVector::from_iterator(self.points.len(), self.points.iter().map(distance)))
    }

    fn jacobian(&self) -> Option<OMatrix<f64, Dyn, U3>> {
        Some(self.derivatives())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Sequence, Stream};

    fn logistic(limit: f64, start: f64, rate: f64, epochs: u32) -> Vec<(f64, f64)> {
        let number = |t: f64| limit / (1.0 + (limit - start) / start * (-rate * t).exp());
        (1..=epochs).map(|epoch| (f64::from(epoch), number(f64::from(epoch)))).collect()
    }

    #[test]
    fn a_logistic_curve_is_found_again_whatever_its_rate() {
        for (limit, start, rate) in [
            (900.0, 3.0, 0.1),
            (900.0, 1e-9, 0.6),
            (900.0, 400.0, 0.02),
            (25.0, 0.5, 0.3),
            (900.0, 1.0, 3.0),
            (300.0, 880.0, 0.05),
        ] {
            let points = logistic(limit, start, rate, 150);
            let found = Growth::fit(&points).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() < 1e-5 * b;
            assert!(near(found.limit, limit) && near(found.start, start) && near(found.rate, rate), "{found:?}");
            assert!(found.limit_is_identified && found.residual_sum_of_squares < 1e-9, "{found:?}");
            assert!(near(found.at(70.0), points[69].1));
        }
    }

    #[test]
    fn a_quick_fit_is_as_good_as_a_careful_one_where_there_is_a_plateau() {
        let mut noise = Sequence::new(5, Stream::Check, 0, 0);
        for (limit, start, rate) in
            [(900.0, 3.0, 0.1), (900.0, 400.0, 0.03), (850.0, 300.0, 0.02), (25.0, 0.5, 0.3), (700.0, 20.0, 0.6)]
        {
            for epochs in [20, 80, 150] {
                let mut points = logistic(limit, start, rate, epochs);
                points.iter_mut().for_each(|point| point.1 += 0.01 * limit * (noise.unit() - 0.5));
                let careful = Growth::fit(&points).unwrap();
                if !careful.limit_is_identified {
                    continue;
                }
                let quick = Growth::fit_quickly(&points).unwrap();
                let more = quick.residual_sum_of_squares / careful.residual_sum_of_squares - 1.0;
                assert!(
                    more < 1e-6 && quick.limit_is_identified,
                    "{limit} {start} {rate} {epochs}: {quick:?} {careful:?}"
                );
                assert!((quick.limit - careful.limit).abs() < 1e-3 * careful.limit, "{quick:?} {careful:?}");
            }
        }
        let exponential: Vec<_> = (1..=60).map(|t| (f64::from(t), (0.1 * f64::from(t)).exp())).collect();
        for points in [exponential, vec![(1.0, 0.0), (2.0, 0.0)], vec![(1.0, 900.0)], Vec::new()] {
            assert!(Growth::fit_quickly(&points).is_none_or(|growth| !growth.limit_is_identified), "{points:?}");
        }
    }

    #[test]
    fn growth_without_a_plateau_does_not_identify_the_limit() {
        let exponential: Vec<_> = (1..=150).map(|t| (f64::from(t), (0.04 * f64::from(t)).exp())).collect();
        let faster: Vec<_> = (1..=150).map(|t| (f64::from(t), (0.0003 * f64::from(t * t)).exp())).collect();
        for points in [&exponential, &faster] {
            let found = Growth::fit(points).unwrap();
            assert!(!found.limit_is_identified && found.limit > 1e4, "{found:?}");
        }
        let found = Growth::fit(&exponential).unwrap();
        assert!((found.rate - 0.04).abs() < 1e-6 && (found.start - 1.0).abs() < 1e-4, "{found:?}");
        // Only the foot of a logistic curve with K = 900 is seen.
        assert!(!Growth::fit(&logistic(900.0, 1.0, 0.03, 150)).unwrap().limit_is_identified);
    }

    #[test]
    fn a_step_in_the_last_epoch_is_no_plateau() {
        let points: Vec<_> = (1..=150).map(|t| (f64::from(t), if t == 150 { 900.0 } else { 4.0 })).collect();
        let found = Growth::fit(&points).unwrap();
        assert!(!found.limit_is_identified && found.rate > 0.5, "{found:?}");
    }

    #[test]
    fn constant_and_few_numbers_have_no_growth() {
        let constant: Vec<_> = (1..=9).map(|t| (f64::from(t), 30.0)).collect();
        let found = Growth::fit(&constant).unwrap();
        assert_eq!((found.limit, found.start, found.residual_sum_of_squares), (30.0, 30.0, 0.0));
        assert!(!found.limit_is_identified);
        let zeros: Vec<_> = (1..=9).map(|t| (f64::from(t), 0.0)).collect();
        assert_eq!(Growth::fit(&zeros).unwrap().at(4.0), 0.0);
        assert!(!Growth::fit(&[(1.0, 5.0), (2.0, 900.0)]).unwrap().limit_is_identified);
        assert_eq!(Growth::fit(&[]), None);
    }
}
