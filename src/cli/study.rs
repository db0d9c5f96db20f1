//! `holdfast study`: the paper's tables, from networks trained here or from anyone's numbers.

use super::compare::{draw, print_configuration};
use super::options::{ConfigurationFile, DeviceOptions, OutputOptions, RunOptions, StudyOptions};
use super::progress::Reporter;
use super::run::{Run, begin, prepare};
use super::stop::stop_flag;
use super::{dry_run, output, report as page};
use crate::engine::{DeviceDescription, Engine, Watch};
use crate::error::Result;
use crate::report::{Cell as ReportCell, growth_figure, study as report, tables as report_tables, verdict};
use crate::run_folder::{Manifest, RunFolder, Shard, csv, timestamp};
use crate::study::Control;
use crate::study::conclusion::Conclusion;
use crate::study::conclusion::SENSITIVITY_COLUMNS;
use crate::study::configuration::{self, Configuration};
use crate::study::experiment::Cell;
use crate::study::figure4::{self, TrainingSeconds, figure4};
use crate::study::memory::Job;
use crate::study::numbers::thousands;
use crate::study::replication::variants;
use crate::study::replication::{JobTimes, jobs, train_jobs};
use crate::study::results::{Results, write_together};
use crate::study::runs::{CellRuns, RUN_COLUMNS, RunRow};
use crate::study::tables::{self, Tables, read_observations, read_stable_weights, tables};
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
    own: StudyOptions,
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(flatten)]
    device: DeviceOptions,
    /// Train only one part of N, of every model and data set each N-th replica; `holdfast merge` joins the parts and makes
    /// tables and figures.
    #[arg(long, value_name = "I/N", group = "training")]
    shard: Option<Shard>,
    /// Make the tables of this instead of training: a CSV file with the columns model, data_set, replicate and stability, a
    /// row for each weight.
    #[arg(
        long,
        value_name = "FILE",
        requires = "from_stable_nodes",
        conflicts_with_all = ["RunOptions", "StudyOptions", "ConfigurationFile", "DeviceOptions", "training"]
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
        (Some(observations), Some(stable_weights)) => from_files(arguments, observations, stable_weights),
        _ => from_training(arguments),
    }
}

/// Trains all replicas, or those of a shard, and makes the tables.
fn from_training(arguments: &StudyArguments) -> Result<()> {
    let say = &arguments.output;
    let configuration = arguments.run.resolve_study(&arguments.file, arguments.own)?;
    if arguments.file.print_config {
        return print_configuration(&configuration);
    }
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let replicas = shard.replicas(configuration.replicates)?.len();
    let mut prepared = prepare("study", configuration, &arguments.device, say.quiet)?;
    if arguments.dry_run {
        // What is trained anew for the sensitivity table has images of its own, which lie in memory beside the others.
        let mut retrained = Vec::new();
        for variant in variants(&prepared.configuration) {
            retrained.extend(variant.cells(&prepared.configuration, &prepared.cells)?);
        }
        return dry_run::print(&mut prepared, replicas as u32, Job::Study, say.json);
    }
    prepared.shard = arguments.shard;
    let default = arguments.shard.map(|shard| default_folder(&prepared.hash).join("shards").join(shard.folder_name()));
    let out = arguments.out.as_deref().or(default.as_deref());
    let mut run = prepared.start("study", out, arguments.fresh)?;
    let reporter = Reporter::new(say.quiet);
    let control = Control { stop: stop_flag(), progress: &reporter };
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
    let names: Vec<String> = run.cells.iter().map(|cell| cell.folder_name(&run.configuration)).collect();
    let Run { configuration, cells, mut engine, folder, mut manifest } = run;
    let trained = TrainedStudy { configuration: &configuration, names, cells: &cells, folder: &folder };
    trained.conclude(&mut engine, &mut manifest, control)?.print(say)
}

/// Where a study of this configuration goes if nothing else is said.
pub(super) fn default_folder(hash: &str) -> PathBuf {
    Path::new("runs").join(format!("study-{hash}"))
}

