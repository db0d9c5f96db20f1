//! A run that is stopped, and a folder that is in use.

#![cfg(unix)]

use crate::disturbance::{arguments, signal, wait_until};
use crate::program::{command, end, holdfast, text};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};

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

/// A process that does not outlive a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a long training run, sends it signals once it trains, and returns its exit code.
fn code_after(signals: &[&str], mut program: Command, out: &Path) -> Option<i32> {
    let mut child = Running(program.spawn().unwrap());
    wait_until("the manifest", || out.join("manifest.json").is_file());
    for name in signals {
        assert!(child.0.try_wait().unwrap().is_none(), "it did not wait for {name}");
        signal(&child.0, name);
    }
    let mut status = None;
    wait_until("the end", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap().code()
}

#[test]
fn the_end_of_the_time_and_of_the_terminal_save_as_an_interruption_does() {
    const LINE: &str = "train --preset paper --device cpu --replicates 2 --epochs 1000 --quiet --out";
    let hangup_ignored = fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        u64::from_str_radix(mask, 16).unwrap() & 1 == 1
    });
    let saved = |signals: &[&str], code: i32, shell: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let arguments: Vec<&str> = LINE.split(' ').chain([text(out.path())]).collect();
        let mut program = command(&arguments);
        if let [shell, script @ ..] = shell {
            let through = program;
            program = Command::new(shell);
            program.args(script).arg(through.get_program()).args(through.get_args());
        }
        assert_eq!(code_after(signals, program, out.path()), Some(code), "{signals:?}");
        assert!(out.path().join("checkpoints/train.checkpoint").is_file(), "{signals:?}: nothing was saved");
    };
    saved(&["-TERM"], 143, &[]);
    // Where the tests themselves run under `nohup`, so do the runs that they start.
    if !hangup_ignored {
        saved(&["-HUP"], 129, &[]);
    }
    // What `nohup` does.
    if cfg!(target_os = "linux") {
        saved(&["-HUP", "-TERM"], 143, &["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    }
}
