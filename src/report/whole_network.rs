//! The numbers behind the second slider of a page: the whole network, smaller and smaller. For each size the accuracy of every
//! method, and of some replicas which weights of every layer are still there. The page's script
//! (`templates/whole_network.js`) draws them.

use super::layout::NOTHING;
use super::tables;
use crate::pruning::{Method, SweepRow};
use crate::results::accuracy::{self, Curve};
use crate::results::comparison::{CompactedRow, Results};
use crate::results::summary::Summary;
use crate::run::survival::{Survival, SurvivalCounts};
use serde::Serialize;

/// What a count of 0 is written as; higher ones by the characters behind it.
const ZERO: u32 = '0' as u32;

/// All that the slider of one cell shows.
#[derive(Serialize)]
struct WholeNetwork<'a> {
    /// How many times smaller the network becomes; 1, before any cut, is not among them.
    sizes: &'a [f64],
    /// Which layers are pruned, as `--layers` names them.
    layers: &'a str,
    /// All trained replicas; those that are not in `replicas` cannot be looked at.
    replicates: u32,
    /// Which images accuracies are of: `Test` or `Training`.
    judged: &'static str,
    tensors: Vec<Tensor<'a>>,
    replicas: Vec<Replica>,
    methods: Vec<Accuracies>,
    /// What the first replica is at each size once nothing is stored that nobody reads; empty where that is not known.
    compact: Vec<String>,
    /// Which of `methods` chose the weights of the pictures.
    pictured: Option<usize>,
}

/// A layer's weights.
#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    /// Inputs of a unit; of a convolution its window's places times its channels.
    inputs: usize,
    units: usize,
    /// Of so many inputs one is drawn; the numbers beside the picture are of all.
    step: usize,
}

impl<'a> Tensor<'a> {
    fn of(counts: &'a SurvivalCounts, most: usize) -> Self {
        let (inputs, units) = (counts.inputs(), counts.units());
        Self { name: &counts.name, inputs, units, step: (inputs * units).div_ceil(most.max(1)).max(1) }
    }

    /// The inputs that are drawn.
    fn drawn(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.inputs).step_by(self.step)
    }
}

/// One replica.
#[derive(Serialize)]
struct Replica {
    /// Accuracy before any cut and at each size, 0 to 1; empty where these cannot be told.
    accuracy: Vec<f64>,
    /// Of each tensor a text with a character for each weight that is drawn, `[input, unit]`: at how many of the sizes it is still
    /// there, counted from the character `0`.
    counts: Vec<String>,
    /// Of each tensor how many of all weights are there before any cut and at each size.
    kept: Vec<Vec<usize>>,
}

/// A line of the table.
#[derive(Serialize)]
struct Accuracies {
    label: String,
    /// Mean over replicas in per cent, before any cut and at each size.
    texts: Vec<String>,
}

/// The numbers of a cell as JSON that can stand inside a script element, of at most so many replicas, and of each layer at most
/// about so many weights; nothing if it was not recorded how long weights lasted.
pub(super) fn json(cell: &Results, most: u32, weights: usize) -> serde_json::Result<Option<String>> {
    let Some(survival) = &cell.survival else { return Ok(None) };
    let by_size = accuracy::curves_by_size(&cell.sweep, cell.headline_window);
    let Some((layers, curves)) = by_size.first() else { return Ok(None) };
    let shown = survival.replicas.min(most as usize);
    let holding = |curve: &Curve, rule| curve.method == Method::HoldSurgeon && curve.rule == rule;
    let place = |rule| curves.iter().position(|curve| holding(curve, rule));
    let (rule, pictured) = match place("mean") {
        None => ("last", place("last")),
        mean => ("mean", mean),
    };
    let before = unpruned(cell, survival.sizes.len());
    let network = WholeNetwork {
        sizes: &survival.sizes,
        layers,
        replicates: cell.ledger.workload.replicates,
        judged: cell.judged_by(),
        tensors: survival.tensors.iter().map(|tensor| Tensor::of(tensor, weights)).collect(),
        replicas: (0..shown).map(|replica| Replica::new(cell, survival, (layers, rule), weights, replica)).collect(),
        pictured: pictured.map(|place| before.len() + place),
        methods: before.into_iter().chain(curves.iter().map(|curve| of_curve(curve, &survival.sizes))).collect(),
        compact: compacted(cell, &survival.sizes),
    };
    // No `<`: text from data cannot end the element.
    Ok(Some(serde_json::to_string(&network)?.replace('<', "\\u003c")))
}

