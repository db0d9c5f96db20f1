//! Data sets: from files or generators to grayscale images with labels, and the order in which training sees them.

pub mod batches;
pub mod catalogue;
mod contrived;
mod dataset;
pub mod export;
mod idx;
mod mnist;
mod processed;
mod source;
mod splits;

pub use dataset::Dataset;
pub use source::{LoadOptions, Source};
pub use splits::{Split, hold_out, stratified_draw};
