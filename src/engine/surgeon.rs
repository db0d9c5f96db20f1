//! The surgeon on one layer: elimination paths of its units, and kept weights solved anew.

use super::Watch;
use super::surgeon_layer::{ActiveRows, ChainLayer, Refit, Rows, SurgeonLayer};
use crate::cpu::fast::layers::PaddedParameters;
use crate::cpu::fast::{gram, padded, surgeon};
pub use crate::cpu::surgeon::PathStep;
use crate::error::Result;
use rayon::prelude::*;
use std::borrow::Cow;

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
    /// Of all rows, for all units together.
    AllRows(AllRows),
    /// Of each unit its columns, and their moments.
    Own(Vec<(Vec<u32>, gram::Half)>),
}

impl Moments {
    /// None: they are added up anew where they are needed.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// The most bytes that moments of a layer of so many inputs and units take on the CPU engine: what is kept, and two matrices
    /// at work on each thread.
    pub(crate) fn most_bytes(inputs: usize, units: usize, shares: bool) -> usize {
        let one = padded(inputs + 1) * padded(inputs + 2) * size_of::<f32>();
        let kept = if shares || units * one > KEPT_BYTES { 1 } else { units };
        (kept + 2 * rayon::current_num_threads()) * one
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(Known::AllRows(all)) => all.moments.bytes(),
            Some(Known::Own(units)) => units.iter().map(|(_, moments)| moments.bytes()).sum(),
        }
    }
}

impl SurgeonLayer<'_> {
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
    fn refit_alike(&self, known: &Known, cut: &[bool], refit: &mut Refit) -> Result<bool> {
        let alike = self.shares() && cut.chunks_exact(self.units).all(|row| row.iter().all(|&kept| kept == row[0]));
        let columns = self.columns_of(cut, 0);
        let Some(moments) = alike.then(|| known.select_all(self, &columns)).flatten() else { return Ok(false) };
        let moments = self.with_ridge(moments, &columns, 0, self.units);
        let solved = surgeon::refit_all(moments, self.units).ok_or_else(|| self.singular(0))?;
        for k in 0..self.units {
            self.place(refit, k, &columns, &solved[k * columns.len()..(k + 1) * columns.len()]);
        }
        Ok(true)
    }
}

impl Known {
    /// Those that are known, or added up from all rows.
    fn or_added<'a>(layer: &SurgeonLayer<'_>, known: Option<&'a Moments>) -> Cow<'a, Self> {
        match known.and_then(|moments| moments.0.as_ref()) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(Self::AllRows(layer.all_rows())),
        }
    }

    /// Of some columns of unit `k`.
    fn select(&self, layer: &SurgeonLayer<'_>, columns: &[u32], k: usize) -> gram::Half {
        match self {
            Self::AllRows(all) => layer.moments(all, columns, k),
            Self::Own(units) => {
                let (own, moments) = &units[k];
                moments.select(&places_of(own, columns), 0..1)
            }
        }
    }

    /// Of columns that all units have, where rows count alike for all.
    fn select_all(&self, layer: &SurgeonLayer<'_>, columns: &[u32]) -> Option<gram::Half> {
        match self {
            Self::AllRows(all) if layer.shares() => {
                Some(all.moments.select(&places_of(&all.columns, columns), 0..layer.units))
            }
            _ => None,
        }
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
        return Ok(Moments(Some(Known::AllRows(all))));
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
    let known = Known::or_added(layer, known);
    let inputs = layer.rows.inputs();
    // Where nothing is pruned yet, one inverse serves all units that share their moments.
    let one_serves_all = layer.shares() && layer.kept.iter().all(|&kept| kept);
    let invert = |k: usize| {
        let columns = layer.columns(k);
        let moments = layer.with_ridge(known.select(layer, &columns, k), &columns, k, 1);
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
    let known = Known::or_added(layer, known);
    let mut refits = vec![layer.nothing_kept(); cuts.len()];
    let together: Vec<bool> =
        refits.iter_mut().zip(cuts).map(|(refit, cut)| layer.refit_alike(&known, cut, refit)).collect::<Result<_>>()?;
    let one_by_one: Vec<usize> = (0..cuts.len()).filter(|&cut| !together[cut]).collect();
    let solve = |k: usize| {
        watch.check()?;
        let columns = layer.columns(k);
        // A cut takes its own from moments that are known; otherwise they are added up once for all.
        let adds_up = matches!(known, Cow::Owned(_)) && !one_by_one.is_empty();
        let moments = adds_up.then(|| known.select(layer, &columns, k));
        let one = |&cut: &usize| {
            let own = layer.columns_of(cuts[cut], k);
            let of_cut = match &moments {
                Some(moments) => moments.select(&places_of(&columns, &own), 0..1),
                None => known.select(layer, &own, k),
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

/// The layers after the first of a chain, whose first is solved: each as `solve` does it, with what `cut` keeps and what the
/// layers before then give.
pub(super) fn chain_behind(
    layers: &[ChainLayer<'_>],
    first: Refit,
    cut: &[&[bool]],
    solve: impl Fn(&SurgeonLayer<'_>) -> Result<Vec<Refit>>,
) -> Result<Vec<Refit>> {
    let (Rows::Features { values, .. } | Rows::Patches { values, .. }) = layers[0].1.rows;
    let mut refits = vec![first];
    let mut input = Cow::Borrowed(values);
    for index in 1..layers.len() {
        input = behind(layers, &refits[index - 1], index, &input).into();
        refits.extend(solve(&SurgeonLayer { kept: cut[index], ..layers[index].1.reading(&input) })?);
    }
    Ok(refits)
}

/// The layers after the first of a chain for each cut, in parallel over cuts; see [`super::Engine::refit_chain`].
pub(super) fn refit_behind(
    layers: &[ChainLayer<'_>],
    first: Vec<Refit>,
    cuts: &[Vec<&[bool]>],
    watch: &Watch<'_>,
) -> Result<Vec<Vec<Refit>>> {
    let silent = watch.silent();
    let solve = |layer: &SurgeonLayer<'_>| {
        silent.check()?;
        refit(layer, None, &[layer.kept], &silent)
    };
    first.into_par_iter().zip(cuts).map(|(first, cut)| chain_behind(layers, first, cut, solve)).collect()
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
