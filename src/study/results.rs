//! What a comparison found of one cell, and the files that it is read back from.

use super::comparison::headline_rule;
use super::configuration::Configuration;
use super::inference::InferenceRow;
use super::ledger::{Ledger, LedgerRow, Workload};
use super::rank_correlation::CorrelationRow;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::pruning::SweepRow;
use crate::run_folder::{self, csv};
use crate::stability::envelope;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Name of the file that holds what was compared.
pub const SUBJECT_FILE: &str = "subject.json";

/// What a comparison of one cell found: what reports show.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Every operating point of every method and replica.
    pub rows: Vec<SweepRow>,
    /// What each method cost.
    pub ledger: Ledger,
    /// Rank correlations of the criteria with the final magnitude.
    pub correlations: Vec<CorrelationRow>,
    /// Measured time of classifying the test set, dense and pruned.
    pub inference: Vec<InferenceRow>,
    /// Window that the headline shows.
    pub headline_window: u32,
    /// Rule of settle and hold in the headline.
    pub headline_rule: &'static str,
    /// Accuracy of always naming the test set's largest class.
    pub chance: f64,
    /// Whether accuracies are of the images that were trained on: there were no others.
    pub judged_in_training: bool,
}

/// What was compared, as far as no table tells it: reports are made without the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ComparedCell {
    pub(super) workload: Workload,
    /// Share of the largest class of the test set.
    pub(super) chance: f64,
    /// Whether the test set is the training set.
    #[serde(default)]
    pub(super) judged_in_training: bool,
}

impl ComparedCell {
    pub(super) fn new(workload: Workload, split: &Split) -> Self {
        let Split { training, test } = split;
        let mut counts = vec![0u32; test.classes];
        for &label in &test.labels {
            counts[usize::from(label)] += 1;
        }
        let largest = counts.into_iter().max().unwrap_or(0);
        let judged_in_training = Arc::ptr_eq(training, test);
        Self { workload, chance: f64::from(largest) / test.samples() as f64, judged_in_training }
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        run_folder::write(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }

    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            Error::Data(format!("cannot read {shown}: {error}; give the command of that run again with --fresh"))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::Data(format!(
                "{shown} is cut off, or of another version ({error}); give the command of that run again with --fresh"
            ))
        })
    }
}

impl Results {
    /// Reads what a finished comparison of a cell left in its folder. Needs no data.
    ///
    /// # Errors
    /// [`Error::Data`] if a file is missing, was changed into something else, or has lost rows.
    pub fn read_back(configuration: &Configuration, folder: &Path) -> Result<Self> {
        let ComparedCell { workload, chance, judged_in_training } = ComparedCell::read(&folder.join(SUBJECT_FILE))?;
        let ledger = Ledger { workload, rows: csv::read(&folder.join("ledger.csv"))? };
        let sweep = folder.join("sweep.csv");
        let rows: Vec<SweepRow> = csv::read(&sweep)?;
        check_complete(&rows, &ledger, &sweep)?;
        Ok(Self {
            rows,
            ledger,
            correlations: csv::read(&folder.join("correlations.csv"))?,
            inference: csv::read(&folder.join("inference.csv"))?,
            headline_window: envelope::headline_window(configuration.epochs),
            headline_rule: headline_rule(configuration),
            chance,
            judged_in_training,
        })
    }
}

/// Fails with [`Error::Data`] if there are fewer operating points than the ledger accounts for: a file may have been cut
/// off between two rows.
fn check_complete(rows: &[SweepRow], ledger: &Ledger, file: &Path) -> Result<()> {
    for LedgerRow { method, rule, operating_points, replicates, .. } in &ledger.rows {
        let found = rows.iter().filter(|row| row.method == *method && row.rule == *rule).count();
        // Where the numbers of points differ between replicas, the ledger has their mean, rounded down.
        let least = *operating_points as usize * *replicates as usize;
        if found < least {
            return Err(Error::Data(format!(
                "{} has {found} rows of {}, but ledger.csv beside it tells of {least}: it was cut off; give the command of \
                 that run again with --fresh",
                file.display(),
                format!("{method} {rule}").trim_end()
            )));
        }
    }
    Ok(())
}
