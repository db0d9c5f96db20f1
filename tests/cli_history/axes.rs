//! What the axes of a history are, and epochs that come from the names of arrays or files: said, never guessed.

use crate::arrays::{bytes, header, npy, npz, safetensors, write};
use crate::{Ended, column, holdfast};
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};
use zip::CompressionMethod;

/// Weights `[out 2, in 3]` of an epoch: `epoch * 10 + weight`.
fn layer(epoch: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..6).map(|weight| (epoch * 10 + weight) as f32).collect();
    npy(&header("<f4", false, &[2, 3]), &bytes(&values))
}

fn archive(names: &[&str], arrays: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| format!("{name}.npy")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(arrays.iter().map(Vec::as_slice)).collect();
    npz(&entries, CompressionMethod::Stored)
}

fn stability(folder: &Path, line: &str) -> Ended {
    let _ = fs::remove_dir_all(folder.join("out"));
    holdfast(folder, &format!("stability --device cpu --tolerance 0 --window 1,2 --out out {line}"), &[])
}

/// The last epoch's weights of a history that was read, in the order of its rows.
fn last(folder: &Path) -> Vec<String> {
    column(&folder.join("out/stability.csv"), "reference_weight")
}

/// What is read of `line`, whose last epoch is that number.
fn read(folder: &Path, line: &str, epoch: usize, words: &[&str]) {
    stability(folder, line).succeeded().says(words);
    let expected: Vec<String> = (0..6).map(|weight| format!("{}.0", epoch * 10 + weight)).collect();
    assert_eq!(last(folder), expected, "{line}");
}

fn with_file(name: &str, content: &[u8]) -> TempDir {
    let folder = tempdir().unwrap();
    write(folder.path(), name, content);
    folder
}

#[test]
fn three_axes_of_another_program_are_refused_with_both_readings() {
    let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let folder = with_file("h.npy", &npy(&header("<f4", false, &[4, 2, 3]), &bytes(&values)));
    let path = folder.path();
    for line in ["stability h.npy", "prune --history h.npy --weights h.npy --criterion hold --sparsity 0.5"] {
        let both =
            ["--axes epoch,out,in", "2 x 3", "--axes epoch,replica,weight", "2 replicas of 3", "--no-replica-axis"];
        holdfast(path, line, &[]).refused(2, &both);
    }
    assert!(fs::read_dir(path).unwrap().count() == 1, "nothing is written");
    for (axes, said) in [
        ("--axes epoch,out,in", "4 epochs x 1 replica x 6 weights (out 2 x in 3)"),
        ("--no-replica-axis", "4 epochs x 1 replica x 6 weights (2 x 3)"),
        ("--axes epoch,replica,weight", "4 epochs x 2 replicas x 3 weights\n"),
        ("--axes replica,weight,epoch", "3 epochs x 4 replicas x 2 weights\n"),
        ("--axes out,in,epoch", "3 epochs x 1 replica x 8 weights (out 4 x in 2)"),
    ] {
        stability(path, &format!("h.npy {axes}")).succeeded().says(&[said]);
    }
    // The last epoch of the last reading is every third number.
    assert_eq!(last(path)[..3], ["2.0", "5.0", "8.0"]);
    for (axes, words) in [
        ("epoch,in", &["2 names", "[4, 2, 3]"][..]),
        ("epoch,out,in,k", &["4 names"]),
        ("out,in,k", &["epoch"]),
        ("epochs,out,in", &["epochs", "epoch"]),
        ("epoch,replicas,in", &["replicas", "replica"]),
        ("epoch,in,in", &["twice"]),
        ("epoch,,in", &["empty"]),
    ] {
        stability(path, &format!("h.npy --axes {axes}")).refused(2, words);
    }
    assert_eq!(stability(path, "h.npy --axes epoch,out,in --no-replica-axis").code, Some(2));
    // Two axes, and one network in either reading, are not ambiguous.
    write(path, "flat.npy", &npy(&header("<f4", false, &[4, 6]), &bytes(&values)));
    stability(path, "flat.npy").succeeded();
    write(path, "one.npy", &npy(&header("<f4", false, &[4, 1, 6]), &bytes(&values)));
    stability(path, "one.npy").succeeded();
}

#[test]
fn a_name_of_the_file_or_a_manifest_of_another_program_proves_nothing() {
    let values = [0.0; 24];
    let folder =
        with_file("history.npz", &archive(&["history"], &[npy(&header("<f4", false, &[4, 2, 3]), &bytes(&values))]));
    stability(folder.path(), "history.npz").refused(2, &["--axes"]);
    write(folder.path(), "manifest.json", b"{\"width\": 3}");
    stability(folder.path(), "history.npz").refused(2, &["--axes"]);
}

