//! `holdfast compare`: the main job.

use super::options::{FullOption, RunArguments};
use super::progress::Reporter;
use super::run::{Run, finish, prepare};
use super::{output, report as page};
use crate::error::Result;
use crate::report::verdict::Verdict;
use crate::report::{Provenance, cell_json, figures, tables};
use crate::results::comparison::{Results, write_together};
use crate::run::cell::{Cell, CellFolder};
use crate::run_folder::RunFolder;
use crate::study::comparison::{Compared, compare};
use crate::study::memory::Job;
use clap::Args;
use serde_json::json;
use std::time::Instant;

/// Arguments of `compare`.
#[derive(Args)]
pub(super) struct CompareArguments {
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    full: FullOption,
}

pub(super) fn run(CompareArguments { run: arguments, full }: &CompareArguments) -> Result<()> {
    let configuration = arguments.run.resolve(&arguments.file, None)?;
    let Some(prepared) = prepare("compare", configuration, arguments, Job::Compare, None)? else { return Ok(()) };
    let say = &arguments.folder.output;
    let mut run = prepared.start(arguments.folder.out.as_deref(), arguments.fresh)?;
    let found = if run.is_finished(say) { read_back(&run)? } else { compare_all(&mut run, say.quiet)? };
    let place = run.folder.path().display();
    let places = run.cells.iter().map(|cell| format!("{place}/{}", cell.folder_name(&run.configuration)));
    let places: Vec<String> = places.map(|place| place.trim_end_matches('/').into()).collect();
    if say.json {
        return output::json(&json!({
            "configuration_hash": run.manifest.configuration_hash,
            "device": run.manifest.device,
            "folder": place.to_string(),
            "cells": found.iter().map(cell_json::of).collect::<Vec<_>>(),
        }));
    }
    let machine = Provenance::from(&run.manifest).machine;
    let text = |(cell, place): (&Results, &String)| {
        let verdict = Verdict::of(cell).text(&machine, place);
        if full.full { verdict + "\n" + &tables::text(cell) } else { verdict }
    };
    let texts: Vec<String> = found.iter().zip(&places).map(text).collect();
    let more = if full.full { "" } else { "; --full prints every table" };
    output::result(&format!("{}\nFiles are in {place}; begin with report.html{more}.\n", texts.join("\n")))
}

/// Results of a finished run.
fn read_back(run: &Run) -> Result<Vec<Results>> {
    let shown = |cell: &Cell| {
        let folder = cell.folder(&run.folder, &run.manifest.configuration_hash, &run.configuration);
        let results = Results::read_back(&run.configuration, &folder.place(""))?;
        // The figures follow from the tables: whoever lost it gets it back.
        draw(&results, cell, &folder, &run.folder, run.cells.len() > 1)?;
        Ok(results)
    };
    run.cells.iter().map(shown).collect()
}

/// Writes the figures of a cell into its folder, and where there are several cells Figure 4 at the top too.
fn draw(results: &Results, cell: &Cell, own: &CellFolder<'_>, run: &RunFolder, several: bool) -> Result<()> {
    figures::write(results, &|name| own.file(&format!("figures/{name}")))?;
    if several {
        let name = format!("figure4-{}-{}", cell.model(), cell.data_set);
        figures::write_whole(results, &name, &|name| run.file(&format!("figures/{name}")))?;
    }
    Ok(())
}

/// Compares every cell, writes all files and marks the run as finished.
fn compare_all(run: &mut Run, quiet: bool) -> Result<Vec<Results>> {
    let started = Instant::now();
    let reporter = Reporter::new(quiet);
    let Run { configuration, cells, engine, folder, manifest } = run;
    let hash = manifest.configuration_hash.clone();
    let part = |cell: &Cell| cell.folder(folder, &hash, configuration);
    let mut all = Vec::new();
    for cell in cells.iter() {
        let own = part(cell);
        let Compared { results, weight_hashes, wall_times } =
            compare(engine, cell, configuration, &own, reporter.control())?;
        draw(&results, cell, &own, folder, cells.len() > 1)?;
        let label = cell.label(configuration);
        let hashes = weight_hashes.into_iter().map(|(what, hash)| (format!("{label}: {what}"), hash));
        manifest.weight_hashes.extend(hashes);
        manifest.wall_times.extend(wall_times);
        all.push(results);
    }
    if cells.len() > 1 {
        write_together(&|name| folder.file(name), &all)?;
    }
    page::write(folder, manifest, engine)?;
    manifest.wall_times.insert("whole command".into(), started.elapsed().as_secs_f64());
    finish(folder, manifest)?;
    cells.iter().try_for_each(|cell| part(cell).remove_checkpoints())?;
    Ok(all)
}
