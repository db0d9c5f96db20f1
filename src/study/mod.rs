//! Whole experiments: from data to files and to the numbers that reports show.
//!
//! What takes an [`crate::engine::Engine`] fails as its calls do, and with [`crate::error::Error::Interrupted`] after a stop;
//! what writes files fails with [`crate::error::Error::Io`]; what reads a run's files fails with
//! [`crate::error::Error::Data`] if they are missing, damaged or of another run. Functions name what else they fail with.

mod agreement;
mod baseline;
pub mod classified;
pub mod compact;
pub mod comparison;
pub mod conclusion;
mod criteria;
mod inference;
pub mod memory;
mod part;
pub mod pruned;
pub mod replication;
mod surgeons;
