//! The order in which weights of several tensors go, and any number of cuts through it.

use super::{First, TensorScores};
use crate::engine::Watch;
use crate::error::Result;

/// The order in which weights of several tensors go. Each tensor keeps the weight that goes last.
pub(super) struct Order<'a, S> {
    first: First,
    tensors: &'a [TensorScores<'a, S>],
    /// Of each tensor the weight that goes last.
    last: Vec<Option<usize>>,
}

/// Up to which weight of a group a cut goes: all with a smaller key go, and so many of those with this one.
#[derive(Clone, Copy)]
struct Threshold {
    key: u64,
    of_equals: usize,
}

/// What becomes of a group of weights in a cut.
#[derive(Clone, Copy)]
enum Cut {
    All,
    None,
    Some(Threshold),
}

/// Keys that are compared before anybody looks at those that are equal.
const BLOCK: usize = 1024;

impl<'a, S: Copy + Into<f64>> Order<'a, S> {
    pub(super) fn new(first: First, tensors: &'a [TensorScores<'a, S>]) -> Self {
        let mut order = Self { first, tensors, last: Vec::new() };
        order.last = tensors.iter().map(|tensor| order.last_of(tensor)).collect();
        order
    }

    /// A number that is smaller for weights that go earlier.
    fn key(&self, score: S) -> u64 {
        let bits = score.into().to_bits();
        // Ascends with the score, as `total_cmp` has it.
        let ascending = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
        match self.first {
            First::Smallest => ascending,
            First::Largest => !ascending,
        }
    }

    /// The weight of a tensor that goes last: not one that goes before others, if there is another.
    fn last_of(&self, tensor: &TensorScores<'_, S>) -> Option<usize> {
        let place = |&(index, &score): &(usize, &S)| {
            let goes_first = tensor.before_others.is_some_and(|first| first[index]);
            (!goes_first, self.key(score))
        };
        let weights = tensor.scores.iter().enumerate();
        // Of equal weights the lower index goes last, unless the largest score goes first.
        match self.first {
            First::Smallest => weights.rev().max_by_key(place),
            First::Largest => weights.max_by_key(place),
        }
        .map(|(index, _)| index)
    }

    /// Masks `[cut][tensor]` without the first `removed` weights, for each of these numbers.
    ///
    /// Fails with [`crate::error::Error::Interrupted`] once a stop was asked for.
    pub(super) fn cuts(&self, removed: &[usize], watch: &Watch<'_>) -> Result<Vec<Vec<Vec<bool>>>> {
        let mut masks: Vec<Vec<Vec<bool>>> =
            vec![self.tensors.iter().map(|tensor| vec![true; tensor.scores.len()]).collect(); removed.len()];
        let mut before = 0;
        for goes_first in [true, false] {
            watch.check()?;
            let mut keys = self.keys(goes_first);
            let of_group: Vec<usize> =
                removed.iter().map(|&removed| removed.saturating_sub(before).min(keys.len())).collect();
            before += keys.len();
            for (cut, masks) in self.thresholds(&mut keys, &of_group, watch)?.into_iter().zip(&mut masks) {
                watch.check()?;
                self.cut(goes_first, cut, masks);
            }
        }
        Ok(masks)
    }

    /// Keys of the weights that may go, of those that go before others or of those that do not.
    fn keys(&self, goes_first: bool) -> Vec<u64> {
        let mut keys = Vec::new();
        for (tensor, &last) in self.tensors.iter().zip(&self.last) {
            match tensor.before_others {
                None if goes_first => {}
                None => {
                    let (before, behind) = tensor.scores.split_at(last.unwrap_or(0));
                    keys.extend(before.iter().chain(behind.iter().skip(1)).map(|&score| self.key(score)));
                }
                Some(first) => {
                    let weights = tensor.scores.iter().zip(first).enumerate();
                    let own = weights.filter(|&(index, (_, &own))| own == goes_first && Some(index) != last);
                    keys.extend(own.map(|(_, (&score, _))| self.key(score)));
                }
            }
        }
        keys
    }

    /// Where cuts of a group lie that take so many of its keys. Moves the keys.
    fn thresholds(&self, keys: &mut [u64], removed: &[usize], watch: &Watch<'_>) -> Result<Vec<Cut>> {
        let all = keys.len();
        let mut wanted: Vec<usize> = removed.iter().copied().filter(|&count| 0 < count && count < all).collect();
        wanted.sort_unstable();
        wanted.dedup();
        select_all(keys, 0, &wanted, watch)?;
        let mut found: Vec<Threshold> = Vec::with_capacity(wanted.len());
        let mut start = 0;
        for &count in &wanted {
            // The largest key of those that go; all before `start` are known to be no larger.
            let key = keys[count - 1];
            let equal = keys[start..count].iter().filter(|&&own| own == key).count();
            let before = found.last().filter(|before| before.key == key).map_or(0, |before| before.of_equals);
            found.push(Threshold { key, of_equals: before + equal });
            start = count;
        }
        let cut = |count: &usize| match wanted.binary_search(count) {
            Ok(place) => Cut::Some(found[place]),
            Err(_) if *count == 0 => Cut::None,
            Err(_) => Cut::All,
        };
        Ok(removed.iter().map(cut).collect())
    }

    /// Takes the weights of a group out of `masks`.
    fn cut(&self, goes_first: bool, cut: Cut, masks: &mut [Vec<bool>]) {
        let threshold = match cut {
            Cut::None => return,
            Cut::All => Threshold { key: u64::MAX, of_equals: usize::MAX },
            Cut::Some(threshold) => threshold,
        };
        let mut equals = threshold.of_equals;
        let tensors = self.tensors.iter().zip(&self.last).zip(masks);
        // Of equal weights those with a higher index go first, unless the largest score goes first.
        match self.first {
            First::Smallest => tensors.rev().for_each(|((tensor, &last), mask)| {
                let blocks = tensor.scores.chunks(BLOCK).enumerate().zip(mask.chunks_mut(BLOCK)).rev();
                blocks.for_each(|((block, scores), mask)| {
                    let own = Block { tensor, scores, first: block * BLOCK, last };
                    self.cut_block(own, goes_first, threshold.key, &mut equals, mask);
                });
            }),
            First::Largest => tensors.for_each(|((tensor, &last), mask)| {
                let blocks = tensor.scores.chunks(BLOCK).enumerate().zip(mask.chunks_mut(BLOCK));
                blocks.for_each(|((block, scores), mask)| {
                    let own = Block { tensor, scores, first: block * BLOCK, last };
                    self.cut_block(own, goes_first, threshold.key, &mut equals, mask);
                });
            }),
        }
    }

    fn cut_block(&self, block: Block<'_, S>, goes_first: bool, key: u64, equals: &mut usize, mask: &mut [bool]) {
        let holds_last = block.last.is_some_and(|last| (block.first..block.first + mask.len()).contains(&last));
        if block.tensor.before_others.is_none() {
            if goes_first {
                return;
            }
            let mut has_equal = false;
            for (kept, &score) in mask.iter_mut().zip(block.scores) {
                let own = self.key(score);
                *kept = own > key;
                has_equal |= own == key;
            }
            if has_equal {
                self.cut_equals(&block, goes_first, key, equals, mask);
            }
        } else {
            for (place, kept) in mask.iter_mut().enumerate() {
                if block.is_of_group(place, goes_first) {
                    *kept = self.key(block.scores[place]) > key;
                }
            }
            self.cut_equals(&block, goes_first, key, equals, mask);
        }
        if let Some(last) = block.last.filter(|_| holds_last) {
            mask[last - block.first] = true;
        }
    }

    /// Of weights with this key as many go as are left of `equals`.
    fn cut_equals(&self, block: &Block<'_, S>, goes_first: bool, key: u64, equals: &mut usize, mask: &mut [bool]) {
        let mut decide = |place: usize| {
            let is_equal = self.key(block.scores[place]) == key && block.is_of_group(place, goes_first);
            if is_equal && block.last != Some(block.first + place) {
                mask[place] = *equals == 0;
                *equals = equals.saturating_sub(1);
            }
        };
        match self.first {
            First::Smallest => (0..block.scores.len()).rev().for_each(&mut decide),
            First::Largest => (0..block.scores.len()).for_each(&mut decide),
        }
    }
}

/// Some weights of a tensor that stand one after the other.
struct Block<'a, S> {
    tensor: &'a TensorScores<'a, S>,
    scores: &'a [S],
    /// Index of the first of them.
    first: usize,
    /// The weight of the tensor that goes last.
    last: Option<usize>,
}

impl<S> Block<'_, S> {
    fn is_of_group(&self, place: usize, goes_first: bool) -> bool {
        self.tensor.before_others.map_or(!goes_first, |first| first[self.first + place] == goes_first)
    }
}

/// Brings `keys` into an order in which, for each of `counts`, which ascend and count from `start`, the smallest so many stand
/// first, the largest of these last.
fn select_all(keys: &mut [u64], start: usize, counts: &[usize], watch: &Watch<'_>) -> Result<()> {
    let Some(&count) = counts.get(counts.len() / 2) else { return Ok(()) };
    watch.check()?;
    let (before, behind) = (&counts[..counts.len() / 2], &counts[counts.len() / 2 + 1..]);
    let (smaller, _, larger) = keys.select_nth_unstable(count - 1 - start);
    select_all(smaller, start, before, watch)?;
    select_all(larger, count, behind, watch)
}