/// Trains what is not trained yet.
fn train(run: &mut Run, shard: Shard, fresh: bool, control: Control<'_>) -> Result<()> {
    let Run { configuration, cells, engine, folder, manifest } = run;
    let hash = manifest.configuration_hash.clone();
    let jobs = jobs(cells, folder, &hash, configuration, shard)?;
    if fresh {
        for part in &jobs {
            part.folder.forget_runs()?;
            part.folder.remove_checkpoints()?;
        }
    }
    if configuration.batch > cells.iter().map(|cell| cell.split.training.samples()).min().unwrap_or(0) {
        control.progress.notice(&format!(
            "--batch {} is larger than the smallest training set: its epochs are one short step",
            configuration.batch
        ));
    }
    train_jobs(engine, &jobs, control, &mut |JobTimes { name, train_s, record_s }| {
        manifest.wall_times.insert(format!("{name}: train"), train_s);
        manifest.wall_times.insert(format!("{name}: record history"), record_s);
        manifest.write(folder.path())
    })
}

/// A study whose networks are all in its folder.
pub(super) struct TrainedStudy<'a> {
    pub(super) configuration: &'a Configuration,
    /// The cells' parts of the folder.
    pub(super) names: Vec<String>,
    /// The cells with their data, for Figure 4; none if it is left out.
    pub(super) cells: &'a [Cell],
    pub(super) folder: &'a RunFolder,
}

/// A study with its tables and figures written.
pub(super) struct Concluded {
    tables: Tables,
    conclusion: Conclusion,
    replaced: Vec<RunRow>,
    switches: String,
    figure4: Vec<ReportCell>,
    hash: String,
    folder: String,
}

