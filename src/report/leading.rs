//! The few methods that a reader is shown first, in words: the surgeons, what stands beside them in other programs, the paper's
//! criterion, and retraining. All others stand in the full tables.

use super::digits::percent;
use super::layout::NOTHING;
use crate::numbers::known_to;
use crate::pruning::{Method, Repair};
use crate::results::accuracy::{self, Curve, CurvePoint, are_several, at_size, at_sparsity};
use crate::results::comparison::Results;
use crate::results::differences::{Difference, Told};
use crate::results::ledger::LedgerRow;
use crate::run::configuration::TABLE_SIZES;

/// Tolerance at which the paper's criterion is shown, where the run has it.
const PAPER_TOLERANCE: f64 = 0.03;
/// The rule of exponential decay that is shown, where the run has it.
const DECAY_RULE: &str = "density";
/// Sparsities of one layer that accuracies are told of.
const SPARSITIES: [f64; 4] = [0.5, 0.8, 0.9, 0.95];
/// Accuracies within so much of each other are alike.
const ALIKE_WITHIN: f64 = 0.01;
/// Points further than this from a column's sparsity are marked with their own.
pub(super) const UNMARKED: f64 = 0.005;

/// A method with what is shown of it.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    /// For tables, e.g. `one-shot magnitude, refit`.
    pub(super) name: &'static str,
    /// For sentences and figures, e.g. `refit one-shot`.
    pub(super) short: &'static str,
    /// Its operating points.
    pub(super) curve: Curve,
    /// What its points cost, if that was measured.
    pub(super) cost: Option<LedgerRow>,
}

impl Leading {
    /// Whether it trains the network anew for each point.
    pub(super) fn retrains(&self) -> bool {
        self.curve.method.retrains()
    }

    /// In a sentence: `the surgeon`, but `Wanda` and `refit one-shot`.
    pub(super) fn with_article(&self) -> String {
        format!("{}{}", if self.curve.method.is_surgeon() { "the " } else { "" }, self.short)
    }

    /// Whether it cuts the averaged weights and not the last ones.
    pub(super) fn is_of_mean(&self) -> bool {
        self.curve.rule == "mean"
    }

    /// Milliseconds of one more point: the median, and where it lies with 95 % if there were several blocks.
    pub(super) fn milliseconds(&self) -> Option<(f64, Option<[f64; 2]>)> {
        let row = self.cost.as_ref()?;
        let middle = row.marginal_ms.filter(|&ms| ms > 0.0)?;
        Some((middle, row.marginal_ms_low.zip(row.marginal_ms_high).map(|(low, high)| [low, high])))
    }
}

/// What is shown first of one layer, in an order of its own.
pub(super) fn of_layer(cell: &Results) -> Vec<Leading> {
    let mut curves = accuracy::curves(&cell.sweep, cell.headline_window);
    curves.extend(accuracy::repaired_curves(&cell.sweep, cell.headline_window));
    chosen(cell, curves, false)
}

/// The same of the whole network; nothing where one layer alone was pruned.
pub(super) fn of_sizes(cell: &Results) -> Vec<Leading> {
    let by_size = accuracy::curves_by_size(&cell.sweep, cell.headline_window);
    by_size.into_iter().next().map(|(_, curves)| chosen(cell, curves, true)).unwrap_or_default()
}

fn chosen(cell: &Results, curves: Vec<Curve>, whole: bool) -> Vec<Leading> {
    let names = [
        (Method::HoldSurgeon, Repair::Refit, "holding surgeon", "holding surgeon"),
        (Method::Surgeon, Repair::Refit, "surgeon", "surgeon"),
        (Method::Magnitude, Repair::Refit, "one-shot magnitude, refit", "refit one-shot"),
        (Method::Wanda, Repair::Cut, "Wanda (magnitude x input norm)", "Wanda"),
        (Method::Magnitude, Repair::Cut, "one-shot magnitude", "one-shot"),
        (Method::Stability, Repair::Cut, "magnitude stability (Riedel & Segev)", "stability"),
        (Method::DecaySequential, Repair::Cut, "exponential decay, retrained", "retrained"),
        (Method::DecayBatched, Repair::Cut, "exponential decay, retrained", "retrained"),
    ];
    let leading = |(method, repair, name, short): (Method, Repair, &'static str, &'static str)| {
        let own = || curves.iter().filter(|curve| (curve.method, curve.repair) == (method, repair));
        let preferred = match method {
            Method::HoldSurgeon | Method::Surgeon => own().find(|curve| curve.rule == "mean"),
            Method::Stability => own().find(|curve| curve.tolerance == Some(PAPER_TOLERANCE)),
            _ => own().find(|curve| curve.rule == DECAY_RULE),
        };
        let curve = preferred.or_else(|| own().next())?.clone();
        let is_own = |row: &&LedgerRow| {
            (row.method, row.repair, &row.rule) == (method, repair, &curve.rule) && are_several(&row.layers) == whole
        };
        let cost = cell.ledger.rows.iter().find(is_own).cloned();
        Some(Leading { name, short, curve, cost })
    };
    let mut all: Vec<Leading> = names.into_iter().filter_map(leading).collect();
    // One after the other and all at once, exponential decay gives the same networks.
    if all.iter().filter(|one| one.retrains()).count() > 1 {
        all.pop();
    }
    all
}

