//! Finds the commit that the program is built from, for the fingerprint beside measured times.
//!
//! It runs only when sources change, and then the library is compiled anyway: after a commit alone nothing is built again. What it
//! says is true of the sources that were compiled. It never fails a build.

use std::path::Path;
use std::process::Command;

/// What the program is made of.
const SOURCES: [&str; 8] =
    ["build.rs", "Cargo.toml", "Cargo.lock", "src", "shaders", "templates", "lessons", "docs/kernels"];
/// Whoever builds may say the commit in this variable; the library is told it by the same name.
const VARIABLE: &str = "HOLDFAST_COMMIT";
/// Digits of a commit that are kept.
const DIGITS: usize = 12;

fn main() {
    for source in SOURCES.into_iter().filter(|source| Path::new(source).exists()) {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let said = std::env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = said.or_else(of_package).or_else(of_repository) {
        println!("cargo:rustc-env={VARIABLE}={commit}");
    }
}

/// The commit that `cargo package` notes in a package: `{"git": {"sha1": "..."}}`, with `"dirty": true` where it packed changes.
fn of_package() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let commit = text.split("\"sha1\"").nth(1)?.split('"').nth(1)?.get(..DIGITS)?;
    Some(marked(commit, text.contains("\"dirty\": true")))
}

/// The commit of the repository whose root this is: one around it, as of a folder of vendored packages, is not ours.
fn of_repository() -> Option<String> {
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    let commit = git(&["rev-parse", &format!("--short={DIGITS}"), "HEAD"])?;
    let status = [&["--no-optional-locks", "status", "--porcelain", "--"][..], &SOURCES].concat();
    Some(marked(&commit, !git(&status)?.is_empty()))
}

fn marked(commit: &str, is_changed: bool) -> String {
    format!("{commit}{}", if is_changed { "-dirty" } else { "" })
}

/// What git says; nothing where it is missing or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let ended = Command::new("git").args(arguments).output().ok().filter(|ended| ended.status.success())?;
    Some(String::from_utf8(ended.stdout).ok()?.trim().to_string())
}
