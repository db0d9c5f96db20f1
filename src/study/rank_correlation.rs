//! Does a criterion tell more than a weight's final size? Its rank correlation with the magnitude says how far the two
//! agree: 1 where both order the weights alike, 0 where they have nothing in common.

use crate::pruning::Method;
use crate::pruning::operating_points::Numbers;
use serde::{Deserialize, Serialize};

/// One line of `correlations.csv`: Spearman's correlation over the weights of one replica. The order of the fields is the
/// order of the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrelationRow {
    /// The criterion: magnitude stability, settling tolerance with its sign turned (so that more settled is more), or
    /// holding magnitude.
    pub method: Method,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Which training run.
    pub replica: u32,
    /// Tolerance of magnitude stability.
    pub tolerance: Option<f64>,
    /// Window of the other two.
    pub window: Option<u32>,
    /// Correlation with the final magnitude, -1 to 1; none if all weights are alike in one of the two.
    pub spearman: Option<f64>,
}

/// Columns of `correlations.csv`.
pub(super) const CORRELATION_COLUMNS: &[&str] =
    &["method", "model", "data_set", "replica", "tolerance", "window", "spearman"];

/// Correlations of every criterion, tolerance and window with the final magnitude.
pub(super) fn with_magnitude(numbers: &Numbers<'_>, model: &str, data_set: &str) -> Vec<CorrelationRow> {
    let shape = numbers.history.shape();
    let mut rows = Vec::new();
    for replica in 0..shape.replicas {
        let weights = &numbers.history.reference()[replica * shape.weight_count..][..shape.weight_count];
        let magnitudes: Vec<f64> = weights.iter().map(|&weight| f64::from(weight.abs())).collect();
        let mut push = |method, tolerance, window, scores: Vec<f64>| {
            rows.push(CorrelationRow {
                method,
                model: model.into(),
                data_set: data_set.into(),
                replica: replica as u32,
                tolerance,
                window,
                spearman: spearman(&scores, &magnitudes),
            });
        };
        for (index, &tolerance) in numbers.stability.tolerances.iter().enumerate() {
            let stability = numbers.stability.of_replica(index, numbers.history, replica);
            push(Method::Stability, Some(tolerance), None, stability.iter().copied().map(f64::from).collect());
        }
        for (index, &window) in numbers.envelope.windows.iter().enumerate() {
            let settled = numbers.envelope.settling_tolerances(index, replica).into_iter().map(|tolerance| -tolerance);
            push(Method::Settle, None, Some(window), settled.collect());
            let held = numbers.envelope.holding_magnitude(index, replica);
            push(Method::Hold, None, Some(window), held.iter().copied().map(f64::from).collect());
        }
    }
    rows
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs. None if one side is
/// constant.
fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
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