/// The names of the columns and a line for each method; one for both surgeons where these are alike in every column: equal, or with
/// 95 % within a point of each other.
pub(super) fn table(layer: &[Leading], whole: &[Leading], images: usize) -> Vec<Vec<String>> {
    let of = |all: &[Leading], short: &str| all.iter().position(|one| one.short == short);
    let are_alike = |found: Difference| {
        let within = found.half_width.is_some_and(|half| found.mean.abs() + half <= ALIKE_WITHIN);
        within || found.told() == Told::Equal
    };
    let surgeons_alike = |all: &[Leading], columns: &[f64], at: fn(&Curve, f64) -> Option<&CurvePoint>| {
        let [holding, plain] =
            ["holding surgeon", "surgeon"].map(|short| of(all, short).map(|place| &all[place].curve));
        columns.iter().all(|&column| match [holding, plain].map(|curve| at(curve?, column)) {
            [None, None] => true,
            [Some(one), Some(other)] => Difference::in_pairs(one, other, images).is_some_and(are_alike),
            _ => false,
        })
    };
    let alike = surgeons_alike(layer, &SPARSITIES, at_sparsity) && surgeons_alike(whole, &TABLE_SIZES, at_size);
    let of_whole_alone = whole.iter().filter(|one| of(layer, one.short).is_none());
    let shown = layer.iter().chain(of_whole_alone).filter(|one| !alike || one.short != "surgeon");
    let line = |one: &Leading| {
        let [own, sizes] = [layer, whole].map(|all| of(all, one.short).map(|place| &all[place]));
        let name = if alike && one.short == "holding surgeon" { "holding ≈ plain surgeon" } else { one.name };
        let averaged = match [own, sizes].map(|one| one.is_some_and(Leading::is_of_mean)) {
            [true, _] => ", averaged weights",
            [false, true] => " (whole: averaged weights)",
            [false, false] => "",
        };
        let at_sparsities = SPARSITIES.map(|sparsity| own.map_or(NOTHING.into(), |own| at(own, sparsity, images)));
        let at_sizes = TABLE_SIZES.iter().filter(|_| !whole.is_empty()).map(|&size| {
            let point = sizes.and_then(|sizes| at_size(&sizes.curve, size));
            point.map_or(NOTHING.into(), |point| percent(&point.accuracy, images))
        });
        let first = [format!("{name}{averaged}")].into_iter().chain(at_sparsities);
        first.chain([own.map_or(NOTHING.into(), time)]).chain(at_sizes).collect()
    };
    let sparsities = SPARSITIES.map(|sparsity| format!("{:.0} %", 100.0 * sparsity));
    let sizes = TABLE_SIZES.iter().filter(|_| !whole.is_empty()).map(|size| format!("{size}x"));
    let head = [String::new()].into_iter().chain(sparsities).chain(["per point".into()]).chain(sizes).collect();
    std::iter::once(head).chain(shown.map(line)).collect()
}

/// Accuracy at a sparsity of one layer, with the real one where that is another.
fn at(one: &Leading, sparsity: f64, images: usize) -> String {
    match at_sparsity(&one.curve, sparsity) {
        None => NOTHING.into(),
        Some(point) if (point.sparsity.mean - sparsity).abs() > UNMARKED => {
            format!("{} @{:.0}", percent(&point.accuracy, images), 100.0 * point.sparsity.mean)
        }
        Some(point) => percent(&point.accuracy, images),
    }
}

/// What one more point takes.
fn time(one: &Leading) -> String {
    one.milliseconds().map_or(NOTHING.into(), |(middle, range)| {
        format!("{} ms", known_to(middle, range.map(|[low, high]| (high - low) / 2.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::pruning::{Layers, SweepRow};

    #[test]
    fn surgeons_that_are_equal_have_one_line() {
        let mut cell = sample::cell();
        let one_shot: Vec<SweepRow> =
            cell.sweep.iter().filter(|row| row.method == Method::Magnitude).cloned().collect();
        for method in [Method::HoldSurgeon, Method::Surgeon] {
            let surgeon =
                SweepRow { method, rule: "mean".into(), repair: Repair::Refit, epochs: 100, ..SweepRow::default() };
            cell.sweep.extend(one_shot.iter().map(|row| SweepRow {
                replica: row.replica,
                sparsity: row.sparsity,
                nonzero_weights: row.nonzero_weights,
                accuracy: row.accuracy,
                ..surgeon.clone()
            }));
            for (smaller, replica) in
                TABLE_SIZES.into_iter().flat_map(|size| (0..5).map(move |replica| (size, replica)))
            {
                let nonzero_weights = (28_320.0 / smaller) as u32;
                let whole = SweepRow { layers: Layers::from("all"), smaller, nonzero_weights, ..surgeon.clone() };
                cell.sweep.push(SweepRow { replica, accuracy: 0.9, ..whole });
            }
        }
        let names = |cell: &Results| -> Vec<String> {
            table(&of_layer(cell), &of_sizes(cell), 10_000).into_iter().map(|line| line[0].clone()).collect()
        };
        assert!(names(&cell).contains(&"holding ≈ plain surgeon, averaged weights".to_string()), "{:?}", names(&cell));
        // One size at which they differ, and each has its own.
        let other = |row: &&mut SweepRow| row.method == Method::Surgeon && row.smaller == 10.0;
        cell.sweep.iter_mut().filter(other).for_each(|row| row.accuracy = 0.8);
        assert!(names(&cell).contains(&"surgeon, averaged weights".to_string()), "{:?}", names(&cell));
    }
}
