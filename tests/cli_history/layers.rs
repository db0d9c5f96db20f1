//! Several tensors at once: which take part, how many weights each gives up, and everything else as it was.

use crate::arrays::{bytes, header, npy, npz, safetensors, write};
use crate::{Table, column, holdfast};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use safetensors::{Dtype, SafeTensors};
use std::fs::{self, File};
use std::path::Path;
use tempfile::{TempDir, tempdir};
use zip::CompressionMethod;

/// Last weights of three tensors `[2, 2]`, `[2, 3]`, `[3]`; magnitudes 1 to 10 of the first two.
const FC1: [f32; 4] = [1.0, -4.0, 5.0, 10.0];
const FC2: [f32; 6] = [-2.0, 3.0, 6.0, 7.0, -8.0, 9.0];
const NORM: [f32; 3] = [0.5, f32::NAN, -0.0];

/// A state dict of these in an order of its own, with a tensor of another type and an array of whole numbers.
fn state() -> Vec<u8> {
    let half: Vec<u8> = [0.25f32, 0.5].iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
    let tensors: [(&str, &str, &str, Vec<u8>); 5] = [
        ("fc2.weight", "F32", "[2,3]", bytes(&FC2)),
        ("bn.num_batches_tracked", "I64", "[]", 77i64.to_le_bytes().to_vec()),
        ("fc1.weight", "F32", "[2,2]", bytes(&FC1)),
        ("bn.weight", "F32", "[3]", bytes(&NORM)),
        ("half.weight", "F16", "[1,2]", half),
    ];
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, dtype, shape, values) in tensors {
        let start = data.len();
        data.extend(values);
        let offsets = format!("[{start},{}]", data.len());
        entries.push(format!("\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}"));
    }
    safetensors(&format!("{{{}}}", entries.join(",")), &data)
}

/// Three epochs of the first two tensors: the last weights, at epoch 1 halved but for the first, which let go of all.
fn epoch(last: &[f32], epoch: usize) -> Vec<f32> {
    let value = |(place, &weight): (usize, &f32)| match (epoch, place) {
        (2, _) => weight,
        (1, 0) => weight / 64.0,
        _ => weight / 2.0,
    };
    last.iter().enumerate().map(value).collect()
}

fn stacked(last: &[f32], shape: &[usize]) -> Vec<u8> {
    let all: Vec<f32> = (0..3).flat_map(|index| epoch(last, index)).collect();
    npy(&header("<f4", false, &[&[3], shape].concat()), &bytes(&all))
}

/// A folder with the weights `w`, and the history in three forms: `whole.npz`, `numbered.npz`, `epochs/`.
fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let path = folder.path();
    write(path, "w", &state());
    let stored = CompressionMethod::Stored;
    let whole: [(&str, &[u8]); 2] =
        [("fc1.weight.npy", &stacked(&FC1, &[2, 2])), ("fc2.weight.npy", &stacked(&FC2, &[2, 3]))];
    write(path, "whole.npz", &npz(&whole, stored));
    fs::create_dir(path.join("epochs")).unwrap();
    let mut all = Vec::new();
    for index in 0..3 {
        let one = |last: &[f32], shape: &[usize]| npy(&header("<f4", false, shape), &bytes(&epoch(last, index)));
        let (fc1, fc2) = (one(&FC1, &[2, 2]), one(&FC2, &[2, 3]));
        write(
            path,
            &format!("epochs/epoch_{index}.npz"),
            &npz(&[("fc1.weight.npy", &fc1), ("fc2.weight.npy", &fc2)], stored),
        );
        all.extend([(format!("epoch_{index}.fc1.weight.npy"), fc1), (format!("epoch_{index}.fc2.weight.npy"), fc2)]);
    }
    let all: Vec<(&str, &[u8])> = all.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    write(path, "numbered.npz", &npz(&all, stored));
    folder
}

/// Masks of the first two tensors in a folder of results.
fn masks(folder: &Path) -> [Vec<u8>; 2] {
    let bytes = fs::read(folder.join("mask.safetensors")).unwrap();
    let masks = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!((masks.len(), masks.tensor("fc2.weight").unwrap().shape()), (2, &[2, 3][..]));
    ["fc1.weight", "fc2.weight"].map(|name| masks.tensor(name).unwrap().data().to_vec())
}

