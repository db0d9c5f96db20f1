//! One training session: a batch of replicas from their initial weights to the last epoch.

mod stopping;

use super::checkpoint::{Checkpoint, CheckpointFile, Found};
use super::number_hash::hash;
use super::plateau::Plateau;
use super::{EpochMetrics, LearningRate, TrainingTimes};
use crate::data::Dataset;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Batch, DataHandle, Engine, HistoryShape, Replica, Setup, StepLoss, Steps, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, Selection};
use crate::pruning::decay::Schedule;
use crate::stability::{History, ReplicaHistory};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Steps of the first call of a session, before its speed is known.
const FIRST_CALL: u64 = 4;
/// How long one call of the engine should take: a stop is heard between two calls.
const CALL: Duration = Duration::from_secs(1);
/// A checkpoint is written when the last one is this old.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(8);
/// And after at least so many times as long as writing the last one took.
const WRITING_SHARE: u32 = 20;

/// What to train and for how long.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// The training set as the engine knows it.
    pub training: DataHandle,
    /// The same set in memory.
    pub data: &'a Dataset,
    /// Samples of a step.
    pub batch: usize,
    /// Pixels are divided by this.
    pub pixel_scale: f64,
    /// Key of every random draw.
    pub seed: u64,
    /// Which replica each slot trains.
    pub replica_ids: &'a [u32],
    /// The weights that are recorded, and that schedules prune.
    pub selection: &'a Selection,
    /// Passes over the training set.
    pub epochs: u32,
    /// For each slot how it is pruned while it trains; all by one rule, at the same steps. Empty: nothing is pruned.
    pub schedules: &'a [Schedule],
    /// Whether the selected weights are recorded after each epoch.
    pub record: bool,
    /// Over how many of the last epochs all weights and biases are averaged; 0: not at all.
    pub average: u32,
    /// When a slot stops before the others; needs [`Self::record`] and no schedules.
    pub plateau: Option<Plateau>,
    /// How the learning rate moves over all of these epochs, also where a slot stops before.
    pub learning_rate: LearningRate,
    /// Whether a replica whose loss is no longer finite trains on beside the others, instead of failing the session.
    pub keep_diverged: bool,
}

impl<'a> Plan<'a> {
    /// Plain training of replicas whose selected weights are recorded: batches of 32, pixels divided by 255, seed 1, a constant
    /// learning rate, nothing pruned, averaged or stopped before the last epoch.
    pub fn new(
        (architecture, selection): (&'a Architecture, &'a Selection),
        (training, data): (DataHandle, &'a Dataset),
        replica_ids: &'a [u32],
        epochs: u32,
    ) -> Self {
        Self {
            architecture,
            training,
            data,
            batch: 32,
            pixel_scale: 255.0,
            seed: 1,
            replica_ids,
            selection,
            epochs,
            schedules: &[],
            record: true,
            average: 0,
            plateau: None,
            learning_rate: LearningRate::Constant,
            keep_diverged: false,
        }
    }

    /// The epochs that are averaged, counted from 0.
    fn averaged(&self) -> Range<u32> {
        self.epochs.saturating_sub(self.average)..self.epochs
    }
}

/// Trained replicas, still on their device.
pub struct Trained {
    /// The replicas.
    pub batch: Batch,
    /// The recorded weights, a slot that has stopped as it stopped, finite or not; without epochs if [`Plan::record`]
    /// was off.
    pub recorded: History,
    /// For each slot the mean of all its parameters over the last [`Plan::average`] epochs, as NumPy makes it of recorded epochs in
    /// single precision; a slot that has stopped stays as it stopped. Empty if that was 0.
    pub mean: Vec<Vec<f32>>,
    /// Epochs that each slot was trained for.
    pub epochs: Vec<u32>,
    /// SHA-256 of the recorded weights `[slot, weight]`, one for each epoch.
    pub focus_hashes: Vec<String>,
    /// Metrics, epoch by epoch, slot by slot.
    pub metrics: Vec<EpochMetrics>,
    /// What it took.
    pub times: TrainingTimes,
    /// Whether it went on from a checkpoint; times are then sums of segments.
    pub resumed: bool,
}

impl Trained {
    /// The recorded history.
    ///
    /// Fails with [`Error::Data`] if nothing was recorded, if a weight is not finite, or if a slot stopped before the others.
    pub fn history(&self) -> Result<History> {
        let epochs = self.recorded.shape().epochs;
        if epochs == 0 || self.epochs.iter().any(|&own| own as usize != epochs) {
            return Err(Error::Data(
                "replicas that were not recorded, or stopped at different epochs, have no history in common".into(),
            ));
        }
        self.recorded.check_finite(0)?;
        Ok(self.recorded.clone())
    }

