//! Analysis of variance with sequential sums of squares, as R's `aov(response ~ first + second)`, balanced or not.

use super::design::Design;
use super::f_upper_tail;
use crate::error::Result;

/// A residual variance below this share of the squared response is rounding: the model fits perfectly, and F means nothing.
pub(super) const PERFECT: f64 = 1e-28;

/// What a factor adds to those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Name of the factor.
    pub factor: String,
    /// Degrees of freedom: levels - 1.
    pub degrees_of_freedom: usize,
    /// Sequential sum of squares.
    pub sum_of_squares: f64,
    /// Sum of squares per degree of freedom.
    pub mean_square: f64,
    /// F; `None` if nothing is left to compare with: no residual degree of freedom, or a perfect fit.
    pub f: Option<f64>,
    /// Probability of such an F or a larger one if the factor had no effect.
    pub p: Option<f64>,
}

/// A level's mean, adjusted for the factors before it.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelMean {
    /// Name of the level.
    pub level: String,
    /// Grand mean plus the level's mean of its factor's sequential projection; the plain mean in a balanced design.
    pub mean: f64,
    /// Number of observations.
    pub count: usize,
}

/// An analysis of variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Anova {
    /// The factors in the order in which they entered.
    pub terms: Vec<Term>,
    /// Residual degrees of freedom.
    pub residual_degrees_of_freedom: usize,
    /// Residual sum of squares.
    pub residual_sum_of_squares: f64,
    /// Residual variance; `None` without degrees of freedom.
    pub residual_mean_square: Option<f64>,
    /// Means of each factor's levels, the factors as in [`Self::terms`].
    pub means: Vec<Vec<LevelMean>>,
    /// Whether the residuals are nothing but rounding.
    pub is_perfect: bool,
}

