//! The focus layer of a finished cell: its recorded history, and what is counted of it once more, on the CPU.

use super::comparison::windows;
use super::recorded::RecordedRun;
use crate::engine::Engine;
use crate::error::Result;
use crate::stability::{History, Stability, WindowedEnvelope};

/// A recorded focus layer with the numbers that criteria choose by.
#[derive(Clone, Debug)]
pub struct FocusLayer {
    /// Units of the layer and of the one before it: weights lie in `[width, width]`.
    pub width: usize,
    /// The recorded weights.
    pub history: History,
    /// Magnitude stability for the tolerances of the run.
    pub stability: Stability,
    /// Extremes over the windows of the run.
    pub envelope: WindowedEnvelope,
}

impl FocusLayer {
    /// Reads the history and counts it. Counts are equal on every engine.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] if the history is missing, damaged, or of another layer.
    pub fn read(run: &RecordedRun, engine: &mut Engine) -> Result<Self> {
        let configuration = &run.configuration;
        let history = run.history()?.history;
        let stability = Stability::count(engine, &history, &configuration.tolerance, configuration.reading())?;
        let envelope = WindowedEnvelope::new(engine, &history, &windows(configuration)?)?;
        Ok(Self { width: configuration.width, history, stability, envelope })
    }
}