    /// What was recorded of each slot, finite or not, up to where it stopped.
    pub fn histories(&self) -> Vec<ReplicaHistory> {
        self.epochs.iter().enumerate().map(|(slot, &epochs)| self.recorded.replica(slot, epochs as usize)).collect()
    }
}

/// Trains by `plan` on `engine`, from the checkpoint if there is one, and keeps it up to date. `notice` hears what the
/// user should know.
///
/// Fails if a loss is not finite (unless [`Plan::keep_diverged`]), if a schedule's number of pruned weights was missed, or if
/// a stop was asked for: then the checkpoint is written first.
pub fn train(
    engine: &mut Engine,
    plan: &Plan<'_>,
    checkpoints: Option<&CheckpointFile>,
    watch: &Watch<'_>,
    notice: &dyn Fn(&str),
) -> Result<Trained> {
    let started = Instant::now();
    let batch = begin(engine, plan, plan.replica_ids)?;
    let batches = step_ranges(plan.data.samples(), plan.batch)?;
    let mut session = Session {
        engine,
        plan,
        batches: &batches,
        batch,
        state: Checkpoint::new(plan.replica_ids.len()),
        checkpoints,
        written: Instant::now(),
        pause: CHECKPOINT_EVERY,
        lap: started,
        steps_a_call: FIRST_CALL,
    };
    let resumed = session.resume(watch, notice)?;
    if !resumed {
        session.change_masks()?;
    }
    let steps_per_epoch = batches.len() as u64;
    for epoch in session.state.step / steps_per_epoch..u64::from(plan.epochs) {
        if session.active().is_empty() {
            break;
        }
        session.epoch(epoch as u32, watch)?;
    }
    session.finish(resumed)
}

/// Replicas of a plan with their initial weights.
fn begin(engine: &mut Engine, plan: &Plan<'_>, replica_ids: &[u32]) -> Result<Batch> {
    let mut batch = engine.begin(&Setup {
        architecture: plan.architecture,
        training: plan.training,
        batch: plan.batch.min(plan.data.samples()),
        pixel_scale: plan.pixel_scale,
        seed: plan.seed,
        replica_ids,
        selection: plan.selection,
    })?;
    let steps_per_epoch = plan.data.samples().div_ceil(plan.batch) as u64;
    batch.follow(plan.learning_rate.over(u64::from(plan.epochs) * steps_per_epoch));
    Ok(batch)
}

/// A session at work.
struct Session<'a> {
    engine: &'a mut Engine,
    plan: &'a Plan<'a>,
    batches: &'a [Range<usize>],
    batch: Batch,
    state: Checkpoint,
    checkpoints: Option<&'a CheckpointFile>,
    /// When the last checkpoint was written.
    written: Instant,
    /// When the next one is due after that: writing them must stay a small part of the time, however large they are.
    pause: Duration,
    /// Since when time has not been charged.
    lap: Instant,
    /// Steps that take about [`CALL`]; how an epoch is cut into calls changes no bit.
    steps_a_call: u64,
}

