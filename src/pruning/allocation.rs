//! How many weights each tensor gives up where several are pruned: each the same share, or all by one threshold.
//!
//! A score says which weight of a tensor goes before which. An [`Amount`] says how many go. The [`Scope`] says from where.

mod order;

use super::masks::Mask;
use crate::engine::Watch;
use crate::error::{Error, Result};
use order::Order;
use serde::{Deserialize, Serialize};

/// Among which weights those that go are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Scope {
    /// Each tensor for itself: the same share of all.
    #[default]
    Layer,
    /// Among all weights: one threshold on the score.
    Global,
    /// Among all weights: one threshold on the square of a score divided by the sum of that and of all larger squares of its
    /// tensor (LAMP; Lee et al. 2021), so that no tensor runs empty before the others.
    Lamp,
}

/// Which end of the scores goes first. Weights are sorted by descending score, ties by lower tensor, then by lower index, and
/// taken from one end of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The smallest score; of equal ones those of a lower tensor and index stay longer.
    Smallest,
    /// The largest score; of equal ones those of a lower tensor and index go first.
    Largest,
}

/// How many weights go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// This share of them, 0 to 1: of each tensor, or of all together. Numbers are rounded, halves away from zero.
    Share(f64),
    /// So many of all; where each tensor gives the same share, as near to it as rounding each of them leads.
    Count(usize),
}

/// What is known of the weights of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorScores<'a, S> {
    /// A score for each weight, which may not be NaN.
    pub scores: &'a [S],
    /// Weights that go before all others of every tensor, such as frozen ones; `None` if there are none.
    pub before_others: Option<&'a [bool]>,
}

impl<'a, S> TensorScores<'a, S> {
    /// Weights of which only the score counts.
    pub fn new(scores: &'a [S]) -> Self {
        Self { scores, before_others: None }
    }
}

/// How many weights go if the network is to be `smaller` times: of all its `weights`, one part in `smaller` stays, rounded, and
/// at least one weight.
///
/// ```
/// assert_eq!(holdfast::pruning::allocation::removed_if_smaller(4.0, 1000)?, 750);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
///
/// Fails with [`Error::Usage`] unless `smaller` is a number of at least 1.
pub fn removed_if_smaller(smaller: f64, weights: usize) -> Result<usize> {
    if !(smaller.is_finite() && smaller >= 1.0) {
        return Err(Error::Usage(format!(
            "{smaller} times smaller is not possible; write how many times, from 1 on, e.g. 4 for a quarter of the weights"
        )));
    }
    let kept = ((weights as f64 / smaller).round() as usize).max(1);
    Ok(weights.saturating_sub(kept))
}

