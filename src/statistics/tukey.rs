//! Tukey's honest significant differences, as R's `TukeyHSD`: means from the sequential projections, the residual variance
//! of the analysis of variance, and half-widths by Tukey & Kramer where levels have different numbers of observations.

use super::anova::Anova;
use super::studentized_range;

/// Confidence of all intervals of a factor together.
const CONFIDENCE: f64 = 0.95;

/// The difference between two levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The later level.
    pub first: String,
    /// The earlier level.
    pub second: String,
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// Lower end of the interval that holds all differences at once with 95 % confidence; `None` without residual degrees
    /// of freedom.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Probability of such a difference or a larger one anywhere among the levels if there were none; `None` also of a
    /// perfect fit.
    pub p: Option<f64>,
}

impl Comparison {
    /// Both levels, as R names them: `PR-CT`.
    pub fn pair(&self) -> String {
        format!("{}-{}", self.first, self.second)
    }
}

/// Compares the levels of the `factor`-th term of an analysis pairwise, in R's order: each level with all later ones.
pub fn honest_significant_differences(anova: &Anova, factor: usize) -> Vec<Comparison> {
    let means = &anova.means[factor];
    let (groups, freedom) = (means.len() as u32, anova.residual_degrees_of_freedom as f64);
    let quantile = anova.residual_mean_square.map(|_| studentized_range::quantile(CONFIDENCE, groups, freedom));
    let mut comparisons = Vec::new();
    for (place, second) in means.iter().enumerate() {
        for first in &means[place + 1..] {
            let difference = first.mean - second.mean;
            let reciprocals = 1.0 / first.count as f64 + 1.0 / second.count as f64;
            let error = anova.residual_mean_square.map(|variance| (variance / 2.0 * reciprocals).sqrt());
            let half = error.zip(quantile).map(|(error, quantile)| quantile * error);
            let p = error
                .filter(|_| !anova.is_perfect)
                .map(|error| studentized_range::upper_tail(difference.abs() / error, groups, freedom));
            comparisons.push(Comparison {
                first: first.level.clone(),
                second: second.level.clone(),
                difference,
                lower: half.map(|half| difference - half),
                upper: half.map(|half| difference + half),
                p,
            });
        }
    }
    comparisons
}
