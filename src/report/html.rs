//! One page that shows everything and needs nothing else: no network, no files beside it.

use super::chart::Format;
use super::layout::Grid;
use super::markup::Markup;
use super::pen::Sheet;
use super::verdict::Verdict;
use super::{
    Provenance, Run, Study, cell_tables, explorer, figures, growth_figure, look, overview, settle_and_hold, study,
    study_verdict, tables, whole_network,
};
use crate::error::{Error, Result};
use crate::results::comparison::Results;
use crate::run::recorded::FocusLayer;
use crate::run_folder;
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

/// Most bytes of a page, and about what the tables and figures of a cell take of them. Of what sliders show less and less is taken
/// until it fits into the rest.
const MOST_BYTES: usize = 3_000_000;
const CELL_BYTES: usize = 100_000;

/// How much of a cell a page shows.
#[derive(Clone, Copy)]
struct Room {
    /// Most replicas that can be looked at.
    replicas: u32,
    /// Most weights of a layer that are drawn.
    weights: usize,
}

/// From the most that a page shows to the least.
const ROOMS: [Room; 6] = [
    Room { replicas: 10, weights: 1 << 16 },
    Room { replicas: 5, weights: 1 << 16 },
    Room { replicas: 2, weights: 1 << 16 },
    Room { replicas: 1, weights: 1 << 16 },
    Room { replicas: 1, weights: 1 << 13 },
    Room { replicas: 1, weights: 0 },
];

/// A run, as the page shows it.
struct RunSection<'a> {
    provenance: &'a Provenance,
    study: Option<StudyPart<'a>>,
    sections: Vec<Section>,
}

/// Tables and Figure 3 of a study.
struct StudyPart<'a> {
    /// What to do next, and the command for it.
    advice: (String, String),
    /// The paper's open questions, as this study has them.
    switches: String,
    replacements: String,
    /// What each panel says, and its drawing.
    figures: Vec<(String, String)>,
    tables: Vec<Grid>,
    notes: &'a [String],
}

/// A drawing with what it says and what its bands mean.
struct Figure {
    message: String,
    note: String,
    drawing: String,
}

/// One model on one data set, as the page shows it.
struct Section {
    title: String,
    /// Which images accuracies are of: `Test` or `Training`.
    judged: &'static str,
    /// The verdict in sentences and tables.
    verdict: Vec<String>,
    /// What to do next, and the command for it.
    advice: Option<(String, String)>,
    verdict_tables: Vec<Grid>,
    figures: Vec<Figure>,
    /// What was measured of times, and what follows.
    sentences: Vec<String>,
    ledger: Grid,
    tables: Vec<Grid>,
    sliders: Sliders,
}

/// The numbers behind the sliders of a cell, as JSON.
struct Sliders {
    explorer: String,
    /// Of the whole network, if several layers were pruned.
    whole_network: Option<String>,
}

impl Sliders {
    fn new(cell: &Results, layer: &FocusLayer, room: Room) -> Result<Self> {
        Ok(Self {
            explorer: explorer::json(cell, layer, room.replicas, room.weights).map_err(failed)?,
            whole_network: whole_network::json(cell, room.replicas, room.weights).map_err(failed)?,
        })
    }

    fn bytes(&self) -> usize {
        self.explorer.len() + self.whole_network.as_ref().map_or(0, String::len)
    }
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    version: &'static str,
    /// Colours of figures on a light and on a dark page.
    tones: String,
    overview: Vec<Grid>,
    parts: Vec<RunSection<'a>>,
    script: &'static str,
}

/// The page about `runs`, as text.
///
/// # Errors
/// [`Error::Job`] if the page cannot be filled in.
pub fn page(runs: &[Run]) -> Result<String> {
    let cells = || runs.iter().flat_map(|run| &run.cells);
    let rest = MOST_BYTES.saturating_sub(CELL_BYTES * cells().count());
    let mut sliders: Vec<Sliders> = Vec::new();
    for room in ROOMS {
        sliders = cells().map(|(cell, layer)| Sliders::new(cell, layer, room)).collect::<Result<_>>()?;
        if sliders.iter().map(Sliders::bytes).sum::<usize>() <= rest {
            break;
        }
    }
    let mut sliders = sliders.into_iter();
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        tones: look::page_style(),
        overview: overview::grids(runs),
        parts: runs.iter().map(|run| part(run, &mut sliders)).collect(),
        script: SCRIPT,
    };
    page.render().map_err(failed)
}

