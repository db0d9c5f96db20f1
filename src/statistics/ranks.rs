//! Whether two groups of numbers differ, told by their ranks alone: nothing is supposed of how the numbers are distributed, since
//! times have a long tail.

use statrs::distribution::{ContinuousCDF, Normal};

/// How many numbers at most are compared exactly; more go by the normal distribution.
const EXACT: usize = 60;

/// The probability that two groups whose numbers come from the same place differ in their ranks as much as these do, or more: the
/// rank test of Mann and Whitney, two-sided. Exact for up to 60 numbers that all differ; otherwise by the normal distribution,
/// corrected for ties and for continuity. 1 if a group is empty.
pub fn rank_test(one: &[f64], other: &[f64]) -> f64 {
    let pairs = one.len() * other.len();
    if pairs == 0 {
        return 1.0;
    }
    // Pairs that the first group wins, a tie counted half.
    let wins: f64 =
        one.iter().flat_map(|a| other.iter().map(move |b| if a == b { 0.5 } else { f64::from(u8::from(a > b)) })).sum();
    let least = wins.min(pairs as f64 - wins);
    let mut all: Vec<f64> = one.iter().chain(other).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all.chunk_by(|a, b| a == b).map(|equal| (equal.len() as f64).powi(3) - equal.len() as f64).sum();
    if ties == 0.0 && all.len() <= EXACT {
        return (2.0 * share_up_to(least as usize, one.len(), other.len())).min(1.0);
    }
    let count = all.len() as f64;
    let variance = pairs as f64 / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    let distance = (pairs as f64 / 2.0 - least - 0.5).max(0.0);
    if variance <= 0.0 {
        return 1.0;
    }
    (2.0 * Normal::standard().sf(distance / variance.sqrt())).min(1.0)
}

/// Of all ways to mix two groups of numbers that differ, the share in which the first group wins at most so many pairs.
fn share_up_to(wins: usize, one: usize, other: usize) -> f64 {
    // `ways[a][w]`: orders of `a` of the first group and so many of the other as have been taken in, with `w` pairs won. The
    // largest number is one of the first group, which wins against all of the other, or one of the other.
    let mut ways = vec![vec![0.0; one * other + 1]; one + 1];
    ways.iter_mut().for_each(|ways| ways[0] = 1.0);
    for taken in 1..=other {
        for a in 1..=one {
            for won in (0..=a * taken).rev() {
                let first = if won >= taken { ways[a - 1][won - taken] } else { 0.0 };
                ways[a][won] += first;
            }
        }
    }
    let ways = &ways[one];
    ways[..=wins].iter().sum::<f64>() / ways.iter().sum::<f64>()
}

/// The probability that differences which chance makes, each as easily above 0 as below, are as far to one side by their signed
/// ranks as these are, or further: the signed rank test of Wilcoxon, two-sided. Differences of 0 are left out. Exact for up to 60
/// whose sizes all differ; otherwise by the normal distribution, corrected for ties and for continuity. 1 of none.
pub fn signed_rank_test(differences: &[f64]) -> f64 {
    let mut all: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    all.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    // Ranks begin at 1; those of equal sizes share theirs.
    let (mut below, mut positive, mut ties) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|a, b| a.abs() == b.abs()) {
        let count = equal.len() as f64;
        let rank = below + (count + 1.0) / 2.0;
        positive += rank * equal.iter().filter(|difference| **difference > 0.0).count() as f64;
        ties += count.powi(3) - count;
        below += count;
    }
    let total = below * (below + 1.0) / 2.0;
    let least = f64::min(positive, total - positive);
    if ties == 0.0 && all.len() <= EXACT {
        return (2.0 * share_of_sums_up_to(least as usize, all.len())).min(1.0);
    }
    let variance = total * (2.0 * below + 1.0) / 12.0 - ties / 48.0;
    let distance = (total / 2.0 - least - 0.5).max(0.0);
    (2.0 * Normal::standard().sf(distance / variance.sqrt())).min(1.0)
}

