//! Data sets: from files or generators to gray or colour images with labels, and the order in which training sees them.

mod archive;
mod array_shape;
pub mod batches;
pub mod catalogue;
mod classes;
pub mod contents;
mod contrived;
mod dataset;
pub mod export;
mod files;
mod findings;
mod fit;
mod folders;
mod idx;
mod images;
mod inspection;
mod jpeg;
mod left_out;
mod mnist;
mod picture;
mod processed;
mod source;
mod splits;
mod synthetic;

pub use dataset::{ChannelStatistics, Dataset};
pub use fit::{Fit, check_side};
pub use source::{LoadOptions, Loaded, PAPER_SIDE, Source};
pub use splits::{Split, TEST_SHARE, check_share, hold_out, stratified_draw};
