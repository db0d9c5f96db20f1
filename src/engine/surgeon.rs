//! The surgeon on one layer: elimination paths of its units, and kept weights solved anew.

use super::Watch;
use crate::cpu::fast::{gram, surgeon};
pub use crate::cpu::gram::{Rows, winners};
pub use crate::cpu::surgeon::PathStep;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// In which rows a unit counts in full; in the others by the layer's inactive weight.
#[derive(Clone, Copy, Debug)]
pub enum ActiveRows<'a> {
    /// In all: the output layer, and before any other activation than ReLU.
    Always,
    /// Where its pre-activation is above 0: a ReLU follows.
    Positive,
    /// Where this says so, `[row, unit]`: a pool follows, see [`winners`].
    Given(&'a [bool]),
}

/// A layer, with calibration images that have come as far as its inputs.
#[derive(Clone, Copy, Debug)]
pub struct SurgeonLayer<'a> {
    /// What its units read, row by row, from the layers before as they now are.
    pub rows: Rows<'a, f32>,
    /// Units.
    pub units: usize,
    /// What each unit should give: pre-activations of the dense network `[row, unit]`.
    pub pre_activations: &'a [f32],
    /// When a unit counts in full.
    pub active_rows: ActiveRows<'a>,
    /// How much a row counts where the unit is not active, from 0 to 1.
    pub inactive_weight: f32,
    /// The ridge as a share of the mean of the Gram matrix' diagonal, above 0.
    pub ridge: f32,
    /// Weights as they now are `[input, unit]`.
    pub weights: &'a [f32],
    /// Biases as they now are `[unit]`, if the layer has any.
    pub bias: Option<&'a [f32]>,
    /// Which weights are there `[input, unit]`.
    pub kept: &'a [bool],
    /// Whether all units share one Gram matrix, in which every row counts in full.
    pub shares_gram: bool,
}

/// Weights and biases that were solved anew; weights that are not kept are exactly 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Refit {
    /// `[input, unit]`
    pub weights: Vec<f32>,
    /// `[unit]`, empty where the layer has none.
    pub bias: Vec<f32>,
}

/// What units share: moments of the columns that any of them has, with all units as targets.
struct AllRows {
    columns: Vec<u32>,
    moments: gram::Half,
    /// `[unit, row]`: a unit reads its own one after the other.
    targets: Vec<f32>,
}

