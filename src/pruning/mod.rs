//! From numbers to masks, from masks to accuracies.

mod sweep_row;

pub use sweep_row::{Method, SweepRow};
