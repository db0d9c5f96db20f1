//! Tables as text for the terminal, and the same as JSON.

use super::{Cell, count};
use crate::pruning::Method;
use crate::study::accuracy::{self, Curve, CurvePoint, Summary, TABLE_SPARSITIES};
use crate::study::ledger::LedgerRow;
use crate::study::numbers::{significant, with_spread};
use serde_json::{Value, json};

/// Shown where there is nothing to show.
const NOTHING: &str = "–";

/// Points further than this from their column's sparsity are marked with their own.
const UNMARKED: f64 = 0.005;

/// One method's line of the ledger, in words.
pub(super) struct LedgerLine {
    /// Method and rule.
    pub(super) method: String,
    /// Marginal cost.
    pub(super) per_point: String,
    /// How many points and replicas that is a mean of.
    pub(super) points: String,
    /// Fixed cost.
    pub(super) fixed: String,
    /// Marginal cost relative to magnitude stability.
    pub(super) ratio: String,
    /// From how many points on it has cost less than ED.
    pub(super) break_even: String,
    /// The same if the training was needed anyway.
    pub(super) break_even_if_trained: String,
}

/// The lines of the ledger, in its order.
pub(super) fn ledger_lines(cell: &Cell) -> Vec<LedgerLine> {
    cell.ledger.rows.iter().map(|row| ledger_line(cell, row)).collect()
}

fn ledger_line(cell: &Cell, row: &LedgerRow) -> LedgerLine {
    let mut method = row.method.to_string();
    if !row.rule.is_empty() {
        method += &format!(" {}", row.rule);
    }
    let per_point = row.marginal_ms.map(|marginal| with_spread(marginal, row.marginal_ms_sd, "ms"));
    let resumed = if row.resumed { ", resumed" } else { "" };
    let points =
        format!("{}, {}{resumed}", count(row.distinct_points, "point"), count(f64::from(row.replicates), "replica"));
    let (break_even, break_even_if_trained) = break_even(cell, row);
    LedgerLine {
        method,
        per_point: per_point.unwrap_or_else(|| NOTHING.into()),
        points,
        fixed: row.fixed_s.map_or("none".into(), |seconds| format!("{} s", significant(seconds))),
        ratio: row.ratio_to_ms.map_or(NOTHING.into(), |ratio| format!("{}x", significant(ratio))),
        break_even,
        break_even_if_trained,
    }
}

/// In words, from how many points on a method has paid off against `ed-sequential`: with all costs, and if the training
/// was needed anyway.
fn break_even(cell: &Cell, row: &LedgerRow) -> (String, String) {
    if row.method.retrains() || cell.ledger.row(Method::EdSequential).is_none() {
        return (NOTHING.into(), NOTHING.into());
    }
    // Nothing is won before the first whole point.
    let at = |points: f64| {
        let whole = points.ceil();
        if whole <= 1.0 { "at once".to_string() } else { format!("at {} points", significant(whole)) }
    };
    match cell.ledger.break_even(row) {
        None => ("never".into(), "never".into()),
        Some(even) => (at(even.points), at(even.points_if_trained)),
    }
}

/// One line of the accuracy table: a label, and a text for each of the [`TABLE_SPARSITIES`].
pub(super) struct AccuracyLine {
    /// What the line is about.
    pub(super) label: String,
    /// One entry for each column.
    pub(super) columns: Vec<String>,
}

impl AccuracyLine {
    fn new(curve: &Curve, show: impl Fn(&CurvePoint) -> Option<String>) -> Self {
        let column = |(point, sparsity): (Option<&CurvePoint>, f64)| {
            let Some((point, text)) = point.and_then(|point| Some((point, show(point)?))) else {
                return NOTHING.to_string();
            };
            if (point.sparsity.mean - sparsity).abs() > UNMARKED {
                format!("{text} (at {:.1})", 100.0 * point.sparsity.mean)
            } else {
                text
            }
        };
        let points = accuracy::at_table_sparsities(curve);
        Self { label: curve.label.clone(), columns: points.into_iter().zip(TABLE_SPARSITIES).map(column).collect() }
    }
}

/// Accuracy of every curve at the table's sparsities, in per cent.
pub(super) fn accuracy_lines(cell: &Cell) -> Vec<AccuracyLine> {
    let curves = accuracy::curves(&cell.sweep, cell.headline_window);
    curves.iter().map(|curve| AccuracyLine::new(curve, |point| Some(percent(&point.accuracy)))).collect()
}

