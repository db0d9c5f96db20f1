//! The numbers behind the slider of a page: every operating point of some replicas, and of each weight of the focus layer
//! what the criteria choose by. The page's script (`templates/explorer.js`) draws them.

use crate::pruning::masks::RemovalOrder;
use crate::pruning::operating_points::CHOSEN_IN_TRAINING;
use crate::pruning::{Method, SweepRow};
use crate::results::accuracy::is_plain;
use crate::results::comparison::Results;
use crate::results::workload::Workload;
use crate::run::recorded::FocusLayer;
use serde::Serialize;

/// All that the slider of one cell shows.
#[derive(Serialize)]
struct Explorer<'a> {
    /// Units of the focus layer, and of the one before it.
    inputs: usize,
    units: usize,
    epochs: u32,
    /// All trained replicas; those that are not in `replicas` cannot be looked at.
    replicates: u32,
    /// Weights of the focus layer; without room for pictures of them nothing else tells.
    weight_count: usize,
    /// Which images accuracies are of: `Test` or `Training`.
    judged: &'static str,
    /// Accuracy, 0 to 1.
    chance: f64,
    /// Window and rule that the slider begins with.
    headline_window: u32,
    headline_rule: &'a str,
    tolerances: &'a [f64],
    windows: &'a [u32],
    replicas: Vec<Replica<'a>>,
}

/// One replica. Lists of weights are in the order of the layer, `[in, out]`; all are empty where there is no room for them.
#[derive(Serialize)]
struct Replica<'a> {
    /// Accuracy of the network as it was trained.
    dense: Option<f64>,
    /// Reference weights.
    weights: Vec<f64>,
    /// Indices of weights that no longer moved.
    frozen: Vec<usize>,
    /// Magnitude stability in epochs, of each tolerance.
    stability: Vec<&'a [u32]>,
    /// Settling tolerance τ, of each window; no number where it is infinite.
    settling: Vec<Vec<Option<f64>>>,
    /// Holding magnitude h, of each window.
    holding: Vec<Vec<f64>>,
    /// Indices of weights in the order of removal, of each window, without regard to frozen ones.
    settling_order: Vec<RemovalOrder>,
    holding_order: Vec<RemovalOrder>,
    magnitude_order: RemovalOrder,
    series: Vec<Series<'a>>,
}

/// The operating points of one method with one setting, sparser and sparser.
#[derive(Serialize)]
struct Series<'a> {
    method: Method,
    rule: &'a str,
    tolerance: Option<f64>,
    window: Option<u32>,
    /// Empty for all but magnitude stability.
    threshold: Vec<u32>,
    nonzero: Vec<u32>,
    compression: Vec<f64>,
    accuracy: Vec<f64>,
}

/// The numbers of a cell as JSON that can stand inside a script element, of at most so many replicas, with pictures of the layer
/// if it has at most so many weights.
pub(super) fn json(cell: &Results, layer: &FocusLayer, most: u32, weights: usize) -> serde_json::Result<String> {
    let Workload { replicates, epochs, .. } = cell.ledger.workload;
    let explorer = Explorer {
        inputs: layer.sizes[0],
        units: layer.sizes[1],
        epochs,
        replicates,
        weight_count: layer.history.shape().weight_count,
        judged: cell.judged_by(),
        chance: rounded(cell.chance),
        headline_window: cell.headline_window,
        headline_rule: cell.headline_rule,
        tolerances: &layer.stability.tolerances,
        windows: &layer.envelope.windows,
        replicas: (0..replicates.min(most))
            .map(|replica| match layer.history.shape().weight_count <= weights {
                true => Replica::new(cell, layer, replica),
                false => Replica::without_pictures(cell, replica),
            })
            .collect(),
    };
    // No `<`: text from data cannot end the element.
    Ok(serde_json::to_string(&explorer)?.replace('<', "\\u003c"))
}

impl<'a> Replica<'a> {
    /// The curves alone.
    fn without_pictures(cell: &'a Results, replica: u32) -> Self {
        let own = || cell.sweep.iter().filter(move |row| row.replica == replica && is_plain(row));
        let dense = own().find(|row| {
            row.method == Method::Dense && row.rule.is_empty() && row.epochs == cell.ledger.workload.epochs
        });
        Self {
            dense: dense.map(|row| rounded(row.accuracy)),
            weights: Vec::new(),
            frozen: Vec::new(),
            stability: Vec::new(),
            settling: Vec::new(),
            holding: Vec::new(),
            settling_order: Vec::new(),
            holding_order: Vec::new(),
            magnitude_order: RemovalOrder::smallest_first(&[]),
            series: all_series(own().collect()),
        }
    }

