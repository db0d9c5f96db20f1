//! The ladders, one file each.

pub(super) mod conv2d;
pub(super) mod dense;
pub(super) mod gram;
pub(super) mod magnitude_sort;
pub(super) mod stability;

use super::steps::Rung;
use crate::check::Draws;
use crate::check::comparator::{Expected, sums_of_products};

/// Factor of the tolerance of a short sum, as the checks of the kernels have it.
const FACTOR: f64 = 8.0;

/// A text of this path, launched with these workgroups.
macro_rules! rung {
    ($path:literal, $grid:expr) => {
        super::Rung { text: text!($path), grid: $grid }
    };
}
use rung;

/// Workgroups along x for so many items.
fn groups(items: usize, of: usize) -> u32 {
    items.div_ceil(of) as u32
}

/// A launch of 64 invocations a workgroup for so many items, four million at most.
fn flat(items: usize) -> [u32; 3] {
    [groups(items, 64), 1, 1]
}

/// Sizes as words.
fn words(sizes: &[usize]) -> Vec<u32> {
    sizes.iter().map(|&size| size as u32).collect()
}

/// What a twin makes of sums of so many `terms`, once of the numbers and once of their magnitudes, which bound the rounding.
/// Errors of n additions of one sign walk at random: their spread is a sixth of the root of n, and twice the root passes.
fn sums(terms: usize, twin: impl Fn(fn(f32) -> f64) -> Vec<f64>) -> Vec<Expected> {
    let factor = FACTOR.max(2.0 * (terms as f64).sqrt());
    sums_of_products(&twin(f64::from), &twin(|number| f64::from(number.abs())), factor)
}

/// Numbers made by `number`.
fn made(numbers: &[f32], number: fn(f32) -> f64) -> Vec<f64> {
    numbers.iter().map(|&value| number(value)).collect()
}
