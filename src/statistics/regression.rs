//! The regression of the logarithm of a count on time.

use super::mean;

/// A straight line through points by least squares, as R's `lm(y ~ x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Rise per unit of x.
    pub slope: f64,
    /// Height at x = 0.
    pub intercept: f64,
    /// Standard error of the slope; `None` of two points.
    pub slope_standard_error: Option<f64>,
    /// Share of the variance that the line explains; `None` if all heights are equal.
    pub r_squared: Option<f64>,
}

impl Line {
    /// Fits the points (x, y); `None` if there are not two different x.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let (x_mean, y_mean) = (mean(&x), mean(&y));
        let squares: f64 = x.iter().map(|x| (x - x_mean).powi(2)).sum();
        if squares == 0.0 {
            return None;
        }
        let slope = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum::<f64>() / squares;
        let residual: f64 = points.iter().map(|(x, y)| (y - y_mean - slope * (x - x_mean)).powi(2)).sum();
        let total: f64 = y.iter().map(|y| (y - y_mean).powi(2)).sum();
        let freedom = points.len() - 2;
        Some(Self {
            slope,
            intercept: y_mean - slope * x_mean,
            slope_standard_error: (freedom > 0).then(|| (residual / freedom as f64 / squares).sqrt()),
            r_squared: (total > 0.0).then(|| {
                let explained = slope * slope * squares;
                explained / (explained + residual)
            }),
        })
    }
}

/// The regression of ln N on the epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogarithmicRegression {
    /// The line; its slope is the rate of growth per epoch. `None` if fewer than two epochs have a logarithm.
    pub line: Option<Line>,
    /// Epochs with N = 0, which has no logarithm; left out.
    pub left_out: usize,
}

impl LogarithmicRegression {
    /// Fits the points (epoch, N), N >= 0.
    pub fn fit(points: &[(f64, f64)]) -> Self {
        let logarithms: Vec<(f64, f64)> =
            points.iter().filter(|(_, count)| *count > 0.0).map(|&(epoch, count)| (epoch, count.ln())).collect();
        Self { line: Line::fit(&logarithms), left_out: points.len() - logarithms.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_growth_is_a_straight_line_and_zeros_are_counted() {
        let points: Vec<_> = (1..=20).map(|epoch| (f64::from(epoch), (0.1 * f64::from(epoch)).exp())).collect();
        let with_zeros: Vec<_> = [(0.0, 0.0), (30.0, 0.0)].into_iter().chain(points).collect();
        let found = LogarithmicRegression::fit(&with_zeros);
        let line = found.line.unwrap();
        assert!((line.slope - 0.1).abs() < 1e-15 && line.intercept.abs() < 1e-14);
        assert!(line.slope_standard_error.unwrap() < 1e-15 && line.r_squared.unwrap() > 1.0 - 1e-14);
        assert_eq!(found.left_out, 2);
    }

    #[test]
    fn what_a_line_does_not_have_is_not_invented() {
        assert_eq!(LogarithmicRegression::fit(&[(1.0, 0.0), (2.0, 0.0)]).line, None);
        assert_eq!(LogarithmicRegression::fit(&[(1.0, 0.0), (2.0, 5.0)]).line, None);
        assert_eq!(LogarithmicRegression::fit(&[(2.0, 4.0), (2.0, 5.0)]).line, None);
        let two = LogarithmicRegression::fit(&[(1.0, 2.0), (2.0, 5.0)]).line.unwrap();
        assert_eq!(two.slope_standard_error, None);
        let flat = LogarithmicRegression::fit(&[(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)]).line.unwrap();
        assert_eq!((flat.slope, flat.r_squared), (0.0, None));
    }
}
