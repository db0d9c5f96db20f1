//! Folders that are written into: nothing of the user's is ever replaced.

use crate::adapter;
use crate::digits;
use crate::program::{command, end, holdfast, manifest, text};
use ndarray::Array3;
use ndarray_npy::write_npy;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TRAIN: &str =
    "train --preset smoke --epochs 1 --training-images 100 --depth 2 --width 5 --device cpu --quiet --data";

/// All files below a folder with their bytes; a link is what it leads to.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// A folder with a history `[epoch, replica, weight_index]`, its last weights, and numbers for a study's tables.
fn inputs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let history =
        Array3::from_shape_fn((4, 2, 3), |(epoch, replica, weight_index)| (1 + epoch + replica + weight_index) as f32);
    write_npy(folder.path().join("history.npy"), &history).unwrap();
    write_npy(folder.path().join("weights.npy"), &history.index_axis(ndarray::Axis(0), 3).to_owned()).unwrap();
    let (mut observations, mut stable) = (
        "model,data_set,replicate,stability\n".to_string(),
        "model,data_set,replicate,epoch,stable_nodes\n".to_string(),
    );
    for (model, data_set, replicate) in
        ["dnn", "cnn"].iter().flat_map(|m| ["a", "b"].map(|d| (m, d))).flat_map(|(m, d)| [0, 1].map(|r| (m, d, r)))
    {
        for step in 1..=6 {
            observations += &format!("{model},{data_set},{replicate},{}\n", step % 4 + replicate);
            stable += &format!("{model},{data_set},{replicate},{step},{}\n", 3 * step + replicate);
        }
    }
    fs::write(folder.path().join("observations.csv"), observations).unwrap();
    fs::write(folder.path().join("stable.csv"), stable).unwrap();
    folder
}

#[test]
fn no_command_writes_into_a_folder_with_files_of_the_users() {
    let (inputs, mine) = (inputs(), tempfile::tempdir().unwrap());
    for name in ["config.toml", "history.npz", "metrics.csv", "weights.safetensors"] {
        fs::write(mine.path().join(name), "mine").unwrap();
    }
    let before = files(mine.path());
    let commands = [
        "train --data ct --epochs 1 --replicates 1 --device cpu --out .",
        "compare --preset smoke --data ct --device cpu --out .",
        "study --preset smoke --data ct --device cpu --out .",
        "study --from-observations IN/observations.csv --from-stable-nodes IN/stable.csv --out .",
        "stability IN/history.npy --device cpu --out .",
        "prune --history IN/history.npy --weights IN/weights.npy --criterion magnitude --sparsity 0.5 --device cpu --out .",
        "bench --growth epochs --device cpu --out .",
        "data export ct .",
        "data export ct . --fresh",
        "data generate ct .",
        "data generate ct . --fresh",
        "man --out .",
        "doctor --device ADAPTER --tape .",
        "report IN --out metrics.csv",
    ];
    for line in commands {
        let line = line.replace("IN", text(inputs.path())).replace("ADAPTER", &adapter::index().to_string());
        let arguments: Vec<&str> = line.split(' ').collect();
        let ended = end(command(&arguments).current_dir(mine.path()));
        // A report is refused for its run, before its page; see below for the page.
        ended.refused(if arguments[0] == "report" { 5 } else { 2 }, &[]);
        assert_eq!(files(mine.path()), before, "{line}");
    }
}

#[test]
fn a_manifest_of_something_else_and_a_hidden_file_are_somebodys() {
    let (_data, argument) = digits::folder();
    for (name, content) in [("manifest.json", "{\"name\": \"my web app\"}"), (".env", "KEY=1"), (".git/HEAD", "ref")] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs::write(out.join(name), content).unwrap();
        let before = files(folder.path());
        holdfast(TRAIN, &[&argument, "--out", text(&out)]).refused(2, &[text(&out), name]);
        assert_eq!(files(folder.path()), before);
    }
}

