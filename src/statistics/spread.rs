//! The median of a few numbers and how sure it is. Nothing is supposed of how they are distributed, since times have a long tail.

use crate::numbers::{ranged, significant};
use crate::random::{Sequence, Stream};
use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

/// How often the bootstrap draws: a hundred of them lie below its interval, and as many above.
const DRAWS: usize = 4000;

/// The median of some numbers, and where the median of all that they stand for lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The middle number, or the mean of the two in the middle.
    pub median: f64,
    /// With 95 % the true median is at least this.
    pub low: f64,
    /// And at most this.
    pub high: f64,
    /// How many numbers.
    pub count: usize,
}

impl Spread {
    /// Of `values`; `None` of none.
    ///
    /// The interval lies between the k-th number from below and the k-th from above: the true median lies outside with twice the
    /// probability of fewer than k heads among as many coins as there are numbers. The largest k is taken that keeps this at
    /// 5 %; of fewer than six numbers, which allow none, the interval has them all.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&smallest, &largest) = sorted.first().zip(sorted.last())?;
        let (count, middle) = (sorted.len(), sorted.len() / 2);
        let median = median(&sorted);
        let coins = Binomial::new(0.5, count as u64).ok();
        let outside = |k: usize| coins.map_or(1.0, |coins| 2.0 * coins.cdf(k as u64));
        let left_out = (0..middle).take_while(|&k| outside(k) <= 0.05).last();
        let (low, high) = left_out.map_or((smallest, largest), |k| (sorted[k], sorted[count - 1 - k]));
        Some(Self { median, low, high, count })
    }

    /// Of the ratios of numbers that were taken in pairs; where there are fewer of one, the others' last ones have no partner.
    pub fn of_ratios(numerators: &[f64], denominators: &[f64]) -> Option<Self> {
        Self::of(&numerators.iter().zip(denominators).map(|(above, below)| above / below).collect::<Vec<_>>())
    }

    /// Half of the interval's width, as a share of the median.
    pub fn share(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.median
    }

    /// Whether `value` lies in the interval: then the numbers do not tell the median from it.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The same in another unit: each number times `factor`, which is above 0.
    pub fn scaled(&self, factor: f64) -> Self {
        let Self { median, low, high, count } = *self;
        Self { median: factor * median, low: factor * low, high: factor * high, count }
    }

    /// In words: `0.31 ms (0.30 to 0.33)`; one number has no range and says so, `0.310 ms (one turn)`.
    pub fn shown(&self, unit: &str) -> String {
        match self.count {
            1 if unit.is_empty() => format!("{} (one turn)", significant(self.median)),
            1 => format!("{} {unit} (one turn)", significant(self.median)),
            _ => ranged([self.median, self.low, self.high], unit),
        }
    }

    /// A ratio in words: with `~` before it where 1 lies in its range, so that which side is larger is not known.
    pub fn shown_ratio(&self, unit: &str) -> String {
        format!("{}{}", if self.holds(1.0) { "~ " } else { "" }, self.shown(unit))
    }
}

/// The middle of `values`, or the mean of the two in the middle; not a number of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The interval that holds an estimate with 95 %, found by the bootstrap: `estimate` makes it of numbers that are drawn anew, of
/// those that were found, again and again. It is given a seeded sequence of draws.
pub fn bootstrap(mut estimate: impl FnMut(&mut Sequence) -> f64) -> [f64; 2] {
    let mut draws = Sequence::new(1, Stream::Check, 0, 0);
    let mut found: Vec<f64> = (0..DRAWS).map(|_| estimate(&mut draws)).collect();
    found.sort_by(f64::total_cmp);
    let outside = DRAWS / 40;
    [found[outside], found[DRAWS - 1 - outside]]
}

/// The geometric mean of ratios above 0; `None` of none.
pub fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    (!ratios.is_empty()).then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_numbers_that_miss_it_with_five_per_cent_at_most() {
        let spread = |count: usize| Spread::of(&(1..=count).map(|value| value as f64).collect::<Vec<_>>()).unwrap();
        // By hand: 2 / 2^5 = 6 %, 2 / 2^6 = 3 %, 2 (1 + 8) / 2^8 = 7 %, 2 (1 + 9) / 2^9 = 4 %.
        for (count, median, low, high) in
            [(1, 1.0, 1.0, 1.0), (5, 3.0, 1.0, 5.0), (6, 3.5, 1.0, 6.0), (8, 4.5, 1.0, 8.0), (9, 5.0, 2.0, 8.0)]
        {
            assert_eq!(spread(count), Spread { median, low, high, count }, "{count}");
        }
        assert_eq!(Spread::of(&[]), None);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_range_is_told_in_words_and_one_number_has_none() {
        let of = |numbers: &[f64]| Spread::of(numbers).unwrap();
        let wide = of(&[0.9, 1.0, 1.2]);
        assert!(wide.holds(1.0) && wide.holds(1.2) && !wide.holds(1.3));
        assert_eq!(wide.shown_ratio(""), "~ 1.0 (0.9 to 1.2)");
        assert_eq!(of(&[0.29, 0.31, 0.33]).scaled(1e3).shown_ratio("ms"), "310 ms (290 to 330)");
        assert_eq!([of(&[7376.2]).shown("ms"), of(&[1.5]).shown("")], ["7,376 ms (one turn)", "1.50 (one turn)"]);
    }

    #[test]
    fn ratios_are_of_pairs() {
        let spread = Spread::of_ratios(&[2.0, 9.0, 8.0], &[1.0, 3.0]).unwrap();
        assert_eq!((spread.median, spread.low, spread.high, spread.count), (2.5, 2.0, 3.0, 2));
    }

    #[test]
    fn the_bootstrap_finds_the_interval_of_a_mean() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let [low, high] = bootstrap(|draws| {
            let drawn = values.iter().map(|_| values[draws.below(values.len() as u32) as usize]);
            drawn.sum::<f64>() / values.len() as f64
        });
        // The error of such a mean is 28.87 / 10 by theory. To either side lie 2.5 % of 4,000 draws, give or take four times
        // 0.25 %: at least 1.5 % and at most 3.5 %, which a normal distribution has beyond 2.17 and 1.81 errors.
        let error = 2.887;
        for width in [49.5 - low, high - 49.5] {
            assert!((1.81..2.17).contains(&(width / error)), "{low} {high}");
        }
    }

    #[test]
    fn ratios_are_averaged_by_their_logarithms() {
        assert!((geometric_mean(&[2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }
}
