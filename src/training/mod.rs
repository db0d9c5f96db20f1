//! The epoch loop: shuffle, train, prune where a schedule says so, record the focus layer, save, stop, go on.

mod checkpoint;
pub mod plateau;
mod session;

pub use checkpoint::{Checkpoint, CheckpointFile, Found, Visit};
pub use plateau::Plateau;
pub use session::{EpochMetrics, NumberHash, Plan, Trained, TrainingTimes, hash, history_of_slot, train};
