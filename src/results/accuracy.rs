//! From the rows of a sweep to curves: means over replicas, differences to one-shot pruning in pairs, and the accuracy
//! table. Nothing is interpolated: every number stands at a point that was really evaluated.

use super::summary::Summary;
use crate::pruning::operating_points::CHOSEN_IN_TRAINING;
use crate::pruning::{Method, Repair, SweepRow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Sparsities of the accuracy table.
pub const TABLE_SPARSITIES: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];

/// How far a point may lie from a column of the table and still be shown there, with its own sparsity.
const TABLE_REACH: f64 = 0.025;

/// The same by size, as a share of it.
const SIZE_REACH: f64 = 0.05;

/// Groups of layers that `--layers` knows, but for the focus layer.
const GROUPS: [&str; 4] = ["hidden", "dense", "conv", "all"];

/// Whether rows of these layers, as `--layers` names them, are about several layers together, which are judged by the size of
/// the whole network, and not about one, which is judged by its sparsity.
pub fn are_several(layers: &str) -> bool {
    layers.contains(',') || GROUPS.contains(&layers)
}

/// Whether a row is about one layer that was cut and not repaired.
pub fn is_plain(row: &SweepRow) -> bool {
    !are_several(&row.layers) && row.repair == Repair::Cut
}

/// One operating point, all replicas together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Achieved share of zero weights. Without spread for criteria that meet a sparsity exactly.
    pub sparsity: Summary,
    /// Share of correctly classified test images.
    pub accuracy: Summary,
    /// The same of each replica, in their order.
    #[serde(skip)]
    pub accuracies: Vec<f64>,
    /// Accuracy minus that of one-shot pruning of as many weights of the same replica, in pairs. None if some replica has no
    /// such row, and for methods that train other networks.
    pub over_one_shot: Option<Summary>,
    /// The same against one-shot pruning that removes frozen weights before all others.
    pub over_frozen_first: Option<Summary>,
    /// Weights of the whole network divided by those that are kept, biases apart: mean over replicas.
    pub smaller: f64,
    /// Mean over replicas of the theoretical speed-up of the whole model.
    pub theoretical_speedup: f64,
    /// Mean over replicas of [`SweepRow::agreement`]; none where it was not looked at.
    pub agreement: Option<f64>,
}

/// The points of one method under one setting, by ascending sparsity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// How the weights were chosen.
    pub method: Method,
    /// Which reading of the method; empty where there is only one.
    pub rule: String,
    /// What was done about the weights that stay.
    pub repair: Repair,
    /// Tolerance of magnitude stability; none of other methods.
    pub tolerance: Option<f64>,
    /// Setting within the method, e.g. `hold s=50`; what legends and tables call it.
    pub label: String,
    /// The points.
    pub points: Vec<CurvePoint>,
}

/// What tells curves apart. Tolerances are positive, so their bits order them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    method: Method,
    tolerance: Option<u64>,
    window: Option<u32>,
    rule: String,
    repair: Repair,
    epochs: u32,
}

/// All curves of one layer that is cut and not repaired, of one model on one data set; `settle` and `hold` at `headline_window` and at
/// the window that training accuracy chose ([`CHOSEN_IN_TRAINING`]) only. Dense networks are left out (see [`dense`]), and
/// exponential decay in one batch too if it is there one by one, since both give the same networks.
///
/// A point of `stability` is a (tolerance, threshold), of all others a number of removed weights; only points that every replica
/// of the curve has are shown. Rows of equal masks must be there for every point: a threshold that changes nothing is a
/// row too.
pub fn curves(rows: &[SweepRow], headline_window: u32) -> Vec<Curve> {
    curves_of(&rows.iter().filter(|row| is_plain(row)).collect::<Vec<_>>(), headline_window)
}

/// The same of one layer whose remaining weights were solved anew.
pub fn repaired_curves(rows: &[SweepRow], headline_window: u32) -> Vec<Curve> {
    let repaired = |row: &&SweepRow| {
        !are_several(&row.layers)
            && (row.repair != Repair::Cut || matches!(row.method, Method::Magnitude | Method::MagnitudeFrozenFirst))
    };
    let mut curves = curves_of(&rows.iter().filter(repaired).collect::<Vec<_>>(), headline_window);
    // Plain one-shot pruning is there to be compared with.
    curves.retain(|curve| curve.repair != Repair::Cut);
    curves
}

/// Curves of several layers together, cut and repaired, for each choice of layers with its name.
pub fn curves_by_size(rows: &[SweepRow], headline_window: u32) -> Vec<(String, Vec<Curve>)> {
    let names: BTreeSet<&str> = rows.iter().map(|row| &*row.layers).filter(|layers| are_several(layers)).collect();
    let of_name = |name: &str| {
        let own: Vec<&SweepRow> = rows.iter().filter(|row| *row.layers == *name).collect();
        (name.to_string(), curves_of(&own, headline_window))
    };
    names.into_iter().map(of_name).collect()
}