/// Lines of the networks before pruning, the same at every one of so many sizes.
fn unpruned(cell: &Results, sizes: usize) -> Vec<Accuracies> {
    let epochs = cell.ledger.workload.epochs;
    let last = accuracy::dense(&cell.sweep).into_iter().find(|(own, _)| *own == epochs).map(|(_, summary)| summary);
    let lines = [("before pruning", last), ("before pruning, mean weights", accuracy::averaged(&cell.sweep))];
    let line = |(label, summary): (&str, Option<Summary>)| {
        Some(Accuracies { label: label.into(), texts: vec![tables::percent(&summary?); sizes + 1] })
    };
    lines.into_iter().filter_map(line).collect()
}

/// What the first replica is at each size once nothing is stored that nobody reads.
fn compacted(cell: &Results, sizes: &[f64]) -> Vec<String> {
    let text = |size: &f64| {
        let own = cell.compacted.iter().find(|row| row.smaller == *size);
        own.map_or(NOTHING.into(), CompactedRow::summary)
    };
    let known = !cell.compacted.is_empty();
    std::iter::once(NOTHING.into()).chain(sizes.iter().map(text)).filter(|_| known).collect()
}

/// The line of a method. At size 1 it has not begun.
fn of_curve(curve: &Curve, sizes: &[f64]) -> Accuracies {
    let at_sizes = sizes.iter().map(|&size| tables::at_size(curve, size));
    Accuracies { label: curve.label.clone(), texts: std::iter::once(NOTHING.into()).chain(at_sizes).collect() }
}

impl Replica {
    fn new(cell: &Results, survival: &Survival, (layers, rule): (&str, &str), weights: usize, replica: usize) -> Self {
        let own = |row: &&SweepRow| row.replica as usize == replica && *row.layers == *layers;
        let epochs = cell.ledger.workload.epochs;
        let base = if rule == "mean" { "mean" } else { "" };
        let dense = |row: &&SweepRow| row.method == Method::Dense && row.rule == base && row.epochs == epochs;
        let cut = |row: &&SweepRow| row.method == Method::HoldSurgeon && row.rule == rule;
        let mut rows: Vec<&SweepRow> = cell.sweep.iter().filter(own).filter(|row| dense(row) || cut(row)).collect();
        rows.sort_by_key(|row| (row.method != Method::Dense, std::cmp::Reverse(row.nonzero_weights)));
        let complete = rows.len() == survival.sizes.len() + 1 && rows[0].method == Method::Dense;
        let accuracy = rows.iter().filter(|_| complete).map(|row| (row.accuracy * 1e6).round() / 1e6).collect();
        let text = |tensor: &SurvivalCounts| {
            let (own, units) = (tensor.of_replica(replica), tensor.units());
            let drawn = Tensor::of(tensor, weights).drawn();
            drawn.flat_map(|input| &own[input * units..][..units]).map(|&count| letter(count)).collect()
        };
        let kept = |tensor: &SurvivalCounts| {
            let at =
                |step: usize| tensor.of_replica(replica).iter().filter(|&&count| usize::from(count) >= step).count();
            (0..=survival.sizes.len()).map(at).collect()
        };
        Self {
            accuracy,
            counts: survival.tensors.iter().map(text).collect(),
            kept: survival.tensors.iter().map(kept).collect(),
        }
    }
}

