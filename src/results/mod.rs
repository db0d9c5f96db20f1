//! What was found, as tables: accuracies and what they cost, how they differ, and the tables of the paper; read back from the
//! files of a run.

pub mod accuracy;
pub mod comparison;
pub mod differences;
pub mod ledger;
pub mod summary;
pub mod tables;
pub mod workload;
