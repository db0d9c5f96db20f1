//! The trained replicas of a study: those that did not learn are replaced, and some are trained anew for what changes
//! training.

use crate::data::{Fit, PAPER_SIDE};
use crate::engine::{Control, Engine, Evaluation, Watch};
use crate::error::Result;
use crate::network::{ParameterLayout, Tensor};
use crate::run::cell::{Cell, CellFolder};
use crate::run::configuration::{Configuration, Network};
use crate::run::records::MetricsRow;
use crate::run::training_runs::{CellRuns, Outcome, Run, RunRow};
use crate::run_folder::{RunFolder, Shard};
use crate::training::{Plan, Trained, train};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unit of a study's progress: cells differ by orders of magnitude in the time of a training step.
const UNIT: &str = "MFLOP";

/// Some replicas of one model on one data set, trained in one way: a part of a study.
#[derive(Clone, Debug)]
pub struct TrainingJob<'a> {
    cell: Cell,
    /// Where its files go.
    pub folder: CellFolder<'a>,
    /// How its replicas are trained, and how many of them are replaced.
    configuration: Configuration,
    replicas: Vec<u32>,
    /// What it is called, e.g. `cnn on pr, pixel-scale-1`.
    name: String,
}

impl TrainingJob<'_> {
    fn new<'a>(
        cell: &Cell,
        folder: CellFolder<'a>,
        configuration: &Configuration,
        replicas: Vec<u32>,
        variant: Option<&str>,
    ) -> TrainingJob<'a> {
        let name = variant.map_or_else(|| cell.name(), |variant| format!("{}, {variant}", cell.name()));
        TrainingJob { cell: cell.clone(), folder, configuration: configuration.clone(), replicas, name }
    }
}

/// All that a study, or a shard of it, trains: its cells, then what the sensitivity table has trained anew.
///
/// Fails with [`crate::error::Error::Usage`] if the shard has no replicas, and if the data cannot be brought to another size.
pub fn jobs<'a>(
    cells: &[Cell],
    run: &'a RunFolder,
    hash: &'a str,
    configuration: &Configuration,
    shard: Shard,
) -> Result<Vec<TrainingJob<'a>>> {
    let replicas = shard.replicas(configuration.replicates)?;
    let folder = |cell: &Cell| cell.folder(run, hash, configuration);
    let mut all: Vec<TrainingJob<'a>> =
        cells.iter().map(|cell| TrainingJob::new(cell, folder(cell), configuration, replicas.clone(), None)).collect();
    let again: Vec<u32> =
        replicas.into_iter().filter(|&replica| replica < configuration.retrained_replicates()).collect();
    if again.is_empty() {
        return Ok(all);
    }
    for variant in variants(configuration) {
        for cell in variant.cells(configuration, cells)? {
            let folder = folder(&cell).within(&variant.folder);
            all.push(TrainingJob::new(&cell, folder, &variant.configuration, again.clone(), Some(&variant.folder)));
        }
    }
    Ok(all)
}

/// What training a part took, in seconds, and how many runs that was.
#[derive(Clone, Debug, PartialEq)]
pub struct JobTimes {
    /// Name of the part.
    pub name: String,
    /// Training.
    pub train_s: f64,
    /// Reading the focus layer back.
    pub record_s: f64,
}

/// Where a study stands.
struct Study<'a> {
    engine: &'a mut Engine,
    control: Control<'a>,
}

