//! Numbers with as many digits as they are known to.

use super::layout::UNKNOWN;
use crate::results::differences::Difference;
use crate::results::summary::Summary;

/// An accuracy in per cent with as many digits as it is known to, one behind the point at most.
pub(super) fn percent(accuracy: &Summary, images: usize) -> String {
    let of_images = (accuracy.mean * (1.0 - accuracy.mean) / images.max(1) as f64).sqrt();
    let error = 100.0 * accuracy.sd.map_or(of_images, |sd| sd / (accuracy.count as f64).sqrt());
    let digits = usize::from(error < 1.0);
    format!("{:.digits$}", 100.0 * accuracy.mean)
}

/// A number without needless digits: `6`, `2.5`.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A difference in percentage points with its interval, `+9.2 (6.1 to 12.3)`, or that it says nothing.
pub(super) fn points_of(difference: &Difference) -> String {
    let Difference { mean, half_width } = *difference;
    let signed = |value: f64, digits: usize| format!("{:+.digits$}", 100.0 * value + 0.0).replace('-', "−");
    let plain = |value: f64, digits: usize| format!("{:.digits$}", 100.0 * value + 0.0).replace('-', "−");
    match half_width {
        Some(half) => {
            let digits = usize::from(half < 0.05);
            format!("{} ({} to {})", signed(mean, digits), plain(mean - half, digits), plain(mean + half, digits))
        }
        None => format!("{}{UNKNOWN}", signed(mean, 0)),
    }
}

/// A difference in percentage points, as precise as it is known.
pub(super) fn known_points(difference: &Difference) -> String {
    let digits = usize::from(difference.half_width.is_some_and(|half| half < 0.05));
    format!("{:+.digits$}", 100.0 * difference.mean + 0.0).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_what_is_known() {
        let summary = |values: &[f64]| Summary::of(values).unwrap();
        assert_eq!(percent(&summary(&[0.95, 0.951, 0.949]), 10_000), "95.0");
        assert_eq!(percent(&summary(&[0.3, 0.5, 0.4]), 10_000), "40");
        assert_eq!([percent(&summary(&[0.95]), 10_000), percent(&summary(&[0.95]), 100)], ["95.0", "95"]);
    }
}
