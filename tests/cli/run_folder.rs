//! What `compare` leaves in its run folder, and what it prints.

use crate::digits;
use crate::program::{Ended, Table, fresh_folder, history, holdfast, manifest, text, weights};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const WEIGHT_COUNTS: usize = 900;
const REPLICAS: usize = 2;
const EPOCHS: usize = 6;
const TOLERANCES: [&str; 3] = ["0.01", "0.03", "0.05"];
const WINDOWS: [usize; 4] = [2, 3, 5, 6];

/// One run of the smoke preset that several tests look at.
pub fn smoke() -> &'static (Ended, PathBuf) {
    static SMOKE: OnceLock<(Ended, PathBuf)> = OnceLock::new();
    SMOKE.get_or_init(|| {
        let folder = fresh_folder("smoke");
        (holdfast("compare --preset smoke --device cpu --out", &[text(&folder)]).succeeded(), folder)
    })
}

fn table(name: &str) -> Table {
    Table::read(&smoke().1.join(name))
}

/// What a sweep tells of the focus layer, cut and not repaired, by what was recorded alone.
pub fn of_focus(sweep: &Table) -> Table {
    let mut cut = sweep.only(&[("layers", "focus"), ("repair", "cut")]);
    let [method, rule] = ["method", "rule"].map(|name| cut.columns.iter().position(|column| column == name).unwrap());
    cut.rows.retain(|row| !["wanda", "hold-input"].contains(&row[method].as_str()) && row[rule] != "mean");
    cut
}

#[test]
fn every_promised_file_is_there_and_nothing_half_written() {
    let (_, folder) = smoke();
    let list = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.path().is_file());
        files
            .map(|entry| entry.file_name().into_string().unwrap())
            .filter(|name| ![".lock", ".holdfast"].contains(&name.as_str()))
            .collect()
    };
    let expected = [
        "manifest.json",
        "config.toml",
        "metrics.csv",
        "history.npz",
        "weights.safetensors",
        "averaged.safetensors",
        "calibration.npz",
        "path.npz",
        "stability.csv",
        "envelope.csv",
        "sweep.csv",
        "ledger.csv",
        "inference.csv",
        "compacted.csv",
        "correlations.csv",
        "subject.json",
        "layers.npz",
        "report.html",
    ];
    assert_eq!(list(folder), expected.map(String::from).into());
    let names = ["accuracy", "size", "time", "gain", "figure4"];
    let figures = names.iter().flat_map(|name| [".svg", ".png", "-dark.png"].map(|ending| format!("{name}{ending}")));
    assert_eq!(list(&folder.join("figures")), figures.collect());
    assert!(fs::read(folder.join("figures/figure4.png")).unwrap().starts_with(b"\x89PNG\r\n"));
    assert!(fs::read_to_string(folder.join("figures/figure4.svg")).unwrap().contains("</svg>"));
}

#[test]
fn tables_have_the_columns_of_the_documentation() {
    for (name, columns) in [
        ("metrics.csv", "model,data_set,replica,epoch,loss,accuracy"),
        (
            "ledger.csv",
            "method,rule,layers,repair,model,data_set,replicates,operating_points,distinct_points,train_s,record_s,sort_count_s,\
             calibrate_s,prune_evaluate_s,build_s,transfer_s,total_s,fixed_s,marginal_ms,marginal_ms_sd,\
             marginal_ms_low,marginal_ms_high,ratio_to_stability,ratio_to_stability_low,ratio_to_stability_high,blocks,resumed",
        ),
        (
            "sweep.csv",
            "method,rule,layers,scope,repair,model,data_set,replica,epochs,tolerance,threshold,window,sparsity,\
             nonzero_weights,frozen_weights,smaller,theoretical_speedup,calibration_images,accuracy,loss,agreement",
        ),
        ("stability.csv", "replica,layer,weight,ky,kx,in,out,reference_weight,tolerance,stability"),
        (
            "envelope.csv",
            "replica,layer,weight,ky,kx,in,out,reference_weight,window,minimum,maximum,smallest_magnitude,\
             settling_tolerance,frozen",
        ),
        (
            "inference.csv",
            "method,model,data_set,layers,replicates,sparsity,smaller,images,milliseconds,milliseconds_sd,ratio_to_dense,\
             ratio_to_dense_low,ratio_to_dense_high",
        ),
        (
            "compacted.csv",
            "model,data_set,smaller,inputs,units,weights,multiply_adds,bytes,dense_milliseconds,pruned_milliseconds,\
             compact_milliseconds",
        ),
    ] {
        assert_eq!(table(name).columns.join(","), columns, "{name}");
    }
}

