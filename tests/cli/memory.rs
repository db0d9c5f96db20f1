//! What `--dry-run` says of memory, beside what the run then takes.
#![cfg(target_os = "linux")]

use crate::program::{command, device, fresh_folder, holdfast, text};
use std::time::Duration;

/// The largest resident memory of a run, in bytes: the system keeps it for as long as the process lives.
fn peak(line: &str) -> u64 {
    // Tests run side by side.
    let folder = fresh_folder(&format!("memory-{}", line.replace(' ', "")));
    let arguments = [&line.split(' ').collect::<Vec<_>>()[..], &["--quiet", "--out", text(&folder)]].concat();
    let mut child = command(&arguments).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let known = std::fs::read_to_string(&status).unwrap_or_default();
        let kilobytes = known.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(kilobytes.map_or(0, |number| 1024 * number.parse::<u64>().unwrap()));
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{line}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails unless what is said and what is taken differ by at most a fifth.
fn compare(line: &str) {
    let said = holdfast(&format!("{line} --dry-run --json --quiet"), &[]).succeeded().json();
    let predicted = said["memory_bytes"].as_u64().unwrap() as f64;
    let measured = peak(line) as f64;
    let ratio = predicted / measured;
    assert!((0.8..=1.2).contains(&ratio), "{line}: {predicted} bytes said, {measured} taken, {ratio:.2}: {said}");
}

#[test]
fn a_comparison_takes_as_much_memory_as_was_said() {
    compare("compare --device cpu --preset smoke --epochs 40");
}

#[test]
fn a_comparison_of_convolutional_networks_takes_as_much_memory_as_was_said() {
    compare("compare --device cpu --preset smoke --model cnn");
}

#[test]
fn convolutional_training_takes_as_much_memory_as_was_said() {
    compare("train --device cpu --model cnn --filters 16 --data ct --side 48 --replicates 60 --epochs 1");
}

#[test]
fn the_gpu_engine_takes_as_much_memory_as_was_said() {
    let device = device();
    compare(&format!("train --device {device} --model dnn --data pr --replicates 60 --width 32 --epochs 1"));
}
