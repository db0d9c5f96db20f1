//! A made-up comparison in the shape of a real one, for the tests of this module.

use super::Provenance;
use crate::engine::{Engine, HistoryShape};
use crate::pruning::operating_points::{FROZEN_FIRST, FROZEN_KEPT};
use crate::pruning::{FOCUS, Method, Repair, SweepRow};
use crate::random::{Sequence, Stream};
use crate::results::comparison::{InferenceRow, Results};
use crate::results::ledger::{Ledger, LedgerRow};
use crate::results::workload::Workload;
use crate::run::recorded::FocusLayer;
use crate::stability::{History, Reading, Stability, WindowedEnvelope};

const REPLICAS: u32 = 5;
const WEIGHTS: u32 = 900;
const WINDOW: u32 = 50;

/// Accuracy that stays at .967 and falls to chance around sparsity `knee`.
fn accuracy(sparsity: f64, knee: f64, noise: f64) -> f64 {
    let fall = 1.0 / (1.0 + ((knee - sparsity) * 14.0).exp());
    (0.967 - 0.855 * fall + noise * (0.02 + 0.3 * fall * (1.0 - fall))).clamp(0.05, 0.98)
}

/// A focus layer whose weights grow with the index of their weight and come to rest.
pub(super) fn layer() -> FocusLayer {
    let shape = HistoryShape { epochs: 100, replicas: REPLICAS as usize, weight_count: WEIGHTS as usize };
    let weight =
        |epoch: u32, weight_index: u32| (1.0 + 1.0 / epoch as f32) * (1 + weight_index) as f32 / WEIGHTS as f32;
    let epoch = |epoch| (0..REPLICAS * WEIGHTS).map(move |column| weight(epoch, column % WEIGHTS));
    let history = History::new(shape, (1..=100).flat_map(epoch).collect()).unwrap();
    let mut engine = Engine::cpu(Some(1)).unwrap();
    let stability = Stability::count(&mut engine, &history, &[0.01, 0.03, 0.05], Reading::default()).unwrap();
    let envelope = WindowedEnvelope::new(&mut engine, &history, &[WINDOW, 100]).unwrap();
    FocusLayer { sizes: [30, 30], history, stability, envelope }
}

/// Five replicas of the paper's network on MNIST, every method, 101 sparsities.
pub(super) fn cell() -> Results {
    let mut noise = Sequence::new(5, Stream::Check, 0, 0);
    let mut sweep = Vec::new();
    for replica in 0..REPLICAS {
        let own = 2.0 * noise.unit() - 1.0;
        let mut push = |method, rule: &str, epochs, tolerance, threshold, window, removed: u32, knee| {
            let sparsity = f64::from(removed) / f64::from(WEIGHTS);
            let own = own + 0.3 * (2.0 * noise.unit() - 1.0);
            sweep.push(SweepRow {
                method,
                rule: rule.into(),
                model: "dnn".into(),
                data_set: "mnist".into(),
                replica,
                epochs,
                tolerance,
                threshold,
                window,
                sparsity,
                nonzero_weights: WEIGHTS - removed,
                frozen_weights: 30,
                smaller: 28_320.0 / f64::from(28_320 - removed),
                theoretical_speedup: 28_320.0 / f64::from(28_320 - removed),
                accuracy: accuracy(sparsity, knee, own),
                ..SweepRow::default()
            });
        };
        push(Method::Dense, "", 100, None, None, None, 0, 2.0);
        push(Method::Dense, "", 3, None, None, None, 0, 1.2);
        for percent in 0..=100 {
            let removed = percent * WEIGHTS / 100;
            push(Method::Hold, FROZEN_FIRST, 100, None, None, Some(WINDOW), removed, 0.92);
            push(Method::Hold, FROZEN_KEPT, 100, None, None, Some(WINDOW), removed, 0.91);
            push(Method::Hold, FROZEN_FIRST, 100, None, None, Some(100), removed, 0.97);
            push(Method::Settle, FROZEN_FIRST, 100, None, None, Some(WINDOW), removed, 0.95);
            push(Method::Magnitude, "", 100, None, None, None, removed, 0.84);
            push(Method::MagnitudeFrozenFirst, "", 100, None, None, None, removed, 0.87);
            push(Method::Random, "", 100, None, None, None, removed, 0.4);
            if percent % 5 == 0 {
                push(Method::DecaySequential, "density", 3, None, None, None, removed, 0.98);
            }
        }
        for (tolerance, rate) in [(0.01, 0.9), (0.03, 0.55), (0.05, 0.35)] {
            for threshold in 1..=100u32 {
                let share = 1.0 - (-rate * f64::from(threshold - 1)).exp() * (1.0 - 0.03 * f64::from(replica));
                let share = if threshold == 1 { 0.0 } else { share };
                let removed = (share * 880.0) as u32 + if threshold > 60 { 20 } else { 0 };
                push(Method::Stability, "", 100, Some(tolerance), Some(threshold), None, removed, 0.75);
            }
        }
    }
    let focus = [(0.0, 14.3), (0.5, 14.3), (0.6, 14.4), (0.7, 14.2), (0.8, 14.3), (0.9, 14.6)];
    let all = [(0.0, 14.4), (0.5, 13.7), (0.75, 7.9)];
    let inference =
        focus.map(|row| inference_row(FOCUS, row)).into_iter().chain(all.map(|row| inference_row("all", row)));
    Results {
        ledger: ledger(),
        correlations: Vec::new(),
        sweep,
        chance: 0.114,
        headline_window: WINDOW,
        headline_rule: FROZEN_FIRST,
        judged_in_training: false,
        survival: None,
        compacted: Vec::new(),
        inference: inference.collect(),
    }
}