#[test]
fn tables_have_a_row_for_everything_that_was_asked() {
    assert_eq!(table("metrics.csv").rows.len(), REPLICAS * EPOCHS);
    assert_eq!(table("stability.csv").rows.len(), REPLICAS * WEIGHT_COUNTS * TOLERANCES.len());
    assert_eq!(table("envelope.csv").rows.len(), REPLICAS * WEIGHT_COUNTS * WINDOWS.len());
    let ledger = table("ledger.csv");
    let names = |ledger: &Table| -> Vec<String> {
        let rows = ledger.column("method").into_iter().zip(ledger.column("rule"));
        rows.map(|(method, rule)| format!("{method} {rule}")).collect()
    };
    let of = |layers, repair| names(&ledger.only(&[("layers", layers), ("repair", repair)]));
    let repaired = ["magnitude ", "hold ", "wanda ", "hold-input ", "random ", "hold-surgeon last", "surgeon last"];
    assert_eq!(of("focus", "refit"), repaired);
    assert_eq!(of("all", "refit"), ["magnitude ", "random ", "hold-surgeon mean"]);
    let cut = [
        "stability ",
        "settle frozen-first",
        "hold frozen-first",
        "hold-input frozen-first",
        "magnitude ",
        "wanda ",
        "random ",
        "decay-batched density",
    ];
    assert_eq!(of("all", "cut"), cut);
    let rows = of("focus", "cut");
    let expected = [
        "stability ",
        "settle frozen-first",
        "settle frozen-kept",
        "hold frozen-first",
        "hold frozen-kept",
        "magnitude ",
        "magnitude-frozen-first ",
        "random ",
        "wanda ",
        "hold-input frozen-first",
        "decay-sequential density",
        "decay-batched density",
    ];
    assert_eq!(rows, expected);
    let compacted = table("compacted.csv");
    assert_eq!(compacted.numbers("smaller"), [2.0, 4.0, 6.0, 8.0, 10.0]);
    let stored = compacted.counts("weights");
    assert!(stored[0] < 28_320 && stored.windows(2).all(|pair| pair[0] >= pair[1]), "{stored:?}");
    assert_eq!(table("inference.csv").only(&[("layers", "focus")]).numbers("sparsity"), [0.0, 0.5, 0.6, 0.7, 0.8, 0.9]);
}

#[test]
fn weights_and_history_agree_and_every_replica_is_there() {
    let (_, folder) = smoke();
    let history = history(folder);
    assert_eq!(history.shape(), [EPOCHS, REPLICAS, WEIGHT_COUNTS]);
    let (shape, bytes) = weights(folder, "dense5.weight");
    assert_eq!(shape, [REPLICAS, 30, 30]);
    let last: Vec<u8> =
        history.index_axis(ndarray::Axis(0), EPOCHS - 1).iter().flat_map(|weight| weight.to_le_bytes()).collect();
    assert!(last == bytes, "the last epoch of the history is not the focus layer of the weights");
    assert_eq!(weights(folder, "dense0.weight").0, [REPLICAS, 784, 30]);
    assert_eq!(weights(folder, "dense6.weight").0, [REPLICAS, 30, 10]);
    assert_eq!(weights(folder, "dense6.bias").0, [REPLICAS, 10]);
}

