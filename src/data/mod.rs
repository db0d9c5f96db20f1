//! Data sets: from files or generators to grayscale images with labels, and the order in which training sees them.

mod dataset;

pub use dataset::Dataset;
