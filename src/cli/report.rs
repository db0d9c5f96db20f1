//! `holdfast report`: finished runs on one HTML page.

use super::options::sensible_threads;
use super::output;
use super::run::{cells_in, manifest_in, settings_of};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::report::markup::Markup;
use crate::report::{Run, Study, figures, html};
use crate::results::comparison::{Results, SUBJECT_FILE};
use crate::results::tables::{read_observations, read_stable_weights, tables};
use crate::run::configuration::Configuration;
use crate::run::recorded::{FocusLayer, RecordedRun};
use crate::run::training_runs::{RunRow, incompleteness};
use crate::run_folder::{Manifest, RunFolder, csv};
use crate::study::conclusion::FIGURE_4;
use clap::Args;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What to do about a run that cannot be shown.
const AGAIN: &str = "give the command of that run again with --fresh";

/// Arguments of `report`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast report runs/compare-0123 runs/compare-4567 --out both.html
  holdfast report runs/compare-0123 --slide
  holdfast report runs/compare-0123 --tables tex > tables.tex")]
pub(super) struct ReportArguments {
    /// Run folders of `compare` and `study`; of a study with its Figure 4 if that was made.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The page; `report.html` in the run's folder if there is one run, and else here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print all tables instead, for a document of yours: Markdown (md), or LaTeX (tex, with the package booktabs).
    #[arg(long, value_enum, conflicts_with_all = ["out", "slide"])]
    tables: Option<Markup>,
    /// Write each figure once more, 16:9 and in large type, as figures/NAME-slide.svg and .png of each run's folder.
    #[arg(long, conflicts_with = "out")]
    slide: bool,
    /// Threads for counting; all cores if not given. Changes no bit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

pub(super) fn run(arguments: &ReportArguments) -> Result<()> {
    let mut engine = Engine::cpu(sensible_threads(arguments.threads.map(usize::from), false))?;
    let mut seen = BTreeSet::new();
    let mut runs = Vec::new();
    for path in &arguments.runs {
        // A folder that is not there is told of below.
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            return Err(Error::Usage(format!("{} is given twice; name each run once", path.display())));
        }
        runs.push(read(path, &mut engine)?);
    }
    if let Some(markup) = arguments.tables {
        return output::result(&html::document(&runs, markup));
    }
    if arguments.slide {
        return slides(&arguments.runs, &runs);
    }
    let out = match (&arguments.out, arguments.runs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.join("report.html"),
        (None, _) => PathBuf::from("report.html"),
    };
    html::write(&runs, &place_of_page(out.clone(), "name another file with --out")?)?;
    output::result(&format!("The page is {}.\n", out.display()))
}

/// Writes the figures of finished runs as slides into their folders.
fn slides(paths: &[PathBuf], runs: &[Run]) -> Result<()> {
    for (path, run) in paths.iter().zip(runs) {
        let folder = RunFolder::open(path, &manifest_of(path)?)?;
        for (cell, _) in &run.cells {
            let (model, data_set) = (&cell.ledger.workload.model, &cell.ledger.workload.data_set);
            let suffix = if run.cells.len() == 1 { String::new() } else { format!("-{model}-{data_set}") };
            figures::write_slides(cell, &suffix, &|name| folder.file(&format!("figures/{name}")))?;
        }
        output::result(&format!("The slides are in {}.\n", path.join("figures").display()))?;
    }
    Ok(())
}

/// Reads a finished run of `compare` or `study`.
///
/// Fails with [`Error::Data`] if the folder is something else.
fn read(path: &Path, engine: &mut Engine) -> Result<Run> {
    let shown = path.display();
    let manifest = manifest_of(path)?;
    if let Some(shard) = manifest.shard {
        return Err(Error::Data(format!(
            "{shown} is shard {shard} of a study; join the shards with holdfast merge and name the whole"
        )));
    }
    if !["compare", "study"].contains(&manifest.command.as_str()) {
        return Err(Error::Data(format!(
            "{shown} is a run of holdfast {}; name runs of holdfast compare or study",
            manifest.command
        )));
    }
    if manifest.finished.is_none() {
        return Err(Error::Data(format!("{shown} is not finished; give its command once more and it goes on")));
    }
    if manifest.configuration.get("made-from").is_some() {
        return Err(Error::Data(format!(
            "{shown} has tables of numbers in files and keeps neither these nor networks; name a study that was trained"
        )));
    }
    contents(path, &manifest, engine)
}

