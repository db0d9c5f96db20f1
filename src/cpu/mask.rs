//! Masks. In training each weight is [`PRUNED`], [`KEPT`] or [`DECAYING`]; [`apply`] cuts a trained network by one.

use super::{Real, he_normal};
use crate::random::{Stream, key, philox};

/// The weight is held at exactly zero, moments too.
pub const PRUNED: u32 = 0;
/// The weight is trained.
pub const KEPT: u32 = 1;
/// The weight is trained, and its weight is multiplied by a factor below 1 after each step.
pub const DECAYING: u32 = 2;

/// Gives `state` to the weights that come after the first `kept` by `rank` in descending magnitude; the others are kept. A weight
/// that was pruned stays pruned; weight and moments of pruned weights become 0. The slices may be a part of a layer.
///
/// Twin of `shaders/mask/smallest.wgsl`.
pub fn smallest<T: Real>(
    rank: &[u32],
    kept: u32,
    state: u32,
    mask: &mut [u32],
    weights: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    for (mask, &rank) in mask.iter_mut().zip(rank) {
        if *mask != PRUNED {
            *mask = if rank < kept { KEPT } else { state };
        }
    }
    hold(mask, weights, m, v);
}

/// Sets weight and both moments to 0 wherever a weight is pruned. The slices may go on behind the masked layer.
#[inline(always)]
pub fn hold<T: Real>(mask: &[u32], weights: &mut [T], m: &mut [T], v: &mut [T]) {
    // Without a branch: where the compiler has registers of several numbers it takes them.
    for (((&mask, weight), m), v) in mask.iter().zip(weights).zip(m).zip(v) {
        let held = |value: T| if mask == PRUNED { T::zero() } else { value };
        (*weight, *m, *v) = (held(*weight), held(*m), held(*v));
    }
}

/// Multiplies decaying weights by `factor`. The slice may go on behind the masked layer.
#[inline(always)]
pub fn decay<T: Real>(mask: &[u32], factor: T, weights: &mut [T]) {
    for (&mask, weight) in mask.iter().zip(weights) {
        *weight *= if mask == DECAYING { factor } else { T::one() };
    }
}

/// A bit for each of `kept`, 1 where it is kept, the first one the lowest bit of the first word.
pub fn pack(kept: &[bool]) -> Vec<u32> {
    let word = |kept: &[bool]| kept.iter().rev().fold(0, |word, &kept| word << 1 | u32::from(kept));
    kept.chunks(32).map(word).collect()
}

/// The parameters of a pruned network: those whose bit is 0 in `kept` (see [`pack`]) are 0, the others as they are.
///
/// Twin of `shaders/mask/apply.wgsl`.
pub fn apply<T: Real>(kept: &[u32], parameters: &[T], pruned: &mut [T]) {
    for (index, (pruned, &parameter)) in pruned.iter_mut().zip(parameters).enumerate() {
        *pruned = if kept[index / 32] >> (index % 32) & 1 == 1 { parameter } else { T::zero() };
    }
}

/// Which random numbers the weights of a slice get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Key of every draw.
    pub seed: u64,
    /// Which replica.
    pub replica_id: u32,
    /// Tells the draws of one replica apart.
    pub update: u32,
    /// Index of the slice's first weight in its layer.
    pub first: u32,
}

impl Draws {
    /// The random words of each weight: the first one chooses it, the second one makes its new weight.
    fn words(self) -> impl Iterator<Item = [u32; 4]> {
        let Self { seed, replica_id, update, first } = self;
        (first..).map(move |weight| philox([replica_id, update, weight, Stream::Rewiring as u32], key(seed)))
    }
}

/// A random number in (0, 2] for each weight whose mask is `state`, 0 for the others: their ranks choose weights at random.
///
/// Twin of `shaders/mask/draw.wgsl`.
pub fn draw(draws: Draws, state: u32, mask: &[u32], scores: &mut [f32]) {
    for ((words, &mask), score) in draws.words().zip(mask).zip(scores) {
        *score = if mask == state { f32::from_bits((words[0] >> 2) + 1) } else { 0.0 };
    }
}

