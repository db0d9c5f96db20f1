//! One page that shows everything and needs nothing else: no network, no files beside it.

use super::tables::{self, AccuracyLine, LedgerLine};
use super::{Cell, figures};
use crate::error::{Error, Result};
use crate::run_folder;
use crate::study::accuracy::TABLE_SPARSITIES;
use askama::Template;
use std::io::Write;
use std::path::Path;

/// Where the numbers of a page come from: what a reader needs to repeat them.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The command that was given.
    pub command: String,
    /// Hash of everything that can move a bit of the result.
    pub configuration_hash: String,
    /// Facts in the order shown, e.g. (`device`, `AMD EPYC 7B13, CPU engine`), (`seed`, `1`).
    pub facts: Vec<(String, String)>,
    /// Readings of the protocol that were in force, e.g. (`tracking`, `position`).
    pub switches: Vec<(String, String)>,
    /// Data files with their SHA-256 checksums.
    pub checksums: Vec<(String, String)>,
}

/// One model on one data set, as the page shows it.
struct Section {
    title: String,
    sentences: Vec<String>,
    ledger: Vec<LedgerLine>,
    accuracy: Vec<AccuracyLine>,
    differences: Vec<(&'static str, Vec<AccuracyLine>)>,
    correlations: Vec<(String, String)>,
    whole_model: Vec<AccuracyLine>,
    inference: Option<String>,
    reference: String,
    figure: String,
}

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    version: &'static str,
    sparsities: [String; TABLE_SPARSITIES.len()],
    sections: Vec<Section>,
    provenance: &'a Provenance,
}

/// The page about `cells`, as text.
///
/// # Errors
/// [`Error::Job`] if a figure cannot be drawn or the page cannot be filled in.
pub fn page(cells: &[Cell], provenance: &Provenance) -> Result<String> {
    let section = |cell: &Cell| -> Result<Section> {
        Ok(Section {
            title: cell.title(),
            sentences: tables::sentences(cell),
            ledger: tables::ledger_lines(cell),
            accuracy: tables::accuracy_lines(cell),
            differences: tables::CONTROLS.map(|(control, over)| (control, tables::difference_lines(cell, over))).into(),
            correlations: tables::correlation_lines(cell),
            whole_model: tables::whole_model_lines(cell),
            inference: tables::inference_sentence(cell),
            reference: tables::reference_sentence(cell),
            figure: figures::svg(cell)?,
        })
    };
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        sparsities: TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity)),
        sections: cells.iter().map(section).collect::<Result<_>>()?,
        provenance,
    };
    page.render().map_err(|error| {
        Error::Job(format!("the HTML report could not be made: {error}; the CSV files hold the same numbers"))
    })
}

/// Writes the page about `cells` to a file.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written, and those of [`page`].
pub fn write(cells: &[Cell], provenance: &Provenance, path: &Path) -> Result<()> {
    let text = page(cells, provenance)?;
    run_folder::write(path, |file| file.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn provenance() -> Provenance {
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        Provenance {
            command: "holdfast compare --preset paper".into(),
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
        let page = page(&[sample::cell()], &provenance()).unwrap();
        for part in [
            "<svg",
            "mnist · dnn",
            "arithmetic alone predicts",
            "not retraining",
            "8c1f4e0b2a77",
            "tracking",
            "measured speed-up",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for loading in ["src=", "<link", "<script", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn names_from_outside_cannot_become_markup() {
        let mut cell = sample::cell();
        cell.ledger.workload.data_set = "<b>mine</b>".into();
        let page = page(&[cell], &provenance()).unwrap();
        assert!(!page.contains("<b>mine"));
        assert!(page.contains("&#60;2 cores&#62;"));
    }

    #[test]
    fn several_cells_stand_on_one_page() {
        let page = page(&[sample::cell(), sample::cell()], &provenance()).unwrap();
        assert_eq!(page.matches("<svg").count(), 2);
    }
}
