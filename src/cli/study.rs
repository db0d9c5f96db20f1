//! `holdfast study`: the paper's tables, from networks trained here or from anyone's numbers.

use super::options::{FolderOptions, FullOption, OutputOptions, RunArguments, StudyOptions};
use super::progress::Reporter;
use super::run::{Run, begin, finish, prepare};
use super::{output, report as page};
use crate::engine::{Control, DeviceDescription, Engine};
use crate::error::Result;
use crate::numbers::thousands;
use crate::report::pen::Sheet;
use crate::report::{Provenance, cell_json, figures, growth_figure, settle_and_hold, study as report, study_verdict};
use crate::results::comparison::{Results, write_together};
use crate::results::tables::{self, Tables, read_observations, read_stable_weights, tables};
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::run::training_runs::{CellRuns, RunRow};
use crate::run_folder::{Manifest, RunFolder, Shard, csv};
use crate::study::conclusion::{Conclusion, FIGURE_4, SensitivityRow, TrainingSeconds, figure4};
use crate::study::memory::Job;
use crate::study::replication::{JobTimes, jobs, train_jobs, variants};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the rest is.
const HINT: &str = "; --full prints Tables 1 to 5 and all else";

/// Arguments of `study`.
#[derive(Args)]
pub(super) struct StudyArguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    own: StudyOptions,
    #[command(flatten)]
    full: FullOption,
    /// Train only one part of N, of every model and data set each N-th replica; `holdfast merge` joins the parts and makes
    /// tables and figures.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Make the tables of this instead of training: a CSV file with the columns model, data_set, replicate and stability, a
    /// row for each weight.
    #[arg(
        long,
        value_name = "FILE",
        requires = "from_stable_nodes",
        conflicts_with_all = ["RunOptions", "StudyOptions", "ConfigurationFile", "DeviceOptions", "shard", "fresh", "dry_run"]
    )]
    from_observations: Option<PathBuf>,
    /// CSV file with the columns model, data_set, replicate, epoch and stable_nodes, a row for each epoch.
    #[arg(long, value_name = "FILE", requires = "from_observations")]
    from_stable_nodes: Option<PathBuf>,
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
    let FolderOptions { output: say, out, .. } = &arguments.run.folder;
    let configuration = arguments.run.run.resolve_study(&arguments.run.file, arguments.own)?;
    let Some(prepared) = prepare("study", configuration, &arguments.run, Job::Study, arguments.shard)? else {
        return Ok(());
    };
    let default = arguments.shard.map(|shard| {
        Path::new("runs").join(format!("study-{}", prepared.hash)).join("shards").join(shard.folder_name())
    });
    let mut run = prepared.start(out.as_deref().or(default.as_deref()), arguments.run.fresh)?;
    let reporter = Reporter::new(say.quiet);
    let control = reporter.control();
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    if !run.is_finished(say) {
        train(&mut run, shard, arguments.run.fresh, control)?;
    }
    let place = run.folder.path().display().to_string();
    if arguments.shard.is_some() {
        finish(&run.folder, &mut run.manifest)?;
        if say.json {
            let hash = &run.manifest.configuration_hash;
            return output::json(&json!({ "folder": place, "shard": shard.to_string(), "configuration_hash": hash }));
        }
        let all = run.configuration.replicates;
        return output::result(&format!(
            "shard {shard}: {} of {all} replicas of each model and data set are in {place}; holdfast merge joins the shards\n",
            shard.replicas(all)?.len()
        ));
    }
    let names: Vec<String> = run.cells.iter().map(|cell| cell.folder_name(&run.configuration)).collect();
    let Run { configuration, cells, mut engine, folder, mut manifest } = run;
    let trained = TrainedStudy { configuration: &configuration, names, cells: &cells, folder: &folder };
    trained.conclude(&mut engine, &mut manifest, control)?.print(say, arguments.full)
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
    figure4: Vec<Results>,
    hash: String,
    folder: String,
    machine: String,
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
        csv::write::<RunRow>(&path("replaced.csv")?, &replaced)?;
        conclusion.check(configuration)?;
        conclusion.write(&path)?;
        csv::write::<SensitivityRow>(&path("sensitivity.csv")?, &conclusion.sensitivity)?;
        let started = Instant::now();
        let mut made = tables(&conclusion.observations, &conclusion.stable_weights);
        made.notes.extend(conclusion.notes.iter().cloned());
        write_tables(&made, folder)?;
        manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
        manifest.weight_hashes.clone_from(&conclusion.weight_hashes);
        manifest.replaced_replicas = replaced.iter().map(|row| row.id).collect();
        let figure4 = self.figure4(engine, manifest, control)?;
        page::write(folder, manifest, engine)?;
        if manifest.finished.is_none() {
            finish(folder, manifest)?;
        } else {
            manifest.write(folder.path())?;
        }
        Ok(Concluded {
            tables: made,
            conclusion,
            replaced,
            switches: report::switches(configuration),
            figure4,
            hash: manifest.configuration_hash.clone(),
            folder: folder.path().display().to_string(),
            machine: Provenance::from(&*manifest).machine,
        })
    }

    /// What the networks say, and the runs that stand in no table. Writes `runs.csv` of all cells.
    fn count(&self, engine: &mut Engine, control: Control<'_>) -> Result<(Conclusion, Vec<RunRow>)> {
        let Self { configuration, names, folder, .. } = self;
        let mut conclusion = Conclusion::default();
        let mut runs: Vec<RunRow> = Vec::new();
        control.progress.begin("count", names.len() as u64, "cells");
        for name in names {
            control.silent().check()?;
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
        csv::write::<RunRow>(&folder.file("runs.csv")?, &runs)?;
        Ok((conclusion, runs.into_iter().filter(RunRow::is_replaced).collect()))
    }

    /// Makes Figure 4 of every cell in which a network learnt.
    fn figure4(&self, engine: &mut Engine, manifest: &Manifest, control: Control<'_>) -> Result<Vec<Results>> {
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
            let place = own.within(FIGURE_4);
            let found = figure4(engine, cell, &runs, configuration, &place, seconds, control)?;
            if let Some(results) = &found {
                figures::write(results, &|name| place.file(&format!("figures/{name}")))?;
            }
            all.extend(found);
        }
        if cells.len() > 1 && !all.is_empty() {
            write_together(&|name| folder.file(&format!("{}/{name}", FIGURE_4)), &all)?;
        }
        for results in &all {
            let (model, data_set) = (&results.ledger.workload.model, &results.ledger.workload.data_set);
            let name = if cells.len() == 1 { "figure4".into() } else { format!("figure4-{model}-{data_set}") };
            figures::write_whole(results, &name, &|name| folder.file(&format!("figures/{name}")))?;
        }
        Ok(all)
    }
}