/// The `count` weights that come first by `rank` are kept again: each has a new weight, drawn from the initial distribution
/// with this scale (see [`he_normal::scale`]), and moments 0. The slices may be a part of a layer.
///
/// Twin of `shaders/mask/regrow.wgsl`.
pub fn regrow<T: Real>(
    draws: Draws,
    scale: T,
    rank: &[u32],
    count: u32,
    mask: &mut [u32],
    weights: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    for (index, (&rank, words)) in rank.iter().zip(draws.words()).enumerate() {
        if rank < count {
            mask[index] = KEPT;
            weights[index] = he_normal::truncated_normal::<T>(words[1]) * scale;
            m[index] = T::zero();
            v[index] = T::zero();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::magnitude_sort;

    /// The draws of a replica at an update, for a whole layer.
    fn draws(replica_id: u32, update: u32) -> Draws {
        Draws { seed: 5, replica_id, update, first: 0 }
    }

    #[test]
    fn draws_choose_among_the_weights_of_one_state_and_differ_by_replica_and_update() {
        let mask: Vec<u32> = (0..300).map(|weight_index| u32::from(weight_index % 3 == 0)).collect();
        let first = |replica, update, count: usize| {
            let mut scores = vec![0.0; 300];
            draw(draws(replica, update), PRUNED, &mask, &mut scores);
            magnitude_sort::order(&scores)[..count].to_vec()
        };
        assert!(first(1, 1, 200).iter().all(|&weight| mask[weight as usize] == PRUNED), "200 of 200 pruned weights");
        assert_eq!(first(1, 1, 50), first(1, 1, 50));
        assert!(first(1, 1, 50) != first(2, 1, 50) && first(1, 1, 50) != first(1, 2, 50));
    }

    #[test]
    fn a_part_of_a_layer_gets_the_draws_that_it_has_in_the_whole() {
        let (mut whole, mut part) = ([0.0; 30], [0.0; 20]);
        draw(draws(3, 1), KEPT, &[KEPT; 30], &mut whole);
        draw(Draws { first: 10, ..draws(3, 1) }, KEPT, &[KEPT; 20], &mut part);
        assert_eq!(whole[10..], part);
    }

    #[test]
    fn every_weight_is_drawn_equally_often() {
        // 2,000 draws of 30 of 100 weights: 600 each, with a deviation of sqrt(2000 * 0.3 * 0.7) = 20.5.
        let mut counts = [0u32; 100];
        for update in 0..2000 {
            let mut scores = vec![0.0; 100];
            draw(Draws { seed: 9, ..draws(4, update) }, KEPT, &[KEPT; 100], &mut scores);
            magnitude_sort::order(&scores)[..30].iter().for_each(|&weight_index| counts[weight_index as usize] += 1);
        }
        assert!(counts.iter().all(|count| count.abs_diff(600) < 103), "{counts:?}");
    }

    #[test]
    fn regrown_weights_are_new_and_have_no_moments() {
        let (mut mask, mut weights) = (vec![PRUNED, KEPT, PRUNED], vec![0.0f64, 3.0, 0.0]);
        let (mut m, mut v) = (vec![0.0, 1.0, 5.0], vec![0.0, 1.0, 5.0]);
        regrow(draws(2, 3), 0.5, &[2, 1, 0], 1, &mut mask, &mut weights, &mut m, &mut v);
        assert_eq!(mask, [PRUNED, KEPT, KEPT]);
        assert_eq!((weights[0], weights[1], m[1], m[2], v[2]), (0.0, 3.0, 1.0, 0.0, 0.0));
        assert!(weights[2] != 0.0 && weights[2].abs() <= 1.0);
    }

    #[test]
    fn decaying_weights_are_chosen_anew_and_pruned_ones_stay() {
        let (mut mask, mut weights) = (vec![KEPT, DECAYING, PRUNED, KEPT], vec![1.0f64, 2.0, 0.0, 3.0]);
        let (mut m, mut v) = (vec![1.0; 4], vec![1.0; 4]);
        smallest(&[2, 1, 3, 0], 2, DECAYING, &mut mask, &mut weights, &mut m, &mut v);
        assert_eq!(mask, [DECAYING, KEPT, PRUNED, KEPT]);
        decay(&mask, 0.5, &mut weights);
        assert_eq!((weights, m), (vec![0.5, 2.0, 0.0, 3.0], vec![1.0, 1.0, 0.0, 1.0]));
    }
}
