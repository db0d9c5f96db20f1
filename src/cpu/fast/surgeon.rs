//! Inverses, elimination paths and refits, in blocks. Definition: [`crate::cpu::surgeon`].
//!
//! Each takes a few rows at once, a panel, and gives what they do to the rest of the matrix in one update, `RankUpdate`,
//! which runs at the speed of a matrix product.

use super::gram::{Half, RankUpdate};
use super::{AlignedBuffer, LANES};
use crate::cpu::surgeon::PathStep;
use pulp::{Simd, WithSimd};

/// Rows of a panel.
pub(super) const PANEL: usize = 32;

/// `y += factor * x`, whole registers.
#[inline(always)]
pub(super) fn add_scaled<S: Simd>(simd: S, factor: f32, x: &[f32], y: &mut [f32]) {
    let factor = simd.splat_f32s(factor);
    for (y, &x) in S::as_mut_simd_f32s(y).0.iter_mut().zip(S::as_simd_f32s(x).0) {
        *y = simd.mul_add_e_f32s(factor, x, *y);
    }
}

/// `y *= factor`, whole registers.
#[inline(always)]
pub(super) fn scale<S: Simd>(simd: S, factor: f32, y: &mut [f32]) {
    let factor = simd.splat_f32s(factor);
    S::as_mut_simd_f32s(y).0.iter_mut().for_each(|y| *y = simd.mul_f32s(factor, *y));
}

/// Factors a symmetric positive definite matrix as `U^T U`: U takes the place of its right half, and the columns at its right
/// become `U^-T` times what they were. Returns whether every pivot was above 0.
#[inline(always)]
pub(super) fn factor<S: Simd>(simd: S, matrix: &mut Half) -> bool {
    let Half { size, stride, ref mut values } = *matrix;
    let mut panel = AlignedBuffer::zeros(PANEL * stride);
    for first in (0..size).step_by(PANEL) {
        let end = size.min(first + PANEL);
        for row in first..end {
            let (above, own) = values.split_at_mut(row * stride);
            // What lies left of the diagonal may become anything.
            let from = row - row % LANES;
            let own = &mut own[from..stride];
            for above in above[first * stride..].chunks_exact(stride) {
                add_scaled(simd, -above[row], &above[from..], own);
            }
            let pivot = own[row - from];
            if !(pivot > 0.0 && pivot.is_finite()) {
                return false;
            }
            scale(simd, 1.0 / pivot.sqrt(), own);
        }
        let panel = &mut panel[..(end - first) * stride];
        panel.copy_from_slice(&values[first * stride..end * stride]);
        let rows = end..size;
        RankUpdate {
            subtract: true,
            half: true,
            rows,
            first: 0,
            columns: stride,
            a: panel,
            b: panel,
            c: values,
            stride,
        }
        .with_simd(simd);
    }
    true
}

/// See [`invert`].
struct Invert(Half);

impl WithSimd for Invert {
    type Output = Option<Half>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Option<Half> {
        let Self(mut matrix) = self;
        if !factor(simd, &mut matrix) {
            return None;
        }
        let Half { size, stride, values: ref upper } = matrix;
        let mut inverse = Half { size, stride, values: AlignedBuffer::zeros(upper.len()) };
        // Rows of `U^-T`, which is lower triangular; the inverse is the sum of their outer products.
        let mut lower = AlignedBuffer::zeros(upper.len());
        let mut panel = AlignedBuffer::zeros(PANEL * stride);
        for first in (0..size).step_by(PANEL) {
            let end = size.min(first + PANEL);
            for row in first..end {
                let (above, own) = lower.split_at_mut(row * stride);
                let own = &mut own[..(row + 1).next_multiple_of(LANES)];
                own[row] = 1.0;
                for (t, above) in (first..).zip(above[first * stride..].chunks_exact(stride)) {
                    add_scaled(simd, -upper[t * stride + row], above, own);
                }
                scale(simd, 1.0 / upper[row * stride + row], own);
            }
            let panel = &mut panel[..(end - first) * stride];
            panel.copy_from_slice(&lower[first * stride..end * stride]);
            let a = &upper[first * stride..end * stride];
            let (rows, c) = (end..size, &mut lower);
            RankUpdate { subtract: true, half: false, rows, first: 0, columns: end, a, b: panel, c, stride }
                .with_simd(simd);
            let (rows, c) = (0..end, &mut inverse.values);
            RankUpdate { subtract: false, half: true, rows, first: 0, columns: end, a: panel, b: panel, c, stride }
                .with_simd(simd);
        }
        Some(inverse)
    }
}

/// The inverse of a symmetric positive definite matrix; nothing if a pivot is not above 0.
pub fn invert(matrix: Half) -> Option<Half> {
    pulp::Arch::new().dispatch(Invert(matrix))
}

/// See [`path`].
struct Path<'a> {
    inverse: Half,
    weights: &'a [f32],
    ratios: &'a [f32],
}

