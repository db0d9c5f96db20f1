//! One page that shows everything and needs nothing else: no network, no files beside it.

use super::layout::{Grid, Line};
use super::{Provenance, Run, Study, explorer, figures, growth_figure, settle_and_hold, study, tables, whole_network};
use crate::error::{Error, Result};
use crate::run_folder;
use crate::study::accuracy::TABLE_SPARSITIES;
use crate::study::configuration::TABLE_SIZES;
use crate::study::recorded::FocusLayer;
use crate::study::results::Results;
use askama::Template;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// Draws what the sliders show.
const SCRIPT: &str = concat!(
    include_str!("../../templates/elements.js"),
    include_str!("../../templates/explorer.js"),
    include_str!("../../templates/whole_network.js")
);

/// A run, as the page shows it.
struct RunSection<'a> {
    provenance: &'a Provenance,
    study: Option<StudyPart<'a>>,
    sections: Vec<Section>,
}

/// Tables and Figure 3 of a study.
struct StudyPart<'a> {
    /// The paper's open questions, as this study has them.
    switches: String,
    replacements: String,
    figure: String,
    tables: Vec<Grid>,
    verdict: Option<Grid>,
    notes: &'a [String],
}

/// One model on one data set, as the page shows it.
struct Section {
    title: String,
    /// Which images accuracies are of: `Test` or `Training`.
    judged: &'static str,
    sentences: Vec<String>,
    ledger: Vec<Line>,
    accuracy: Vec<Line>,
    /// The same of several layers, by size: what they are called, and their lines.
    by_size: Vec<(String, Vec<Line>)>,
    differences: Vec<(&'static str, Vec<Line>)>,
    /// What an interval that says nothing means, where one is shown.
    too_few: Option<&'static str>,
    correlations: Vec<Line>,
    whole_model: Vec<Line>,
    inference: Option<String>,
    reference: String,
    figure: String,
    explorer: String,
    /// What the slider of the whole network shows, if several layers were pruned.
    whole_network: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    version: &'static str,
    sparsities: [String; TABLE_SPARSITIES.len()],
    sizes: [String; TABLE_SIZES.len()],
    parts: Vec<RunSection<'a>>,
    script: &'static str,
}

/// The page about `runs`, as text.
///
/// # Errors
/// [`Error::Job`] if a figure cannot be drawn or the page cannot be filled in.
pub fn page(runs: &[Run]) -> Result<String> {
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        sparsities: TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity)),
        sizes: tables::size_heads(),
        parts: runs.iter().map(|run| part(run, Room::of(runs))).collect::<Result<_>>()?,
        script: SCRIPT,
    };
    page.render().map_err(failed)
}

fn failed(error: impl Display) -> Error {
    Error::Job(format!("the HTML report could not be made: {error}; the CSV files hold the same numbers"))
}

/// How much of a cell a page can show.
#[derive(Clone, Copy)]
struct Room {
    /// Cells on the page.
    cells: usize,
    /// Most replicas of each that can be looked at.
    replicas: u32,
}

impl Room {
    fn of(runs: &[Run]) -> Self {
        Self { cells: runs.iter().map(|run| run.cells.len()).sum(), replicas: explorer::replicas_each(runs) }
    }
}

fn part(run: &Run, room: Room) -> Result<RunSection<'_>> {
    Ok(RunSection {
        provenance: &run.provenance,
        study: run.study.as_ref().map(|study| study_part(study, &run.cells)).transpose()?,
        sections: run.cells.iter().map(|(cell, layer)| section(cell, layer, room)).collect::<Result<_>>()?,
    })
}

fn study_part<'a>(study: &'a Study, cells: &[(Results, FocusLayer)]) -> Result<StudyPart<'a>> {
    let mut tables = study::grids(&study.tables);
    tables.push(study::sensitivity(&study.sensitivity));
    Ok(StudyPart {
        switches: study::switches(&study.configuration),
        replacements: study::replacements(&study.replaced),
        figure: growth_figure::svg(&study.tables.growth)?,
        tables,
        verdict: settle_and_hold::grid(cells.iter().map(|(cell, _)| cell)),
        notes: &study.tables.notes,
    })
}

