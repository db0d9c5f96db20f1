//! Runs that are disturbed: when, is decided by what they have written, so that a busy machine changes nothing.

use crate::program::{command, text};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// No event is so late, however busy the machine is: what waits longer hangs.
const HANGS: Duration = Duration::from_secs(600);

/// Waits until `done`.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < HANGS, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to the program.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// The words of a line and then the folder.
pub fn arguments<'a>(line: &'a str, out: &'a Path) -> Vec<&'a str> {
    line.split(' ').chain([text(out)]).collect()
}

/// Starts a run and sends it `name` a while after its folder has a manifest, which is written just before training begins;
/// says whether it was still running. The while decides where the signal arrives, never whether a test passes.
pub fn disturb(arguments: &[&str], out: &Path, name: &str, after: Duration) -> bool {
    let mut child = command(arguments).spawn().unwrap();
    let ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    wait_until("the manifest", || out.join("manifest.json").is_file() || ended(&mut child));
    std::thread::sleep(after);
    let running = !ended(&mut child);
    if running {
        signal(&child, name);
    }
    child.wait().unwrap();
    running
}
