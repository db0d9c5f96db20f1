//! Training against answers that PyTorch gave in double precision (`tests/fixtures/README.md`).
//!
//! `HOLDFAST_FIXTURES` names another folder of files of the same form.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod engines;
mod fixture;
mod twins;
