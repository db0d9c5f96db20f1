//! What a study concludes from its trained replicas: the numbers that its tables are made of, how they depend on the reading
//! of magnitude stability, and Figure 4: the same networks pruned in every way, and exponential decay, which alone is trained
//! for it, beside them.

use super::comparison::{CellComparison, Scope};
use crate::data::Fit;
use crate::engine::{Control, Engine, Replica};
use crate::error::{Error, Result};
use crate::network::ParameterLayout;
use crate::numbers::percent;
use crate::results::comparison::{Results, SUBJECT_FILE};
use crate::results::tables::{Observations, Replicate, StableWeights, published_summary};
use crate::run::cell::{Cell, CellFolder};
use crate::run::configuration::{Configuration, PAPER_TOLERANCE};
use crate::run::training_runs::{CellRuns, Run, histories};
use crate::run_folder::csv;
use crate::stability::summary::{ToleranceSummary, summarise};
use crate::stability::{Against, History, Reading, ReplicaHistory, Stability, ToleranceKind, Tracking};
use crate::training::{Trained, TrainingTimes, hash};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What the replicas of all cells say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conclusion {
    /// Magnitude stability of every weight, at the first tolerance.
    pub observations: Observations,
    /// Numbers of stable weights, at the first tolerance.
    pub stable_weights: StableWeights,
    /// Mean stability by every reading and tolerance.
    pub sensitivity: Vec<SensitivityRow>,
    /// SHA-256 of what was recorded and of all parameters, by cell.
    pub weight_hashes: BTreeMap<String, String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Conclusion {
    /// Counts the replicas of one more cell. Counts are equal on every engine.
    ///
    /// Fails with [`Error::Data`] if a recorded weight is not finite.
    pub fn add(&mut self, engine: &mut Engine, cell: &CellRuns, configuration: &Configuration) -> Result<()> {
        self.notes.extend(cell.incompleteness(configuration.replicates, configuration.most_replacements()));
        let kept = cell.kept();
        if kept.is_empty() {
            return Ok(());
        }
        let history = History::of(&histories(&kept));
        self.weight_hashes.insert(format!("{}: focus layer, all epochs", cell.name()), hash(history.weights()));
        let parameters: Vec<f32> = kept.iter().flat_map(|run| run.parameters.iter().flatten()).copied().collect();
        self.weight_hashes.insert(format!("{}: all parameters", cell.name()), hash(&parameters));
        history.check_finite(0)?;
        for reading in readings() {
            let stability = Stability::count(engine, &history, &configuration.tolerance, reading)?;
            self.sensitivity.extend(SensitivityRow::of(cell, configuration, false, reading, &stability, &history));
            if reading != configuration.reading() {
                continue;
            }
            for (place, run) in kept.iter().enumerate() {
                let replicate = Replicate {
                    model: cell.model.clone(),
                    data_set: cell.data_set.clone(),
                    replicate: run.row.replica.to_string(),
                };
                let counts = stability.of_replica(0, &history, place);
                self.observations.insert(replicate.clone(), counts.iter().map(|&count| f64::from(count)).collect());
                let numbers =
                    stability.counts.stable_weights.iter().skip(place).step_by(kept.len()).take(history.shape().epochs);
                self.stable_weights.insert(replicate, (1..).zip(numbers.map(|&number| f64::from(number))).collect());
            }
        }
        Ok(())
    }

    /// Counts the replicas of a cell that were trained anew for the sensitivity table, by the settings `configuration`.
    ///
    /// Fails with [`Error::Data`] if a recorded weight is not finite.
    pub fn add_retrained(&mut self, engine: &mut Engine, cell: &CellRuns, configuration: &Configuration) -> Result<()> {
        let (kept, reading) = (cell.kept(), configuration.reading());
        if kept.is_empty() {
            let row =
                |&tolerance: &f64| SensitivityRow::without_networks(cell, configuration, true, reading, tolerance);
            self.sensitivity.extend(configuration.tolerance.iter().map(row));
            return Ok(());
        }
        let history = History::of(&histories(&kept));
        history.check_finite(0)?;
        let stability = Stability::count(engine, &history, &configuration.tolerance, reading)?;
        self.sensitivity.extend(SensitivityRow::of(cell, configuration, true, reading, &stability, &history));
        Ok(())
    }

    /// Fails with [`Error::Job`] if there is nothing to make tables of.
    pub fn check(&self, configuration: &Configuration) -> Result<()> {
        if !self.observations.is_empty() {
            return Ok(());
        }
        Err(Error::Job(format!(
            "no replica reached a training accuracy of {}, so there are no tables; train for more --epochs, or lower \
             --min-accuracy (0 takes every replica)",
            percent(configuration.least_accuracy())
        )))
    }

    /// Writes `observations.csv` and `stable_weights.csv`, which `study --from-observations --from-stable-weight_count` reads,
    /// replicates in the order of their numbers.
    ///
    /// Fails with [`Error::Io`] if a file cannot be written.
    pub fn write(&self, path: &dyn Fn(&str) -> Result<PathBuf>) -> Result<()> {
        let observations =
            in_order(&self.observations).flat_map(|(Replicate { model, data_set, replicate }, counts)| {
                let row = |&count: &f64| ObservationRow { model, data_set, replicate, stability: count as u32 };
                counts.iter().map(row)
            });
        csv::write::<ObservationRow<'_>>(&path("observations.csv")?, observations)?;
        let numbers = in_order(&self.stable_weights).flat_map(|(Replicate { model, data_set, replicate }, numbers)| {
            let row = |&(epoch, number): &(u32, f64)| StableWeightsRow {
                model,
                data_set,
                replicate,
                epoch,
                stable_nodes: number as u32,
            };
            numbers.iter().map(row)
        });
        csv::write::<StableWeightsRow<'_>>(&path("stable_nodes.csv")?, numbers)
    }
}

/// A line of `observations.csv`.
#[derive(Default, Serialize)]
struct ObservationRow<'a> {
    model: &'a str,
    data_set: &'a str,
    replicate: &'a str,
    stability: u32,
}

