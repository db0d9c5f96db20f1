//! How long work tells what it is doing, and how it is stopped.

use super::Watch;
use std::sync::atomic::AtomicBool;

/// How long work tells what it is doing; the command line draws bars or prints lines.
pub trait Progress: Sync {
    /// A stage of `total` units of work begins, e.g. `train`, measured in `replica-steps`.
    fn begin(&self, stage: &str, total: u64, unit: &'static str);
    /// So many units more are done.
    fn advance(&self, units: u64);
    /// So many units more are to be done than was said at the beginning.
    fn extend(&self, units: u64);
    /// The stage is over.
    fn end(&self);
    /// Something the user should know.
    fn notice(&self, text: &str);
}

/// Where long work reports to, and how it is stopped.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Set to ask for a stop.
    pub stop: &'a AtomicBool,
    /// Hears of progress.
    pub progress: &'a dyn Progress,
}

impl<'a> Control<'a> {
    /// A watch that tells nobody.
    pub fn silent(&self) -> Watch<'a> {
        Watch { stop: self.stop, ..Watch::nobody() }
    }

    /// Runs `work` as a stage of `total` units, and hands it the watch that counts them.
    pub fn stage<R>(&self, name: &str, total: u64, unit: &'static str, work: impl FnOnce(&Watch<'_>) -> R) -> R {
        self.progress.begin(name, total, unit);
        let progress: &'a dyn Progress = self.progress;
        let result = work(&Watch { stop: self.stop, progress: &move |units| progress.advance(units) });
        self.progress.end();
        result
    }
}
