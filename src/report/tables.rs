//! Tables as text for the terminal.

use super::layout::{Line, NOTHING, UNKNOWN, headed, wrapped};
use super::rules;
use crate::numbers::{counted, ranged, significant, thousands, with_spread};
use crate::pruning::{FOCUS, Method, Repair};
use crate::results::accuracy::{self, Curve, CurvePoint, TABLE_SPARSITIES, are_several};
use crate::results::comparison::{InferenceRow, Results};
use crate::results::ledger::LedgerRow;
use crate::results::summary::Summary;
use crate::run::configuration::TABLE_SIZES;

/// Points further than this from their column's sparsity are marked with their own.
const UNMARKED: f64 = 0.005;

/// Stands before a ratio that is not told from 1.
const ALIKE: &str = "~";
/// What the ratios of the ledger are; the words of a sentence without its end.
pub(super) const RATIOS: &str = "x stability: median ratio of turns beside each other (with 95 %), not the ratio of the medians; ~: not told from 1";

/// The lines of the ledger, in its order: method and rule; marginal cost, the same relative to magnitude stability, distinct
/// points of each replica, fixed cost, and from how many points on it has cost less than exponential decay, with all costs and
/// if the training was needed anyway.
pub(super) fn ledger_lines(cell: &Results) -> Vec<Line> {
    let line = |row: &LedgerRow| {
        let per_point = row.marginal_ms.map(|marginal| with_spread(marginal, row.marginal_ms_sd, "ms"));
        let resumed = if row.resumed { ", resumed" } else { "" };
        let (break_even, break_even_if_trained) = break_even(cell, row);
        Line {
            label: ledger_label(row),
            columns: vec![
                per_point.unwrap_or_else(|| NOTHING.into()),
                ratio(row),
                format!("{}{resumed}", significant(row.distinct_points)),
                row.fixed_s.map_or("none".into(), |seconds| format!("{} s", significant(seconds))),
                break_even,
                break_even_if_trained,
            ],
        }
    };
    cell.ledger.rows.iter().map(line).collect()
}

/// How many times as long a point took as one of magnitude stability, behind a [`ALIKE`] where that may be once.
fn ratio(row: &LedgerRow) -> String {
    let range = row.ratio_to_stability_low.zip(row.ratio_to_stability_high);
    let alike = row.method != Method::Stability && range.is_some_and(|(low, high)| low <= 1.0 && high >= 1.0);
    format!("{}{}", if alike { ALIKE } else { "" }, row.ratio().unwrap_or(NOTHING.into()))
}

/// Method, rule, repair and layers, as far as they do not go without saying.
fn ledger_label(row: &LedgerRow) -> String {
    let mut label = format!("{} {}", row.method, row.rule).trim_end().to_string();
    if row.repair == Repair::Refit && !matches!(row.method, Method::Surgeon | Method::HoldSurgeon) {
        label += ", refit";
    }
    if *row.layers != *FOCUS {
        label += &format!(", {}", row.layers);
    }
    label
}

/// In words, from how many points on a method has paid off against `decay-sequential`: with all costs, and if the training
/// was needed anyway.
fn break_even(cell: &Results, row: &LedgerRow) -> (String, String) {
    if row.method.retrains() || cell.ledger.row(Method::DecaySequential).is_none() {
        return (NOTHING.into(), NOTHING.into());
    }
    // Nothing is won before the first whole point.
    let at = |points: f64| {
        let whole = points.ceil();
        if whole <= 1.0 { "at once".to_string() } else { format!("{} points", significant(whole)) }
    };
    match cell.ledger.break_even(row) {
        None => ("never".into(), "never".into()),
        Some(even) => (at(even.points), at(even.points_if_trained)),
    }
}

impl Line {
    /// A line of the accuracy table, with a column for each of the [`TABLE_SPARSITIES`].
    fn new(curve: &Curve, show: impl Fn(&CurvePoint) -> Option<String>) -> Self {
        let column = |(point, sparsity): (Option<&CurvePoint>, f64)| {
            let Some((point, text)) = point.and_then(|point| Some((point, show(point)?))) else {
                return NOTHING.to_string();
            };
            if (point.sparsity.mean - sparsity).abs() > UNMARKED {
                format!("{text} @{:.1}", 100.0 * point.sparsity.mean)
            } else {
                text
            }
        };
        let points = accuracy::at_table_sparsities(curve);
        Self { label: curve.label.clone(), columns: points.into_iter().zip(TABLE_SPARSITIES).map(column).collect() }
    }
}

