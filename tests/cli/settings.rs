//! Settings: files, the command line, dry runs.

use crate::digits;
use crate::program::{command, end, holdfast, text};
use std::fs;

#[test]
fn printed_settings_are_a_file_that_gives_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let first = holdfast(
        "compare --preset smoke --epochs 4 --data pr,ct --tolerance 0.02 --window 2,4 --seed 18446744073709551615 \
         --tolerance-kind absolute --keep-frozen --pixel-scale 1 --ed-targets 12.5% --print-config",
        &[],
    )
    .succeeded();
    assert_eq!(first.stderr, "");
    fs::write(&file, &first.stdout).unwrap();
    let again = holdfast("compare --print-config --config", &[text(&file)]).succeeded();
    assert_eq!(again.stdout, first.stdout);
    for line in ["epochs = 4", "replicates = 2", "seed = 18446744073709551615", "ed-targets = [0.125]"] {
        assert!(first.stdout.lines().any(|found| found == line), "{line} is not in\n{}", first.stdout);
    }
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_preset() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "preset = \"smoke\"\nepochs = 7\nseed = 5\n").unwrap();
    let printed = holdfast("train --epochs 9 --print-config --config", &[text(&file)]).succeeded().stdout;
    let settings: toml::Table = printed.parse().unwrap();
    let number = |key: &str| settings[key].as_integer().unwrap();
    assert_eq!([number("epochs"), number("seed"), number("ed-epochs")], [9, 5, 2]);
}

#[test]
fn hidden_layers_are_named_by_width_and_depth_or_one_by_one_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, "preset = \"smoke\"\nhidden = [40, 20]\n").unwrap();
    let sizes = |options: &str| {
        let printed = holdfast(format!("train --print-config {options}").trim_end(), &["--config", text(&file)])
            .succeeded()
            .stdout;
        let settings: toml::Table = printed.parse().unwrap();
        ["hidden", "width", "depth"].map(|key| settings.get(key).map(ToString::to_string).unwrap_or_default())
    };
    assert_eq!(sizes(""), ["[40, 20]", "", ""]);
    assert_eq!(sizes("--hidden 7,8,9"), ["[7, 8, 9]", "", ""]);
    assert_eq!(sizes("--width 12"), ["", "12", "6"]);
    assert_eq!(sizes("--depth 3"), ["", "30", "3"]);
    assert_eq!(sizes("--hidden 5,5,5"), ["", "5", "3"], "one network, one configuration hash");
    fs::write(&file, "hidden = [40, 20]\nwidth = 30\n").unwrap();
    holdfast("train --config", &[text(&file)]).refused(2, &["--hidden", "--width and --depth"]);
}

#[test]
fn the_learning_rate_is_constant_or_falls_and_the_settings_and_the_manifest_say_which() {
    let printed = holdfast("train --preset smoke --print-config", &[]).succeeded().stdout;
    assert!(printed.contains("schedule = \"constant\""), "{printed}");
    holdfast("train --preset smoke --schedule linear", &[]).refused(2, &["linear", "constant", "cosine"]);
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let line = "train --preset smoke --epochs 2 --training-images 100 --depth 2 --device cpu --schedule cosine --data";
    holdfast(line, &[&argument, "--out", text(out.path())]).succeeded();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(out.path().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["configuration"]["schedule"], "cosine");
    // The folder belongs to that schedule.
    let other = line.replace("cosine", "constant");
    holdfast(&other, &[&argument, "--out", text(out.path())]).refused(2, &["another configuration", "schedule"]);
}

#[test]
fn a_run_folders_settings_repeat_the_run() {
    let (_data, argument) = digits::folder();
    let out = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let line = "train --preset smoke --epochs 2 --training-images 100 --depth 2 --device cpu --data";
    holdfast(line, &[&argument, "--out", text(out[0].path())]).succeeded();
    let file = out[0].path().join("config.toml");
    holdfast("train --device cpu --config", &[text(&file), "--out", text(out[1].path())]).succeeded();
    for name in ["history.npz", "config.toml"] {
        let [first, second] = [&out[0], &out[1]].map(|out| fs::read(out.path().join(name)).unwrap());
        assert!(first == second, "{name}");
    }
}

#[test]
fn bad_files_of_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    for (content, code, words) in [
        ("epoch = 7\n", 2, &["mine.toml", "unknown field `epoch`", "--print-config"][..]),
        ("epochs = \"many\"\n", 2, &["mine.toml"]),
        ("epochs = \n", 2, &["mine.toml"]),
        ("ed-targets = [0, 50]\n", 2, &["mine.toml", "ed-targets", "50%", "0.5"]),
        ("test-share = 20\n", 2, &["mine.toml", "test-share", "20%", "0.2"]),
        ("epochs = 0\n", 2, &["--epochs 0"]),
        ("preset = \"huge\"\n", 2, &["mine.toml"]),
    ] {
        fs::write(&file, content).unwrap();
        holdfast("compare --config", &[text(&file)]).refused(code, words);
    }
    let missing = folder.path().join("none.toml");
    holdfast("compare --config", &[text(&missing)]).refused(5, &["cannot read", "none.toml", "check the path"]);
}

#[test]
fn a_dry_run_says_what_it_would_take_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_data, argument) = digits::folder();
    let shared = ["--preset", "smoke", "--device", "cpu", "--dry-run", "--data", &argument, "--training-images", "320"];
    for (name, out) in [("compare", &["--out", "here"][..]), ("compare", &[]), ("train", &[])] {
        end(command(&[&[name], &shared[..], out].concat()).current_dir(folder.path()))
            .succeeded()
            .prints(&["training runs", "MB on disk"]);
    }
    let ended = end(command(&[&["compare"], &shared[..], &["--json"]].concat()).current_dir(folder.path())).succeeded();
    let cell = &ended.json()["cells"][0];
    // Two replicas trained once, and towards five targets in two ways.
    assert_eq!(cell["training_runs"], 2 + 2 * 5 * 2);
    // Ten steps of 32 images: six epochs of two replicas, then two epochs of each run of exponential decay.
    assert_eq!(cell["replica_steps"], 10 * (6 * 2 + 2 * 2 * 5 * 2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn without_out_a_run_takes_a_folder_named_by_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (_data, argument) = digits::folder();
    let line = "train --preset smoke --epochs 1 --training-images 100 --depth 2 --device cpu --json --data";
    let arguments: Vec<&str> = line.split(' ').chain([argument.as_str()]).collect();
    let [first, second] = [0, 1].map(|_| end(command(&arguments).current_dir(folder.path())).succeeded().json());
    assert_eq!(first["folder"], second["folder"], "the same command belongs into the same folder");
    let name = first["folder"].as_str().unwrap();
    assert!(name.contains("train-") && folder.path().join(name).join("history.npz").is_file(), "{name}");
    assert_eq!(fs::read_dir(folder.path().join("runs")).unwrap().count(), 1);
}
