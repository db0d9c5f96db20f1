//! All tables of a cell, for a page and for documents of others.

use super::layout::{Grid, Line};
use super::tables;
use super::verdict::{self, Verdict};
use crate::results::accuracy::TABLE_SPARSITIES;
use crate::results::comparison::Results;

/// What the verdict says in tables.
pub(super) fn of_verdict(verdict: &Verdict) -> Vec<Grid> {
    let mut best = verdict::best_head().map(String::from);
    best[0] = "removed".into();
    best[1] = "without retraining".into();
    let best: Vec<Vec<String>> = std::iter::once(best.to_vec()).chain(verdict.best.iter().cloned()).collect();
    let mut accuracies = verdict.accuracies.clone();
    accuracies[0][0] = "method".into();
    [("What is best at each sparsity, and by how much".into(), best, 4), (verdict.subject.clone(), accuracies, 1)]
        .into_iter()
        .filter(|(_, rows, _)| rows.len() > 1)
        .map(|(title, rows, words)| Grid { title, words, rows, notes: Vec::new() })
        .collect()
}

/// What each method cost.
pub(super) fn ledger(cell: &Results) -> Grid {
    let head = ["per point", "× stability", "distinct points", "fixed", "break-even with decay", "if trained anyway"];
    let notes = vec![
        "Per point: one more operating point of one replica. Fixed: what all replicas together cost before the first point. \
         Break-even: from how many points of each replica on the total is below that of decay-sequential; the last column \
         leaves the training out."
            .into(),
        format!("{}.", tables::RATIOS.replacen('x', "×", 1)),
    ];
    grid("What it costs".into(), &head.map(String::from), tables::ledger_lines(cell), notes)
}

/// Accuracies, differences, correlations and what the whole model gains.
pub(super) fn others(cell: &Results) -> Vec<Grid> {
    let judged = cell.judged_by();
    let sparsities = TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity));
    let mut grids = vec![grid(
        format!("{judged} accuracy by share of zero weights in the focus layer"),
        &sparsities,
        tables::accuracy_lines(cell),
        vec![format!(
            "Per cent, mean ± sd over replicas; “@” where the nearest real point lies elsewhere, “–” where none lies within \
             2.5 %. {}",
            tables::reference_sentence(cell)
        )],
    )];
    let by_size = tables::size_lines(cell).into_iter().map(|(layers, lines)| {
        let title = format!("{judged} accuracy by how many times smaller the whole network is (layers {layers} pruned)");
        let notes = vec![
            "Per cent, mean ± sd over replicas, by the weights of the whole network divided by those that are kept, biases \
             apart; “@” where the nearest real point lies elsewhere, “–” where none lies within 5 %."
                .into(),
        ];
        grid(title, &tables::size_heads(), lines, notes)
    });
    grids.extend(by_size);
    for (control, over) in tables::CONTROLS {
        let lines = tables::difference_lines(cell, over);
        if lines.is_empty() {
            continue;
        }
        let mut notes = vec![
            "Percentage points, paired mean ± 95 % interval (Student’s t). The same number of weights is removed on both sides."
                .into(),
        ];
        if tables::any_unknown(&lines) {
            notes.push(format!("{}.", tables::TOO_FEW));
        }
        grids.push(grid(format!("Over {control}"), &sparsities, lines, notes));
    }
    let correlations = tables::correlation_lines(cell);
    if !correlations.is_empty() {
        let notes = vec![
            "Spearman’s rank correlation of each criterion with the final magnitude over the weights of a replica, mean ± sd over \
             replicas: 1 where both order the weights alike. Settling tolerance with its sign turned, so that more settled is more."
                .into(),
        ];
        let title = "Does a criterion tell more than the final size of a weight?".into();
        grids.push(grid(title, &["correlation".into()], correlations, notes));
    }
    let gained = format!(
        "Where only the focus layer is pruned, which is a small part of the model. {}",
        tables::inference_sentence(cell).unwrap_or_default()
    );
    let whole = tables::whole_model_lines(cell);
    grids.push(grid("What the whole model gains".into(), &sparsities, whole, vec![gained.trim_end().into()]));
    grids
}

fn grid(title: String, head: &[String], lines: Vec<Line>, notes: Vec<String>) -> Grid {
    let row = |line: Line| [vec![line.label], line.columns].concat();
    let head = [&["method".to_string()], head].concat();
    Grid { title, words: 1, rows: std::iter::once(head).chain(lines.into_iter().map(row)).collect(), notes }
}