/// Accuracy minus one-shot pruning's in percentage points with the 95 % interval, for the curves that prune the same nets.
pub(super) fn difference_lines(cell: &Cell) -> Vec<AccuracyLine> {
    let curves = accuracy::curves(&cell.sweep, cell.headline_window);
    let difference = |point: &CurvePoint| {
        let difference = point.over_one_shot?;
        let interval = difference.half_width().map(|half| format!(" ± {:.1}", 100.0 * half)).unwrap_or_default();
        Some(format!("{:+.1}{interval}", 100.0 * difference.mean).replace('-', "−"))
    };
    curves
        .iter()
        .filter(|curve| curve.method != Method::Magnitude)
        .map(|curve| AccuracyLine::new(curve, difference))
        .filter(|line| line.columns.iter().any(|column| column != NOTHING))
        .collect()
}

/// What the whole model gains at the table's sparsities: compression ratio and theoretical speed-up.
pub(super) fn compression_lines(cell: &Cell) -> Vec<AccuracyLine> {
    let curves = accuracy::curves(&cell.sweep, cell.headline_window);
    // Both follow from the number of nodes alone, so any curve that meets most columns will do.
    let met = |curve: &&Curve| accuracy::at_table_sparsities(curve).iter().flatten().count();
    let Some(curve) = curves.iter().max_by_key(met) else { return Vec::new() };
    let line = |label: &str, value: fn(&CurvePoint) -> f64| AccuracyLine {
        label: label.into(),
        ..AccuracyLine::new(curve, |point| Some(format!("{:.3}x", value(point))))
    };
    vec![
        line("compression of the whole model", |point| point.compression_ratio),
        line("theoretical speed-up", |point| point.theoretical_speedup),
    ]
}

/// Dense accuracies and chance, in one sentence.
pub(super) fn reference_sentence(cell: &Cell) -> String {
    let dense: Vec<_> = accuracy::dense(&cell.sweep)
        .into_iter()
        .map(|(epochs, summary)| format!("{} % after {}", percent(&summary), count(f64::from(epochs), "epoch")))
        .collect();
    let dense = if dense.is_empty() { "not measured".to_string() } else { dense.join(", ") };
    format!("Before pruning: {dense}. Chance: {:.1} %.", 100.0 * cell.chance)
}

/// The sentences under the ledger.
pub(super) fn sentences(cell: &Cell) -> Vec<String> {
    cell.ledger.quotable_sentence().into_iter().chain([cell.ledger.honest_sentence()]).collect()
}

fn percent(summary: &Summary) -> String {
    let spread = summary.sd.map(|sd| format!(" ± {:.1}", 100.0 * sd)).unwrap_or_default();
    format!("{:.1}{spread}", 100.0 * summary.mean)
}

/// The report of one cell for a terminal, without colours; every line ends with a line break.
pub fn text(cell: &Cell) -> String {
    let mut text = format!("{}\n\n", cell.title());
    let lines = ledger_lines(cell);
    let width =
        |part: fn(&LedgerLine) -> &String| lines.iter().map(|line| part(line).chars().count()).max().unwrap_or(0);
    let widths = [
        width(|line| &line.method),
        width(|line| &line.per_point),
        width(|line| &line.points) + 2,
        width(|line| &line.fixed),
        width(|line| &line.ratio),
    ];
    for line in &lines {
        let points = format!("({})", line.points);
        text += &format!(
            "  {:method_width$}  {:>marginal_width$} per point  {points:points_width$} · fixed {:>fixed_width$} · \
             {:>ratio_width$} ms",
            line.method,
            line.per_point,
            line.fixed,
            line.ratio,
            method_width = widths[0],
            marginal_width = widths[1],
            points_width = widths[2],
            fixed_width = widths[3],
            ratio_width = widths[4],
        );
        if line.break_even != NOTHING {
            text += &format!(" · break-even with ed-sequential {}", line.break_even);
            if line.break_even_if_trained != line.break_even {
                text += &format!(", {} if the training was needed anyway", line.break_even_if_trained);
            }
        }
        text.push('\n');
    }
    text.push('\n');
    for sentence in sentences(cell) {
        text += &format!("{sentence}\n");
    }
    text += "\nTest accuracy in % (mean ± sd over replicas) by share of the focus layer's nodes that are zero\n";
    text += &grid(&accuracy_lines(cell));
    text += &format!("  {}\n", reference_sentence(cell));
    let differences = difference_lines(cell);
    if !differences.is_empty() {
        text += "\nPercentage points over one-shot pruning of the same nets (paired mean ± 95 % interval)\n";
        text += &grid(&differences);
    }
    text += "\nThe whole model\n";
    text += &grid(&compression_lines(cell));
    text
}

/// An aligned grid with the table's sparsities as its head.
fn grid(lines: &[AccuracyLine]) -> String {
    let head = TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity));
    let label_width = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0);
    let width = |column: usize| {
        let entries = lines.iter().map(|line| line.columns[column].chars().count());
        entries.max().unwrap_or(0).max(head[column].chars().count())
    };
    let row = |label: &str, columns: &[String]| {
        let mut text = format!("  {label:label_width$}");
        for (index, column) in columns.iter().enumerate() {
            text += &format!("  {column:>width$}", width = width(index));
        }
        text + "\n"
    };
    lines.iter().fold(row("", &head), |text, line| text + &row(&line.label, &line.columns))
}