#[test]
fn stability_counts_the_last_epochs_within_the_tolerance() {
    let (history, stability) = (history(&smoke().1), table("stability.csv"));
    let [replicas, weight_count, counts] = ["replica", "weight", "stability"].map(|column| stability.counts(column));
    let tolerances = stability.numbers("tolerance");
    let mut clear = 0;
    for index in 0..stability.rows.len() {
        let weight = |epoch| f64::from(history[[epoch, replicas[index], weight_count[index]]]);
        let (last, bound) = (weight(EPOCHS - 1), tolerances[index] * weight(EPOCHS - 1).abs());
        let distances: Vec<f64> = (0..EPOCHS).rev().map(|epoch| (weight(epoch) - last).abs()).collect();
        // Bounds are rounded to 32 bits: where a distance lies on its bound to the last digits, either count is right.
        if distances.iter().all(|distance| (distance - bound).abs() > 1e-6 * last.abs()) {
            let expected = distances.iter().take_while(|&&distance| distance <= bound).count();
            assert_eq!(counts[index], expected, "row {index}");
            clear += 1;
        }
    }
    assert!(clear > stability.rows.len() * 99 / 100, "only {clear} rows could be compared");
}

#[test]
fn envelopes_are_the_extremes_of_the_last_epochs() {
    let (history, envelope) = (history(&smoke().1), table("envelope.csv"));
    let [replicas, weight_count, windows] = ["replica", "weight", "window"].map(|column| envelope.counts(column));
    let [low, high, held, settling] =
        ["minimum", "maximum", "smallest_magnitude", "settling_tolerance"].map(|column| envelope.numbers(column));
    for index in 0..envelope.rows.len() {
        let last: Vec<f64> = (EPOCHS - windows[index]..EPOCHS)
            .map(|epoch| f64::from(history[[epoch, replicas[index], weight_count[index]]]))
            .collect();
        let (minimum, maximum) = last.iter().fold((f64::MAX, f64::MIN), |(low, high), &w| (low.min(w), high.max(w)));
        let smallest = last.iter().fold(f64::MAX, |least, weight| least.min(weight.abs()));
        // The table has the fewest digits that tell 32-bit numbers apart.
        let same = |written: f64, exact: f64| written as f32 == exact as f32;
        assert!(same(low[index], minimum) && same(high[index], maximum) && same(held[index], smallest), "row {index}");
        let reference = last[last.len() - 1];
        let expected = (maximum - reference).max(reference - minimum) / reference.abs();
        assert!((settling[index] - expected).abs() <= 1e-12 * expected, "row {index}: {} {expected}", settling[index]);
    }
}

#[test]
fn each_threshold_of_magnitude_stability_keeps_the_weights_that_were_stable_for_so_long() {
    let (sweep, stability) = (of_focus(&table("sweep.csv")).only(&[("method", "stability")]), table("stability.csv"));
    assert_eq!(sweep.rows.len(), REPLICAS * EPOCHS * TOLERANCES.len());
    for replica in ["0", "1"] {
        for tolerance in TOLERANCES {
            let counted = stability.only(&[("replica", replica), ("tolerance", tolerance)]).counts("stability");
            let points = sweep.only(&[("replica", replica), ("tolerance", tolerance)]);
            assert_eq!(points.counts("threshold"), (1..=EPOCHS).collect::<Vec<_>>());
            for (threshold, nonzero) in points.counts("threshold").into_iter().zip(points.counts("nonzero_weights")) {
                let kept = counted.iter().filter(|&&count| count >= threshold).count();
                assert_eq!(nonzero, kept, "replica {replica}, tolerance {tolerance}, threshold {threshold}");
            }
        }
    }
}