impl TrainedStudy<'_> {
    /// Counts the replicas of all cells, makes all tables and figures and marks the run as finished.
    pub(super) fn conclude(
        mut self,
        engine: &mut Engine,
        manifest: &mut Manifest,
        control: Control<'_>,
    ) -> Result<Concluded> {
        let Self { configuration, folder, .. } = self;
        // In the order of their names, so that shards joined are written as a study in one piece is.
        self.names.sort();
        let (conclusion, replaced) = self.count(engine, control)?;
        let path = |name: &str| folder.file(name);
        csv::write(&path("replaced.csv")?, RUN_COLUMNS, &replaced)?;
        conclusion.check(configuration)?;
        conclusion.write(&path)?;
        csv::write(&path("sensitivity.csv")?, SENSITIVITY_COLUMNS, &conclusion.sensitivity)?;
        let started = Instant::now();
        let mut made = tables(&conclusion.observations, &conclusion.stable_weights);
        made.notes.extend(conclusion.notes.iter().cloned());
        write_tables(&made, folder)?;
        manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
        manifest.weight_hashes.clone_from(&conclusion.weight_hashes);
        manifest.replaced_replicas = replaced.iter().map(|row| row.id).collect();
        let figure4 = self.figure4(engine, manifest, control)?;
        if manifest.finished.is_none() {
            manifest.finished = Some(timestamp(SystemTime::now()));
        }
        manifest.write(folder.path())?;
        page::write(folder, engine)?;
        Ok(Concluded {
            tables: made,
            conclusion,
            replaced,
            switches: report::switches(configuration),
            figure4,
            hash: manifest.configuration_hash.clone(),
            folder: folder.path().display().to_string(),
        })
    }

    /// What the networks say, and the runs that stand in no table. Writes `runs.csv` of all cells.
    fn count(&self, engine: &mut Engine, control: Control<'_>) -> Result<(Conclusion, Vec<RunRow>)> {
        let Self { configuration, names, folder, .. } = self;
        let mut conclusion = Conclusion::default();
        let mut runs: Vec<RunRow> = Vec::new();
        control.progress.begin("count", names.len() as u64, "cells");
        for name in names {
            Watch { stop: control.stop, progress: &|_| {} }.check()?;
            let own = |file: &str| folder.path().join(format!("{name}{file}"));
            let read = CellRuns::read(&own, configuration)?;
            conclusion.add(engine, &read, configuration)?;
            runs.extend(read.runs.into_iter().map(|run| run.row));
            for variant in variants(configuration) {
                let place = |file: &str| own(&format!("{}/{file}", variant.folder));
                if place("runs.csv").is_file() {
                    let read = CellRuns::read(&place, &variant.configuration)?;
                    conclusion.add_retrained(engine, &read, &variant.configuration)?;
                }
            }
            control.progress.advance(1);
        }
        control.progress.end();
        csv::write(&folder.file("runs.csv")?, RUN_COLUMNS, &runs)?;
        Ok((conclusion, runs.into_iter().filter(RunRow::is_replaced).collect()))
    }

    /// Makes Figure 4 of every cell in which a network learnt.
    fn figure4(&self, engine: &mut Engine, manifest: &Manifest, control: Control<'_>) -> Result<Vec<ReportCell>> {
        let Self { configuration, cells, folder, .. } = self;
        let mut all: Vec<Results> = Vec::new();
        if configuration.figure_4_replicates.unwrap_or(0) == 0 {
            return Ok(Vec::new());
        }
        for cell in *cells {
            let own = cell.folder(folder, &manifest.configuration_hash, configuration);
            let runs = CellRuns::read(&|name| own.place(name), configuration)?;
            let seconds =
                |what: &str| manifest.wall_times.get(&format!("{}: {what}", cell.name())).copied().unwrap_or_default();
            let seconds = TrainingSeconds { train: seconds("train"), record: seconds("record history") };
            let place = own.within(figure4::FOLDER);
            all.extend(figure4(engine, cell, &runs, configuration, &place, seconds, control)?);
        }
        if cells.len() > 1 && !all.is_empty() {
            write_together(&|name| folder.file(&format!("{}/{name}", figure4::FOLDER)), &all)?;
        }
        let reports: Vec<ReportCell> = all.into_iter().map(ReportCell::from).collect();
        for report in &reports {
            let (model, data_set) = (&report.ledger.workload.model, &report.ledger.workload.data_set);
            let name = if cells.len() == 1 { "figure4".into() } else { format!("figure4-{model}-{data_set}") };
            draw(report, |ending| folder.file(&format!("figures/{name}.{ending}")))?;
        }
        Ok(reports)
    }
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
            value["figure4"] = self.figure4.iter().map(report_tables::json).collect();
            return output::json(&value);
        }
        output::result(&format!(
            "{}{}\n{}\n{}\n{}Files are in {}; begin with report.html.\n",
            self.switches,
            report::replacements(&self.replaced),
            report::text(&self.tables),
            report::sensitivity_text(&self.conclusion.sensitivity),
            verdict::text(&self.figure4),
            self.folder
        ))
    }
}

/// Makes the tables of numbers in files.
fn from_files(arguments: &StudyArguments, observations: &Path, stable_weights: &Path) -> Result<()> {
    let say = &arguments.output;
    let (observations, stability_source) = read_observations(observations)?;
    let (stable_weights, numbers_source) = read_stable_weights(stable_weights)?;
    if !say.quiet {
        for (source, replicates) in [(&stability_source, observations.len()), (&numbers_source, stable_weights.len())] {
            let rows = thousands(source.rows as i64);
            output::note(&format!("{}: {rows} rows, {replicates} replicates", source.path.display()));
        }
    }
    say.notices(&[&stability_source.notices[..], &numbers_source.notices].concat());
    let checksums = BTreeMap::from([
        ("observations".to_string(), stability_source.checksum),
        ("stable weights".to_string(), numbers_source.checksum),
    ]);
    let settings = Settings { made_from: "observations and stable weights in files" };
    let device = no_device();
    let hash = configuration::hash("study", &settings, &device, &checksums)?;
    let (folder, mut manifest) = begin(arguments.out.as_deref(), "study", hash, &settings, &device, checksums)?;

    let started = Instant::now();
    let made = tables(&observations, &stable_weights);
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
