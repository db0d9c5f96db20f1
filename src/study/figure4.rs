//! Figure 4 of a study: its own networks pruned in every way, and exponential decay, which alone is trained for it, beside
//! them.

use super::Control;
use super::comparison::{CellComparison, Scope};
use super::configuration::Configuration;
use super::experiment::{Cell, CellFolder};
use super::results::{Results, SUBJECT_FILE};
use super::runs::{CellRuns, Run, histories};
use crate::engine::{Engine, Replica, Setup};
use crate::error::{Error, Result};
use crate::network::ParameterLayout;
use crate::stability::{History, ReplicaHistory};
use crate::training::{Trained, TrainingTimes};
use std::time::Duration;

/// Measurements are repeated for about this long: a study has many cells, and `compare` measures more closely.
const REPEAT_WITHIN: Duration = Duration::from_secs(1);

/// The part of a cell's folder that is Figure 4's.
pub const FOLDER: &str = "figure4";

impl CellFolder<'_> {
    /// Forgets what a study has trained, and its Figure 4.
    pub fn forget_runs(&self) -> Result<()> {
        self.forget("runs.csv")?;
        let figure4 = self.within(FOLDER);
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
    ReplicaHistory::write(&folder.file("history.npz")?, &histories(&chosen))?;
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
        for tensor in &layout.tensors {
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
        Ok(Replica::new(&cell.architecture, parameters))
    };
    let replicas: Vec<Replica<f32>> = chosen.iter().map(replica).collect::<Result<_>>()?;
    let ids: Vec<u32> = chosen.iter().map(|run| run.row.id).collect();
    let training = engine.load(&cell.split.training)?;
    let mut batch = engine.begin(&Setup {
        architecture: &cell.architecture,
        training,
        batch: configuration.batch.min(cell.split.training.samples()),
        pixel_scale: configuration.pixel_scale,
        seed: configuration.seed,
        replica_ids: &ids,
    })?;
    batch.restore(&replicas)?;
    let share = chosen.len() as f64 / runs.runs.len() as f64;
    Ok(Trained {
        batch,
        recorded: History::of(&histories(chosen)),
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