/// Of all ways to choose some of the ranks 1 to `count`, the share in which they add up to at most `sum`.
fn share_of_sums_up_to(sum: usize, count: usize) -> f64 {
    let mut ways = vec![0.0; count * (count + 1) / 2 + 1];
    ways[0] = 1.0;
    for rank in 1..=count {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    ways[..=sum].iter().sum::<f64>() / ways.iter().sum::<f64>()
}

/// The same probabilities, corrected for their number by Holm: whoever takes those below a level for real is wrong about any of
/// them with at most that probability.
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let mut corrected = vec![1.0; probabilities.len()];
    let mut largest = 0.0f64;
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max(probabilities[place] * (probabilities.len() - rank) as f64).min(1.0);
        corrected[place] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_tested_as_r_does() {
        // The example of R's page on wilcox.test, 0.1272 on one side; of the 3,003 ways to mix them 382 are as far apart.
        let (x, y) = ([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46], [1.15, 0.88, 0.90, 0.74, 1.21]);
        assert!((rank_test(&x, &y) - 0.254_412_254_412_254).abs() < 1e-12, "{}", rank_test(&x, &y));
        assert!((rank_test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 0.1).abs() < 1e-12);
        let (x, y) = ([1.0, 2.0, 2.0, 3.0, 5.0], [2.0, 4.0, 6.0, 7.0]);
        // By hand: 4 pairs of 20, variance 20 / 12 (10 - 24 / 72), z = 5.5 / 4.01.
        assert!((rank_test(&x, &y) - 0.170_608_744_850_83).abs() < 1e-9, "{}", rank_test(&x, &y));
        assert_eq!(rank_test(&[1.0, 1.0], &[1.0]), 1.0);
        assert_eq!(rank_test(&[], &[1.0]), 1.0);
    }

    #[test]
    fn signed_ranks_are_tested_as_r_does() {
        // The example of R's page on wilcox.test, 0.01953 on one side: of 512 ways to choose signs 10 are as far to that side.
        let differences = [0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01];
        assert!((signed_rank_test(&differences) - 20.0 / 512.0).abs() < 1e-12);
        assert!((signed_rank_test(&[0.1, 0.2, 0.3]) - 0.25).abs() < 1e-12);
        // By hand: ranks 2, 2, 2 and 4, of which 2 is negative; variance 7.5 - 24 / 48, z = (5 - 2 - 0.5) / 2.646.
        assert!((signed_rank_test(&[1.0, 1.0, -1.0, 2.0]) - 0.344_704).abs() < 1e-6);
        assert_eq!([signed_rank_test(&[0.0]), signed_rank_test(&[])], [1.0, 1.0]);
        assert_eq!(signed_rank_test(&[1.0, -1.0]), 1.0);
    }

    #[test]
    fn many_signed_ranks_go_by_the_normal_distribution_and_meet_the_exact_test() {
        let walk = |count: usize| -> Vec<f64> {
            (1..=count).map(|place| place as f64 * if place % 3 == 0 { -1.0 } else { 1.0 }).collect()
        };
        // By hand: of 61 the negative ones add up to 630, z = (945.5 - 630 - 0.5) / 139.2; of 60 it would be 284.5 / 135.8.
        assert!((signed_rank_test(&walk(61)) - 0.023_6).abs() < 1e-4);
        assert!((signed_rank_test(&walk(60)) - 0.036_2).abs() < 1e-3);
    }

    #[test]
    fn many_numbers_go_by_the_normal_distribution_and_meet_the_exact_test() {
        let group = |from: f64, count: usize| (0..count).map(|place| from + 1.37 * place as f64).collect::<Vec<_>>();
        let [exact, normal] = [30, 31].map(|count| rank_test(&group(0.0, count), &group(7.7, count)));
        assert!((exact / normal - 1.0).abs() < 0.2, "{exact} {normal}");
    }

    #[test]
    fn holms_correction_steps_down() {
        // By hand: 4 x 0.005, 3 x 0.01, 2 x 0.03, and 0.04 no less than the one before.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert!(holm(&[]).is_empty());
    }
}
