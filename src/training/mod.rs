//! The epoch loop: shuffle, train, prune where a schedule says so, record the focus layer, save, stop, go on.

mod checkpoint;
mod number_hash;
pub mod plateau;
mod session;

use crate::engine::RateSchedule;
pub use checkpoint::{Checkpoint, CheckpointFile, Found, Visit};
pub use number_hash::{NumberHash, hash};
pub use plateau::Plateau;
pub use session::{Plan, Trained, train};

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the learning rate moves from the first epoch to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum LearningRate {
    /// It stays 0.001, as in the paper.
    #[default]
    Constant,
    /// It falls from there to 0 along half a period of the cosine, step by step.
    Cosine,
}

impl LearningRate {
    /// The schedule over all `steps` that are planned.
    pub fn over(self, steps: u64) -> RateSchedule {
        match self {
            Self::Constant => RateSchedule::Constant,
            Self::Cosine => RateSchedule::Cosine { steps },
        }
    }
}

/// Running means of one epoch of one slot, taken before each update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Counted from 1.
    pub epoch: u32,
    /// Slot, in the order of [`Plan::replica_ids`].
    pub slot: usize,
    /// Mean cross-entropy over the samples of the epoch.
    pub loss: f64,
    /// Share of samples classified correctly.
    pub accuracy: f64,
}

/// Where the time of a session went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingTimes {
    /// Initialising, training and pruning.
    pub train: Duration,
    /// Reading the focus layer back and hashing it.
    pub record: Duration,
    /// Deciding which slots stop, and taking them off the device.
    pub plateau: Duration,
}
