//! Ranks of weights by magnitude.

/// A key that orders weights by magnitude: bits of |w| compare as integers like the numbers; -0 equals 0.
pub fn magnitude_key(weight: f32) -> u32 {
    weight.to_bits() & 0x7fff_ffff
}

/// `rank[i]`: the place of weight `i` when they are sorted by descending magnitude, ties by lower index.
///
/// The standard library's stable sort is the definition. Twin of `shaders/magnitude_sort/rank.wgsl`.
pub fn rank(weights: &[f32], rank: &mut [u32]) {
    for (place, index) in order(weights).into_iter().enumerate() {
        rank[index as usize] = place as u32;
    }
}

/// Weight indices by descending magnitude, ties by lower index: the inverse of [`rank`].
pub fn order(weights: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(magnitude_key(weights[index as usize])));
    order
}