/// Accuracy of every curve at the table's sparsities, in per cent.
pub(super) fn accuracy_lines(cell: &Results) -> Vec<Line> {
    let mut curves = accuracy::curves(&cell.sweep, cell.headline_window);
    curves.extend(accuracy::repaired_curves(&cell.sweep, cell.headline_window));
    curves.iter().map(|curve| Line::new(curve, |point| Some(percent(&point.accuracy)))).collect()
}

/// Heads of the columns of [`size_lines`].
pub(super) fn size_heads() -> [String; TABLE_SIZES.len()] {
    TABLE_SIZES.map(|size| format!("{size}x smaller"))
}

/// For each choice of several layers its name, and the accuracy of every curve in per cent by how many times smaller the whole
/// network is.
pub(super) fn size_lines(cell: &Results) -> Vec<(String, Vec<Line>)> {
    let line = |curve: &Curve| {
        let columns = TABLE_SIZES.map(|size| at_size(curve, size));
        Line { label: curve.label.clone(), columns: columns.into() }
    };
    let curves = accuracy::curves_by_size(&cell.sweep, cell.headline_window);
    curves.into_iter().map(|(layers, curves)| (layers, curves.iter().map(line).collect())).collect()
}

/// Accuracy of a curve in per cent where the whole network is so many times smaller.
pub(super) fn at_size(curve: &Curve, size: f64) -> String {
    match accuracy::at_size(curve, size) {
        None => NOTHING.to_string(),
        Some(point) if (point.smaller / size - 1.0).abs() > UNMARKED => {
            format!("{} @{:.1}x", percent(&point.accuracy), point.smaller)
        }
        Some(point) => percent(&point.accuracy),
    }
}

/// The difference of a point to a control.
pub(super) type Difference = fn(&CurvePoint) -> Option<Summary>;

/// The controls that differences are shown to: title and difference.
pub(super) const CONTROLS: [(&str, Difference); 2] = [
    ("one-shot pruning of the same nets", |point| point.over_one_shot),
    ("one-shot pruning with frozen weights first", |point| point.over_frozen_first),
];

/// Accuracy minus a control's in percentage points with the 95 % interval, for the curves that prune the same nets.
pub(super) fn difference_lines(cell: &Results, over: Difference) -> Vec<Line> {
    let curves = accuracy::curves(&cell.sweep, cell.headline_window);
    let difference = |point: &CurvePoint| over(point).map(|difference| percentage_points(&difference));
    curves
        .iter()
        // A control has no difference to itself.
        .filter(|curve| {
            curve.points.iter().filter_map(over).any(|summary| summary.mean != 0.0 || summary.sd != Some(0.0))
        })
        .map(|curve| Line::new(curve, difference))
        .filter(|line| line.columns.iter().any(|column| column != NOTHING))
        .collect()
}

/// What [`UNKNOWN`] means.
pub(super) const TOO_FEW: &str = "± ?: too few replicas, the interval is wider than accuracies can differ";

/// A difference of accuracies in percentage points with its 95 % interval.
pub(super) fn percentage_points(difference: &Summary) -> String {
    let interval = match difference.half_width() {
        Some(_) if difference.is_of_too_few() => UNKNOWN.into(),
        Some(half) => format!(" ± {:.1}", 100.0 * half),
        None => String::new(),
    };
    // Adding zero turns what was rounded to −0.0 into +0.0.
    let mean = (1000.0 * difference.mean).round() / 10.0 + 0.0;
    format!("{mean:+.1}{interval}").replace('-', "−")
}

/// Whether an interval in these lines says nothing.
pub(super) fn any_unknown(lines: &[Line]) -> bool {
    lines.iter().flat_map(|line| &line.columns).any(|column| column.contains(UNKNOWN))
}