/// Gives a cell a line of every leading method: none of the four that are added is equal to another.
pub(super) fn add_methods(cell: &mut Results) {
    let others = [
        (Method::HoldSurgeon, Repair::Refit, "mean"),
        (Method::Surgeon, Repair::Refit, "mean"),
        (Method::Magnitude, Repair::Refit, ""),
        (Method::Wanda, Repair::Cut, ""),
    ];
    let one_shot: Vec<SweepRow> = cell.sweep.iter().filter(|row| row.method == Method::Magnitude).cloned().collect();
    for ((method, repair, rule), better) in others.into_iter().zip([0.18, 0.15, 0.1, 0.05]) {
        cell.sweep.extend(one_shot.iter().filter(|row| row.repair == Repair::Cut).map(|row| {
            let accuracy = row.accuracy + better * (1.0 - row.accuracy) * f64::from(row.replica + 1);
            SweepRow { method, repair, rule: rule.into(), accuracy, ..row.clone() }
        }));
    }
}

fn inference_row(layers: &str, (sparsity, milliseconds): (f64, f64)) -> InferenceRow {
    InferenceRow {
        method: if sparsity == 0.0 { Method::Dense } else { Method::Magnitude },
        model: "dnn".into(),
        data_set: "mnist".into(),
        layers: layers.into(),
        replicates: REPLICAS,
        sparsity,
        smaller: (layers == "all").then(|| 1.0 / (1.0 - sparsity)),
        images: 10_000,
        milliseconds,
        milliseconds_sd: Some(0.5),
        ratio_to_dense: milliseconds / 14.3,
        ratio_to_dense_low: Some(milliseconds / 14.9),
        ratio_to_dense_high: Some(milliseconds / 13.7),
    }
}

fn ledger() -> Ledger {
    let measured = |method, rule: &str, points: f64, train_s, marginal: [f64; 3]| {
        let row = LedgerRow {
            method,
            rule: rule.into(),
            operating_points: points as u32,
            distinct_points: points,
            train_s,
            record_s: Some(0.2),
            sort_count_s: Some(1.0),
            prune_evaluate_s: points * f64::from(REPLICAS) * marginal[1] / 1000.0,
            transfer_s: 0.1,
            ..LedgerRow::default()
        };
        (row, marginal.to_vec())
    };
    let rows = vec![
        measured(Method::Stability, "", 58.4, 40.0, [0.28, 0.30, 0.32]),
        measured(Method::Settle, FROZEN_FIRST, 101.0, 40.0, [0.30, 0.31, 0.32]),
        measured(Method::Hold, FROZEN_FIRST, 101.0, 40.0, [0.29, 0.31, 0.33]),
        measured(Method::Hold, FROZEN_KEPT, 101.0, 40.0, [0.29, 0.31, 0.33]),
        measured(Method::Magnitude, "", 101.0, 40.0, [0.28, 0.29, 0.31]),
        measured(Method::MagnitudeFrozenFirst, "", 101.0, 40.0, [0.28, 0.29, 0.31]),
        measured(Method::Random, "", 101.0, 40.0, [0.26, 0.28, 0.33]),
        measured(Method::DecaySequential, "density", 21.0, 24.0, [255.0, 260.0, 270.0]),
        measured(Method::DecayBatched, "density", 21.0, 20.0, [190.0, 198.0, 205.0]),
    ];
    Ledger::new(Workload::of_the_paper(), rows)
}

/// Where the sample comes from.
pub(super) fn provenance() -> Provenance {
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    Provenance {
        command: "holdfast compare --preset paper".into(),
        machine: "Some CPU, CPU engine".into(),
        configuration_hash: "8c1f4e0b2a77".into(),
        facts: vec![pair("device", "Some CPU <2 cores>, CPU engine"), pair("seed", "1")],
        switches: vec![pair("tracking", "position"), pair("tolerance kind", "relative"), pair("pixel scale", "255")],
        checksums: vec![pair("train-images-idx3-ubyte.gz", &"440fcabf73cc546f".repeat(4))],
    }
}
