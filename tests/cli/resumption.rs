//! A run that was killed, interrupted or damaged goes on where it was, and ends with the bits of an undisturbed one.

#![cfg(unix)]

use crate::determinism::assert_same_run;
use crate::digits;
use crate::disturbance::{arguments, disturb};
use crate::program::{command, end, fresh_folder, holdfast, manifest, text};
use holdfast::random::{Sequence, Stream};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// Some seconds of training and then exponential decay in several sessions.
const COMPARE: &str =
    "compare --preset smoke --epochs 12 --ed-epochs 6 --training-images 6000 --device cpu --quiet --out";
/// How often the run is killed; after that it is left alone.
const KILLS: usize = 12;
/// About two seconds of training.
const TRAIN: &str = "train --preset smoke --epochs 200 --device cpu --quiet --out";

/// The folder of a training run that nothing disturbed.
fn undisturbed() -> &'static Path {
    static WHOLE: OnceLock<PathBuf> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = fresh_folder("undisturbed");
        end(&mut command(&arguments(TRAIN, &folder))).succeeded();
        folder
    })
}

/// Interrupts a training run and returns its checkpoint; where the machine is so busy that the run was over before the
/// signal came, tries again.
fn interrupted_training(out: &Path) -> PathBuf {
    let checkpoint = out.join("checkpoints/train.checkpoint");
    for _ in 0..100 {
        disturb(&arguments(TRAIN, out), out, "-INT", Duration::from_millis(200));
        if manifest(out)["finished"].is_null() {
            assert!(checkpoint.is_file(), "an interrupted run has left no checkpoint");
            return checkpoint;
        }
        fs::remove_dir_all(out).unwrap();
    }
    panic!("the run was always over before it could be interrupted");
}

#[test]
fn a_run_killed_at_random_moments_ends_with_the_bits_of_an_undisturbed_one() {
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    end(&mut command(&arguments(COMPARE, whole.path()))).succeeded();
    let mut moments = Sequence::new(3, Stream::Check, 0, 0);
    let mut after = || Duration::from_secs_f64(0.2 + 1.8 * moments.unit());
    let line = arguments(COMPARE, killed.path());
    let kills = (0..KILLS).filter(|_| disturb(&line, killed.path(), "-KILL", after())).count();
    assert!(kills > 0, "the run was never disturbed");
    end(&mut command(&line)).succeeded();
    assert_same_run(whole.path(), killed.path());
    assert!(!killed.path().join("checkpoints").exists(), "a finished run needs no checkpoints");
}

#[test]
fn an_interrupted_run_goes_on() {
    let disturbed = tempfile::tempdir().unwrap();
    interrupted_training(disturbed.path());
    end(&mut command(&arguments(TRAIN, disturbed.path()))).succeeded();
    for name in ["metrics.csv", "history.npz", "weights.safetensors"] {
        let [a, b] = [undisturbed(), disturbed.path()].map(|folder| fs::read(folder.join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn a_damaged_checkpoint_is_said_and_the_session_starts_anew_with_the_same_bits() {
    let damaged = tempfile::tempdir().unwrap();
    let checkpoint = interrupted_training(damaged.path());
    let mut bytes = fs::read(&checkpoint).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&checkpoint, bytes).unwrap();
    let line = TRAIN.replace(" --quiet", "");
    end(&mut command(&arguments(&line, damaged.path()))).succeeded().says(&["damaged"]);
    let [a, b] = [undisturbed(), damaged.path()].map(|folder| fs::read(folder.join("history.npz")).unwrap());
    assert!(a == b, "history.npz differs");
}

#[test]
fn a_finished_run_shows_its_results_again_and_fresh_runs_it_anew() {
    let out = tempfile::tempdir().unwrap();
    let line = "compare --preset smoke --epochs 2 --training-images 300 --device cpu --out";
    let first = holdfast(line, &[text(out.path())]).succeeded();
    let finished = manifest(out.path())["finished"].clone();
    let again = holdfast(line, &[text(out.path())]).succeeded();
    assert_eq!(first.stdout, again.stdout);
    assert!(again.stderr.contains("--fresh"), "{}", again.stderr);
    assert_eq!(manifest(out.path())["finished"], finished);
    let metrics = out.path().join("metrics.csv");
    let before = fs::read(&metrics).unwrap();
    fs::remove_file(&metrics).unwrap();
    let fresh = line.replace("--out", "--fresh --out");
    holdfast(&fresh, &[text(out.path())]).succeeded();
    assert!(fs::read(&metrics).unwrap() == before, "other metrics than those of the first run");
}

#[test]
fn a_run_killed_on_the_surgeons_paths_ends_with_the_bits_of_an_undisturbed_one() {
    let (_data, data) = digits::folder();
    let line = "compare --preset smoke --training-images 320 --epochs 3 --ed-epochs 1 --ed-targets 0 --batch 8 --depth 2 --device \
                cpu --quiet --data";
    let line = format!("{line} {data} --out");
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    end(&mut command(&arguments(&line, whole.path()))).succeeded();
    // Each time it may go on for twice as long, so that the last time lies in the second half of what comes before the paths
    // are kept: there the paths are found.
    let (again, kept) = (arguments(&line, killed.path()), killed.path().join("path.npz"));
    let mut after = Duration::from_millis(100);
    while disturb(&again, killed.path(), "-KILL", after) && !kept.exists() {
        assert!(manifest(killed.path())["finished"].is_null());
        after *= 2;
    }
    end(&mut command(&again)).succeeded();
    assert_same_run(whole.path(), killed.path());
    let [one, other] = [whole.path(), killed.path()].map(|run| fs::read(run.join("path.npz")).unwrap());
    assert!(one == other, "path.npz differs");
}