impl SurgeonLayer<'_> {
    /// Fails where arrays do not fit together, where a setting is impossible, and where a number is not finite.
    pub(super) fn check(&self) -> Result<()> {
        let (rows, inputs, units) = (self.rows.len(), self.rows.inputs(), self.units);
        if rows == 0 || inputs == 0 || units == 0 {
            return Err(Error::Usage(format!(
                "the surgeon has {rows} rows of {inputs} inputs for {units} units; give it at least one calibration image"
            )));
        }
        let given = match self.active_rows {
            ActiveRows::Given(active) => active.len(),
            _ => rows * units,
        };
        let lengths = [
            ("pre-activations", self.pre_activations.len(), rows * units),
            ("activities", given, rows * units),
            ("weights", self.weights.len(), inputs * units),
            ("kept weights", self.kept.len(), inputs * units),
            ("biases", self.bias.map_or(units, <[f32]>::len), units),
        ];
        if let Some((what, found, needed)) = lengths.iter().find(|(_, found, needed)| found != needed) {
            return Err(Error::Shape(format!(
                "{found} {what} do not fit {rows} rows of {inputs} inputs and {units} units: {needed} needed"
            )));
        }
        if let Rows::Patches { values, size: [height, width], channels, positions } = self.rows {
            let pixels = values.len() / channels.max(1);
            let whole = pixels.is_multiple_of((height * width).max(1)) && values.len() == pixels * channels;
            if let Some(position) = positions.iter().find(|&&position| !whole || position as usize >= pixels) {
                return Err(Error::Shape(format!(
                    "position {position} does not lie in {} activations of {height} x {width} x {channels}",
                    values.len()
                )));
            }
        }
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::Usage(format!("a ridge of {} solves nothing; use a number above 0", self.ridge)));
        }
        if !(0.0..=1.0).contains(&self.inactive_weight) {
            return Err(Error::Usage(format!(
                "inactive rows cannot count {}; use a number from 0 to 1",
                self.inactive_weight
            )));
        }
        let (Rows::Features { values, .. } | Rows::Patches { values, .. }) = self.rows;
        let arrays = [
            ("inputs", values),
            ("pre-activations", self.pre_activations),
            ("weights", self.weights),
            ("biases", self.bias.unwrap_or_default()),
        ];
        for (what, numbers) in arrays {
            if let Some(place) = numbers.iter().position(|number| !number.is_finite()) {
                return Err(Error::Data(format!(
                    "{what} of the surgeon's layer hold {} at place {place}: the network is broken; prune one whose training \
                     did not diverge",
                    numbers[place]
                )));
            }
        }
        Ok(())
    }

    /// Columns of unit `k` that are there: kept inputs, and the bias behind them.
    pub(super) fn columns(&self, k: usize) -> Vec<u32> {
        self.columns_of(self.kept, k)
    }

    /// The same where the weights of `kept` stay.
    fn columns_of(&self, kept: &[bool], k: usize) -> Vec<u32> {
        let inputs = self.rows.inputs();
        let kept = (0..inputs).filter(|i| kept[i * self.units + k]);
        kept.chain(self.bias.map(|_| inputs)).map(|column| column as u32).collect()
    }

    /// Weight of unit `k` in a column.
    pub(super) fn weight(&self, column: u32, k: usize) -> f32 {
        let place = column as usize * self.units + k;
        self.weights.get(place).copied().unwrap_or_else(|| self.bias.map_or(0.0, |bias| bias[k]))
    }

    /// Whether a row counts in full for unit `k`, of which it is to give `target`.
    fn is_active(&self, row: usize, k: usize, target: f32) -> bool {
        match self.active_rows {
            _ if self.shares_gram => true,
            ActiveRows::Always => true,
            ActiveRows::Positive => target > 0.0,
            ActiveRows::Given(active) => active[row * self.units + k],
        }
    }

    /// How much a row counts for unit `k`.
    #[cfg(feature = "gpu")]
    pub(super) fn row_weight(&self, row: usize, k: usize) -> f32 {
        let is_active = self.is_active(row, k, self.pre_activations[row * self.units + k]);
        crate::cpu::gram::row_weight(is_active, self.inactive_weight)
    }

    /// Moments of all rows for all units together.
    fn all_rows(&self) -> AllRows {
        let inputs = self.rows.inputs();
        let used = (0..inputs).filter(|i| self.kept[i * self.units..(i + 1) * self.units].contains(&true));
        let columns: Vec<u32> = used.chain(self.bias.map(|_| inputs)).map(|column| column as u32).collect();
        let rows: Vec<u32> = (0..self.rows.len() as u32).collect();
        let target = |row: usize, output: &mut [f32]| {
            output.copy_from_slice(&self.pre_activations[row * self.units..(row + 1) * self.units]);
        };
        let moments = gram::accumulate(&self.rows, &columns, &rows, self.units, target);
        let of = |k: usize| self.pre_activations.iter().skip(k).step_by(self.units).copied();
        AllRows { columns, moments, targets: (0..self.units).flat_map(of).collect() }
    }

    /// Whether rows count alike for all units, by choice or by what follows.
    fn shares(&self) -> bool {
        self.shares_gram || matches!(self.active_rows, ActiveRows::Always) || self.inactive_weight == 1.0
    }

    /// Moments of some columns of unit `k`, without a ridge.
    fn moments(&self, all: &AllRows, columns: &[u32], k: usize) -> gram::Half {
        let places = places_of(&all.columns, columns);
        let moments = all.moments.select(&places, k);
        if self.shares() {
            return moments;
        }
        let targets = &all.targets[k * self.rows.len()..(k + 1) * self.rows.len()];
        let rows = (0..).zip(targets).filter(|&(row, &target)| self.is_active(row, k, target));
        let active: Vec<u32> = rows.map(|(row, _)| row as u32).collect();
        let target = |row: usize, output: &mut [f32]| output[0] = targets[row];
        let active = gram::accumulate(&self.rows, columns, &active, 1, target);
        gram::weigh(self.inactive_weight, moments, &active)
    }

    /// Adds the ridge to moments of some columns of unit `k`.
    fn with_ridge(&self, mut moments: gram::Half, columns: &[u32], k: usize) -> gram::Half {
        let ridge = moments.ridge(0..moments.size, self.ridge);
        let weights: Vec<f32> = columns.iter().map(|&column| self.weight(column, k)).collect();
        moments.add_ridge(ridge, &weights);
        moments
    }

    /// A refit that has no weights yet.
    pub(super) fn nothing_kept(&self) -> Refit {
        Refit {
            weights: vec![0.0; self.weights.len()],
            bias: self.bias.map_or_else(Vec::new, |bias| vec![0.0; bias.len()]),
        }
    }

    /// Puts what unit `k` was solved for in its place.
    pub(super) fn place(&self, refit: &mut Refit, k: usize, columns: &[u32], weights: &[f32]) {
        for (&column, &weight) in columns.iter().zip(weights) {
            match refit.weights.get_mut(column as usize * self.units + k) {
                Some(place) => *place = weight,
                None => refit.bias[k] = weight,
            }
        }
    }

    pub(super) fn singular(&self, k: usize) -> Error {
        Error::Data(format!(
            "the inputs of unit {k} determine no weights in single precision with a ridge of {}; use a larger ridge",
            self.ridge
        ))
    }
}