fn curves_of(rows: &[&SweepRow], headline_window: u32) -> Vec<Curve> {
    let sequential = rows.iter().any(|row| row.method == Method::DecaySequential);
    let mut settings: BTreeMap<Setting, BTreeMap<u32, Vec<&SweepRow>>> = BTreeMap::new();
    for &row in rows {
        let shown = match row.method {
            Method::Dense => false,
            Method::Settle | Method::Hold | Method::HoldInput if row.repair == Repair::Cut => {
                row.window == Some(headline_window) || row.rule == CHOSEN_IN_TRAINING
            }
            Method::DecayBatched => !sequential,
            _ => true,
        };
        if shown {
            let setting = Setting {
                method: row.method,
                tolerance: row.tolerance.map(f64::to_bits),
                window: row.window,
                rule: row.rule.clone(),
                repair: row.repair,
                epochs: row.epochs,
            };
            if row.rule == CHOSEN_IN_TRAINING && row.window == Some(headline_window) {
                // The choice fell on the headline's window: that curve is there already.
                continue;
            }
            // Thresholds ascend with sparsity; for the others the number of weights that are left is the point.
            let point = row.threshold.filter(|_| row.method == Method::Stability).unwrap_or(row.nonzero_weights);
            settings.entry(setting).or_default().entry(point).or_default().push(row);
        }
    }
    let accuracies = |method| -> Accuracies {
        let own = rows.iter().filter(|row| row.method == method && row.repair == Repair::Cut);
        own.map(|row| ((row.replica, row.nonzero_weights), row.accuracy)).collect()
    };
    let (one_shot, frozen_first) = (accuracies(Method::Magnitude), accuracies(Method::MagnitudeFrozenFirst));
    let labels = labels(settings.keys());
    settings
        .into_iter()
        .zip(labels)
        .map(|((setting, points), label)| Curve {
            method: setting.method,
            rule: setting.rule,
            repair: setting.repair,
            tolerance: setting.tolerance.map(f64::from_bits),
            label,
            points: curve_points(points, &one_shot, &frozen_first),
        })
        .collect()
}

/// A name for each setting: what differs within the method, and always the rule of exponential decay, which has no common meaning.
fn labels<'a>(settings: impl Iterator<Item = &'a Setting> + Clone) -> Vec<String> {
    let differ = |method, part: fn(&Setting) -> String| {
        let repair = |setting: &&Setting| setting.repair;
        let groups: BTreeSet<Repair> =
            settings.clone().filter(|other| other.method == method).map(|s| repair(&s)).collect();
        groups.into_iter().any(|group| {
            let own = settings.clone().filter(|other| other.method == method && other.repair == group);
            own.map(part).collect::<BTreeSet<_>>().len() > 1
        })
    };
    settings
        .clone()
        .map(|setting| {
            let method = setting.method;
            let mut label = if method.retrains() { "decay".to_string() } else { method.to_string() };
            if let Some(tolerance) = setting.tolerance {
                label += &format!(" ε={}", f64::from_bits(tolerance));
            }
            if let Some(window) = setting.window {
                label += &format!(" s={window}");
            }
            let always = method.retrains() || setting.rule == "mean";
            if !setting.rule.is_empty() && (always || differ(method, |other| other.rule.clone())) {
                label += &format!(" {}", setting.rule);
            }
            if differ(method, |other| other.epochs.to_string()) {
                label += &format!(" {} epochs", setting.epochs);
            }
            if setting.repair == Repair::Refit && !matches!(method, Method::Surgeon | Method::HoldSurgeon) {
                label += ", refit";
            }
            label
        })
        .collect()
}

/// Accuracy by replica and number of weights that are left.
type Accuracies = BTreeMap<(u32, u32), f64>;

