//! `holdfast compare`: the main job.

use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, RunOptions};
use super::progress::Reporter;
use super::run::{Run, prepare};
use super::stop::stop_flag;
use super::{dry_run, output};
use crate::error::{Error, Result};
use crate::report::{Cell as ReportCell, Run as ReportRun, figures, html, tables};
use crate::study::Control;
use crate::study::comparison::compare;
use crate::study::configuration::Configuration;
use crate::study::experiment::Cell;
use crate::study::memory::Job;
use crate::study::recorded::FocusLayer;
use crate::study::recorded::RecordedRun;
use crate::study::results::{Results, write_together};
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
        let replicates = prepared.configuration.replicates;
        return dry_run::print(&mut prepared, replicates, Job::Compare, arguments.output.json);
    }
    let run = prepared.start("compare", arguments.out.as_deref(), arguments.fresh)?;
    let (run, reports) = results_of(run, quiet)?;
    print(&run, &reports, arguments.output.json)
}

/// Results of a run: made now, or read if it is finished.
fn results_of(mut run: Run, quiet: bool) -> Result<(Run, Vec<ReportCell>)> {
    let reports = if run.is_finished() {
        if !quiet {
            output::note("this run is finished: these are its results; --fresh runs it anew");
        }
        let shown = |cell: &Cell| {
            let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
            let results = ReportCell::from(Results::read_back(&run.configuration, &folder.place(""))?);
            // The figure follows from the tables: whoever lost it gets it back.
            draw(&results, |ending| folder.file(&format!("figures/figure4.{ending}")))?;
            Ok(results)
        };
        run.cells.iter().map(shown).collect::<Result<_>>()?
    } else {
        compare_all(&mut run, quiet)?
    };
    Ok((run, reports))
}

/// Compares every cell, writes all files and marks the run as finished.
fn compare_all(run: &mut Run, quiet: bool) -> Result<Vec<ReportCell>> {
    let started = Instant::now();
    let reporter = Reporter::new(quiet);
    let control = Control { stop: stop_flag(), progress: &reporter };
    let mut all = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let compared = compare(&mut run.engine, cell, &run.configuration, &folder, control)?;
        draw(&compared.results.clone().into(), |ending| folder.file(&format!("figures/figure4.{ending}")))?;
        let name = |what: String| format!("{}: {what}", cell.label(&run.configuration));
        let hashes = compared.weight_hashes.into_iter().map(|(what, hash)| (name(what), hash));
        run.manifest.weight_hashes.extend(hashes);
        run.manifest.wall_times.extend(compared.wall_times);
        all.push(compared.results);
    }
    if run.cells.len() > 1 {
        write_together(&|name| run.folder.file(name), &all)?;
    }
    let reports: Vec<ReportCell> = all.into_iter().map(ReportCell::from).collect();
    if run.cells.len() > 1 {
        for (cell, report) in run.cells.iter().zip(&reports) {
            let name = format!("figures/figure4-{}-{}", cell.model(), cell.data_set);
            draw(report, |ending| run.folder.file(&format!("{name}.{ending}")))?;
        }
    }
    let mut shown = Vec::new();
    for (cell, report) in run.cells.iter().zip(reports) {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration).place("");
        let recorded = RecordedRun { folder, configuration: run.configuration.clone() };
        shown.push((report, FocusLayer::read(&recorded, &mut run.engine)?));
    }
    let page = [ReportRun { provenance: (&run.manifest).into(), study: None, cells: shown }];
    html::write(&page, &run.folder.file("report.html")?)?;
    let [page] = page;
    run.manifest.wall_times.insert("whole command".into(), started.elapsed().as_secs_f64());
    run.finish()?;
    for cell in &run.cells {
        cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration).remove_checkpoints()?;
    }
    Ok(page.cells.into_iter().map(|(report, _)| report).collect())
}

/// Draws Figure 4 of a cell in both formats; `path` gives the place of the file with an ending.
pub(super) fn draw(report: &ReportCell, path: impl Fn(&str) -> Result<PathBuf>) -> Result<()> {
    figures::write_svg(report, &path("svg")?)?;
    figures::write_png(report, &path("png")?)
}

/// Prints a configuration as a file that `--config` reads.
pub(super) fn print_configuration(configuration: &Configuration) -> Result<()> {
    let text = toml::to_string(configuration)
        .map_err(|error| Error::Job(format!("cannot write the configuration as text: {error}")))?;
    output::result(&text)
}

fn print(run: &Run, reports: &[ReportCell], as_json: bool) -> Result<()> {
    if as_json {
        let cells: Vec<_> = reports.iter().map(tables::json).collect();
        return output::json(&json!({
            "configuration_hash": run.manifest.configuration_hash,
            "device": run.manifest.device,
            "folder": run.folder.path().display().to_string(),
            "cells": cells,
        }));
    }
    output::result(&text(run, reports))
}

fn text(run: &Run, reports: &[ReportCell]) -> String {
    let texts: Vec<String> = reports.iter().map(tables::text).collect();
    format!("{}\nFiles are in {}; begin with report.html.\n", texts.join("\n"), run.folder.path().display())
}
