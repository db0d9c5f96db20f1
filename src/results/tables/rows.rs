//! The tables line by line, as files and reports show them.

use super::published::{Analysis, PublishedTerm};
use super::{Observations, Replicate, Slope, Tables, Variance, published};
use crate::error::Result;
use crate::run_folder::csv;
use crate::statistics::glm::Coefficient;
use crate::statistics::{mean, standard_deviation};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Stands for every model or every data set in [`SummaryRow`].
const ALL: &str = "all";

/// A line of Table 1. The order of the fields is the order of the columns, here and below.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SummaryRow {
    /// Name of the model, or `all`.
    pub model: String,
    /// Name of the data set, or `all`.
    pub data_set: String,
    /// Number of networks.
    pub replicates: usize,
    /// Number of weights of all networks.
    pub observations: usize,
    /// Mean stability in epochs.
    pub mean: f64,
    /// Standard deviation over weights; `None` of one.
    pub sd: Option<f64>,
    /// What the paper prints.
    pub published_mean: Option<&'static str>,
    /// What the paper prints.
    pub published_sd: Option<&'static str>,
}

/// A line of Table 2 or 4.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TermRow {
    /// What was analysed.
    pub analysis: &'static str,
    /// `data_set`, `model`, `Residuals`, or of the quasi-Poisson model `Total`.
    pub term: String,
    /// Degrees of freedom.
    pub degrees_of_freedom: usize,
    /// Sequential sum of squares; of the quasi-Poisson model the deviance.
    pub sum_of_squares: f64,
    /// Sum of squares per degree of freedom; of the quasi-Poisson model's residuals Pearson's dispersion.
    pub mean_square: Option<f64>,
    /// F.
    pub f: Option<f64>,
    /// Probability of such an F without an effect.
    pub p: Option<f64>,
    /// What the paper prints.
    pub published_degrees_of_freedom: Option<&'static str>,
    /// What the paper prints.
    pub published_sum_of_squares: Option<&'static str>,
    /// What the paper prints.
    pub published_f: Option<&'static str>,
    /// What the paper prints.
    pub published_p: Option<&'static str>,
}

/// A line of Table 3 or 5.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PairRow {
    /// What was analysed.
    pub analysis: &'static str,
    /// `data_set` or `model`.
    pub factor: String,
    /// The levels, the first minus the second.
    pub pair: String,
    /// Difference of the means.
    pub difference: f64,
    /// Lower end of the simultaneous 95 % interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
    /// Probability of such a difference without an effect.
    pub p: Option<f64>,
    /// What the paper prints.
    pub published_difference: Option<&'static str>,
    /// What the paper prints.
    pub published_lower: Option<&'static str>,
    /// What the paper prints.
    pub published_upper: Option<&'static str>,
    /// What the paper prints.
    pub published_p: Option<&'static str>,
}

/// A line of `growth.csv`: the curve N = K / (1 + (K - N0) / N0 · e^(-rt)) through the mean of a cell's replicates.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GrowthRow<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Name of the data set.
    pub data_set: &'a str,
    /// Number of networks.
    pub replicates: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// K; infinite where growth has no limit.
    #[serde(rename = "K")]
    pub limit: f64,
    /// N0.
    #[serde(rename = "N0")]
    pub start: f64,
    /// r per epoch.
    #[serde(rename = "r")]
    pub rate: f64,
    /// Sum of the squared distances of the means to the curve.
    pub residual_sum_of_squares: f64,
    /// Whether a plateau was seen; without one K is a guess.
    pub k_identified: bool,
}

/// A line of `slopes.csv`.
#[derive(Default, Serialize)]
struct SlopeRow<'a> {
    model: &'a str,
    data_set: &'a str,
    replicate: &'a str,
    slope: Option<f64>,
    intercept: Option<f64>,
    slope_se: Option<f64>,
    r_squared: Option<f64>,
    zero_epochs: usize,
    slope_without_last_epoch: Option<f64>,
    intercept_without_last_epoch: Option<f64>,
    slope_se_without_last_epoch: Option<f64>,
    r_squared_without_last_epoch: Option<f64>,
}