/// Chooses the weights that go: a mask for each tensor, in their order.
///
/// No tensor loses its last weight unless all weights of all are to go: where a threshold would take it, another weight goes
/// instead. Where the amount would leave fewer weights than there are tensors, each keeps one.
///
/// PyTorch's `global_unstructured` removes the same weights as [`Scope::Global`] where no two scores at the threshold are equal
/// (`topk` promises no order among equals) and no tensor runs empty; it rounds halves to even numbers.
///
/// ```
/// use holdfast::pruning::allocation::{Amount, First, Scope, TensorScores, allocate};
///
/// let scores = [[0.9f32, 0.1, 0.8].as_slice(), &[0.05, 0.06, 0.04]].map(TensorScores::new);
/// let half = |scope| allocate(scope, First::Smallest, &scores, Amount::Count(3));
/// let kept = |masks: Vec<_>| masks.iter().map(|mask: &std::sync::Arc<[bool]>| mask.to_vec()).collect::<Vec<_>>();
/// // By size alone the second tensor would be lost: its largest weight stays.
/// assert_eq!(kept(half(Scope::Global)?), [[true, false, true], [false, true, false]]);
/// assert_eq!(kept(half(Scope::Lamp)?), [[true, false, true], [false, true, false]]);
/// // The same share of each: halves are rounded up.
/// assert_eq!(kept(half(Scope::Layer)?), [[true, false, false], [false, true, false]]);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
///
/// Fails with [`Error::Usage`] if a share does not lie within 0 and 1, if more weights are to go than there are, or if LAMP is
/// asked for scores of which the largest goes first, and with [`Error::Shape`] if there are more than 4,294,967,295 weights or
/// some are said to go first of a tensor of another size.
pub fn allocate<S: Copy + Into<f64>>(
    scope: Scope,
    first: First,
    tensors: &[TensorScores<'_, S>],
    amount: Amount,
) -> Result<Vec<Mask>> {
    let mut masks = allocate_each(scope, first, tensors, &[amount], &Watch::nobody())?;
    Ok(masks.pop().unwrap_or_default().into_iter().map(Mask::from).collect())
}

/// The same for several amounts at once: masks `[amount][tensor]`.
///
/// Fails as [`allocate`] does, and with [`Error::Interrupted`] where a stop was asked for.
pub fn allocate_each<S: Copy + Into<f64>>(
    scope: Scope,
    first: First,
    tensors: &[TensorScores<'_, S>],
    amounts: &[Amount],
    watch: &Watch<'_>,
) -> Result<Vec<Vec<Vec<bool>>>> {
    let all: usize = tensors.iter().map(|tensor| tensor.scores.len()).sum();
    amounts.iter().try_for_each(|&amount| check(scope, first, tensors, amount, all))?;
    let share = |amount: &Amount| match *amount {
        Amount::Share(share) => share,
        Amount::Count(count) => count as f64 / all.max(1) as f64,
    };
    if scope == Scope::Layer {
        let mut masks = vec![Vec::with_capacity(tensors.len()); amounts.len()];
        for tensor in tensors {
            let size = tensor.scores.len();
            let removed = |amount| capped(rounded(share(amount), size), size, 1, share(amount));
            let own = cuts(first, std::slice::from_ref(tensor), amounts.iter().map(removed).collect(), watch)?;
            masks.iter_mut().zip(own).for_each(|(masks, own)| masks.extend(own));
        }
        return Ok(masks);
    }
    let filled = tensors.iter().filter(|tensor| !tensor.scores.is_empty()).count();
    let removed = |amount: &Amount| {
        let asked = match *amount {
            Amount::Share(share) => rounded(share, all),
            Amount::Count(count) => count,
        };
        capped(asked, all, filled, share(amount))
    };
    let removed = amounts.iter().map(removed).collect();
    if scope == Scope::Global {
        return cuts(first, tensors, removed, watch);
    }
    let relative: Vec<Vec<f64>> = tensors.iter().map(|tensor| lamp(tensor.scores)).collect();
    let relative: Vec<TensorScores<'_, f64>> = relative
        .iter()
        .zip(tensors)
        .map(|(scores, tensor)| TensorScores { scores, before_others: tensor.before_others })
        .collect();
    cuts(first, &relative, removed, watch)
}

/// Masks `[cut][tensor]` without the first so many weights; no tensor loses its last one, unless all weights of all go.
fn cuts<S: Copy + Into<f64>>(
    first: First,
    tensors: &[TensorScores<'_, S>],
    removed: Vec<usize>,
    watch: &Watch<'_>,
) -> Result<Vec<Vec<Vec<bool>>>> {
    let all: usize = tensors.iter().map(|tensor| tensor.scores.len()).sum();
    let mut masks = Order::new(first, tensors).cuts(&removed, watch)?;
    let emptied = masks.iter_mut().zip(removed).filter(|(_, removed)| *removed == all);
    emptied.flat_map(|(masks, _)| masks).for_each(|mask| mask.fill(false));
    Ok(masks)
}

fn check<S: Copy + Into<f64>>(
    scope: Scope,
    first: First,
    tensors: &[TensorScores<'_, S>],
    amount: Amount,
    all: usize,
) -> Result<()> {
    match amount {
        Amount::Share(share) if !(0.0..=1.0).contains(&share) => {
            return Err(Error::Usage(format!("{share} is no share of the weights; use 0 to 1, e.g. 0.8 for 80 %")));
        }
        Amount::Count(count) if count > all => {
            return Err(Error::Usage(format!("{count} weights are to go, but {all} take part; ask for fewer")));
        }
        Amount::Share(_) | Amount::Count(_) => {}
    }
    if scope == Scope::Lamp && first == First::Largest {
        return Err(Error::Usage(
            "lamp compares scores of which the smallest goes first, and here the largest does; use layer or global"
                .into(),
        ));
    }
    if u32::try_from(all).is_err() {
        return Err(Error::Shape(format!("{all} weights are more than can be chosen from at once: 4,294,967,295")));
    }
    let fits =
        |tensor: &TensorScores<'_, S>| tensor.before_others.is_none_or(|first| first.len() == tensor.scores.len());
    match tensors.iter().position(|tensor| !fits(tensor)) {
        Some(place) => {
            Err(Error::Shape(format!("tensor {place} has another number of scores than of weights that go first")))
        }
        None => Ok(()),
    }
}

fn rounded(share: f64, count: usize) -> usize {
    (share * count as f64).round() as usize
}

/// So many that each of the tensors keeps one weight, unless all are to go.
fn capped(removed: usize, all: usize, tensors: usize, share: f64) -> usize {
    if share == 1.0 { all } else { removed.min(all - tensors.min(all)) }
}

/// The square of each score divided by the sum of that and of all larger squares of the tensor; 0 where that is 0 / 0.
fn lamp<S: Copy + Into<f64>>(scores: &[S]) -> Vec<f64> {
    let score = |place: &u32| scores[*place as usize].into();
    let mut descending: Vec<u32> = (0..scores.len() as u32).collect();
    descending.sort_unstable_by(|a, b| score(b).abs().total_cmp(&score(a).abs()).then(a.cmp(b)));
    let mut relative = vec![0.0; scores.len()];
    let mut sum = 0.0;
    for place in descending {
        let square = score(&place) * score(&place);
        sum += square;
        if sum > 0.0 {
            relative[place as usize] = square / sum;
        }
    }
    relative
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(scope: Scope, first: First, scores: &[&[f64]], amount: Amount) -> Vec<Vec<usize>> {
        let tensors: Vec<TensorScores<'_, f64>> = scores.iter().map(|scores| TensorScores::new(scores)).collect();
        gone(&allocate(scope, first, &tensors, amount).unwrap())
    }

    fn gone(masks: &[Mask]) -> Vec<Vec<usize>> {
        let of_mask = |mask: &Mask| (0..mask.len()).filter(|&index| !mask[index]).collect();
        masks.iter().map(of_mask).collect()
    }

    /// Squares 1, 4, 9, 16 and 1, 1, 2: LAMP 1/30, 4/29, 9/25, 1 and 1/4, 1/3, 1 by hand, the second 1 of the second tensor
    /// the first to go.
    const A: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
    const B: [f64; 3] = [1.0, 1.0, std::f64::consts::SQRT_2];

    #[test]
    fn each_tensor_gives_the_same_share_rounded_half_away_from_zero() {
        let by = |share| removed(Scope::Layer, First::Smallest, &[&A, &B], Amount::Share(share));
        // 1 of 4; 0.75 of 3 is 1.
        assert_eq!(by(0.25), [vec![0], vec![1]]);
        // 2 of 4; 1.5 of 3 is 2.
        assert_eq!(by(0.5), [vec![0, 1], vec![0, 1]]);
        assert_eq!(by(0.0), [Vec::<usize>::new(), Vec::new()]);
        assert_eq!(by(1.0), [vec![0, 1, 2, 3], vec![0, 1, 2]]);
    }

    #[test]
    fn one_threshold_takes_the_smallest_of_all_and_of_equals_the_last_ones() {
        let by = |count| removed(Scope::Global, First::Smallest, &[&A, &B], Amount::Count(count));
        // Three weights are 1: that of the lower tensor stays longest.
        assert_eq!(by(1), [vec![], vec![1]]);
        assert_eq!(by(2), [vec![], vec![0, 1]]);
        assert_eq!(by(3), [vec![0], vec![0, 1]]);
        // The next by size would be the last of its tensor.
        assert_eq!(by(4), [vec![0, 1], vec![0, 1]]);
        // 3.5 of 7 is 4.
        assert_eq!(removed(Scope::Global, First::Smallest, &[&A, &B], Amount::Share(0.5)), by(4));
    }

    #[test]
    fn lamp_divides_by_what_is_larger_in_the_same_tensor() {
        let found = lamp(&A);
        for (found, expected) in found.iter().zip([1.0 / 30.0, 4.0 / 29.0, 9.0 / 25.0, 1.0]) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
        let by = |count| removed(Scope::Lamp, First::Smallest, &[&A, &B], Amount::Count(count));
        assert_eq!(by(2), [vec![0, 1], vec![]]);
        assert_eq!(by(3), [vec![0, 1], vec![1]]);
        assert_eq!(by(4), [vec![0, 1], vec![0, 1]]);
        assert_eq!(by(5), [vec![0, 1, 2], vec![0, 1]]);
        assert_eq!(lamp(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn the_largest_goes_first_if_that_is_said_and_of_equals_the_first_ones() {
        let by = |count| removed(Scope::Global, First::Largest, &[&A, &[f64::INFINITY, 4.0]], Amount::Count(count));
        assert_eq!(by(1), [vec![], vec![0]]);
        assert_eq!(by(2), [vec![3], vec![0]]);
        let tensors = [TensorScores::new(A.as_slice())];
        let refused = allocate(Scope::Lamp, First::Largest, &tensors, Amount::Count(1)).unwrap_err();
        assert!(matches!(refused, Error::Usage(_)), "{refused}");
    }

    #[test]
    fn weights_that_are_said_to_go_first_do_so_in_every_scope() {
        let frozen = [false, false, false, true];
        let tensors = [
            TensorScores { scores: A.as_slice(), before_others: Some(&frozen) },
            TensorScores { scores: B.as_slice(), before_others: None },
        ];
        for (scope, expected) in [
            (Scope::Layer, [vec![3], vec![1]]),
            (Scope::Global, [vec![3], vec![1]]),
            (Scope::Lamp, [vec![0, 3], vec![]]),
        ] {
            let masks = allocate(scope, First::Smallest, &tensors, Amount::Count(2)).unwrap();
            assert_eq!(gone(&masks), expected, "{scope:?}");
        }
    }

    #[test]
    fn no_tensor_is_emptied_unless_all_weights_are_to_go() {
        let scores: [&[f64]; 3] = [&[5.0, 6.0, 7.0], &[1.0], &[]];
        for scope in [Scope::Layer, Scope::Global, Scope::Lamp] {
            assert_eq!(removed(scope, First::Smallest, &scores, Amount::Share(0.999)), [vec![0, 1], vec![], vec![]]);
            let all = removed(scope, First::Smallest, &scores, Amount::Count(4));
            assert_eq!(all, [vec![0, 1, 2], vec![0], vec![]], "{scope:?}");
        }
    }

    #[test]
    fn so_many_times_smaller_is_a_number_of_weights() {
        assert_eq!(removed_if_smaller(1.0, 900).unwrap(), 0);
        assert_eq!(removed_if_smaller(10.0, 900).unwrap(), 810);
        assert_eq!(removed_if_smaller(1e9, 900).unwrap(), 899);
        for refused in [0.5, 0.0, -2.0, f64::NAN, f64::INFINITY] {
            assert!(removed_if_smaller(refused, 900).is_err(), "{refused}");
        }
    }

    #[test]
    fn amounts_that_cannot_be_are_refused() {
        let tensors = [TensorScores::new(A.as_slice())];
        for amount in [Amount::Share(1.2), Amount::Share(-0.1), Amount::Share(f64::NAN), Amount::Count(5)] {
            let refused = allocate(Scope::Global, First::Smallest, &tensors, amount).unwrap_err();
            assert!(matches!(refused, Error::Usage(_)), "{refused}");
        }
        let none: [TensorScores<'_, f32>; 0] = [];
        assert!(allocate(Scope::Global, First::Smallest, &none, Amount::Share(0.5)).unwrap().is_empty());
    }
}
