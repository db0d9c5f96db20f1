//! Whole networks: what `compare` tells of them by size, and `prune` of its run.

use crate::program::{Table, device, fresh_folder, holdfast, manifest, text, weights};
use crate::run_folder::smoke;
use holdfast::run_folder::arrays::{self, NamedArray, Values};
use std::path::{Path, PathBuf};

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

/// A copy of the smoke run's files that pruning reads, `path.npz` among them.
fn copied(name: &str) -> PathBuf {
    let copy = fresh_folder(name);
    for name in [
        "config.toml",
        "history.npz",
        "weights.safetensors",
        "averaged.safetensors",
        "calibration.npz",
        "path.npz",
        "manifest.json",
    ] {
        std::fs::copy(smoke().1.join(name), copy.join(name)).unwrap();
    }
    copy
}

/// What pruning a run by these options gives: all tensors of each point, in the order of `folders`.
fn pruned(run: &Path, options: &str, folders: &[&str]) -> (Vec<Vec<u8>>, serde_json::Value) {
    let out = fresh_folder("surgeon-way");
    holdfast(&format!("prune --device cpu --quiet {options}"), &[text(run), "--out", text(&out)]).succeeded();
    let read = |folder: &&str| std::fs::read(out.join(folder).join("weights.safetensors")).unwrap();
    (folders.iter().map(read).collect(), manifest(&out))
}

#[test]
fn a_way_that_was_kept_gives_the_bits_of_one_that_is_found_anew() {
    let run = copied("surgeon-kept");
    // Between two stages, at one, and beyond the last; one layer anywhere.
    let sizes = "--criterion hold-surgeon --base mean --layers all --smaller 7,4,12";
    let shares = "--criterion surgeon --base last --sparsity 0%,83%,100%";
    let folders = ["smaller-7", "smaller-4", "smaller-12"];
    let layer = ["sparsity-0", "sparsity-0.83", "sparsity-1"];
    let kept = [pruned(&run, sizes, &folders), pruned(&run, shares, &layer)];
    for (_, manifest) in &kept {
        assert!(manifest["data_checksums"]["path.npz"].is_string(), "{manifest}");
        assert!(manifest["data_checksums"]["calibration.npz"].is_string(), "{manifest}");
    }
    assert!(kept[0].1["data_checksums"]["averaged.safetensors"].is_string());
    let alone = pruned(&run, "--criterion hold-surgeon --base mean --layers all --smaller 7", &[""]);
    assert!(alone.0[0] == kept[0].0[0], "no size depends on which others are asked for");
    std::fs::remove_file(run.join("path.npz")).unwrap();
    let anew = [pruned(&run, sizes, &folders), pruned(&run, shares, &layer)];
    for (kept, anew) in kept.iter().zip(&anew) {
        assert!(kept.0 == anew.0, "a way that is known changes no bit");
        assert!(anew.1["data_checksums"]["path.npz"].is_null());
    }
}

