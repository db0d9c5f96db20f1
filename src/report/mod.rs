//! What a reader sees: text for the terminal, figures, one HTML page. Nothing here prints.

mod explorer;
pub mod figures;
pub mod growth_figure;
pub mod html;
mod look;
mod picture;
mod provenance;
#[cfg(test)]
mod sample;
pub mod scaling;
pub mod scaling_figure;
pub mod study;
pub mod tables;
pub mod verdict;

pub use provenance::Provenance;

use crate::pruning::SweepRow;
use crate::study::conclusion::SensitivityRow;
use crate::study::configuration::Configuration;
use crate::study::ledger::Ledger;
use crate::study::recorded::FocusLayer;
use crate::study::results::CorrelationRow;
use crate::study::results::InferenceRow;
use crate::study::results::Results;
use crate::study::runs::RunRow;
use crate::study::tables::Tables;

/// All that a report shows of one model on one data set.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What it cost.
    pub ledger: Ledger,
    /// Rank correlations of the criteria with the final magnitude.
    pub correlations: Vec<CorrelationRow>,
    /// What it achieved: every operating point of every replica.
    pub sweep: Vec<SweepRow>,
    /// Accuracy of always naming the largest class of the test set, 0 to 1.
    pub chance: f64,
    /// The window, in epochs, at which `settle` and `hold` are shown.
    pub headline_window: u32,
    /// The rule, of the two that `settle` and `hold` are evaluated with, that comes first; the other is shown behind it.
    pub headline_rule: String,
    /// How long classifying the test set took, before and after pruning.
    pub inference: Vec<InferenceRow>,
    /// Whether accuracies are of the images that were trained on: there were no others.
    pub judged_in_training: bool,
}

impl From<Results> for Cell {
    fn from(found: Results) -> Self {
        Self {
            ledger: found.ledger,
            correlations: found.correlations,
            sweep: found.rows,
            chance: found.chance,
            headline_window: found.headline_window,
            headline_rule: found.headline_rule.into(),
            inference: found.inference,
            judged_in_training: found.judged_in_training,
        }
    }
}

impl Cell {
    /// What is shown, in one line: data set, model, replicas and epochs.
    pub fn title(&self) -> String {
        let workload = &self.ledger.workload;
        format!(
            "{} · {} · {} · {} epochs (ED: {})",
            workload.data_set,
            workload.model,
            count(f64::from(workload.replicates), "replica"),
            workload.epochs,
            workload.baseline_epochs
        )
    }

    /// Which images accuracies are of, as a title begins.
    fn judged_by(&self) -> &'static str {
        if self.judged_in_training { "Training" } else { "Test" }
    }
}

/// A finished run as a page shows it.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where its numbers come from.
    pub provenance: Provenance,
    /// The tables of a study.
    pub study: Option<Study>,
    /// Its comparisons: models on data sets, with their focus layers.
    pub cells: Vec<(Cell, FocusLayer)>,
}

/// What a study found.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its settings.
    pub configuration: Configuration,
    /// Tables 1 to 5, growth and slopes.
    pub tables: Tables,
    /// Runs that did not learn and were replaced.
    pub replaced: Vec<RunRow>,
    /// Mean stability by every reading, and of networks that were trained otherwise.
    pub sensitivity: Vec<SensitivityRow>,
}

/// `1 replica`, `1,010 points`.
fn count(number: f64, noun: &str) -> String {
    let plural = if number == 1.0 { "" } else { "s" };
    format!("{} {noun}{plural}", crate::study::numbers::significant(number))
}
