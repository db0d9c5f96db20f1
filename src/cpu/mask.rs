//! Pruning masks during training: 1 keeps a node, 0 holds it at exactly zero.

use super::Real;

/// Prunes the `remove` nodes of smallest magnitude: those whose rank in descending magnitude is `nodes - remove` or later.
/// A node that was masked stays masked; weight and moments of masked nodes become 0.
///
/// Twin of `shaders/mask/smallest.wgsl`.
pub fn smallest<T: Real>(rank: &[u32], remove: usize, mask: &mut [u32], weights: &mut [T], m: &mut [T], v: &mut [T]) {
    let kept = (rank.len() - remove) as u32;
    for (mask, &rank) in mask.iter_mut().zip(rank) {
        *mask = u32::from(*mask != 0 && rank < kept);
    }
    apply(mask, weights, m, v);
}

/// Sets weight and both moments to 0 wherever the mask is 0. The slices may go on behind the masked layer.
pub fn apply<T: Real>(mask: &[u32], weights: &mut [T], m: &mut [T], v: &mut [T]) {
    for (((&mask, weight), m), v) in mask.iter().zip(weights).zip(m).zip(v) {
        if mask == 0 {
            *weight = T::zero();
            *m = T::zero();
            *v = T::zero();
        }
    }
}
