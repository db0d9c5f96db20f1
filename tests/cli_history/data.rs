//! `holdfast data`: list, verify, export, generate.

use crate::{Ended, command, end, holdfast, manifest};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::tempdir;

#[test]
fn every_set_is_listed_with_its_licence_and_its_place() {
    let folder = tempdir().unwrap();
    let listed = holdfast(folder.path(), "data list --json", &[]).succeeded().json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["mnist", "pr", "ct", "sc=PATH", "sc-synthetic", "xr=PATH", "xr-synthetic", "any=PATH"]);
    assert!(listed[0]["licence"].as_str().unwrap().contains("CC BY-SA 3.0"));
    assert!(listed[0]["found_in"].as_str().unwrap().ends_with("datasets/mnist"));
    let text = holdfast(folder.path(), "data list", &[]).succeeded().stdout;
    assert!(text.contains("60,000 + 10,000") && text.contains("made when it is asked for"), "{text}");
}

#[test]
fn files_that_ship_are_verified_and_changed_ones_are_named() {
    let folder = tempdir().unwrap();
    let text = holdfast(folder.path(), "data verify", &[]).succeeded().stdout;
    assert_eq!(text.lines().filter(|line| line.starts_with("intact")).count(), 4, "{text}");
    let copy = folder.path().join("mnist");
    fs::create_dir(&copy).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist");
    for name in ["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"] {
        fs::copy(shipped.join(name), copy.join(name)).unwrap();
    }
    fs::write(copy.join("t10k-labels-idx1-ubyte.gz"), "other").unwrap();
    let ended = end(command(&["data", "verify"]).env("HOLDFAST_DATASETS", folder.path()));
    assert_eq!(ended.code, Some(5), "{}", ended.stderr);
    let Ended { stdout, .. } = ended.says(&["2 of 4 files"]);
    for (state, name) in [("DIFFERENT", "t10k-labels"), ("MISSING", "train-labels"), ("intact", "train-images")] {
        assert!(stdout.lines().any(|line| line.starts_with(state) && line.contains(name)), "{stdout}");
    }
}

#[test]
fn images_are_exported_by_class_with_a_contact_sheet() {
    let folder = tempdir().unwrap();
    holdfast(folder.path(), "data export pr images --limit 3", &[]).succeeded();
    let images = folder.path().join("images");
    for part in ["training", "test"] {
        for class in 0..10 {
            let files: Vec<_> = fs::read_dir(images.join(part).join(class.to_string())).unwrap().collect();
            assert_eq!(files.len(), 3, "{part}, class {class}");
        }
    }
    let sheet = fs::read(images.join("pr-contact-sheet.png")).unwrap();
    assert!(sheet.starts_with(b"\x89PNG") && sheet.len() > 10_000);
    holdfast(folder.path(), "data export pr images --limit 0", &[]).refused(2, &["--limit 0"]);
    holdfast(folder.path(), "data export cifar images", &[]).refused(2, &["no such data set"]);
}

#[test]
fn a_generated_set_is_read_back_with_the_checksum_of_its_test_images() {
    let folder = tempdir().unwrap();
    let made = holdfast(folder.path(), "data generate ct made --seed 5 --json", &[]).succeeded().json();
    assert_eq!(made["files"].as_array().unwrap().len(), 4);
    let line = "train --device cpu --quiet --epochs 1 --replicates 1 --out run --data mnist=made --training-images 500";
    holdfast(folder.path(), line, &[]).succeeded();
    let manifest = manifest(&folder.path().join("run"));
    // Training images are drawn, and so come in another order; test images are taken as they are.
    assert_eq!(manifest["data_checksums"]["mnist, test"], made["test_checksum"]);
    holdfast(folder.path(), "data generate mnist", &[OsStr::new("made")]).refused(2, &["not generated"]);
}
