//! `holdfast train`: replicas, their history and their weights.
//!
//! With `--stop-at-plateau` each replica stops on its own, and `--against-full` says what that saved and what it cost.

use super::compare::print_configuration;
use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, RunOptions, Share};
use super::progress::Reporter;
use super::run::prepare;
use super::stop::stop_flag;
use super::{dry_run, output};
use crate::engine::{Batch, DataHandle, Watch};
use crate::error::Result;
use crate::run_folder::csv;
use crate::study::Control;
use crate::study::accuracy::Summary;
use crate::study::comparison::hash_parameters;
use crate::study::configuration::Configuration;
use crate::study::experiment::{Cell, train_and_record};
use crate::study::memory::Job;
use crate::study::numbers::percent;
use crate::study::records::write_records;
use crate::training::Trained;
use clap::Args;
use serde::Serialize;
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
    /// Stop a replica when its number of stable weights, at tolerance 0.03 if it is one of them, has come so near to its plateau: less than
    /// this share of the focus layer is missing, in three epochs one after the other.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    stop_at_plateau: Option<Share>,
    /// Train the same replicas for all epochs too, and say what stopping saved and what accuracy it cost.
    #[arg(long, requires = "stop_at_plateau")]
    against_full: bool,
    /// Start anew, whatever an earlier call has done.
    #[arg(long)]
    fresh: bool,
    /// Say what would be done, how much memory, disk and time it takes, and stop.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &TrainArguments) -> Result<()> {
    let configuration = arguments.run.resolve_training(&arguments.file, arguments.stop_at_plateau)?;
    if arguments.file.print_config {
        return print_configuration(&configuration);
    }
    let mut prepared = prepare("train", configuration, &arguments.device, arguments.output.quiet)?;
    if arguments.dry_run {
        let replicates = prepared.configuration.replicates;
        return dry_run::print(&mut prepared, replicates, Job::Train, arguments.output.json);
    }
    let mut run = prepared.start("train", arguments.out.as_deref(), arguments.fresh)?;
    let reporter = Reporter::new(arguments.output.quiet);
    let control = Control { stop: stop_flag(), progress: &reporter };
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let mut trained = train_and_record(&mut run.engine, cell, &run.configuration, &folder, control)?;
        let parameters = trained.batch.parameters()?;
        write_records(&folder, cell, &trained, &parameters, run.configuration.stop_at_plateau.is_some())?;
        let (training, test) = cell.upload(&mut run.engine)?;
        let accuracies = accuracies_of(&mut trained.batch, test, control)?;
        let last: Vec<f64> = trained
            .metrics
            .iter()
            .filter(|metrics| metrics.epoch == trained.epochs[metrics.slot])
            .map(|metrics| metrics.accuracy)
            .collect();
        let training_accuracy = mean(&last);
        let spread = Summary::of(&accuracies).and_then(|summary| summary.sd);
        lines.push(format!(
            "{}: {} replicas, {} epochs, {:.1} s; accuracy {:.2} % in training, {:.2} %{} in test\n",
            cell.name(),
            run.configuration.replicates,
            run.configuration.epochs,
            trained.times.train.as_secs_f64(),
            100.0 * training_accuracy,
            100.0 * mean(&accuracies),
            spread.map(|sd| format!(" ± {:.2}", 100.0 * sd)).unwrap_or_default(),
        ));
        values.push(json!({
            "model": cell.model(),
            "data_set": cell.data_set,
            "training_accuracy": training_accuracy,
            "test_accuracies": accuracies,
            "train_s": trained.times.train.as_secs_f64(),
        }));
        if let Some(share) = run.configuration.stop_at_plateau {
            let to_plateau = Plateaus::of(cell, &mut trained, training, &accuracies, control)?;
            let in_full = match arguments.against_full {
                false => None,
                true => {
                    let configuration = Configuration { stop_at_plateau: None, ..run.configuration.clone() };
                    let mut full = train_and_record(&mut run.engine, cell, &configuration, &folder, control)?;
                    let accuracies = accuracies_of(&mut full.batch, test, control)?;
                    Some(Plateaus::of(cell, &mut full, training, &accuracies, control)?)
                }
            };
            let rows = plateau_rows(&to_plateau, in_full.as_ref(), run.configuration.epochs);
            csv::write(&folder.file("plateau.csv")?, PLATEAU_COLUMNS, &rows)?;
            lines.push(plateau_text(share, &rows, &to_plateau, in_full.as_ref()));
            values.push(json!({ "stop_at_plateau": share, "replicas": rows }));
        }
        let hashes = &mut run.manifest.weight_hashes;
        for (epoch, hash) in (1..).zip(&trained.focus_hashes) {
            hashes.insert(format!("{}: focus layer, epoch {epoch:04}", cell.label(&run.configuration)), hash.clone());
        }
        hashes.insert(format!("{}: all parameters", cell.label(&run.configuration)), hash_parameters(&parameters));
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

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Accuracy of each replica on a data set.
fn accuracies_of(batch: &mut Batch, data: DataHandle, control: Control<'_>) -> Result<Vec<f64>> {
    let silent = Watch { stop: control.stop, progress: &|_| {} };
    Ok(batch.evaluate(data, &silent)?.iter().map(|evaluation| evaluation.accuracy()).collect())
}