/// The same as [`text`], as numbers: shares instead of per cent, nothing rounded.
pub fn json(cell: &Cell) -> Value {
    let ledger = &cell.ledger;
    let rows: Vec<_> = ledger
        .rows
        .iter()
        .map(|row| json!({ "row": row, "break_even_with_ed_sequential": ledger.break_even(row) }))
        .collect();
    let dense: Vec<_> = accuracy::dense(&cell.sweep)
        .into_iter()
        .map(|(epochs, accuracy)| json!({ "epochs": epochs, "accuracy": accuracy }))
        .collect();
    let points = |curve: &Curve| -> Vec<Value> {
        let interval = |point: &CurvePoint| point.over_one_shot.and_then(|difference| difference.half_width());
        accuracy::at_table_sparsities(curve)
            .into_iter()
            .zip(TABLE_SPARSITIES)
            .filter_map(|(point, sparsity)| Some((point?, sparsity)))
            .map(|(point, near)| json!({ "near": near, "point": point, "over_one_shot_half_width": interval(point) }))
            .collect()
    };
    let curves: Vec<_> = accuracy::curves(&cell.sweep, cell.headline_window)
        .iter()
        .map(|curve| json!({ "method": curve.method, "label": curve.label, "points": points(curve) }))
        .collect();
    json!({
        "workload": ledger.workload,
        "ledger": rows,
        "arithmetic_ratio": ledger.workload.arithmetic_ratio(),
        "total_ratio": ledger.total_ratio(),
        "sentences": sentences(cell),
        "chance": cell.chance,
        "headline_window": cell.headline_window,
        "dense": dense,
        "accuracy": curves,
    })
}

#[cfg(test)]
mod tests {
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
        let hold = line(&text, "hold s=50");
        for part in
            ["0.310 ms ± 0.020 per point", "(101 points, 5 replicas)", "fixed 41.2 s", "at once if the training"]
        {
            assert!(hold.contains(part), "{part} not in {hold}");
        }
        assert!(line(&text, "ed-sequential").contains("fixed   none"));
        assert!(!line(&text, "ed-sequential").contains("break-even"));
    }

    #[test]
    fn columns_are_aligned() {
        let text = text(&sample::cell());
        let places: Vec<_> = text
            .lines()
            .filter(|line| line.contains(" per point  "))
            .map(|line| line.chars().collect::<String>().split(" per point").next().map(|part| part.chars().count()))
            .collect();
        assert!(places.len() >= 8 && places.iter().all(|place| *place == places[0]), "{places:?}");
    }

    #[test]
    fn a_point_off_its_column_is_marked_and_a_missing_one_is_a_dash() {
        let mut cell = sample::cell();
        cell.sweep.retain(|row| row.method == Method::EdSequential);
        for row in &mut cell.sweep {
            row.sparsity += 0.01;
        }
        cell.sweep.retain(|row| row.sparsity < 0.65);
        let lines = accuracy_lines(&cell);
        assert!(lines[0].columns[0].ends_with("(at 51.0)"), "{}", lines[0].columns[0]);
        assert_eq!(lines[0].columns[2], NOTHING);
    }

    #[test]
    fn without_ed_no_line_speaks_of_breaking_even() {
        let mut cell = sample::cell();
        cell.ledger.rows.retain(|row| !row.method.retrains());
        assert!(!text(&cell).contains("break-even"));
    }

    #[test]
    fn json_says_what_the_text_says() {
        let cell = sample::cell();
        let value = json(&cell);
        assert_eq!(value["ledger"].as_array().unwrap().len(), cell.ledger.rows.len());
        assert_eq!(value["ledger"][0]["row"]["method"], "ms");
        assert!(value["ledger"][0]["break_even_with_ed_sequential"]["points"].as_f64().unwrap() > 0.0);
        assert!((value["arithmetic_ratio"].as_f64().unwrap() - 945.2).abs() < 1e-9);
        let hold = value["accuracy"].as_array().unwrap().iter().find(|curve| curve["method"] == "hold").unwrap();
        assert_eq!(hold["points"].as_array().unwrap().len(), TABLE_SPARSITIES.len());
        assert_eq!(hold["points"][3]["near"], 0.8);
    }

    #[test]
    fn an_empty_sweep_gives_a_report_all_the_same() {
        let cell = Cell { sweep: Vec::new(), ..sample::cell() };
        assert!(text(&cell).contains("Before pruning: not measured. Chance: 11.4 %."));
    }
}