/// A line of `stable_nodes.csv`.
#[derive(Default, Serialize)]
struct StableWeightsRow<'a> {
    model: &'a str,
    data_set: &'a str,
    replicate: &'a str,
    epoch: u32,
    stable_nodes: u32,
}

/// Replicate 2 before replicate 10.
fn in_order<T>(numbers: &BTreeMap<Replicate, T>) -> impl Iterator<Item = (&Replicate, &T)> {
    let mut all: Vec<(&Replicate, &T)> = numbers.iter().collect();
    all.sort_by_key(|(one, _)| (&one.model, &one.data_set, one.replicate.parse::<u32>().ok()));
    all.into_iter()
}

/// A line of `sensitivity.csv`. The order of the fields is the order of the columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SensitivityRow {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// What is followed.
    pub tracking: Tracking,
    /// How the tolerance is meant.
    pub tolerance_kind: ToleranceKind,
    /// What a weight is compared with.
    pub against: Against,
    /// The tolerance.
    pub tolerance: f64,
    /// What pixels were divided by.
    pub pixel_scale: f64,
    /// Rows and columns that images were brought to, if any.
    pub side: Option<usize>,
    /// How they were brought to that size.
    pub fit: Fit,
    /// Whether these networks were trained for this line, and are not those of the tables.
    pub retrained: bool,
    /// Number of networks that learnt.
    pub replicates: usize,
    /// Mean stability over their weights, in epochs; none if no network learnt.
    pub mean: Option<f64>,
    /// Its standard deviation over weights.
    pub sd: Option<f64>,
    /// What the paper prints, at tolerance 0.03.
    pub published_mean: Option<String>,
    /// What the paper prints.
    pub published_sd: Option<String>,
}

/// Every way to read a history.
pub fn readings() -> Vec<Reading> {
    let mut all = Vec::new();
    for tracking in [Tracking::Position, Tracking::Rank] {
        for tolerance_kind in [ToleranceKind::Relative, ToleranceKind::Absolute] {
            for against in [Against::Last, Against::Previous] {
                all.push(Reading { tracking, tolerance_kind, against });
            }
        }
    }
    all
}

impl SensitivityRow {
    /// How the history was read.
    pub fn reading(&self) -> Reading {
        Reading { tracking: self.tracking, tolerance_kind: self.tolerance_kind, against: self.against }
    }

    /// A row for each tolerance of one reading of a cell, whose networks were trained by `configuration`.
    pub(super) fn of(
        cell: &CellRuns,
        configuration: &Configuration,
        retrained: bool,
        reading: Reading,
        stability: &Stability,
        history: &History,
    ) -> Vec<Self> {
        let row = |summary: ToleranceSummary| Self {
            replicates: history.shape().replicas,
            mean: Some(summary.mean),
            sd: summary.sd,
            ..Self::without_networks(cell, configuration, retrained, reading, summary.tolerance)
        };
        summarise(history, stability).into_iter().map(row).collect()
    }

    /// The row of a cell none of whose networks learnt.
    pub(super) fn without_networks(
        cell: &CellRuns,
        configuration: &Configuration,
        retrained: bool,
        reading: Reading,
        tolerance: f64,
    ) -> Self {
        let published = published_summary(&cell.model, &cell.data_set).filter(|_| tolerance == PAPER_TOLERANCE);
        Self {
            model: cell.model.clone(),
            data_set: cell.data_set.clone(),
            tracking: reading.tracking,
            tolerance_kind: reading.tolerance_kind,
            against: reading.against,
            tolerance,
            pixel_scale: configuration.pixel_scale,
            side: configuration.side,
            fit: configuration.fit,
            retrained,
            replicates: 0,
            mean: None,
            sd: None,
            published_mean: published.map(|published| published.0.into()),
            published_sd: published.map(|published| published.1.into()),
        }
    }
}

