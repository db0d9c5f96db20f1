//! What a comparison found of one cell, and the files that it is read back from.

use super::ledger::{Ledger, LedgerRow};
use super::workload::Workload;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::numbers::counted;
use crate::pruning::operating_points::Numbers;
use crate::pruning::{FOCUS, Method, SweepRow};
use crate::run::configuration::Configuration;
use crate::run::survival::{LAYERS_FILE, Survival};
use crate::run_folder;
use crate::run_folder::csv;
use crate::stability::envelope;
use crate::statistics::correlation::spearman;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file that holds what was compared.
pub const SUBJECT_FILE: &str = "subject.json";

/// What a comparison of one cell found: what reports show.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Every operating point of every method and replica.
    pub sweep: Vec<SweepRow>,
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
    /// How long each weight lasted under the holding surgeon (on mean weights if there are any) while the whole network became
    /// smaller; none where one layer was pruned, and of runs before this was kept.
    pub survival: Option<Survival>,
    /// What the first replica is at each size once nothing is stored that nobody reads; none where one layer was pruned, and of
    /// runs before this was kept.
    pub compacted: Vec<CompactedRow>,
}

impl Results {
    /// What was compared, in one line: data set, model, replicas and epochs.
    pub fn title(&self) -> String {
        let Workload { data_set, model, replicates, epochs, baseline_epochs, .. } = &self.ledger.workload;
        let replicas = counted(f64::from(*replicates), "replica");
        format!("{data_set} · {model} · {replicas} · {epochs} epochs (exponential decay: {baseline_epochs})")
    }

    /// Which images accuracies are of: `Test` or `Training`.
    pub fn judged_by(&self) -> &'static str {
        if self.judged_in_training { "Training" } else { "Test" }
    }
}

/// What was compared, as far as no table tells it: reports are made without the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ComparedCell {
    pub(crate) workload: Workload,
    /// Share of the largest class of the test set.
    pub(crate) chance: f64,
    /// Whether the test set is the training set.
    #[serde(default)]
    pub(crate) judged_in_training: bool,
}

impl ComparedCell {
    pub(crate) fn new(workload: Workload, split: &Split) -> Self {
        let Split { training, test } = split;
        let largest = test.class_counts().into_iter().max().unwrap_or(0);
        let judged_in_training = Arc::ptr_eq(training, test);
        Self { workload, chance: largest as f64 / test.samples() as f64, judged_in_training }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
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
        let replicas = ledger.workload.replicates as usize;
        let survival = Survival::read(&folder.join(LAYERS_FILE), &configuration.stages, replicas)?;
        Ok(Self {
            sweep: rows,
            ledger,
            correlations: csv::read(&folder.join("correlations.csv"))?,
            inference: csv::read(&folder.join("inference.csv"))?,
            headline_window: envelope::headline_window(configuration.epochs),
            headline_rule: configuration.headline_rule(),
            chance,
            judged_in_training,
            survival,
            compacted: match folder.join(COMPACTED_FILE) {
                file if file.is_file() => csv::read(&file)?,
                _ => Vec::new(),
            },
        })
    }
}

/// Fails with [`Error::Data`] if there are fewer operating points than the ledger accounts for: a file may have been cut
/// off between two rows.
fn check_complete(rows: &[SweepRow], ledger: &Ledger, file: &Path) -> Result<()> {
    for LedgerRow { method, rule, layers, repair, operating_points, replicates, .. } in &ledger.rows {
        let is_own =
            |row: &&SweepRow| (row.method, &row.rule, &row.layers, row.repair) == (*method, rule, layers, *repair);
        let found = rows.iter().filter(is_own).count();
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

/// One line of `inference.csv`: time of classifying the test set with one replica. The order of the fields is the order of
/// the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InferenceRow {
    /// `dense`, or `magnitude`: time goes by how many weights are zero, so one criterion stands for all.
    pub method: Method,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// The layers that lost weights: `focus`, `all` or names.
    #[serde(default = "focus")]
    pub layers: String,
    /// Networks that were evaluated side by side.
    pub replicates: u32,
    /// Share of these layers' weights that are zero, 0 to 1.
    pub sparsity: f64,
    /// Weights of the whole network divided by those that are left; not there in older runs.
    #[serde(default)]
    pub smaller: Option<f64>,
    /// Images of the test set.
    pub images: usize,
    /// Wall time for each replica: median of the turns.
    pub milliseconds: f64,
    /// Standard deviation of the turns; none of one.
    pub milliseconds_sd: Option<f64>,
    /// Time divided by that of the dense networks in the same turn: median of the turns.
    pub ratio_to_dense: f64,
    /// Where that median lies with 95 %; not there in older runs.
    #[serde(default)]
    pub ratio_to_dense_low: Option<f64>,
    /// And at most.
    #[serde(default)]
    pub ratio_to_dense_high: Option<f64>,
}

/// The layers of rows that do not say them, as earlier versions wrote them.
fn focus() -> String {
    FOCUS.into()
}

/// One line of `correlations.csv`: Spearman's correlation over the weights of one replica. The order of the fields is the
/// order of the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorrelationRow {
    /// The criterion: magnitude stability, settling tolerance with its sign turned (so that more settled is more), or
    /// holding magnitude.
    pub method: Method,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Which training run.
    pub replica: u32,
    /// Tolerance of magnitude stability.
    pub tolerance: Option<f64>,
    /// Window of the other two.
    pub window: Option<u32>,
    /// Correlation with the final magnitude, -1 to 1; none if all weights are alike in one of the two.
    pub spearman: Option<f64>,
}

