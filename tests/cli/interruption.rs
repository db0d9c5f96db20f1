//! A run that is stopped, and a folder that is in use.

#![cfg(unix)]

use crate::disturbance::{arguments, signal, wait_until};
use crate::program::{command, end, holdfast, text};
use std::io::Read;

#[test]
fn a_folder_in_use_is_refused_and_an_interrupted_run_ends_with_130() {
    let out = tempfile::tempdir().unwrap();
    let line = "train --preset paper --device cpu --replicates 2 --epochs 1000 --out";
    let arguments = arguments(line, out.path());
    let mut child = command(&arguments).spawn().unwrap();
    wait_until("the manifest", || out.path().join("manifest.json").is_file());

    end(&mut command(&arguments)).refused(2, &[text(out.path()), "in use by another run", "--out"]);

    signal(&child, "-INT");
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
