//! Moments of a unit's inputs, in blocks of registers. Definition: [`crate::cpu::gram`].
//!
//! The cross moments are one column more of the same matrix. A block of rows is gathered; then a block of sums stays in
//! registers while the rows run. Each sum adds its rows in their order. Rows count 1 or all the same less: so a unit adds up
//! its active rows alone, and what all rows come to is added up once for all units.

use super::{AlignedBuffer, padded};
use crate::cpu::gram::Rows;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows of `x` that are gathered at a time: what a block of sums reads of them stays in the first-level cache.
const GATHERED: usize = 256;

/// A symmetric matrix with more columns at its right: rows `[row, column]`, padded to whole [`super::LANES`]. Only what lies
/// on and right of the diagonal counts.
#[derive(Clone, Debug)]
pub struct Half {
    /// Rows, and columns of the symmetric part.
    pub size: usize,
    /// Numbers from one row to the next.
    pub stride: usize,
    /// `[row, stride]`
    pub values: AlignedBuffer,
}

impl Half {
    /// A matrix of zeros with `extra` columns at the right.
    pub fn new(size: usize, extra: usize) -> Self {
        let stride = padded(size + extra);
        Self { size, stride, values: AlignedBuffer::zeros(padded(size) * stride) }
    }

    /// The number in `row` and `column`, `column >= row`.
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.values[row * self.stride + column]
    }

    /// The ridge of the columns `chosen`, see [`crate::cpu::gram::ridge`].
    pub fn ridge(&self, chosen: impl ExactSizeIterator<Item = usize>, strength: f32) -> f32 {
        crate::cpu::gram::ridge(chosen.map(|i| self.at(i, i)), strength)
    }

    /// The rows and columns `chosen`, ascending, and of the columns at the right those of `targets`.
    pub fn select(&self, chosen: &[usize], targets: Range<usize>) -> Self {
        let mut part = Self::new(chosen.len(), targets.len());
        let targets = self.size + targets.start..self.size + targets.end;
        for (row, &i) in part.values.chunks_exact_mut(part.stride).zip(chosen) {
            let own = &self.values[i * self.stride..(i + 1) * self.stride];
            row.iter_mut().zip(chosen).for_each(|(value, &j)| *value = own[j]);
            row[chosen.len()..][..targets.len()].copy_from_slice(&own[targets.clone()]);
        }
        part
    }

    /// Adds `ridge` to the diagonal, and pulls each of `targets` targets towards its `weight(row, target)` with it.
    pub fn add_ridge(&mut self, ridge: f32, targets: usize, weight: impl Fn(usize, usize) -> f32) {
        for i in 0..self.size {
            let row = &mut self.values[i * self.stride..(i + 1) * self.stride];
            row[i] += ridge;
            let cross = row[self.size..].iter_mut().take(targets).enumerate();
            cross.for_each(|(target, value)| *value += ridge * weight(i, target));
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.values.bytes()
    }
}

/// Moments of the `columns` of `rows`: the Gram matrix, and right of it the cross moments with each of `targets` targets,
/// which `target(row, output)` writes. Only the `chosen` rows are added up; the sum is divided by the number of all.
pub fn accumulate(
    rows: &Rows<'_, f32>,
    columns: &[u32],
    chosen: &[u32],
    targets: usize,
    target: impl Fn(usize, &mut [f32]),
) -> Half {
    let size = columns.len();
    let mut moments = Half::new(size, targets);
    let Half { stride, values: c, .. } = &mut moments;
    let stride = *stride;
    let mut x = AlignedBuffer::zeros(GATHERED.min(chosen.len()) * stride);
    for chosen in chosen.chunks(GATHERED) {
        for (x, &row) in x.chunks_exact_mut(stride).zip(chosen) {
            rows.gather(row as usize, columns, &mut x[..size]);
            target(row as usize, &mut x[size..size + targets]);
        }
        let x = &x[..chosen.len() * stride];
        let rows = 0..size;
        let update = RankUpdate { subtract: false, half: true, rows, first: 0, columns: stride, a: x, b: x, c, stride };
        pulp::Arch::new().dispatch(update);
    }
    let count = rows.len() as f32;
    moments.values.iter_mut().for_each(|value| *value /= count);
    moments
}

