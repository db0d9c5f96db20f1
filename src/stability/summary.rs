//! What a count says in a few numbers.

use super::{History, Stability};
use crate::engine::HistoryShape;
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

/// Counts over many weights, of one tensor or several, given block by block. All sums are of whole numbers: blocks of any size
/// give the same summary.
#[derive(Clone, Debug)]
pub struct Tally {
    tolerances: Vec<f64>,
    epochs: usize,
    replicas: usize,
    /// How many weights have each stability, `[tolerance, replica, stability]` from 0 on.
    occurs: Vec<u64>,
    /// Stable weights `[tolerance, epoch, replica]`.
    stable: Vec<u64>,
}

impl Tally {
    /// Nothing counted yet, of so many replicas over so many epochs.
    pub fn new(tolerances: &[f64], epochs: usize, replicas: usize) -> Self {
        let occurs = vec![0; tolerances.len() * replicas * (epochs + 1)];
        let stable = vec![0; tolerances.len() * epochs * replicas];
        Self { tolerances: tolerances.to_vec(), epochs, replicas, occurs, stable }
    }

    /// Adds the counts of a block of this shape, whose first replica is `replica`.
    pub fn add(&mut self, replica: usize, shape: HistoryShape, stability: &Stability) {
        let bins = self.epochs + 1;
        let of_replicas = stability.counts.stability.chunks_exact(shape.weight_count);
        for (place, counts) in of_replicas.enumerate() {
            let (tolerance, own) = (place / shape.replicas, replica + place % shape.replicas);
            let occurs = &mut self.occurs[(tolerance * self.replicas + own) * bins..][..bins];
            counts.iter().for_each(|&count| occurs[count as usize] += 1);
        }
        for (place, &stable) in stability.counts.stable_weights.iter().enumerate() {
            let (row, own) = (place / shape.replicas, replica + place % shape.replicas);
            self.stable[row * self.replicas + own] += u64::from(stable);
        }
    }

    /// A summary for each tolerance.
    pub fn summaries(&self) -> Vec<ToleranceSummary> {
        let bins = self.epochs + 1;
        let of_tolerance = |(index, &tolerance): (usize, &f64)| {
            let occurs = &self.occurs[index * self.replicas * bins..][..self.replicas * bins];
            let counted = || occurs.iter().enumerate().map(|(place, &weights)| ((place % bins) as f64, weights as f64));
            let weights: f64 = counted().map(|(_, weights)| weights).sum();
            let mean = counted().map(|(epochs, weights)| epochs * weights).sum::<f64>() / weights;
            let squares: f64 = counted().map(|(epochs, weights)| weights * (epochs - mean).powi(2)).sum();
            let stable = self.stable[index * self.epochs * self.replicas..].chunks(self.replicas).take(self.epochs);
            let distinct: Vec<usize> = occurs.chunks(bins).map(distinct_thresholds).collect();
            ToleranceSummary {
                tolerance,
                mean,
                sd: (weights > 1.0).then(|| (squares / (weights - 1.0)).sqrt()),
                stable_weights: stable
                    .map(|replicas| replicas.iter().sum::<u64>() as f64 / self.replicas as f64)
                    .collect(),
                fewest_distinct_thresholds: distinct.iter().copied().min().unwrap_or(0),
                most_distinct_thresholds: distinct.iter().copied().max().unwrap_or(0),
            }
        };
        self.tolerances.iter().enumerate().map(of_tolerance).collect()
    }
}

/// A summary for each tolerance.
pub fn summarise(history: &History, stability: &Stability) -> Vec<ToleranceSummary> {
    let shape = history.shape();
    let mut tally = Tally::new(&stability.tolerances, shape.epochs, shape.replicas);
    tally.add(0, shape, stability);
    tally.summaries()
}

/// How many of the thresholds 1..=E give different masks, by how many weights have each stability 0..=E: from one threshold to
/// the next the mask changes only if a weight has exactly the lower one as its stability.
fn distinct_thresholds(occurs: &[u64]) -> usize {
    1 + occurs[1..occurs.len() - 1].iter().filter(|&&weights| weights > 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Counts;

    #[test]
    fn distinct_thresholds_are_those_whose_masks_differ() {
        // So many weights of stability 0, 1, 2, ...
        assert_eq!(distinct_thresholds(&[0, 0, 0, 0, 0, 3]), 1, "every threshold keeps all");
        assert_eq!(distinct_thresholds(&[0, 2, 0, 0, 0, 0]), 2, "thresholds 2 to 5 keep nothing");
        assert_eq!(distinct_thresholds(&[0, 1, 0, 2, 0, 1]), 3);
        assert_eq!(distinct_thresholds(&[0, 1]), 1);
    }

    #[test]
    fn a_summary_has_the_mean_over_weights_and_the_stable_nodes_of_each_epoch() {
        let history = History::new(HistoryShape { epochs: 2, replicas: 2, weight_count: 2 }, vec![0.5; 8]).unwrap();
        let counts = Counts { stability: vec![1, 2, 2, 2, 1, 1, 1, 1], stable_weights: vec![1, 2, 2, 2, 0, 0, 2, 2] };
        let summaries = summarise(&history, &Stability { tolerances: vec![0.05, 0.01], counts });
        assert_eq!((summaries[0].mean, summaries[0].sd), (1.75, Some(0.5)));
        assert_eq!(summaries[0].stable_weights, [1.5, 2.0]);
        assert_eq!((summaries[0].fewest_distinct_thresholds, summaries[0].most_distinct_thresholds), (1, 2));
        assert_eq!((summaries[1].tolerance, summaries[1].mean, summaries[1].sd), (0.01, 1.0, Some(0.0)));
        assert_eq!(summaries[1].stable_weights, [0.0, 2.0]);
        // The same in blocks: each replica by itself.
        let mut tally = Tally::new(&[0.05, 0.01], 2, 2);
        let shape = HistoryShape { epochs: 2, replicas: 1, weight_count: 2 };
        for (replica, counts) in [
            Counts { stability: vec![1, 2, 1, 1], stable_weights: vec![1, 2, 0, 2] },
            Counts { stability: vec![2, 2, 1, 1], stable_weights: vec![2, 2, 0, 2] },
        ]
        .into_iter()
        .enumerate()
        {
            tally.add(replica, shape, &Stability { tolerances: vec![0.05, 0.01], counts });
        }
        assert_eq!(tally.summaries(), summaries);
    }
}
