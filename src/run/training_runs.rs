//! The training runs of a study: which were kept, which were replaced, and their files.
//!
//! A run is named by its replica, its place among the replicates, and its attempt. The run of attempt a has the id
//! replica + replicates · a, which decides all its random draws: a replacement is a replica that no other run is.

use super::configuration::Configuration;
use super::records::{MetricsRow, history_key};
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::run_folder::arrays::{self, ForeignArray, NamedArray, Values};
use crate::run_folder::csv;
use crate::stability::{History, ReplicaHistory};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It learnt, and stands in the tables.
    #[default]
    Kept,
    /// Its training accuracy at the end was below the least that is asked for.
    LowAccuracy,
    /// Its loss or its weights were no longer finite.
    NotFinite,
}

/// One line of `runs.csv` and `replaced.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Its place among the replicates, from 0.
    pub replica: u32,
    /// How many runs of this replica were replaced before it.
    pub attempt: u32,
    /// What its random draws depend on: replica + replicates · attempt.
    pub id: u32,
    /// Share of the training images that the trained network classifies correctly: one pass over all of them.
    pub training_accuracy: f64,
    /// Mean loss of its last epoch, as in `metrics.csv`.
    pub loss: f64,
    /// What became of it.
    pub outcome: Outcome,
}

impl RunRow {
    /// Whether the run stands in no table.
    pub fn is_replaced(&self) -> bool {
        self.outcome != Outcome::Kept
    }
}

/// One trained network.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it was and what became of it.
    pub row: RunRow,
    /// Its epochs.
    pub metrics: Vec<MetricsRow>,
    /// The focus layer after each epoch.
    pub history: ReplicaHistory,
    /// The values of each tensor in [`CellRuns::tensors`].
    pub parameters: Vec<Vec<f32>>,
}

/// All runs of one model on one data set, first attempts first, replicas ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct CellRuns {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Name and shape of each tensor of the network.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// The runs.
    pub runs: Vec<Run>,
}

impl CellRuns {
    /// Puts runs into their order and leaves out the replacements beyond `most`: shards cannot know how many the others
    /// have made, so together they may have made more than one process would have.
    pub fn new(
        model: String,
        data_set: String,
        tensors: Vec<(String, Vec<usize>)>,
        mut runs: Vec<Run>,
        most: u32,
    ) -> Self {
        runs.sort_by_key(|run| (run.row.attempt, run.row.replica));
        let mut replacements = 0;
        runs.retain(|run| {
            replacements += u32::from(run.row.attempt > 0);
            run.row.attempt == 0 || replacements <= most
        });
        Self { model, data_set, tensors, runs }
    }

    /// The cell in a sentence, e.g. `cnn on pr`.
    pub fn name(&self) -> String {
        format!("{} on {}", self.model, self.data_set)
    }

    /// The runs that stand in the tables, replicas ascending.
    pub fn kept(&self) -> Vec<&Run> {
        let mut kept: Vec<&Run> = self.runs.iter().filter(|run| !run.row.is_replaced()).collect();
        kept.sort_by_key(|run| run.row.replica);
        kept
    }

    /// The runs that do not.
    pub fn replaced(&self) -> Vec<&Run> {
        self.runs.iter().filter(|run| run.row.is_replaced()).collect()
    }

    /// Says if some replicas have no run that learnt.
    pub fn incompleteness(&self, replicates: u32, most: u32) -> Option<String> {
        incompleteness(&self.runs.iter().map(|run| run.row.clone()).collect::<Vec<_>>(), replicates, most)
    }

    /// Writes `history.npz` and `weights.safetensors` of the runs that were kept, the same of the others in `replaced/`,
    /// `metrics.csv`, and `runs.csv` last: where that is, the cell is whole.
    ///
    /// Fails with [`Error::Io`] if a file cannot be written.
    pub fn write(&self, path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
        self.write_networks(&self.kept(), &|name| path(name))?;
        self.write_networks(&self.replaced(), &|name| path(&format!("replaced/{name}")))?;
        csv::write::<MetricsRow>(&path("metrics.csv")?, self.runs.iter().flat_map(|run| &run.metrics))?;
        csv::write::<RunRow>(&path("runs.csv")?, self.runs.iter().map(|run| &run.row))
    }

