//! Whole inputs taken out of a layer, and layers solved anew for all units at once. Both engines compute this on the host: one
//! matrix serves all units of a layer, so that it is a small part of what the surgeon does.

use super::surgeon_layer::{Refit, SurgeonLayer};
use super::{Engine, Watch};
use crate::cpu::fast::{gram, whole_inputs};
pub use crate::cpu::whole_inputs::GroupStep;
use crate::error::{Error, Result};

impl Engine {
    /// In which order the `groups` of a layer's inputs go: again and again the one whose removal adds least to the squared error
    /// of all units, each weighted by its `importance` `[unit]`, the others taking over what it did. Every row counts in full,
    /// whatever the layer says, and all its weights are there.
    ///
    /// Fails with [`Error::Shape`] if arrays do not fit together, if a weight is not kept, or if a group is empty or has an
    /// input that is not there or is in another; with [`Error::Data`] where a number is not finite or the inputs determine no
    /// weights; with [`Error::Interrupted`] where a stop was asked for.
    pub fn whole_inputs(
        &self,
        layer: &SurgeonLayer<'_>,
        groups: &[Vec<u32>],
        importance: &[f64],
        watch: &Watch<'_>,
    ) -> Result<Vec<GroupStep<f32>>> {
        check(layer)?;
        let inputs = layer.rows.inputs();
        let mut free = vec![true; inputs];
        let takes = |&input: &u32| free.get_mut(input as usize).is_some_and(|free| std::mem::replace(free, false));
        if groups.iter().any(Vec::is_empty) || !groups.iter().flatten().all(takes) {
            return Err(Error::Shape(format!(
                "the {} groups of inputs do not share {inputs} inputs among them: each has one or more, and no two the same",
                groups.len()
            )));
        }
        let allowed = importance.iter().all(|importance| *importance >= 0.0 && importance.is_finite());
        if importance.len() != layer.units || !allowed {
            return Err(Error::Shape(format!(
                "{} importances are not a number from 0 on for each of {} units",
                importance.len(),
                layer.units
            )));
        }
        let importance: Vec<f32> = importance.iter().map(|&importance| importance as f32).collect();
        watch.check()?;
        let steps = self.on_threads(|| {
            let weights = [layer.weights, layer.bias.unwrap_or_default()].concat();
            let mut moments = moments(layer, 0);
            let ridge = moments.ridge(0..moments.size, layer.ridge);
            let size = moments.size;
            (0..size).for_each(|i| moments.values[i * moments.stride + i] += ridge);
            Some(whole_inputs::path(crate::cpu::fast::surgeon::invert(moments)?, &weights, &importance, groups))
        });
        steps
            .filter(|steps| steps.len() == groups.len() && steps.iter().all(|step| step.cost.is_finite()))
            .ok_or_else(|| undetermined(layer))
    }

    /// All weights and biases of a layer solved anew, every row counting in full: one matrix for all units.
    ///
    /// Fails as [`Self::whole_inputs`] does.
    pub fn refit_whole(&self, layer: &SurgeonLayer<'_>, watch: &Watch<'_>) -> Result<Refit> {
        check(layer)?;
        let units = layer.units;
        watch.check()?;
        let solved = self.on_threads(|| {
            let mut moments = moments(layer, units);
            let ridge = moments.ridge(0..moments.size, layer.ridge);
            let (size, stride) = (moments.size, moments.stride);
            let weights = layer.weights.chunks_exact(units).chain(layer.bias);
            for ((i, row), weights) in moments.values.chunks_exact_mut(stride).take(size).enumerate().zip(weights) {
                row[i] += ridge;
                row[size..].iter_mut().zip(weights).for_each(|(target, &weight)| *target += ridge * weight);
            }
            whole_inputs::solve(moments, units)
        });
        let mut weights = solved.ok_or_else(|| undetermined(layer))?;
        let bias = weights.split_off(layer.weights.len());
        Ok(Refit { weights, bias })
    }
}

fn check(layer: &SurgeonLayer<'_>) -> Result<()> {
    layer.check()?;
    if layer.kept.iter().all(|&kept| kept) {
        return Ok(());
    }
    Err(Error::Shape("whole inputs are taken from a layer that has all its weights; this one lacks some".into()))
}

/// Moments of all inputs and the bias, without a ridge, with the pre-activations of the first `targets` units.
fn moments(layer: &SurgeonLayer<'_>, targets: usize) -> gram::Half {
    let inputs = layer.rows.inputs() as u32;
    let columns: Vec<u32> = (0..inputs + u32::from(layer.bias.is_some())).collect();
    let rows: Vec<u32> = (0..layer.rows.len() as u32).collect();
    let target = |row: usize, output: &mut [f32]| {
        output.copy_from_slice(&layer.pre_activations[row * layer.units..][..targets]);
    };
    gram::accumulate(&layer.rows, &columns, &rows, targets, target)
}

fn undetermined(layer: &SurgeonLayer<'_>) -> Error {
    Error::Data(format!(
        "the {} inputs of a layer determine no weights in single precision with a ridge of {}; use a larger ridge",
        layer.rows.inputs(),
        layer.ridge
    ))
}
