//! Rank correlation.

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs. None if one side is
/// constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (mean_ranks(a), mean_ranks(b));
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

/// Ranks from 1 on by ascending value; equal values share the mean of their ranks.
fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = rank);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `scipy.stats.spearmanr`.
    #[test]
    fn correlations_equal_those_of_scipy() {
        let close = |a: &[f64], b: &[f64], expected: f64| {
            let found = spearman(a, b).unwrap();
            assert!((found - expected).abs() < 1e-12, "{found}, {expected}");
        };
        close(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0], 0.820_782_681_668_123_3);
        close(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0], 1.0);
        close(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], -1.0);
        close(&[f64::NEG_INFINITY, 0.0, 1.0], &[1.0, 2.0, 3.0], 1.0);
    }

    #[test]
    fn a_constant_side_has_no_correlation() {
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
    }
}