    /// Name and shape of the focus layer's weights, which a study records: those of the dense layer before the last.
    pub(crate) fn recorded(&self) -> Vec<(&str, &[usize])> {
        let index = |name: &str| name.strip_prefix("dense")?.strip_suffix(".weight")?.parse::<usize>().ok();
        let mut dense: Vec<_> =
            self.tensors.iter().filter_map(|(name, shape)| Some((index(name)?, name, shape))).collect();
        dense.sort();
        let focus = dense.len().checked_sub(2).map(|place| dense[place]);
        focus.map(|(_, name, shape)| (name.as_str(), shape.as_slice())).into_iter().collect()
    }

    /// Writes histories `[epoch, run, ...]` and tensors `[run, ...]`; nothing where there is no run.
    fn write_networks(&self, runs: &[&Run], path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        ReplicaHistory::write(&path("history.npz")?, &histories(runs), &self.recorded())?;
        let shapes: Vec<Vec<usize>> =
            self.tensors.iter().map(|(_, shape)| [&[runs.len()], shape.as_slice()].concat()).collect();
        let tensor = |(place, shape): (usize, _)| NamedArray {
            name: &self.tensors[place].0,
            shape,
            values: Values::Parts(runs.iter().map(|run| run.parameters[place].as_slice()).collect()),
        };
        let tensors: Vec<_> = shapes.iter().map(Vec::as_slice).enumerate().map(tensor).collect();
        arrays::write(&path("weights.safetensors")?, &tensors)
    }

    /// Reads what [`Self::write`] left.
    ///
    /// Fails with [`Error::Data`] if a file is missing, damaged, or does not belong to the others.
    pub fn read(path: &dyn Fn(&str) -> PathBuf, configuration: &Configuration) -> Result<Self> {
        let file = path("runs.csv");
        let rows: Vec<RunRow> = csv::read(&file)?;
        let Some(RunRow { model, data_set, .. }) = rows.first().cloned() else {
            return Err(Error::Data(format!("{} has no rows; train that part again with --fresh", file.display())));
        };
        let mut metrics: BTreeMap<u32, Vec<MetricsRow>> = BTreeMap::new();
        let metrics_file = path("metrics.csv");
        for row in csv::read::<MetricsRow>(&metrics_file)? {
            metrics.entry(row.replica).or_default().push(row);
        }
        let (replaced, mut kept): (Vec<&RunRow>, Vec<&RunRow>) = rows.iter().partition(|row| row.is_replaced());
        kept.sort_by_key(|row| row.replica);
        let mut tensors = Vec::new();
        let mut runs = Vec::new();
        for (rows, folder) in [(kept, ""), (replaced, "replaced/")] {
            if rows.is_empty() {
                continue;
            }
            let path = |name: &str| path(&format!("{folder}{name}"));
            let (history, weights) = read_networks(&path, rows.len(), configuration)?;
            for (place, row) in rows.iter().enumerate() {
                let metrics = metrics.remove(&row.id).unwrap_or_default();
                if metrics.len() != configuration.epochs as usize {
                    let found = format!("{} epochs of run {}", metrics.len(), row.id);
                    return Err(not_together(&metrics_file, &found));
                }
                let of_run = |tensor: &ForeignArray| {
                    let each = tensor.values.len() / rows.len();
                    tensor.values[place * each..][..each].to_vec()
                };
                runs.push(Run {
                    row: (*row).clone(),
                    metrics,
                    history: history.replica(place, configuration.epochs as usize),
                    parameters: weights.iter().map(of_run).collect(),
                });
            }
            tensors = weights
                .into_iter()
                .map(|tensor| (tensor.name.unwrap_or_default(), tensor.shape[1..].to_vec()))
                .collect();
        }
        Ok(Self::new(model, data_set, tensors, runs, configuration.most_replacements()))
    }

