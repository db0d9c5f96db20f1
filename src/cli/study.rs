//! `holdfast study`: the paper's tables, from networks trained here or from anyone's numbers.

use super::compare::{self, print_configuration};
use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, ReplacementOptions, RunOptions};
use super::progress::Reporter;
use super::run::{Run, begin, open_folder, prepare};
use super::{dry_run, output, stop_flag};
use crate::engine::{DeviceDescription, Engine, Watch};
use crate::error::Result;
use crate::report::{growth_figure, study as report};
use crate::run_folder::{Manifest, RunFolder, Shard, csv, timestamp};
use crate::study::Control;
use crate::study::conclusion::Conclusion;
use crate::study::configuration::{self, Configuration};
use crate::study::memory::Job;
use crate::study::numbers::thousands;
use crate::study::replication::train_cells;
use crate::study::runs::{CellRuns, RUN_COLUMNS, RunRow};
use crate::study::sensitivity::SENSITIVITY_COLUMNS;
use crate::study::tables::{self, Tables, read_observations, read_stable_nodes, tables};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// Arguments of `study`.
#[derive(Args)]
pub(super) struct StudyArguments {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    replacement: ReplacementOptions,
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(flatten)]
    device: DeviceOptions,
    /// Train only one part of N, of every model and data set each N-th replica; `holdfast merge` joins the parts.
    #[arg(long, value_name = "I/N", group = "training")]
    shard: Option<Shard>,
    /// Make Figure 4 too: compare all ways of pruning on every model and data set, in the folder `figure4`. Trains all
    /// replicas once more, of data without test images on a part of them, and exponential decay for each target.
    #[arg(long, conflicts_with = "shard", group = "training")]
    figure_4: bool,
    /// Make the tables of this instead of training: a CSV file with the columns model, data_set, replicate and stability, a
    /// row for each node.
    #[arg(
        long,
        value_name = "FILE",
        requires = "from_stable_nodes",
        conflicts_with_all = ["RunOptions", "ReplacementOptions", "ConfigurationFile", "DeviceOptions", "training"]
    )]
    from_observations: Option<PathBuf>,
    /// CSV file with the columns model, data_set, replicate, epoch and stable_nodes, a row for each epoch.
    #[arg(long, value_name = "FILE", requires = "from_observations")]
    from_stable_nodes: Option<PathBuf>,
    #[command(flatten)]
    output: OutputOptions,
    /// Run folder; `runs/study-<hash>` if not given, of a shard `shards/<I>-of-<N>` in it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Start anew, whatever an earlier call has done.
    #[arg(long, group = "training")]
    fresh: bool,
    /// Say what would be done, how much memory, disk and time it takes, and stop.
    #[arg(long, group = "training")]
    dry_run: bool,
}

/// What the tables were made from; the checksums of the files are kept beside.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Settings {
    made_from: &'static str,
}

pub(super) fn run(arguments: &StudyArguments) -> Result<()> {
    match (&arguments.from_observations, &arguments.from_stable_nodes) {
        (Some(observations), Some(stable_nodes)) => from_files(arguments, observations, stable_nodes),
        _ => from_training(arguments),
    }
}