/// Rank correlation of each criterion with the final magnitude: of `stability` at each tolerance, of the others at the headline's
/// window.
pub(super) fn correlation_lines(cell: &Results) -> Vec<Line> {
    let mut groups: Vec<(String, Vec<f64>)> = Vec::new();
    for row in &cell.correlations {
        let label = match (row.tolerance, row.window) {
            (Some(tolerance), _) => format!("{} ε={tolerance}", row.method),
            (None, Some(window)) if window == cell.headline_window => format!("{} s={window}", row.method),
            _ => continue,
        };
        let place = groups.iter().position(|(known, _)| *known == label).unwrap_or_else(|| {
            groups.push((label, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.extend(row.spearman);
    }
    let line = |(label, values): (String, Vec<f64>)| {
        let summary = Summary::of(&values)?;
        let spread = summary.sd.map(|sd| format!(" ± {sd:.2}")).unwrap_or_default();
        Some(Line { label, columns: vec![format!("{:+.2}{spread}", summary.mean).replace('-', "−")] })
    };
    groups.into_iter().filter_map(line).collect()
}

/// What the whole model gains at the table's sparsities: how many times smaller it is, and the theoretical speed-up.
pub(super) fn whole_model_lines(cell: &Results) -> Vec<Line> {
    let curves = accuracy::curves(&cell.sweep, cell.headline_window);
    // Both ratios follow from the number of weights alone, so any curve that meets most columns will do.
    let met = |curve: &&Curve| accuracy::at_table_sparsities(curve).iter().flatten().count();
    let Some(curve) = curves.iter().max_by_key(met) else { return Vec::new() };
    let line = |label: &str, value: fn(&CurvePoint) -> f64| Line {
        label: label.into(),
        ..Line::new(curve, |point| Some(format!("{:.3}x", value(point))))
    };
    vec![
        line("times smaller, the whole network", |point| point.smaller),
        line("theoretical speed-up", |point| point.theoretical_speedup),
    ]
}

/// How long classifying took, and how long it takes when the whole network is pruned; `None` if it was not measured.
pub(super) fn inference_sentence(cell: &Results) -> Option<String> {
    let dense = cell.inference.first()?;
    let mut text = format!(
        "Classifying {} images with one replica took {}.",
        thousands(dense.images as i64),
        with_spread(dense.milliseconds, dense.milliseconds_sd, "ms"),
    );
    let is_sized = |row: &&InferenceRow| are_several(&row.layers) && row.sparsity > 0.0;
    let size = |row: &InferenceRow| {
        let smaller = row.smaller?;
        let [most, least] = [row.ratio_to_dense_low?, row.ratio_to_dense_high?].map(f64::recip);
        Some(format!("{} if {smaller:.0}x smaller", ranged([1.0 / row.ratio_to_dense, least, most], "")))
    };
    let sizes: Vec<String> = cell.inference.iter().filter(is_sized).filter_map(size).collect();
    if !sizes.is_empty() {
        text += &format!(
            " Times as fast as the dense network beside it, the whole one pruned by magnitude: {}.",
            sizes.join(", ")
        );
    }
    Some(text)
}

/// Dense accuracies and chance, in one sentence.
pub(super) fn reference_sentence(cell: &Results) -> String {
    let dense: Vec<_> = accuracy::dense(&cell.sweep)
        .into_iter()
        .map(|(epochs, summary)| format!("{} % after {}", percent(&summary), counted(f64::from(epochs), "epoch")))
        .collect();
    let dense = if dense.is_empty() { "not measured".to_string() } else { dense.join(", ") };
    let averaged = accuracy::averaged(&cell.sweep)
        .map(|summary| format!("; with averaged weights {} %", percent(&summary)))
        .unwrap_or_default();
    format!("Before pruning: {dense}{averaged}. Chance: {:.1} %.", 100.0 * cell.chance)
}

/// The sentences under the ledger.
pub(super) fn sentences(cell: &Results) -> Vec<String> {
    let by_rule = rules::sentence(&cell.ledger, &cell.sweep, cell.headline_window, cell.headline_rule);
    let seen = cell.judged_in_training.then(|| {
        "There are no test images: all of them trained, and every accuracy here is of the images that were learnt."
            .into()
    });
    let own = [cell.ledger.caveat()];
    cell.ledger.summary().into_iter().chain(own).chain(by_rule).chain(seen).collect()
}

/// Accuracy at the table's sparsities, for a terminal.
pub(super) fn accuracy_text(cell: &Results) -> String {
    let seen = if cell.judged_in_training { "  of the images that were learnt: there are no others\n" } else { "" };
    grid(&accuracy_lines(cell)) + seen
}

/// A mean and its spread in per cent: `96.7 ± 0.1`.
pub(super) fn percent(summary: &Summary) -> String {
    let spread = summary.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
    format!("{:.1}{spread}", 100.0 * summary.mean)
}

/// The report of one cell for a terminal, without colours; every line ends with a line break and fits in 120 columns
/// unless a name is very long.
pub fn text(cell: &Results) -> String {
    let mut text = format!("{}\n\n{}\n", cell.title(), ledger_table(ledger_lines(cell)));
    for sentence in sentences(cell) {
        text += &wrapped(&sentence);
    }
    text += &format!(
        "\n{} accuracy in % (mean ± sd over replicas) by share of the focus layer's weights that are zero\n",
        cell.judged_by()
    );
    text += &grid(&accuracy_lines(cell));
    text += &wrapped(&reference_sentence(cell));
    for (layers, lines) in size_lines(cell) {
        text += &format!(
            "\n{} accuracy in % by how many times smaller the whole network is (layers {layers} pruned)\n",
            cell.judged_by()
        );
        text += &headed(&size_heads(), &lines);
    }
    for (control, over) in CONTROLS {
        let differences = difference_lines(cell, over);
        if !differences.is_empty() {
            text += &format!("\nPercentage points over {control} (paired mean ± 95 % interval)\n");
            text += &grid(&differences);
            if any_unknown(&differences) {
                text += &format!("  {TOO_FEW}\n");
            }
        }
    }
    let correlations = correlation_lines(cell);
    if !correlations.is_empty() {
        text += "\nRank correlation with the final magnitude (Spearman, mean ± sd over replicas)\n";
        text += &headed(&[], &correlations);
    }
    text += "\nThe whole model\n";
    text += &grid(&whole_model_lines(cell));
    text + &inference_sentence(cell).map(|sentence| wrapped(&sentence)).unwrap_or_default()
}

/// The ledger, a line for each method.
fn ledger_table(mut lines: Vec<Line>) -> String {
    let head =
        ["time per point", "x stability", "points", "fixed", "break-even", "if trained anyway"].map(String::from);
    // Without exponential decay there is nothing to break even with.
    let breaks_even = lines.iter().any(|line| line.columns[4] != NOTHING);
    let columns = if breaks_even { head.len() } else { head.len() - 2 };
    lines.iter_mut().for_each(|line| line.columns.truncate(columns));
    let mut text = headed(&head[..columns], &lines);
    if lines.iter().any(|line| line.columns[1] != NOTHING) {
        text += &format!("  {RATIOS}\n");
    }
    text += "  points: distinct ones of each replica; fixed: before the first point, all replicas";
    if breaks_even {
        text += "\n  break-even: from so many points of each replica on it costs less in total than decay-sequential";
    }
    text + "\n"
}

/// A grid with the table's sparsities as its head.
fn grid(lines: &[Line]) -> String {
    headed(&TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity)), lines)
}

#[cfg(test)]
mod tests {
    use super::super::layout::WIDTH;
    use super::super::sample;
    use super::*;

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap_or_else(|| panic!("no {start} in\n{text}"))
    }

    #[test]
    fn every_method_has_a_line_with_its_marginal_cost_and_break_even() {
        let text = text(&sample::cell());
        let hold: Vec<&str> = line(&text, "hold frozen-first").split("  ").map(str::trim).collect();
        let hold: Vec<&str> = hold.into_iter().filter(|entry| !entry.is_empty()).collect();
        let expected =
            ["hold frozen-first", "0.310 ms ± 0.020", "1.03 (1.03 to 1.04)", "101", "41.2 s", "32 points", "at once"];
        assert_eq!(hold, expected);
        assert!(line(&text, "decay-sequential").ends_with('–'), "exponential decay cannot break even with itself");
        // Blocks of 0.26, 0.28 and 0.33 ms beside 0.28, 0.30 and 0.32 ms: nothing tells which is faster.
        assert!(line(&text, "random").contains("~0.93") && text.contains("~: not told from 1"), "{text}");
    }

    #[test]
    fn columns_end_below_each_other() {
        let text = text(&sample::cell());
        let table: Vec<&str> = text.lines().skip(2).take(1 + sample::cell().ledger.rows.len()).collect();
        let widths: Vec<_> = table.iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table:#?}");
        assert!(table[0].contains("break-even") && table[9].contains("decay-batched"), "{table:#?}");
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let mut cell = sample::cell();
        // Sparsities of magnitude stability between the columns, with wide spreads, make the widest entries.
        for row in &mut cell.sweep {
            row.accuracy *= 1.0 - 0.1 * f64::from(row.replica);
            if row.method == Method::Stability {
                row.sparsity += 0.011;
            }
        }
        for line in text(&cell).lines() {
            assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        }
    }

    #[test]
    fn sentences_break_between_words_and_lose_none() {
        let sentence = sentences(&sample::cell()).join(" ");
        let lines = wrapped(&sentence);
        assert!(lines.lines().count() > 2);
        assert_eq!(lines.split_whitespace().collect::<Vec<_>>(), sentence.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn the_time_of_the_dense_network_is_said_and_how_much_faster_smaller_ones_were() {
        let cell = sample::cell();
        let sentence = inference_sentence(&cell).unwrap();
        assert!(sentence.contains("14.3 ms ± 0.5") && !sentence.contains("14.6"), "{sentence}");
        assert!(sentence.contains(" if 2x smaller, 1.81 ("), "{sentence}");
        let of_focus = Results { inference: cell.inference[..6].to_vec(), ..cell.clone() };
        assert!(inference_sentence(&of_focus).unwrap().ends_with("± 0.5."));
        let unmeasured = Results { inference: Vec::new(), ..cell };
        assert_eq!(inference_sentence(&unmeasured), None);
    }

    #[test]
    fn an_interval_of_too_few_replicas_is_said_to_be_one() {
        let mut cell = sample::cell();
        assert!(!text(&cell).contains(TOO_FEW));
        cell.sweep.retain(|row| row.replica < 2);
        for row in cell.sweep.iter_mut().filter(|row| row.method == Method::Hold && row.replica == 1) {
            row.accuracy -= 0.3;
        }
        let lines = difference_lines(&cell, |point| point.over_one_shot);
        let hold = lines.iter().find(|line| line.label.starts_with("hold")).unwrap();
        assert!(hold.columns.iter().all(|column| column.ends_with(UNKNOWN)), "{:?}", hold.columns);
        assert!(text(&cell).contains(TOO_FEW));
    }

    #[test]
    fn a_point_off_its_column_is_marked_and_a_missing_one_is_a_dash() {
        let mut cell = sample::cell();
        cell.sweep.retain(|row| row.method == Method::DecaySequential);
        for row in &mut cell.sweep {
            row.sparsity += 0.01;
        }
        cell.sweep.retain(|row| row.sparsity < 0.65);
        let lines = accuracy_lines(&cell);
        assert!(lines[0].columns[0].ends_with("@51.0"), "{}", lines[0].columns[0]);
        assert_eq!(lines[0].columns[2], NOTHING);
    }

    #[test]
    fn without_decay_no_line_speaks_of_breaking_even() {
        let mut cell = sample::cell();
        cell.ledger.rows.retain(|row| !row.method.retrains());
        assert!(!text(&cell).contains("break-even"));
    }

    #[test]
    fn an_empty_sweep_gives_a_report_all_the_same() {
        let cell = Results { sweep: Vec::new(), ..sample::cell() };
        assert!(text(&cell).contains("Before pruning: not measured. Chance: 11.4 %."));
    }
}