    fn new(cell: &'a Results, layer: &'a FocusLayer, replica: u32) -> Self {
        let FocusLayer { history, stability, envelope, .. } = layer;
        let place = replica as usize;
        let weight_count = history.shape().weight_count;
        let reference = &history.reference()[place * weight_count..][..weight_count];
        let windows = 0..envelope.windows.len();
        let settling = |window| envelope.settling_tolerances(window, place);
        let holding = |window| envelope.holding_magnitude(window, place);
        let magnitudes: Vec<f32> = reference.iter().map(|weight| weight.abs()).collect();
        Self {
            weights: reference.iter().map(|&weight| short(weight.into())).collect(),
            frozen: (0..)
                .zip(envelope.frozen_of_replica(place))
                .filter_map(|(weight_index, &is)| is.then_some(weight_index))
                .collect(),
            stability: (0..stability.tolerances.len())
                .map(|tolerance| stability.of_replica(tolerance, history, place))
                .collect(),
            settling: windows
                .clone()
                .map(|window| {
                    settling(window).into_iter().map(|value| value.is_finite().then(|| short(value))).collect()
                })
                .collect(),
            holding: windows
                .clone()
                .map(|window| holding(window).iter().map(|&value| short(value.into())).collect())
                .collect(),
            settling_order: windows.clone().map(|window| RemovalOrder::largest_first(&settling(window))).collect(),
            holding_order: windows.map(|window| RemovalOrder::smallest_first(holding(window))).collect(),
            magnitude_order: RemovalOrder::smallest_first(&magnitudes),
            ..Self::without_pictures(cell, replica)
        }
    }
}

/// Curves that a slider can follow: neither single networks nor windows that differ between replicas.
fn all_series(mut rows: Vec<&SweepRow>) -> Vec<Series<'_>> {
    rows.retain(|row| row.method != Method::Dense && row.rule != CHOSEN_IN_TRAINING);
    let setting = |row: &&SweepRow| (row.method, row.rule.clone(), row.tolerance.map(f64::to_bits), row.window);
    // Tolerances are not negative: their bits are in their order.
    rows.sort_by_cached_key(|row| (setting(row), row.threshold, std::cmp::Reverse(row.nonzero_weights)));
    rows.chunk_by(|a, b| setting(a) == setting(b))
        .map(|rows| Series {
            method: rows[0].method,
            rule: &rows[0].rule,
            tolerance: rows[0].tolerance,
            window: rows[0].window,
            threshold: rows.iter().filter_map(|row| row.threshold).collect(),
            nonzero: rows.iter().map(|row| row.nonzero_weights).collect(),
            compression: rows.iter().map(|row| rounded(row.smaller)).collect(),
            accuracy: rows.iter().map(|row| rounded(row.accuracy)).collect(),
        })
        .collect()
}

/// Six decimals: a ten-thousandth of a per cent.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Three significant digits: more than a colour can show.
fn short(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_slider_finds_every_operating_point_sparser_and_sparser() {
        let (cell, layer) = (sample::cell(), sample::layer());
        let found: Value = serde_json::from_str(&json(&cell, &layer, 10, 900).unwrap()).unwrap();
        let replicas = found["replicas"].as_array().unwrap();
        assert_eq!(replicas.len(), 5);
        for (number, replica) in replicas.iter().enumerate() {
            let mut points = 0;
            for series in replica["series"].as_array().unwrap() {
                let nonzero: Vec<u64> =
                    series["nonzero"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
                assert!(nonzero.is_sorted_by(|a, b| a >= b), "{series}");
                points += nonzero.len();
            }
            let rows = cell.sweep.iter().filter(|row| row.replica == number as u32 && row.method != Method::Dense);
            assert_eq!(points, rows.count());
        }
        let point = cell.sweep.iter().find(|row| row.method == Method::Hold && row.nonzero_weights == 450).unwrap();
        let series = replicas[0]["series"].as_array().unwrap();
        let own = series.iter().find(|series| {
            series["method"] == "hold" && series["rule"] == point.rule.as_str() && series["window"] == 50
        });
        let place = own.unwrap()["nonzero"].as_array().unwrap().iter().position(|nonzero| nonzero == 450).unwrap();
        let shown = own.unwrap()["accuracy"][place].as_f64().unwrap();
        assert!((shown - point.accuracy).abs() < 1e-6, "{shown} {}", point.accuracy);
    }

    #[test]
    fn orders_of_removal_are_those_of_the_criteria() {
        let found: Value = serde_json::from_str(&json(&sample::cell(), &sample::layer(), 10, 900).unwrap()).unwrap();
        // The weights of the sample grow with the index of the weight: the first is the smallest.
        let replica = &found["replicas"][0];
        assert_eq!(replica["magnitude_order"][0], 0);
        assert_eq!(replica["magnitude_order"].as_array().unwrap().len(), 900);
        assert_eq!(replica["stability"][0].as_array().unwrap().len(), 900);
    }

    #[test]
    fn a_layer_without_room_for_pictures_keeps_its_curves() {
        let found: Value = serde_json::from_str(&json(&sample::cell(), &sample::layer(), 1, 899).unwrap()).unwrap();
        let replica = &found["replicas"][0];
        assert_eq!((&found["weight_count"], &replica["weights"]), (&Value::from(900), &Value::Array(Vec::new())));
        assert!(replica["series"].as_array().unwrap().len() > 5);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let cases =
            [(0.0, 0.0), (-1.071481, -1.07), (0.029778374706310496, 0.0298), (123_456.0, 123_000.0), (1e-9, 1e-9)];
        for (value, expected) in cases {
            assert_eq!(short(value), expected);
        }
    }
}
