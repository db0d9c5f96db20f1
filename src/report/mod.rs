//! What a reader sees: text for the terminal, figures, one HTML page. Nothing here prints.

pub mod figures;
pub mod growth_figure;
pub mod html;
mod look;
#[cfg(test)]
mod sample;
pub mod study;
pub mod tables;

use crate::pruning::{Method, SweepRow};
use crate::study::inference::InferenceRow;
use crate::study::ledger::Ledger;
use crate::study::rank_correlation::CorrelationRow;

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

    /// Whether a rule of a method is shown behind the one that comes first.
    fn is_secondary(&self, method: Method, rule: &str) -> bool {
        matches!(method, Method::Settle | Method::Hold) && rule != self.headline_rule
    }
}

/// `1 replica`, `1,010 points`.
fn count(number: f64, noun: &str) -> String {
    let plural = if number == 1.0 { "" } else { "s" };
    format!("{} {noun}{plural}", crate::study::numbers::significant(number))
}
