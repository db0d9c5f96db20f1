//! Holdfast: prune neural networks by what holds still.
//!
//! A compute engine written by hand in Rust and WGSL that trains batches of small networks, remembers one layer's weights
//! after each epoch, counts for how many last epochs each weight kept its value (magnitude stability, Riedel & Segev
//! 2023), and prunes without retraining. `ARCHITECTURE.md` says which room holds what and who may import whom.

pub mod check;
pub mod cli;
pub mod cpu;
pub mod data;
pub mod engine;
pub mod error;
pub mod gpu;
pub mod kernels;
pub mod network;
pub mod pruning;
pub mod random;
pub mod report;
pub mod run_folder;
pub mod stability;
pub mod statistics;
pub mod study;
pub mod training;