/// All tables of `runs` as Markdown or LaTeX.
pub fn document(runs: &[Run], markup: Markup) -> String {
    let mut parts = vec![("Overview".to_string(), overview::grids(runs))];
    for run in runs {
        let machine = &run.provenance.machine;
        if let Some(study) = &run.study {
            parts.push((format!("The study · {machine}"), study_tables(study, &run.cells)));
        }
        for (cell, _) in &run.cells {
            let mut grids = cell_tables::of_verdict(&Verdict::of(cell));
            grids.push(cell_tables::ledger(cell));
            grids.extend(cell_tables::others(cell));
            parts.push((format!("{} · {machine}", cell.title()), grids));
        }
    }
    parts.retain(|(_, grids)| !grids.is_empty());
    markup.document(&parts)
}

fn failed(error: impl Display) -> Error {
    Error::Job(format!("the HTML report could not be made: {error}; the CSV files hold the same numbers"))
}

fn part<'a>(run: &'a Run, sliders: &mut impl Iterator<Item = Sliders>) -> RunSection<'a> {
    RunSection {
        provenance: &run.provenance,
        study: run.study.as_ref().map(|study| study_part(study, &run.cells)),
        sections: run.cells.iter().zip(sliders).map(|((cell, _), sliders)| section(cell, sliders)).collect(),
    }
}

fn study_tables(study: &Study, cells: &[(Results, FocusLayer)]) -> Vec<Grid> {
    let mut tables = study::grids(&study.tables);
    tables.push(study::sensitivity(&study.sensitivity));
    tables.extend(settle_and_hold::grid(cells.iter().map(|(cell, _)| cell)));
    tables
}

fn study_part<'a>(study: &'a Study, cells: &[(Results, FocusLayer)]) -> StudyPart<'a> {
    StudyPart {
        advice: study_verdict::advice("RUN"),
        switches: study::switches(&study.configuration),
        replacements: study::replacements(&study.replaced),
        figures: growth_figure::panels(&study.tables.growth),
        tables: study_tables(study, cells),
        notes: &study.tables.notes,
    }
}

fn section(cell: &Results, sliders: Sliders) -> Section {
    let verdict = Verdict::of(cell);
    let figure = |panel: &figures::Panel| Figure {
        message: panel.message().into(),
        note: panel.note().into(),
        drawing: panel.svg(Format::PAGE, Sheet::Light),
    };
    Section {
        title: cell.title(),
        judged: cell.judged_by(),
        verdict_tables: cell_tables::of_verdict(&verdict),
        advice: verdict.advice("RUN"),
        verdict: verdict.sentences,
        figures: figures::panels(cell).iter().map(figure).collect(),
        sentences: tables::sentences(cell),
        ledger: cell_tables::ledger(cell),
        tables: cell_tables::others(cell),
        sliders,
    }
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
        Run { provenance: sample::provenance(), study: None, cells }
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
    fn a_page_of_many_runs_stays_small() {
        let page = page(&vec![run(vec![sample::cell()]); 6]).unwrap();
        assert!(page.len() <= MOST_BYTES, "{}", page.len());
        assert_eq!(page.matches("type=\"application/json\"").count(), 6);
    }

    #[test]
    fn tables_come_as_markdown_and_latex_too() {
        let runs = [run(vec![sample::cell()])];
        let [md, tex] = [Markup::Md, Markup::Tex].map(|markup| document(&runs, markup));
        for part in ["## Overview", "| one-shot magnitude |", "| 90 % |", "### What it costs"] {
            assert!(md.contains(part), "{part}");
        }
        assert_eq!(tex.matches("\\begin{tabular}").count(), tex.matches("\\bottomrule").count());
    }

    #[test]
    fn several_cells_stand_on_one_page() {
        let page = page(&[run(vec![sample::cell(), sample::cell()])]).unwrap();
        // Three figures each, and the first table compares both.
        assert_eq!(page.matches("<svg ").count(), 2 * 3);
        assert!(page.contains("2 less 1"));
        assert_eq!(page.matches("type=\"application/json\"").count(), 2);
    }
}