/// Columns of `plateau.csv`.
const PLATEAU_COLUMNS: &[&str] = &[
    "model",
    "data_set",
    "replica",
    "epochs",
    "of_epochs",
    "training_accuracy",
    "test_accuracy",
    "full_training_accuracy",
    "full_test_accuracy",
];

/// A line of `plateau.csv`. Accuracies are of the trained networks, one pass over the images; those of full training are
/// there only where it was asked for.
#[derive(Serialize)]
struct PlateauRow {
    model: String,
    data_set: String,
    replica: usize,
    epochs: u32,
    of_epochs: u32,
    training_accuracy: f64,
    test_accuracy: f64,
    full_training_accuracy: Option<f64>,
    full_test_accuracy: Option<f64>,
}

/// Replicas of a cell as they ended.
struct Plateaus {
    model: &'static str,
    data_set: String,
    epochs: Vec<u32>,
    training_accuracies: Vec<f64>,
    test_accuracies: Vec<f64>,
    train_s: f64,
    /// Deciding when to stop.
    plateau_s: f64,
}

impl Plateaus {
    fn of(
        cell: &Cell,
        trained: &mut Trained,
        training: DataHandle,
        test_accuracies: &[f64],
        control: Control<'_>,
    ) -> Result<Self> {
        Ok(Self {
            model: cell.model(),
            data_set: cell.data_set.clone(),
            epochs: trained.epochs.clone(),
            training_accuracies: accuracies_of(&mut trained.batch, training, control)?,
            test_accuracies: test_accuracies.to_vec(),
            train_s: trained.times.train.as_secs_f64(),
            plateau_s: trained.times.plateau.as_secs_f64(),
        })
    }
}

fn plateau_rows(stopped: &Plateaus, full: Option<&Plateaus>, of_epochs: u32) -> Vec<PlateauRow> {
    let row = |replica: usize| PlateauRow {
        model: stopped.model.into(),
        data_set: stopped.data_set.clone(),
        replica,
        epochs: stopped.epochs[replica],
        of_epochs,
        training_accuracy: stopped.training_accuracies[replica],
        test_accuracy: stopped.test_accuracies[replica],
        full_training_accuracy: full.map(|full| full.training_accuracies[replica]),
        full_test_accuracy: full.map(|full| full.test_accuracies[replica]),
    };
    (0..stopped.epochs.len()).map(row).collect()
}

/// What stopping saved, and what it cost against training the same replicas in full.
fn plateau_text(share: f64, rows: &[PlateauRow], stopped: &Plateaus, full: Option<&Plateaus>) -> String {
    let epochs: Vec<f64> = rows.iter().map(|row| f64::from(row.epochs)).collect();
    let possible: f64 = rows.iter().map(|row| f64::from(row.of_epochs)).sum();
    let early = rows.iter().filter(|row| row.epochs < row.of_epochs).count();
    let mut text = format!(
        "  plateau within {} of the layer: {early} of {} replicas stopped early, after {:.1} epochs on average; {:.1} % \
         of the epochs saved\n",
        percent(share),
        rows.len(),
        mean(&epochs),
        100.0 * (1.0 - epochs.iter().sum::<f64>() / possible)
    );
    let Some(full) = full else { return text };
    let lost = |own: &[f64], full: &[f64]| {
        let differences: Vec<f64> = own.iter().zip(full).map(|(own, full)| own - full).collect();
        let half = Summary::of(&differences).and_then(|summary| summary.half_width());
        let interval = half.map(|half| format!(" ± {:.2}", 100.0 * half)).unwrap_or_default();
        format!("{:+.2}{interval}", 100.0 * mean(&differences))
    };
    text += &format!(
        "  against the same replicas trained in full: {:.1} s of training and {:.1} s of deciding when to stop instead of \
         {:.1} s; accuracy {} points in training, {} in test (mean difference in pairs, 95 % interval)\n",
        stopped.train_s,
        stopped.plateau_s,
        full.train_s,
        lost(&stopped.training_accuracies, &full.training_accuracies),
        lost(&stopped.test_accuracies, &full.test_accuracies)
    );
    text
}