fn curve_points(
    points: BTreeMap<u32, Vec<&SweepRow>>,
    one_shot: &Accuracies,
    frozen_first: &Accuracies,
) -> Vec<CurvePoint> {
    let replicas: BTreeSet<u32> = points.values().flatten().map(|row| row.replica).collect();
    let mut points: Vec<CurvePoint> = points
        .into_values()
        .filter(|rows| rows.iter().map(|row| row.replica).collect::<BTreeSet<_>>() == replicas)
        .filter_map(|rows| {
            // A control may meet one number of weights twice, on the grid and beside a threshold: equal masks, one row each.
            let mut seen = BTreeSet::new();
            let mut rows: Vec<_> = rows.into_iter().filter(|row| seen.insert(row.replica)).collect();
            rows.sort_by_key(|row| row.replica);
            let summary =
                |value: fn(&SweepRow) -> f64| Summary::of(&rows.iter().map(|row| value(row)).collect::<Vec<_>>());
            let over = |control: &Accuracies| -> Option<Summary> {
                let pruned_alike = rows.iter().filter(|row| !row.method.retrains());
                let differences: Option<Vec<f64>> = pruned_alike
                    .map(|row| Some(row.accuracy - control.get(&(row.replica, row.nonzero_weights))?))
                    .collect();
                Summary::of(&differences?)
            };
            Some(CurvePoint {
                sparsity: summary(|row| row.sparsity)?,
                accuracy: summary(|row| row.accuracy)?,
                accuracies: rows.iter().map(|row| row.accuracy).collect(),
                over_one_shot: over(one_shot),
                over_frozen_first: over(frozen_first),
                smaller: summary(|row| row.smaller)?.mean,
                theoretical_speedup: summary(|row| row.theoretical_speedup)?.mean,
                agreement: rows
                    .iter()
                    .map(|row| row.agreement)
                    .collect::<Option<Vec<f64>>>()
                    .and_then(|shares| Some(Summary::of(&shares)?.mean)),
            })
        })
        .collect();
    points.sort_by(|a, b| a.sparsity.mean.total_cmp(&b.sparsity.mean));
    points
}

/// Accuracy of the networks before pruning: (epochs, summary over replicas), by ascending number of epochs.
pub fn dense(rows: &[SweepRow]) -> Vec<(u32, Summary)> {
    dense_of(rows, "")
}

/// The same of the networks with averaged weights.
pub fn averaged(rows: &[SweepRow]) -> Option<Summary> {
    dense_of(rows, "mean").pop().map(|(_, summary)| summary)
}

fn dense_of(rows: &[SweepRow], rule: &str) -> Vec<(u32, Summary)> {
    // Each choice of layers has them all.
    let layers = rows.first().map(|row| &row.layers);
    let mut groups: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.method == Method::Dense && row.rule == rule && Some(&row.layers) == layers)
    {
        groups.entry(row.epochs).or_default().push(row.accuracy);
    }
    groups.into_iter().filter_map(|(epochs, values)| Some((epochs, Summary::of(&values)?))).collect()
}

/// For each of [`TABLE_SPARSITIES`] the nearest real point of a curve, if one lies within 2.5 % of it.
pub fn at_table_sparsities(curve: &Curve) -> [Option<&CurvePoint>; TABLE_SPARSITIES.len()] {
    TABLE_SPARSITIES.map(|sparsity| at_sparsity(curve, sparsity))
}

