//! The trained replicas of a study: those that did not learn are replaced.

use super::Control;
use super::configuration::Configuration;
use super::experiment::{Cell, CellFolder};
use super::runs::{CellRuns, MetricsRow, Outcome, Run, RunRow};
use crate::engine::{Engine, Evaluation, Watch};
use crate::error::Result;
use crate::network::{ParameterLayout, Tensor};
use crate::run_folder::Shard;
use crate::training::{Plan, Trained, history_of_slot, train};
use std::sync::atomic::{AtomicU64, Ordering};

/// Unit of a study's progress: cells differ by orders of magnitude in the time of a training step.
const UNIT: &str = "MFLOP";

/// Where a study stands.
struct Study<'a> {
    engine: &'a mut dyn Engine,
    configuration: &'a Configuration,
    shard: Shard,
    control: Control<'a>,
}

/// Trains every cell of a study, or the part of a shard, and writes the files of each as soon as it is whole; goes on from
/// what an earlier call has left. Returns seconds of training by cell, of cells that were trained now.
///
/// Fails with [`crate::error::Error::Usage`] if the shard has no replicas.
pub fn train_cells(
    engine: &mut dyn Engine,
    cells: &[(Cell, CellFolder<'_>)],
    configuration: &Configuration,
    shard: Shard,
    control: Control<'_>,
) -> Result<Vec<(String, f64)>> {
    let replicas = shard.replicas(configuration.replicates)?;
    let open: Vec<&(Cell, CellFolder<'_>)> = cells.iter().filter(|(_, folder)| !folder.is_whole()).collect();
    let total: f64 = open.iter().map(|(cell, _)| work(cell, configuration) * replicas.len() as f64).sum();
    let name = match cells.len() {
        1 => "train".to_string(),
        cells => format!("train {cells} cells"),
    };
    let mut study = Study { engine, configuration, shard, control };
    control.stage(&name, total as u64, UNIT, |watch| {
        open.iter()
            .map(|(cell, folder)| {
                let (runs, seconds) = study.train_cell(cell, folder, watch)?;
                runs.write(&|name| folder.file(name))?;
                folder.remove_checkpoints()?;
                let kept = runs.kept().len();
                let replaced = runs.replaced().len();
                control.progress.notice(&format!("{}: {kept} replicas learnt, {replaced} did not", cell.name()));
                Ok((cell.name(), seconds))
            })
            .collect()
    })
}

/// [`UNIT`]s that training one replica of a cell takes.
fn work(cell: &Cell, configuration: &Configuration) -> f64 {
    cell.architecture.step_flops(cell.split.training.samples()) * f64::from(configuration.epochs) / 1e6
}

impl Study<'_> {
    /// Trains the replicas of one cell, then those that replace the ones that did not learn, and so on.
    fn train_cell(&mut self, cell: &Cell, folder: &CellFolder<'_>, watch: &Watch<'_>) -> Result<(CellRuns, f64)> {
        let configuration = self.configuration;
        let most = configuration.most_replacements();
        let mut replicas = self.shard.replicas(configuration.replicates)?;
        let mut runs: Vec<Run> = Vec::new();
        let mut tensors = Vec::new();
        let mut seconds = 0.0;
        for attempt in 0.. {
            if attempt > 0 {
                let made = runs.iter().filter(|run| run.row.attempt > 0).count();
                replicas.truncate(most as usize - made);
                let more = work(cell, configuration) * replicas.len() as f64;
                self.control.progress.extend(more as u64);
            }
            if replicas.is_empty() {
                break;
            }
            let trained = self.train_attempt(cell, folder, attempt, &replicas, watch)?;
            seconds += trained.times.train.as_secs_f64();
            let of_attempt = self.runs(cell, attempt, &replicas, trained, &mut tensors)?;
            let failed: Vec<u32> =
                of_attempt.iter().filter(|run| run.row.is_replaced()).map(|run| run.row.replica).collect();
            runs.extend(of_attempt);
            replicas = failed;
        }
        Ok((CellRuns::new(cell.model().into(), cell.data_set.clone(), tensors, runs, most), seconds))
    }

    fn train_attempt(
        &mut self,
        cell: &Cell,
        folder: &CellFolder<'_>,
        attempt: u32,
        replicas: &[u32],
        watch: &Watch<'_>,
    ) -> Result<Trained> {
        let configuration = self.configuration;
        let ids: Vec<u32> = replicas.iter().map(|replica| replica + configuration.replicates * attempt).collect();
        let training = self.engine.load(&cell.split.training)?;
        let plan = Plan {
            architecture: &cell.architecture,
            training,
            data: &cell.split.training,
            batch: configuration.batch,
            pixel_scale: configuration.pixel_scale,
            seed: configuration.seed,
            replica_ids: &ids,
            epochs: configuration.epochs,
            schedules: &[],
            record: true,
            plateau: None,
            keep_diverged: true,
        };
        let steps = cell.split.training.samples().div_ceil(configuration.batch) as u64;
        let planned = steps * u64::from(configuration.epochs) * ids.len() as u64;
        let units = work(cell, configuration) * ids.len() as f64;
        // Whole units are counted from the sum of steps, so that no fraction is lost on the way.
        let done = AtomicU64::new(0);
        let in_units = |steps: u64| (steps as f64 / planned as f64 * units) as u64;
        let advance = |steps: u64| {
            let before = done.fetch_add(steps, Ordering::Relaxed);
            (watch.progress)(in_units(before + steps) - in_units(before));
        };
        let checkpoints = folder.checkpoints(&format!("attempt-{attempt}"))?;
        let notice = |text: &str| self.control.progress.notice(text);
        train(self.engine, &plan, Some(&checkpoints), &Watch { stop: watch.stop, progress: &advance }, &notice)
    }

    /// What became of the replicas of an attempt. `tensors` gets name and shape of the network's tensors.
    fn runs(
        &mut self,
        cell: &Cell,
        attempt: u32,
        replicas: &[u32],
        mut trained: Trained,
        tensors: &mut Vec<(String, Vec<usize>)>,
    ) -> Result<Vec<Run>> {
        let configuration = self.configuration;
        let training = self.engine.load(&cell.split.training)?;
        let silent = Watch { stop: self.control.stop, progress: &|_| {} };
        let evaluations = trained.batch.evaluate(training, &silent)?;
        let layout = ParameterLayout::new(&cell.architecture);
        *tensors = layout.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect();
        let mut parameters = Vec::new();
        trained.batch.visit_replicas(&mut |replica| {
            let own = |tensor: &Tensor| replica.parameters[tensor.range()].to_vec();
            parameters.push(layout.tensors.iter().map(own).collect::<Vec<_>>());
            Ok(())
        })?;
        // The recorded histories are about to be copied: what is not needed any more makes room for them.
        let Trained { batch, metrics: all_metrics, recorded, shape, epochs, .. } = trained;
        drop(batch);
        let run = |(slot, ((&replica, evaluation), parameters)): (usize, ((&u32, Evaluation), Vec<Vec<f32>>))| {
            let id = replica + configuration.replicates * attempt;
            let metrics: Vec<MetricsRow> = all_metrics
                .iter()
                .filter(|metrics| metrics.slot == slot)
                .map(|metrics| MetricsRow {
                    model: cell.model().into(),
                    data_set: cell.data_set.clone(),
                    replica: id,
                    epoch: metrics.epoch,
                    loss: metrics.loss,
                    accuracy: metrics.accuracy,
                })
                .collect();
            let history = history_of_slot(shape, &recorded, slot, epochs[slot]);
            let is_finite = metrics.iter().all(|row| row.loss.is_finite())
                && history.iter().all(|weight| weight.is_finite())
                && parameters.iter().flatten().all(|value| value.is_finite());
            let training_accuracy = evaluation.accuracy();
            let outcome = match is_finite {
                false => Outcome::NotFinite,
                true if training_accuracy < configuration.least_accuracy() => Outcome::LowAccuracy,
                true => Outcome::Kept,
            };
            let row = RunRow {
                model: cell.model().into(),
                data_set: cell.data_set.clone(),
                replica,
                attempt,
                id,
                training_accuracy,
                loss: metrics.last().map_or(f64::NAN, |row| row.loss),
                outcome,
            };
            Run { row, metrics, history, parameters }
        };
        Ok(replicas.iter().zip(evaluations).zip(parameters).enumerate().map(run).collect())
    }
}
