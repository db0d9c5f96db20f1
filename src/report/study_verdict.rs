//! What a study found, in some twenty lines of each network: the verdict of its Figure 4 with the mean stability; then what explains
//! the stability, and which pairs differ. Without Figure 4 the means stand alone.

use super::layout::{NOTHING, aligned, wrapped};
use super::study::probability;
use super::verdict::Verdict;
use crate::numbers::{counted, significant};
use crate::results::comparison::Results;
use crate::results::tables::{PairRow, SummaryRow, Tables, TermRow};

/// The analyses that count each network once.
const ANALYSES: [(&str, &str); 2] =
    [("replicate-means", "Mean stability"), ("all-epochs", "Growth of the number of stable weights")];

/// The short form for a terminal, in lines that end. `replaced` says what did not learn; `place` is the study's folder.
pub fn text(tables: &Tables, figure4: &[Results], replaced: &str, place: &str) -> String {
    let mut text = match figure4 {
        [] => means(tables),
        cells => cells.iter().map(|cell| verdict(cell, tables, place) + "\n").collect(),
    };
    let explained = ANALYSES.map(|analysis| explained(tables, analysis));
    match figure4 {
        [] => {
            explained.into_iter().flatten().chain([plateaus(tables)]).for_each(|sentence| text += &wrapped(&sentence));
        }
        _ => text += &explained[0].as_deref().map(wrapped).unwrap_or_default(),
    }
    text += replaced;
    match tables.notes.as_slice() {
        [] => {}
        notes => text += &wrapped(&format!("Note: {}.", notes.join("; "))),
    }
    if !figure4.is_empty() {
        let (sentence, command) = advice(place);
        text += &format!("{sentence} {command}\n");
    }
    text
}

/// What to do next, and the command for it. `place` is the study's folder.
pub(super) fn advice(place: &str) -> (String, String) {
    (
        "A study prunes one layer; for whole networks:".into(),
        format!("holdfast compare --config {place}/config.toml --layers all"),
    )
}

/// The verdict of Figure 4 on a cell, with its mean stability in the title.
fn verdict(cell: &Results, tables: &Tables, place: &str) -> String {
    let workload = &cell.ledger.workload;
    let is_own = |row: &&SummaryRow| (&row.model, &row.data_set) == (&workload.model, &workload.data_set);
    let stability = tables.summaries.iter().find(is_own).map_or(NOTHING.into(), |row| {
        let published = row.published_mean.map(|mean| format!(", paper {mean}")).unwrap_or_default();
        format!("{:.1} epochs (n = {}{published})", row.mean, row.replicates)
    });
    Verdict::of(cell).text(&format!("mean stability {stability}"), place)
}

/// Mean stability of every network on every data set.
fn means(tables: &Tables) -> String {
    let head = ["model", "data set", "networks", "mean", "sd", "paper's mean"].map(String::from);
    let row = |row: &SummaryRow| {
        [
            row.model.clone(),
            row.data_set.clone(),
            row.replicates.to_string(),
            format!("{:.1}", row.mean),
            row.sd.map_or(NOTHING.into(), |sd| format!("{sd:.1}")),
            row.published_mean.unwrap_or(NOTHING).into(),
        ]
    };
    let rows = [head].into_iter().chain(tables.summaries.iter().map(row));
    format!("Magnitude stability in epochs, mean over weights\n{}", aligned(rows, 1..))
}

/// What explains stability or slopes, and which pairs differ; nothing where that was not analysed.
fn explained(tables: &Tables, (analysis, what): (&str, &str)) -> Option<String> {
    let (terms, pairs) = ([tables.table2(), tables.table4()].concat(), [tables.table3(), tables.table5()].concat());
    let terms: Vec<String> = terms.iter().filter(|row| row.analysis == analysis).filter_map(term).collect();
    let own: Vec<&PairRow> = pairs.iter().filter(|row| row.analysis == analysis).collect();
    (!terms.is_empty()).then(|| format!("{what}: {}; {}.", terms.join(", "), told(&own)))
}

/// Which growth curves have no plateau.
fn plateaus(tables: &Tables) -> String {
    let unidentified: Vec<String> = tables
        .growth
        .iter()
        .filter(|cell| !cell.growth.limit_is_identified)
        .map(|cell| format!("{} on {}", cell.model, cell.data_set))
        .collect();
    match unidentified.as_slice() {
        [] => "Every growth curve has a plateau.".into(),
        some if some.len() == tables.growth.len() => "No growth curve has reached a plateau.".into(),
        some => format!("Growth curves without a plateau: {}.", some.join(", ")),
    }
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

#[cfg(test)]
mod tests {
    use super::super::layout::WIDTH;
    use super::super::sample;
    use super::*;
    use crate::results::tables::{Observations, Replicate, StableWeights, tables};

    /// A study of five networks on each of these data, with its Figure 4, in which every leading method has a line.
    fn study(data_sets: &[&str]) -> (Tables, Vec<Results>) {
        let (mut observations, mut stable_weights) = (Observations::new(), StableWeights::new());
        let mut cells = Vec::new();
        for (place, data_set) in (0..).zip(data_sets) {
            for number in 0..5u32 {
                let replicate =
                    Replicate { model: "dnn".into(), data_set: data_set.to_string(), replicate: number.to_string() };
                let stability = |weight: u32| f64::from((7 * weight + 3 * number) % 30 + 2 * place);
                observations.insert(replicate.clone(), (0..20).map(stability).collect());
                let number_at = |epoch: u32| (epoch, f64::from(10 * epoch + number));
                stable_weights.insert(replicate, (1..=20).map(number_at).collect());
            }
            let mut cell = sample::cell();
            sample::add_methods(&mut cell);
            cell.ledger.workload.data_set = data_set.to_string();
            cells.push(cell);
        }
        (tables(&observations, &stable_weights), cells)
    }

    #[test]
    fn the_verdict_stands_first_in_at_most_twenty_lines_a_network() {
        for data_sets in [&["mnist"][..], &["ct", "pr"], &["ct", "mnist", "pr", "xr"]] {
            let (tables, cells) = study(data_sets);
            let text = text(&tables, &cells, "", "runs/one");
            assert!(text.starts_with(&format!("{} · dnn 784-30x6-10 · ", data_sets[0])), "{text}");
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines.len() <= 20 * data_sets.len(), "{} of {data_sets:?}: {text}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
            for words in
                ["mean stability", "Best without retraining", "One point by retraining costs", "holdfast compare"]
            {
                assert!(text.contains(words), "{words}: {text}");
            }
            assert_eq!(text.contains("Mean stability: data set F = "), data_sets.len() > 1, "{text}");
        }
    }

    #[test]
    fn without_figure_4_the_means_stand_alone() {
        let (tables, _) = study(&["ct", "pr"]);
        let text = text(&tables, &[], "", "");
        assert!(text.starts_with("Magnitude stability in epochs") && !text.contains("holdfast compare"), "{text}");
        assert!(text.contains("plateau"), "{text}");
    }
}
