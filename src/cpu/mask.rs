//! Masks of the focus layer during training: each weight is [`PRUNED`], [`KEPT`] or [`DECAYING`].

use super::{Real, he_normal};
use crate::random::{Stream, key, philox};

/// The weight is held at exactly zero, moments too.
pub const PRUNED: u32 = 0;
/// The weight is trained.
pub const KEPT: u32 = 1;
/// The weight is trained, and its weight is multiplied by a factor below 1 after each step.
pub const DECAYING: u32 = 2;

/// Gives `state` to the `count` weights that come last by rank in descending magnitude; the others are kept. A weight that was
/// pruned stays pruned; weight and moments of pruned weights become 0.
///
/// Twin of `shaders/mask/smallest.wgsl`.
pub fn smallest<T: Real>(
    rank: &[u32],
    count: usize,
    state: u32,
    mask: &mut [u32],
    weights: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    let kept = (rank.len() - count) as u32;
    for (mask, &rank) in mask.iter_mut().zip(rank) {
        if *mask != PRUNED {
            *mask = if rank < kept { KEPT } else { state };
        }
    }
    hold(mask, weights, m, v);
}

/// Sets weight and both moments to 0 wherever a weight is pruned. The slices may go on behind the masked layer.
pub fn hold<T: Real>(mask: &[u32], weights: &mut [T], m: &mut [T], v: &mut [T]) {
    for (((&mask, weight), m), v) in mask.iter().zip(weights).zip(m).zip(v) {
        if mask == PRUNED {
            *weight = T::zero();
            *m = T::zero();
            *v = T::zero();
        }
    }
}

/// Multiplies decaying weights by `factor`. The slice may go on behind the masked layer.
pub fn decay<T: Real>(mask: &[u32], factor: T, weights: &mut [T]) {
    for (&mask, weight) in mask.iter().zip(weights) {
        if mask == DECAYING {
            *weight *= factor;
        }
    }
}

/// The random words of a weight: the first one chooses it, the second one makes its new weight.
fn words(seed: u64, replica_id: u32, update: u32, weight_index: u32) -> [u32; 4] {
    philox([replica_id, update, weight_index, Stream::Rewiring as u32], key(seed))
}

/// A random number in (0, 2] for each weight whose mask is `state`, 0 for the others: their ranks choose weights at random.
/// `update` tells the draws of one replica apart.
///
/// Twin of `shaders/mask/draw.wgsl`.
pub fn draw(seed: u64, replica_id: u32, update: u32, state: u32, mask: &[u32], draws: &mut [f32]) {
    for (weight_index, (&mask, draw)) in (0..).zip(mask.iter().zip(draws)) {
        let bits = (words(seed, replica_id, update, weight_index)[0] >> 2) + 1;
        *draw = if mask == state { f32::from_bits(bits) } else { 0.0 };
    }
}

/// The `count` weights that come first by `rank` are kept again: each has a new weight, drawn from the initial distribution
/// with this scale (see [`he_normal::scale`]), and moments 0.
///
/// Twin of `shaders/mask/regrow.wgsl`.
pub fn regrow<T: Real>(
    draw: (u64, u32, u32),
    scale: T,
    rank: &[u32],
    count: usize,
    mask: &mut [u32],
    weights: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    let (seed, replica_id, update) = draw;
    for (weight_index, &rank) in rank.iter().enumerate() {
        if (rank as usize) < count {
            mask[weight_index] = KEPT;
            weights[weight_index] =
                he_normal::truncated_normal::<T>(words(seed, replica_id, update, weight_index as u32)[1]) * scale;
            m[weight_index] = T::zero();
            v[weight_index] = T::zero();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::magnitude_sort;

    #[test]
    fn draws_choose_among_the_nodes_of_one_state_and_differ_by_replica_and_update() {
        let mask: Vec<u32> = (0..300).map(|weight_index| u32::from(weight_index % 3 == 0)).collect();
        let chosen = |replica, update| {
            let (mut draws, mut rank) = (vec![0.0; 300], vec![0; 300]);
            draw(5, replica, update, PRUNED, &mask, &mut draws);
            magnitude_sort::rank(&draws, &mut rank);
            (0..300).filter(|&weight_index| rank[weight_index] < 200).collect::<Vec<_>>()
        };
        assert!(chosen(1, 1).iter().all(|&weight_index| mask[weight_index] == PRUNED), "200 of 200 pruned weights");
        let first = |replica, update| {
            let mut draws = vec![0.0; 300];
            draw(5, replica, update, PRUNED, &mask, &mut draws);
            magnitude_sort::order(&draws)[..50].to_vec()
        };
        assert_eq!(first(1, 1), first(1, 1));
        assert!(first(1, 1) != first(2, 1) && first(1, 1) != first(1, 2));
    }

    #[test]
    fn every_node_is_drawn_equally_often() {
        // 2,000 draws of 30 of 100 weights: 600 each, with a deviation of sqrt(2000 * 0.3 * 0.7) = 20.5.
        let mut counts = [0u32; 100];
        for update in 0..2000 {
            let mut draws = vec![0.0; 100];
            draw(9, 4, update, KEPT, &[KEPT; 100], &mut draws);
            magnitude_sort::order(&draws)[..30].iter().for_each(|&weight_index| counts[weight_index as usize] += 1);
        }
        assert!(counts.iter().all(|count| count.abs_diff(600) < 103), "{counts:?}");
    }

    #[test]
    fn regrown_nodes_have_new_weights_and_no_moments() {
        let (mut mask, mut weights) = (vec![PRUNED, KEPT, PRUNED], vec![0.0f64, 3.0, 0.0]);
        let (mut m, mut v) = (vec![0.0, 1.0, 5.0], vec![0.0, 1.0, 5.0]);
        regrow((1, 2, 3), 0.5, &[2, 1, 0], 1, &mut mask, &mut weights, &mut m, &mut v);
        assert_eq!(mask, [PRUNED, KEPT, KEPT]);
        assert_eq!((weights[0], weights[1], m[1], m[2], v[2]), (0.0, 3.0, 1.0, 0.0, 0.0));
        assert!(weights[2] != 0.0 && weights[2].abs() <= 1.0);
    }

    #[test]
    fn decaying_nodes_are_chosen_anew_and_pruned_ones_stay() {
        let (mut mask, mut weights) = (vec![KEPT, DECAYING, PRUNED, KEPT], vec![1.0f64, 2.0, 0.0, 3.0]);
        let (mut m, mut v) = (vec![1.0; 4], vec![1.0; 4]);
        smallest(&[2, 1, 3, 0], 2, DECAYING, &mut mask, &mut weights, &mut m, &mut v);
        assert_eq!(mask, [DECAYING, KEPT, PRUNED, KEPT]);
        decay(&mask, 0.5, &mut weights);
        assert_eq!((weights, m), (vec![0.5, 2.0, 0.0, 3.0], vec![1.0, 1.0, 0.0, 1.0]));
    }
}
