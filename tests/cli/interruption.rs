//! A run that is stopped, and a folder that is in use.

#![cfg(unix)]

use crate::program::{command, end, holdfast, text};
use std::io::Read;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Waits until `done` for at most half a minute.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_folder_in_use_is_refused_and_an_interrupted_run_ends_with_130() {
    let out = tempfile::tempdir().unwrap();
    let line = "train --preset paper --device cpu --replicates 2 --epochs 1000 --out";
    let arguments: Vec<&str> = line.split(' ').chain([text(out.path())]).collect();
    let mut child = command(&arguments).spawn().unwrap();
    wait_until("the manifest", || out.path().join("manifest.json").is_file());
    // The signal is caught from the start of training on, which follows the manifest at once.
    std::thread::sleep(Duration::from_millis(300));

    end(&mut command(&arguments)).refused(2, &[text(out.path()), "in use by another run", "--out"]);

    send("-INT", &child);
    let mut status = None;
    wait_until("the end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(status.unwrap().code(), Some(130), "{stderr}");
    assert_eq!(stdout, "", "an interrupted run has no result");
    assert!(stderr.contains("error: interrupted") && !stderr.contains("panicked"), "{stderr}");

    // The folder is free again, and still belongs to that configuration.
    let other = holdfast("train --preset smoke --epochs 1 --device cpu --out", &[text(out.path())]);
    other.refused(2, &[text(out.path()), "another configuration", "--out"]);
}

#[test]
fn the_end_of_the_time_and_of_the_terminal_save_as_an_interruption_does() {
    for (signal, code) in [("-TERM", 143), ("-HUP", 129)] {
        let out = tempfile::tempdir().unwrap();
        let line = "train --preset paper --device cpu --replicates 2 --epochs 1000 --quiet --out";
        let arguments: Vec<&str> = line.split(' ').chain([text(out.path())]).collect();
        let mut child = command(&arguments).spawn().unwrap();
        wait_until("the manifest", || out.path().join("manifest.json").is_file());
        // As above.
        std::thread::sleep(Duration::from_millis(300));
        send(signal, &child);
        let mut status = None;
        wait_until("the end", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(code), "{signal}");
        assert!(out.path().join("checkpoints/train.checkpoint").is_file(), "{signal}: nothing was saved");
    }
}
