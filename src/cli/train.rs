//! `holdfast train`: replicas, their history and their weights.

use super::compare::print_configuration;
use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, RunOptions};
use super::progress::Reporter;
use super::run::prepare;
use super::{dry_run, output, stop_flag};
use crate::engine::Watch;
use crate::error::Result;
use crate::study::Control;
use crate::study::accuracy::Summary;
use crate::study::comparison::hash_parameters;
use crate::study::configuration::Model;
use crate::study::experiment::{train_and_record, write_records};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `train`.
#[derive(Args)]
pub(super) struct TrainArguments {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Run folder; `runs/train-<hash>` if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start anew, whatever an earlier call has done.
    #[arg(long)]
    fresh: bool,
    /// Say what would be done, how much memory, disk and time it takes, and stop.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &TrainArguments) -> Result<()> {
    let configuration = arguments.run.resolve(&arguments.file, Some(Model::Dnn))?;
    if arguments.file.print_config {
        return print_configuration(&configuration);
    }
    let mut prepared = prepare("train", configuration, &arguments.device, arguments.output.quiet)?;
    if arguments.dry_run {
        return dry_run::print(&mut prepared, dry_run::Job::Train, arguments.output.json);
    }
    let mut run = prepared.start("train", arguments.out.as_deref(), arguments.fresh)?;
    let reporter = Reporter::new(arguments.output.quiet);
    let control = Control { stop: stop_flag()?, progress: &reporter };
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let mut trained = train_and_record(&mut *run.engine, cell, &run.configuration, &folder, control)?;
        let replicas = trained.batch.replicas()?;
        write_records(&folder, cell, &trained, &replicas)?;
        let (_, test) = cell.upload(&mut *run.engine)?;
        let watch = Watch { stop: control.stop, progress: &|_| {} };
        let accuracies: Vec<f64> =
            trained.batch.evaluate(test, &watch)?.iter().map(|evaluation| evaluation.accuracy()).collect();
        let last: Vec<_> = trained.metrics.iter().filter(|metrics| metrics.epoch == run.configuration.epochs).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let training_accuracy = mean(&last.iter().map(|metrics| metrics.accuracy).collect::<Vec<_>>());
        let spread = Summary::of(&accuracies).and_then(|summary| summary.sd);
        lines.push(format!(
            "{}: {} replicas, {} epochs, {:.1} s; accuracy {training_accuracy:.4} in training, {:.4}{} in test\n",
            cell.name(),
            run.configuration.replicates,
            run.configuration.epochs,
            trained.times.train.as_secs_f64(),
            mean(&accuracies),
            spread.map(|sd| format!(" ± {sd:.4}")).unwrap_or_default(),
        ));
        values.push(json!({
            "model": cell.model(),
            "data_set": cell.data_set,
            "training_accuracy": training_accuracy,
            "test_accuracies": accuracies,
            "train_s": trained.times.train.as_secs_f64(),
        }));
        let hashes = &mut run.manifest.weight_hashes;
        for (epoch, hash) in (1..).zip(&trained.focus_hashes) {
            hashes.insert(format!("{}: focus layer, epoch {epoch:04}", cell.label(&run.configuration)), hash.clone());
        }
        hashes.insert(format!("{}: all parameters", cell.label(&run.configuration)), hash_parameters(&replicas));
        let times = &mut run.manifest.wall_times;
        times.insert(format!("{}: train", cell.label(&run.configuration)), trained.times.train.as_secs_f64());
        times.insert(format!("{}: record history", cell.label(&run.configuration)), trained.times.record.as_secs_f64());
    }
    run.finish()?;
    let folder = run.folder.path().display().to_string();
    if arguments.output.json {
        return output::json(&json!({ "folder": folder, "cells": values }));
    }
    output::result(&format!("{}Files are in {folder}.\n", lines.concat()))
}