fn section(cell: &Results, layer: &FocusLayer, room: Room) -> Result<Section> {
    let differences: Vec<_> =
        tables::CONTROLS.map(|(control, over)| (control, tables::difference_lines(cell, over))).into();
    Ok(Section {
        title: cell.title(),
        judged: cell.judged_by(),
        sentences: tables::sentences(cell),
        ledger: tables::ledger_lines(cell),
        accuracy: tables::accuracy_lines(cell),
        by_size: tables::size_lines(cell),
        too_few: differences.iter().any(|(_, lines)| tables::any_unknown(lines)).then_some(tables::TOO_FEW),
        differences,
        correlations: tables::correlation_lines(cell),
        whole_model: tables::whole_model_lines(cell),
        inference: tables::inference_sentence(cell),
        reference: tables::reference_sentence(cell),
        figure: figures::svg(&figures::panels(cell), super::chart::Sheet::Light),
        explorer: explorer::json(cell, layer, room.replicas).map_err(failed)?,
        whole_network: whole_network::json(cell, room.cells, room.replicas).map_err(failed)?,
    })
}

/// Writes the page about `runs` to a file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written, and those of [`page`].
pub fn write(runs: &[Run], path: &Path) -> Result<()> {
    let text = page(runs)?;
    run_folder::write(path, |file| file.write_all(text.as_bytes()))
}

/// What the first lines of a page hold: its own mark, and what it had before it had one.
const MARKS: [&str; 2] = ["<meta name=\"generator\" content=\"holdfast\">", "<title>Holdfast report "];

/// Whether a file is a page that [`write()`] made, in this version or an earlier one.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub fn is_page(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(1024).read_to_end(&mut start));
    read.map_err(|error| Error::io("read", path, error))?;
    let start = String::from_utf8_lossy(&start);
    Ok(start.starts_with("<!DOCTYPE html>") && MARKS.iter().any(|mark| start.contains(mark)))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn run(cells: Vec<Results>) -> Run {
        let cells = cells.into_iter().map(|cell| (cell, sample::layer())).collect();
        Run { provenance: provenance(), study: None, cells }
    }

    fn provenance() -> Provenance {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        Provenance {
            command: "holdfast compare --preset paper".into(),
            machine: "Some CPU, CPU engine".into(),
            configuration_hash: "8c1f4e0b2a77".into(),
            facts: vec![pair("device", "Some CPU <2 cores>, CPU engine"), pair("seed", "1")],
            switches: vec![
                pair("tracking", "position"),
                pair("tolerance kind", "relative"),
                pair("pixel scale", "255"),
            ],
            checksums: vec![pair("train-images-idx3-ubyte.gz", &"440fcabf73cc546f".repeat(4))],
        }
    }

    #[test]
    fn the_page_holds_all_parts_and_loads_nothing() {
        let page = page(&[run(vec![sample::cell()])]).unwrap();
        for part in ["<svg", "mnist · dnn", "arithmetic alone predicts", "not retraining", "8c1f4e0b2a77", "tracking"]
        {
            assert!(page.contains(part), "{part}");
        }
        for loading in ["src=", "<link", "@import", "url(", "fetch(", "import("] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn names_from_outside_cannot_become_markup() {
        let mut cell = sample::cell();
        cell.ledger.workload.data_set = "<b>mine</b>".into();
        cell.sweep[5].rule = "</script><b>mine</b>".into();
        let page = page(&[run(vec![cell])]).unwrap();
        assert!(!page.contains("<b>mine"));
        assert!(page.contains("&#60;2 cores&#62;"));
    }

    #[test]
    fn several_cells_stand_on_one_page() {
        let page = page(&[run(vec![sample::cell(), sample::cell()])]).unwrap();
        assert_eq!(page.matches("<svg ").count(), 2);
        assert_eq!(page.matches("type=\"application/json\"").count(), 2);
    }
}
