//! What pruning leaves of networks: the files, and what was lost.

use crate::engine::{Batch, Control, DataHandle, Engine, Evaluation, Network, Replica, SweepPoint};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Part, Selection};
use crate::pruning::masks::Mask;
use crate::pruning::surgery::PrunedNetwork;
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use crate::run_folder::arrays::{self, NamedArray, RawArray, Values};
use crate::run_folder::csv;
use serde::Serialize;
use std::path::PathBuf;

/// Which weights of a tensor go, of each replica.
#[derive(Clone, Debug)]
pub struct PrunedTensor {
    /// The tensor's name in the files.
    pub name: String,
    /// For each replica which weights are kept.
    pub masks: Vec<Mask>,
    /// Whether each weight `[replica, weight_index]` is frozen; `None` where no history tells.
    pub frozen: Option<Vec<bool>>,
}

/// What one replica lost in one layer, or in all: a line of `pruning.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Loss {
    /// Which replica.
    pub replica: usize,
    /// The tensor; `all` for the sum of several.
    pub layer: String,
    /// Its weights.
    pub weight_count: usize,
    /// How many of them were removed.
    pub removed_weights: usize,
    /// How many are frozen; `None` where no history tells.
    pub frozen_weights: Option<usize>,
    /// How many of the removed ones are frozen.
    pub removed_frozen_weights: Option<usize>,
    /// Share of test images classified correctly before; `None` without data, and for one of several layers.
    pub accuracy_before: Option<f64>,
    /// The same afterwards.
    pub accuracy_after: Option<f64>,
}

/// The sum over several layers.
pub const ALL_LAYERS: &str = "all";

/// Counts what was removed, for each replica: a line for each tensor, then, where there are several, one for all. Accuracies
/// are not known yet.
pub fn losses(tensors: &[PrunedTensor]) -> Vec<Vec<Loss>> {
    let replicas = tensors.first().map_or(0, |tensor| tensor.masks.len());
    (0..replicas)
        .map(|replica| {
            let mut lines: Vec<Loss> = tensors.iter().map(|tensor| loss(tensor, replica)).collect();
            if lines.len() > 1 {
                let sum = |of: fn(&Loss) -> usize| lines.iter().map(of).sum();
                let known = |of: fn(&Loss) -> Option<usize>| lines.iter().map(of).sum();
                lines.push(Loss {
                    replica,
                    layer: ALL_LAYERS.into(),
                    weight_count: sum(|loss| loss.weight_count),
                    removed_weights: sum(|loss| loss.removed_weights),
                    frozen_weights: known(|loss| loss.frozen_weights),
                    removed_frozen_weights: known(|loss| loss.removed_frozen_weights),
                    ..Loss::default()
                });
            }
            lines
        })
        .collect()
}

fn loss(tensor: &PrunedTensor, replica: usize) -> Loss {
    let mask = &tensor.masks[replica];
    let frozen = tensor.frozen.as_ref().map(|frozen| &frozen[replica * mask.len()..][..mask.len()]);
    Loss {
        replica,
        layer: tensor.name.clone(),
        weight_count: mask.len(),
        removed_weights: mask.iter().filter(|&&kept| !kept).count(),
        frozen_weights: frozen.map(|frozen| frozen.iter().filter(|&&frozen| frozen).count()),
        removed_frozen_weights: frozen
            .map(|frozen| mask.iter().zip(frozen).filter(|&(&kept, &frozen)| !kept && frozen).count()),
        accuracy_before: None,
        accuracy_after: None,
    }
}