/// A count as a character.
fn letter(count: u8) -> char {
    // All characters up to 303 exist.
    char::from_u32(ZERO + u32::from(count)).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::pruning::{Layers, Repair};
    use serde_json::{Value, json as value};

    /// Five replicas; of the first the first weight of both layers lasts to the end, the second to the first size.
    fn cell() -> Results {
        let mut cell = sample::cell();
        let tensor = |name: &str, shape: &[usize]| {
            let weights: usize = shape.iter().product();
            let mut counts = vec![0; 5 * weights];
            counts[..2].copy_from_slice(&[2, 1]);
            SurvivalCounts { name: name.into(), shape: [&[5], shape].concat(), counts }
        };
        let tensors = vec![tensor("conv0.weight", &[3, 3, 2, 4]), tensor("dense0.weight", &[6, 5])];
        cell.survival = Some(Survival { sizes: vec![2.0, 4.0], replicas: 5, tensors });
        for replica in 0..5 {
            // Each choice of layers has the networks before pruning.
            let mean = cell.sweep.iter().find(|row| row.method == Method::Dense && row.epochs == 100).cloned();
            cell.sweep.extend(mean.map(|row| SweepRow { rule: "mean".into(), replica, accuracy: 0.97, ..row }));
            let points = [
                (Method::Dense, "", 1.0, 0.96),
                (Method::Dense, "mean", 1.0, 0.97),
                (Method::Magnitude, "", 2.0, 0.9),
                (Method::Magnitude, "", 4.0, 0.5),
                (Method::HoldSurgeon, "mean", 2.0, 0.95),
                (Method::HoldSurgeon, "mean", 4.0, 0.94),
            ];
            for (method, rule, smaller, accuracy) in points {
                cell.sweep.push(SweepRow {
                    method,
                    rule: rule.into(),
                    layers: Layers::from("all"),
                    repair: if method == Method::HoldSurgeon { Repair::Refit } else { Repair::Cut },
                    replica,
                    epochs: 100,
                    nonzero_weights: (102.0 / smaller) as u32,
                    smaller,
                    accuracy,
                    ..SweepRow::default()
                });
            }
        }
        cell
    }

    fn found(cell: &Results, most: u32, weights: usize) -> Value {
        serde_json::from_str(&json(cell, most, weights).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn every_layer_of_a_replica_is_there_with_a_character_for_each_weight() {
        let found = found(&cell(), 10, 1 << 16);
        assert_eq!(
            found["tensors"],
            value!([
                { "name": "conv0.weight", "inputs": 18, "units": 4, "step": 1 },
                { "name": "dense0.weight", "inputs": 6, "units": 5, "step": 1 },
            ])
        );
        let replicas = found["replicas"].as_array().unwrap();
        assert_eq!(replicas.len(), 5);
        assert_eq!(replicas[0]["counts"][0], format!("21{}", "0".repeat(70)));
        assert_eq!(replicas[0]["counts"][1], format!("21{}", "0".repeat(28)));
        assert_eq!(replicas[4]["counts"][1], "0".repeat(30));
        assert_eq!(replicas[0]["accuracy"], value!([0.97, 0.95, 0.94]));
    }

    #[test]
    fn each_method_has_a_text_at_each_size_and_one_of_them_chose_the_pictures() {
        let found = found(&cell(), 10, 1 << 16);
        assert_eq!(
            (&found["sizes"], &found["layers"], &found["judged"]),
            (&value!([2.0, 4.0]), &value!("all"), &value!("Test"))
        );
        let methods = found["methods"].as_array().unwrap();
        let labels: Vec<&str> = methods.iter().filter_map(|line| line["label"].as_str()).collect();
        assert_eq!(labels[1..], ["before pruning, mean weights", "magnitude", "hold-surgeon mean"]);
        assert_eq!(methods[1]["texts"], value!(["97.0 ± 0.0", "97.0 ± 0.0", "97.0 ± 0.0"]));
        assert_eq!(methods[2]["texts"], value!(["–", "90.0 ± 0.0", "50.0 ± 0.0"]));
        assert_eq!(methods[3]["texts"], value!(["–", "95.0 ± 0.0", "94.0 ± 0.0"]));
        assert_eq!(found["pictured"], 3);
    }

    #[test]
    fn of_large_layers_some_inputs_are_drawn_and_all_weights_counted() {
        let mut cell = cell();
        assert_eq!(found(&cell, 3, 72)["replicas"].as_array().unwrap().len(), 3);
        // Of 18 inputs each third is drawn; all weights are counted.
        let thinned = found(&cell, 1, 30);
        assert_eq!((&thinned["tensors"][0]["step"], &thinned["tensors"][1]["step"]), (&value!(3), &value!(1)));
        assert_eq!(thinned["replicas"][0]["counts"][0], format!("21{}", "0".repeat(22)));
        assert_eq!(thinned["replicas"][0]["kept"], value!([[72, 2, 1], [30, 2, 1]]));
        cell.survival = None;
        assert_eq!(json(&cell, 10, 72).unwrap(), None);
    }

    #[test]
    fn no_count_ends_the_element() {
        let mut cell = cell();
        let survival = cell.survival.as_mut().unwrap();
        survival.tensors[1].counts[..30].copy_from_slice(&(0..30).collect::<Vec<u8>>());
        survival.tensors[1].counts[30] = u8::MAX;
        let text = json(&cell, 10, 1 << 16).unwrap().unwrap();
        assert!(!text.contains('<'));
        let found: Value = serde_json::from_str(&text).unwrap();
        let counts = |replica: usize| {
            let text = found["replicas"][replica]["counts"][1].as_str().unwrap();
            text.chars().map(|letter| u32::from(letter) - ZERO).collect::<Vec<_>>()
        };
        assert_eq!(counts(0), (0..30).collect::<Vec<_>>());
        assert_eq!(counts(1)[0], 255);
    }
}
