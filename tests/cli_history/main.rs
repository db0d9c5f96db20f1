//! The commands for anyone's history and numbers: `stability`, `prune`, `study`, and the data that come with the project.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/adapter.rs"]
mod adapter;
mod arrays;
mod axes;
mod colours;
mod data;
mod examples;
mod images;
mod kinds;
mod layers;
mod prune;
mod refusals;
mod stability;
mod study;
#[path = "../support/program.rs"]
mod support;
mod what_was_read;

use std::ffi::OsStr;
use std::path::Path;
use support::{Ended, Table, command, end, manifest};

/// Runs the program in `folder` with the words of a line and further arguments.
fn holdfast(folder: &Path, line: &str, more: &[&OsStr]) -> Ended {
    let words: Vec<&str> = line.split_whitespace().collect();
    end(command(&words).args(more).current_dir(folder))
}

/// A column of a CSV file as text.
fn column(path: &Path, name: &str) -> Vec<String> {
    Table::read(path).column(name).into_iter().map(String::from).collect()
}
