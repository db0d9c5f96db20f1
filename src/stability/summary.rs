//! What a count says in a few numbers.

use super::{History, Stability};
use serde::Serialize;

/// Magnitude stability at one tolerance, over all weights of all replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToleranceSummary {
    /// The tolerance.
    pub tolerance: f64,
    /// Mean magnitude stability, in epochs.
    pub mean: f64,
    /// Its standard deviation between weights (divided by n - 1); `None` for a single weight.
    pub sd: Option<f64>,
    /// Stable weights at each epoch, mean over the replicas.
    pub stable_weights: Vec<f64>,
    /// Of the thresholds 1 to E how many give different masks: in the replica with the fewest.
    pub fewest_distinct_thresholds: usize,
    /// The same, in the replica with the most.
    pub most_distinct_thresholds: usize,
}

/// A summary for each tolerance.
pub fn summarise(history: &History, stability: &Stability) -> Vec<ToleranceSummary> {
    let shape = history.shape();
    let of_tolerance = |(index, &tolerance): (usize, &f64)| {
        let counts = &stability.counts.stability[index * shape.columns()..][..shape.columns()];
        let mean = counts.iter().map(|&epochs| f64::from(epochs)).sum::<f64>() / counts.len() as f64;
        let squares: f64 = counts.iter().map(|&epochs| (f64::from(epochs) - mean).powi(2)).sum();
        let stable = &stability.counts.stable_weights[index * shape.epochs * shape.replicas..];
        let stable = stable.chunks(shape.replicas).take(shape.epochs);
        let distinct: Vec<usize> =
            counts.chunks(shape.weight_count).map(|counts| distinct_thresholds(counts, shape.epochs)).collect();
        ToleranceSummary {
            tolerance,
            mean,
            sd: (counts.len() > 1).then(|| (squares / (counts.len() - 1) as f64).sqrt()),
            stable_weights: stable
                .map(|replicas| {
                    replicas.iter().map(|&weight_count| f64::from(weight_count)).sum::<f64>() / shape.replicas as f64
                })
                .collect(),
            fewest_distinct_thresholds: distinct.iter().copied().min().unwrap_or(0),
            most_distinct_thresholds: distinct.iter().copied().max().unwrap_or(0),
        }
    };
    stability.tolerances.iter().enumerate().map(of_tolerance).collect()
}

/// How many of the thresholds 1..=E give different masks: from one threshold to the next the mask changes only if a weight
/// has exactly the lower one as its stability.
fn distinct_thresholds(stability: &[u32], epochs: usize) -> usize {
    let mut occurs = vec![false; epochs + 1];
    for &count in stability {
        occurs[count as usize] = true;
    }
    1 + occurs[1..epochs].iter().filter(|&&occurs| occurs).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Counts, HistoryShape};

    #[test]
    fn distinct_thresholds_are_those_whose_masks_differ() {
        assert_eq!(distinct_thresholds(&[5, 5, 5], 5), 1, "every threshold keeps all");
        assert_eq!(distinct_thresholds(&[1, 1], 5), 2, "thresholds 2 to 5 keep nothing");
        assert_eq!(distinct_thresholds(&[1, 3, 3, 5], 5), 3);
        assert_eq!(distinct_thresholds(&[1], 1), 1);
    }

    #[test]
    fn a_summary_has_the_mean_over_nodes_and_the_stable_nodes_of_each_epoch() {
        let history = History::new(HistoryShape { epochs: 2, replicas: 2, weight_count: 2 }, vec![0.5; 8]).unwrap();
        let counts = Counts { stability: vec![1, 2, 2, 2, 1, 1, 1, 1], stable_weights: vec![1, 2, 2, 2, 0, 0, 2, 2] };
        let summaries = summarise(&history, &Stability { tolerances: vec![0.05, 0.01], counts });
        assert_eq!((summaries[0].mean, summaries[0].sd), (1.75, Some(0.5)));
        assert_eq!(summaries[0].stable_weights, [1.5, 2.0]);
        assert_eq!((summaries[0].fewest_distinct_thresholds, summaries[0].most_distinct_thresholds), (1, 2));
        assert_eq!((summaries[1].tolerance, summaries[1].mean, summaries[1].sd), (0.01, 1.0, Some(0.0)));
        assert_eq!(summaries[1].stable_weights, [0.0, 2.0]);
    }
}