impl Anova {
    /// Analyses a design without interactions.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] if the observed combinations do not tell the factors apart.
    pub fn new(design: &Design) -> Result<Self> {
        let cells = design.cells();
        let grand_mean = design.mean();
        let weights: Vec<f64> = cells.iter().map(|cell| cell.count()).collect();
        let centred: Vec<f64> = cells.iter().map(|cell| cell.mean - grand_mean).collect();
        let fit = design.least_squares(design.factors().len(), &weights, &centred)?;
        let between: f64 = weights
            .iter()
            .zip(centred.iter().zip(fit.fitted()))
            .map(|(weight, (mean, fitted))| weight * (mean - fitted).powi(2))
            .sum();
        let residual_sum_of_squares = between + cells.iter().map(|cell| cell.within).sum::<f64>();
        let parameters = fit.effects.len();
        let residual_degrees_of_freedom = design.observations() - parameters;
        let residual_mean_square =
            (residual_degrees_of_freedom > 0).then(|| residual_sum_of_squares / residual_degrees_of_freedom as f64);
        let scale = cells.iter().map(|cell| cell.count() * cell.mean.powi(2) + cell.within).sum::<f64>()
            / design.observations() as f64;
        let is_perfect = residual_mean_square.is_some_and(|variance| variance <= PERFECT * scale);
        let divisor = residual_mean_square.filter(|_| !is_perfect);
        let mut terms = Vec::new();
        let mut means = Vec::new();
        let mut start = 1;
        for (place, factor) in design.factors().iter().enumerate() {
            let end = start + Design::columns_of(factor);
            let sum_of_squares = fit.effects.rows(start, end - start).norm_squared();
            let degrees_of_freedom = end - start;
            let mean_square = sum_of_squares / degrees_of_freedom as f64;
            let f = divisor.map(|variance| mean_square / variance);
            let tail = |f| f_upper_tail(f, degrees_of_freedom as f64, residual_degrees_of_freedom as f64);
            let factor_name = factor.name.clone();
            terms.push(Term {
                factor: factor_name,
                degrees_of_freedom,
                sum_of_squares,
                mean_square,
                f,
                p: f.map(tail),
            });
            let projection = fit.projection(start, end);
            let level_mean = |(index, level): (usize, &String)| {
                let own = || cells.iter().zip(&projection).filter(|(cell, _)| cell.levels[place] == index);
                let count: usize = own().map(|(cell, _)| cell.values.len()).sum();
                let sum: f64 = own().map(|(cell, effect)| cell.count() * effect).sum();
                LevelMean { level: level.clone(), mean: grand_mean + sum / count as f64, count }
            };
            means.push(factor.levels.iter().enumerate().map(level_mean).collect());
            start = end;
        }
        Ok(Self {
            terms,
            residual_degrees_of_freedom,
            residual_sum_of_squares,
            residual_mean_square,
            means,
            is_perfect,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::design::Group;
    use super::*;
    use crate::error::Error;

    fn design(cells: &[(&str, &str, &[f64])]) -> Result<Design> {
        let groups: Vec<Group<'_>> =
            cells.iter().map(|(a, b, values)| Group { levels: vec![a, b], values: values.to_vec() }).collect();
        Design::new(&["data_set", "model"], &groups)
    }

    #[test]
    fn a_cell_with_one_observation_and_a_missing_cell_are_analysed() {
        let cells: [(&str, &str, &[f64]); 5] = [
            ("a", "x", &[1.0, 2.0, 4.0]),
            ("a", "y", &[3.0]),
            ("b", "x", &[5.0, 5.5]),
            ("b", "y", &[7.0, 6.0]),
            ("c", "x", &[2.0, 9.0]),
        ];
        let anova = Anova::new(&design(&cells).unwrap()).unwrap();
        // R 4.2: aov(response ~ data_set + model)
        let found: Vec<f64> = anova.terms.iter().map(|term| term.sum_of_squares).collect();
        for (found, expected) in found.iter().zip(EXPECTED_SUMS) {
            assert!((found - expected).abs() < 1e-12 * expected, "{found} {expected}");
        }
        assert_eq!(anova.residual_degrees_of_freedom, 6);
    }

    /// Sums of squares of data set and model that R gives for the case above.
    const EXPECTED_SUMS: [f64; 2] = [25.5375, 1.75];

    #[test]
    fn factors_that_follow_from_each_other_are_refused() {
        let cells: [(&str, &str, &[f64]); 2] = [("a", "x", &[1.0, 2.0]), ("b", "y", &[3.0, 5.0])];
        let error = Anova::new(&design(&cells).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
        assert!(error.to_string().contains("modely follows from the other levels"), "{error}");
    }

    #[test]
    fn a_constant_response_has_no_f() {
        let cells: [(&str, &str, &[f64]); 4] =
            [("a", "x", &[0.3; 3]), ("a", "y", &[0.3; 2]), ("b", "x", &[0.3; 4]), ("b", "y", &[0.3; 1])];
        let anova = Anova::new(&design(&cells).unwrap()).unwrap();
        assert!(anova.is_perfect);
        for term in &anova.terms {
            assert_eq!((term.sum_of_squares, term.f, term.p), (0.0, None, None));
        }
        assert!(anova.means.iter().flatten().all(|level| level.mean == 0.3));
    }

    #[test]
    fn without_residual_degrees_of_freedom_there_is_no_f() {
        let groups: Vec<Group<'_>> =
            [("a", 1.0), ("b", 4.0)].map(|(level, value)| Group { levels: vec![level], values: vec![value] }).into();
        let anova = Anova::new(&Design::new(&["model"], &groups).unwrap()).unwrap();
        assert_eq!((anova.residual_mean_square, anova.terms[0].f), (None, None));
        assert!((anova.terms[0].sum_of_squares - 4.5).abs() < 1e-14);
    }

    #[test]
    fn what_cannot_be_analysed_is_said_in_words() {
        let one_level = design(&[("a", "x", &[1.0, 2.0]), ("b", "x", &[1.0])]).unwrap_err().to_string();
        assert!(one_level.contains("model has one level, x"), "{one_level}");
        let infinite = design(&[("a", "x", &[f64::INFINITY]), ("b", "y", &[1.0])]).unwrap_err().to_string();
        assert!(infinite.contains("an observation of a, x is inf"), "{infinite}");
        assert!(design(&[]).unwrap_err().to_string().contains("no observations"));
    }
}
