//! What a ladder is made of: one formula, its steps, their texts, and what each is expected to move.

use super::Text;
use super::problem::Problem;

/// Sizes of a problem, in an order of the family's own.
pub(super) type Sizes = [usize];

/// A launch of a step.
pub(super) struct Rung {
    pub(super) text: Text,
    /// Workgroups for the sizes.
    pub(super) grid: fn(&Sizes) -> [u32; 3],
}

/// One way to compute the formula.
pub struct Step {
    /// Its name: that of the text that it is about.
    pub name: &'static str,
    /// What is new about it, in a line.
    pub idea: &'static str,
    pub(super) rungs: &'static [Rung],
    /// Bytes that a GPU fetches and stores, for the sizes: where neighbours read neighbours 4 for each number, where all read
    /// the same 1, and where each reads somewhere else a whole piece of 32.
    pub(super) bytes: fn(&Sizes) -> f64,
}

/// One formula with its steps.
pub struct Ladder {
    /// Family of kernels that it leads to.
    pub family: &'static str,
    /// The formula, in a line.
    pub formula: &'static str,
    /// Names of the sizes.
    pub(super) sizes: &'static [&'static str],
    /// The steps, from the naive one on.
    pub steps: &'static [Step],
    /// Sizes of the cases that every step must pass.
    pub(super) cases: fn() -> Vec<Vec<usize>>,
    /// Sizes that are timed, smaller ones on a software driver.
    pub(super) timed: fn(is_software: bool) -> Vec<usize>,
    /// Operations of the formula, two for each multiply-add, one for each comparison.
    pub(super) operations: fn(&Sizes) -> f64,
    /// Seeded arrays of a case.
    pub(super) problem: fn(&Sizes) -> Problem,
}
