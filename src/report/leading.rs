//! The few methods that a reader is shown first, in words: the surgeons, what stands beside them in other programs, the paper's
//! criterion, and retraining. All others stand in the full tables.

use crate::pruning::{Method, Repair};
use crate::results::accuracy::{self, Curve, are_several};
use crate::results::comparison::Results;
use crate::results::ledger::LedgerRow;

/// Tolerance at which the paper's criterion is shown, where the run has it.
const PAPER_TOLERANCE: f64 = 0.03;
/// The rule of exponential decay that is shown, where the run has it.
const DECAY_RULE: &str = "density";

/// A method with what is shown of it.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    /// For tables, e.g. `one-shot magnitude, refit`.
    pub(super) name: &'static str,
    /// For sentences and figures, e.g. `refit`.
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
        (Method::Magnitude, Repair::Refit, "one-shot magnitude, refit", "one-shot, refit"),
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