/// Trains all replicas, or those of a shard, and makes the tables.
fn from_training(arguments: &StudyArguments) -> Result<()> {
    let say = &arguments.output;
    let configuration = arguments.run.resolve_study(&arguments.file, arguments.replacement)?;
    if arguments.file.print_config {
        return print_configuration(&configuration);
    }
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let replicas = shard.replicas(configuration.replicates)?.len();
    let mut prepared = prepare("study", configuration, &arguments.device, say.quiet)?;
    if arguments.dry_run {
        return dry_run::print(&mut prepared, replicas as u32, Job::Study, say.json);
    }
    prepared.shard = arguments.shard;
    let default = arguments.shard.map(|shard| default_folder(&prepared.hash).join("shards").join(shard.folder_name()));
    let out = arguments.out.as_deref().or(default.as_deref());
    let mut run = prepared.start("study", out, arguments.fresh)?;
    let reporter = Reporter::new(say.quiet);
    let control = Control { stop: stop_flag()?, progress: &reporter };
    if run.is_finished() {
        say.notices(&["this run is finished: these are its results; --fresh runs it anew".into()]);
    } else {
        train(&mut run, shard, arguments.fresh, control)?;
    }
    let place = run.folder.path().display().to_string();
    if let Some(shard) = arguments.shard {
        run.finish()?;
        if say.json {
            let hash = &run.manifest.configuration_hash;
            return output::json(&json!({ "folder": place, "shard": shard.to_string(), "configuration_hash": hash }));
        }
        return output::result(&format!(
            "shard {shard}: {replicas} of {} replicas of each model and data set are in {place}; holdfast merge joins the \
             shards\n",
            run.configuration.replicates
        ));
    }
    let figure4 = arguments.figure_4.then(|| run.configuration.for_figure4());
    let cells: Vec<String> = run.cells.iter().map(|cell| cell.folder_name(&run.configuration)).collect();
    let Run { configuration, cells: run_cells, mut engine, folder, mut manifest } = run;
    let concluded = conclude(&mut *engine, &configuration, &cells, &folder, &mut manifest, control)?;
    // Data and device are opened anew for the figure.
    drop((engine, run_cells));
    let figure4 = figure4.map(|configuration| {
        let out = folder.path().join("figure4");
        compare::figure4(configuration, &arguments.device, &out, arguments.fresh, say.quiet)
    });
    concluded.print(say)?;
    match figure4.transpose()? {
        Some(text) if !say.json => output::result(&format!("\nFigure 4\n{text}")),
        _ => Ok(()),
    }
}

/// Where a study of this configuration goes if nothing else is said.
pub(super) fn default_folder(hash: &str) -> PathBuf {
    Path::new("runs").join(format!("study-{hash}"))
}

/// Trains what is not trained yet.
fn train(run: &mut Run, shard: Shard, fresh: bool, control: Control<'_>) -> Result<()> {
    let mut cells = Vec::new();
    for cell in &run.cells {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        if fresh {
            folder.forget_runs()?;
        }
        cells.push((cell.clone(), folder));
    }
    if run.configuration.batch > cells.iter().map(|(cell, _)| cell.split.training.samples()).min().unwrap_or(0) {
        control.progress.notice(&format!(
            "--batch {} is larger than the smallest training set: its epochs are one short step",
            run.configuration.batch
        ));
    }
    let trained = train_cells(&mut *run.engine, &cells, &run.configuration, shard, control)?;
    let times = trained.into_iter().map(|(cell, seconds)| (format!("{cell}: train"), seconds));
    run.manifest.wall_times.extend(times);
    Ok(())
}

/// A study with its tables written.
pub(super) struct Concluded {
    tables: Tables,
    conclusion: Conclusion,
    replaced: Vec<RunRow>,
    switches: String,
    hash: String,
    folder: String,
}