impl Session<'_> {
    /// Goes to where the checkpoint stands, and says whether there was one.
    fn resume(&mut self, watch: &Watch<'_>, notice: &dyn Fn(&str)) -> Result<bool> {
        let Some(checkpoints) = self.checkpoints else { return Ok(false) };
        match checkpoints.read()? {
            Found::Nothing => Ok(false),
            Found::Damaged => {
                notice(&format!(
                    "the checkpoint {} is damaged: this session starts anew",
                    checkpoints.path().display()
                ));
                Ok(false)
            }
            Found::Checkpoint(checkpoint, replicas) => {
                (watch.progress)(checkpoint.step * self.plan.replica_ids.len() as u64);
                self.state = *checkpoint;
                self.place(&replicas)?;
                Ok(true)
            }
        }
    }

    /// Trains what is left of an epoch and closes it.
    fn epoch(&mut self, epoch: u32, watch: &Watch<'_>) -> Result<()> {
        let plan = self.plan;
        let steps_per_epoch = self.batches.len() as u64;
        let end = u64::from(epoch + 1) * steps_per_epoch;
        let orders = orders(plan, &self.active(), epoch);
        let decay = plan.schedules.first().map_or(1.0, |schedule| schedule.decay() as f32);
        while self.state.step < end {
            let first_step = self.state.step;
            let change = plan.schedules.first().and_then(|schedule| schedule.next_change(first_step));
            let next = (first_step + self.steps_a_call).min(end).min(change.unwrap_or(end));
            let within = (first_step % steps_per_epoch) as usize;
            let length = (next - first_step) as usize;
            let batches = &self.batches[within..within + length];
            let steps = Steps { first_step, orders: &orders, batches, decay };
            let call = Instant::now();
            // The engine is never stopped within a call: all slots must stand at the same step for a checkpoint.
            let uninterrupted = Watch { progress: watch.progress, ..Watch::nobody() };
            let found = self.batch.train(&steps, &uninterrupted)?;
            let per_step = call.elapsed().as_secs_f64() / length as f64;
            self.steps_a_call = ((CALL.as_secs_f64() / per_step) as u64).max(1);
            for (losses, found) in self.state.losses.iter_mut().zip(found.chunks_exact(length)) {
                losses.extend_from_slice(found);
            }
            self.state.step = next;
            if change == Some(next) {
                self.change_masks()?;
            }
            if next == end {
                self.close_epoch(epoch)?;
            }
            self.save_if_due(watch)?;
        }
        Ok(())
    }

    /// Sizes of a history of so many epochs.
    fn shape(&self, epochs: u32) -> HistoryShape {
        let (replicas, weight_count) = (self.plan.replica_ids.len(), self.plan.selection.weights());
        HistoryShape { epochs: epochs as usize, replicas, weight_count }
    }

    /// Does to the masks what the schedules say behind the current step.
    fn change_masks(&mut self) -> Result<()> {
        let of_slots: Vec<_> = self.plan.schedules.iter().map(|schedule| schedule.changes(self.state.step)).collect();
        for (index, &(change, _)) in of_slots.first().into_iter().flatten().enumerate() {
            let weight_count: Vec<u32> = of_slots.iter().map(|changes| changes[index].1).collect();
            self.batch.change_masks(change, &weight_count)?;
        }
        Ok(())
    }

    /// Charges the time since the last charge to a part of the work.
    fn charge(&mut self, part: fn(&mut TrainingTimes) -> &mut Duration) {
        let now = Instant::now();
        *part(&mut self.state.times) += now - std::mem::replace(&mut self.lap, now);
    }

    /// Metrics and the recorded weights.
    fn close_epoch(&mut self, epoch: u32) -> Result<()> {
        let active = self.active();
        let metrics = epoch_metrics(epoch + 1, self.plan, &active, self.batches, &self.state.losses)?;
        self.state.metrics.extend(metrics);
        self.state.losses.iter_mut().for_each(Vec::clear);
        if self.plan.record {
            self.charge(|times| &mut times.train);
            let weights = self.batch.weights(self.plan.selection)?;
            self.state.focus_hashes.push(hash(&weights));
            self.append(&active, &weights);
            self.charge(|times| &mut times.record);
        }
        if self.plan.averaged().contains(&epoch) {
            self.charge(|times| &mut times.train);
            self.batch.accumulate()?;
            self.charge(|times| &mut times.record);
        }
        if let Some(plateau) = self.plan.plateau {
            self.charge(|times| &mut times.train);
            self.stop_at_plateau(plateau, epoch + 1, active)?;
            self.charge(|times| &mut times.plateau);
        }
        Ok(())
    }

    /// Writes the checkpoint if the last one is old, at the end, and when a stop was asked for: then fails.
    fn save_if_due(&mut self, watch: &Watch<'_>) -> Result<()> {
        self.charge(|times| &mut times.train);
        let last = u64::from(self.plan.epochs) * self.batches.len() as u64;
        let active = !self.active().is_empty();
        let finished = self.state.step == last || !active;
        let stop = watch.check();
        if let Some(checkpoints) = self.checkpoints
            && (finished || stop.is_err() || self.written.elapsed() >= self.pause)
        {
            let writing = Instant::now();
            let batch = &mut self.batch;
            checkpoints.write(&mut self.state, &mut |take| if active { batch.visit_replicas(take) } else { Ok(()) })?;
            self.pause = CHECKPOINT_EVERY.max(WRITING_SHARE * writing.elapsed());
            self.written = Instant::now();
        }
        // Writing checkpoints is not charged to training.
        self.lap = Instant::now();
        stop
    }

    /// The mean of each slot's parameters, if they were averaged.
    fn mean(&mut self) -> Result<Vec<Vec<f32>>> {
        let mut means = Vec::new();
        if self.plan.average > 0 {
            let epochs = self.plan.averaged().len() as u32;
            self.batch.visit_replicas(&mut |replica| {
                means.push(replica.mean(epochs));
                Ok(())
            })?;
        }
        Ok(means)
    }

    fn finish(mut self, resumed: bool) -> Result<Trained> {
        let plan = self.plan;
        check_pruned(plan, &mut self.batch, self.state.step)?;
        let epochs = self.rejoin()?;
        let mean = self.mean()?;
        let recorded = if plan.record { epochs.iter().copied().max().unwrap_or(0) } else { 0 };
        let shape = self.shape(recorded);
        Ok(Trained {
            batch: self.batch,
            recorded: History::recorded(shape, self.state.history).of_selection(plan.selection),
            mean,
            epochs,
            focus_hashes: self.state.focus_hashes,
            metrics: self.state.metrics,
            times: self.state.times,
            resumed,
        })
    }
}

