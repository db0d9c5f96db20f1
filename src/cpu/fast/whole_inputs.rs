//! Elimination paths of whole inputs, and layers solved anew for all units at once. Definition:
//! [`crate::cpu::whole_inputs`].
//!
//! A group goes column by column: a removal of several is a row of removals. What the last of them take away from the matrix
//! waits in a panel and is applied in one update, at the speed of a matrix product; weights, and each group's own part of the
//! matrix, are always up to date, since every choice looks at them.

use super::gram::{Half, RankUpdate};
use super::surgeon::{PANEL, add_scaled, factor, scale};
use super::{AlignedBuffer, padded};
use crate::cpu::whole_inputs::GroupStep;
use pulp::{Simd, WithSimd};

/// A group that is still there.
struct Group {
    number: u32,
    /// Its columns, where they now stand.
    columns: Vec<usize>,
    /// Its part of the inverse `[column, column]`.
    block: Vec<f32>,
    cost: f32,
}

/// Room for the cost of one group.
struct Scratch {
    /// Cholesky factor of the group's part of the inverse `[column, column]`.
    lower: Vec<f32>,
    /// The group's weights solved with it `[column, padded unit]`.
    solved: AlignedBuffer,
}

impl Group {
    /// What its removal costs; infinity where its part of the matrix has a pivot that is not above 0.
    #[inline(always)]
    fn cost<S: Simd>(&self, simd: S, weights: &[f32], importance: &[f32], scratch: &mut Scratch) -> f32 {
        let (count, width) = (self.columns.len(), importance.len());
        let Scratch { lower, solved } = scratch;
        let mut sum = simd.splat_f32s(0.0);
        for i in 0..count {
            for j in 0..=i {
                let products = (0..j).map(|t| lower[i * count + t] * lower[j * count + t]);
                let left = self.block[i * count + j] - products.sum::<f32>();
                lower[i * count + j] = if i == j { left.sqrt() } else { left / lower[j * count + j] };
            }
            let pivot = lower[i * count + i];
            if !(pivot > 0.0 && pivot.is_finite()) {
                return f32::INFINITY;
            }
            let (above, own) = solved.split_at_mut(i * width);
            let own = &mut own[..width];
            own.copy_from_slice(&weights[self.columns[i] * width..][..width]);
            for (t, above) in above.chunks_exact(width).enumerate() {
                add_scaled(simd, -lower[i * count + t], above, own);
            }
            let reciprocal = simd.splat_f32s(1.0 / pivot);
            for (own, &importance) in S::as_mut_simd_f32s(own).0.iter_mut().zip(S::as_simd_f32s(importance).0) {
                *own = simd.mul_f32s(reciprocal, *own);
                sum = simd.mul_add_e_f32s(importance, simd.mul_f32s(*own, *own), sum);
            }
        }
        simd.reduce_sum_f32s(sum)
    }
}

/// See [`path`].
struct Path<'a> {
    inverse: Half,
    weights: &'a [f32],
    importance: &'a [f32],
    groups: &'a [Vec<u32>],
}