impl<'a> SlopeRow<'a> {
    fn new(slope: &'a Slope) -> Self {
        let Slope { replicate, all_epochs, without_last } = slope;
        let (all, without) = (all_epochs.line, without_last.line);
        Self {
            model: &replicate.model,
            data_set: &replicate.data_set,
            replicate: &replicate.replicate,
            slope: all.map(|line| line.slope),
            intercept: all.map(|line| line.intercept),
            slope_se: all.and_then(|line| line.slope_standard_error),
            r_squared: all.and_then(|line| line.r_squared),
            zero_epochs: all_epochs.left_out,
            slope_without_last_epoch: without.map(|line| line.slope),
            intercept_without_last_epoch: without.map(|line| line.intercept),
            slope_se_without_last_epoch: without.and_then(|line| line.slope_standard_error),
            r_squared_without_last_epoch: without.and_then(|line| line.r_squared),
        }
    }
}

/// Table 1: cells by model and data set, then the models over all data sets, then the data sets over all models.
pub(super) fn summaries(observations: &Observations) -> Vec<SummaryRow> {
    type Name = fn(&Replicate) -> &str;
    let all: Name = |_| ALL;
    let model: Name = |one| &one.model;
    let data_set: Name = |one| &one.data_set;
    let mut rows = Vec::new();
    for (model, data_set) in [(model, data_set), (model, all), (all, data_set)] {
        let mut cells: BTreeMap<(&str, &str), Vec<&Vec<f64>>> = BTreeMap::new();
        for (replicate, values) in observations {
            cells.entry((model(replicate), data_set(replicate))).or_default().push(values);
        }
        for ((model, data_set), replicates) in cells {
            let values: Vec<f64> = replicates.iter().copied().flatten().copied().collect();
            if values.is_empty() {
                continue;
            }
            let published = published::summary(model, data_set);
            rows.push(SummaryRow {
                model: model.into(),
                data_set: data_set.into(),
                replicates: replicates.len(),
                observations: values.len(),
                mean: mean(&values),
                sd: standard_deviation(&values),
                published_mean: published.map(|published| published.0),
                published_sd: published.map(|published| published.1),
            });
        }
    }
    rows
}

impl Tables {
    /// Table 2: what data set and model explain of the stability. The published values stand beside the paper's model and
    /// beside the analysis of variance of weights, of whose form its sums of squares are.
    pub fn table2(&self) -> Vec<TermRow> {
        let mut rows = Vec::new();
        if let (Some(model), Some(weight_count)) = (&self.quasi_poisson, &self.weight_count) {
            let row = |term: &str, degrees_of_freedom, deviance, mean_square, f, p| TermRow {
                mean_square,
                ..term_row(
                    "quasi-poisson",
                    term,
                    degrees_of_freedom,
                    deviance,
                    f,
                    p,
                    published::STABILITY.term(weight_count, term),
                )
            };
            let mut total = model.residual_degrees_of_freedom;
            for term in &model.terms {
                let degrees = term.degrees_of_freedom;
                total += degrees;
                let mean_square = Some(term.deviance / degrees as f64);
                rows.push(row(&term.factor, degrees, term.deviance, mean_square, term.f, term.p));
            }
            let residual = model.residual_degrees_of_freedom;
            rows.push(row("Residuals", residual, model.residual_deviance, model.dispersion, None, None));
            rows.push(row("Total", total, model.null_deviance, None, None, None));
        }
        rows.extend(term_rows("weights", self.weight_count.as_ref(), Some(&published::STABILITY)));
        rows.extend(term_rows("replicate-means", self.replicate_means.as_ref(), None));
        rows
    }

    /// The curves of Figure 3.
    pub fn growth_rows(&self) -> impl Iterator<Item = GrowthRow<'_>> {
        self.growth.iter().map(|cell| GrowthRow {
            model: &cell.model,
            data_set: &cell.data_set,
            replicates: cell.replicates,
            epochs: cell.means.len(),
            limit: cell.growth.limit,
            start: cell.growth.start,
            rate: cell.growth.rate,
            residual_sum_of_squares: cell.growth.residual_sum_of_squares,
            k_identified: cell.growth.limit_is_identified,
        })
    }

    /// Table 3: differences of the stability.
    pub fn table3(&self) -> Vec<PairRow> {
        let mut rows = pair_rows("weights", self.weight_count.as_ref(), &published::STABILITY);
        rows.extend(pair_rows("replicate-means", self.replicate_means.as_ref(), &published::STABILITY));
        rows
    }

    /// Table 4: what data set and model explain of the slopes.
    pub fn table4(&self) -> Vec<TermRow> {
        let mut rows = term_rows("all-epochs", self.slopes.as_ref(), Some(&published::SLOPES));
        rows.extend(term_rows("without-last-epoch", self.slopes_without_last.as_ref(), None));
        rows
    }

    /// Table 5: differences of the slopes.
    pub fn table5(&self) -> Vec<PairRow> {
        let mut rows = pair_rows("all-epochs", self.slopes.as_ref(), &published::SLOPES);
        rows.extend(pair_rows("without-last-epoch", self.slopes_without_last.as_ref(), &published::SLOPES));
        rows
    }
}