impl WithSimd for Path<'_> {
    type Output = Vec<PathStep<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { inverse: Half { size, stride, values: mut base }, weights, ratios } = self;
        let mut steps = Vec::with_capacity(ratios.len());
        // Which columns are still there, and of each its weight, its place on the diagonal, and whether it may go.
        let mut columns: Vec<usize> = (0..size).collect();
        let [mut w, mut diagonal] = [(); 2].map(|()| AlignedBuffer::zeros(stride));
        w[..size].copy_from_slice(weights);
        (0..size).for_each(|i| diagonal[i] = base[i * stride + i]);
        let mut open: Vec<bool> = columns.iter().map(|&column| column < ratios.len()).collect();
        // What the last removals take away from the base: the sum of the rows' outer products.
        let mut panel = AlignedBuffer::zeros(PANEL * stride);
        let mut pending = 0;
        while steps.len() < ratios.len() {
            let (mut best, mut step) = (None, PathStep { column: 0, score: f32::INFINITY, cost: 0.0 });
            for (i, &column) in columns.iter().enumerate().filter(|(i, _)| open[*i]) {
                let cost = w[i] * w[i] / diagonal[i];
                let score = ratios[column] * ratios[column] * cost;
                if best.is_none() || score < step.score {
                    (best, step) = (Some(i), PathStep { column: column as u32, score, cost });
                }
            }
            let Some(p) = best else { break };
            steps.push(step);
            let (before, own) = panel.split_at_mut(pending * stride);
            let width = columns.len().next_multiple_of(LANES);
            let own = &mut own[..width];
            (0..p).for_each(|i| own[i] = base[i * stride + p]);
            own[p..].copy_from_slice(&base[p * stride + p..p * stride + width]);
            before.chunks_exact(stride).for_each(|before| add_scaled(simd, -before[p], before, own));
            scale(simd, 1.0 / diagonal[p].sqrt(), own);
            add_scaled(simd, -w[p] / diagonal[p].sqrt(), own, &mut w[..width]);
            for (h, &u) in S::as_mut_simd_f32s(&mut diagonal[..width]).0.iter_mut().zip(S::as_simd_f32s(own).0) {
                *h = simd.sub_f32s(*h, simd.mul_f32s(u, u));
            }
            open[p] = false;
            pending += 1;
            if pending == PANEL {
                let (rows, a) = (0..columns.len(), &panel);
                RankUpdate {
                    subtract: true,
                    half: true,
                    rows,
                    first: 0,
                    columns: width,
                    a,
                    b: a,
                    c: &mut base,
                    stride,
                }
                .with_simd(simd);
                pending = 0;
                // Columns that are gone are closed up.
                let there: Vec<usize> = (0..columns.len()).filter(|&i| open[i] || columns[i] >= ratios.len()).collect();
                for (to, &from) in there.iter().enumerate() {
                    for (target, &source) in (to..).zip(&there[to..]) {
                        base[to * stride + target] = base[from * stride + source];
                    }
                    (w[to], diagonal[to], columns[to], open[to]) = (w[from], diagonal[from], columns[from], open[from]);
                }
                columns.truncate(there.len());
            }
        }
        steps
    }
}

/// The elimination path of one unit, see [`crate::cpu::surgeon::path`], from the inverse of its Gram matrix.
pub fn path(inverse: Half, weights: &[f32], ratios: &[f32]) -> Vec<PathStep<f32>> {
    pulp::Arch::new().dispatch(Path { inverse, weights, ratios })
}

/// See [`refit`].
struct Refit(Half);

impl WithSimd for Refit {
    type Output = Option<Vec<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self(mut matrix) = self;
        if !factor(simd, &mut matrix) {
            return None;
        }
        let Half { size, stride, values } = matrix;
        // Whole registers of targets; what stands beside them, if anything, is solved along.
        let first = size - size % LANES;
        let width = stride - first;
        let mut solutions = AlignedBuffer::zeros(size * width);
        for i in (0..size).rev() {
            let row = &values[i * stride..(i + 1) * stride];
            let (own, behind) = solutions[i * width..].split_at_mut(width);
            own.copy_from_slice(&row[first..]);
            for (&factor, solved) in row[i + 1..size].iter().zip(behind.chunks_exact(width)) {
                add_scaled(simd, -factor, solved, own);
            }
            scale(simd, 1.0 / row[i], own);
        }
        let rows = solutions.chunks_exact(width).take(size);
        Some(rows.flat_map(|row| &row[size - first..]).copied().collect())
    }
}

/// The weights of all columns of the matrix for its only target; nothing if a pivot is not above 0.
pub fn refit(moments: Half) -> Option<Vec<f32>> {
    refit_all(moments, 1)
}

/// The weights of all columns of the matrix for each of its first `targets` targets, `[target, column]`; nothing if a pivot is
/// not above 0.
pub fn refit_all(moments: Half, targets: usize) -> Option<Vec<f32>> {
    let (size, width) = (moments.size, moments.stride - moments.size);
    let rows = pulp::Arch::new().dispatch(Refit(moments))?;
    Some((0..targets).flat_map(|target| (0..size).map(move |i| i * width + target)).map(|place| rows[place]).collect())
}
