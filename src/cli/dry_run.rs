//! `--dry-run`: what a run would do, and what it would take.

use super::output;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Engine, HistoryShape, Steps, Watch};
use crate::error::Result;
use crate::network::{ParameterLayout, Tensor};
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::study::memory::{self, Job, Phase};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Training is tried for about this long to estimate its speed.
const TRIAL: Duration = Duration::from_millis(300);
/// Steps of one trial.
const TRIAL_STEPS: usize = 4;

/// Prints training runs, replica-steps, memory, disk and estimated time, of `replicates` replicas of each cell.
pub(super) fn print(
    engine: &mut Engine,
    cells: &[Cell],
    configuration: &Configuration,
    replicates: u32,
    job: Job,
    hash: &str,
    as_json: bool,
) -> Result<()> {
    let mut lines = Vec::new();
    let mut values = Vec::new();
    // A device has memory of its own, unless it is the processor in another guise.
    let device = &engine.description().kind;
    let shares_memory = ["CPU engine", "software", "integrated GPU"].contains(&device.as_str());
    // What a run of these cells takes before it trains: the program, its driver, all data.
    for cell in cells {
        cell.upload(engine)?;
    }
    let mut before = of_process("VmRSS:").unwrap_or_else(|| data_bytes(cells));
    // Reading and uploading data may have taken more than what comes after.
    let loading = of_process("VmHWM:").unwrap_or(before);
    let trials: Vec<f64> =
        cells.iter().map(|cell| seconds_per_step(engine, configuration, cell, replicates)).collect::<Result<_>>()?;
    if engine.device().is_some() {
        // Compiled kernels stay. What the trials have left behind goes with the next work on the device.
        engine.rank(HistoryShape { epochs: 1, replicas: 1, weight_count: 1 }, &[0.0])?;
        before = of_process("VmRSS:").unwrap_or(before);
    }
    let mut peaks = [0, 0];
    for (cell, trial) in cells.iter().zip(trials) {
        let steps = cell.steps(configuration);
        let copies = u64::from(replicates);
        let trained = steps * u64::from(configuration.epochs) * copies;
        let rules = configuration.ed_rule.rules().len() as u64;
        let targets = if job == Job::Compare { configuration.ed_targets.len() as u64 } else { 0 };
        // Exponential decay runs twice: one target after the other, and all at once.
        let decayed = 2 * rules * targets * steps * u64::from(configuration.ed_epochs) * copies;
        let runs = copies * (1 + 2 * rules * targets);
        let phases = memory::phases(engine, cell, configuration, replicates, job)?;
        let host = |phase: &Phase| phase.beside() + if shares_memory { phase.on_device() } else { 0 };
        let largest = phases.iter().copied().max_by_key(host).unwrap_or_default();
        let (memory, at) =
            [(loading, "loading data"), (before + host(&largest), largest.name)].into_iter().max().unwrap_or_default();
        let on_device = phases.iter().map(Phase::on_device).max().unwrap_or(0);
        peaks = [peaks[0].max(memory), peaks[1].max(on_device)];
        let seconds = trial * (trained + decayed) as f64;
        let parameters = ParameterLayout::new(&cell.architecture).stored().map(Tensor::len).sum::<usize>() as u64;
        let history = u64::from(configuration.epochs) * copies * cell.selection.weights() as u64 * 4;
        let columns = copies * cell.architecture.weight_count() as u64;
        let rows = columns * (configuration.tolerance.len() as u64 + 7);
        let disk = history + copies * parameters * 4 + if job == Job::Compare { rows * 100 } else { 0 };
        lines.push(format!(
            "{}: {runs} training runs, {} replica-steps of {} images; about {:.0} MB of memory while {}{}, {:.0} MB on \
             disk, {seconds:.0} s of training on this device\n",
            cell.name(),
            trained + decayed,
            configuration.batch,
            memory as f64 / 1e6,
            at,
            if shares_memory { String::new() } else { format!(", {:.0} MB on the device", on_device as f64 / 1e6) },
            (disk as f64 / 1e6).max(1.0),
        ));
        values.push(json!({
            "model": cell.model(),
            "data_set": cell.data_set,
            "training_runs": runs,
            "replica_steps": trained + decayed,
            "memory_bytes": memory,
            "device_memory_bytes": (!shares_memory).then_some(on_device),
            "phases": phases,
            "disk_bytes": disk,
            "training_s": seconds,
        }));
    }
    if as_json {
        return output::json(&json!({
            "configuration_hash": hash,
            "memory_bytes": peaks[0],
            "device_memory_bytes": (!shares_memory).then_some(peaks[1]),
            "before_training_bytes": before,
            "loading_bytes": loading,
            "cells": values,
        }));
    }
    output::result(&format!("configuration {hash}\n{}", lines.concat()))
}

/// Images and labels of all cells; networks that take the same images share them.
fn data_bytes(cells: &[Cell]) -> u64 {
    let sets = cells.iter().flat_map(|cell| [&cell.split.training, &cell.split.test]);
    let distinct: BTreeMap<_, _> = sets.map(|set| (Arc::as_ptr(set), set.images.len() + set.labels.len())).collect();
    distinct.values().map(|&bytes| bytes as u64).sum()
}

/// Bytes of memory that this process takes now, or has taken at most, where the system tells.
fn of_process(what: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Seconds of one replica-step, tried on the device.
fn seconds_per_step(engine: &mut Engine, configuration: &Configuration, cell: &Cell, replicates: u32) -> Result<f64> {
    let ids: Vec<u32> = (0..replicates).collect();
    let mut batch = cell.begin(engine, configuration, &ids)?;
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
