//! The surgeon on one layer: elimination paths of its units, and kept weights solved anew.

use super::Watch;
use crate::cpu::fast::layers::PaddedParameters;
use crate::cpu::fast::{gram, surgeon};
pub use crate::cpu::gram::{Rows, winners};
pub use crate::cpu::surgeon::PathStep;
use crate::error::{Error, Result};
use crate::network::Layer;
use rayon::prelude::*;
use std::borrow::Cow;

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
#[derive(Clone, Debug)]
struct AllRows {
    columns: Vec<u32>,
    moments: gram::Half,
    /// `[unit, row]`: a unit reads its own one after the other. Empty where rows count alike for all.
    targets: Vec<f32>,
}

/// Images that go through a layer together.
pub(super) const BLOCK: usize = 64;

/// The most bytes of moments that are kept.
const KEPT_BYTES: usize = 512 << 20;

/// Moments of a layer's units, for as long as what the layer reads and what its units are to give stay the same. They serve
/// every set of weights that the layer had, or fewer, when they were added up.
#[derive(Clone, Debug)]
pub struct Moments(Option<Known>);

#[derive(Clone, Debug)]
enum Known {
    /// Rows count alike for all units.
    Shared(AllRows),
    /// Of each unit its columns, and their moments.
    Own(Vec<(Vec<u32>, gram::Half)>),
}

impl Moments {
    /// None: they are added up anew where they are needed.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(Known::Shared(all)) => all.moments.bytes(),
            Some(Known::Own(units)) => units.iter().map(|(_, moments)| moments.bytes()).sum(),
        }
    }
}

/// A layer of several that are solved anew one after the other: what it is, and the surgeon's view of it. Of all but the first
/// the values of its rows are not read: they are what the layer before then gives.
pub type ChainLayer<'a> = (Layer, SurgeonLayer<'a>);

impl<'a> SurgeonLayer<'a> {
    /// Fails where arrays do not fit together, where a setting is impossible, and where a number is not finite.
    pub(super) fn check(&self) -> Result<()> {
        self.check_behind(self.rows.len())?;
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
        Ok(())
    }

    /// Fails where a position lies outside of so many images.
    pub(super) fn check_positions(&self, images: usize) -> Result<()> {
        let Rows::Patches { size: [height, width], positions, .. } = self.rows else { return Ok(()) };
        match positions.iter().find(|&&position| position as usize >= images * height * width) {
            Some(position) => {
                Err(Error::Shape(format!("position {position} does not lie in {images} images of {height} x {width}")))
            }
            None => Ok(()),
        }
    }

    /// The same of a layer of `rows` rows, whose values may not be there yet, but for where its rows lie.
    pub(super) fn check_behind(&self, rows: usize) -> Result<()> {
        let (inputs, units) = (self.rows.inputs(), self.units);
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
        let own = if self.shares() { 0..0 } else { 0..self.units };
        AllRows { columns, moments, targets: own.flat_map(of).collect() }
    }

    /// Whether rows count alike for all units, by choice or by what follows.
    fn shares(&self) -> bool {
        self.shares_gram || matches!(self.active_rows, ActiveRows::Always) || self.inactive_weight == 1.0
    }

