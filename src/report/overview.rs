//! The first tables of a page: its runs by the methods, and how runs of the same network on the same data differ.

use super::Run;
use super::digits::{known_points, percent, points_of};
use super::layout::{Grid, NOTHING};
use super::leading::{self, Leading};
use super::verdict::ORDERED_BY;
use crate::results::accuracy::{CurvePoint, at_size, at_sparsity, dense};
use crate::results::comparison::Results;
use crate::results::differences::Difference;
use crate::results::summary::Summary;

/// The size of the whole network that is shown.
const SIZE: f64 = 6.0;

/// A cell with what is known of the run it is of.
struct Entry<'a> {
    cell: &'a Results,
    machine: &'a str,
    methods: Vec<(&'static str, CurvePoint)>,
}

impl Entry<'_> {
    fn of(&self, method: &str) -> Option<&CurvePoint> {
        self.methods.iter().find(|(name, _)| *name == method).map(|(_, point)| point)
    }

    fn images(&self) -> usize {
        self.cell.ledger.workload.test_images
    }

    fn unpruned(&self) -> Option<Summary> {
        dense(&self.cell.sweep).pop().map(|(_, summary)| summary)
    }

    fn subject(&self) -> (&str, &str) {
        (&self.cell.ledger.workload.data_set, &self.cell.ledger.workload.model)
    }
}

/// The tables; none without cells.
pub(super) fn grids(runs: &[Run]) -> Vec<Grid> {
    type Shown = fn(&Results) -> Vec<(&'static str, CurvePoint)>;
    let layer: Shown = |cell| points(&leading::of_layer(cell), |one| at_sparsity(&one.curve, ORDERED_BY).cloned());
    let whole: Shown = |cell| points(&leading::of_sizes(cell), |one| at_size(&one.curve, SIZE).cloned());
    let of_layer = "Accuracy in % with 90 % of one layer's weights removed";
    let of_whole = "Accuracy in % of whole networks 6 times smaller";
    [(of_layer, layer), (of_whole, whole)].into_iter().filter_map(|(title, shown)| grid(title, runs, shown)).collect()
}

fn points(all: &[Leading], at: impl Fn(&Leading) -> Option<CurvePoint>) -> Vec<(&'static str, CurvePoint)> {
    all.iter().filter_map(|one| Some((one.short, at(one)?))).collect()
}

fn grid(title: &'static str, runs: &[Run], shown: fn(&Results) -> Vec<(&'static str, CurvePoint)>) -> Option<Grid> {
    let entries: Vec<Entry<'_>> = runs
        .iter()
        .flat_map(|run| run.cells.iter().map(|(cell, _)| (cell, run.provenance.machine.as_str())))
        .map(|(cell, machine)| Entry { cell, machine, methods: shown(cell) })
        .collect();
    let mut methods: Vec<&str> = Vec::new();
    for (name, _) in entries.iter().flat_map(|entry| &entry.methods) {
        if !methods.contains(name) {
            methods.push(name);
        }
    }
    if methods.is_empty() {
        return None;
    }
    let mut rows = vec![
        ["run", "unpruned"].into_iter().chain(methods.iter().copied()).chain(["machine"]).map(String::from).collect(),
    ];
    for (number, entry) in (1..).zip(&entries) {
        let (data_set, model) = entry.subject();
        let unpruned = entry.unpruned().map_or(NOTHING.into(), |summary| percent(&summary, entry.images()));
        let first = [format!("{number}: {data_set} · {model}"), unpruned];
        let column = |method: &&str| {
            let Some(point) = entry.of(method) else { return NOTHING.to_string() };
            let accuracy = percent(&point.accuracy, entry.images());
            match entry.of("one-shot").filter(|_| *method != "one-shot") {
                None => accuracy,
                Some(control) => {
                    let paired = if *method == "retrained" {
                        None
                    } else {
                        Difference::in_pairs(point, control, entry.images())
                    };
                    let difference = paired
                        .unwrap_or_else(|| Difference::between(&point.accuracy, &control.accuracy, entry.images()));
                    format!("{accuracy} ({})", known_points(&difference))
                }
            }
        };
        rows.push(first.into_iter().chain(methods.iter().map(column)).chain([entry.machine.to_string()]).collect());
    }
    // How runs of the same subject differ: each from the first of them.
    for (number, entry) in (1..).zip(&entries) {
        let first = entries.iter().position(|other| other.subject() == entry.subject()).unwrap_or(0);
        if first + 1 == number {
            continue;
        }
        let other = &entries[first];
        let less = |one: Option<Summary>, other: Option<Summary>| {
            let difference = one.zip(other).map(|(one, other)| Difference::between(&one, &other, entry.images()));
            difference.map_or(NOTHING.into(), |difference| points_of(&difference))
        };
        let label = [format!("{number} less {}", first + 1), less(entry.unpruned(), other.unpruned())];
        let of = |entry: &Entry<'_>, method: &str| entry.of(method).map(|point| point.accuracy);
        rows.push(
            label
                .into_iter()
                .chain(methods.iter().map(|method| less(of(entry, method), of(other, method))))
                .chain([String::new()])
                .collect(),
        );
    }
    let notes = vec![
        "In brackets the difference to one-shot pruning by magnitude of the same networks, in percentage points; lines of two runs \
         show how they differ, with 95 % intervals (Welch's t)."
            .into(),
    ];
    Some(Grid { title: title.into(), words: 1, rows, notes })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn run(machine: &str, shift: f64) -> Run {
        let mut cell = sample::cell();
        cell.sweep.iter_mut().for_each(|row| row.accuracy += shift);
        let provenance = super::super::Provenance { machine: machine.into(), ..sample::provenance() };
        Run { provenance, study: None, cells: vec![(cell, sample::layer())] }
    }

    #[test]
    fn runs_stand_below_each_other_and_those_of_one_subject_are_compared() {
        let grids = grids(&[run("one CPU", 0.0), run("another", -0.02)]);
        let [grid] = grids.as_slice() else { panic!("one layer alone was pruned: {grids:?}") };
        assert_eq!(grid.rows[0][..2], ["run", "unpruned"].map(String::from));
        assert_eq!(grid.rows.len(), 1 + 2 + 1);
        assert_eq!([1, 2].map(|row| grid.rows[row].last().unwrap().as_str()), ["one CPU", "another"]);
        assert!(grid.rows.iter().all(|row| row.len() == grid.rows[0].len()), "{:?}", grid.rows);
        assert_eq!(grid.rows[3][0], "2 less 1");
        assert!(grid.rows[3][1].starts_with("−2.0 ("), "{:?}", grid.rows[3]);
        assert!(super::grids(&[]).is_empty());
    }
}
