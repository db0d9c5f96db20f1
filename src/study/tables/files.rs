//! The study's tables as CSV files.

use super::{CellGrowth, Slope, Tables};
use crate::error::Result;
use crate::run_folder::csv;
use std::path::PathBuf;

const SUMMARY_COLUMNS: &[&str] =
    &["model", "data_set", "replicates", "observations", "mean", "sd", "published_mean", "published_sd"];
const TERM_COLUMNS: &[&str] = &[
    "analysis",
    "term",
    "degrees_of_freedom",
    "sum_of_squares",
    "mean_square",
    "f",
    "p",
    "published_degrees_of_freedom",
    "published_sum_of_squares",
    "published_f",
    "published_p",
];
const PAIR_COLUMNS: &[&str] = &[
    "analysis",
    "factor",
    "pair",
    "difference",
    "lower",
    "upper",
    "p",
    "published_difference",
    "published_lower",
    "published_upper",
    "published_p",
];
const COEFFICIENT_COLUMNS: &[&str] = &["term", "estimate", "standard_error", "t", "p"];
const GROWTH_COLUMNS: &[&str] =
    &["model", "data_set", "replicates", "epochs", "K", "N0", "r", "residual_sum_of_squares", "k_identified"];
const SLOPE_COLUMNS: &[&str] = &[
    "model",
    "data_set",
    "replicate",
    "slope",
    "intercept",
    "slope_se",
    "r_squared",
    "zero_epochs",
    "slope_without_last_epoch",
    "intercept_without_last_epoch",
    "slope_se_without_last_epoch",
    "r_squared_without_last_epoch",
];

/// Writes `table1.csv` to `table5.csv`, `coefficients.csv` (of Table 2's model), `growth.csv` and `slopes.csv` to where
/// `path_of` says.
///
/// # Errors
/// [`crate::error::Error::Io`] if a file cannot be written.
pub fn write(path_of: &dyn Fn(&str) -> Result<PathBuf>, tables: &Tables) -> Result<()> {
    csv::write(&path_of("table1.csv")?, SUMMARY_COLUMNS, &tables.summaries)?;
    csv::write(&path_of("table2.csv")?, TERM_COLUMNS, tables.table2())?;
    csv::write(&path_of("table3.csv")?, PAIR_COLUMNS, tables.table3())?;
    csv::write(&path_of("table4.csv")?, TERM_COLUMNS, tables.table4())?;
    csv::write(&path_of("table5.csv")?, PAIR_COLUMNS, tables.table5())?;
    let coefficients = tables.quasi_poisson.iter().flat_map(|model| &model.coefficients);
    let coefficients = coefficients.map(|one| (&one.name, one.estimate, one.standard_error, one.t, one.p));
    csv::write(&path_of("coefficients.csv")?, COEFFICIENT_COLUMNS, coefficients)?;
    let growth = |cell: &CellGrowth| {
        let found = cell.growth;
        (
            cell.model.clone(),
            cell.data_set.clone(),
            cell.replicates,
            cell.means.len(),
            found.limit,
            found.start,
            found.rate,
            found.residual_sum_of_squares,
            found.limit_is_identified,
        )
    };
    csv::write(&path_of("growth.csv")?, GROWTH_COLUMNS, tables.growth.iter().map(growth))?;
    let slope = |slope: &Slope| {
        let (all, without) = (slope.all_epochs.line, slope.without_last.line);
        (
            slope.replicate.model.clone(),
            slope.replicate.data_set.clone(),
            slope.replicate.replicate.clone(),
            all.map(|line| line.slope),
            all.map(|line| line.intercept),
            all.and_then(|line| line.slope_standard_error),
            all.and_then(|line| line.r_squared),
            slope.all_epochs.left_out,
            without.map(|line| line.slope),
            without.map(|line| line.intercept),
            without.and_then(|line| line.slope_standard_error),
            without.and_then(|line| line.r_squared),
        )
    };
    // Replicates 2 and 10 stand in the order of their numbers.
    let mut slopes: Vec<&Slope> = tables.replicate_slopes.iter().collect();
    slopes.sort_by_cached_key(|slope| {
        let one = &slope.replicate;
        (one.model.clone(), one.data_set.clone(), one.replicate.parse::<u64>().ok(), one.replicate.clone())
    });
    csv::write(&path_of("slopes.csv")?, SLOPE_COLUMNS, slopes.into_iter().map(slope))
}
