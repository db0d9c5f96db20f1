//! From numbers to masks, from masks to accuracies.

pub mod criterion;
pub mod decay;
pub mod masks;
pub mod operating_points;
pub mod surgeon;
pub mod surgery;
pub mod sweep;
mod sweep_row;

pub use sweep_row::{Layers, Method, Repair, Scope, SweepRow};
