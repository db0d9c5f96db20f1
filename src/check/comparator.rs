//! Comparing what a device gave with what the twin says.

use super::Output;
use std::fmt;

/// Bits that outputs are preset to: a NaN that no kernel computes.
pub const UNWRITTEN: u32 = 0x7fc0_dead;

/// Rounding of one operation in single precision, relative: 2^-23, the distance of numbers from 1.
pub const EPSILON: f64 = f32::EPSILON as f64;

/// What one case of one kernel came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `family.kernel`.
    pub kernel: &'static str,
    /// Sizes of the case.
    pub case: String,
    /// Whether every element lies within its tolerance and nothing else was touched.
    pub passed: bool,
    /// Largest share of the tolerance that an element used; infinite for NaN or where nothing may differ.
    pub share: f64,
    /// The element that used it.
    pub worst: usize,
    /// What was wrong, or an empty string.
    pub failure: String,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, case, share, worst, failure, .. } = self;
        write!(formatter, "{kernel} {case}: {:.1} % of the tolerance at element {worst}", 100.0 * share)?;
        if failure.is_empty() { Ok(()) } else { write!(formatter, "; {failure}") }
    }
}

/// What a twin expects of an element, and how far a device may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The twin's value.
    pub value: f64,
    /// The largest difference that passes.
    pub tolerance: f64,
}

/// Pairs values with `factor * EPSILON * magnitude`: the tolerance of a sum of products, where `magnitudes` are the sums
/// of the magnitudes of its terms, made by the twin on absolute inputs.
pub fn sums_of_products(values: &[f64], magnitudes: &[f64], factor: f64) -> Vec<Expected> {
    let expected = |(&value, &magnitude): (&f64, &f64)| Expected { value, tolerance: factor * EPSILON * magnitude };
    values.iter().zip(magnitudes).map(expected).collect()
}

/// Compares numbers. NaN never passes, and neither does a length that differs.
pub fn compare(kernel: &'static str, case: String, found: &Output, expected: &[Expected]) -> Report {
    let mut report = Report { kernel, case, passed: true, share: 0.0, worst: 0, failure: whole(found) };
    if found.bits.len() != expected.len() {
        report.failure = format!("{} elements instead of {}", found.bits.len(), expected.len());
    }
    for (index, (found, expected)) in found.numbers().iter().zip(expected).enumerate() {
        let share = share(f64::from(*found), *expected);
        if share > report.share {
            (report.share, report.worst) = (share, index);
        }
        if share > 1.0 && report.failure.is_empty() {
            report.failure =
                format!("element {index} is {found:e} instead of {:e} +- {:e}", expected.value, expected.tolerance);
        }
    }
    report.passed = report.failure.is_empty();
    report
}

/// The difference as a share of the tolerance; infinite if either is NaN or one is infinite and the other is not.
fn share(found: f64, expected: Expected) -> f64 {
    let difference = (found - expected.value).abs();
    if found == expected.value {
        0.0
    } else if difference.is_finite() && expected.tolerance > 0.0 {
        difference / expected.tolerance
    } else {
        f64::INFINITY
    }
}

/// Compares whole numbers or bits: all must be equal.
pub fn compare_exact(kernel: &'static str, case: String, found: &Output, expected: &[u32]) -> Report {
    let mut report = Report { kernel, case, passed: true, share: 0.0, worst: 0, failure: whole(found) };
    if found.bits.len() != expected.len() {
        report.failure = format!("{} elements instead of {}", found.bits.len(), expected.len());
    }
    if let Some(index) = (0..expected.len().min(found.bits.len())).find(|&index| found.bits[index] != expected[index]) {
        (report.share, report.worst) = (f64::INFINITY, index);
        report.failure = format!("element {index} is {:#x} instead of {:#x}", found.bits[index], expected[index]);
    }
    report.passed = report.failure.is_empty();
    report
}

/// What is wrong with the extent of an output, or an empty string.
fn whole(found: &Output) -> String {
    if let Some(index) = found.guard.iter().position(|&bits| bits != UNWRITTEN) {
        return format!("element {index} behind the end of the output was written");
    }
    match found.bits.iter().position(|&bits| bits == UNWRITTEN) {
        Some(index) => format!("element {index} of the output was not written"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(numbers: &[f32]) -> Output {
        Output { bits: super::super::bits(numbers), guard: vec![UNWRITTEN; 3] }
    }

    fn passes(found: f32, value: f64, tolerance: f64) -> bool {
        compare(
            "test",
            String::new(),
            &output(&[1.0, found]),
            &[Expected { value: 1.0, tolerance: 0.0 }, Expected { value, tolerance }],
        )
        .passed
    }

    #[test]
    fn a_difference_above_the_tolerance_fails_and_names_its_element() {
        assert!(passes(2.5, 2.0, 0.5));
        assert!(!passes(2.5, 2.0, 0.499));
        let expected = [Expected { value: 1.0, tolerance: 1.0 }, Expected { value: 3.0, tolerance: 0.25 }];
        let report = compare("test", String::new(), &output(&[1.5, 2.0]), &expected);
        assert_eq!((report.passed, report.worst, report.share), (false, 1, 4.0));
    }

    #[test]
    fn nan_never_passes() {
        assert!(!passes(f32::NAN, 2.0, f64::INFINITY));
        assert!(!passes(f32::NAN, f64::NAN, f64::INFINITY));
        assert!(!passes(1.0, f64::NAN, f64::INFINITY));
        assert!(!passes(1.0, 2.0, f64::NAN));
    }

    #[test]
    fn infinities_pass_only_as_themselves() {
        assert!(passes(f32::INFINITY, f64::INFINITY, 0.0));
        assert!(!passes(f32::NEG_INFINITY, f64::INFINITY, 1e9));
        assert!(!passes(f32::INFINITY, 1.0, 1e9));
    }

    #[test]
    fn an_element_that_was_not_written_fails() {
        let mut found = output(&[1.0, 2.0]);
        found.bits[1] = UNWRITTEN;
        assert!(!compare_exact("test", String::new(), &found, &found.bits).passed);
    }

    #[test]
    fn a_write_behind_the_end_fails() {
        let mut found = output(&[1.0, 2.0]);
        found.guard[2] = 0;
        assert!(!compare_exact("test", String::new(), &found, &found.bits).passed);
        assert!(!compare("test", String::new(), &found, &[Expected { value: 1.0, tolerance: 9.0 }; 2]).passed);
    }

    #[test]
    fn other_bits_and_other_lengths_fail() {
        let found = output(&[1.0, 2.0]);
        assert!(compare_exact("test", String::new(), &found, &found.bits).passed);
        assert!(!compare_exact("test", String::new(), &found, &output(&[1.0, -2.0]).bits).passed);
        assert!(!compare_exact("test", String::new(), &found, &found.bits[..1]).passed);
        assert!(!compare("test", String::new(), &found, &[]).passed);
    }
}
