//! The laboratory: what watches and measures the engine, and what no result needs.
//!
//! It watches by way of [`crate::gpu::Observer`]: a tape of all that a device is asked, times of launches, and how near each
//! kernel comes to what its device can do at most.

pub mod bench_file;
mod limits;
pub mod program;
pub mod roofline;
pub mod sparse;
pub mod tape;
mod watching;

pub use limits::{CopyProbe, peak_operations};
pub use watching::{LaunchTimes, launches, measure, profile};
