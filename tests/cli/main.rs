//! The program as its users run it: the built binary, its exit codes, its two streams and the files that it leaves.
//!
//! Some tests run the shaders: without any adapter they fail.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/adapter.rs"]
mod adapter;
mod adapters;
mod bench_and_devices;
mod compact;
mod completions;
mod determinism;
mod digits;
#[cfg(unix)]
mod disturbance;
mod doctor;
mod export;
mod folders;
mod interruption;
mod lessons;
mod memory;
mod moved;
mod networks;
mod playground;
mod program;
mod recorded_runs;
mod refusals;
mod report;
mod resumption;
mod run_folder;
mod settings;
mod stacks;
mod study;
#[path = "../support/program.rs"]
mod support;
mod surgeons;