#[test]
fn a_whole_state_dict_comes_out_with_every_bit_that_was_not_pruned() {
    let folder = folder();
    let line = "prune --weights w --criterion magnitude --layers fc1.weight,fc2.weight --sparsity 50%,0.8 --device cpu --out o";
    holdfast(folder.path(), line, &[]).succeeded().prints(&["sparsity 0.5", "fc1.weight: 3 of 4 (75.0 %)"]);
    // Of ten weights the five smallest, then the eight smallest.
    assert_eq!(masks(&folder.path().join("o/sparsity-0.5")), [vec![0, 0, 0, 1], vec![0, 0, 1, 1, 1, 1]]);
    assert_eq!(masks(&folder.path().join("o/sparsity-0.8")), [vec![0, 0, 0, 1], vec![0, 0, 0, 0, 0, 1]]);
    let written = fs::read(folder.path().join("o/sparsity-0.8/weights.safetensors")).unwrap();
    let given = state();
    let (written, given) = (SafeTensors::deserialize(&written).unwrap(), SafeTensors::deserialize(&given).unwrap());
    assert_eq!(written.len(), given.len());
    for (name, tensor) in given.tensors() {
        let found = written.tensor(&name).unwrap();
        assert_eq!((found.dtype(), found.shape()), (tensor.dtype(), tensor.shape()), "{name}");
        match name.as_str() {
            "fc1.weight" => assert_eq!(found.data(), bytes(&[0.0, 0.0, 0.0, 10.0])),
            "fc2.weight" => assert_eq!(found.data(), bytes(&[0.0, 0.0, 0.0, 0.0, 0.0, 9.0])),
            _ => assert_eq!(found.data(), tensor.data(), "{name}"),
        }
    }
    let table = Table::read(&folder.path().join("o/sparsity-0.8/pruning.csv"));
    assert_eq!(table.column("layer"), ["fc1.weight", "fc2.weight", "all"]);
    assert_eq!(table.counts("removed_weights"), [3, 5, 8]);
    assert_eq!(table.column("frozen_weights"), ["", "", ""], "no history tells");
}

