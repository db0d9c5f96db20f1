//! Data and runs that lie elsewhere than they did: paths in files of settings, data known by their content, runs without data.

use crate::digits;
use crate::program::{Table, command, end, holdfast, manifest, text};
use std::fs;
use std::path::Path;

const SIZES: &str = "--preset smoke --epochs 2 --depth 2 --width 5 --device cpu";

/// A folder with a data set in `data/pets`.
fn pets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("data/pets")).unwrap();
    digits::write(&folder.path().join("data/pets"));
    folder
}

/// Runs the program in `folder`.
fn run_in(folder: &Path, line: &str) -> crate::program::Ended {
    end(command(&line.split_whitespace().collect::<Vec<_>>()).current_dir(folder))
}

#[test]
fn paths_in_a_file_of_settings_count_from_its_folder() {
    let (project, elsewhere) = (pets(), tempfile::tempdir().unwrap());
    fs::write(
        project.path().join("exp.toml"),
        "preset = \"smoke\"\nepochs = 1\ndepth = 2\ndata = [\"any=data/pets\"]\n",
    )
    .unwrap();
    let file = project.path().join("exp.toml");
    let line = format!("train --device cpu --quiet --config {} --out", text(&file));
    run_in(elsewhere.path(), &format!("{line} first")).succeeded();
    run_in(project.path(), "train --device cpu --quiet --config ./exp.toml --out first").succeeded();
    // The settings that a run keeps, and those that are printed, are good from everywhere.
    let kept = elsewhere.path().join("first/config.toml");
    run_in(project.path(), &format!("train --device cpu --quiet --config {} --out second", text(&kept))).succeeded();
    let printed = run_in(elsewhere.path(), &format!("train --print-config --config {}", text(&file))).succeeded();
    fs::create_dir(project.path().join("deeper")).unwrap();
    fs::write(project.path().join("deeper/printed.toml"), printed.stdout).unwrap();
    run_in(project.path(), "train --device cpu --quiet --config deeper/printed.toml --out third").succeeded();
    let hash = |run: &Path| manifest(run)["configuration_hash"].clone();
    let first = hash(&elsewhere.path().join("first"));
    assert!(["first", "second", "third"].iter().all(|name| hash(&project.path().join(name)) == first));
    // The command line counts from the working directory, and wins.
    run_in(project.path(), "train --print-config --config exp.toml --data any=data/pets").succeeded();
    run_in(elsewhere.path(), &format!("{line} fourth --data any=data/pets")).refused(5, &["data/pets"]);
}

#[test]
fn data_are_known_by_their_content() {
    let project = pets();
    let data = project.path().join("data");
    let line = format!("train {SIZES} --model both --json --quiet --out run --side 16 --data");
    let hash = |data: &str| {
        run_in(project.path(), &format!("{line} {data}")).succeeded();
        manifest(&project.path().join("run"))["configuration_hash"].clone()
    };
    let first = hash("any=data/pets");
    let before = fs::read(project.path().join("run/cells/dnn-pets/metrics.csv")).unwrap();
    fs::rename(data.join("pets"), data.join("animals")).unwrap();
    let absolute = format!("any={}/", data.join("animals").display());
    for spelled in ["any=./data/animals/", "any=data/../data/animals", &absolute] {
        assert_eq!(hash(spelled), first, "{spelled}");
    }
    // The run keeps the name that its data had.
    let cells: Vec<_> = fs::read_dir(project.path().join("run/cells")).unwrap().collect();
    assert_eq!(cells.len(), 2);
    assert!(fs::read(project.path().join("run/cells/dnn-pets/metrics.csv")).unwrap() == before);
    let pruned = run_in(
        project.path(),
        "prune run/cells/cnn-pets --criterion magnitude --sparsity 0.5 --device cpu --out pruned",
    );
    pruned.succeeded();
    let accuracies = Table::read(&project.path().join("pruned/pruning.csv"));
    assert!(accuracies.column("accuracy_after").iter().all(|accuracy| !accuracy.is_empty()));
    // Other images under the old name are other data.
    fs::create_dir(data.join("pets")).unwrap();
    digits::write(&data.join("pets"));
    let labels = data.join("pets/train-labels-idx1-ubyte");
    let mut bytes = fs::read(&labels).unwrap();
    bytes[8..10].reverse();
    fs::write(&labels, bytes).unwrap();
    run_in(project.path(), &format!("{line} any=data/pets")).refused(2, &["checksum", "pets, training"]);
}

#[test]
fn a_shipped_set_is_the_same_from_another_folder() {
    let line = "train --preset smoke --epochs 1 --training-images 50 --depth 2 --device cpu --quiet --data";
    let folder = tempfile::tempdir().unwrap();
    let shipped = format!("mnist={}/datasets/mnist", env!("CARGO_MANIFEST_DIR"));
    let hashes = ["mnist", shipped.as_str()].map(|data| {
        let out = folder.path().join("run");
        holdfast(line, &[data, "--out", text(&out)]).succeeded();
        manifest(&out)["configuration_hash"].clone()
    });
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn a_run_that_moved_is_pruned_counted_and_shown_without_its_data() {
    for model in ["dnn", "cnn"] {
        let project = pets();
        let line = format!(
            "compare {SIZES} --ed-epochs 1 --ed-targets 50% --model {model} --side 16 --quiet --data any=data/pets --out run"
        );
        run_in(project.path(), &line).succeeded();
        let prune = "--criterion hold --window 2 --sparsity 0.5 --device cpu --json --out pruned";
        let with = run_in(project.path(), &format!("prune run {prune}")).succeeded().json();
        assert!(with["replicas"][0]["accuracy_after"].is_number());
        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(project.path().join("run"), elsewhere.path().join("moved")).unwrap();
        let kept = fs::read(project.path().join("pruned/weights.safetensors")).unwrap();
        drop(project);

        let ended =
            run_in(elsewhere.path(), &format!("prune moved {prune}")).succeeded().says(&["accuracy", "data/pets"]);
        let without = ended.json();
        assert!(without["replicas"][0]["accuracy_after"].is_null());
        assert_eq!(without["replicas"][0]["removed_weights"], with["replicas"][0]["removed_weights"]);
        assert!(fs::read(elsewhere.path().join("pruned/weights.safetensors")).unwrap() == kept, "{model}");
        run_in(elsewhere.path(), "stability moved --device cpu --out counted").succeeded();
        run_in(elsewhere.path(), "report moved").succeeded();
        run_in(elsewhere.path(), "report moved --out page.html").succeeded();
    }
}

#[test]
fn what_differs_from_another_configuration_is_named() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let line = "train --preset smoke --training-images 100 --depth 2 --width 5 --device cpu --data";
    let train = |more: &[&str]| holdfast(line, &[&[&argument, "--out", text(out.path())], more].concat());
    train(&["--epochs", "1"]).succeeded();
    train(&["--epochs", "2", "--seed", "7"]).refused(2, &["epochs: 1 there, 2 here", "seed: 1 there, 7 here"]);
    holdfast(line, &["ct", "--epochs", "1", "--out", text(out.path())]).refused(2, &["data: ", "ct here"]);
    let mut older = manifest(out.path());
    older["version"] = "0.0.9".into();
    older["configuration_hash"] = "0123456789abcdef".into();
    fs::write(out.path().join("manifest.json"), older.to_string()).unwrap();
    train(&["--epochs", "1"]).refused(2, &["0.0.9", env!("CARGO_PKG_VERSION"), "--out"]);
}
