//! The quasi-Poisson generalised linear model with log link, as R's `glm(response ~ first + second, quasipoisson)`, and
//! its sequential analysis of deviance.
//!
//! Fitted by iteratively reweighted least squares (McCullagh & Nelder, Generalized Linear Models, 2nd ed., section 2.5)
//! until the fit stands still. The dispersion is Pearson's statistic per residual degree of freedom.

use super::anova::PERFECT;
use super::design::{Cell, Design, LeastSquares};
use super::{f_upper_tail, t_two_sided};
use crate::error::{Error, Result};
use serde::Serialize;

/// Iterations after which a fit that still moves has no finite estimate. Each doubles the digits; ten are usual.
const MOST_ITERATIONS: usize = 100;

/// The fit stands still if no linear predictor moves by more; the next step would move it by the square of this.
const STILL: f64 = 1e-10;

/// A coefficient on the scale of the logarithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coefficient {
    /// `(Intercept)`, or factor and level as in `data_setPR`, relative to the factor's first level.
    #[serde(rename = "term")]
    pub name: String,
    /// Estimate.
    pub estimate: f64,
    /// Standard error; `None` without residual degrees of freedom.
    pub standard_error: Option<f64>,
    /// Estimate per standard error; `None` of a perfect fit.
    pub t: Option<f64>,
    /// Two-sided probability of such a t by Student's distribution.
    pub p: Option<f64>,
}

/// What a factor explains beyond those before it.
#[derive(Clone, Debug, PartialEq)]
pub struct DevianceTerm {
    /// Name of the factor.
    pub factor: String,
    /// Degrees of freedom: levels - 1.
    pub degrees_of_freedom: usize,
    /// By how much it lowers the deviance.
    pub deviance: f64,
    /// Deviance per degree of freedom and dispersion; `None` without a dispersion or of a perfect fit.
    pub f: Option<f64>,
    /// Probability of such an F or a larger one if the factor had no effect.
    pub p: Option<f64>,
}

/// A fitted quasi-Poisson model.
#[derive(Clone, Debug, PartialEq)]
pub struct QuasiPoisson {
    /// The coefficients, the intercept first.
    pub coefficients: Vec<Coefficient>,
    /// The factors in the order in which they entered.
    pub terms: Vec<DevianceTerm>,
    /// Pearson's statistic per residual degree of freedom; `None` if there is none.
    pub dispersion: Option<f64>,
    /// Deviance of the model with the intercept alone.
    pub null_deviance: f64,
    /// Deviance of the whole model.
    pub residual_deviance: f64,
    /// Residual degrees of freedom.
    pub residual_degrees_of_freedom: usize,
}

impl QuasiPoisson {
    /// Fits a design without interactions.
    ///
    /// # Errors
    /// [`Error::Data`] if a response is negative, if a level has nothing but zeros (the logarithm of its mean is not
    /// finite), or if the observed combinations do not tell the factors apart.
    pub fn new(design: &Design) -> Result<Self> {
        check(design)?;
        let fits: Vec<Fit> =
            (0..=design.factors().len()).map(|factors| Fit::new(design, factors)).collect::<Result<_>>()?;
        let (null, full) = (&fits[0], &fits[fits.len() - 1]);
        let residual_degrees_of_freedom = design.observations() - full.solution.effects.len();
        let dispersion = (residual_degrees_of_freedom > 0)
            .then(|| full.pearson(design.cells()) / residual_degrees_of_freedom as f64);
        let is_perfect = dispersion.is_some_and(|dispersion| dispersion <= PERFECT * design.mean());
        let divisor = dispersion.filter(|_| !is_perfect);
        let freedom = residual_degrees_of_freedom as f64;
        let term = |(factor, pair): (_, &[Fit])| {
            let deviance = pair[0].deviance - pair[1].deviance;
            let degrees_of_freedom = Design::columns_of(factor);
            let f = divisor.map(|dispersion| (deviance / degrees_of_freedom as f64 / dispersion).max(0.0));
            let p = f.map(|f| f_upper_tail(f, degrees_of_freedom as f64, freedom));
            DevianceTerm { factor: factor.name.clone(), degrees_of_freedom, deviance, f, p }
        };
        let terms = design.factors().iter().zip(fits.windows(2)).map(term).collect();
        let estimates = full.solution.coefficients().into_iter().zip(full.solution.unscaled_variances());
        let coefficient = |(name, (estimate, variance)): (String, (f64, f64))| {
            let t = divisor.map(|dispersion| estimate / (dispersion * variance).sqrt());
            Coefficient {
                name,
                estimate,
                standard_error: dispersion.map(|dispersion| (dispersion * variance).sqrt()),
                t,
                p: t.map(|t| t_two_sided(t, freedom)),
            }
        };
        Ok(Self {
            coefficients: design.column_names().into_iter().zip(estimates).map(coefficient).collect(),
            terms,
            dispersion,
            null_deviance: null.deviance,
            residual_deviance: full.deviance,
            residual_degrees_of_freedom,
        })
    }
}

