//! One training session: a batch of replicas from their initial weights to the last epoch.

use crate::data::Dataset;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Batch, DataHandle, Engine, HistoryShape, Replica, Setup, StepLoss, Steps, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use crate::pruning::decay::DensitySchedule;
use crate::stability::History;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    /// Passes over the training set.
    pub epochs: u32,
    /// For each slot how it is pruned while it trains; all update at the same steps. Empty: nothing is pruned.
    pub schedules: &'a [DensitySchedule],
    /// Whether the focus layer is remembered after each epoch.
    pub record: bool,
}

/// Running means of one epoch of one slot, taken before each update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: u32,
    /// Slot, in the order of [`Plan::replica_ids`].
    pub slot: usize,
    /// Mean cross-entropy over the samples of the epoch.
    pub loss: f64,
    /// Share of samples classified correctly.
    pub accuracy: f64,
}

/// Where the time of a session went.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainingTimes {
    /// Initialising, training and pruning.
    pub train: Duration,
    /// Reading the focus layer back and hashing it.
    pub record: Duration,
}

/// Trained replicas, still on their device.
pub struct Trained {
    /// The replicas.
    pub batch: Box<dyn Batch>,
    /// The recorded focus layer; `None` if [`Plan::record`] was off.
    pub history: Option<History>,
    /// SHA-256 of the recorded focus layers `[slot, node]`, one for each epoch.
    pub focus_hashes: Vec<String>,
    /// Metrics, epoch by epoch, slot by slot.
    pub metrics: Vec<EpochMetrics>,
    /// What it took.
    pub times: TrainingTimes,
}

/// Trains by `plan` on `engine`. `on_epoch` hears the metrics of each finished epoch.
///
/// Fails if a loss is not finite, if a schedule's number of pruned nodes was missed, or if a stop was asked for.
pub fn train(
    engine: &mut dyn Engine,
    plan: &Plan<'_>,
    watch: &Watch<'_>,
    on_epoch: &mut dyn FnMut(&[EpochMetrics]),
) -> Result<Trained> {
    let started = Instant::now();
    let mut times = TrainingTimes::default();
    let mut batch = engine.begin(&Setup {
        architecture: plan.architecture,
        training: plan.training,
        batch: plan.batch.min(plan.data.samples()),
        pixel_scale: plan.pixel_scale,
        seed: plan.seed,
        replica_ids: plan.replica_ids,
    })?;
    let batches = step_ranges(plan.data.samples(), plan.batch)?;
    let steps_per_epoch = batches.len() as u64;
    let mut history = Vec::new();
    let mut focus_hashes = Vec::new();
    let mut metrics = Vec::new();
    for epoch in 0..plan.epochs {
        let orders = orders(plan, epoch);
        let mut losses = vec![Vec::with_capacity(batches.len()); plan.replica_ids.len()];
        for segment in segments(plan.schedules, u64::from(epoch) * steps_per_epoch, steps_per_epoch) {
            let first_step = segment.steps.start;
            let within = (first_step % steps_per_epoch) as usize;
            let length = (segment.steps.end - first_step) as usize;
            let steps = Steps { first_step, orders: &orders, batches: &batches[within..within + length] };
            let found = batch.train(&steps, watch)?;
            for (losses, found) in losses.iter_mut().zip(found.chunks_exact(length)) {
                losses.extend_from_slice(found);
            }
            if segment.prune_after {
                let remove: Vec<u32> =
                    plan.schedules.iter().map(|schedule| schedule.removed(segment.steps.end) as u32).collect();
                batch.prune_smallest(&remove)?;
            }
        }
        let finished = epoch_metrics(epoch + 1, plan, &batches, &losses)?;
        on_epoch(&finished);
        metrics.extend(finished);
        if plan.record {
            let recording = Instant::now();
            let weights = batch.focus_weights()?;
            focus_hashes.push(hash(&weights));
            history.extend(weights);
            times.record += recording.elapsed();
        }
    }
    check_pruned(plan, &mut *batch, u64::from(plan.epochs) * steps_per_epoch)?;
    times.train = started.elapsed() - times.record;
    let shape = HistoryShape {
        epochs: plan.epochs as usize,
        replicas: plan.replica_ids.len(),
        nodes: plan.architecture.nodes(),
    };
    let history = plan.record.then(|| History::new(shape, history)).transpose()?;
    Ok(Trained { batch, history, focus_hashes, metrics, times })
}