/// Writes Tables 1 to 5 and Figure 3.
fn write_tables(made: &Tables, folder: &RunFolder) -> Result<()> {
    tables::write(&|name| folder.file(name), made)?;
    let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| growth_figure::svg(&made.growth, sheet));
    figures::write_drawing("figure3", [&light, &dark], &|name| folder.file(&format!("figures/{name}")))
}

impl Concluded {
    /// Prints what was found, or every table.
    pub(super) fn print(&self, say: &OutputOptions, FullOption { full }: FullOption) -> Result<()> {
        if say.json {
            let mut value = report::json(&self.tables, &self.hash, &self.folder);
            value["sensitivity"] = json!(self.conclusion.sensitivity);
            value["replaced"] = json!(self.replaced);
            value["figure4"] = self.figure4.iter().map(cell_json::of).collect();
            return output::json(&value);
        }
        let replaced = report::replacements(&self.replaced);
        let short = study_verdict::text(&self.tables, &self.figure4, &replaced, &self.folder);
        let all = || {
            let tables = report::text(&self.tables);
            let sensitivity = report::sensitivity_text(&self.conclusion.sensitivity);
            format!("\n{}\n{tables}\n{sensitivity}\n{}", self.switches, settle_and_hold::text(&self.figure4))
        };
        let (more, hint) = if full { (all(), "") } else { (String::new(), HINT) };
        let Self { folder, machine, .. } = self;
        output::result(&format!(
            "{short}{more}\nFiles are in {folder}, from {machine}; begin with report.html{hint}.\n"
        ))
    }
}

/// Makes the tables of numbers in files.
fn from_files(arguments: &StudyArguments, observations: &Path, stable_weights: &Path) -> Result<()> {
    let FolderOptions { output: say, out, .. } = &arguments.run.folder;
    let (observations, stability_source) = read_observations(observations)?;
    let (stable_weights, numbers_source) = read_stable_weights(stable_weights)?;
    for (source, replicates) in [(&stability_source, observations.len()), (&numbers_source, stable_weights.len())] {
        let rows = thousands(source.rows as i64);
        say.note(&format!("{}: {rows} rows, {replicates} replicates", source.path.display()));
    }
    say.notices(&[&stability_source.notices[..], &numbers_source.notices].concat());
    let checksums = BTreeMap::from([
        ("observations".to_string(), stability_source.checksum),
        ("stable weights".to_string(), numbers_source.checksum),
    ]);
    let settings = Settings { made_from: "observations and stable weights in files" };
    let device = no_device();
    let (folder, mut manifest) = begin(out.as_deref(), "study", &settings, &device, checksums.clone(), &checksums)?;

    let started = Instant::now();
    let made = tables(&observations, &stable_weights);
    manifest.wall_times.insert("tables".into(), started.elapsed().as_secs_f64());
    write_tables(&made, &folder)?;
    finish(&folder, &mut manifest)?;

    let place = folder.path().display();
    if say.json {
        return output::json(&report::json(&made, &manifest.configuration_hash, &place.to_string()));
    }
    let short = study_verdict::text(&made, &[], "", "");
    let (more, hint) =
        if arguments.full.full { (format!("\n{}", report::text(&made)), "") } else { (String::new(), HINT) };
    output::result(&format!("{short}{more}\nFiles are in {place}{hint}.\n"))
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