/// Refuses a response without a finite estimate.
fn check(design: &Design) -> Result<()> {
    if let Some(value) = design.cells().iter().flat_map(|cell| &cell.values).find(|&&value| value < 0.0) {
        return Err(Error::Data(format!(
            "a quasi-Poisson response cannot be negative, and one is {value}; correct it"
        )));
    }
    for (place, factor) in design.factors().iter().enumerate() {
        for (index, level) in factor.levels.iter().enumerate() {
            if design.cells().iter().all(|cell| cell.levels[place] != index || cell.mean == 0.0) {
                return Err(Error::Data(format!(
                    "every observation of {} {level} is 0, whose logarithm a log link cannot fit; leave that level out",
                    factor.name
                )));
            }
        }
    }
    Ok(())
}

/// A model of the first few factors.
struct Fit {
    solution: LeastSquares,
    /// Fitted mean of each cell.
    means: Vec<f64>,
    deviance: f64,
}

impl Fit {
    fn new(design: &Design, factors: usize) -> Result<Self> {
        let cells = design.cells();
        // As in R: a little above the response, so that a logarithm of 0 is never asked for.
        let mut predictors: Vec<f64> = cells.iter().map(|cell| (cell.mean + 0.1).ln()).collect();
        for _ in 0..MOST_ITERATIONS {
            let means: Vec<f64> = predictors.iter().map(|predictor| predictor.exp()).collect();
            let weights: Vec<f64> = cells.iter().zip(&means).map(|(cell, mean)| cell.count() * mean).collect();
            let working = |(cell, (predictor, mean)): (&Cell, (&f64, &f64))| predictor + (cell.mean - mean) / mean;
            let response: Vec<f64> = cells.iter().zip(predictors.iter().zip(&means)).map(working).collect();
            let solution = design.least_squares(factors, &weights, &response)?;
            let next = solution.fitted();
            let moved = next.iter().zip(&predictors).map(|(next, last)| (next - last).abs()).fold(0.0, f64::max);
            predictors = next;
            if moved <= STILL {
                let means: Vec<f64> = predictors.iter().map(|predictor| predictor.exp()).collect();
                let deviance = cells.iter().zip(&means).map(|(cell, &mean)| deviance(cell, mean)).sum();
                return Ok(Self { solution, means, deviance });
            }
            if !moved.is_finite() {
                break;
            }
        }
        Err(Error::Data(
            "the quasi-Poisson model has no finite estimate: combinations with nothing but zeros leave an effect without \
             bound; leave them out"
                .into(),
        ))
    }

    fn pearson(&self, cells: &[Cell]) -> f64 {
        let of_cell = |(cell, &mean): (&Cell, &f64)| (cell.within + cell.count() * (cell.mean - mean).powi(2)) / mean;
        cells.iter().zip(&self.means).map(of_cell).sum()
    }
}

/// Poisson deviance of a cell's observations from a fitted mean: that from the cell's own mean, plus that of the cell's
/// mean from the fitted one, as the logarithms add up.
fn deviance(cell: &Cell, fitted: f64) -> f64 {
    let of = |observed: f64, expected: f64| {
        let logarithm = if observed > 0.0 { observed * (observed / expected).ln() } else { 0.0 };
        2.0 * (logarithm - (observed - expected))
    };
    let within: f64 = if cell.mean > 0.0 { cell.values.iter().map(|&value| of(value, cell.mean)).sum() } else { 0.0 };
    within + cell.count() * of(cell.mean, fitted)
}

#[cfg(test)]
mod tests {
    use super::super::design::Group;
    use super::*;

    fn fit(cells: &[(&str, &[f64])]) -> Result<QuasiPoisson> {
        let groups: Vec<Group<'_>> =
            cells.iter().map(|(level, values)| Group { levels: vec![level], values: values.to_vec() }).collect();
        QuasiPoisson::new(&Design::new(&["model"], &groups)?)
    }

    #[test]
    fn with_one_factor_the_coefficients_are_logarithms_of_means() {
        let model = fit(&[("a", &[1.0, 3.0]), ("b", &[4.0, 0.0, 8.0])]).unwrap();
        let estimates: Vec<f64> = model.coefficients.iter().map(|coefficient| coefficient.estimate).collect();
        assert!((estimates[0] - 2f64.ln()).abs() < 1e-14 && (estimates[1] - 2f64.ln()).abs() < 1e-14, "{estimates:?}");
        assert_eq!(model.coefficients[1].name, "modelb");
        assert_eq!(model.residual_degrees_of_freedom, 3);
    }

    #[test]
    fn a_constant_response_has_no_f_and_no_t() {
        let model = fit(&[("a", &[150.0; 3]), ("b", &[150.0; 3])]).unwrap();
        assert_eq!((model.terms[0].f, model.terms[0].p, model.coefficients[1].t), (None, None, None));
        assert!(model.residual_deviance.abs() < 1e-9 && model.coefficients[1].estimate.abs() < 1e-12);
    }

    #[test]
    fn a_response_without_a_logarithm_is_refused_in_words() {
        let zeros = fit(&[("a", &[0.0, 0.0]), ("b", &[1.0])]).unwrap_err().to_string();
        assert!(zeros.contains("every observation of model a is 0"), "{zeros}");
        let negative = fit(&[("a", &[1.0, -2.0]), ("b", &[1.0])]).unwrap_err().to_string();
        assert!(negative.contains("one is -2"), "{negative}");
    }
}
