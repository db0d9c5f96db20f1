//! What was observed under which combination of factors, and least squares on it.
//!
//! Observations of one combination share a row of the design matrix. Each model here depends on them only through that
//! row's count, mean and spread, so all of it is computed on the combinations: exact, and as quick for 360,000
//! observations as for 8.

use super::{mean, sum_of_squares};
use crate::error::{Error, Result};
use nalgebra::{DMatrix, DVector};
use std::collections::BTreeMap;

/// A column of the design matrix counts as a combination of those before it if so little of its length is left.
const COLLINEAR: f64 = 1e-7;

/// What observations are classified by.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// Name, e.g. `data_set`.
    pub name: String,
    /// Names of its levels, two or more, in alphabetical order; the first is what others are contrasted with.
    pub levels: Vec<String>,
}

/// Observations under one level of each factor.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The level of each factor, in the factors' order.
    pub levels: Vec<&'a str>,
    /// The response, one or more observations.
    pub values: Vec<f64>,
}

/// All observations of one combination of levels.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Index of the level of each factor.
    pub(super) levels: Vec<usize>,
    /// The response.
    pub(super) values: Vec<f64>,
    /// Its mean.
    pub(super) mean: f64,
    /// Sum of squares around [`Self::mean`].
    pub(super) within: f64,
}

impl Cell {
    /// Number of observations.
    pub(super) fn count(&self) -> f64 {
        self.values.len() as f64
    }
}

/// A response and its factors.
#[derive(Clone, Debug)]
pub struct Design {
    factors: Vec<Factor>,
    cells: Vec<Cell>,
}

impl Design {
    /// Collects `groups`, whose levels are those of the factors named in `names`. Several groups may have the same levels.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no observations, if one is not finite, or if a factor has fewer than two levels.
    /// [`Error::Shape`] if a group has another number of levels than there are names.
    pub fn new(names: &[&str], groups: &[Group<'_>]) -> Result<Self> {
        let mut cells: BTreeMap<&[&str], Vec<f64>> = BTreeMap::new();
        for group in groups {
            if group.levels.len() != names.len() {
                return Err(Error::Shape(format!("a group with levels {:?} for factors {names:?}", group.levels)));
            }
            if let Some(value) = group.values.iter().find(|value| !value.is_finite()) {
                let place = group.levels.join(", ");
                return Err(Error::Data(format!("an observation of {place} is {value}; remove it or correct it")));
            }
            cells.entry(&group.levels).or_default().extend(&group.values);
        }
        cells.retain(|_, values| !values.is_empty());
        if cells.is_empty() {
            return Err(Error::Data("there are no observations to analyse".into()));
        }
        let mut factors = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let mut levels: Vec<String> = cells.keys().map(|levels| levels[place].to_string()).collect();
            levels.sort();
            levels.dedup();
            if let [only] = levels.as_slice() {
                return Err(Error::Data(format!(
                    "{name} has one level, {only}: an effect of {name} needs observations of two or more"
                )));
            }
            factors.push(Factor { name: (*name).into(), levels });
        }
        let index = |(factor, level): (&Factor, &&str)| factor.levels.iter().position(|known| known == level);
        let cells = cells.into_iter().map(|(levels, values)| Cell {
            levels: factors.iter().zip(levels).filter_map(index).collect(),
            mean: mean(&values),
            within: sum_of_squares(&values),
            values,
        });
        let cells = cells.collect();
        Ok(Self { factors, cells })
    }

    /// The factors, in the order in which they enter the models.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }

    /// The combinations of levels that were observed.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Number of observations.
    pub fn observations(&self) -> usize {
        self.cells.iter().map(|cell| cell.values.len()).sum()
    }

    /// Mean of all observations.
    pub(super) fn mean(&self) -> f64 {
        // Around one cell's mean, so that equal observations have exactly themselves as their mean.
        let origin = self.cells[0].mean;
        let sum: f64 = self.cells.iter().map(|cell| cell.count() * (cell.mean - origin)).sum();
        origin + sum / self.observations() as f64
    }

    /// Columns of the model matrix that a factor has: one for each level but the first.
    pub(super) fn columns_of(factor: &Factor) -> usize {
        factor.levels.len() - 1
    }