#[cfg(unix)]
#[test]
fn what_a_user_puts_into_the_folder_of_a_run_stays() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let line = TRAIN.replace("--epochs 1", "--epochs 300");
    let arguments: Vec<&str> = line.split(' ').chain([argument.as_str(), "--out", text(out.path())]).collect();
    let mut child = command(&arguments).spawn().unwrap();
    while !out.path().join("manifest.json").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it began");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.path().join("metrics.csv").exists(), "the run ended before it was killed");
    for name in ["notes.txt", "metrics.csv", "checkpoints/notes.txt"] {
        fs::create_dir_all(out.path().join("checkpoints")).unwrap();
        fs::write(out.path().join(name), "mine").unwrap();
    }
    let stays = |name: &&str| assert_eq!(fs::read(out.path().join(name)).unwrap(), b"mine", "{name}");
    for fresh in [&[][..], &["--fresh"]] {
        end(&mut command(&[&arguments, fresh].concat())).refused(2, &["metrics.csv"]);
        ["notes.txt", "metrics.csv", "checkpoints/notes.txt"].iter().for_each(stays);
    }
    fs::remove_file(out.path().join("metrics.csv")).unwrap();
    end(&mut command(&arguments)).succeeded();
    end(&mut command(&[&arguments, &["--fresh"][..]].concat())).succeeded();
    ["notes.txt", "checkpoints/notes.txt"].iter().for_each(stays);
}

#[test]
fn a_run_of_a_version_that_kept_no_list_goes_on() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let train = |more: &[&str]| holdfast(TRAIN, &[&[&argument, "--out", text(out.path())], more].concat()).succeeded();
    train(&[]);
    let before = fs::read(out.path().join("history.npz")).unwrap();
    fs::remove_file(out.path().join(".holdfast")).unwrap();
    train(&[]);
    train(&["--fresh"]);
    assert!(fs::read(out.path().join("history.npz")).unwrap() == before);
}

#[test]
fn exports_do_not_mix() {
    let (data, _) = digits::folder();
    let digits = format!("any={}", data.path().display());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("images");
    let export = |set: &str, more: &[&str]| {
        let limit = if more.contains(&"--limit") { "data export" } else { "data export --limit 2" };
        holdfast(limit, &[&[set, text(&out)], more].concat())
    };
    export("ct", &[]).succeeded();
    let first = files(&out);
    export(&digits, &[]).refused(2, &[text(&out), "--fresh"]);
    holdfast("data generate ct", &[text(&out)]).refused(2, &["--fresh"]);
    assert_eq!(files(&out), first);

    // An image of the user's among them would be mixed with the next ones: nothing is removed then.
    let own = out.join("training/3/mine.png");
    fs::write(&own, "mine").unwrap();
    export(&digits, &["--fresh"]).refused(2, &["mine.png"]);
    fs::remove_file(&own).unwrap();
    assert_eq!(files(&out), first);

    export(&digits, &["--fresh", "--limit", "1"]).succeeded();
    let names: Vec<String> = files(&out).into_keys().map(|path| path.display().to_string()).collect();
    assert!(!names.iter().any(|name| name.ends_with("ct-contact-sheet.png")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".png")).count(), 2 * 10 + 1);
    holdfast(TRAIN, &["ct", "--out", text(&out)]).refused(2, &[text(&out)]);
}

#[test]
fn only_pages_of_holdfasts_are_replaced_by_a_report() {
    let (_data, argument) = digits::folder();
    let folder = tempfile::tempdir().unwrap();
    let [run, page] = ["run", "page.html"].map(|name| folder.path().join(name));
    let line = "compare --preset smoke --width 5 --depth 2 --epochs 2 --ed-epochs 1 --training-images 100 --ed-targets 50% \
                --device cpu --quiet --data";
    holdfast(line, &[&argument, "--out", text(&run)]).succeeded();
    let report = |out: &Path| holdfast("report", &[text(&run), "--out", text(out)]);
    fs::write(&page, "<!DOCTYPE html><title>Mine</title>").unwrap();
    report(&page).refused(2, &["page.html"]);
    report(folder.path()).refused(2, &["--out"]);
    assert_eq!(fs::read(&page).unwrap(), b"<!DOCTYPE html><title>Mine</title>");
    fs::remove_file(&page).unwrap();
    report(&page).succeeded();
    report(&page).succeeded();
    // The page in the run's own folder is no exception.
    fs::write(run.join("report.html"), "mine").unwrap();
    holdfast("report", &[text(&run)]).refused(2, &["report.html"]);
    assert_eq!(fs::read(run.join("report.html")).unwrap(), b"mine");
    assert!(manifest(&run)["finished"].is_string());
}
