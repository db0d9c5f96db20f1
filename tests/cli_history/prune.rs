//! `holdfast prune`: what is removed, what is written, and what is said to be lost.

use crate::arrays::{self, SHAPE, bytes, bytes as bytes_of, npz, plain, values, write};
use crate::{Table, column, holdfast};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use safetensors::{Dtype, SafeTensors};
use std::fs::{self, File};
use std::path::Path;
use tempfile::{TempDir, tempdir};
use zip::CompressionMethod;

/// The weights of the last epoch `[replica, weight_index]`.
fn last() -> Vec<f32> {
    values()[18..].to_vec()
}

/// A folder with a history and its last weights.
fn foreign() -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), "history.npy", &plain());
    let weights = arrays::npy(&arrays::header("<f4", false, &SHAPE[1..]), &bytes(&last()));
    let other = arrays::npy(&arrays::header("<f4", false, &[1]), &[0; 4]);
    write(
        folder.path(),
        "weights.npz",
        &npz(&[("bias.npy", &other), ("kernel.npy", &weights)], CompressionMethod::Stored),
    );
    folder
}

const FOREIGN: &str = "prune --axes epoch,replica,weight --history history.npy --weights weights.npz --weight-key kernel \
                       --device cpu --out out";

fn array<T: ndarray_npy::ReadableElement>(path: &Path, name: &str) -> ArrayD<T> {
    NpzReader::new(File::open(path).unwrap()).unwrap().by_name::<ndarray::OwnedRepr<T>, IxDyn>(name).unwrap()
}