    /// Names of the columns of the model matrix, as R writes them: `(Intercept)`, `data_setPR`, ...
    pub(super) fn column_names(&self) -> Vec<String> {
        let named = self
            .factors
            .iter()
            .flat_map(|factor| factor.levels[1..].iter().map(move |level| format!("{}{level}", factor.name)));
        ["(Intercept)".to_string()].into_iter().chain(named).collect()
    }

    /// Model matrix `[cell, column]` of the intercept and the first `factors` factors, in treatment contrasts.
    pub(super) fn matrix(&self, factors: usize) -> DMatrix<f64> {
        let columns = 1 + self.factors[..factors].iter().map(Self::columns_of).sum::<usize>();
        let mut matrix = DMatrix::zeros(self.cells.len(), columns);
        for (row, cell) in self.cells.iter().enumerate() {
            matrix[(row, 0)] = 1.0;
            let mut start = 1;
            for (factor, &level) in self.factors[..factors].iter().zip(&cell.levels) {
                if level > 0 {
                    matrix[(row, start + level - 1)] = 1.0;
                }
                start += Self::columns_of(factor);
            }
        }
        matrix
    }

    /// Least squares of `response` on the first `factors` factors; `weights` and `response` have an entry for each cell.
    ///
    /// # Errors
    /// [`Error::Data`] if the observed combinations do not tell the factors apart.
    pub(super) fn least_squares(&self, factors: usize, weights: &[f64], response: &[f64]) -> Result<LeastSquares> {
        let mut matrix = self.matrix(factors);
        let roots = DVector::from_iterator(weights.len(), weights.iter().map(|weight| weight.sqrt()));
        for mut column in matrix.column_iter_mut() {
            column.component_mul_assign(&roots);
        }
        let lengths: Vec<f64> = matrix.column_iter().map(|column| column.norm()).collect();
        let (q, r) = matrix.qr().unpack();
        let distinct = |&column: &usize| column < r.nrows() && r[(column, column)].abs() > COLLINEAR * lengths[column];
        if let Some(column) = (0..lengths.len()).find(|column| !distinct(column)) {
            return Err(self.confounded(column));
        }
        let weighted = DVector::from_column_slice(response).component_mul(&roots);
        let effects = q.tr_mul(&weighted);
        Ok(LeastSquares { q, r, effects, roots })
    }

    fn confounded(&self, column: usize) -> Error {
        let names: Vec<&str> = self.factors.iter().map(|factor| factor.name.as_str()).collect();
        let name = &self.column_names()[column];
        Error::Data(format!(
            "the effects of {} cannot be told apart: among the {} combinations that were observed, {name} follows from the \
             other levels; observe more combinations, or leave a factor out",
            names.join(" and "),
            self.cells.len(),
        ))
    }
}

/// A weighted least-squares fit by QR decomposition.
pub(super) struct LeastSquares {
    q: DMatrix<f64>,
    r: DMatrix<f64>,
    /// What each column adds to the columns before it, in units of the response times the root of a weight.
    pub(super) effects: DVector<f64>,
    roots: DVector<f64>,
}

impl LeastSquares {
    /// What the columns `from..to` add to the fit of each cell.
    pub(super) fn projection(&self, from: usize, to: usize) -> Vec<f64> {
        let columns = self.q.columns(from, to - from) * self.effects.rows(from, to - from);
        columns.component_div(&self.roots).iter().copied().collect()
    }

    /// The fit of each cell.
    pub(super) fn fitted(&self) -> Vec<f64> {
        self.projection(0, self.effects.len())
    }

    /// The coefficients; the matrix has full rank, so there are some.
    pub(super) fn coefficients(&self) -> Vec<f64> {
        self.r
            .solve_upper_triangular(&self.effects)
            .map(|solution| solution.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Diagonal of the inverse of X'WX.
    pub(super) fn unscaled_variances(&self) -> Vec<f64> {
        let size = self.r.ncols();
        let inverse = self.r.solve_upper_triangular(&DMatrix::identity(size, size));
        inverse.map(|inverse| inverse.row_iter().map(|row| row.norm_squared()).collect()).unwrap_or_default()
    }
}