    /// Moments of some columns of unit `k`, without a ridge.
    fn moments(&self, all: &AllRows, columns: &[u32], k: usize) -> gram::Half {
        let places = places_of(&all.columns, columns);
        let moments = all.moments.select(&places, k..k + 1);
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

    /// Adds the ridge to moments of some columns of some units, from `k` on.
    fn with_ridge(&self, mut moments: gram::Half, columns: &[u32], k: usize, units: usize) -> gram::Half {
        let ridge = moments.ridge(0..moments.size, self.ridge);
        moments.add_ridge(ridge, units, |place, unit| self.weight(columns[place], k + unit));
        moments
    }

    /// Solves all units at once where a cut keeps the same inputs for all and rows count alike; returns whether it did.
    fn refit_alike(&self, source: &Source<'_>, cut: &[bool], refit: &mut Refit) -> Result<bool> {
        let alike = self.shares() && cut.chunks_exact(self.units).all(|row| row.iter().all(|&kept| kept == row[0]));
        let columns = self.columns_of(cut, 0);
        let Some(moments) = alike.then(|| source.select_all(self, &columns)).flatten() else { return Ok(false) };
        let moments = self.with_ridge(moments, &columns, 0, self.units);
        let solved = surgeon::refit_all(moments, self.units).ok_or_else(|| self.singular(0))?;
        for k in 0..self.units {
            self.place(refit, k, &columns, &solved[k * columns.len()..(k + 1) * columns.len()]);
        }
        Ok(true)
    }

    /// The same layer, reading `values`.
    pub(super) fn reading<'b>(&self, values: &'b [f32]) -> SurgeonLayer<'b>
    where
        'a: 'b,
    {
        let rows = match self.rows {
            Rows::Features { inputs, .. } => Rows::Features { values, inputs },
            Rows::Patches { size, channels, positions, .. } => Rows::Patches { values, size, channels, positions },
        };
        SurgeonLayer { rows, ..*self }
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

/// Moments as they are asked for: known, or added up from all rows.
enum Source<'a> {
    Known(&'a Known),
    Rows(Box<AllRows>),
}

impl<'a> Source<'a> {
    fn new(layer: &SurgeonLayer<'_>, known: Option<&'a Moments>) -> Self {
        match known.and_then(|moments| moments.0.as_ref()) {
            Some(known) => Self::Known(known),
            None => Self::Rows(Box::new(layer.all_rows())),
        }
    }

    /// Of some columns of unit `k`.
    fn select(&self, layer: &SurgeonLayer<'_>, columns: &[u32], k: usize) -> gram::Half {
        match self {
            Self::Known(Known::Own(units)) => {
                let (own, moments) = &units[k];
                moments.select(&places_of(own, columns), 0..1)
            }
            Self::Known(Known::Shared(all)) => layer.moments(all, columns, k),
            Self::Rows(all) => layer.moments(all, columns, k),
        }
    }

    /// Of columns that all units have, where rows count alike for all.
    fn select_all(&self, layer: &SurgeonLayer<'_>, columns: &[u32]) -> Option<gram::Half> {
        let all = match self {
            Self::Known(Known::Shared(all)) => all,
            Self::Known(Known::Own(_)) => return None,
            Self::Rows(all) => &**all,
        };
        layer.shares().then(|| all.moments.select(&places_of(&all.columns, columns), 0..layer.units))
    }
}

/// Moments of all that the layer has, on the threads of the pool that it is called from; see [`super::Engine::moments`].
pub(super) fn moments(layer: &SurgeonLayer<'_>, watch: &Watch<'_>) -> Result<Moments> {
    let columns: Vec<Vec<u32>> = (0..layer.units).map(|k| layer.columns(k)).collect();
    let bytes: usize = columns.iter().map(|columns| columns.len() * columns.len() * size_of::<f32>()).sum();
    if !layer.shares() && bytes > KEPT_BYTES {
        return Ok(Moments::none());
    }
    let all = layer.all_rows();
    if layer.shares() {
        return Ok(Moments(Some(Known::Shared(all))));
    }
    let unit = |(k, columns): (usize, Vec<u32>)| {
        watch.check()?;
        let moments = layer.moments(&all, &columns, k);
        Ok((columns, moments))
    };
    Ok(Moments(Some(Known::Own(columns.into_par_iter().enumerate().map(unit).collect::<Result<_>>()?))))
}

/// Elimination paths of all units, on the threads of the pool that it is called from; see [`super::Engine::paths`].
pub(super) fn paths(
    layer: &SurgeonLayer<'_>,
    known: Option<&Moments>,
    ratios: Option<&[f32]>,
    watch: &Watch<'_>,
) -> Result<Vec<Vec<PathStep<f32>>>> {
    let source = Source::new(layer, known);
    let inputs = layer.rows.inputs();
    // Where nothing is pruned yet, one inverse serves all units that share their moments.
    let one_serves_all = layer.shares() && layer.kept.iter().all(|&kept| kept);
    let invert = |k: usize| {
        let columns = layer.columns(k);
        let moments = layer.with_ridge(source.select(layer, &columns, k), &columns, k, 1);
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
pub(super) fn refit(
    layer: &SurgeonLayer<'_>,
    known: Option<&Moments>,
    cuts: &[&[bool]],
    watch: &Watch<'_>,
) -> Result<Vec<Refit>> {
    // What no cut keeps needs no moments.
    let any: Cow<'_, [bool]> = match cuts {
        [only] => (*only).into(),
        _ => (0..layer.kept.len()).map(|place| cuts.iter().any(|cut| cut[place])).collect::<Vec<_>>().into(),
    };
    let layer = &SurgeonLayer { kept: &any, ..*layer };
    let source = Source::new(layer, known);
    let mut refits = vec![layer.nothing_kept(); cuts.len()];
    let together: Vec<bool> = refits
        .iter_mut()
        .zip(cuts)
        .map(|(refit, cut)| layer.refit_alike(&source, cut, refit))
        .collect::<Result<_>>()?;
    let one_by_one: Vec<usize> = (0..cuts.len()).filter(|&cut| !together[cut]).collect();
    let solve = |k: usize| {
        watch.check()?;
        let columns = layer.columns(k);
        // A cut takes its own from moments that are known; otherwise they are added up once for all.
        let moments = match source {
            Source::Known(_) => None,
            Source::Rows(_) if one_by_one.is_empty() => None,
            Source::Rows(_) => Some(source.select(layer, &columns, k)),
        };
        let one = |&cut: &usize| {
            let own = layer.columns_of(cuts[cut], k);
            let of_cut = match &moments {
                Some(moments) => moments.select(&places_of(&columns, &own), 0..1),
                None => source.select(layer, &own, k),
            };
            let weights = surgeon::refit(layer.with_ridge(of_cut, &own, k, 1)).ok_or_else(|| layer.singular(k))?;
            Ok((own, weights))
        };
        let solved = one_by_one.iter().map(one).collect::<Result<Vec<_>>>()?;
        (watch.progress)(cuts.len() as u64);
        Ok(solved)
    };
    let solved: Vec<Vec<(Vec<u32>, Vec<f32>)>> = (0..layer.units).into_par_iter().map(solve).collect::<Result<_>>()?;
    for (k, solved) in solved.iter().enumerate() {
        for (&cut, (columns, weights)) in one_by_one.iter().zip(solved) {
            layer.place(&mut refits[cut], k, columns, weights);
        }
    }
    Ok(refits)
}

/// What layer `index`, counted from 0, of `layers` reads once those before it are as `refits` say.
pub(super) fn behind(layers: &[ChainLayer<'_>], refit: &Refit, index: usize, input: &[f32]) -> Vec<f32> {
    let layer = layers[index - 1].0;
    let padded = PaddedParameters::new(layer, &refit.weights, &refit.bias);
    let mut values = vec![0.0; input.len() / layer.input_len() * layer.output_len()];
    let blocks = input.par_chunks(BLOCK * layer.input_len()).zip(values.par_chunks_mut(BLOCK * layer.output_len()));
    blocks.for_each(|(input, values)| padded.values(input, values));
    values
}

/// The layers after the first of a chain for each cut, in parallel over cuts; see [`super::Engine::refit_chain`].
pub(super) fn refit_behind(
    layers: &[ChainLayer<'_>],
    first: Vec<Refit>,
    cuts: &[Vec<&[bool]>],
    watch: &Watch<'_>,
) -> Result<Vec<Vec<Refit>>> {
    let (Rows::Features { values, .. } | Rows::Patches { values, .. }) = layers[0].1.rows;
    let silent = Watch { stop: watch.stop, progress: &|_| {} };
    let one = |(first, cut): (Refit, &Vec<&[bool]>)| {
        let mut refits = vec![first];
        let mut input = Cow::Borrowed(values);
        for index in 1..layers.len() {
            silent.check()?;
            input = behind(layers, &refits[index - 1], index, &input).into();
            let layer = layers[index].1.reading(&input);
            refits.append(&mut refit(&layer, None, &[cut[index]], &silent)?);
        }
        Ok(refits)
    };
    first.into_par_iter().zip(cuts).map(one).collect()
}

/// Where the columns `own` stand among `columns`; both ascend, and all of `own` are there.
fn places_of(columns: &[u32], own: &[u32]) -> Vec<usize> {
    let mut place = 0;
    let find = |own: &u32| {
        while columns.get(place).is_some_and(|column| column < own) {
            place += 1;
        }
        place
    };
    own.iter().map(find).collect()
}