impl WithSimd for Path<'_> {
    type Output = Vec<GroupStep<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { inverse: Half { size, stride, values: mut base }, weights, importance, groups } = self;
        let (units, width) = (importance.len(), padded(importance.len()));
        let mut j = AlignedBuffer::zeros(width);
        j[..units].copy_from_slice(importance);
        // `[column, padded unit]`
        let mut w = AlignedBuffer::zeros(size * width);
        for (row, own) in w.chunks_exact_mut(width).zip(weights.chunks_exact(units)) {
            row[..units].copy_from_slice(own);
        }
        let most = groups.iter().map(Vec::len).max().unwrap_or(0);
        let mut scratch = Scratch { lower: vec![0.0; most * most], solved: AlignedBuffer::zeros(most * width) };
        let group = |(number, columns): (usize, &Vec<u32>)| {
            let columns: Vec<usize> = columns.iter().map(|&column| column as usize).collect();
            let pairs = columns.iter().flat_map(|&i| columns.iter().map(move |&j| (i.min(j), i.max(j))));
            let block = pairs.map(|(i, j)| base[i * stride + j]).collect();
            Group { number: number as u32, columns, block, cost: 0.0 }
        };
        let mut alive: Vec<Group> = groups.iter().enumerate().map(group).collect();
        alive.iter_mut().for_each(|group| group.cost = group.cost(simd, &w, &j, &mut scratch));
        let mut steps = Vec::with_capacity(groups.len());
        // How many columns there are, and which of them have gone since the last panel.
        let (mut count, mut gone) = (size, vec![false; size]);
        let mut panel = AlignedBuffer::zeros((PANEL + most) * stride);
        let mut pending = 0;
        while let Some(first) = alive.first() {
            let (mut best, mut cost) = (0, first.cost);
            for (place, group) in alive.iter().enumerate() {
                if group.cost < cost {
                    (best, cost) = (place, group.cost);
                }
            }
            let removed = alive.remove(best);
            steps.push(GroupStep { group: removed.number, cost });
            let filled = count.next_multiple_of(super::LANES);
            for &p in &removed.columns {
                let (before, own) = panel.split_at_mut(pending * stride);
                let own = &mut own[..filled];
                (0..p).for_each(|i| own[i] = base[i * stride + p]);
                own[p..].copy_from_slice(&base[p * stride + p..p * stride + filled]);
                for before in before.chunks_exact(stride) {
                    add_scaled(simd, -before[p], &before[..filled], own);
                }
                let root = own[p].sqrt();
                if !(root > 0.0 && root.is_finite()) {
                    // What follows would be nothing but rounding: the caller sees that steps are missing.
                    return steps;
                }
                scale(simd, 1.0 / root, own);
                scratch.solved[..width].copy_from_slice(&w[p * width..(p + 1) * width]);
                for (row, &u) in w.chunks_exact_mut(width).zip(&own[..count]) {
                    add_scaled(simd, -u / root, &scratch.solved[..width], row);
                }
                for Group { columns, block, .. } in &mut alive {
                    for (row, &i) in block.chunks_exact_mut(columns.len()).zip(&*columns) {
                        row.iter_mut().zip(&*columns).for_each(|(value, &j)| *value -= own[i] * own[j]);
                    }
                }
                gone[p] = true;
                pending += 1;
            }
            if pending >= PANEL {
                let a = &panel[..pending * stride];
                let (rows, c) = (0..count, &mut base);
                RankUpdate { subtract: true, half: true, rows, first: 0, columns: filled, a, b: a, c, stride }
                    .with_simd(simd);
                pending = 0;
                // Columns that are gone are closed up.
                let there: Vec<usize> = (0..count).filter(|&i| !gone[i]).collect();
                let mut places = vec![0; count];
                for (to, &from) in there.iter().enumerate() {
                    for (target, &source) in (to..).zip(&there[to..]) {
                        base[to * stride + target] = base[from * stride + source];
                    }
                    w.copy_within(from * width..(from + 1) * width, to * width);
                    places[from] = to;
                }
                alive.iter_mut().flat_map(|group| &mut group.columns).for_each(|column| *column = places[*column]);
                count = there.len();
                gone = vec![false; count];
            }
            alive.iter_mut().for_each(|group| group.cost = group.cost(simd, &w, &j, &mut scratch));
        }
        steps
    }
}

/// The elimination path of whole inputs, see [`crate::cpu::whole_inputs::path`], from the inverse of the Gram matrix. It ends
/// early where single precision does not determine how it goes on.
pub fn path(inverse: Half, weights: &[f32], importance: &[f32], groups: &[Vec<u32>]) -> Vec<GroupStep<f32>> {
    pulp::Arch::new().dispatch(Path { inverse, weights, importance, groups })
}

/// See [`solve`].
struct Solve(Half, usize);

impl WithSimd for Solve {
    type Output = Option<Vec<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self(mut matrix, units) = self;
        if !factor(simd, &mut matrix) {
            return None;
        }
        let Half { size, stride, values } = matrix;
        let width = padded(units);
        let mut solved = AlignedBuffer::zeros(size * width);
        for (i, row) in values.chunks_exact(stride).take(size).enumerate().rev() {
            let (own, below) = solved[i * width..].split_at_mut(width);
            own[..units].copy_from_slice(&row[size..size + units]);
            for (&u, below) in row[i + 1..size].iter().zip(below.chunks_exact(width)) {
                add_scaled(simd, -u, below, own);
            }
            scale(simd, 1.0 / row[i], own);
        }
        Some(solved.chunks_exact(width).flat_map(|row| &row[..units]).copied().collect())
    }
}

/// The weights `[column, unit]` of all columns of the matrix, for all of its `units` targets; nothing if a pivot is not
/// above 0.
pub fn solve(moments: Half, units: usize) -> Option<Vec<f32>> {
    pulp::Arch::new().dispatch(Solve(moments, units))
}
