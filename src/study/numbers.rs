//! How numbers are written for people.

/// A number with three significant digits and commas between thousands: `0.0312`, `41.3`, `4,210`; whole numbers stay
/// whole.
pub fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    // Scientific notation rounds first, so that 99.99 becomes 1.00e2 and not 100.0.
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let decimals = 2 - rounded.abs().log10().floor() as i32;
    if value.fract() == 0.0 || decimals <= 0 {
        return thousands(value.round() as i64);
    }
    format!("{rounded:.*}", decimals as usize)
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
}