    /// Joins the parts of one cell.
    ///
    /// Fails with [`Error::Data`] if they are not all of one model on one data set, or if a replica is in two of them.
    pub fn joined(parts: Vec<Self>, configuration: &Configuration) -> Result<Self> {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { return Err(Error::Data("there is no part to join".into())) };
        for part in parts {
            if (&part.model, &part.data_set, &part.tensors) != (&all.model, &all.data_set, &all.tensors) {
                return Err(Error::Data(format!(
                    "the shards hold {} and {} in one place; train one of them again with --fresh",
                    all.name(),
                    part.name()
                )));
            }
            all.runs.extend(part.runs);
        }
        let mut seen = BTreeSet::new();
        if let Some(run) = all.runs.iter().find(|run| !seen.insert(run.row.id)) {
            return Err(Error::Data(format!(
                "{}: run {} is in two shards; name each shard once",
                all.name(),
                run.row.id
            )));
        }
        Ok(Self::new(all.model, all.data_set, all.tensors, all.runs, configuration.most_replacements()))
    }
}

/// Says if some replicas of a cell, whose runs these are, have no run that learnt.
pub fn incompleteness(runs: &[RunRow], replicates: u32, most: u32) -> Option<String> {
    let RunRow { model, data_set, .. } = runs.first()?;
    let replaced = runs.iter().filter(|row| row.is_replaced()).count();
    let kept = runs.len() - replaced;
    let replacements = runs.iter().filter(|row| row.attempt > 0).count();
    (kept < replicates as usize).then(|| {
        format!(
            "{model} on {data_set} is incomplete: {kept} of {replicates} replicates learnt, {replaced} runs did not, and \
             {replacements} of at most {most} replacements were made"
        )
    })
}

/// The histories of some runs, for files and counts.
pub(crate) fn histories(runs: &[&Run]) -> Vec<ReplicaHistory> {
    runs.iter().map(|run| run.history.clone()).collect()
}

/// Histories `[epoch, run, weight_index]` and tensors `[run, ...]` of so many runs.
fn read_networks(
    path: &dyn Fn(&str) -> PathBuf,
    runs: usize,
    configuration: &Configuration,
) -> Result<(History, Vec<ForeignArray>)> {
    let file = path("history.npz");
    let key = history_key(&file, &configuration.focus_weight_name())?;
    let history = arrays::read(&file, Some(&key), "")?;
    let (epochs, [inputs, units]) = (configuration.epochs as usize, configuration.focus_shape()?);
    let weight_count = inputs * units;
    if !history.shape.starts_with(&[epochs, runs]) || history.values.len() != epochs * runs * weight_count {
        return Err(not_together(&file, &format!("a history of the shape {:?}", history.shape)));
    }
    let file = path("weights.safetensors");
    let tensors = arrays::read_all(&file)?;
    if let Some(tensor) = tensors.iter().find(|tensor| tensor.shape.first() != Some(&runs)) {
        let name = tensor.name.as_deref().unwrap_or_default();
        return Err(not_together(&file, &format!("{name} of the shape {:?}", tensor.shape)));
    }
    Ok((History::recorded(HistoryShape { epochs, replicas: runs, weight_count }, history.values), tensors))
}

