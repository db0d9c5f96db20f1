//! Shares of a whole, as people write them: `80%` or `0.8`.

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::str::FromStr;

/// A number from 0 to 1. In a file of settings it is a number or a text.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Share(f64);

impl Share {
    /// Fails, with what to write instead, unless the number is a share.
    fn new(share: f64, written: &str) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            return Ok(Self(share));
        }
        Err(match share {
            share if share > 1.0 && share <= 100.0 && !written.contains('%') => {
                let fraction = hundredth(written).unwrap_or(share / 100.0);
                format!("{written} is more than the whole; write {written}% or {fraction}")
            }
            share if share > 1.0 => format!("{written} is more than the whole; write a share up to 100% or 1"),
            share if share < 0.0 => format!("{written} is less than nothing; write a share from 0% or 0 on"),
            _ => format!("{written} is no share; write one as 80% or 0.8"),
        })
    }
}

/// The hundredth of a decimal number, rounded once: `12.5` gives the number that is written 0.125.
fn hundredth(decimal: &str) -> Option<f64> {
    format!("{decimal}e-2").parse().ok()
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written = text.trim();
        let number = match written.strip_suffix('%') {
            Some(percent) => hundredth(percent.trim_end()),
            None => written.parse().ok(),
        };
        Self::new(number.unwrap_or(f64::NAN), if written.is_empty() { "an empty text" } else { written })
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Share;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a share as \"80%\" or 0.8")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Share, E> {
                let advice =
                    "; in a file the per cent sign needs quotes, and files of older versions had per cent without it";
                let advise = |error: String| if number > 1.0 { error + advice } else { error };
                Share::new(number, &number.to_string()).map_err(|error| E::custom(advise(error)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Share, E> {
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Share, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Settings {
        targets: Vec<Share>,
    }

    #[test]
    fn both_spellings_are_the_same_number() {
        for (percent, fraction) in [
            ("80%", "0.8"),
            ("80 %", ".8"),
            (" 12.5%", "0.125"),
            ("33.3%", "0.333"),
            ("0.7%", "0.007"),
            ("100%", "1"),
            ("0%", "0"),
            ("10%", "1e-1"),
        ] {
            let [a, b]: [Share; 2] = [percent, fraction].map(|text| text.parse().unwrap());
            assert_eq!(a.0.to_bits(), b.0.to_bits(), "{percent} {fraction}");
        }
    }

    #[test]
    fn what_is_no_share_is_refused_with_both_spellings() {
        for (text, words) in [
            ("80", ["80%", "0.8"]),
            ("1.5", ["1.5%", "0.015"]),
            ("101", ["100%", "1"]),
            ("101%", ["100%", "1"]),
            ("-0.1", ["0%", "0"]),
            ("-5%", ["0%", "0"]),
            ("NaN", ["80%", "0.8"]),
            ("inf", ["100%", "1"]),
            ("80%%", ["80%", "0.8"]),
            ("%", ["80%", "0.8"]),
            ("", ["80%", "0.8"]),
            ("8e1%", ["80%", "0.8"]),
            ("half", ["80%", "0.8"]),
        ] {
            let message = text.parse::<Share>().unwrap_err();
            assert!(words.iter().all(|word| message.contains(word)), "{text}: {message}");
        }
    }

    #[test]
    fn a_file_holds_numbers_or_texts() {
        let read = |text: &str| toml::from_str::<Settings>(&format!("targets = {text}"));
        let shares = read("[0, 0.5, \"90%\", \"0.95\", 1]").unwrap().targets;
        assert_eq!(shares.iter().map(|share| share.0).collect::<Vec<_>>(), [0.0, 0.5, 0.9, 0.95, 1.0]);
        for (text, word) in
            [("[0, 50]", "0.5"), ("[12.5]", "12.5%"), ("[true]", "80%"), ("[nan]", "0.8"), ("[-1]", "0%")]
        {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
