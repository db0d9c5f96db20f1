//! `--dry-run`: what a run would do, and what it would take.

use super::output;
use super::run::Prepared;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Setup, Steps, Watch};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::study::experiment::Cell;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Training is tried for about this long to estimate its speed.
const TRIAL: Duration = Duration::from_millis(300);
/// Steps of one trial.
const TRIAL_STEPS: usize = 4;

/// Which command is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Training and everything that follows.
    Compare,
    /// Training alone.
    Train,
}

/// Prints training runs, replica-steps, memory, disk and estimated time.
pub(super) fn print(prepared: &mut Prepared, job: Job, as_json: bool) -> Result<()> {
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for index in 0..prepared.cells.len() {
        let cell = prepared.cells[index].clone();
        let configuration = prepared.configuration.clone();
        let steps = cell.split.training.samples().div_ceil(configuration.batch) as u64;
        let replicates = u64::from(configuration.replicates);
        let trained = steps * u64::from(configuration.epochs) * replicates;
        let rules = configuration.ed_rule.rules().len() as u64;
        let targets = if job == Job::Compare { configuration.ed_targets.len() as u64 } else { 0 };
        // Exponential decay runs twice: one target after the other, and all at once.
        let decayed = 2 * rules * targets * steps * u64::from(configuration.ed_epochs) * replicates;
        let runs = replicates * (1 + 2 * rules * targets);
        let seconds = seconds_per_step(prepared, &cell)? * (trained + decayed) as f64;
        let parameters = ParameterLayout::new(&cell.architecture).parameters() as u64;
        let history = u64::from(configuration.epochs) * replicates * cell.architecture.nodes() as u64 * 4;
        let slots = replicates * targets.max(1);
        let data = (cell.split.training.images.len() + cell.split.test.images.len()) as u64;
        let memory = data + 2 * history + slots * parameters * 4 * 3 * 2;
        let columns = replicates * cell.architecture.nodes() as u64;
        let rows = columns * (configuration.tolerance.len() as u64 + 7);
        let disk = history + replicates * parameters * 4 + if job == Job::Compare { rows * 100 } else { 0 };
        lines.push(format!(
            "{}: {runs} training runs, {} replica-steps of {} images; about {:.0} MB of memory, {:.0} MB on disk, \
             {seconds:.0} s of training on this device\n",
            cell.name(),
            trained + decayed,
            configuration.batch,
            memory as f64 / 1e6,
            (disk as f64 / 1e6).max(1.0),
        ));
        values.push(json!({
            "model": cell.model(),
            "data_set": cell.data_set,
            "training_runs": runs,
            "replica_steps": trained + decayed,
            "memory_bytes": memory,
            "disk_bytes": disk,
            "training_s": seconds,
        }));
    }
    if as_json {
        return output::json(&json!({ "configuration_hash": prepared.hash, "cells": values }));
    }
    output::result(&format!("configuration {}\n{}", prepared.hash, lines.concat()))
}

/// Seconds of one replica-step, tried on the device.
fn seconds_per_step(prepared: &mut Prepared, cell: &Cell) -> Result<f64> {
    let configuration = &prepared.configuration;
    let training = prepared.engine.load(&cell.split.training)?;
    let ids: Vec<u32> = (0..configuration.replicates).collect();
    let mut batch = prepared.engine.begin(&Setup {
        architecture: &cell.architecture,
        training,
        batch: configuration.batch.min(cell.split.training.samples()),
        pixel_scale: configuration.pixel_scale,
        seed: configuration.seed,
        replica_ids: &ids,
    })?;
    let order: Arc<[u32]> = shuffled_order(cell.split.training.samples() as u32, configuration.seed, 0, 0);
    let orders = vec![order; ids.len()];
    let mut batches = step_ranges(cell.split.training.samples(), configuration.batch)?;
    batches.truncate(TRIAL_STEPS);
    let stop = AtomicBool::new(false);
    let watch = Watch { stop: &stop, progress: &|_| {} };
    let mut trial =
        |first_step| batch.train(&Steps { first_step, orders: &orders, batches: &batches, decay: 1.0 }, &watch);
    // The first one builds pipelines and fills caches.
    trial(0)?;
    let start = Instant::now();
    let mut trials = 0;
    while start.elapsed() < TRIAL {
        trials += 1;
        trial(trials * batches.len() as u64)?;
    }
    Ok(start.elapsed().as_secs_f64() / (trials as f64 * batches.len() as f64 * ids.len() as f64))
}