#[test]
fn numbered_arrays_are_epochs_in_the_order_of_their_numbers() {
    let epochs = |numbers: &[usize]| numbers.iter().map(|&epoch| layer(epoch)).collect::<Vec<_>>();
    for names in [
        &["arr_0", "arr_1", "arr_10", "arr_2", "arr_3", "arr_4", "arr_5", "arr_6", "arr_7", "arr_8", "arr_9"][..],
        &[
            "epoch_000",
            "epoch_001",
            "epoch_010",
            "epoch_002",
            "epoch_003",
            "epoch_004",
            "epoch_005",
            "epoch_006",
            "epoch_007",
            "epoch_008",
            "epoch_009",
        ],
        &["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"],
        &[
            "m.epoch.1.weight",
            "m.epoch.2.weight",
            "m.epoch.11.weight",
            "m.epoch.3.weight",
            "m.epoch.4.weight",
            "m.epoch.5.weight",
            "m.epoch.6.weight",
            "m.epoch.7.weight",
            "m.epoch.8.weight",
            "m.epoch.9.weight",
            "m.epoch.10.weight",
        ],
    ] {
        let folder = with_file("h.npz", &archive(names, &epochs(&[0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9])));
        let said = ["11 epochs x 1 replica x 6 weights (out 2 x in 3)", "in the order of their numbers", names[0]];
        read(folder.path(), "h.npz --axes epoch,out,in", 10, &said);
        read(folder.path(), "h.npz --no-replica-axis", 10, &[]);
        stability(folder.path(), "h.npz")
            .refused(2, &["--axes epoch,out,in", "--axes epoch,replica,weight", "[11, 2, 3]"]);
        stability(folder.path(), "h.npz --axes out,in").refused(2, &["epoch"]);
        // One of them is not a history.
        stability(folder.path(), &format!("h.npz --history-key {}", names[3])).refused(5, &[names[3], "11"]);
        let alone = format!("h.npz --history-key {} --axes epoch,weight", names[3]);
        stability(folder.path(), &alone).succeeded().says(&["alone"]);
    }
    let flat = |epoch: usize| npy(&header("<f4", false, &[6]), &layer(epoch)[layer(epoch).len() - 24..]);
    let folder = with_file("h.npz", &archive(&["w2", "w0", "w1"], &[flat(2), flat(0), flat(1)]));
    read(folder.path(), "h.npz", 2, &["3 epochs x 1 replica x 6 weights"]);
}

#[test]
fn numbered_tensors_of_safetensors_are_epochs_too() {
    let entry = |name: &str, start: usize| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[{start},{}]}}", start + 24)
    };
    let of = |epoch: usize| layer(epoch)[layer(epoch).len() - 24..].to_vec();
    let head = format!(
        "{{{},{},{},{}}}",
        entry("epoch_0.fc1", 0),
        entry("epoch_0.fc2", 24),
        entry("epoch_1.fc1", 48),
        entry("epoch_1.fc2", 72)
    );
    let folder = with_file("h.st", &safetensors(&head, &[of(0), of(7), of(1), of(8)].concat()));
    let path = folder.path();
    stability(path, "h.st --axes epoch,out,in").refused(5, &["fc1, fc2", "--history-key"]);
    read(path, "h.st --axes epoch,out,in --history-key fc2", 8, &["2 epochs"]);
    read(path, "h.st --axes epoch,out,in --history-key fc1", 1, &["left out: epoch_0.fc2"]);
    stability(path, "h.st --axes epoch,out,in --history-key fc3").refused(5, &["fc3", "epoch_0.fc1"]);
}

#[test]
fn holes_other_shapes_and_layers_of_a_network_are_told() {
    let four = [layer(0), layer(1), layer(2), layer(3)];
    let other = npy(&header("<f4", false, &[3]), &[0; 12]);
    let counts = npy(&header("<i8", false, &[4]), &[0; 32]);
    let whole: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let whole = npy(&header("<f4", false, &[4, 2, 3]), &bytes(&whole));
    let refused = |names: &[&str], arrays: &[Vec<u8>], words: &[&str]| {
        let folder = with_file("h.npz", &archive(names, arrays));
        stability(folder.path(), "h.npz --no-replica-axis").refused(5, words);
    };
    refused(&["e_0", "e_1", "e_2", "e_4"], &four, &["e_3 is missing"]);
    refused(&["e_1", "e_01", "e_2", "e_3"], &four, &["e_1", "e_01", "same number"]);
    refused(&["epoch_0", "epoch_1"], &[layer(0), other.clone()], &["[2, 3]", "epoch_1 [3]"]);
    refused(&["0.weight", "2.weight", "4.weight"], &four[..3], &["several arrays", "0.weight [2, 3]"]);
    refused(&["fc1", "fc2"], &four[..2], &["several arrays", "--history-key"]);
    refused(&["history", "arr_0", "arr_1"], &[whole.clone(), layer(0), layer(1)], &["history", "arr", "--history-key"]);

    // What cannot be the history is left out, and named.
    let folder = with_file("h.npz", &archive(&["history", "epochs", "loss"], &[whole, counts.clone(), other.clone()]));
    stability(folder.path(), "h.npz --axes epoch,out,in").succeeded().says(&["left out: epochs, loss"]);
    let folder = with_file("h.npz", &archive(&["epoch_0", "loss", "epoch_1"], &[layer(0), other, layer(1)]));
    read(folder.path(), "h.npz --axes epoch,out,in", 1, &["left out: loss"]);
    let folder = with_file("h.npz", &archive(&["epoch_0", "epoch_5", "epoch_10"], &[layer(0), layer(5), layer(10)]));
    read(folder.path(), "h.npz --axes epoch,out,in", 10, &["5 apart"]);
    let folder = with_file("h.npz", &archive(&["epoch_3"], &[layer(3)]));
    stability(folder.path(), "h.npz").refused(2, &["[1, 2, 3]"]);
    // Numbered arrays of another type are refused by that type.
    let folder = with_file("h.npz", &archive(&["epoch_0", "epoch_1"], &[counts.clone(), counts]));
    stability(folder.path(), "h.npz").refused(5, &["integers"]);
}

