//! Whole experiments: from data to files and to the numbers that reports show.
//!
//! What takes an [`crate::engine::Engine`] fails as its calls do, and with [`crate::error::Error::Interrupted`] after a stop;
//! what writes files fails with [`crate::error::Error::Io`]; what reads a run's files fails with
//! [`crate::error::Error::Data`] if they are missing, damaged or of another run. Functions name what else they fail with.

pub mod accuracy;
mod agreement;
mod baseline;
mod blocks;
pub mod calibrated;
pub mod calibration;
pub mod classified;
pub mod compact;
mod compacted;
pub mod comparison;
pub mod conclusion;
pub mod configuration;
pub mod contents;
mod criteria;
pub mod dense_stack;
pub mod differences;
pub mod experiment;
pub mod foreign_weights;
mod inference;
pub mod ledger;
pub mod memory;
pub mod numbers;
pub mod onnx;
mod part;
pub mod presets;
pub mod pruned;
pub mod recorded;
pub mod records;
pub mod replication;
pub mod results;
pub mod runs;
pub mod stored_network;
mod surgeons;
pub mod survival;
pub mod tables;
pub mod ways;
pub mod weight_tables;

use crate::engine::Watch;
use std::sync::atomic::AtomicBool;

/// How a study tells what it is doing; the command line draws bars or prints lines.
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

/// Where a study reports to, and how it is stopped.
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