/// The order of samples of each active slot; slots of one replica share it.
fn orders(plan: &Plan<'_>, active: &[usize], epoch: u32) -> Vec<Arc<[u32]>> {
    let mut known: BTreeMap<u32, Arc<[u32]>> = BTreeMap::new();
    let samples = plan.data.samples() as u32;
    let mut order = |id| Arc::clone(known.entry(id).or_insert_with(|| shuffled_order(samples, plan.seed, id, epoch)));
    active.iter().map(|&slot| order(plan.replica_ids[slot])).collect()
}

/// Means over the samples of an epoch for each active slot.
fn epoch_metrics(
    epoch: u32,
    plan: &Plan<'_>,
    active: &[usize],
    batches: &[Range<usize>],
    losses: &[Vec<StepLoss>],
) -> Result<Vec<EpochMetrics>> {
    let samples = plan.data.samples() as f64;
    let metrics = |(&slot, losses): (&usize, &Vec<StepLoss>)| {
        let loss: f64 = losses.iter().zip(batches).map(|(step, batch)| f64::from(step.loss) * batch.len() as f64).sum();
        let correct: f64 = losses.iter().map(|step| f64::from(step.correct)).sum();
        if !loss.is_finite() && !plan.keep_diverged {
            return Err(Error::Job(format!(
                "the loss of replica {} is not finite in epoch {epoch}; check the data and --pixel-scale, or try \
                 another --seed",
                plan.replica_ids[slot]
            )));
        }
        Ok(EpochMetrics { epoch, slot, loss: loss / samples, accuracy: correct / samples })
    };
    active.iter().zip(losses).map(metrics).collect()
}

/// Every slot must have exactly as many pruned weights as its schedule says, and each of them a weight of exactly 0.
fn check_pruned(plan: &Plan<'_>, batch: &mut Batch, steps: u64) -> Result<()> {
    if plan.schedules.is_empty() {
        return Ok(());
    }
    let mut slots = plan.replica_ids.iter().zip(plan.schedules);
    batch.visit_replicas(&mut |Replica { parameters, mask, .. }| {
        let Some((id, schedule)) = slots.next() else { return Ok(()) };
        let pruned = mask.iter().filter(|&&kept| kept == 0).count();
        let zeros = mask.iter().zip(&parameters).filter(|&(&kept, &weight)| kept == 0 && weight == 0.0);
        let expected = schedule.pruned(steps);
        if pruned != expected || zeros.count() != expected {
            return Err(Error::Job(format!(
                "replica {id} should have {expected} pruned weights, but {pruned} are masked or not all of them are 0; this \
                 is a defect, please report it"
            )));
        }
        Ok(())
    })
}
