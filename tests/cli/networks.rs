//! The convolutional network goes through every command that the fully connected one goes through.

use crate::program::{Table, fresh_folder, history, holdfast, manifest, text, weights};
use std::collections::BTreeSet;
use std::path::Path;

const SIZES: &str = "--preset smoke --replicates 2 --epochs 4 --ed-targets 0,50% --cnn-training-images 128 \
                     --training-images 200 --filters 3 --side 12";

#[test]
fn both_networks_are_compared_side_by_side() {
    let folder = fresh_folder("both");
    holdfast(&format!("compare {SIZES} --model both --device cpu --out"), &[text(&folder)])
        .succeeded()
        .prints(&["mnist \u{b7} dnn", "mnist \u{b7} cnn"]);
    let sweep = Table::read(&folder.join("sweep.csv"));
    let ledger = Table::read(&folder.join("ledger.csv"));
    for model in ["dnn", "cnn"] {
        let cell = folder.join(format!("cells/{model}-mnist"));
        for file in
            ["metrics.csv", "history.npz", "weights.safetensors", "stability.csv", "envelope.csv", "inference.csv"]
        {
            assert!(cell.join(file).is_file(), "{model}: {file}");
        }
        assert!(folder.join(format!("figures/figure4-{model}-mnist.png")).is_file());
        let of_model = |table: &Table| table.column("model").iter().filter(|name| **name == model).count();
        assert_eq!(of_model(&sweep), Table::read(&cell.join("sweep.csv")).column("model").len());
        assert_eq!(of_model(&ledger), Table::read(&cell.join("ledger.csv")).column("model").len());
        assert_eq!(history(&cell).shape(), [4, 2, 900]);
    }
    let checksums = manifest(&folder)["data_checksums"].clone();
    assert!(checksums["dnn on mnist, training"] != checksums["cnn on mnist, training"], "{checksums}");
    let cell = folder.join("cells/cnn-mnist");
    assert_eq!(weights(&cell, "conv1.weight").0, [2, 3, 3, 3, 3]);
    assert_eq!(weights(&cell, "dense0.weight").0, [2, 3, 30]);
}

#[test]
fn a_recorded_convolutional_run_is_counted_and_pruned() {
    let (run, pruned) = (fresh_folder("cnn-run"), fresh_folder("cnn-pruned"));
    holdfast(&format!("train {SIZES} --model cnn --device cpu --out"), &[text(&run)]).succeeded();
    let arguments = ["--criterion", "hold", "--window", "2", "--sparsity", "0.6", "--device", "cpu", "--out"];
    holdfast("prune", &[&[text(&run)][..], &arguments, &[text(&pruned)]].concat()).succeeded().prints(&["60"]);
    for name in ["conv0.weight", "conv3.bias", "dense0.weight", "dense6.bias"] {
        assert_eq!(weights(&run, name), weights(&pruned, name), "{name}");
    }
    let (shape, bytes) = weights(&pruned, "dense5.weight");
    assert_eq!(shape, [2, 30, 30]);
    assert_eq!(bytes.chunks_exact(4).filter(|value| *value == [0; 4]).count(), 2 * 540);
}

#[test]
fn a_network_whose_layers_narrow_goes_through_every_command() {
    let (run, pruned) = (fresh_folder("funnel-run"), fresh_folder("funnel-pruned"));
    let sizes =
        "--preset smoke --model dnn --replicates 2 --epochs 4 --ed-targets 0,50% --training-images 200 --side 12";
    holdfast(&format!("compare {sizes} --hidden 12,9,7 --device cpu --out"), &[text(&run)]).succeeded();
    assert_eq!(history(&run).shape(), [4, 2, 63]);
    assert_eq!(weights(&run, "dense2.weight").0, [2, 9, 7]);
    assert_eq!(weights(&run, "dense3.weight").0, [2, 7, 10]);
    let stability = Table::read(&run.join("stability.csv"));
    let last = |column: &str| stability.column(column).last().unwrap().to_string();
    assert_eq!([last("in"), last("out"), last("weight")], ["8", "6", "62"]);
    let arguments = ["--criterion", "magnitude", "--sparsity", "0.5", "--device", "cpu", "--out"];
    holdfast("prune", &[&[text(&run)][..], &arguments, &[text(&pruned)]].concat()).succeeded();
    let counted = fresh_folder("funnel-counted");
    holdfast("stability --device cpu", &[text(&run), "--out", text(&counted)])
        .succeeded()
        .prints(&["63 weights (9 x 7)"]);
    holdfast("report", &[text(&run)]).succeeded();
}

#[test]
fn a_network_without_biases_has_none_in_its_files_and_is_pruned_like_any_other() {
    let (run, pruned) = (fresh_folder("no-bias-run"), fresh_folder("no-bias-pruned"));
    holdfast(&format!("train {SIZES} --model cnn --no-bias --device cpu --out"), &[text(&run)]).succeeded();
    assert_eq!(manifest(&run)["configuration"]["no-bias"], true);
    let names = |folder: &Path, file: &str| {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        tensors.names().into_iter().map(str::to_string).collect::<BTreeSet<_>>()
    };
    let layers = (0..4).map(|layer| format!("conv{layer}.weight"));
    let expected: BTreeSet<String> = layers.chain((0..7).map(|layer| format!("dense{layer}.weight"))).collect();
    assert_eq!(names(&run, "weights.safetensors"), expected);
    let arguments = ["--criterion", "magnitude", "--sparsity", "0.6", "--device", "cpu", "--out"];
    holdfast("prune", &[&[text(&run)][..], &arguments, &[text(&pruned)]].concat()).succeeded().prints(&["60"]);
    assert_eq!(names(&pruned, "weights.safetensors"), expected);
}