/// How many of `weight_count` weights a share of `percent` is, halves away from zero, in whole numbers.
fn share(percent: usize, weight_count: usize) -> usize {
    (2 * percent * weight_count + 100) / 200
}

/// How many weights are zero in each row.
fn removed(rows: &Table, weight_count: usize) -> Vec<usize> {
    rows.counts("nonzero_weights").iter().map(|nonzero| weight_count - nonzero).collect()
}

#[test]
fn every_asked_sparsity_is_met_to_the_node() {
    let sweep = of_focus(&table("sweep.csv"));
    let grid: Vec<usize> = (0..=100).step_by(5).map(|percent| share(percent, WEIGHT_COUNTS)).collect();
    for replica in ["0", "1"] {
        for (method, rule) in
            [("settle", "frozen-first"), ("settle", "frozen-kept"), ("hold", "frozen-first"), ("hold", "frozen-kept")]
        {
            for window in WINDOWS {
                let window = window.to_string();
                let rows = sweep.only(&[("method", method), ("rule", rule), ("replica", replica), ("window", &window)]);
                assert_eq!(removed(&rows, WEIGHT_COUNTS), grid, "{method} {rule} {window}");
            }
        }
        // The controls stand on the same grid, and beside every threshold of magnitude stability.
        let ms = removed(&sweep.only(&[("method", "stability"), ("replica", replica)]), WEIGHT_COUNTS);
        let matched: BTreeSet<usize> = grid.iter().copied().chain(ms).collect();
        for method in ["magnitude", "magnitude-frozen-first", "random"] {
            let found = removed(&sweep.only(&[("method", method), ("replica", replica)]), WEIGHT_COUNTS);
            assert_eq!(found, matched.iter().copied().collect::<Vec<_>>(), "{method}");
        }
        for method in ["decay-sequential", "decay-batched"] {
            let rows = sweep.only(&[("method", method), ("replica", replica), ("epochs", "2")]);
            assert_eq!(removed(&rows, WEIGHT_COUNTS), [0, 225, 450, 675, 900], "{method}");
        }
        for (epochs, count) in [("6", 1), ("2", 1)] {
            let dense = sweep.only(&[("method", "dense"), ("replica", replica), ("epochs", epochs)]);
            assert_eq!(removed(&dense, WEIGHT_COUNTS), vec![0; count], "dense after {epochs} epochs");
        }
    }
    for (sparsity, nonzero) in sweep.numbers("sparsity").iter().zip(sweep.counts("nonzero_weights")) {
        assert!(
            (sparsity - (WEIGHT_COUNTS - nonzero) as f64 / WEIGHT_COUNTS as f64).abs() < 1e-12,
            "{sparsity} {nonzero}"
        );
    }
}

#[test]
fn removing_nothing_changes_nothing_and_ed_is_the_same_in_both_ways() {
    let sweep = of_focus(&table("sweep.csv"));
    for replica in ["0", "1"] {
        let of = |conditions: &[(&str, &str)]| sweep.only(&[&[("replica", replica)], conditions].concat());
        let dense = of(&[("method", "dense"), ("epochs", "6")]);
        let untouched = of(&[("nonzero_weights", "900"), ("epochs", "6")]);
        // Dense, three tolerances, four windows under four rules, and three controls.
        assert!(untouched.rows.len() >= 1 + 3 + 4 * 4 + 3, "{}", untouched.rows.len());
        assert!(untouched.column("accuracy").iter().all(|accuracy| *accuracy == dense.column("accuracy")[0]));
        // A sweep adds up the images in another order than an evaluation of whole networks.
        let loss = dense.numbers("loss")[0];
        assert!(untouched.numbers("loss").iter().all(|other| (other - loss).abs() < 1e-12 * loss));

        let [one_by_one, at_once] = ["decay-sequential", "decay-batched"].map(|method| of(&[("method", method)]));
        let dense = of(&[("method", "dense"), ("epochs", "2")]);
        for column in ["accuracy", "loss"] {
            assert_eq!(one_by_one.column(column), at_once.column(column), "{column}");
            assert_eq!(one_by_one.column(column)[0], dense.column(column)[0], "{column}");
        }
    }
}

