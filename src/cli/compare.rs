//! `holdfast compare`: the main job.

use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, RunOptions};
use super::progress::Reporter;
use super::run::{Run, prepare};
use super::{dry_run, output, stop_flag};
use crate::error::{Error, Result};
use crate::report::html::{self, Provenance};
use crate::report::{Cell as ReportCell, figures, tables};
use crate::study::Control;
use crate::study::comparison::{Results, compare, read_back, write_together};
use crate::study::experiment::Cell;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments of `compare`.
#[derive(Args)]
pub(super) struct CompareArguments {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Run folder; `runs/compare-<hash>` if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start anew, whatever an earlier call has done.
    #[arg(long)]
    fresh: bool,
    /// Say what would be done, how much memory, disk and time it takes, and stop.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &CompareArguments) -> Result<()> {
    let configuration = arguments.run.resolve(&arguments.file, None)?;
    if arguments.file.print_config {
        return print_configuration(&configuration);
    }
    let quiet = arguments.output.quiet;
    let mut prepared = prepare("compare", configuration, &arguments.device, quiet)?;
    if arguments.dry_run {
        return dry_run::print(&mut prepared, dry_run::Job::Compare, arguments.output.json);
    }
    let mut run = prepared.start("compare", arguments.out.as_deref(), arguments.fresh)?;
    let results = if run.is_finished() {
        if !quiet {
            output::note("this run is finished: these are its results; --fresh runs it anew");
        }
        let shown = |cell: &Cell| {
            let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
            let results = read_back(cell, &run.configuration, &folder)?;
            // The figure follows from the tables: whoever lost it gets it back.
            draw(&report_cell(&results), |ending| folder.file(&format!("figures/figure4.{ending}")))?;
            Ok(results)
        };
        run.cells.iter().map(shown).collect::<Result<_>>()?
    } else {
        compare_all(&mut run, quiet)?
    };
    let reports: Vec<ReportCell> = results.iter().map(report_cell).collect();
    print(&run, &reports, arguments.output.json)
}

/// Compares every cell, writes all files and marks the run as finished.
fn compare_all(run: &mut Run, quiet: bool) -> Result<Vec<Results>> {
    let started = Instant::now();
    let reporter = Reporter::new(quiet);
    let control = Control { stop: stop_flag()?, progress: &reporter };
    let mut all = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let compared = compare(&mut *run.engine, cell, &run.configuration, &folder, control)?;
        draw(&report_cell(&compared.results), |ending| folder.file(&format!("figures/figure4.{ending}")))?;
        let name = |what: String| format!("{}: {what}", cell.label(&run.configuration));
        let hashes = compared.weight_hashes.into_iter().map(|(what, hash)| (name(what), hash));
        run.manifest.weight_hashes.extend(hashes);
        run.manifest.wall_times.extend(compared.wall_times);
        all.push(compared.results);
    }
    let reports: Vec<ReportCell> = all.iter().map(report_cell).collect();
    if run.cells.len() > 1 {
        write_together(&|name| run.folder.file(name), &all)?;
        for (cell, report) in run.cells.iter().zip(&reports) {
            let name = format!("figures/figure4-{}-{}", cell.model(), cell.data_set);
            draw(report, |ending| run.folder.file(&format!("{name}.{ending}")))?;
        }
    }
    html::write(&reports, &provenance(run), &run.folder.file("report.html")?)?;
    run.manifest.wall_times.insert("whole command".into(), started.elapsed().as_secs_f64());
    run.finish()?;
    for cell in &run.cells {
        cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration).remove_checkpoints()?;
    }
    Ok(all)
}

/// Draws Figure 4 of a cell in both formats; `path` gives the place of the file with an ending.
fn draw(report: &ReportCell, path: impl Fn(&str) -> Result<PathBuf>) -> Result<()> {
    figures::write_svg(report, &path("svg")?)?;
    figures::write_png(report, &path("png")?)
}

/// Prints a configuration as a file that `--config` reads.
pub(super) fn print_configuration(configuration: &crate::study::configuration::Configuration) -> Result<()> {
    let text = toml::to_string(configuration)
        .map_err(|error| Error::Job(format!("cannot write the configuration as text: {error}")))?;
    output::result(&text)
}

fn report_cell(found: &Results) -> ReportCell {
    ReportCell {
        ledger: found.ledger.clone(),
        correlations: found.correlations.clone(),
        sweep: found.rows.clone(),
        chance: found.chance,
        headline_window: found.headline_window,
        headline_rule: found.headline_rule.into(),
        inference: found.inference.clone(),
    }
}

fn provenance(run: &Run) -> Provenance {
    let device = run.engine.description();
    let configuration = &run.configuration;
    let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let pair = |name: &str, value: String| (name.to_string(), value);
    Provenance {
        command: "compare".into(),
        configuration_hash: run.manifest.configuration_hash.clone(),
        facts: vec![
            pair("holdfast", run.manifest.version.clone()),
            pair("device", format!("{}, {}", device.name, device.kind)),
            pair("back end", format!("{}, {}", device.backend, device.variant)),
            pair("driver", if device.driver.is_empty() { "none".into() } else { device.driver.clone() }),
            pair("seed", configuration.seed.to_string()),
            pair("started", run.manifest.started.clone()),
        ],
        switches: vec![
            pair("tracking", configuration.tracking.name().into()),
            pair("tolerance kind", configuration.tolerance_kind.name().into()),
            pair("against", configuration.against.name().into()),
            pair("tolerances", list(&configuration.tolerance)),
            pair("pixel scale", configuration.pixel_scale.to_string()),
            pair("frozen nodes", if configuration.keep_frozen { "kept".into() } else { "removed first".into() }),
            pair("ED rule", configuration.ed_rule.names()),
            pair("ED targets, %", list(&configuration.ed_targets)),
            pair("batch", configuration.batch.to_string()),
        ],
        checksums: run.manifest.data_checksums.clone().into_iter().collect(),
    }
}

fn print(run: &Run, reports: &[ReportCell], as_json: bool) -> Result<()> {
    let folder = run.folder.path().display();
    if as_json {
        let cells: Vec<_> = reports.iter().map(tables::json).collect();
        return output::json(&json!({
            "configuration_hash": run.manifest.configuration_hash,
            "device": run.manifest.device,
            "folder": folder.to_string(),
            "cells": cells,
        }));
    }
    let texts: Vec<String> = reports.iter().map(tables::text).collect();
    output::result(&format!("{}\nFiles are in {folder}; begin with report.html.\n", texts.join("\n")))
}