/// Correlations of every criterion, tolerance and window with the final magnitude.
pub(crate) fn with_magnitude(numbers: &Numbers<'_>, model: &str, data_set: &str) -> Vec<CorrelationRow> {
    let shape = numbers.history.shape();
    let mut rows = Vec::new();
    for replica in 0..shape.replicas {
        let weights = &numbers.history.reference()[replica * shape.weight_count..][..shape.weight_count];
        let magnitudes: Vec<f64> = weights.iter().map(|&weight| f64::from(weight.abs())).collect();
        let mut push = |method, tolerance, window, scores: Vec<f64>| {
            rows.push(CorrelationRow {
                method,
                model: model.into(),
                data_set: data_set.into(),
                replica: replica as u32,
                tolerance,
                window,
                spearman: spearman(&scores, &magnitudes),
            });
        };
        for (index, &tolerance) in numbers.stability.tolerances.iter().enumerate() {
            let stability = numbers.stability.of_replica(index, numbers.history, replica);
            push(Method::Stability, Some(tolerance), None, stability.iter().copied().map(f64::from).collect());
        }
        for (index, &window) in numbers.envelope.windows.iter().enumerate() {
            let settled = numbers.envelope.settling_tolerances(index, replica).into_iter().map(|tolerance| -tolerance);
            push(Method::Settle, None, Some(window), settled.collect());
            let held = numbers.envelope.holding_magnitude(index, replica);
            push(Method::Hold, None, Some(window), held.iter().copied().map(f64::from).collect());
        }
    }
    rows
}

/// Name of the file with compact networks.
pub(crate) const COMPACTED_FILE: &str = "compacted.csv";

/// One line of `compacted.csv`: the first replica, pruned by the surgeon on the whole network, then made compact without a loss.
/// The order of the fields is the order of the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompactedRow {
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// How many times smaller the surgeon made it, counting weights that are not 0.
    pub smaller: f64,
    /// Numbers of an image that are still read.
    pub inputs: usize,
    /// Filters, then units of each hidden layer, with a `-` between.
    pub units: String,
    /// Weights that are stored, zeros among them.
    pub weights: usize,
    /// Multiply-adds of an image.
    pub multiply_adds: usize,
    /// Bytes of weights and biases.
    pub bytes: usize,
    /// Milliseconds of classifying the test set: the trained network, the same with zeros, and the compact one, alternating.
    pub dense_milliseconds: f64,
    /// The network with zeros; the engine leaves them out where that is faster.
    pub pruned_milliseconds: f64,
    /// The compact one.
    pub compact_milliseconds: f64,
}

impl CompactedRow {
    /// In a line: shape, bytes and time.
    pub fn summary(&self) -> String {
        let Self { inputs, units, bytes, dense_milliseconds, pruned_milliseconds, compact_milliseconds, .. } = self;
        format!(
            "{inputs} inputs, {units}; {:.1} KB; {compact_milliseconds:.1} ms (zeros {pruned_milliseconds:.1}, dense \
             {dense_milliseconds:.1})",
            *bytes as f64 / 1024.0
        )
    }
}

/// Writes the ledgers, sweeps and inference times of several cells once more, together, at the top of the run folder.
pub fn write_together(folder: &dyn Fn(&str) -> Result<PathBuf>, cells: &[Results]) -> Result<()> {
    csv::write::<SweepRow>(&folder("sweep.csv")?, cells.iter().flat_map(|cell| &cell.sweep))?;
    csv::write::<LedgerRow>(&folder("ledger.csv")?, cells.iter().flat_map(|cell| &cell.ledger.rows))?;
    csv::write::<CorrelationRow>(&folder("correlations.csv")?, cells.iter().flat_map(|cell| &cell.correlations))?;
    csv::write::<InferenceRow>(&folder("inference.csv")?, cells.iter().flat_map(|cell| &cell.inference))
}
