//! The order in which a replica sees its training samples, and how an epoch is cut into steps.

use crate::error::{Error, Result};
use crate::random::{Sequence, Stream};
use std::ops::Range;
use std::sync::Arc;

/// All sample indices in the random order of one epoch of one replica (Fisher and Yates).
///
/// A pure function of its arguments: the order does not depend on earlier epochs or on other replicas.
pub fn shuffled_order(samples: u32, seed: u64, replica_id: u32, epoch: u32) -> Arc<[u32]> {
    let mut order: Vec<u32> = (0..samples).collect();
    Sequence::new(seed, Stream::Shuffle, replica_id, epoch).shuffle(&mut order);
    order.into()
}

/// The part of an epoch's order that each step takes: `batch` samples, in the last step what is left. A batch larger than
/// the set is one short batch. Fails with [`Error::Usage`] if `batch` is 0.
pub fn step_ranges(samples: usize, batch: usize) -> Result<Vec<Range<usize>>> {
    if batch == 0 {
        return Err(Error::Usage("a batch of 0 samples trains nothing; use --batch 1 or more".into()));
    }
    Ok((0..samples).step_by(batch).map(|start| start..samples.min(start.saturating_add(batch))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_every_sample_once_and_depends_on_seed_replica_and_epoch() {
        let order = shuffled_order(1000, 7, 2, 5);
        assert_eq!(order, shuffled_order(1000, 7, 2, 5));
        for other in [shuffled_order(1000, 8, 2, 5), shuffled_order(1000, 7, 3, 5), shuffled_order(1000, 7, 2, 6)] {
            assert_ne!(order, other);
        }
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert_ne!(*order, sorted);
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_of_three_samples_comes_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(shuffled_order(3, 1, 0, epoch)).or_insert(0.0f64) += 1.0;
        }
        assert_eq!(counts.len(), 6);
        // Chi-squared with 5 degrees of freedom exceeds 25.7 once in ten thousand seeds.
        let chi_squared: f64 = counts.values().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_squared < 25.7, "{chi_squared}");
    }

    #[test]
    fn steps_cover_the_epoch_and_the_last_one_may_be_short() {
        assert_eq!(step_ranges(10, 4).unwrap(), [0..4, 4..8, 8..10]);
        assert_eq!(step_ranges(8, 4).unwrap(), [0..4, 4..8]);
        assert_eq!(step_ranges(60_000, 32).unwrap().len(), 1875);
        for batch in [11, usize::MAX] {
            assert_eq!(step_ranges(10, batch).unwrap(), [Range { start: 0, end: 10 }]);
        }
        assert!(matches!(step_ranges(10, 0), Err(Error::Usage(_))));
    }
}