/// Counts the replicas of all cells, whose parts of the folder are `cells`, writes all tables and marks the run as finished.
pub(super) fn conclude(
    engine: &mut dyn Engine,
    configuration: &Configuration,
    cells: &[String],
    folder: &RunFolder,
    manifest: &mut Manifest,
    control: Control<'_>,
) -> Result<Concluded> {
    let mut conclusion = Conclusion::default();
    let mut runs: Vec<RunRow> = Vec::new();
    // In the order of their names, so that shards joined are written as a study in one piece is.
    let mut cells = cells.to_vec();
    cells.sort();
    control.progress.begin("count", cells.len() as u64, "cells");
    for cell in &cells {
        Watch { stop: control.stop, progress: &|_| {} }.check()?;
        let read = CellRuns::read(&|name| folder.path().join(format!("{cell}{name}")), configuration)?;
        conclusion.add(engine, &read, configuration)?;
        runs.extend(read.runs.into_iter().map(|run| run.row));
        control.progress.advance(1);
    }
    control.progress.end();
    let path = |name: &str| folder.file(name);
    csv::write(&path("runs.csv")?, RUN_COLUMNS, &runs)?;
    let replaced: Vec<RunRow> = runs.into_iter().filter(RunRow::is_replaced).collect();
    csv::write(&path("replaced.csv")?, RUN_COLUMNS, &replaced)?;
    conclusion.check(configuration)?;
    conclusion.write(&path)?;
    csv::write(&path("sensitivity.csv")?, SENSITIVITY_COLUMNS, &conclusion.sensitivity)?;
    let started = Instant::now();
    let mut made = tables(&conclusion.observations, &conclusion.stable_nodes);
    made.notes.extend(conclusion.notes.iter().cloned());
    write_tables(&made, folder)?;
    manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
    manifest.weight_hashes.clone_from(&conclusion.weight_hashes);
    manifest.replaced_replicas = replaced.iter().map(|row| row.id).collect();
    if manifest.finished.is_none() {
        manifest.finished = Some(timestamp(SystemTime::now()));
    }
    manifest.write(folder.path())?;
    Ok(Concluded {
        tables: made,
        conclusion,
        replaced,
        switches: report::switches(configuration),
        hash: manifest.configuration_hash.clone(),
        folder: folder.path().display().to_string(),
    })
}

/// Writes Tables 1 to 5 and Figure 3.
fn write_tables(made: &Tables, folder: &RunFolder) -> Result<()> {
    tables::write(&|name| folder.file(name), made)?;
    growth_figure::write_svg(&made.growth, &folder.file("figures/figure3.svg")?)?;
    growth_figure::write_png(&made.growth, &folder.file("figures/figure3.png")?)
}

impl Concluded {
    /// Prints the tables.
    pub(super) fn print(&self, say: &OutputOptions) -> Result<()> {
        if say.json {
            let mut value = report::json(&self.tables, &self.hash, &self.folder);
            value["sensitivity"] = json!(self.conclusion.sensitivity);
            value["replaced"] = json!(self.replaced);
            return output::json(&value);
        }
        output::result(&format!(
            "{}{}\n{}\n{}\nFiles are in {}.\n",
            self.switches,
            report::replacements(&self.replaced),
            report::text(&self.tables),
            report::sensitivity(&self.conclusion.sensitivity),
            self.folder
        ))
    }
}

/// Makes the tables of numbers in files.
fn from_files(arguments: &StudyArguments, observations: &Path, stable_nodes: &Path) -> Result<()> {
    let say = &arguments.output;
    let (observations, stability_source) = read_observations(observations)?;
    let (stable_nodes, numbers_source) = read_stable_nodes(stable_nodes)?;
    if !say.quiet {
        for (source, replicates) in [(&stability_source, observations.len()), (&numbers_source, stable_nodes.len())] {
            let rows = thousands(source.rows as i64);
            output::note(&format!("{}: {rows} rows, {replicates} replicates", source.path.display()));
        }
    }
    let checksums = BTreeMap::from([
        ("observations".to_string(), stability_source.checksum),
        ("stable nodes".to_string(), numbers_source.checksum),
    ]);
    let settings = Settings { made_from: "observations and stable nodes in files" };
    let device = no_device();
    let hash = configuration::hash("study", &settings, &device, &checksums)?;
    let folder = open_folder("study", arguments.out.as_deref(), &hash)?;
    let mut manifest = begin(&folder, "study", hash, &settings, &device, checksums)?;

    let started = Instant::now();
    let made = tables(&observations, &stable_nodes);
    manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
    write_tables(&made, &folder)?;
    manifest.finished = Some(timestamp(SystemTime::now()));
    manifest.write(folder.path())?;

    let place = folder.path().display();
    if say.json {
        return output::json(&report::json(&made, &manifest.configuration_hash, &place.to_string()));
    }
    output::result(&format!("{}\nFiles are in {place}.\n", report::text(&made)))
}

/// Tables of given numbers run on no device.
fn no_device() -> DeviceDescription {
    DeviceDescription {
        name: "none".into(),
        kind: "none".into(),
        backend: "none".into(),
        driver: String::new(),
        variant: "none".into(),
    }
}