#[test]
fn numbered_files_of_a_folder_are_epochs() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for epoch in 0..12 {
        write(path, &format!("epoch_{epoch}.npy"), &layer(epoch));
    }
    write(path, "notes.txt", b"the first try");
    write(path, "final.npy", &layer(11));
    fs::create_dir(path.join("plots")).unwrap();
    let parent = tempdir().unwrap();
    let name = path.display();
    read(
        parent.path(),
        &format!("{name} --axes epoch,out,in"),
        11,
        &["12 epochs x 1 replica x 6 weights", "notes.txt", "final.npy", "plots"],
    );
    stability(parent.path(), &format!("{name}")).refused(2, &["--axes epoch,out,in", "[12, 2, 3]"]);
    let weights = path.join("final.npy");
    let line = format!(
        "prune --history {name} --axes epoch,out,in --weights {} --criterion hold --window 5 --sparsity 0.5 --device cpu --out pruned",
        weights.display()
    );
    holdfast(parent.path(), &line, &[]).succeeded();

    fs::remove_file(path.join("epoch_7.npy")).unwrap();
    stability(parent.path(), &format!("{name} --axes epoch,out,in")).refused(5, &["epoch_7 is missing"]);
    write(path, "epoch_7.npy", &npy(&header("<f4", false, &[6]), &[0; 24]));
    stability(parent.path(), &format!("{name} --axes epoch,out,in")).refused(5, &["epoch_7.npy", "[6]", "[2, 3]"]);
    write(path, "epoch_7.npy", &layer(7));
    write(path, "step_1.npy", &layer(1));
    write(path, "step_2.npy", &layer(2));
    stability(parent.path(), &format!("{name} --axes epoch,out,in")).refused(5, &["epoch_# (12)", "step_# (2)"]);
}

#[test]
fn files_of_several_arrays_need_a_key_and_may_be_of_any_kind() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    for (index, name) in ["weights.01-0.53.npz", "weights.02-0.41.npz"].into_iter().enumerate() {
        write(path, name, &archive(&["kernel", "bias"], &[layer(index), layer(40)]));
    }
    let parent = tempdir().unwrap();
    let name = path.display();
    stability(parent.path(), &format!("{name} --axes epoch,out,in"))
        .refused(5, &["weights.01-0.53.npz", "kernel, bias", "--history-key"]);
    read(parent.path(), &format!("{name} --axes epoch,out,in --history-key kernel"), 1, &["2 epochs"]);
    stability(parent.path(), &format!("{name} --history-key none")).refused(5, &["none", "kernel, bias"]);

    // A folder for each epoch, as trainers leave them.
    let checkpoints = tempdir().unwrap();
    for (index, step) in [500, 1000, 1500].into_iter().enumerate() {
        let inner = checkpoints.path().join(format!("checkpoint-{step}"));
        fs::create_dir(&inner).unwrap();
        write(&inner, "model.npy", &layer(index));
        write(&inner, "optimizer.pt", b"x");
    }
    read(
        parent.path(),
        &format!("{} --axes epoch,out,in", checkpoints.path().display()),
        2,
        &["3 epochs", "500 apart"],
    );

    let empty = tempdir().unwrap();
    stability(parent.path(), &format!("{}", empty.path().display())).refused(5, &["history.npz", "no arrays"]);
    write(empty.path(), "model.npy", &layer(1));
    stability(parent.path(), &format!("{}", empty.path().display())).refused(5, &["model.npy"]);
    write(empty.path(), "saved_model.pb", b"\x08\x01");
    stability(parent.path(), &format!("{}", empty.path().display())).refused(5, &["SavedModel"]);
}
