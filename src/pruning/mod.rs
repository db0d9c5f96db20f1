//! From numbers to masks, from masks to accuracies.

pub mod decay;
pub mod masks;