#[test]
fn the_verdict_is_on_standard_output_in_at_most_twenty_lines_and_all_else_on_standard_error() {
    let (ended, folder) = smoke();
    for part in [
        "mnist · dnn 784-30x6-10 · 2 networks · 6 epochs · ",
        "Test accuracy in %: one layer by the share removed",
        "holding surgeon",
        "exponential decay, retrained",
        "magnitude stability (Riedel & Segev)",
        "the whole network by times smaller",
        "over one-shot (95 %)",
        "One point by retraining costs as much as",
        "--full prints every table",
        text(folder),
    ] {
        let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ended.stdout.contains(part) || flat.contains(part), "{part} is not in\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("device: ") && ended.stderr.contains("device: CPU engine"), "{}", ended.stderr);
    // The network's, then an empty line and where the files are.
    let verdict = ended.stdout.split("\n\n").next().unwrap();
    assert!((15..=20).contains(&(verdict.lines().count() + 1)), "{}", ended.stdout);
    let line = "compare --preset smoke --device cpu --quiet --full --out";
    let full = holdfast(line, &[text(folder)]).succeeded().prints(&[
        "mnist · dnn · 2 replicas · 6 epochs (exponential decay: 2)",
        "time per point",
        "decay-sequential density",
        "The gain comes from not retraining",
        "Before pruning: ",
        "theoretical speed-up",
    ]);
    let verdict = ended.stdout.split("\nFiles are in").next().unwrap();
    assert!(full.stdout.starts_with(verdict), "the verdict comes first in both\n{}", full.stdout);
    for line in ended.stdout.lines().chain(full.stdout.lines()).filter(|line| !line.contains(text(folder))) {
        assert!(line.chars().count() <= 120, "wider than a terminal: {line}");
    }
}

#[test]
fn a_network_is_chosen_by_training_images_and_its_command_makes_it() {
    let (ended, folder) = smoke();
    let sweep = table("sweep.csv").only(&[("layers", "all"), ("method", "hold-surgeon")]);
    let agreement = sweep.numbers("agreement");
    assert!(agreement.iter().all(|share| (0.0..=1.0).contains(share)), "{agreement:?}");
    // The more goes, the less is as before: the first size agrees most.
    let sizes = agreement.len() / REPLICAS;
    assert!(agreement.chunks(sizes).all(|own| own[0] > own[sizes - 1]), "{agreement:?}");
    let others = table("sweep.csv").only(&[("method", "magnitude")]).column("agreement").join("");
    assert_eq!(others, "", "what was not looked at is empty");
    let json = holdfast("compare --preset smoke --device cpu --quiet --json --out", &[text(folder)]).succeeded().json();
    let chosen = &json["cells"][0]["verdict"]["chosen"];
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    if chosen["agreement"].as_f64().unwrap() < 0.99 {
        assert!(said.contains("No size is chosen for you"), "{said}");
        return;
    }
    let command = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("holdfast prune ")).unwrap();
    let pruned = fresh_folder("chosen");
    let words: Vec<&str> = command.split(' ').chain(["--device", "cpu", "--quiet", "--out", text(&pruned)]).collect();
    holdfast("prune", &words).succeeded();
}

#[test]
fn the_manifest_says_what_was_run_on_what() {
    let (_, folder) = smoke();
    let manifest = manifest(folder);
    assert_eq!(manifest["command"], "compare");
    assert_eq!(manifest["configuration"]["epochs"], EPOCHS);
    assert_eq!(manifest["seeds"], serde_json::json!([1]));
    assert_eq!(manifest["device"]["kind"], "CPU engine");
    assert!(manifest["finished"].is_string());
    let hashes = manifest["weight_hashes"].as_object().unwrap();
    assert_eq!(hashes.keys().filter(|name| name.contains("focus layer, epoch")).count(), EPOCHS);
    let checksum = |value: &serde_json::Value| value.as_str().is_some_and(|text| text.len() == 64);
    assert!(hashes.values().all(checksum), "{hashes:?}");
    assert!(manifest["data_checksums"].as_object().unwrap().values().all(checksum));
}

