//! The epoch loop: shuffle, train, prune where a schedule says so, record the focus layer.

mod session;

pub use session::{EpochMetrics, Plan, Trained, TrainingTimes, hash, train};