#[test]
fn a_way_that_is_damaged_or_of_other_numbers_is_never_silently_gone_by() {
    let run = copied("surgeon-strange-way");
    let prune = |options: &str| {
        let out = fresh_folder("surgeon-strange-way-out");
        holdfast(&format!("prune --device cpu {options} --smaller 6"), &[text(&run), "--out", text(&out)])
    };
    // The last weights in place of their mean.
    std::fs::copy(run.join("weights.safetensors"), run.join("averaged.safetensors")).unwrap();
    prune("--criterion hold-surgeon --base mean").succeeded().says(&["path.npz", "found anew"]);
    std::fs::copy(smoke().1.join("averaged.safetensors"), run.join("averaged.safetensors")).unwrap();
    let mut bytes = std::fs::read(run.join("path.npz")).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(run.join("path.npz"), &bytes).unwrap();
    prune("--criterion hold-surgeon --base mean").refused(5, &["path.npz"]);
    std::fs::write(run.join("path.npz"), "no archive").unwrap();
    prune("--criterion hold-surgeon --base mean").refused(5, &["path.npz"]);
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

#[test]
fn calibration_images_that_are_no_bytes_are_refused() {
    let run = copied("surgeon-not-a-number");
    let images = vec![f32::NAN; 2 * 28 * 28];
    let array = NamedArray { name: "images", shape: &[2, 28, 28, 1], values: Values::F32(&images) };
    arrays::write(&run.join("calibration.npz"), &[array]).unwrap();
    let out = fresh_folder("surgeon-not-a-number-out");
    holdfast("prune --device cpu --criterion surgeon --sparsity 50%", &[text(&run), "--out", text(&out)])
        .refused(5, &["calibration.npz", "images"]);
}

#[test]
fn polishing_moves_what_is_left_towards_the_dense_network_and_nothing_else() {
    let run = &smoke().1;
    let prune = |options: &str, name: &str| {
        let out = fresh_folder(name);
        let line = format!("prune --layers all --smaller 12 --device cpu --quiet --json {options}");
        let json = holdfast(&line, &[text(run), "--out", text(&out)]).succeeded().json();
        let replicas = json["replicas"].as_array().unwrap();
        let accuracy: f64 = replicas.iter().map(|replica| replica["accuracy_after"].as_f64().unwrap()).sum();
        // Zeros of the whole network, biases apart.
        let zeros: usize = (0..7)
            .map(|layer| weights(&out, &format!("dense{layer}.weight")).1)
            .map(|bytes| bytes.chunks_exact(4).filter(|weight| *weight == [0; 4]).count())
            .sum();
        (std::fs::read(out.join("weights.safetensors")).unwrap(), accuracy / replicas.len() as f64, zeros)
    };
    let surgeon = "--criterion surgeon --base mean";
    let (solved, before, kept) = prune(surgeon, "polish-none");
    let (polished, after, moved) = prune(&format!("{surgeon} --polish 1"), "polish-one");
    assert!(after > before, "{before} solved anew, {after} polished");
    assert_eq!(kept, moved, "as many weights go");
    assert!(solved != polished);
    assert!(polished == prune(&format!("{surgeon} --polish 1"), "polish-again").0, "the same command, the same bits");
    let out = fresh_folder("polish-refused");
    let refused = |options: &str, status: i32, words: &[&str]| {
        let line = format!("prune --layers all --device cpu --quiet {options}");
        holdfast(&line, &[text(run), "--out", text(&out)]).refused(status, words);
    };
    refused("--criterion magnitude --smaller 12 --polish 2", 2, &["--polish", "--repair refit"]);
    let line = "prune --criterion surgeon --layers all --smaller 2 --polish 1 --device cpu";
    holdfast(line, &[text(run), "--out", text(&out)]).succeeded().says(&["not polished", "8192"]);
}

#[test]
fn both_engines_cut_a_run_to_networks_that_classify_alike() {
    let run = fresh_folder("surgeon-engines");
    let line = "train --preset smoke --data pr --side 8 --hidden 12,9 --epochs 8 --batch 4 --layers all --device cpu --quiet --out";
    holdfast(line, &[text(&run)]).succeeded();
    let by_size = "--base mean --layers all --smaller 2,3,4,5,6,8,10";
    let by_sparsity = "--layers focus --sparsity 0%,10%,20%,30%,40%,50%,60%,70%,80%,90%,100%";
    for (criterion, points) in
        ["hold-surgeon", "surgeon"].into_iter().flat_map(|name| [by_size, by_sparsity].map(|points| (name, points)))
    {
        let [cpu, shaders] = ["cpu", &device()].map(|device| {
            let out = fresh_folder("surgeon-engines-out");
            let line = format!("prune --criterion {criterion} {points} --device {device} --quiet --json");
            let json = holdfast(&line, &[text(&run), "--out", text(&out)]).succeeded().json();
            let accuracy = |replica: &serde_json::Value| replica["accuracy_after"].as_f64().unwrap();
            let points = json["points"].as_array().unwrap().iter();
            points.flat_map(|point| point["replicas"].as_array().unwrap()).map(accuracy).collect::<Vec<f64>>()
        });
        assert!(cpu.len() == shaders.len() && cpu.len() >= 14, "{cpu:?} {shaders:?}");
        // Half a point of accuracy: fifty of the ten thousand test images.
        let furthest = cpu.iter().zip(&shaders).map(|(cpu, shaders)| (cpu - shaders).abs()).fold(0.0, f64::max);
        assert!(furthest <= 0.005, "{criterion} {points}: {cpu:?} on the processor, {shaders:?} in the shaders");
    }
}
