//! Runs the program, and reads the tables that it writes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How a run of the program ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// What a run left. Whatever it was given, it must not have panicked.
    pub fn of(output: Output) -> Self {
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(!stderr.contains("panicked"), "{stderr}");
        Self { code: output.status.code(), stdout, stderr }
    }

    /// Panics unless the run was a success.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Panics unless the run failed with this code, and said so on standard error in words that hold all of these.
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "a failure has no result");
        // Drivers may speak before the program does: its own message comes last.
        let message = self.stderr.rfind("error: ").map_or("", |start| &self.stderr[start..]);
        for word in words {
            assert!(message.contains(word), "{word:?} is not in the message of\n{}", self.stderr);
        }
    }

    /// Panics unless all of these words are on standard output.
    pub fn prints(self, words: &[&str]) -> Self {
        words.iter().for_each(|word| assert!(self.stdout.contains(word), "{word:?} is not in\n{}", self.stdout));
        self
    }

    /// Panics unless all of these words are on standard error.
    pub fn says(self, words: &[&str]) -> Self {
        words.iter().for_each(|word| assert!(self.stderr.contains(word), "{word:?} is not in\n{}", self.stderr));
        self
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }
}

/// The program with these arguments, ready to be started.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Tests leave nothing in the cache of whoever runs them.
    command.env("HOLDFAST_TUNING", "off");
    command
}

/// Runs a command to its end.
pub fn end(command: &mut Command) -> Ended {
    Ended::of(command.output().unwrap())
}

/// A table that was read from a CSV file.
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let columns = reader.headers().unwrap().iter().map(String::from).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect();
        Self { columns, rows }
    }

    fn place(&self, column: &str) -> usize {
        self.columns.iter().position(|name| name == column).unwrap_or_else(|| panic!("there is no column {column}"))
    }

    /// The rows whose columns hold these values.
    pub fn only(&self, conditions: &[(&str, &str)]) -> Self {
        let holds = |row: &&Vec<String>| conditions.iter().all(|(column, value)| row[self.place(column)] == *value);
        Self { columns: self.columns.clone(), rows: self.rows.iter().filter(holds).cloned().collect() }
    }

    /// A column as text.
    pub fn column(&self, column: &str) -> Vec<&str> {
        let place = self.place(column);
        self.rows.iter().map(|row| row[place].as_str()).collect()
    }

    /// A column as numbers.
    pub fn numbers(&self, column: &str) -> Vec<f64> {
        self.column(column).iter().map(|entry| entry.parse().unwrap_or_else(|_| panic!("{column}: {entry}"))).collect()
    }

    /// A column as counts.
    pub fn counts(&self, column: &str) -> Vec<usize> {
        self.column(column).iter().map(|entry| entry.parse().unwrap_or_else(|_| panic!("{column}: {entry}"))).collect()
    }
}

/// The manifest of a run.
pub fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}
