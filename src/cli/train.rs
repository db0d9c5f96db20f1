//! `holdfast train`: replicas, their history and their weights.
//!
//! With `--stop-at-plateau` each replica stops on its own, and `--against-full` says what that saved and what it cost.

use super::options::{FolderOptions, RunArguments, Share};
use super::output;
use super::progress::Reporter;
use super::run::{finish, prepare};
use crate::engine::{Batch, Control, DataHandle, Evaluation, Network};
use crate::error::Result;
use crate::network::Selection;
use crate::numbers::percent;
use crate::results::summary::Summary;
use crate::run::cell::{Cell, train_and_record};
use crate::run::configuration::Configuration;
use crate::run::records::{write_calibration, write_records};
use crate::run_folder::csv;
use crate::statistics::mean;
use crate::study::comparison::hash_parameters;
use crate::study::memory::Job;
use crate::training::Trained;
use clap::Args;
use serde::Serialize;
use serde_json::json;

/// Arguments of `train`.
#[derive(Args)]
pub(super) struct TrainArguments {
    #[command(flatten)]
    run: RunArguments,
    /// Stop a replica when its number of stable weights, at tolerance 0.03 if it is one of them, has come so near to its plateau: less than
    /// this share of the focus layer is missing, in three epochs one after the other.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    stop_at_plateau: Option<Share>,
    /// Train the same replicas for all epochs too, and say what stopping saved and what accuracy it cost.
    #[arg(long, requires = "stop_at_plateau")]
    against_full: bool,
}

pub(super) fn run(arguments: &TrainArguments) -> Result<()> {
    let RunArguments { run: options, file, folder: FolderOptions { output: say, out, .. }, fresh, .. } = &arguments.run;
    let configuration = options.resolve_training(file, arguments.stop_at_plateau)?;
    let Some(prepared) = prepare("train", configuration, &arguments.run, Job::Train, None)? else { return Ok(()) };
    let mut run = prepared.start(out.as_deref(), *fresh)?;
    let reporter = Reporter::new(say.quiet);
    let control = reporter.control();
    let mut lines = Vec::new();
    let mut values = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let mut trained = train_and_record(&mut run.engine, cell, &run.configuration, &folder, control)?;
        let parameters = trained.batch.parameters()?;
        write_records(&folder, cell, &trained, &parameters, run.configuration.stop_at_plateau.is_some())?;
        write_calibration(&folder, cell, &run.configuration)?;
        let (training, test) = cell.upload(&mut run.engine)?;
        let accuracies = accuracies_of(&mut trained.batch, test, control)?;
        let last: Vec<f64> = trained
            .metrics
            .iter()
            .filter(|metrics| metrics.epoch == trained.epochs[metrics.slot])
            .map(|metrics| metrics.accuracy)
            .collect();
        let training_accuracy = mean(&last);
        let of_means = averaged_accuracies(&mut trained, test, control)?;
        let averaged = match of_means.is_empty() {
            true => String::new(),
            false => {
                let epochs = run.configuration.averaged_epochs();
                format!("; weights averaged over the last {epochs} epochs: {:.2} %", 100.0 * mean(&of_means))
            }
        };
        let spread = Summary::of(&accuracies).and_then(|summary| summary.sd);
        lines.push(format!(
            "{}: {} replicas, {} epochs, {:.1} s; accuracy {:.2} % in training, {:.2} %{} in test{averaged}\n",
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
            "averaged_test_accuracies": of_means,
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
            csv::write::<PlateauRow>(&folder.file("plateau.csv")?, &rows)?;
            lines.push(plateau_text(share, &rows, &to_plateau, in_full.as_ref()));
            values.push(json!({ "stop_at_plateau": share, "replicas": rows }));
        }
        let label = cell.label(&run.configuration);
        let hashes = &mut run.manifest.weight_hashes;
        let is_focus = cell.selection == Selection::focus(&cell.architecture);
        let recorded = if is_focus { "focus layer" } else { "recorded layers" };
        for (epoch, hash) in (1..).zip(&trained.focus_hashes) {
            hashes.insert(format!("{label}: {recorded}, epoch {epoch:04}"), hash.clone());
        }
        hashes.insert(format!("{label}: all parameters"), hash_parameters(&parameters));
        let times = &mut run.manifest.wall_times;
        times.insert(format!("{label}: train"), trained.times.train.as_secs_f64());
        times.insert(format!("{label}: record history"), trained.times.record.as_secs_f64());
    }
    finish(&run.folder, &mut run.manifest)?;
    let folder = run.folder.path().display().to_string();
    if say.json {
        return output::json(&json!({ "folder": folder, "cells": values }));
    }
    output::result(&format!("{}Files are in {folder}.\n", lines.concat()))
}

/// Accuracy of each replica on a data set.
fn accuracies_of(batch: &mut Batch, data: DataHandle, control: Control<'_>) -> Result<Vec<f64>> {
    Ok(batch.evaluate(data, &control.silent())?.iter().map(|evaluation| evaluation.accuracy()).collect())
}

/// The same of the networks whose weights are averaged.
fn averaged_accuracies(trained: &mut Trained, data: DataHandle, control: Control<'_>) -> Result<Vec<f64>> {
    let network = |(slot, parameters): (usize, &Vec<f32>)| Network { slot, parameters: parameters.as_slice().into() };
    let networks: Vec<Network> = trained.mean.iter().enumerate().map(network).collect();
    let evaluations = trained.batch.sweep_networks(data, 0, &networks, &control.silent())?;
    Ok(evaluations.iter().map(Evaluation::accuracy).collect())
}

/// A line of `plateau.csv`. Accuracies are of the trained networks, one pass over the images; those of full training are
/// there only where it was asked for.
#[derive(Default, Serialize)]
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