/// Trains all parts and writes the files of each as soon as it is whole; goes on from what an earlier call has left. `done`
/// hears of each part that was trained now.
///
/// Fails with what stops training, and with what `done` fails with.
pub fn train_jobs(
    engine: &mut Engine,
    jobs: &[TrainingJob<'_>],
    control: Control<'_>,
    done: &mut dyn FnMut(JobTimes) -> Result<()>,
) -> Result<()> {
    let open: Vec<&TrainingJob<'_>> = jobs.iter().filter(|job| !job.folder.is_whole()).collect();
    let total: f64 = open.iter().map(|job| work(job) * job.replicas.len() as f64).sum();
    let name = match jobs.len() {
        1 => "train".to_string(),
        jobs => format!("train {jobs} cells"),
    };
    let mut study = Study { engine, control };
    control.stage(&name, total as u64, UNIT, |watch| {
        for job in open {
            let (runs, times) = study.train_job(job, watch)?;
            runs.write(&|name| job.folder.file(name))?;
            job.folder.remove_checkpoints()?;
            let kept = runs.kept().len();
            let replaced = runs.replaced().len();
            control.progress.notice(&format!("{}: {kept} replicas learnt, {replaced} did not", job.name));
            done(times)?;
        }
        Ok(())
    })
}

/// [`UNIT`]s that training one replica of a part takes.
fn work(job: &TrainingJob<'_>) -> f64 {
    let TrainingJob { cell, configuration, .. } = job;
    cell.architecture.step_flops(cell.split.training.samples()) * f64::from(configuration.epochs) / 1e6
}

impl Study<'_> {
    /// Trains the replicas of one part, then those that replace the ones that did not learn, and so on.
    fn train_job(&mut self, job: &TrainingJob<'_>, watch: &Watch<'_>) -> Result<(CellRuns, JobTimes)> {
        let cell = &job.cell;
        let most = job.configuration.most_replacements();
        let mut replicas = job.replicas.clone();
        let mut runs: Vec<Run> = Vec::new();
        let mut tensors = Vec::new();
        let mut times = JobTimes { name: job.name.clone(), train_s: 0.0, record_s: 0.0 };
        for attempt in 0.. {
            if attempt > 0 {
                let made = runs.iter().filter(|run| run.row.attempt > 0).count();
                replicas.truncate(most as usize - made);
                let more = work(job) * replicas.len() as f64;
                self.control.progress.extend(more as u64);
            }
            if replicas.is_empty() {
                break;
            }
            let trained = self.train_attempt(job, attempt, &replicas, watch)?;
            times.train_s += trained.times.train.as_secs_f64();
            times.record_s += trained.times.record.as_secs_f64();
            let of_attempt = self.runs(job, attempt, &replicas, trained, &mut tensors)?;
            let failed: Vec<u32> =
                of_attempt.iter().filter(|run| run.row.is_replaced()).map(|run| run.row.replica).collect();
            runs.extend(of_attempt);
            replicas = failed;
        }
        Ok((CellRuns::new(cell.model().into(), cell.data_set.clone(), tensors, runs, most), times))
    }

    fn train_attempt(
        &mut self,
        job: &TrainingJob<'_>,
        attempt: u32,
        replicas: &[u32],
        watch: &Watch<'_>,
    ) -> Result<Trained> {
        let TrainingJob { cell, folder, configuration, .. } = job;
        let ids: Vec<u32> = replicas.iter().map(|replica| replica + configuration.replicates * attempt).collect();
        let training = self.engine.load(&cell.split.training)?;
        let plan = Plan { keep_diverged: true, ..cell.plan(training, configuration, &ids) };
        let planned = cell.steps(configuration) * u64::from(configuration.epochs) * ids.len() as u64;
        let units = work(job) * ids.len() as f64;
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
        job: &TrainingJob<'_>,
        attempt: u32,
        replicas: &[u32],
        mut trained: Trained,
        tensors: &mut Vec<(String, Vec<usize>)>,
    ) -> Result<Vec<Run>> {
        let TrainingJob { cell, configuration, .. } = job;
        let training = self.engine.load(&cell.split.training)?;
        let evaluations = trained.batch.evaluate(training, &self.control.silent())?;
        let layout = ParameterLayout::new(&cell.architecture);
        *tensors = layout.stored().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect();
        let mut parameters = Vec::new();
        trained.batch.visit_replicas(&mut |replica| {
            let own = |tensor: &Tensor| replica.parameters[tensor.range()].to_vec();
            parameters.push(layout.stored().map(own).collect::<Vec<_>>());
            Ok(())
        })?;
        let histories = trained.histories();
        let run = |slot: usize, replica: u32, evaluation: Evaluation, parameters: Vec<Vec<f32>>| {
            let id = replica + configuration.replicates * attempt;
            let metrics: Vec<MetricsRow> = trained
                .metrics
                .iter()
                .filter(|metrics| metrics.slot == slot)
                .map(|metrics| MetricsRow::new(cell, id, metrics))
                .collect();
            let history = histories[slot].clone();
            let is_finite = metrics.iter().all(|row| row.loss.is_finite())
                && history.rows().flatten().all(|weight| weight.is_finite())
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
        let all = replicas.iter().zip(evaluations).zip(parameters).enumerate();
        Ok(all.map(|(slot, ((&replica, evaluation), parameters))| run(slot, replica, evaluation, parameters)).collect())
    }
}

/// What pixels are divided by in the study, and what they are divided by otherwise: nothing.
const RAW_PIXELS: f64 = 1.0;
const SHARES_OF_WHITE: f64 = 255.0;

/// One thing that is set otherwise than in the study.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its part of a cell's folder.
    pub folder: String,
    /// All settings: none of its replicas is replaced.
    pub configuration: Configuration,
}

