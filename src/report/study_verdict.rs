//! What a study found, in some twenty lines: Table 1, what explains the stability, which pairs differ, and whether the criteria
//! beat one-shot pruning.

use super::layout::{NOTHING, aligned, wrapped};
use super::settle_and_hold;
use super::study::probability;
use crate::numbers::{counted, significant};
use crate::results::comparison::Results;
use crate::results::tables::{PairRow, SummaryRow, Tables, TermRow};

/// The analyses that count each network once.
const ANALYSES: [(&str, &str); 2] =
    [("replicate-means", "Mean stability"), ("all-epochs", "Growth of the number of stable weights")];

/// The short form for a terminal, in lines that end.
pub fn text(tables: &Tables, figure4: &[Results]) -> String {
    let mut text = String::from("Magnitude stability in epochs, mean over weights\n");
    let head = ["model", "data set", "networks", "mean", "sd", "paper's mean"].map(String::from).to_vec();
    let row = |row: &SummaryRow| {
        vec![
            row.model.clone(),
            row.data_set.clone(),
            row.replicates.to_string(),
            format!("{:.1}", row.mean),
            row.sd.map_or(NOTHING.into(), |sd| format!("{sd:.1}")),
            row.published_mean.unwrap_or(NOTHING).into(),
        ]
    };
    text += &aligned(&[head].into_iter().chain(tables.summaries.iter().map(row)).collect::<Vec<_>>());
    for sentence in sentences(tables) {
        text += &wrapped(&sentence);
    }
    if let Some(grid) = settle_and_hold::grid(figure4.iter()) {
        for note in grid.notes.iter().filter(|note| note.contains(": better ")) {
            text += &wrapped(note);
        }
        text += "(at 50 to 90 % sparsity, one-shot pruning of the same networks removing as many weights; 95 % intervals)\n";
    }
    for note in &tables.notes {
        text += &wrapped(&format!("Note: {note}."));
    }
    text
}

/// What explains stability and slopes, and which pairs differ.
fn sentences(tables: &Tables) -> Vec<String> {
    let (terms, pairs) = ([tables.table2(), tables.table4()].concat(), [tables.table3(), tables.table5()].concat());
    let of = |(analysis, what): (&str, &str)| {
        let terms: Vec<String> = terms.iter().filter(|row| row.analysis == analysis).filter_map(term).collect();
        if terms.is_empty() {
            return None;
        }
        let own: Vec<&PairRow> = pairs.iter().filter(|row| row.analysis == analysis).collect();
        Some(format!("{what}: {}; {}.", terms.join(", "), told(&own)))
    };
    let mut found: Vec<String> = ANALYSES.into_iter().filter_map(of).collect();
    let unidentified: Vec<String> = tables
        .growth
        .iter()
        .filter(|cell| !cell.growth.limit_is_identified)
        .map(|cell| format!("{} on {}", cell.model, cell.data_set))
        .collect();
    found.push(match unidentified.as_slice() {
        [] => "Every growth curve has a plateau.".into(),
        some if some.len() == tables.growth.len() => "No growth curve has reached a plateau.".into(),
        some => format!("Growth curves without a plateau: {}.", some.join(", ")),
    });
    found
}

/// `data set F = 41.2 (p = 1.2e-8)`; nothing of residuals.
fn term(row: &TermRow) -> Option<String> {
    let (f, p) = (row.f?, probability(row.p?));
    let is = if p.starts_with('<') { " " } else { " = " };
    Some(format!("{} F = {} (p{is}{p})", row.term.replace('_', " "), significant(f)))
}

/// How many pairs differ, and which do not.
fn told(pairs: &[&PairRow]) -> String {
    let holds_zero =
        |row: &&&PairRow| row.lower.zip(row.upper).is_none_or(|(lower, upper)| lower <= 0.0 && upper >= 0.0);
    let equal: Vec<&str> = pairs.iter().filter(holds_zero).map(|row| row.pair.as_str()).collect();
    match equal.as_slice() {
        [] => format!("all {} told apart (Tukey, 95 % together)", counted(pairs.len() as f64, "pair")),
        some => format!(
            "{} of {} told apart (Tukey, 95 % together), not {}",
            pairs.len() - some.len(),
            counted(pairs.len() as f64, "pair"),
            some.join(", ")
        ),
    }
}
