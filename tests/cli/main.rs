//! The program as its users run it: the built binary, its exit codes, its two streams and the files that it leaves.
//!
//! Some tests need a Vulkan driver that runs in software (`--device llvmpipe`); where it is missing they fail.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod adapters;
mod bench_and_devices;
mod completions;
mod determinism;
mod digits;
mod doctor;
mod folders;
mod interruption;
mod memory;
mod moved;
mod networks;
mod program;
mod refusals;
mod report;
mod resumption;
mod run_folder;
mod settings;
mod study;
