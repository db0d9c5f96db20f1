//! Which weights a criterion keeps. A mask holds for each weight of one replica whether it is kept.

use crate::random::{Sequence, Stream};
use serde::Serialize;
use std::sync::Arc;

/// For each weight whether it is kept.
pub type Mask = Arc<[bool]>;

/// How many of `weight_count` weights a sparsity removes: rounded, halves away from zero.
pub fn removed_weights(sparsity: f64, weight_count: usize) -> usize {
    (sparsity * weight_count as f64).round() as usize
}

/// Magnitude stability: keeps the weights that held their value for at least `threshold` epochs.
pub fn by_stability(stability: &[u32], threshold: u32) -> Mask {
    stability.iter().map(|&epochs| epochs >= threshold).collect()
}

/// The order in which weights go, as their indices: what a criterion removes first stands first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovalOrder(Vec<u32>);

impl RemovalOrder {
    /// The weight of smallest score goes first. As everywhere, weights are sorted by descending score, ties by lower index, and
    /// taken from the end.
    pub fn smallest_first(scores: &[f32]) -> Self {
        let mut order = descending(scores, f32::total_cmp);
        order.reverse();
        Self(order)
    }

    /// The weight of largest score goes first, ties by lower index.
    pub fn largest_first(scores: &[f64]) -> Self {
        Self(descending(scores, f64::total_cmp))
    }

    /// Random order, the same for every sparsity of a replica.
    pub fn random(seed: u64, replica_id: u32, weight_count: usize) -> Self {
        let mut order: Vec<u32> = (0..weight_count as u32).collect();
        Sequence::new(seed, Stream::RandomMask, replica_id, 0).shuffle(&mut order);
        Self(order)
    }

    /// The same order, but all `frozen` weights go before all others.
    pub fn frozen_first(self, frozen: &[bool]) -> Self {
        let (first, then): (Vec<u32>, Vec<u32>) =
            self.0.into_iter().partition(|&weight_index| frozen[weight_index as usize]);
        Self([first, then].concat())
    }

    /// The mask without the first `removed` weights.
    pub fn mask(&self, removed: usize) -> Mask {
        let mut kept = vec![true; self.0.len()];
        for &weight_index in &self.0[..removed] {
            kept[weight_index as usize] = false;
        }
        kept.into()
    }
}

/// Weight indices by descending score, ties by lower index.
fn descending<T>(scores: &[T], compare: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| compare(&scores[b as usize], &scores[a as usize]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sparsity_removes_exactly_the_rounded_number() {
        let order =
            RemovalOrder::smallest_first(&(0..900).map(|weight_index| (weight_index % 7) as f32).collect::<Vec<_>>());
        for percent in 0..=100 {
            let removed = removed_weights(f64::from(percent) / 100.0, 900);
            let kept = order.mask(removed).iter().filter(|&&kept| kept).count();
            assert_eq!(900 - kept, 9 * percent as usize);
        }
        assert_eq!(removed_weights(0.5, 5), 3, "halves are rounded away from zero");
    }

    #[test]
    fn the_smallest_score_goes_first_and_of_equals_the_highest_index() {
        let order = RemovalOrder::smallest_first(&[0.3, 0.1, 0.2, 0.1]);
        assert_eq!(order, RemovalOrder(vec![3, 1, 2, 0]));
    }

    #[test]
    fn the_largest_score_goes_first_and_of_equals_the_lowest_index() {
        let order = RemovalOrder::largest_first(&[0.3, f64::INFINITY, 0.0, 0.3]);
        assert_eq!(order, RemovalOrder(vec![1, 0, 3, 2]));
    }

    #[test]
    fn frozen_weights_go_before_all_others_in_the_same_order() {
        let order = RemovalOrder::smallest_first(&[0.3, 0.1, 0.2, 0.4]).frozen_first(&[true, false, false, true]);
        assert_eq!(order, RemovalOrder(vec![0, 3, 1, 2]));
    }

    #[test]
    fn stability_below_the_threshold_is_removed_and_threshold_1_removes_nothing() {
        assert_eq!(*by_stability(&[1, 2, 3], 2), [false, true, true]);
        assert_eq!(*by_stability(&[1, 2, 3], 1), [true; 3]);
    }
}
