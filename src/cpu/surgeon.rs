//! The surgeon: which weight of a unit goes next, and what the others become without it, in closed form.
//!
//! All begin with the moments of the unit's inputs with their ridge added, see [`super::gram`]. Formulas and sources:
//! `docs/kernels/surgeon.md`.

use super::Real;
use super::gram::Moments;

/// One removal on the path of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathStep<T> {
    /// The column that goes.
    pub column: u32,
    /// What it was chosen by: `(ratio w)^2 / H_pp`, the smallest.
    pub score: T,
    /// What its removal adds to the weighted squared error of the pre-activation: `w^2 / H_pp`.
    pub cost: T,
}

/// Inverts a symmetric positive definite `matrix` `[size, size]` in place, by Gauss-Jordan steps. Returns whether every
/// pivot was above 0; if not, what is left in `matrix` is not said.
pub fn invert<T: Real>(size: usize, matrix: &mut [T]) -> bool {
    for p in 0..size {
        let pivot = matrix[p * size + p];
        if !(pivot > T::zero() && pivot.is_finite()) {
            return false;
        }
        matrix[p * size + p] = T::one();
        matrix[p * size..(p + 1) * size].iter_mut().for_each(|value| *value /= pivot);
        let pivot_row = matrix[p * size..(p + 1) * size].to_vec();
        for (_, row) in matrix.chunks_exact_mut(size).enumerate().filter(|(i, _)| *i != p) {
            let factor = std::mem::replace(&mut row[p], T::zero());
            row.iter_mut().zip(&pivot_row).for_each(|(value, &pivot)| *value -= factor * pivot);
        }
    }
    true
}

/// The elimination path: again and again the column with the smallest score goes, the first of equals, and the others take
/// over what it did. `weights` are `[column, unit]`: one unit, or all that share a Gram matrix where whole inputs go; a column
/// costs `sum_k J_k w_pk^2 / H_pp` with the units' `importance` J. `ratios` has a number for each column that may go; those
/// behind them, the bias, stay.
///
/// `w -= H_:p w_p / H_pp`, `H -= H_:p H_p: / H_pp` with H the inverse of the Gram matrix. Nothing if the matrix is singular.
/// Twin of `shaders/surgeon/path.wgsl`.
pub fn path<T: Real>(moments: &Moments<T>, weights: &[T], importance: &[T], ratios: &[T]) -> Option<Vec<PathStep<T>>> {
    let (size, units) = (moments.size, importance.len());
    let (mut inverse, mut weights) = (moments.gram.clone(), weights.to_vec());
    if !invert(size, &mut inverse) {
        return None;
    }
    let mut alive: Vec<usize> = (0..ratios.len()).collect();
    let mut steps = Vec::with_capacity(ratios.len());
    while let Some(&first) = alive.first() {
        let cost = |p: usize| {
            let squares = weights[p * units..(p + 1) * units].iter().zip(importance);
            squares.map(|(&w, &importance)| importance * w * w).sum::<T>() / inverse[p * size + p]
        };
        let score = |p: usize| ratios[p] * ratios[p] * cost(p);
        let p = alive.iter().fold(first, |best, &p| if score(p) < score(best) { p } else { best });
        steps.push(PathStep { column: p as u32, score: score(p), cost: cost(p) });
        alive.retain(|&column| column != p);
        remove(size, p, &mut inverse, &mut weights);
    }
    Some(steps)
}

/// Takes column `p` out of `inverse` `[size, size]`, and gives what its `weights` `[column, unit]` did to the others.
pub fn remove<T: Real>(size: usize, p: usize, inverse: &mut [T], weights: &mut [T]) {
    let units = weights.len() / size;
    let pivot_row = inverse[p * size..(p + 1) * size].to_vec();
    let removed = weights[p * units..(p + 1) * units].to_vec();
    for i in 0..size {
        let factor = pivot_row[i] / pivot_row[p];
        let row = &mut inverse[i * size..(i + 1) * size];
        row.iter_mut().zip(&pivot_row).for_each(|(value, &pivot)| *value -= factor * pivot);
        let row = &mut weights[i * units..(i + 1) * units];
        row.iter_mut().zip(&removed).for_each(|(weight, &removed)| *weight -= factor * removed);
    }
    weights[p * units..(p + 1) * units].fill(T::zero());
}

/// The weights of all columns that the moments have: `gram^-1 cross`. Nothing if the matrix is singular.
///
/// Twin of `shaders/surgeon/refit.wgsl`.
pub fn refit<T: Real>(moments: &Moments<T>) -> Option<Vec<T>> {
    let mut inverse = moments.gram.clone();
    let solvable = invert(moments.size, &mut inverse);
    let row = |row: &[T]| row.iter().zip(&moments.cross).map(|(&h, &c)| h * c).sum();
    solvable.then(|| inverse.chunks_exact(moments.size.max(1)).map(row).collect())
}
