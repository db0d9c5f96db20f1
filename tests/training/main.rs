//! Training against answers that PyTorch gave in double precision (`tests/fixtures/README.md`), and by every rule of
//! exponential decay.
//!
//! `HOLDFAST_FIXTURES` names another folder of files of the same form.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../support/adapter.rs"]
mod adapter;
mod engines;
mod fixture;
mod lost_device;
mod rules;
mod selections;
mod twins;