/// The real point of a curve that is nearest to a sparsity, if one lies within 2.5 % of it.
pub fn at_sparsity(curve: &Curve, sparsity: f64) -> Option<&CurvePoint> {
    let distance = |point: &CurvePoint| (point.sparsity.mean - sparsity).abs();
    let near = curve.points.iter().filter(|point| distance(point) <= TABLE_REACH);
    near.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// The real point of a curve that is nearest to a size of the whole network, if one lies within 5 % of it.
pub fn at_size(curve: &Curve, size: f64) -> Option<&CurvePoint> {
    let distance = |point: &CurvePoint| (point.smaller / size).ln().abs();
    let near = curve.points.iter().filter(|point| distance(point) <= SIZE_REACH);
    near.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: Method, replica: u32, nonzero_weights: u32, accuracy: f64) -> SweepRow {
        let sparsity = 1.0 - f64::from(nonzero_weights) / 100.0;
        SweepRow { method, replica, epochs: 100, sparsity, nonzero_weights, accuracy, ..SweepRow::default() }
    }

    fn ms(replica: u32, threshold: u32, nonzero_weights: u32, accuracy: f64) -> SweepRow {
        SweepRow {
            tolerance: Some(0.03),
            threshold: Some(threshold),
            ..row(Method::Stability, replica, nonzero_weights, accuracy)
        }
    }

    #[test]
    fn a_point_of_ms_is_a_threshold_even_where_replicas_lose_different_numbers_of_weights() {
        let rows = [ms(0, 2, 60, 0.9), ms(1, 2, 40, 0.8), ms(0, 3, 30, 0.7), ms(1, 3, 30, 0.6)];
        let curves = curves(&rows, 50);
        assert_eq!(curves.len(), 1);
        assert_eq!(curves[0].label, "stability ε=0.03");
        let means: Vec<_> = curves[0].points.iter().map(|point| (point.sparsity.mean, point.accuracy.mean)).collect();
        assert!((means[0].0 - 0.5).abs() < 1e-12 && (means[0].1 - 0.85).abs() < 1e-12, "{means:?}");
        assert!((means[1].0 - 0.7).abs() < 1e-12, "{means:?}");
    }

    #[test]
    fn differences_to_one_shot_are_taken_within_a_replica_at_the_same_number_of_weights() {
        let rows = [
            row(Method::Magnitude, 0, 60, 0.5),
            row(Method::Magnitude, 1, 40, 0.7),
            ms(0, 2, 60, 0.6),
            ms(1, 2, 40, 0.9),
            ms(0, 3, 30, 0.6),
            ms(1, 3, 30, 0.6),
        ];
        let curves = curves(&rows, 50);
        let difference = curves[0].points[0].over_one_shot.unwrap();
        assert!((difference.mean - 0.15).abs() < 1e-12, "{difference:?}");
        assert_eq!(curves[0].points[1].over_one_shot, None, "no one-shot network has 30 weights");
    }

    #[test]
    fn points_that_a_replica_lacks_are_left_out() {
        let rows = [row(Method::Random, 0, 50, 0.5), row(Method::Random, 1, 50, 0.7), row(Method::Random, 0, 40, 0.9)];
        let curves = curves(&rows, 50);
        assert_eq!(curves[0].points.len(), 1);
        assert_eq!(curves[0].points[0].accuracy.count, 2);
    }

    #[test]
    fn only_the_headline_window_is_a_curve_and_decay_is_shown_once() {
        let hold = |window| SweepRow { window: Some(window), ..row(Method::Hold, 0, 50, 0.9) };
        let ed = |method| SweepRow { rule: "density".into(), epochs: 3, ..row(method, 0, 50, 0.9) };
        let rows = [
            hold(50),
            hold(100),
            ed(Method::DecaySequential),
            ed(Method::DecayBatched),
            row(Method::Dense, 0, 100, 1.0),
        ];
        let labels: Vec<_> = curves(&rows, 50).into_iter().map(|curve| curve.label).collect();
        assert_eq!(labels, ["hold s=50", "decay density"]);
        let batched: Vec<_> = curves(&rows[3..4], 50).into_iter().map(|curve| curve.label).collect();
        assert_eq!(batched, ["decay density"]);
    }

    #[test]
    fn one_layer_and_several_repaired_and_not_are_curves_of_their_own() {
        let all = |row: SweepRow, smaller| SweepRow { layers: "all".into(), smaller, ..row };
        let refit = |row: SweepRow| SweepRow { repair: Repair::Refit, ..row };
        let rows = [
            row(Method::Magnitude, 0, 50, 0.5),
            refit(row(Method::Magnitude, 0, 50, 0.8)),
            SweepRow { rule: "last".into(), ..refit(row(Method::Surgeon, 0, 50, 0.9)) },
            all(row(Method::Magnitude, 0, 50, 0.4), 2.0),
            all(row(Method::Magnitude, 0, 25, 0.3), 4.1),
            all(row(Method::Magnitude, 0, 15, 0.2), 6.7),
        ];
        let labels = |curves: &[Curve]| curves.iter().map(|curve| curve.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&curves(&rows, 50)), ["magnitude"]);
        let repaired = repaired_curves(&rows, 50);
        assert_eq!(labels(&repaired), ["magnitude, refit", "surgeon"]);
        let over = repaired[0].points[0].over_one_shot.unwrap().mean;
        assert!((over - 0.3).abs() < 1e-12, "{over}");
        let by_size = curves_by_size(&rows, 50);
        assert_eq!((by_size.len(), by_size[0].0.as_str(), labels(&by_size[0].1)), (1, "all", vec!["magnitude".into()]));
        let shown = [2.0, 4.0, 6.0].map(|size| at_size(&by_size[0].1[0], size).map(|point| point.smaller));
        assert_eq!(shown, [Some(2.0), Some(4.1), None], "6.7 is too far from 6");
    }

    #[test]
    fn a_rule_is_named_where_a_method_has_several() {
        let settle = |rule: &str| SweepRow { rule: rule.into(), ..row(Method::Settle, 0, 50, 0.9) };
        let settle = |rule| SweepRow { window: Some(50), ..settle(rule) };
        let labels = |rows: &[SweepRow]| curves(rows, 50).into_iter().map(|curve| curve.label).collect::<Vec<_>>();
        assert_eq!(labels(&[settle("frozen-first")]), ["settle s=50"]);
        assert_eq!(
            labels(&[settle("frozen-first"), settle("frozen-kept")]),
            ["settle s=50 frozen-first", "settle s=50 frozen-kept"]
        );
    }

    #[test]
    fn the_table_takes_the_nearest_real_point_and_none_from_far_away() {
        let rows = [row(Method::Random, 0, 52, 0.9), row(Method::Random, 0, 49, 0.8), row(Method::Random, 0, 37, 0.7)];
        let curve = &curves(&rows, 50)[0];
        let found = at_table_sparsities(curve).map(|point| point.map(|point| point.accuracy.mean));
        assert_eq!(found, [Some(0.8), None, None, None, None]);
    }
}
