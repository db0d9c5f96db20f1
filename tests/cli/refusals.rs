//! What cannot be done is refused in a sentence that says the cause and what to do, with the documented exit code.

use crate::adapter;
use crate::digits::{self, FILES};
use crate::program::{holdfast, text};
use std::fs;
use std::io::Write;
use std::path::Path;

#[test]
fn impossible_numbers_are_usage_errors() {
    for (option, words) in [
        ("--epochs 0", &["--epochs 0"][..]),
        ("--ed-epochs 0", &["--ed-epochs 0"]),
        ("--replicates 0", &["--replicates 0"]),
        ("--batch 0", &["--batch 0"]),
        ("--training-images 0", &["--training-images 0"]),
        ("--depth 1", &["depth 1", "--depth 2 or more"]),
        ("--width 0", &["width 0", "--width 1 or more"]),
        ("--hidden 40", &["depth 1", "two layers or more in --hidden"]),
        ("--hidden 40,0,20", &["width 0", "--hidden"]),
        ("--hidden 40,20 --depth 3", &["--hidden", "--width and --depth"]),
        ("--hidden 40,20 --width 40", &["--hidden", "--width and --depth"]),
        ("--model cnn --filters 0", &["0 filters", "--filters 1 or more"]),
        ("--model cnn --cnn-training-images 0", &["--cnn-training-images 0"]),
        ("--threads 0", &["--threads 0"]),
        ("--pixel-scale 0", &["--pixel-scale 0"]),
        ("--pixel-scale -1", &["--pixel-scale -1"]),
        ("--pixel-scale inf", &["--pixel-scale inf"]),
        ("--tolerance -0.03", &["tolerance -0.03"]),
        ("--tolerance NaN", &["tolerance NaN"]),
        ("--tolerance inf", &["tolerance inf"]),
        ("--tolerance 0.03,0.01,0.03", &["tolerance 0.03", "twice"]),
        ("--window 7", &["window 7", "6 epochs", "1 to 6"]),
        ("--window 0", &["window 0", "1 to 6"]),
        ("--window 2,2", &["window", "twice"]),
        ("--ed-targets 101", &["--ed-targets", "101", "100%"]),
        ("--ed-targets 0.5,50", &["--ed-targets", "50", "50%", "0.5"]),
        ("--ed-targets -1", &["--ed-targets", "-1", "0%"]),
        ("--ed-targets 50%,0.5", &["--ed-targets", "0.5", "twice"]),
        ("--test-share 20", &["--test-share", "20%", "0.2"]),
        ("--training-images 60001", &["60001", "mnist", "60000"]),
    ] {
        holdfast(&format!("compare --preset smoke --device cpu {option}"), &[]).refused(2, words);
    }
    for (option, words) in [
        ("--side 0", &["--side 0"][..]),
        ("--replicates 0", &["--replicates 0"]),
        ("--batch 0", &["--batch 0"]),
        ("--width 0", &["width 0"]),
        ("--depth 1", &["depth 1"]),
        ("--hidden 7", &["depth 1", "--hidden"]),
        ("--hidden 7,8 --width 30", &["--hidden", "--width"]),
    ] {
        holdfast(&format!("bench --device cpu {option}"), &[]).refused(2, words);
    }
}

#[test]
fn images_too_small_for_the_poolings_are_refused_before_training() {
    for command in ["train --preset smoke --model cnn", "compare --preset smoke --model both"] {
        holdfast(&format!("{command} --side 7 --device cpu"), &[])
            .refused(5, &["7 x 7", "3 poolings", "--side 8 or more", "--model dnn"]);
    }
}

#[test]
fn arguments_that_are_none_are_usage_errors() {
    for line in [
        "compare --epochs many",
        "compare --epochs -1",
        "compare --replicates 1.5",
        "compare --model vgg",
        "compare --preset huge",
        "compare --no-such-option",
        "prunes",
    ] {
        let ended = holdfast(line, &[]);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help") && ended.stdout.is_empty(), "{line}: {}", ended.stderr);
    }
}

#[test]
fn unknown_data_sets_get_the_list_of_those_that_exist() {
    for data in ["cifar", "mnist,", "MNIST"] {
        holdfast("compare --preset smoke --data", &[data]).refused(2, &["no such data set", "mnist, mnist=DIR, pr"]);
    }
    holdfast("compare --preset smoke --data mnist=", &[]).refused(2, &["mnist=DIR"]);
    holdfast("compare --preset smoke --data ct,ct", &[]).refused(2, &["ct", "twice"]);
    let (_data, argument) = digits::folder();
    let both = format!("mnist,{argument}");
    holdfast("compare --preset smoke --training-images 100 --data", &[&both])
        .refused(2, &["both called mnist", "two runs"]);
}

#[test]
fn unknown_devices_get_the_list_of_those_that_exist() {
    let there = holdfast::gpu::adapters()[adapter::index()].name.clone();
    for (device, words) in [("voodoo", "\"voodoo\""), ("97", "index 97")] {
        for command in ["compare --preset smoke", "train --preset smoke", "bench"] {
            holdfast(&format!("{command} --device {device}"), &[]).refused(3, &[words, &there, "--device cpu"]);
        }
    }
}