/// The variants of a study: raw pixels (or, where these are the study's, shares of white), and images padded to the size of
/// the paper's largest.
pub fn variants(study: &Configuration) -> Vec<Variant> {
    if study.retrained_replicates() == 0 {
        return Vec::new();
    }
    let base = Configuration { max_replacements: Some(0), ..study.clone() };
    let pixel_scale = if study.pixel_scale == RAW_PIXELS { SHARES_OF_WHITE } else { RAW_PIXELS };
    let scaled = Configuration { pixel_scale, ..base.clone() };
    let mut all = vec![Variant { folder: format!("retrained/pixel-scale-{pixel_scale}"), configuration: scaled }];
    if (study.side, study.fit) != (Some(PAPER_SIDE), Fit::Pad) {
        let padded = Configuration { side: Some(PAPER_SIDE), fit: Fit::Pad, ..base };
        all.push(Variant { folder: format!("retrained/padded-to-{PAPER_SIDE}"), configuration: padded });
    }
    all
}

impl Variant {
    /// The cells to train, of those of the study: where images have that size already, a variant in size changes nothing.
    ///
    /// Fails as [`Cell::load_all`] does.
    pub fn cells(&self, study: &Configuration, cells: &[Cell]) -> Result<Vec<Cell>> {
        let options = |configuration: &Configuration| configuration.load_options(Network::Dnn);
        if options(&self.configuration) == options(study) {
            return Ok(cells.to_vec());
        }
        let changes = |cell: &Cell| {
            let data = &cell.split.training;
            study.side.is_some() || (data.height, data.width) != (PAPER_SIDE, PAPER_SIDE)
        };
        let of_each_set = cells.chunks(study.model.networks().len());
        let (changed, data): (Vec<&[Cell]>, Vec<String>) =
            of_each_set.zip(study.data.iter().cloned()).filter(|(cells, _)| cells.iter().any(changes)).unzip();
        if data.is_empty() {
            return Ok(Vec::new());
        }
        let mut others = Cell::load_all(&Configuration { data, ..self.configuration.clone() })?;
        for (other, cell) in others.iter_mut().zip(changed.into_iter().flatten()) {
            other.data_set.clone_from(&cell.data_set);
        }
        // Nobody asks for test images, which may be many.
        others.iter_mut().for_each(|cell| cell.split.test = Arc::clone(&cell.split.training));
        Ok(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::configuration::Model;
    use crate::run::presets::Preset;

    fn names(study: &Configuration) -> Vec<String> {
        variants(study).into_iter().map(|variant| variant.folder).collect()
    }

    #[test]
    fn a_study_is_varied_in_what_it_is_not() {
        let study = Configuration::study(Preset::Quick);
        assert_eq!(names(&study), ["retrained/pixel-scale-1", "retrained/padded-to-100"]);
        let other = Configuration { pixel_scale: 1.0, side: Some(100), fit: Fit::Pad, ..study.clone() };
        assert_eq!(names(&other), ["retrained/pixel-scale-255"]);
        assert!(names(&Configuration { sensitivity_replicates: Some(0), ..study }).is_empty());
    }

    #[test]
    fn images_of_the_largest_size_are_not_padded() {
        let study = Configuration {
            data: vec!["pr".into(), "ct".into()],
            model: Model::Both,
            ..Configuration::study(Preset::Quick)
        };
        let cells = Cell::load_all(&study).unwrap();
        let all = variants(&study);
        let found = |variant: &Variant| -> Vec<String> {
            variant.cells(&study, &cells).unwrap().iter().map(Cell::name).collect()
        };
        assert_eq!(found(&all[0]).len(), 4);
        assert_eq!(found(&all[1]), ["dnn on pr", "cnn on pr"]);
        let padded = &all[1].cells(&study, &cells).unwrap()[0].split.training;
        assert_eq!((padded.height, padded.width, padded.images[0]), (100, 100, 0));
    }
}