#[test]
fn a_small_run_speaks_json_and_keeps_quiet() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let ended = holdfast(
        "compare --preset smoke --device cpu --width 7 --depth 2 --epochs 2 --ed-epochs 1 --training-images 320 \
         --ed-targets 0,50% --json --quiet --data",
        &[&argument, "--out", text(out.path())],
    )
    .succeeded();
    assert_eq!(ended.stderr, "");
    let json = ended.json();
    assert_eq!(json["folder"], text(out.path()));
    assert_eq!(json["configuration_hash"], manifest(out.path())["configuration_hash"]);
    let cell = &json["cells"][0];
    let ledger = cell["ledger"].as_array().unwrap();
    let cut = ledger.iter().filter(|line| line["row"]["layers"] == "focus" && line["row"]["repair"] == "cut");
    assert_eq!(cut.count(), 12);
    assert_eq!(cell["workload"]["training_images"], digits::TRAINING);
    let timed = cell["inference"].as_array().unwrap().iter();
    assert_eq!(timed.filter(|row| row["layers"] == "focus").count(), 6);
    assert_eq!(cell["inference"][0]["images"], digits::TEST);
    // 49 weights are divided by no sparsity of the grid: 50 % is 24.5, and halves are rounded away from zero.
    let sweep = of_focus(&Table::read(&out.path().join("sweep.csv")));
    let rows = sweep.only(&[("method", "hold"), ("rule", "frozen-first"), ("replica", "1"), ("window", "1")]);
    let grid: Vec<usize> = (0..=100).step_by(5).map(|percent| share(percent, 49)).collect();
    assert_eq!(removed(&rows, 49), grid);
    assert_eq!(grid[10], 25);
    assert_eq!(removed(&sweep.only(&[("method", "decay-batched"), ("replica", "0")]), 49), [0, 25]);
}

#[test]
fn several_data_sets_have_folders_of_their_own_and_joint_files_at_the_top() {
    let out = tempfile::tempdir().unwrap();
    holdfast(
        "compare --preset smoke --device cpu --data pr,ct --replicates 1 --training-images 100 --epochs 2 --ed-epochs 1 \
         --ed-targets 0,90% --width 8 --depth 2 --out",
        &[text(out.path())],
    )
    .succeeded().prints(&["pr · dnn", "ct · dnn"]);
    let top = |name: &str| out.path().join(name);
    for cell in ["dnn-pr", "dnn-ct"] {
        for name in ["metrics.csv", "history.npz", "weights.safetensors", "figures/figure4.svg"] {
            let name = format!("cells/{cell}/{name}");
            assert!(top(&name).is_file(), "{name}");
        }
        for name in [format!("figures/figure4-{cell}.svg"), format!("figures/figure4-{cell}.png")] {
            assert!(top(&name).is_file(), "{name}");
        }
    }
    for name in ["sweep.csv", "ledger.csv", "inference.csv"] {
        let [together, pr, ct] =
            ["", "cells/dnn-pr/", "cells/dnn-ct/"].map(|folder| Table::read(&top(&format!("{folder}{name}"))));
        assert_eq!(together.columns, pr.columns);
        assert!(!pr.rows.is_empty() && together.rows == [pr.rows, ct.rows].concat(), "{name}");
    }
    let page = fs::read_to_string(top("report.html")).unwrap();
    assert!(page.contains("pr · dnn") && page.contains("ct · dnn"));
    assert!(!top("metrics.csv").exists(), "the metrics of which data set?");
}