/// Measurements are repeated for about this long: a study has many cells, and `compare` measures more closely.
const REPEAT_WITHIN: Duration = Duration::from_secs(1);

/// The part of a cell's folder that is Figure 4's.
pub const FIGURE_4: &str = "figure4";

impl CellFolder<'_> {
    /// Forgets what a study has trained, and its Figure 4.
    ///
    /// Fails with [`Error::Io`] if a file cannot be removed.
    pub fn forget_runs(&self) -> Result<()> {
        self.forget("runs.csv")?;
        let figure4 = self.within(FIGURE_4);
        figure4.forget(SUBJECT_FILE)?;
        figure4.remove_checkpoints()
    }
}

/// What training all runs of a cell took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingSeconds {
    /// Training.
    pub train: f64,
    /// Reading the focus layer back.
    pub record: f64,
}

/// Prunes the first networks of a cell that learnt, as many as Figure 4 is made of, and writes into `folder` what
/// [`Results::read_back`] reads; what is there already is not made again, and exponential decay goes on from its checkpoints.
/// `None` if no network learnt. `seconds` are of all runs of the cell: these networks are charged their share.
///
/// Fails with [`Error::Data`] if the networks are not the cell's.
pub fn figure4(
    engine: &mut Engine,
    cell: &Cell,
    runs: &CellRuns,
    configuration: &Configuration,
    folder: &CellFolder<'_>,
    seconds: TrainingSeconds,
    control: Control<'_>,
) -> Result<Option<Results>> {
    if folder.place(SUBJECT_FILE).is_file() {
        return Results::read_back(configuration, &folder.place("")).map(Some);
    }
    let mut chosen = runs.kept();
    chosen.truncate(configuration.figure_4_replicates.unwrap_or(0) as usize);
    if chosen.is_empty() {
        return Ok(None);
    }
    let ids: Vec<u32> = chosen.iter().map(|run| run.row.id).collect();
    let trained = trained(engine, cell, runs, &chosen, configuration, seconds)?;
    ReplicaHistory::write(&folder.file("history.npz")?, &histories(&chosen), &runs.recorded())?;
    let configuration = Configuration { replicates: ids.len() as u32, ..configuration.clone() };
    let scope = Scope { repeat_within: REPEAT_WITHIN, decays_together: false };
    let results =
        CellComparison::new(engine, cell, &configuration, folder, control, &ids, scope).run_trained(trained)?;
    folder.remove_checkpoints()?;
    Ok(Some(results))
}

/// Networks of a study on their device again.
fn trained(
    engine: &mut Engine,
    cell: &Cell,
    runs: &CellRuns,
    chosen: &[&Run],
    configuration: &Configuration,
    seconds: TrainingSeconds,
) -> Result<Trained> {
    let layout = ParameterLayout::new(&cell.architecture);
    let replica = |run: &&Run| -> Result<Replica<f32>> {
        let mut parameters = vec![0.0; layout.parameters()];
        for tensor in layout.stored() {
            let place = runs.tensors.iter().position(|(name, shape)| (name, shape) == (&tensor.name, &tensor.shape));
            let values = place.map(|place| &run.parameters[place]).ok_or_else(|| {
                Error::Data(format!(
                    "{} has no {} of the shape {:?} among its weights; train it again with --fresh",
                    runs.name(),
                    tensor.name,
                    tensor.shape
                ))
            })?;
            parameters[tensor.range()].copy_from_slice(values);
        }
        Ok(Replica::new(parameters))
    };
    let replicas: Vec<Replica<f32>> = chosen.iter().map(replica).collect::<Result<_>>()?;
    let ids: Vec<u32> = chosen.iter().map(|run| run.row.id).collect();
    let mut batch = cell.begin(engine, configuration, &ids)?;
    batch.restore(&replicas)?;
    let share = chosen.len() as f64 / runs.runs.len() as f64;
    Ok(Trained {
        mean: Vec::new(),
        batch,
        recorded: History::of(&histories(chosen)).of_selection(&cell.selection),
        epochs: vec![configuration.epochs; chosen.len()],
        focus_hashes: Vec::new(),
        metrics: Vec::new(),
        times: TrainingTimes {
            train: Duration::from_secs_f64(seconds.train * share),
            record: Duration::from_secs_f64(seconds.record * share),
            plateau: Duration::ZERO,
        },
        resumed: false,
    })
}
