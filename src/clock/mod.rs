//! Measuring time so that the numbers hold: things in alternation, and the facts of the machine beside them.

pub mod fingerprint;
pub mod turns;

pub use fingerprint::{Fingerprint, busy};
pub use turns::{Turns, by_turns, seconds};
