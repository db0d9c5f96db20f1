//! A run: its settings, the models and data sets that it is about, and the files that it writes and reads back.
//!
//! What takes an [`crate::engine::Engine`] fails as its calls do, and with [`crate::error::Error::Interrupted`] after a stop;
//! what writes files fails with [`crate::error::Error::Io`]; what reads a run's files fails with
//! [`crate::error::Error::Data`] if they are missing, damaged or of another run. Functions name what else they fail with.

pub mod calibration;
pub mod cell;
pub mod configuration;
pub mod presets;
pub mod recorded;
pub mod records;
pub mod survival;
pub mod training_runs;
pub mod ways;
