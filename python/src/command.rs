//! The command inside the package, and its runs as functions.

use crate::work::{Job, run as run_job};
use holdfast::cli;
use holdfast::engine::{Control, Progress};
use pyo3::prelude::*;
use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

/// The `holdfast` command with the arguments of the process; returns its exit code.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| cli::run_with(arguments))
}

/// Names of the options of a command, and whether each takes a value.
#[pyfunction]
pub(crate) fn options_of(command: &str) -> Vec<(String, bool)> {
    cli::options_of(command)
}

/// Who hears of a run's progress.
struct Caller {
    job: Job,
    notices: Mutex<Vec<String>>,
}

impl Progress for Caller {
    fn begin(&self, _: &str, _: u64, _: &'static str) {}

    fn advance(&self, units: u64) {
        self.job.advance(units);
    }

    fn extend(&self, _: u64) {}

    fn end(&self) {}

    fn notice(&self, text: &str) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }
}

/// Runs a command with these arguments; returns what it printed as a result, and lines for the user.
#[pyfunction]
pub(crate) fn run(
    py: Python<'_>,
    arguments: Vec<OsString>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(String, Vec<String>)> {
    run_job(py, progress, move |job| {
        // A command keeps whom it reports to for as long as the process lives: these few bytes stay.
        let caller: &'static Caller = Box::leak(Box::new(Caller { job: job.clone(), notices: Mutex::default() }));
        let called = cli::call(arguments, Control { stop: &caller.job.stop, progress: caller })?;
        let notices = std::mem::take(&mut *caller.notices.lock().unwrap_or_else(PoisonError::into_inner));
        let is_notice = |line: &String| line.starts_with("notice: ");
        let notes = called.notes.into_iter().filter(is_notice).map(|line| line.replacen("notice: ", "", 1));
        Ok((called.result, notes.chain(notices).collect()))
    })
}
