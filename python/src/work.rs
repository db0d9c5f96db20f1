//! Long work without the interpreter's lock: Python's other threads run on, Ctrl-C is heard, progress is told.

use crate::errors::{exception, of_class};
use holdfast::engine::Watch;
use holdfast::error::Result;
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often Ctrl-C is looked for and progress is told.
const EVERY: Duration = Duration::from_millis(40);
/// How long a stop is waited for before work that owns its arrays is left to end by itself.
const PATIENCE: Duration = Duration::from_millis(100);
/// As much as the main thread of a process has: the command's own work is written for that.
const STACK: usize = 8 << 20;

/// How far work is, and whether it is to stop.
#[derive(Clone, Default)]
pub(crate) struct Job {
    pub(crate) stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Job {
    /// Tells that so many units more are done.
    pub(crate) fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }

    /// Runs `work` with a watch that stops and counts it.
    pub(crate) fn watched<T>(&self, work: impl FnOnce(&Watch<'_>) -> T) -> T {
        work(&Watch { stop: &self.stop, progress: &|units| self.advance(units) })
    }
}

type Outcome<T> = std::thread::Result<Result<T>>;

/// Runs work on arrays that Python owns: it is waited for, whatever happens. `progress` is called with what was done since it
/// was called last; what it raises stops the work.
///
/// Raises what the library's error is, `KeyboardInterrupt` after Ctrl-C, and what `progress` raises.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Job) -> Result<T> + Send,
) -> PyResult<T> {
    let job = Job::default();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let own = job.clone();
            let task = move || {
                // Who waits for it is there until it ends.
                let _ = sender.send(catch_unwind(AssertUnwindSafe(|| work(&own))));
            };
            started(std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, task).map(drop))?;
            wait(&receiver, &job, progress.as_ref(), None)
        })
    })
}

/// Runs work that owns its arrays: after Ctrl-C it is waited for only a moment, and then left to end by itself.
///
/// Raises as [`run`] does.
pub(crate) fn run_owned<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<Py<PyAny>>,
    work: impl FnOnce(&Job) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let job = Job::default();
    py.detach(|| {
        let (sender, receiver) = channel();
        let own = job.clone();
        let task = move || {
            // Nobody may wait for it any more.
            let _ = sender.send(catch_unwind(AssertUnwindSafe(|| work(&own))));
        };
        started(std::thread::Builder::new().stack_size(STACK).spawn(task).map(drop))?;
        wait(&receiver, &job, progress.as_ref(), Some(PATIENCE))
    })
}

fn started(thread: std::io::Result<()>) -> PyResult<()> {
    thread.map_err(|error| {
        Python::attach(|py| of_class(py, "Error", &format!("the system gives no thread to work on: {error}; end some")))
    })
}

/// Waits for an outcome; after a stop only so long as `patience` says.
fn wait<T>(
    receiver: &Receiver<Outcome<T>>,
    job: &Job,
    progress: Option<&Py<PyAny>>,
    patience: Option<Duration>,
) -> PyResult<T> {
    let mut told = 0;
    let mut tell = |py: Python<'_>| {
        let done = job.done.load(Ordering::Relaxed);
        let more = done - std::mem::replace(&mut told, done);
        match progress {
            Some(progress) if more > 0 => progress.call1(py, (more,)).map(drop),
            _ => Ok(()),
        }
    };
    let mut stopped: Option<(PyErr, Instant)> = None;
    let outcome = loop {
        match receiver.recv_timeout(EVERY) {
            Ok(outcome) => break outcome,
            Err(RecvTimeoutError::Disconnected) => break Err(Box::new("its thread has ended")),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some((_, since)) = &stopped {
            if patience.is_some_and(|patience| since.elapsed() > patience) {
                break Ok(Err(holdfast::error::Error::Interrupted));
            }
        } else if let Err(error) = Python::attach(|py| py.check_signals().and_then(|()| tell(py))) {
            job.stop.store(true, Ordering::Relaxed);
            stopped = Some((error, Instant::now()));
        }
    };
    if let Some((error, _)) = stopped {
        return Err(error);
    }
    Python::attach(|py| match outcome {
        Ok(Ok(value)) => tell(py).map(|()| value),
        Ok(Err(error)) => Err(exception(py, &error)),
        Err(panic) => Err(of_class(py, "Error", &of_panic(&*panic))),
    })
}

/// What a panic says: a defect of ours, told as an error all the same.
fn of_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("holdfast has a defect: {}; please report it with what you called", text.unwrap_or("no more is known"))
}