#[test]
fn layers_scope_and_size_are_what_is_asked_for() {
    let folder = folder();
    let base = "prune --weights w --criterion magnitude --device cpu --out";
    for (index, (line, expected)) in [
        // Of twelve weights in three tensors half of the two named: each gives its half.
        ("--layers fc1,fc2 --scope layer --sparsity 0.5", [vec![0, 0, 1, 1], vec![0, 0, 0, 1, 1, 1]]),
        // Squares over what is as large or larger: .007 .11 .2 1 and .016 .038 .15 .25 .44 1.
        ("--layers fc1,fc2 --scope lamp --sparsity 0.3", [vec![0, 1, 1, 1], vec![0, 0, 1, 1, 1, 1]]),
        // A third of the network's twelve weights stays: eight of these ten go.
        ("--layers fc1,fc2 --smaller 3", [vec![0, 0, 0, 1], vec![0, 0, 0, 0, 0, 1]]),
    ]
    .into_iter()
    .enumerate()
    {
        holdfast(folder.path(), &format!("{base} o{index} {line}"), &[]).succeeded();
        assert_eq!(masks(&folder.path().join(format!("o{index}"))), expected, "{line}");
    }
    // Without --layers all tensors of two axes or more: the halves go first, but for the largest of them.
    let found = holdfast(folder.path(), &format!("{base} all --sparsity 0.25 --json"), &[]).succeeded().json();
    let removed: Vec<u64> =
        (0..3).map(|layer| found["replicas"][0]["layers"][layer]["removed_weights"].as_u64().unwrap()).collect();
    assert_eq!(removed, [1, 1, 1], "fc2, fc1 and half in the order of the file");
    let bytes = fs::read(folder.path().join("all/weights.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let half = tensors.tensor("half.weight").unwrap();
    assert_eq!((half.dtype(), half.data()), (Dtype::F16, &[0, 0, 0, 0x38][..]));
}

#[test]
fn histories_by_tensor_name_are_read_in_every_form() {
    let folder = folder();
    for (index, form) in ["whole.npz", "numbered.npz", "epochs"].into_iter().enumerate() {
        let line = format!(
            "prune --history {form} --weights w --criterion hold --window 2 --sparsity 0.3 --device cpu --out o{index}"
        );
        let said = ["fc1.weight: 3 epochs x 1 replica x 4 weights (2 x 2)", "not pruned: half.weight"];
        holdfast(folder.path(), &line, &[]).succeeded().says(&said);
        // Held over two epochs: 1/64 2 2.5 5 and 2/64 1.5 3 3.5 4 4.5.
        assert_eq!(
            masks(&folder.path().join(format!("o{index}"))),
            [vec![0, 1, 1, 1], vec![0, 0, 1, 1, 1, 1]],
            "{form}"
        );
        let table = format!("o{index}/pruning.csv");
        assert_eq!(column(&folder.path().join(table), "frozen_weights"), ["0", "0", "0"]);
        let line =
            format!("prune --history {form} --weights w --tolerance 0.1 --min-stability 2 --device cpu --out s{index}");
        holdfast(folder.path(), &line, &[]).succeeded();
        assert_eq!(masks(&folder.path().join(format!("s{index}"))), [vec![0; 4], vec![0; 6]], "nothing was stable");
    }
}

#[test]
fn what_does_not_fit_is_said_with_the_names_that_are_there() {
    let folder = folder();
    let path = folder.path();
    let one = |last: &[f32], shape: &[usize]| npy(&header("<f4", false, shape), &bytes(last));
    let stored = CompressionMethod::Stored;
    write(path, "one.npz", &npz(&[("fc1.weight.npy", &stacked(&FC1, &[2, 2]))], stored));
    let turned = stacked(&FC2, &[3, 2]);
    write(
        path,
        "turned.npz",
        &npz(&[("fc1.weight.npy", &stacked(&FC1, &[2, 2])), ("fc2.weight.npy", &turned)], stored),
    );
    let short = npy(&header("<f4", false, &[2, 2, 3]), &bytes(&[FC2, FC2].concat()));
    write(path, "short.npz", &npz(&[("fc1.weight.npy", &stacked(&FC1, &[2, 2])), ("fc2.weight.npy", &short)], stored));
    write(path, "others.npz", &npz(&[("a.npy", &stacked(&FC1, &[2, 2])), ("b.npy", &turned)], stored));
    fs::create_dir(path.join("lacks")).unwrap();
    write(
        path,
        "lacks/e_0.npz",
        &npz(&[("fc1.weight.npy", &one(&FC1, &[2, 2])), ("fc2.weight.npy", &one(&FC2, &[2, 3]))], stored),
    );
    write(path, "lacks/e_1.npz", &npz(&[("fc1.weight.npy", &one(&FC1, &[2, 2]))], stored));
    let magnitude = "--criterion magnitude --sparsity 0.5";
    for (code, line, words) in [
        (
            2,
            format!("--layers fc1.wieght {magnitude}"),
            &["no tensor fc1.wieght", "is fc1.weight meant?", "half.weight"][..],
        ),
        (2, format!("--layers fc1,fc1.weight {magnitude}"), &["fc1.weight twice"]),
        (2, "--criterion hold --sparsity 0.5".into(), &["history", "--criterion magnitude"]),
        (2, "--layers fc1 --criterion magnitude --smaller 4".into(), &["--smaller 4", "12 weights", "--layers all"]),
        (
            2,
            format!("--layers all --history whole.npz {magnitude}"),
            &["no tensor half.weight", "fc1.weight, fc2.weight"],
        ),
        (2, format!("--layers fc1,fc2 --history one.npz {magnitude}"), &["no tensor fc2.weight"]),
        (5, format!("--history turned.npz {magnitude}"), &["fc2.weight", "[3, 3, 2]", "[2, 3]", "numpy.stack"]),
        (5, format!("--history short.npz {magnitude}"), &["fc2.weight has 2 epochs", "fc1.weight has 3"]),
        (5, format!("--history others.npz {magnitude}"), &["no name is in both", "a, b"]),
        (5, format!("--history lacks {magnitude}"), &["e_1.npz", "no array fc2.weight"]),
        (2, format!("--layers  {magnitude}"), &["--layers"]),
    ] {
        holdfast(path, &format!("prune --weights w --device cpu {line}"), &[]).refused(code, words);
    }
    let empty = std::ffi::OsStr::new("--layers=");
    holdfast(path, &format!("prune --weights w {magnitude}"), &[empty]).refused(2, &["--layers names none"]);
}

#[test]
fn stability_counts_the_tensors_that_are_named_into_one_table() {
    let folder = folder();
    for (index, form) in ["whole.npz", "numbered.npz", "epochs"].into_iter().enumerate() {
        let line =
            format!("stability {form} --no-replica-axis --tolerance 0.1 --window 1,2 --device cpu --out o{index}");
        holdfast(folder.path(), &line, &[]).refused(5, &["--history-key", "--layers all"]);
        let ended = holdfast(folder.path(), &format!("{line} --layers all"), &[]).succeeded();
        ended.prints(&["2 tensors, 3 epochs x 1 replica x 10 weights", "frozen weights: 0 of 10"]);
        let table = Table::read(&folder.path().join(format!("o{index}/stability.csv")));
        let layers = [vec!["fc1.weight"; 4], vec!["fc2.weight"; 6]].concat();
        assert_eq!(table.column("layer"), layers, "{form}");
        let weights: Vec<f32> = table.numbers("reference_weight").into_iter().map(|weight| weight as f32).collect();
        assert_eq!(weights, [FC1.as_slice(), &FC2].concat());
        assert_eq!(table.column("in")[4..], ["0", "0", "0", "1", "1", "1"]);
    }
    let line = "stability whole.npz --axes epoch,... --layers fc2 --device cpu --json --quiet --out json";
    let found = holdfast(folder.path(), line, &[]).succeeded().json();
    assert_eq!((&found["weights"], &found["weight_axes"]), (&6.into(), &serde_json::json!([2, 3])));
    holdfast(folder.path(), "stability whole.npz --axes epoch,... --layers fc3.weight", &[])
        .refused(2, &["no tensor fc3.weight", "meant?"]);
    holdfast(folder.path(), "stability whole.npz --layers all", &[]).refused(2, &["--axes"]);
}

#[test]
fn above_a_million_rows_arrays_of_several_tensors_carry_their_names() {
    let folder = tempdir().unwrap();
    let large: Vec<f32> = (0..2 * 600 * 600).map(|index| (index % (600 * 600)) as f32).collect();
    let large = npy(&header("<f4", false, &[2, 600, 600]), &bytes(&large));
    let small = npy(&header("<f4", false, &[2, 1, 2]), &bytes(&[1.0, 2.0, 3.0, 2.0]));
    write(
        folder.path(),
        "h.npz",
        &npz(&[("a.weight.npy", &small), ("b.weight.npy", &large)], CompressionMethod::Stored),
    );
    let line =
        "stability h.npz --layers all --axes epoch,... --device cpu --out out --tolerance 0.01,0.03,0.05 --window 1,2";
    holdfast(folder.path(), line, &[]).succeeded().says(&["above a million rows"]);
    let mut archive = NpzReader::new(File::open(folder.path().join("out/stability.npz")).unwrap()).unwrap();
    let of_a: ArrayD<u32> = archive.by_name::<_, IxDyn>("a.weight.stability").unwrap();
    assert_eq!((of_a.shape(), of_a.as_slice().unwrap()), (&[3, 1, 2][..], &[1, 2, 1, 2, 1, 2][..]));
    let of_b: ArrayD<u32> = archive.by_name::<_, IxDyn>("b.weight.stability").unwrap();
    assert!(of_b.len() == 3 * 360_000 && of_b.iter().all(|&epochs| epochs == 2));
    let row: ArrayD<u32> = archive.by_name::<_, IxDyn>("b.weight.in").unwrap();
    assert_eq!((row[[599]], row[[600]]), (0, 1));
    let reference: ArrayD<f32> = archive.by_name::<_, IxDyn>("a.weight.reference_weight").unwrap();
    assert_eq!(reference.as_slice().unwrap(), [3.0, 2.0]);
}