/// SHA-256 of numbers in little-endian bytes, in hexadecimal.
pub fn hash(numbers: &[f32]) -> String {
    let digest = Sha256::digest(bytemuck::cast_slice::<f32, u8>(numbers));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The order of samples of each slot; slots of one replica share it.
fn orders(plan: &Plan<'_>, epoch: u32) -> Vec<Arc<[u32]>> {
    let mut known: BTreeMap<u32, Arc<[u32]>> = BTreeMap::new();
    let samples = plan.data.samples() as u32;
    let order = |id| Arc::clone(known.entry(id).or_insert_with(|| shuffled_order(samples, plan.seed, id, epoch)));
    plan.replica_ids.iter().copied().map(order).collect()
}

/// Steps between two updates of the masks.
struct Segment {
    steps: Range<u64>,
    prune_after: bool,
}

/// Cuts an epoch where the schedules update.
fn segments(schedules: &[DensitySchedule], first: u64, count: u64) -> Vec<Segment> {
    let end = first + count;
    let mut segments = Vec::new();
    let mut step = first;
    while step < end {
        let update = schedules.first().and_then(|schedule| schedule.next_update(step)).filter(|&update| update <= end);
        let next = update.unwrap_or(end);
        segments.push(Segment { steps: step..next, prune_after: update.is_some() });
        step = next;
    }
    segments
}

/// Means over the samples of an epoch for each slot.
fn epoch_metrics(
    epoch: u32,
    plan: &Plan<'_>,
    batches: &[Range<usize>],
    losses: &[Vec<StepLoss>],
) -> Result<Vec<EpochMetrics>> {
    let samples = plan.data.samples() as f64;
    let metrics = |(slot, losses): (usize, &Vec<StepLoss>)| {
        let loss: f64 = losses.iter().zip(batches).map(|(step, batch)| f64::from(step.loss) * batch.len() as f64).sum();
        let correct: f64 = losses.iter().map(|step| f64::from(step.correct)).sum();
        if !loss.is_finite() {
            return Err(Error::Job(format!(
                "the loss of replica {} is not finite in epoch {epoch}; check the data and --pixel-scale, or try \
                 another --seed",
                plan.replica_ids[slot]
            )));
        }
        Ok(EpochMetrics { epoch, slot, loss: loss / samples, accuracy: correct / samples })
    };
    losses.iter().enumerate().map(metrics).collect()
}

/// Every slot must have exactly as many pruned nodes as its schedule says, and each of them a weight of exactly 0.
fn check_pruned(plan: &Plan<'_>, batch: &mut dyn Batch, steps: u64) -> Result<()> {
    if plan.schedules.is_empty() {
        return Ok(());
    }
    let focus = ParameterLayout::new(plan.architecture).focus_weight().range();
    for (slot, (replica, schedule)) in batch.replicas()?.iter().zip(plan.schedules).enumerate() {
        let Replica { parameters, mask, .. } = replica;
        let pruned = mask.iter().filter(|&&kept| kept == 0).count();
        let zeros = mask.iter().zip(&parameters[focus.clone()]).filter(|&(&kept, &weight)| kept == 0 && weight == 0.0);
        let expected = schedule.removed(steps);
        if pruned != expected || zeros.count() != expected {
            return Err(Error::Job(format!(
                "replica {} should have {expected} pruned nodes, but {pruned} are masked or not all of them are 0; this \
                 is a defect, please report it",
                plan.replica_ids[slot]
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cover_the_epoch_and_end_at_updates() {
        let schedules = [DensitySchedule::new(0.5, 900, 3, 250)];
        let cut = |epoch: u64| -> Vec<(u64, u64, bool)> {
            let segments = segments(&schedules, epoch * 250, 250);
            segments.iter().map(|segment| (segment.steps.start, segment.steps.end, segment.prune_after)).collect()
        };
        assert_eq!(cut(0), [(0, 50, true), (50, 100, true), (100, 150, true), (150, 200, true), (200, 250, true)]);
        assert_eq!(cut(1).last(), Some(&(450, 500, true)));
        assert_eq!(cut(2), [(500, 750, false)]);
    }

    #[test]
    fn without_schedules_an_epoch_is_one_segment() {
        assert_eq!(segments(&[], 20, 10).len(), 1);
    }
}
