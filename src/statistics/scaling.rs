//! How time grows with a size, beside how its work grows: power laws, fitted as straight lines through logarithms.

use super::regression::Line;

/// A difference of exponents below this is not called growth: it is 12 per cent over a factor of ten.
const NEGLIGIBLE: f64 = 0.05;
/// So many standard errors above it, a difference is no chance.
const STANDARD_ERRORS: f64 = 2.0;

/// Time and work at one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingPoint {
    /// The size that was changed: replicas, units, pixels.
    pub size: f64,
    /// What it took, in any unit.
    pub time: f64,
    /// What had to be done, in any unit: multiply-adds, or numbers that were looked at.
    pub work: f64,
}

/// Exponents of time ∝ size^a and work ∝ size^b over some sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Logarithm of time on logarithm of size: its slope is a.
    pub time: Line,
    /// b.
    pub work_exponent: f64,
    /// Logarithm of time per unit of work on logarithm of size: its slope is a − b, with its own standard error.
    pub excess: Line,
}

impl Scaling {
    /// Fits positive points by least squares; `None` if there are not two different sizes.
    pub fn fit(points: &[ScalingPoint]) -> Option<Self> {
        let line = |value: fn(&ScalingPoint) -> f64| {
            Line::fit(&points.iter().map(|point| (point.size.ln(), value(point).ln())).collect::<Vec<_>>())
        };
        Some(Self {
            time: line(|point| point.time)?,
            work_exponent: line(|point| point.work)?.slope,
            excess: line(|point| point.time / point.work)?,
        })
    }

    /// The same of the larger half of the sizes, given in ascending order, three at least: there no fixed cost hides how time
    /// grows.
    pub fn fit_large(points: &[ScalingPoint]) -> Option<Self> {
        let large = (points.len() / 2).min(points.len().saturating_sub(3));
        Self::fit(&points[large..])
    }

    /// Whether time grows faster than its work, by more than is negligible and more than chance.
    pub fn grows_faster(&self) -> bool {
        let chance = STANDARD_ERRORS * self.excess.slope_standard_error.unwrap_or(0.0);
        self.excess.slope > NEGLIGIBLE.max(chance)
    }

    /// Time at a size, by the fit.
    pub fn time_at(&self, size: f64) -> f64 {
        (self.time.intercept + self.time.slope * size.ln()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(time: impl Fn(f64) -> f64) -> Vec<ScalingPoint> {
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
        sizes.map(|size| ScalingPoint { size, time: time(size), work: 3.0 * size * size }).to_vec()
    }

    #[test]
    fn exponents_of_power_laws_are_found() {
        let found = Scaling::fit(&points(|size| 0.5 * size.powf(2.5))).unwrap();
        assert!((found.time.slope - 2.5).abs() < 1e-12 && (found.work_exponent - 2.0).abs() < 1e-12);
        assert!((found.excess.slope - 0.5).abs() < 1e-12 && found.grows_faster());
        assert!((found.time_at(10.0) - 0.5 * 10f64.powf(2.5)).abs() < 1e-9);
    }

    #[test]
    fn time_that_follows_its_work_does_not_grow_faster_whatever_the_noise() {
        let noisy = |size: f64| size * size * (1.0 + 0.05 * (7.0 * size).sin());
        assert!(!Scaling::fit(&points(noisy)).unwrap().grows_faster());
        assert!(!Scaling::fit(&points(|size| size * size.sqrt())).unwrap().grows_faster());
    }

    #[test]
    fn a_fixed_cost_does_not_hide_growth_at_large_sizes() {
        let points = points(|size| 1000.0 + size.powi(3));
        assert!(!Scaling::fit(&points).unwrap().grows_faster());
        assert!(Scaling::fit_large(&points).unwrap().grows_faster());
    }

    #[test]
    fn one_size_has_no_exponent() {
        let one = points(|size| size)[..1].to_vec();
        assert_eq!(Scaling::fit(&one), None);
        assert_eq!(Scaling::fit_large(&one), None);
        assert_eq!(Scaling::fit(&[]), None);
    }
}
