//! Whether the conclusions of a comparison depend on the rule of exponential decay.

use crate::pruning::{Method, SweepRow};
use crate::results::accuracy::{self, Curve};
use crate::results::ledger::{Ledger, LedgerRow};

/// The paper's claim: a point of exponential decay takes more than so many times as long.
const CLAIMED_RATIO: f64 = 10.0;

/// One sentence on what changes with the rule: whether a point takes over 10 times as long, and where `hold` (at
/// `headline_window`, by `headline_rule`) and one-shot pruning are more accurate on average at 50 to 90 % sparsity. `None`
/// unless exponential decay was run one by one by two rules or more.
pub(super) fn sentence(
    ledger: &Ledger,
    rows: &[SweepRow],
    headline_window: u32,
    headline_rule: &str,
) -> Option<String> {
    let baselines: Vec<&LedgerRow> = ledger.rows.iter().filter(|row| row.method == Method::DecaySequential).collect();
    if baselines.len() < 2 {
        return None;
    }
    let curves = accuracy::curves(rows, headline_window);
    let curve = |method, rule: &str| curves.iter().find(|curve| curve.method == method && curve.rule == rule);
    let names: Vec<&str> = baselines.iter().map(|row| row.rule.as_str()).collect();
    let ratios: Vec<f64> = baselines.iter().map(|row| row.ratio_to_stability).collect::<Option<_>>()?;
    let ranges: Vec<String> = baselines.iter().map(|row| row.ratio()).collect::<Option<_>>()?;
    let ratios_agree = agree(ratios.iter().map(|&ratio| ratio > CLAIMED_RATIO));
    let won = |contender: Option<&Curve>| -> Option<Vec<Vec<bool>>> {
        names.iter().map(|rule| Some(more_accurate(contender?, curve(Method::DecaySequential, rule)?))).collect()
    };
    let (hold, one_shot) = (won(curve(Method::Hold, headline_rule))?, won(curve(Method::Magnitude, ""))?);
    let shares = |won: &[Vec<bool>]| {
        let share = |won: &Vec<bool>| format!("{} of {}", won.iter().filter(|&&won| won).count(), won.len());
        let shares: Vec<String> = won.iter().map(share).collect();
        if agree(shares.iter()) { format!("{} by every rule", shares[0]) } else { listed(shares.into_iter()) }
    };
    let depends = |agree| if agree { "does not depend on the rule" } else { "depends on the rule" };
    Some(format!(
        "By rule of exponential decay ({}): one more operating point took {} times as long as with magnitude stability, so \
         whether that is over 10 times {}; from 50 to 90 % sparsity hold was more accurate on average at this many points: {}, \
         and one-shot pruning at {}, so where hold is ahead {} and where one-shot pruning is {}.",
        listed(names.iter().map(ToString::to_string)),
        listed(ranges.into_iter()),
        depends(ratios_agree),
        shares(&hold),
        shares(&one_shot),
        depends(agree(hold.iter())),
        depends(agree(one_shot.iter())),
    ))
}

/// For each sparsity of the accuracy table that both curves have: whether `contender` is the more accurate one.
fn more_accurate(contender: &Curve, baseline: &Curve) -> Vec<bool> {
    let columns = accuracy::at_table_sparsities(contender).into_iter().zip(accuracy::at_table_sparsities(baseline));
    columns.filter_map(|(a, b)| Some(a?.accuracy.mean > b?.accuracy.mean)).collect()
}

fn agree<T: PartialEq>(mut found: impl Iterator<Item = T>) -> bool {
    let first = found.next();
    found.all(|other| first.as_ref() == Some(&other))
}

/// `a, b and c`
fn listed(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::workload::Workload;

    fn row(method: Method, rule: &str, sparsity: f64, accuracy: f64) -> SweepRow {
        let window = (method == Method::Hold).then_some(15);
        let nonzero_weights = (900.0 * (1.0 - sparsity)).round() as u32;
        SweepRow { method, rule: rule.into(), window, sparsity, nonzero_weights, accuracy, ..SweepRow::default() }
    }

    fn ledger(costs: &[(Method, &str, f64)]) -> Ledger {
        let measured = |&(method, rule, marginal): &(Method, &str, f64)| {
            (LedgerRow { method, rule: rule.into(), distinct_points: 5.0, ..LedgerRow::default() }, vec![marginal; 2])
        };
        Ledger::new(Workload::of_the_paper(), costs.iter().map(measured).collect())
    }

    fn rows(ed: &[(&str, f64)]) -> Vec<SweepRow> {
        let mut rows = Vec::new();
        for sparsity in [0.5, 0.6, 0.7, 0.8, 0.9] {
            rows.push(row(Method::Hold, "frozen-first", sparsity, 0.9));
            rows.push(row(Method::Magnitude, "", sparsity, 0.7));
            // Exponential decay is not always measured at every column.
            if sparsity < 0.85 {
                rows.extend(ed.iter().map(|&(rule, accuracy)| row(Method::DecaySequential, rule, sparsity, accuracy)));
            }
        }
        rows
    }

    const STABILITY: (Method, &str, f64) = (Method::Stability, "", 1.0);

    #[test]
    fn what_changes_with_the_rule_is_said_to_depend_on_it() {
        let ledger =
            ledger(&[STABILITY, (Method::DecaySequential, "density", 200.0), (Method::DecaySequential, "exd", 9.0)]);
        let found = sentence(&ledger, &rows(&[("density", 0.95), ("exd", 0.8)]), 15, "frozen-first").unwrap();
        for part in [
            "(density and exd)",
            "took 200 (200 to 200) and 9.00 (9.00 to 9.00) times as long",
            "over 10 times depends on the rule",
            "this many points: 0 of 4 and 4 of 4,",
            "one-shot pruning at 0 of 4 by every rule",
            "where hold is ahead depends on the rule",
            "where one-shot pruning is does not depend on the rule",
        ] {
            assert!(found.contains(part), "\"{part}\" is missing in \"{found}\"");
        }
    }

    #[test]
    fn what_every_rule_agrees_on_does_not_depend_on_it() {
        let ledger =
            ledger(&[STABILITY, (Method::DecaySequential, "soft", 200.0), (Method::DecaySequential, "cubic", 150.0)]);
        let found = sentence(&ledger, &rows(&[("soft", 0.95), ("cubic", 0.96)]), 15, "frozen-first").unwrap();
        assert_eq!(found.matches("does not depend on the rule").count(), 3, "{found}");
    }

    #[test]
    fn one_rule_alone_says_nothing() {
        let one = ledger(&[STABILITY, (Method::DecaySequential, "soft", 200.0), (Method::DecayBatched, "soft", 150.0)]);
        assert_eq!(sentence(&one, &rows(&[("soft", 0.95)]), 15, "frozen-first"), None);
    }
}
