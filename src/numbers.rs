//! How numbers are written for people.

/// A number with three significant digits and commas between thousands: `0.0312`, `41.3`, `4,210`; whole numbers stay
/// whole.
pub fn significant(value: f64) -> String {
    if value.fract() == 0.0 || !value.is_finite() {
        return rounded(value, 0);
    }
    rounded(value, decimals(value))
}

/// A share in per cent, with as many digits as it has: `80 %`, `12.5 %`.
pub fn percent(share: f64) -> String {
    // A product with 100 has digits of its own behind the twelfth.
    format!("{} %", (1e12 * share).round() / 1e10)
}

/// A mean and its standard deviation, if there is one, both as precise as three digits of the mean:
/// `0.310 ms ± 0.020`.
pub fn with_spread(mean: f64, sd: Option<f64>, unit: &str) -> String {
    let digits = if mean.is_finite() && mean != 0.0 { decimals(mean) } else { 2 };
    let spread = sd.map(|sd| format!(" ± {}", rounded(sd, digits))).unwrap_or_default();
    format!("{} {unit}{spread}", rounded(mean, digits))
}

/// A median with the range that it lies in, `[median, low, high]`, and its unit, with as many digits as the range allows:
/// `0.310 ms (0.298 to 0.331)`, `290 (240 to 330)`.
pub fn ranged(numbers: [f64; 3], unit: &str) -> String {
    let [median, low, high] = numbers;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    if !numbers.iter().all(|number| number.is_finite()) || median == 0.0 {
        return format!("{}{unit}", significant(median));
    }
    // The last digit moves within the range; the median keeps one digit, and no number has more than three.
    let width = high - low;
    let of_range = if width > 0.0 { (-place(width / 2.0)).max(-place(median)) } else { i32::MAX };
    let decimals = of_range.min((2 - digits_before(median)).max(0));
    let text = |number: f64| rounded_at(number, decimals);
    format!("{}{unit} ({} to {})", text(median), text(low), text(high))
}

/// A number with as many digits as an error leaves it, three at most.
pub fn known_to(value: f64, error: Option<f64>) -> String {
    let Some(error) = error.filter(|&error| error > 0.0 && value != 0.0) else { return significant(value) };
    rounded_at(value, (-place(error)).clamp(-place(value), 2 - place(value)))
}

/// The place of the first digit of a number other than 0, counted from that of ones.
fn place(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// The place of the first digit of a finite number other than 0, counted from that of ones.
fn digits_before(value: f64) -> i32 {
    // Scientific notation rounds first, so that 99.99 counts as 100.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    place(rounded)
}

/// Decimals that leave three significant digits of a finite number other than 0.
fn decimals(value: f64) -> usize {
    (2 - digits_before(value)).max(0) as usize
}

fn rounded(value: f64, decimals: usize) -> String {
    if decimals == 0 && value.is_finite() { thousands(value.round() as i64) } else { format!("{value:.decimals$}") }
}

/// With fewer than no decimals it ends in zeros.
fn rounded_at(value: f64, decimals: i32) -> String {
    match decimals {
        0.. => rounded(value, decimals as usize),
        _ => rounded((value / 10f64.powi(-decimals)).round() * 10f64.powi(-decimals), 0),
    }
}

/// A number with what it counts: `1 replica`, `1,010 points`.
pub fn counted(number: f64, noun: &str) -> String {
    let plural = if number == 1.0 { "" } else { "s" };
    format!("{} {noun}{plural}", significant(number))
}

/// A whole number with commas between thousands.
pub fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits_and_counts_stay_whole() {
        let cases = [
            (0.031_24, "0.0312"),
            (0.999_9, "1.00"),
            (41.26, "41.3"),
            (99.99, "100"),
            (945.2, "945"),
            (21.0, "21"),
            (4_210.4, "4,210"),
            (1_234_567.0, "1,234,567"),
            (-12.34, "-12.3"),
            (0.0, "0"),
        ];
        for (value, text) in cases {
            assert_eq!(significant(value), text, "{value}");
        }
    }

    #[test]
    fn a_share_is_told_in_per_cent() {
        assert_eq!([0.55, 0.125, 1.0, 0.0, 0.07].map(percent), ["55 %", "12.5 %", "100 %", "0 %", "7 %"]);
    }

    #[test]
    fn a_range_says_how_many_digits_mean_something() {
        assert_eq!(ranged([290.4, 241.0, 332.0], ""), "290 (240 to 330)");
        assert_eq!(ranged([0.310_4, 0.298_1, 0.331_2], "ms"), "0.31 ms (0.30 to 0.33)");
        assert_eq!(ranged([1_295.0, 1_294.9, 1_295.2], "times"), "1,295 times (1,295 to 1,295)");
        assert_eq!(ranged([5.0, 5.0, 5.0], ""), "5.00 (5.00 to 5.00)");
        assert_eq!(ranged([66.0, 12.0, 412.0], ""), "70 (10 to 410)");
        assert_eq!(ranged([0.0, 0.0, 0.0], "ms"), "0 ms");
        assert_eq!(ranged([f64::NAN, 0.0, 0.0], ""), "NaN");
    }

    #[test]
    fn an_error_says_how_many_digits_are_known() {
        let cases =
            [(0.4137, Some(0.02), "0.41"), (215.0, Some(8.0), "215"), (1732.0, Some(300.0), "1,700"), (4.0, None, "4")];
        for (value, error, text) in cases {
            assert_eq!(known_to(value, error), text);
        }
    }

    #[test]
    fn a_spread_is_as_precise_as_its_mean() {
        assert_eq!(with_spread(0.310_4, Some(0.020_1), "ms"), "0.310 ms ± 0.020");
        assert_eq!(with_spread(261.7, Some(7.64), "ms"), "262 ms ± 8");
        assert_eq!(with_spread(4_210.4, Some(30.2), "ms"), "4,210 ms ± 30");
        assert_eq!(with_spread(1.5, None, "ms"), "1.50 ms");
    }
}
