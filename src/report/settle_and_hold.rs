//! Do settle and hold beat one-shot pruning? One table of all cells, frozen weights treated alike on both sides.

use super::layout::{Grid, NOTHING, UNKNOWN};
use super::tables::{self, TOO_FEW, percentage_points};
use crate::pruning::Method;
use crate::pruning::operating_points::{FROZEN_FIRST, FROZEN_KEPT};
use crate::results::accuracy::{self, CurvePoint, TABLE_SPARSITIES};
use crate::results::comparison::Results;
use crate::results::summary::Summary;

/// The criteria, and for each rule the control that treats frozen weights as it does.
const CRITERIA: [Method; 2] = [Method::Settle, Method::Hold];
const RULES: [(&str, &str, tables::Difference); 2] =
    [(FROZEN_KEPT, "one-shot", over_one_shot), (FROZEN_FIRST, "one-shot, frozen first", over_frozen_first)];

fn over_one_shot(point: &CurvePoint) -> Option<Summary> {
    point.over_one_shot
}

fn over_frozen_first(point: &CurvePoint) -> Option<Summary> {
    point.over_frozen_first
}

/// How often a criterion was told from its control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    better: usize,
    worse: usize,
    alike: usize,
}

impl Count {
    /// Counts a difference, and says whether its interval leaves 0 out; one network tells nothing.
    fn add(&mut self, difference: &Summary) -> bool {
        let told_apart =
            !difference.is_of_too_few() && difference.half_width().is_some_and(|half| difference.mean.abs() > half);
        match (told_apart, difference.mean > 0.0) {
            (true, true) => self.better += 1,
            (true, false) => self.worse += 1,
            (false, _) => self.alike += 1,
        }
        told_apart
    }
}

/// The table, with a sentence for each criterion and control; `None` without cells.
pub(super) fn grid<'a>(cells: impl Iterator<Item = &'a Results> + Clone) -> Option<Grid> {
    cells.clone().next()?;
    let percents = TABLE_SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity));
    let head = ["model", "data set", "criterion", "over"].map(String::from);
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().chain(percents).collect()];
    let mut counts = [[Count::default(); RULES.len()]; CRITERIA.len()];
    for cell in cells {
        let curves = accuracy::curves(&cell.sweep, cell.headline_window);
        for (criterion, counts) in CRITERIA.into_iter().zip(&mut counts) {
            for ((rule, control, over), count) in RULES.into_iter().zip(counts) {
                let Some(curve) = curves.iter().find(|curve| (curve.method, curve.rule.as_str()) == (criterion, rule))
                else {
                    continue;
                };
                let column = |point: Option<&CurvePoint>| {
                    let Some(difference) = point.and_then(over) else { return NOTHING.to_string() };
                    let mark = if count.add(&difference) { "*" } else { "" };
                    format!("{}{mark}", percentage_points(&difference))
                };
                let workload = &cell.ledger.workload;
                let first = [workload.model.clone(), workload.data_set.clone(), curve.label.clone(), control.into()];
                let columns = accuracy::at_table_sparsities(curve).map(column);
                rows.push(first.into_iter().chain(columns).collect());
            }
        }
    }
    let mut notes = vec![
        "Accuracy in percentage points over the control, which removes as many weights of the same networks: mean of the \
         pairs ± 95 % interval (Student's t), * where that leaves 0 out. Nothing is corrected for the number of comparisons."
            .to_string(),
    ];
    if rows.iter().flatten().any(|entry| entry.contains(UNKNOWN)) {
        notes.push(format!("{TOO_FEW}."));
    }
    for (criterion, counts) in CRITERIA.iter().zip(counts) {
        for ((.., control, _), Count { better, worse, alike }) in RULES.into_iter().zip(counts) {
            notes.push(format!(
                "{criterion} over {control}: better {better} times, worse {worse} times, not told apart {alike} times."
            ));
        }
    }
    Some(Grid { title: "Do settle and hold beat one-shot pruning?".into(), words: 4, rows, notes })
}

/// Figure 4 for a terminal: the table above all; nothing without cells.
pub fn text(cells: &[Results]) -> String {
    let Some(grid) = grid(cells.iter()) else { return String::new() };
    let mut text = String::from("Figure 4: accuracy in % (mean ± sd over replicas) by share of zero weights\n");
    for cell in cells {
        text += &format!("{}\n{}", cell.title(), tables::accuracy_text(cell));
    }
    text + "\n" + &grid.text() + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn each_criterion_is_compared_with_the_control_that_treats_frozen_weights_alike() {
        let cell = sample::cell();
        let found = grid([&cell].into_iter()).unwrap();
        let lines: Vec<String> = found.rows.iter().skip(1).map(|row| format!("{} over {}", row[2], row[3])).collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("hold")).count(), 2, "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("frozen-first over one-shot, frozen first")), "{lines:?}");
        // Five columns of each line are counted once.
        let counted: usize = found.notes[1..]
            .iter()
            .flat_map(|note| note.split(' ').filter_map(|word| word.parse::<usize>().ok()))
            .sum();
        let shown = found.rows.iter().skip(1).flat_map(|row| &row[4..]).filter(|entry| *entry != NOTHING).count();
        assert_eq!(counted, shown);
        assert!(grid([].into_iter()).is_none() && text(&[]).is_empty());
    }

    #[test]
    fn a_difference_is_told_from_nothing_by_its_interval() {
        let mut count = Count::default();
        for values in [&[0.1, 0.11, 0.12][..], &[-0.1, -0.11], &[0.1, -0.11, 0.3], &[0.5]] {
            count.add(&Summary::of(values).unwrap());
        }
        assert_eq!(count, Count { better: 1, worse: 1, alike: 2 });
    }
}