fn term_row(
    analysis: &'static str,
    term: &str,
    degrees_of_freedom: usize,
    sum_of_squares: f64,
    f: Option<f64>,
    p: Option<f64>,
    published: Option<PublishedTerm>,
) -> TermRow {
    let published = |column: usize| published.map(|values| values[column]).filter(|text| !text.is_empty());
    TermRow {
        analysis,
        term: term.into(),
        degrees_of_freedom,
        sum_of_squares,
        mean_square: (degrees_of_freedom > 0).then(|| sum_of_squares / degrees_of_freedom as f64),
        f,
        p,
        published_degrees_of_freedom: published(0),
        published_sum_of_squares: published(1),
        published_f: published(2),
        published_p: published(3),
    }
}

fn term_rows(name: &'static str, found: Option<&Variance>, published: Option<&Analysis>) -> Vec<TermRow> {
    let Some(found) = found else { return Vec::new() };
    let beside = |term: &str| published.and_then(|published| published.term(found, term));
    let anova = &found.anova;
    let mut rows: Vec<TermRow> = anova
        .terms
        .iter()
        .map(|term| {
            let (degrees, sum) = (term.degrees_of_freedom, term.sum_of_squares);
            term_row(name, &term.factor, degrees, sum, term.f, term.p, beside(&term.factor))
        })
        .collect();
    let (degrees, sum) = (anova.residual_degrees_of_freedom, anova.residual_sum_of_squares);
    rows.push(term_row(name, "Residuals", degrees, sum, None, None, beside("Residuals")));
    rows
}

fn pair_rows(analysis: &'static str, found: Option<&Variance>, published: &Analysis) -> Vec<PairRow> {
    let Some(found) = found else { return Vec::new() };
    let mut rows = Vec::new();
    for (term, comparisons) in found.anova.terms.iter().zip(&found.comparisons) {
        for comparison in comparisons {
            let published = published.pair(&comparison.first, &comparison.second);
            let published = |column: usize| published.map(|values| values[column]);
            rows.push(PairRow {
                analysis,
                factor: term.factor.clone(),
                pair: comparison.pair(),
                difference: comparison.difference,
                lower: comparison.lower,
                upper: comparison.upper,
                p: comparison.p,
                published_difference: published(0),
                published_lower: published(1),
                published_upper: published(2),
                published_p: published(3),
            });
        }
    }
    rows
}

/// Writes `table1.csv` to `table5.csv`, `coefficients.csv` (of Table 2's model), `growth.csv` and `slopes.csv` to where
/// `path_of` says.
///
/// # Errors
/// [`crate::error::Error::Io`] if a file cannot be written.
pub fn write(path_of: &dyn Fn(&str) -> Result<PathBuf>, tables: &Tables) -> Result<()> {
    csv::write::<SummaryRow>(&path_of("table1.csv")?, &tables.summaries)?;
    csv::write::<TermRow>(&path_of("table2.csv")?, tables.table2())?;
    csv::write::<PairRow>(&path_of("table3.csv")?, tables.table3())?;
    csv::write::<TermRow>(&path_of("table4.csv")?, tables.table4())?;
    csv::write::<PairRow>(&path_of("table5.csv")?, tables.table5())?;
    let coefficients = tables.quasi_poisson.iter().flat_map(|model| &model.coefficients);
    csv::write::<Coefficient>(&path_of("coefficients.csv")?, coefficients)?;
    csv::write::<GrowthRow<'_>>(&path_of("growth.csv")?, tables.growth_rows())?;
    // Replicates 2 and 10 stand in the order of their numbers.
    let mut slopes: Vec<&Slope> = tables.replicate_slopes.iter().collect();
    slopes.sort_by_cached_key(|slope| {
        let one = &slope.replicate;
        (one.model.clone(), one.data_set.clone(), one.replicate.parse::<u64>().ok(), one.replicate.clone())
    });
    csv::write::<SlopeRow<'_>>(&path_of("slopes.csv")?, slopes.into_iter().map(SlopeRow::new))
}