#[test]
fn what_no_memory_can_hold_is_refused_before_it_is_tried() {
    // What is too large to be numbered is an impossible setting, what is only too large for this machine a job that failed.
    for (line, code, words) in [
        ("compare --preset smoke --replicates 4000000000", 1, ["4000000000 replicas", "does not have", "--replicates"]),
        ("compare --preset smoke --epochs 4000000000", 1, ["GB", "does not have", "--replicates"]),
        ("train --preset smoke --width 25000 --replicates 1000000", 1, ["GB", "does not have", "--replicates"]),
        ("train --preset smoke --width 1000000", 2, ["1000000", "4294967295", "--width"]),
        ("train --preset smoke --width 10000000000", 2, ["10000000000", "4294967295", "--width"]),
        ("compare --preset smoke --width 1000000 --dry-run", 2, ["1000000", "4294967295", "--width"]),
        ("bench --width 1000000", 2, ["1000000", "4294967295", "--width"]),
        ("bench --side 10000000", 2, ["10000000", "4294967295", "--side"]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let out = if line.starts_with("bench") { vec![] } else { vec!["--out", text(out.path())] };
        holdfast(&format!("{line} --device cpu"), &out).refused(code, &words);
    }
}

/// Trains on the folder, which must fail as bad data.
fn assert_bad_data(folder: &Path, words: &[&str]) {
    let argument = format!("mnist={}", folder.display());
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let line = "train --preset smoke --training-images 100 --device cpu --data";
    holdfast(line, &[&argument, "--out", text(&run)]).refused(5, words);
    assert!(!run.exists(), "a run folder was begun for data that cannot be read");
}

#[test]
fn missing_files_of_data_are_named() {
    let nowhere = tempfile::tempdir().unwrap();
    assert_bad_data(&nowhere.path().join("none"), &["none", FILES[0], "--data mnist=DIR"]);
    for missing in &FILES[1..] {
        let (data, _) = digits::folder();
        fs::remove_file(data.path().join(missing)).unwrap();
        assert_bad_data(data.path(), &[missing]);
    }
}

#[test]
fn damaged_and_mistaken_files_of_data_are_refused() {
    type Damage = fn(&Path);
    let cases: [(Damage, &[&str]); 9] = [
        (|folder| truncate(&folder.join(FILES[0]), 1000), &[FILES[0], "truncated"]),
        (|folder| truncate(&folder.join(FILES[1]), 9), &[FILES[1], "truncated"]),
        (|folder| truncate(&folder.join(FILES[2]), 6), &[FILES[2], "truncated"]),
        (|folder| truncate(&folder.join(FILES[0]), 0), &[FILES[0], "empty"]),
        (|folder| fs::copy(folder.join(FILES[1]), folder.join(FILES[0])).map(drop).unwrap(), &[FILES[0], "axes"]),
        (|folder| fs::copy(folder.join(FILES[0]), folder.join(FILES[1])).map(drop).unwrap(), &[FILES[1], "axes"]),
        (|folder| fs::write(folder.join(FILES[3]), "a text\n").unwrap(), &[FILES[3], "neither gzip nor IDX"]),
        (
            |folder| fs::write(folder.join(FILES[1]), digits::labels(digits::TRAINING - 1)).unwrap(),
            &["320 images", "319 labels"],
        ),
        (
            |folder| {
                let mut labels = digits::labels(digits::TRAINING);
                labels[8 + 17] = 10;
                fs::write(folder.join(FILES[1]), labels).unwrap();
            },
            &["label of image 17 is 10", "10 classes"],
        ),
    ];
    for (damage, words) in cases {
        let (data, _) = digits::folder();
        damage(data.path());
        assert_bad_data(data.path(), words);
    }
}

fn truncate(path: &Path, bytes: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn a_compressed_file_that_was_cut_is_refused() {
    let (data, _) = digits::folder();
    let plain = data.path().join(FILES[0]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
    let compressed = encoder.finish().unwrap();
    fs::remove_file(&plain).unwrap();
    fs::write(data.path().join(format!("{}.gz", FILES[0])), &compressed[..compressed.len() / 2]).unwrap();
    assert_bad_data(data.path(), &[FILES[0], "truncated"]);
}

#[test]
fn folders_that_cannot_be_written_are_failures_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    let line = "train --preset smoke --epochs 1 --training-images 100 --device cpu --out";
    holdfast(line, &[text(&file.join("below"))]).refused(1, &["cannot create the folder", "below"]);
    holdfast(line, &[text(&file)]).refused(2, &["is a file, not a folder", "--out"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_folder_of_another_configuration_or_with_an_unreadable_manifest_is_left_alone() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let train = |epochs: u32| {
        let line =
            format!("train --preset smoke --training-images 100 --depth 2 --device cpu --epochs {epochs} --data");
        holdfast(&line, &[&argument, "--out", text(out.path())])
    };
    train(1).succeeded();
    let before = fs::read(out.path().join("history.npz")).unwrap();
    train(2).refused(2, &[text(out.path()), "another configuration"]);
    fs::write(out.path().join("manifest.json"), "{").unwrap();
    train(1).refused(2, &["manifest.json"]);
    assert!(fs::read(out.path().join("history.npz")).unwrap() == before);
}

#[test]
fn a_batch_larger_than_the_data_is_one_short_step_with_a_notice() {
    let (_data, argument) = digits::folder();
    let out = tempfile::tempdir().unwrap();
    let line = "train --preset smoke --training-images 100 --epochs 1 --batch 1000 --depth 2 --device cpu --data";
    holdfast(line, &[&argument, "--out", text(out.path())])
        .succeeded()
        .says(&["notice: --batch 1000 is larger than the 100 training images"]);
    let quiet = holdfast(line, &[&argument, "--quiet", "--out", text(out.path())]).succeeded();
    assert_eq!(quiet.stderr, "");
}
