//! What a comparison says: who is charged what, and how accurate the pruned networks are.

pub mod accuracy;
pub mod ledger;
pub mod numbers;
