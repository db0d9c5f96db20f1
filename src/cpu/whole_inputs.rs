//! Whole inputs of a layer, taken out one group after the other: what a pixel, a unit or a filter of the layer before is to it.
//!
//! All units share one Gram matrix, in which every row counts in full. Formulas and sources: `docs/kernels/surgeon.md`.

use super::Real;
use super::gram::Moments;
use super::surgeon::invert;

/// One removal on the path of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupStep<T> {
    /// The group that goes.
    pub group: u32,
    /// What its removal adds to the squared error of all units, each weighted by its importance: the smallest.
    pub cost: T,
}

/// The elimination path of whole inputs: again and again the group P of columns with the smallest cost
/// `sum_k J_k w_Pk^T (H_PP)^-1 w_Pk` goes, the first of equals, and the others take over what it did:
/// `w -= H_:P (H_PP)^-1 w_P`, `H -= H_:P (H_PP)^-1 H_P:`, with H the inverse of the Gram matrix. `weights` are
/// `[column, unit]`, J is the units' `importance`. Columns in no group, such as the bias, stay.
///
/// Nothing if the matrix is singular.
pub fn path<T: Real>(
    moments: &Moments<T>,
    weights: &[T],
    importance: &[T],
    groups: &[Vec<u32>],
) -> Option<Vec<GroupStep<T>>> {
    let size = moments.size;
    let (mut inverse, mut weights) = (moments.gram.clone(), weights.to_vec());
    if !invert(size, &mut inverse) {
        return None;
    }
    let mut alive: Vec<usize> = (0..groups.len()).collect();
    let mut steps = Vec::with_capacity(groups.len());
    while !alive.is_empty() {
        let mut best: Option<(usize, T)> = None;
        for &group in &alive {
            let cost = cost(size, &groups[group], &inverse, &weights, importance)?;
            if best.is_none_or(|(_, smallest)| cost < smallest) {
                best = Some((group, cost));
            }
        }
        let (group, cost) = best?;
        steps.push(GroupStep { group: group as u32, cost });
        alive.retain(|&other| other != group);
        remove(size, &groups[group], &mut inverse, &mut weights)?;
    }
    Some(steps)
}

/// The inverse of the part of `inverse` that is a group's own.
fn own_block<T: Real>(size: usize, group: &[u32], inverse: &[T]) -> Option<Vec<T>> {
    let pairs = group.iter().flat_map(|&i| group.iter().map(move |&j| (i as usize, j as usize)));
    let mut block: Vec<T> = pairs.map(|(i, j)| inverse[i * size + j]).collect();
    invert(group.len(), &mut block).then_some(block)
}

/// What the removal of a group of columns costs all units together.
fn cost<T: Real>(size: usize, group: &[u32], inverse: &[T], weights: &[T], importance: &[T]) -> Option<T> {
    let (units, block) = (importance.len(), own_block(size, group, inverse)?);
    let mut sum = T::zero();
    for (k, &importance) in importance.iter().enumerate() {
        let own: Vec<T> = group.iter().map(|&p| weights[p as usize * units + k]).collect();
        for (row, &left) in block.chunks_exact(group.len()).zip(&own) {
            sum += importance * left * row.iter().zip(&own).map(|(&h, &right)| h * right).sum::<T>();
        }
    }
    Some(sum)
}

/// Takes a group of columns out of `inverse` `[size, size]`, and gives what its `weights` `[column, unit]` did to the others.
/// Nothing if its own part of the matrix is singular.
pub fn remove<T: Real>(size: usize, group: &[u32], inverse: &mut [T], weights: &mut [T]) -> Option<()> {
    let (units, block) = (weights.len() / size, own_block(size, group, inverse)?);
    let rows = |matrix: &[T], width: usize| -> Vec<Vec<T>> {
        group.iter().map(|&p| matrix[p as usize * width..][..width].to_vec()).collect()
    };
    let (own_inverse, own_weights) = (rows(inverse, size), rows(weights, units));
    for i in 0..size {
        for (t, block) in block.chunks_exact(group.len()).enumerate() {
            let factor = block.iter().zip(&own_inverse).map(|(&h, row)| h * row[i]).sum::<T>();
            let row = &mut inverse[i * size..(i + 1) * size];
            row.iter_mut().zip(&own_inverse[t]).for_each(|(value, &h)| *value -= factor * h);
            let row = &mut weights[i * units..(i + 1) * units];
            row.iter_mut().zip(&own_weights[t]).for_each(|(value, &w)| *value -= factor * w);
        }
    }
    group.iter().for_each(|&p| weights[p as usize * units..][..units].fill(T::zero()));
    Some(())
}
