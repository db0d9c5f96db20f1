//! Trained networks with weights removed: their files, and what was lost.

use super::Control;
use super::experiment::Cell;
use crate::engine::{Engine, Evaluation, Replica, Setup, SweepPoint};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Tensor};
use crate::pruning::masks::Mask;
use crate::run_folder::arrays::{self, NamedArray, Values};
use crate::run_folder::csv;
use crate::study::configuration::Configuration;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Name of the mask beside the weights.
pub const MASK: &str = "mask";

/// What one replica lost: a line of `pruning.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Which replica.
    pub replica: usize,
    /// Weights of the layer.
    pub weight_count: usize,
    /// How many of them were removed.
    pub removed_weights: usize,
    /// How many are frozen.
    pub frozen_weights: usize,
    /// How many of the removed ones are frozen.
    pub removed_frozen_weights: usize,
    /// Share of test images classified correctly before; `None` without data.
    pub accuracy_before: Option<f64>,
    /// The same afterwards.
    pub accuracy_after: Option<f64>,
}

const LOSS_COLUMNS: &[&str] = &[
    "replica",
    "weights",
    "removed_weights",
    "frozen_weights",
    "removed_frozen_weights",
    "accuracy_before",
    "accuracy_after",
];

/// Counts what was removed; accuracies are not known yet. `frozen` is `[replica, weight_index]`.
pub fn losses(masks: &[Mask], frozen: &[bool]) -> Vec<Loss> {
    let replicas = masks.iter().zip(frozen.chunks(masks.first().map_or(1, |mask| mask.len())));
    replicas
        .enumerate()
        .map(|(replica, (mask, frozen))| Loss {
            replica,
            weight_count: mask.len(),
            removed_weights: mask.iter().filter(|&&kept| !kept).count(),
            frozen_weights: frozen.iter().filter(|&&frozen| frozen).count(),
            removed_frozen_weights: mask.iter().zip(frozen).filter(|&(&kept, &frozen)| !kept && frozen).count(),
            accuracy_before: None,
            accuracy_after: None,
        })
        .collect()
}

/// Writes `pruning.csv`.
pub fn write_losses(path: &Path, losses: &[Loss]) -> Result<()> {
    csv::write(path, LOSS_COLUMNS, losses)
}

/// Classifies the cell's test set with the trained and with the pruned networks: evaluations before and after.
pub fn evaluate(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicas: &[Replica<f32>],
    masks: &[Mask],
    control: Control<'_>,
) -> Result<(Vec<Evaluation>, Vec<Evaluation>)> {
    let (training, test) = cell.upload(engine)?;
    let ids: Vec<u32> = (0..replicas.len() as u32).collect();
    let mut batch = engine.begin(&Setup {
        architecture: &cell.architecture,
        training,
        batch: configuration.batch.min(cell.split.training.samples()),
        pixel_scale: configuration.pixel_scale,
        seed: configuration.seed,
        replica_ids: &ids,
    })?;
    batch.restore(replicas)?;
    let images = cell.split.test.samples() as u64 * replicas.len() as u64;
    let before = control.stage("evaluate the dense nets", images, "images", |watch| batch.evaluate(test, watch))?;
    let points: Vec<SweepPoint> =
        masks.iter().enumerate().map(|(slot, kept)| SweepPoint { slot, kept: kept.clone() }).collect();
    let after = control
        .stage("evaluate the pruned nets", points.len() as u64, "points", |watch| batch.sweep(test, &points, watch))?;
    Ok((before, after))
}

/// Name, shape `[replica, ...]` and values of each tensor of the network.
fn parameter_tensors(architecture: &Architecture, replicas: &[Replica<f32>]) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let of_tensor = |tensor: Tensor| {
        let shape = [&[replicas.len()][..], &tensor.shape].concat();
        let values = replicas.iter().flat_map(|replica| &replica.parameters[tensor.range()]).copied().collect();
        (tensor.name, shape, values)
    };
    ParameterLayout::new(architecture).tensors.into_iter().map(of_tensor).collect()
}

/// Writes all tensors of the networks with the removed weights at 0, and the mask `[replica, in, out]`, as
/// `pruned.safetensors` and `pruned.npz`; returns their paths.
pub fn write_networks(
    path: &dyn Fn(&str) -> Result<PathBuf>,
    architecture: &Architecture,
    replicas: &[Replica<f32>],
    masks: &[Mask],
) -> Result<[PathBuf; 2]> {
    let focus = ParameterLayout::new(architecture).focus_weight().clone();
    let mut pruned = replicas.to_vec();
    for (replica, mask) in pruned.iter_mut().zip(masks) {
        apply(&mut replica.parameters[focus.range()], mask);
    }
    let tensors = parameter_tensors(architecture, &pruned);
    let mut arrays: Vec<NamedArray<'_>> =
        tensors.iter().map(|(name, shape, values)| NamedArray { name, shape, values: Values::F32(values) }).collect();
    let mask = as_numbers(masks);
    let shape = [&[masks.len()][..], &focus.shape].concat();
    arrays.push(NamedArray { name: MASK, shape: &shape, values: Values::U8(&mask) });
    write_both(path, &arrays)
}

/// Writes one foreign array of weights `[replica, weight_index]`, in its own shape, with the removed weights at 0, and the mask in
/// the same shape, as `pruned.safetensors` and `pruned.npz`; returns their paths.
pub fn write_array(
    path: &dyn Fn(&str) -> Result<PathBuf>,
    name: &str,
    shape: &[usize],
    mut weights: Vec<f32>,
    masks: &[Mask],
) -> Result<[PathBuf; 2]> {
    let weight_count = masks.first().map_or(1, |mask| mask.len());
    for (weights, mask) in weights.chunks_mut(weight_count).zip(masks) {
        apply(weights, mask);
    }
    let mask = as_numbers(masks);
    let arrays = [
        NamedArray { name, shape, values: Values::F32(&weights) },
        NamedArray { name: MASK, shape, values: Values::U8(&mask) },
    ];
    write_both(path, &arrays)
}

fn apply(weights: &mut [f32], mask: &Mask) {
    for (weight, &kept) in weights.iter_mut().zip(mask.iter()) {
        *weight = if kept { *weight } else { 0.0 };
    }
}

/// 1 for each weight that is kept, 0 for each that is removed, `[replica, weight_index]`.
fn as_numbers(masks: &[Mask]) -> Vec<u8> {
    masks.iter().flat_map(|mask| mask.iter().map(|&kept| u8::from(kept))).collect()
}

fn write_both(path: &dyn Fn(&str) -> Result<PathBuf>, arrays: &[NamedArray<'_>]) -> Result<[PathBuf; 2]> {
    let files = [path("pruned.safetensors")?, path("pruned.npz")?];
    files.iter().try_for_each(|file| arrays::write(file, arrays))?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn losses_count_removed_and_frozen_nodes() {
        let masks: [Mask; 2] = [[true, false, false].into(), [true, true, true].into()];
        let losses = losses(&masks, &[false, true, false, true, false, false]);
        let counts: Vec<_> = losses
            .iter()
            .map(|loss| (loss.removed_weights, loss.frozen_weights, loss.removed_frozen_weights))
            .collect();
        assert_eq!(counts, [(2, 1, 1), (0, 1, 0)]);
    }
}