/// Writes `weights.safetensors`, all `tensors` with the removed weights of those that are `pruned` at 0, and
/// `mask.safetensors`, for each of these a tensor of its name and shape, 1 for each weight that is kept; with `as_numpy` the same
/// as `.npz`. Then `pruning.csv`. Returns their paths. The weights get the `note`, see [`crate::network_files::stored_network::note`].
///
/// Fails if a `path` does, and with [`crate::error::Error::Io`] if a file cannot be written.
pub fn write(
    path: &dyn Fn(&str) -> Result<PathBuf>,
    tensors: &[RawArray],
    pruned: &[PrunedTensor],
    losses: &[Vec<Loss>],
    as_numpy: bool,
    note: Option<&str>,
) -> Result<Vec<PathBuf>> {
    let (mut cut, mut masks): (Vec<RawArray>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for tensor in pruned {
        let of_tensor = tensors.iter().filter(|array| array.name.as_deref() == Some(&tensor.name));
        cut.extend(of_tensor.cloned());
        let kept: Vec<bool> = tensor.masks.iter().flat_map(|mask| mask.iter().copied()).collect();
        cut.iter_mut().filter(|array| array.name.as_deref() == Some(&tensor.name)).for_each(|array| array.cut(&kept));
        masks.push(kept.into_iter().map(u8::from).collect());
    }
    let named: Vec<NamedArray<'_>> = tensors
        .iter()
        .map(|array| {
            let array = cut.iter().find(|cut| cut.name == array.name).unwrap_or(array);
            NamedArray {
                name: array.name.as_deref().unwrap_or_default(),
                shape: &array.shape,
                values: Values::Raw(array),
            }
        })
        .collect();
    let masks: Vec<NamedArray<'_>> = pruned
        .iter()
        .zip(&masks)
        .filter_map(|(tensor, mask)| {
            let shape = &cut.iter().find(|array| array.name.as_deref() == Some(&tensor.name))?.shape;
            Some(NamedArray { name: &tensor.name, shape, values: Values::U8(mask) })
        })
        .collect();
    let mut files = Vec::new();
    for ending in ["safetensors"].into_iter().chain(as_numpy.then_some("npz")) {
        for (name, arrays, note) in [("weights", &named, note), ("mask", &masks, None)] {
            let file = path(&format!("{name}.{ending}"))?;
            arrays::write_noted(&file, arrays, note)?;
            files.push(file);
        }
    }
    let table = path("pruning.csv")?;
    csv::write::<Loss>(&table, losses.iter().flatten())?;
    files.push(table);
    Ok(files)
}

/// Each tensor of the networks `[replica, ...]`.
pub fn tensors(architecture: &Architecture, replicas: &[Replica<f32>]) -> Vec<RawArray> {
    let layout = ParameterLayout::new(architecture);
    let of_tensor = |tensor: &crate::network::Tensor| {
        let shape = [&[replicas.len()][..], &tensor.shape].concat();
        let values: Vec<f32> =
            replicas.iter().flat_map(|replica| &replica.parameters[tensor.range()]).copied().collect();
        RawArray::of_weights(&tensor.name, shape, &values)
    };
    layout.stored().map(of_tensor).collect()
}

/// The trained networks on their device, the test set, and how well they classify it.
fn trained(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicas: &[Replica<f32>],
    control: Control<'_>,
) -> Result<(Batch, DataHandle, Vec<Evaluation>)> {
    let ids: Vec<u32> = (0..replicas.len() as u32).collect();
    let mut batch = cell.begin(engine, configuration, &ids)?;
    batch.restore(replicas)?;
    let test = engine.load(&cell.split.test)?;
    let images = cell.split.test.samples() as u64 * replicas.len() as u64;
    let before = control.stage("evaluate the dense nets", images, "images", |watch| batch.evaluate(test, watch))?;
    Ok((batch, test, before))
}

/// Classifies the cell's test set with the trained networks, and with those of each of the `points`, one for each replica: all of
/// a replica have the layers before `first` in common.
///
/// Fails as the engine does, and with [`crate::error::Error::Interrupted`] if it is stopped.
pub fn evaluate_networks(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicas: &[Replica<f32>],
    (first, points): (usize, &[Vec<PrunedNetwork>]),
    control: Control<'_>,
) -> Result<(Vec<Evaluation>, Vec<Vec<Evaluation>>)> {
    let (mut batch, test, before) = trained(engine, cell, configuration, replicas, control)?;
    let network =
        |(slot, network): (usize, &PrunedNetwork)| Network { slot, parameters: network.parameters.as_slice().into() };
    let networks: Vec<Network> = points.iter().flat_map(|point| point.iter().enumerate().map(network)).collect();
    let after = control.stage("evaluate the pruned nets", networks.len() as u64, "networks", |watch| {
        batch.sweep_networks(test, first, &networks, watch)
    })?;
    Ok((before, after.chunks(replicas.len().max(1)).map(<[_]>::to_vec).collect()))
}

/// Classifies the cell's test set with the trained networks, and with those that each of the `points` leaves: evaluations of
/// each replica.
///
/// Fails as [`evaluate_networks`] does.
pub fn evaluate(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicas: &[Replica<f32>],
    points: &[Vec<PrunedTensor>],
    control: Control<'_>,
) -> Result<(Vec<Evaluation>, Vec<Vec<Evaluation>>)> {
    let (mut batch, test, before) = trained(engine, cell, configuration, replicas, control)?;
    // All points are of the same tensors. Those stand in the order of the network, and what lies before them is computed once.
    let names: Vec<&str> = points.first().into_iter().flatten().map(|tensor| tensor.name.as_str()).collect();
    let selection = Selection::named(&cell.architecture, &names.join(","))?;
    let kept = |point: &[PrunedTensor], slot: usize| {
        let of_part = |part: &Part| point.iter().find(|tensor| tensor.name == part.name);
        let masks = selection.parts().iter().filter_map(of_part).map(|tensor| &tensor.masks[slot]);
        masks.flat_map(|mask| mask.iter().copied()).collect()
    };
    let points: Vec<SweepPoint> = points
        .iter()
        .flat_map(|point| (0..replicas.len()).map(move |slot| (point, slot)))
        .map(|(point, slot)| SweepPoint { slot, kept: kept(point, slot) })
        .collect();
    let after = control.stage("evaluate the pruned nets", points.len() as u64, "points", |watch| {
        batch.sweep(test, &selection, &points, watch)
    })?;
    Ok((before, after.chunks(replicas.len().max(1)).map(<[_]>::to_vec).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::arrays::read;
    use tempfile::tempdir;

    fn tensor(name: &str, masks: &[&[bool]], frozen: Option<&[bool]>) -> PrunedTensor {
        let masks = masks.iter().map(|mask| Mask::from(*mask)).collect();
        PrunedTensor { name: name.into(), masks, frozen: frozen.map(<[bool]>::to_vec) }
    }

    #[test]
    fn losses_count_removed_and_frozen_weights_of_each_layer_and_of_all() {
        let first = tensor("a", &[&[true, false, false], &[true; 3]], Some(&[false, true, false, true, false, false]));
        let alone = losses(std::slice::from_ref(&first));
        let counts: Vec<_> = alone
            .iter()
            .flatten()
            .map(|loss| (loss.removed_weights, loss.frozen_weights, loss.removed_frozen_weights))
            .collect();
        assert_eq!(counts, [(2, Some(1), Some(1)), (0, Some(1), Some(0))]);
        let both = losses(&[first, tensor("b", &[&[false], &[true]], None)]);
        let lines: Vec<_> =
            both[0].iter().map(|loss| (loss.layer.as_str(), loss.weight_count, loss.removed_weights)).collect();
        assert_eq!(lines, [("a", 3, 2), ("b", 1, 1), ("all", 4, 3)]);
        assert_eq!(both[0][2].frozen_weights, None, "of the second layer nobody knows");
    }

    #[test]
    fn untouched_tensors_are_written_as_they_are_and_masks_have_the_names_of_their_tensors() {
        let folder = tempdir().unwrap();
        let arrays = [
            RawArray::of_weights("b", vec![2], &[f32::NAN, -0.0]),
            RawArray::of_weights("a", vec![2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ];
        let pruned = [tensor("a", &[&[true, false], &[false, true]], None)];
        let path = |name: &str| Ok(folder.path().join(name));
        let files = write(&path, &arrays, &pruned, &losses(&pruned), true, None).unwrap();
        assert_eq!(files.len(), 5);
        for ending in ["safetensors", "npz"] {
            let weights = folder.path().join(format!("weights.{ending}"));
            assert_eq!(read(&weights, Some("a"), "").unwrap().values, [1.0, 0.0, 0.0, 4.0]);
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&read(&weights, Some("b"), "").unwrap().values), bits(&[f32::NAN, -0.0]));
            let mut masks = arrays::ArrayFile::open(
                &folder.path().join(format!("mask.{ending}")),
                crate::run_folder::file_kind::Purpose::Arrays,
            )
            .map(|mut file| (file.names(), file.read_bytes("a").unwrap()))
            .unwrap();
            masks.1.notices.clear();
            assert_eq!(
                (masks.0.as_slice(), masks.1.shape, masks.1.values),
                (&["a".to_string()][..], vec![2, 2], vec![1, 0, 0, 1])
            );
        }
    }
}