/// Elimination paths of all units, on the threads of the pool that it is called from; see [`super::Engine::paths`].
pub(super) fn paths(
    layer: &SurgeonLayer<'_>,
    ratios: Option<&[f32]>,
    watch: &Watch<'_>,
) -> Result<Vec<Vec<PathStep<f32>>>> {
    let all = layer.all_rows();
    let inputs = layer.rows.inputs();
    // Where nothing is pruned yet, one inverse serves all units that share their moments.
    let one_serves_all = layer.shares() && layer.kept.iter().all(|&kept| kept);
    let invert = |k: usize| {
        let columns = layer.columns(k);
        let moments = layer.with_ridge(layer.moments(&all, &columns, k), &columns, k);
        surgeon::invert(moments).ok_or_else(|| layer.singular(k))
    };
    let inverse = one_serves_all.then(|| invert(0)).transpose()?;
    let path = |k: usize| {
        watch.check()?;
        let columns = layer.columns(k);
        let inverse = match &inverse {
            Some(inverse) => inverse.clone(),
            None => invert(k)?,
        };
        let weights: Vec<f32> = columns.iter().map(|&column| layer.weight(column, k)).collect();
        let removable = columns.iter().filter(|&&column| (column as usize) < inputs);
        let ratios: Vec<f32> =
            removable.map(|&column| ratios.map_or(1.0, |ratios| ratios[column as usize * layer.units + k])).collect();
        let mut steps = surgeon::path(inverse, &weights, &ratios);
        if !steps.iter().all(|step| step.score.is_finite()) {
            return Err(layer.singular(k));
        }
        steps.iter_mut().for_each(|step| step.column = columns[step.column as usize]);
        (watch.progress)(1);
        Ok(steps)
    };
    (0..layer.units).into_par_iter().map(path).collect()
}

/// For each of `cuts` the weights solved anew that it keeps, on the threads of the pool that it is called from; see
/// [`super::Engine::refit`]. Moments are added up once for all.
pub(super) fn refit(layer: &SurgeonLayer<'_>, cuts: &[&[bool]], watch: &Watch<'_>) -> Result<Vec<Refit>> {
    let all = layer.all_rows();
    let solve = |k: usize| {
        watch.check()?;
        let columns = layer.columns(k);
        let moments = layer.moments(&all, &columns, k);
        let one = |kept: &&[bool]| {
            let own = layer.columns_of(kept, k);
            let of_cut = layer.with_ridge(moments.select(&places_of(&columns, &own), 0), &own, k);
            let weights = surgeon::refit(of_cut).ok_or_else(|| layer.singular(k))?;
            Ok((own, weights))
        };
        let solved = cuts.iter().map(one).collect::<Result<Vec<_>>>()?;
        (watch.progress)(cuts.len() as u64);
        Ok(solved)
    };
    let solved: Vec<Vec<(Vec<u32>, Vec<f32>)>> = (0..layer.units).into_par_iter().map(solve).collect::<Result<_>>()?;
    let mut refits = vec![layer.nothing_kept(); cuts.len()];
    for (k, solved) in solved.iter().enumerate() {
        for (refit, (columns, weights)) in refits.iter_mut().zip(solved) {
            layer.place(refit, k, columns, weights);
        }
    }
    Ok(refits)
}

/// Where the columns `own` stand among `columns`; both ascend.
fn places_of(columns: &[u32], own: &[u32]) -> Vec<usize> {
    (0..).zip(columns).filter(|(_, column)| own.binary_search(column).is_ok()).map(|(place, _)| place).collect()
}