/// Moments in which inactive rows count `inactive_weight`: `inactive_weight all + (1 - inactive_weight) active`, from those of
/// all rows and those of the active ones.
pub fn weigh(inactive_weight: f32, mut all: Half, active: &Half) -> Half {
    for (all, &active) in all.values.iter_mut().zip(&*active.values) {
        *all = inactive_weight * *all + (1.0 - inactive_weight) * active;
    }
    all
}

/// `c[i, j] += sum_t a[t, i] b[t, j]`, or `-=`, for the `rows` i and the first `columns` j; of a `half` only j >= i need be
/// right, and what lies left of it may become anything. All arrays have rows of `stride`, whole [`super::LANES`]; c has
/// rows up to the next whole eight.
pub(super) struct RankUpdate<'a> {
    /// Whether the sum is taken away.
    pub subtract: bool,
    /// Whether only the half right of the diagonal counts.
    pub half: bool,
    /// Rows of the sum, from a multiple of eight on.
    pub rows: Range<usize>,
    /// Which of them c begins with.
    pub first: usize,
    /// Columns of c.
    pub columns: usize,
    /// `[t, stride]`
    pub a: &'a [f32],
    /// `[t, stride]`
    pub b: &'a [f32],
    /// `[i, stride]`
    pub c: &'a mut [f32],
    /// Numbers from one row to the next, in all three.
    pub stride: usize,
}

impl WithSimd for RankUpdate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Sixteen running sums of AVX-512, eight of others: they hide the latency of the multiply-add and leave registers free.
        if S::F32_LANES == 16 { self.blocks::<S, 8>(simd) } else { self.blocks::<S, 4>(simd) }
    }
}

/// Vector registers of columns of a block.
const COLUMNS: usize = 2;

impl RankUpdate<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const R: usize>(self, simd: S) {
        let Self { subtract, half, rows, first, columns, a, b, c, stride } = self;
        let registers = columns.div_ceil(S::F32_LANES);
        for row in rows.step_by(R) {
            let c = &mut c[(row - first) * stride..];
            let mut register = if half { row / S::F32_LANES } else { 0 };
            while register + COLUMNS <= registers {
                block::<S, R, COLUMNS>(simd, subtract, [row, register], [a, b], c, [stride; 2]);
                register += COLUMNS;
            }
            if register < registers {
                block::<S, R, 1>(simd, subtract, [row, register], [a, b], c, [stride; 2]);
            }
        }
    }
}

/// `R` rows x `C` registers of sums, from a row of the sum and a register of its columns on; a has rows of the first stride, b
/// and c of the second.
#[inline(always)]
pub(super) fn block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    subtract: bool,
    [row, register]: [usize; 2],
    [a, b]: [&[f32]; 2],
    c: &mut [f32],
    [of_a, stride]: [usize; 2],
) {
    let mut sums = [[simd.splat_f32s(0.0); C]; R];
    for (a, b) in a.chunks_exact(of_a).zip(b.chunks_exact(stride)) {
        let a = &a[row..row + R];
        let b = &S::as_simd_f32s(b).0[register..register + C];
        for (sums, &a) in sums.iter_mut().zip(a) {
            let a = simd.splat_f32s(a);
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, b, *sum);
            }
        }
    }
    for (sums, c) in sums.iter().zip(c.chunks_exact_mut(stride)) {
        let c = &mut S::as_mut_simd_f32s(c).0[register..register + C];
        for (c, &sum) in c.iter_mut().zip(sums) {
            *c = if subtract { simd.sub_f32s(*c, sum) } else { simd.add_f32s(*c, sum) };
        }
    }
}