fn not_together(file: &Path, found: &str) -> Error {
    Error::Data(format!(
        "{} holds {found}, which is not what runs.csv beside it tells; train that part again with --fresh",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::presets::Preset;

    fn run(replica: u32, attempt: u32, outcome: Outcome) -> Run {
        let id = replica + 4 * attempt;
        let row = RunRow {
            model: "dnn".into(),
            data_set: "pr".into(),
            replica,
            attempt,
            id,
            training_accuracy: 0.5,
            loss: if outcome == Outcome::NotFinite { f64::INFINITY } else { 0.1 },
            outcome,
        };
        let metrics = (1..=2)
            .map(|epoch| MetricsRow {
                model: "dnn".into(),
                data_set: "pr".into(),
                replica: id,
                epoch,
                loss: 0.3,
                accuracy: 0.25,
            })
            .collect();
        let value = if outcome == Outcome::NotFinite { f32::INFINITY } else { id as f32 };
        let shape = HistoryShape { epochs: 2, replicas: 1, weight_count: 4 };
        let history = History::recorded(shape, vec![value; 2 * 4]).replica(0, 2);
        Run { row, metrics, history, parameters: [2, 4, 2, 4].map(|len| vec![value; len]).into() }
    }

    fn cell(runs: Vec<Run>, most: u32) -> CellRuns {
        let layer =
            |index: usize| [(format!("dense{index}.bias"), vec![2]), (format!("dense{index}.weight"), vec![2, 2])];
        let tensors = [layer(5), layer(6)].concat();
        CellRuns::new("dnn".into(), "pr".into(), tensors, runs, most)
    }

    fn configuration() -> Configuration {
        Configuration { epochs: 2, width: Some(2), replicates: 4, ..Configuration::study(Preset::Smoke) }
    }

    #[test]
    fn runs_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("replaced")).unwrap();
        let written = cell(
            vec![
                run(0, 0, Outcome::Kept),
                run(1, 0, Outcome::NotFinite),
                run(2, 0, Outcome::LowAccuracy),
                run(1, 1, Outcome::Kept),
            ],
            4,
        );
        let path = |name: &str| folder.path().join(name);
        written.write(&|name| Ok(path(name))).unwrap();
        assert_eq!(CellRuns::read(&path, &configuration()).unwrap().runs, {
            let mut runs = written.runs.clone();
            runs.sort_by_key(|run| (run.row.attempt, run.row.replica));
            runs
        });
        let history = arrays::read(&path("history.npz"), None, "").unwrap();
        assert_eq!((history.shape.as_slice(), &history.values[3..5]), (&[2, 2, 2, 2][..], &[0.0, 5.0][..]));
        for name in ["history.npz", "weights.safetensors", "metrics.csv", "replaced/history.npz"] {
            let bytes = std::fs::read(path(name)).unwrap();
            std::fs::write(path(name), &bytes[..bytes.len() / 2]).unwrap();
            let error = CellRuns::read(&path, &configuration()).unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains(name), "{error}");
            std::fs::write(path(name), bytes).unwrap();
        }
    }

    #[test]
    fn shards_joined_are_the_runs_of_one_process() {
        // Replicas 0 to 3 all fail; one process may replace three, and so may each of two shards.
        let failing = |attempts: &[(u32, u32)]| -> Vec<Run> {
            attempts.iter().map(|&(replica, attempt)| run(replica, attempt, Outcome::LowAccuracy)).collect()
        };
        let whole = cell(failing(&[(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1)]), 3);
        let even = cell(failing(&[(0, 0), (2, 0), (0, 1), (2, 1), (0, 2)]), 3);
        let odd = cell(failing(&[(1, 0), (3, 0), (1, 1), (3, 1), (1, 2)]), 3);
        let configuration = Configuration { max_replacements: Some(3), ..configuration() };
        assert_eq!(CellRuns::joined(vec![odd.clone(), even], &configuration).unwrap(), whole);
        let doubled = CellRuns::joined(vec![odd.clone(), odd], &configuration).unwrap_err();
        assert!(doubled.to_string().contains("in two shards"), "{doubled}");
    }

    #[test]
    fn a_cell_without_all_its_replicas_says_so() {
        let runs = vec![run(0, 0, Outcome::Kept), run(1, 0, Outcome::LowAccuracy), run(1, 1, Outcome::LowAccuracy)];
        let message = cell(runs.clone(), 1).incompleteness(2, 1).unwrap();
        assert!(message.contains("1 of 2 replicates learnt, 2 runs did not, and 1 of at most 1"), "{message}");
        assert_eq!(cell(runs, 1).incompleteness(1, 1), None);
    }
}