#[test]
fn foreign_weights_are_pruned_and_written_with_their_mask_in_both_formats() {
    let folder = foreign();
    holdfast(folder.path(), &format!("{FOREIGN} --criterion magnitude --sparsity 0.34"), &[])
        .succeeded()
        .prints(&["replica 1: 1 of 3 weights removed (33.3 %)"]);
    let out = folder.path().join("out");
    let weights: ArrayD<f32> = array(&out.join("weights.npz"), "kernel");
    let mask: ArrayD<u8> = array(&out.join("mask.npz"), "kernel");
    // Magnitudes 0.5 0.25 1.0 and 0.5 1.5 2.0: the smallest of each replica goes.
    assert_eq!((weights.shape(), mask.shape()), (&SHAPE[1..], &SHAPE[1..]));
    assert_eq!(mask.as_slice().unwrap(), [1, 0, 1, 0, 1, 1]);
    assert_eq!(weights.as_slice().unwrap(), [0.5, 0.0, 1.0, 0.0, 1.5, -2.0]);
    let bytes = fs::read(out.join("mask.safetensors")).unwrap();
    let masks = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(masks.tensor("kernel").unwrap().dtype(), Dtype::U8);
    assert_eq!(masks.tensor("kernel").unwrap().data(), [1, 0, 1, 0, 1, 1]);
    let bytes = fs::read(out.join("weights.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("bias").unwrap().data(), [0; 4]);
    assert_eq!(tensors.tensor("kernel").unwrap().data(), arrays::bytes(weights.as_slice().unwrap()));
    assert_eq!(Table::read(&out.join("pruning.csv")).counts("removed_weights"), [1, 1]);
    assert_eq!(column(&out.join("pruning.csv"), "accuracy_after"), ["", ""], "no data were given");
}

#[test]
fn a_threshold_of_stability_removes_the_weights_below_it() {
    let folder = foreign();
    for (threshold, removed) in [(1, "0"), (2, "0"), (3, "3")] {
        let line = format!("{FOREIGN}{threshold} --tolerance 0.03 --min-stability {threshold}");
        holdfast(folder.path(), &line, &[]).succeeded();
        let table = folder.path().join(format!("out{threshold}/pruning.csv"));
        assert_eq!(column(&table, "removed_weights"), [removed, removed], "threshold {threshold}");
    }
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let folder = foreign();
    let turned = arrays::npy(&arrays::header("<f4", false, &[3, 2]), &bytes(&last()));
    write(folder.path(), "turned.npy", &turned);
    for (line, words) in [
        ("", &["what to prune by is missing"][..]),
        ("--min-stability 2", &["--tolerance"]),
        ("--tolerance 0.03 --min-stability 5", &["--min-stability 5", "4 epochs"]),
        ("--tolerance 0.03 --min-stability 0", &["--min-stability 0"]),
        ("--tolerance -1 --min-stability 2", &["-1"]),
        ("--criterion hold", &["--sparsity"]),
        ("--criterion hold --sparsity 80", &["--sparsity", "80%", "0.8"]),
        ("--criterion hold --sparsity 0.5,1.5", &["--sparsity", "1.5%", "0.015"]),
        ("--criterion hold --sparsity 0.5,50%", &["--sparsity", "0.5", "twice"]),
        ("--criterion hold --smaller 0.5", &["0.5", "e.g. 4"]),
        ("--criterion hold --smaller 2,nan", &["NaN", "e.g. 4"]),
        ("--criterion hold --sparsity 0.5 --smaller 2", &["--smaller", "--sparsity"]),
        ("--min-stability 2 --tolerance 0.1 --scope global", &["--scope", "leave it out"]),
        ("--criterion settle --scope lamp --sparsity 0.5", &["lamp", "global"]),
        ("--criterion hold --sparsity 0.5 --layers kernel", &["--layers", "--weight-key"]),
        ("--criterion hold --sparsity -0.1", &["--sparsity", "-0.1"]),
        ("--criterion hold --sparsity 0.5 --window 5", &["window 5"]),
        ("--criterion hold --sparsity 0.5 --tolerance 0.1", &["--tolerance", "leave it out"]),
        ("--criterion hold --sparsity 0.5 --tracking rank", &["--tracking"]),
        ("--criterion magnitude --sparsity 0.5 --window 2", &["--window"]),
        ("--criterion magnitude --sparsity 0.5 --keep-frozen", &["--keep-frozen"]),
        ("--criterion ms --tolerance 0.1 --min-stability 1 --sparsity 0.5", &["--sparsity"]),
    ] {
        holdfast(folder.path(), &format!("{FOREIGN} {line}"), &[]).refused(2, words);
    }
    // The axis of replicas is then one of the weights', and fits as such.
    let whole = FOREIGN.replace("--axes epoch,replica,weight", "--no-replica-axis");
    holdfast(folder.path(), &format!("{whole} --criterion magnitude --sparsity 0.5"), &[]).succeeded();
    let criterion = "--criterion magnitude --sparsity 0.5 --device cpu --out other";
    let history = "--axes epoch,replica,weight --history history.npy";
    for (code, line, words) in [
        (5, &format!("{history} --weights weights.npz"), &["bias, kernel", "--weight-key"][..]),
        (5, &format!("{history} --weights weights.npz --weight-key bias"), &["[1]"]),
        (5, &"--history history.npy --weights turned.npy --no-replica-axis".to_string(), &["transposed", "[3, 2]"]),
        (5, &"nowhere".to_string(), &["nowhere", "history.npz"]),
    ] {
        holdfast(folder.path(), &format!("prune {line} {criterion}"), &[]).refused(code, words);
    }
    for line in ["prune", "prune --history history.npy", "prune run --history history.npy --weights weights.npz"] {
        assert_eq!(holdfast(folder.path(), line, &[]).code, Some(2), "{line}");
    }
}

#[test]
fn weights_that_are_not_the_historys_last_get_a_notice() {
    let folder = foreign();
    let mut weights = last();
    weights[0] = 7.0;
    write(folder.path(), "w.npy", &arrays::npy(&arrays::header("<f4", false, &SHAPE[1..]), &bytes(&weights)));
    let line = "prune --axes epoch,replica,weight --history history.npy --weights w.npy --criterion magnitude --sparsity 0 \
                --device cpu --out out";
    holdfast(folder.path(), line, &[]).succeeded().says(&["not those of the history's last epoch, nor of another"]);
    let written: ArrayD<f32> = array(&folder.path().join("out/weights.npz"), "weights");
    assert_eq!(written.as_slice().unwrap(), weights);
}

/// A history of 3 epochs of one square layer, `[epoch, out, in]`: weight w of epoch e is e + w / 16, not symmetrical.
fn square(epoch: usize) -> Vec<f32> {
    (0..9).map(|weight| epoch as f32 + (weight + 1) as f32 / 16.0).collect()
}

/// A folder with the history of a square layer, and what prunes it by weights `w`.
fn square_layer() -> (TempDir, &'static str) {
    let folder = tempdir().unwrap();
    let all: Vec<f32> = (0..3).flat_map(square).collect();
    write(folder.path(), "h.npy", &arrays::npy(&arrays::header("<f4", false, &[3, 3, 3]), &bytes(&all)));
    (
        folder,
        "prune --history h.npy --axes epoch,out,in --weights w --criterion magnitude --sparsity 0.5 --device cpu --out out",
    )
}

#[test]
fn weights_are_known_as_the_last_epoch_in_any_format_and_other_ones_are_told() {
    let (folder, line) = square_layer();
    let array = |descr: &str, shape: &[usize], data: Vec<u8>| arrays::npy(&arrays::header(descr, false, shape), &data);
    let last = square(2);
    let turned: Vec<f32> = (0..9).map(|weight| last[weight % 3 * 3 + weight / 3]).collect();
    let scaled: Vec<f32> = last.iter().map(|weight| weight / 3.0).collect();
    let mut masked = last.clone();
    masked[4] = 0.0;
    let f16 = last.iter().flat_map(|&weight| half::f16::from_f32(weight).to_le_bytes()).collect();
    let f64 = last.iter().flat_map(|&weight| f64::from(weight).to_le_bytes()).collect();
    for (weights, code, words) in [
        (array("<f4", &[3, 3], bytes(&last)), 0, None),
        (array("<f2", &[3, 3], f16), 0, None),
        (array("<f8", &[3, 3], f64), 0, None),
        (array("<f4", &[9], bytes(&last)), 0, Some("[9]")),
        (array("<f4", &[3, 3], bytes(&square(1))), 0, Some("epoch 1 (of 0 to 2)")),
        (array("<f4", &[3, 3], bytes(&masked)), 0, Some("1 weights are 0")),
        (array("<f4", &[3, 3], bytes(&scaled)), 0, Some("nor of another")),
        (array("<f4", &[3, 3], bytes(&turned)), 5, Some("transposed")),
        (array("<f4", &[9], bytes(&turned)), 5, Some("transposed")),
        (array("<f4", &[9], bytes(&scaled)), 5, Some("[9]")),
        (array("<f4", &[3, 3], bytes(&[f32::NAN; 9])), 5, Some("NaN")),
    ] {
        write(folder.path(), "w", &weights);
        let ended = holdfast(folder.path(), line, &[]);
        assert_eq!(ended.code, Some(code), "{words:?}: {}", ended.stderr);
        match words {
            Some(words) => assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr),
            None => assert!(!ended.stderr.contains("the weights"), "{}", ended.stderr),
        }
        let _ = fs::remove_dir_all(folder.path().join("out"));
    }
}

#[test]
fn layers_that_pytorch_has_pruned_are_put_together() {
    let (folder, line) = square_layer();
    let tensor =
        |start: usize| format!("{{\"dtype\":\"F32\",\"shape\":[3,3],\"data_offsets\":[{start},{}]}}", start + 36);
    let header = format!("{{\"2.weight_mask\":{},\"2.weight_orig\":{}}}", tensor(0), tensor(36));
    let mut mask = [1.0f32; 9];
    mask[8] = 0.0;
    let data = [bytes(&mask), bytes(&square(2))].concat();
    write(folder.path(), "w", &arrays::safetensors(&header, &data));
    for key in ["--weight-key 2.weight", ""] {
        holdfast(folder.path(), &format!("{line} {key}"), &[]).succeeded().says(&["2.weight_orig times 2.weight_mask"]);
        let bytes = fs::read(folder.path().join("out/weights.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.names(), ["2.weight"]);
        let pruned = tensors.tensor("2.weight").unwrap();
        assert_eq!(pruned.data()[28..], bytes_of(&[square(2)[7], 0.0]));
        fs::remove_dir_all(folder.path().join("out")).unwrap();
    }
    holdfast(folder.path(), &format!("{line} --weight-key 2.weight_orig"), &[]).succeeded().says(&["2.weight_mask"]);
    holdfast(folder.path(), &format!("{line} --weight-key 3.weight"), &[])
        .refused(5, &["2.weight_orig", "--weight-key"]);
    mask[0] = 0.5;
    write(folder.path(), "w", &arrays::safetensors(&header, &[bytes(&mask), bytes(&square(2))].concat()));
    holdfast(folder.path(), &format!("{line} --weight-key 2.weight"), &[]).refused(5, &["2.weight_mask", "[3, 3]"]);
}

/// A run of `compare`, and what `prune` makes of it, must agree to the last image.
#[test]
fn a_pruned_run_has_the_accuracy_that_compare_found() {
    let folder = tempdir().unwrap();
    holdfast(
        folder.path(),
        "compare --preset smoke --device cpu --quiet --out run --epochs 4 --training-images 500",
        &[],
    )
    .succeeded();
    let sweep = Table::read(&folder.path().join("run/sweep.csv"));
    let whole = sweep.only(&[("layers", "all"), ("repair", "cut"), ("method", "hold"), ("window", "2")]);
    let sweep = sweep.only(&[("layers", "focus"), ("repair", "cut")]);
    let accuracy = |conditions: &[(&str, &str)]| sweep.only(conditions).numbers("accuracy");
    let dense = accuracy(&[("method", "dense"), ("rule", ""), ("epochs", "4")]);
    assert_eq!(dense.len(), 2);
    for (index, (line, expected)) in [
        (
            "--criterion hold --window 2 --sparsity 80%",
            accuracy(&[("method", "hold"), ("rule", "frozen-first"), ("window", "2"), ("sparsity", "0.8")]),
        ),
        (
            "--criterion settle --sparsity 0.5 --keep-frozen",
            accuracy(&[("method", "settle"), ("rule", "frozen-kept"), ("window", "2"), ("sparsity", "0.5")]),
        ),
        ("--criterion magnitude --sparsity 0.75", accuracy(&[("method", "magnitude"), ("sparsity", "0.75")])),
        (
            "--tolerance 0.03 --min-stability 3",
            accuracy(&[("method", "stability"), ("tolerance", "0.03"), ("threshold", "3")]),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("out{index}");
        let ended =
            holdfast(folder.path(), &format!("prune run {line} --device cpu --json --out {out}"), &[]).succeeded();
        let found = ended.json();
        for replica in 0..2 {
            assert_eq!(found["replicas"][replica]["accuracy_before"], dense[replica], "{line}");
            assert_eq!(found["replicas"][replica]["accuracy_after"], expected[replica], "{line}");
        }
        let [weights, masks] = ["weights", "mask"]
            .map(|name| fs::read(folder.path().join(&out).join(format!("{name}.safetensors"))).unwrap());
        let (weights, masks) = (SafeTensors::deserialize(&weights).unwrap(), SafeTensors::deserialize(&masks).unwrap());
        let (mask, focus) = (masks.tensor("dense5.weight").unwrap(), weights.tensor("dense5.weight").unwrap());
        assert_eq!((mask.shape(), focus.shape()), (&[2, 30, 30][..], &[2, 30, 30][..]));
        let pairs = focus.data().chunks(4).zip(mask.data());
        let zeros = pairs.filter(|&(weight, &kept)| kept == 0 && weight == [0; 4]).count();
        let removed: u64 = (0..2).map(|replica| found["replicas"][replica]["removed_weights"].as_u64().unwrap()).sum();
        assert_eq!(zeros as u64, removed, "{line}");
        assert_eq!(weights.tensor("dense6.bias").unwrap().shape(), [2, 10]);
    }
    // The whole network: its weights are counted together.
    let line = "prune run --criterion hold --smaller 2,4 --device cpu --json --out whole";
    let found = holdfast(folder.path(), line, &[]).succeeded().json();
    for (point, smaller) in [2u64, 4].into_iter().enumerate() {
        let [first, _] = [0, 1].map(|replica| &found["points"][point]["replicas"][replica]);
        let weights = 784 * 30 + 5 * 900 + 300;
        assert_eq!(first["removed_weights"], weights - (weights as f64 / smaller as f64).round() as u64);
        assert_eq!(first["accuracy_before"], dense[0]);
        // What the comparison found of the same network, where it looked at that size.
        let removed = first["removed_weights"].as_u64().unwrap();
        let kept = (weights - removed).to_string();
        let same = whole.only(&[("rule", "frozen-first"), ("nonzero_weights", &kept), ("replica", "0")]);
        assert!(same.numbers("accuracy").iter().all(|&accuracy| first["accuracy_after"] == accuracy), "{smaller}");
        assert_eq!(first["layers"].as_array().unwrap().len(), 7);
        assert!(folder.path().join(format!("whole/smaller-{smaller}/weights.safetensors")).is_file());
    }
    // The run's own files, named one by one, are the same networks: their biases are no weights.
    let line = "prune --history run/history.npz --weights run/weights.safetensors --criterion hold --smaller 4 --device cpu --out f";
    holdfast(folder.path(), line, &[]).succeeded().prints(&["replica 1: 21240 of 28320 weights removed"]);
    let read = |path: &str| fs::read(folder.path().join(path)).unwrap();
    // Of a run the file also says which network its tensors are of.
    let [of_files, of_run] = ["f", "whole/smaller-4"].map(|folder| read(&format!("{folder}/weights.safetensors")));
    let tensors = |bytes: &'_ [u8]| -> Vec<(String, Vec<u8>)> {
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let mut tensors: Vec<_> =
            tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
        tensors.sort();
        tensors
    };
    assert!(tensors(&of_files) == tensors(&of_run));
    // A layer cut by the general path classifies as the special one does.
    let line = "prune run --criterion magnitude --layers dense5,dense6 --scope layer --sparsity 0 --device cpu --json --out none";
    let found = holdfast(folder.path(), line, &[]).succeeded().json();
    assert_eq!(found["replicas"][1]["accuracy_after"], dense[1]);
    for (line, words) in [
        ("--criterion hold --sparsity 0.5 --layers dense9", &["dense9", "dense0"][..]),
        ("--criterion hold --sparsity 0.5 --layers conv", &["no convolutions", "dense0"]),
        ("--criterion hold --layers focus --smaller 2", &["--smaller 2", "900", "--layers all"]),
    ] {
        holdfast(folder.path(), &format!("prune run {line} --device cpu"), &[]).refused(2, words);
    }
    // A run that recorded one layer knows no history of the others.
    let line = "train --preset smoke --device cpu --quiet --out one --epochs 1 --training-images 50 --layers focus";
    holdfast(folder.path(), line, &[]).succeeded();
    let line = "prune one --criterion hold --sparsity 0.5 --layers dense0 --device cpu";
    holdfast(folder.path(), line, &[]).refused(2, &["dense0.weight", "no history", "--criterion magnitude"]);
    // A history that this program wrote needs no names of axes, and a run takes none.
    holdfast(folder.path(), "stability run/history.npz --layers dense5 --device cpu --quiet --out own", &[])
        .succeeded()
        .prints(&["4 epochs x 2 replicas x 900 weights"]);
    fs::copy(folder.path().join("run/history.npz"), folder.path().join("history.npz")).unwrap();
    holdfast(folder.path(), "stability history.npz --layers dense5 --quiet", &[])
        .refused(2, &["--axes epoch,replica,out,in", "30 x 30"]);
    for option in ["--axes epoch,out,in", "--no-replica-axis", "--history-key history"] {
        holdfast(folder.path(), &format!("stability run {option}"), &[]).refused(2, &["run folder"]);
    }
    // The same history counted on its own gives the run's own table.
    holdfast(folder.path(), "stability run --device cpu --quiet --out counted", &[]).succeeded();
    assert_eq!(read("counted/stability.csv"), read("run/stability.csv"));
}
