//! Whole networks: what `compare` tells of them by size, and `prune` of its run.

use crate::program::{Table, fresh_folder, holdfast, text, weights};
use crate::run_folder::smoke;

/// Weights of the smoke preset's network, biases apart.
const WEIGHTS: f64 = 28_320.0;

fn sweep() -> Table {
    Table::read(&smoke().1.join("sweep.csv")).only(&[("layers", "all")])
}

#[test]
fn every_size_is_met_to_the_weight_and_no_method_chooses_by_layers_apart() {
    let sweep = sweep();
    for (method, repair) in [("hold", "cut"), ("wanda", "cut"), ("magnitude", "refit"), ("decay-batched", "cut")] {
        let rows = sweep.only(&[("method", method), ("repair", repair), ("replica", "1")]);
        let kept: Vec<usize> = [2.0, 4.0, 6.0, 8.0, 10.0].map(|size: f64| (WEIGHTS / size).round() as usize).into();
        assert_eq!(rows.counts("nonzero_weights"), kept, "{method} {repair}");
        assert!(rows.column("scope").iter().all(|scope| *scope == "global"), "{method}");
    }
    let surgeon = sweep.only(&[("method", "hold-surgeon"), ("replica", "0")]);
    let kept: Vec<usize> =
        [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|size: f64| (WEIGHTS / size).round() as usize).into();
    assert_eq!(surgeon.counts("nonzero_weights"), kept);
    assert!(surgeon.column("calibration_images").iter().all(|images| *images == "512"));
}

#[test]
fn what_is_solved_anew_classifies_better_than_what_is_only_cut() {
    let sweep = sweep();
    let mean = |conditions: &[(&str, &str)], kept: &str| {
        let accuracies = sweep.only(&[conditions, &[("nonzero_weights", kept)]].concat()).numbers("accuracy");
        accuracies.iter().sum::<f64>() / accuracies.len() as f64
    };
    let six_times = "4720";
    let cut = mean(&[("method", "magnitude"), ("repair", "cut")], six_times);
    let refit = mean(&[("method", "magnitude"), ("repair", "refit")], six_times);
    let surgeon = mean(&[("method", "hold-surgeon")], six_times);
    let dense = mean(&[("method", "dense"), ("rule", "mean")], "28320");
    assert!(cut < refit && refit < surgeon && surgeon > dense - 0.03, "{cut} {refit} {surgeon} {dense}");
}

#[test]
fn a_run_is_cut_later_to_the_networks_of_its_comparison() {
    let run = &smoke().1;
    let out = fresh_folder("surgeon-pruned");
    let arguments = "prune --criterion hold-surgeon --base mean --layers all --smaller 4,6 --device cpu --quiet --json";
    let json = holdfast(arguments, &[text(run), "--out", text(&out)]).succeeded().json();
    let rows = sweep().only(&[("method", "hold-surgeon")]);
    for (point, kept) in json["points"].as_array().unwrap().iter().zip(["7080", "4720"]) {
        let expected = rows.only(&[("nonzero_weights", kept)]).numbers("accuracy");
        let found: Vec<f64> =
            point["replicas"].as_array().unwrap().iter().filter_map(|r| r["accuracy_after"].as_f64()).collect();
        assert_eq!(found, expected, "{kept}: {point}");
    }
    let (shape, bytes) = weights(&out.join("smaller-6"), "dense0.weight");
    assert_eq!(shape, [2, 784, 30]);
    let zeros = bytes.chunks_exact(4).filter(|value| *value == [0; 4]).count();
    assert!(zeros > 2 * 784 * 30 / 2, "{zeros}");
    assert!(weights(&out.join("smaller-6"), "dense0.bias").1 != weights(run, "dense0.bias").1, "biases are solved too");
}

#[test]
fn a_surgeon_refuses_what_is_not_its_way_and_says_what_it_misses() {
    let run = text(&smoke().1);
    let refused = |options: &str, words: &[&str]| {
        let out = fresh_folder("surgeon-refused");
        holdfast(&format!("prune --device cpu {options}"), &[run, "--out", text(&out)]).refused(2, words);
    };
    refused("--criterion surgeon --smaller 4 --repair cut", &["--repair cut"]);
    refused("--criterion surgeon --smaller 4 --scope layer", &["--scope layer"]);
    refused("--criterion magnitude --sparsity 50% --base mean", &["--base"]);
    refused("--criterion surgeon --smaller 4 --window 3", &["--window"]);
    refused("--criterion surgeon --layers focus --smaller 4", &["4 times smaller"]);
    refused("--criterion wanda --sparsity 50% --layers dense9", &["dense9", "dense6"]);
    let copy = fresh_folder("surgeon-uncalibrated");
    for name in ["config.toml", "history.npz", "weights.safetensors", "manifest.json"] {
        std::fs::copy(smoke().1.join(name), copy.join(name)).unwrap();
    }
    let out = fresh_folder("surgeon-uncalibrated-out");
    holdfast("prune --device cpu --criterion wanda --sparsity 50%", &[text(&copy), "--out", text(&out)])
        .refused(5, &["calibration.npz", "--repair cut"]);
}
