//! The commands for anyone's history and numbers: `stability`, `prune`, `study`, and the data that come with the project.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod arrays;
mod axes;
mod data;
mod examples;
mod images;
mod kinds;
mod prune;
mod refusals;
mod stability;
mod study;
mod what_was_read;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// How a run of the program ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the run failed with this code and a message that holds all of these words.
    fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        let message = self.stderr.rfind("error: ").map_or("", |start| &self.stderr[start..]);
        for word in words {
            assert!(message.contains(word), "{word:?} is not in the message of\n{}", self.stderr);
        }
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }
}

/// Runs the program in `folder` with the words of a line and further arguments; it must not panic.
fn holdfast(folder: &Path, line: &str, more: &[&OsStr]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .args(line.split_whitespace())
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ended = Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

/// A column of a CSV file as text.
fn column(path: &Path, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let place = reader.headers().unwrap().iter().position(|column| column == name).unwrap();
    reader.records().map(|row| row.unwrap()[place].to_string()).collect()
}