/// Reads what the files of a run of `compare` or `study` hold.
fn contents(path: &Path, manifest: &Manifest, engine: &mut Engine) -> Result<Run> {
    let configuration = settings_of(manifest, path, AGAIN)?;
    let is_study = manifest.command == "study";
    let mut cells = Vec::new();
    for cell in cells_in(path, &configuration, AGAIN)? {
        let folder = path.join(cell);
        let folder = if is_study { folder.join(FIGURE_4) } else { folder };
        // A study may be without its Figure 4.
        if !is_study || folder.join(SUBJECT_FILE).is_file() {
            let results = Results::read_back(&configuration, &folder)?;
            let recorded = RecordedRun { folder, configuration: configuration.clone() };
            cells.push((results, FocusLayer::read(&recorded, engine)?));
        }
    }
    if !is_study {
        return Ok(Run { provenance: manifest.into(), study: None, cells });
    }
    let observations = read_observations(&path.join("observations.csv"))?.0;
    let stable_weights = read_stable_weights(&path.join("stable_nodes.csv"))?.0;
    let replaced = csv::read(&path.join("replaced.csv"))?;
    let sensitivity = csv::read(&path.join("sensitivity.csv"))?;
    let mut tables = tables(&observations, &stable_weights);
    tables.notes.extend(notes(path, &configuration)?);
    let study = Study { configuration, tables, replaced, sensitivity };
    Ok(Run { provenance: manifest.into(), study: Some(study), cells })
}

/// Writes the page of a run whose other files are written into its folder.
pub(super) fn write(folder: &RunFolder, manifest: &Manifest, engine: &mut Engine) -> Result<()> {
    html::write(&[contents(folder.path(), manifest, engine)?], &folder.file("report.html")?)
}

/// The file that the page goes to: `out` itself, or what it is a link to; `else_do` is the advice if it may not go there.
///
/// Fails with [`Error::Usage`] if something else is there: only pages of Holdfast's are replaced.
pub(super) fn place_of_page(out: PathBuf, else_do: &str) -> Result<PathBuf> {
    let Ok(found) = std::fs::symlink_metadata(&out) else { return Ok(out) };
    let refused = |found: &str| {
        Error::Usage(format!(
            "{} {found}, and only pages of Holdfast's are replaced; {else_do}, or move it away",
            out.display()
        ))
    };
    let place = if found.is_symlink() { out.canonicalize() } else { Ok(out.clone()) };
    let place = place.map_err(|_| refused("is a link that leads nowhere"))?;
    if !place.is_file() {
        return Err(refused("is no file"));
    }
    if html::is_page(&place)? { Ok(place) } else { Err(refused("is not a page that Holdfast made")) }
}

/// Which cells of a study lack replicas.
fn notes(path: &Path, configuration: &Configuration) -> Result<Vec<String>> {
    let mut rows: Vec<RunRow> = csv::read(&path.join("runs.csv"))?;
    let cell = |row: &RunRow| (row.model.clone(), row.data_set.clone());
    rows.sort_by_key(cell);
    let of_cell = |rows: &[RunRow]| incompleteness(rows, configuration.replicates, configuration.most_replacements());
    Ok(rows.chunk_by(|a, b| cell(a) == cell(b)).filter_map(of_cell).collect())
}

/// Fails with [`Error::Data`] if the folder has no readable manifest.
fn manifest_of(path: &Path) -> Result<Manifest> {
    let shown = path.display();
    if !path.is_dir() {
        let found = if path.exists() { "is a file" } else { "is not there" };
        return Err(Error::Data(format!(
            "{shown} {found}; name run folders that holdfast compare or study has written"
        )));
    }
    let manifest = manifest_in(path, "give the command of that run again with another --out")?;
    let whole = path.parent().and_then(Path::parent).filter(|whole| whole.join("manifest.json").is_file());
    manifest.ok_or_else(|| match whole {
        Some(whole) => Error::Data(format!("{shown} is part of a run; name the whole: {}", whole.display())),
        None => Error::Data(format!(
            "{shown} has no manifest.json; name run folders that holdfast compare or study has written"
        )),
    })
}
