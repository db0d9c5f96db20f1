//! A run that is on disk: its history and its networks read back, what is counted of the recorded focus layer, and what
//! pruning leaves of the networks.

use super::Control;
use super::configuration::{Configuration, Network};
use super::experiment::Cell;
use super::records::history_key;
use crate::engine::{Engine, Evaluation, Replica, SweepPoint};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Selection};
use crate::pruning::masks::Mask;
use crate::run_folder::Manifest;
use crate::run_folder::arrays::{self, NamedArray, Values};
use crate::stability::import::{Axes, ImportedHistory, read_history};
use crate::stability::{History, Stability, WindowedEnvelope};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One cell of a run folder that `compare` or `train` wrote.
#[derive(Clone, Debug)]
pub struct RecordedRun {
    /// The folder with the cell's files.
    pub folder: PathBuf,
    /// The settings of the run.
    pub configuration: Configuration,
}

impl RecordedRun {
    /// Finds the cell in a run folder; a run of several cells is named with the folder of one of them.
    ///
    /// Fails with [`Error::Data`] if the folder is no run folder, and with [`Error::Usage`] if it holds several cells.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let folder = if path.join("history.npz").is_file() {
            path.to_path_buf()
        } else {
            let mut cells: Vec<PathBuf> = std::fs::read_dir(path.join("cells"))
                .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
                .unwrap_or_default();
            cells.retain(|cell| cell.join("history.npz").is_file());
            cells.sort();
            match cells.as_slice() {
                [cell] => cell.clone(),
                [] => {
                    return Err(Error::Data(format!(
                        "{shown} has no history.npz; name a folder that holdfast compare or train has written, or a file"
                    )));
                }
                _ => {
                    let names: Vec<String> = cells.iter().map(|cell| cell.display().to_string()).collect();
                    return Err(Error::Usage(format!("{shown} holds several cells; name one: {}", names.join(", "))));
                }
            }
        };
        // The settings lie at the top, beside the cell's files or two folders above them.
        let places = [Some(folder.as_path()), folder.parent().and_then(Path::parent)];
        let file = places.into_iter().flatten().map(|place| place.join("config.toml")).find(|file| file.is_file());
        let file = file.ok_or_else(|| {
            Error::Data(format!(
                "{shown} has no config.toml, so it is no run folder; name its file history.npz instead"
            ))
        })?;
        let text = std::fs::read_to_string(&file)
            .map_err(|error| Error::Data(format!("cannot read {}: {error}; check the path", file.display())))?;
        let configuration = toml::from_str(&text).map_err(|error| {
            Error::Data(format!("{} is not of a run of this version: {error}; run it again", file.display()))
        })?;
        Ok(Self { folder, configuration })
    }

    /// The recorded focus layer, its weights as `[in, out]`.
    pub fn history(&self) -> Result<ImportedHistory> {
        let path = self.folder.join("history.npz");
        let key = history_key(&path, &self.configuration.focus_weight_name())?;
        let mut read = read_history(&path, Some(&key), &Axes::Own)?;
        let [inputs, units] = self.configuration.focus_shape()?;
        if inputs.checked_mul(units) != Some(read.history.shape().weight_count) {
            return Err(Error::Data(format!(
                "{} has {} weights, but the run's focus layer has {inputs} x {units}; the folder is damaged, run it again",
                path.display(),
                read.history.shape().weight_count
            )));
        }
        read.weight_axes = vec![inputs, units];
        read.layer = format!("dense{}", self.configuration.hidden_units()?.len() - 1);
        Ok(read)
    }

    /// The cell itself: loads the data sets of the run.
    ///
    /// Fails with [`Error::Data`] if they are not there any more, or are not those that the run was trained on.
    pub fn cell(&self) -> Result<Cell> {
        let mut cells = Cell::load_all(&self.configuration)?;
        for cell in &mut cells {
            let checksums = cell.checksums(&self.configuration);
            if let Some(manifest) = self.manifest()?
                && !cell.take_name_from(&manifest.data_checksums, &self.configuration, &checksums)
            {
                return Err(Error::Data(format!(
                    "the images of {} are not those that the run was trained on; put those back",
                    self.configuration.data.join(", ")
                )));
            }
        }
        let alone = cells.len() == 1;
        let belongs = |cell: &Cell| alone || self.folder.ends_with(cell.folder_name(&self.configuration));
        cells.into_iter().find(belongs).ok_or_else(|| {
            Error::Data(format!(
                "{} is not the folder of one of the run's data sets ({}); give it back its name",
                self.folder.display(),
                self.configuration.data.join(", ")
            ))
        })
    }

    /// The manifest of the whole run.
    fn manifest(&self) -> Result<Option<Manifest>> {
        let places = [Some(self.folder.as_path()), self.folder.parent().and_then(Path::parent)];
        places.into_iter().flatten().map(Manifest::read).find(|read| !matches!(read, Ok(None))).unwrap_or(Ok(None))
    }

    /// A network of the sizes of the recorded one, found without its data. Of images only the number of pixels is right.
    ///
    /// Fails with [`Error::Data`] if the weights are missing or are not those of such a network.
    pub fn network(&self) -> Result<Architecture> {
        let path = self.folder.join("weights.safetensors");
        let shapes: BTreeMap<String, Vec<usize>> =
            arrays::read_all(&path)?.into_iter().filter_map(|array| Some((array.name?, array.shape))).collect();
        let (filters, depth) = (self.configuration.filters, self.configuration.hidden_units()?.len());
        let size = |name: &str, axis: usize| shapes.get(name).and_then(|shape| shape.get(axis)).copied();
        let (features, classes) = (size("dense0.weight", 1), size(&format!("dense{depth}.weight"), 2));
        let Some((features, classes)) = features.zip(classes) else {
            return Err(Error::Data(format!(
                "{} holds other tensors than a network of {depth} hidden layers has; run it again",
                path.display()
            )));
        };
        // Three poolings take a factor of eight from each side. Dense layers do not know what a pixel is.
        let (network, sizes) = match size("conv0.weight", 3) {
            Some(channels) => (Network::Cnn, [8 * (features / filters.max(1)), 8, channels]),
            None => (Network::Dnn, [features, 1, 1]),
        };
        self.configuration.architecture(network, sizes, classes)
    }

    /// The trained parameters of each replica; moments start at 0.
    pub fn replicas(&self, architecture: &Architecture) -> Result<Vec<Replica<f32>>> {
        let path = self.folder.join("weights.safetensors");
        let layout = ParameterLayout::new(architecture);
        let mut parameters: Vec<Vec<f32>> = Vec::new();
        for tensor in layout.stored() {
            let found = arrays::read(&path, Some(&tensor.name), "")?;
            let replicas = found.shape.first().copied().filter(|&replicas| {
                found.shape[1..] == tensor.shape && (parameters.is_empty() || parameters.len() == replicas)
            });
            let Some(replicas) = replicas else {
                return Err(Error::Data(format!(
                    "{}: {} has the shape {:?}, but the run's network has [replica, {:?}]; run it again",
                    path.display(),
                    tensor.name,
                    found.shape,
                    tensor.shape
                )));
            };
            parameters.resize(replicas, Vec::new());
            for (parameters, values) in parameters.iter_mut().zip(found.values.chunks_exact(tensor.len())) {
                parameters.resize(layout.parameters(), 0.0);
                parameters[tensor.range()].copy_from_slice(values);
            }
        }
        Ok(parameters.into_iter().map(Replica::new).collect())
    }
}

/// A recorded focus layer with the numbers that criteria choose by.
#[derive(Clone, Debug)]
pub struct FocusLayer {
    /// Units of the layer before it, and its own: weights lie in `[in, out]`.
    pub sizes: [usize; 2],
    /// The recorded weights.
    pub history: History,
    /// Magnitude stability for the tolerances of the run.
    pub stability: Stability,
    /// Extremes over the windows of the run.
    pub envelope: WindowedEnvelope,
}

impl FocusLayer {
    /// Reads the history and counts it. Counts are equal on every engine.
    ///
    /// # Errors
    /// [`crate::error::Error::Data`] if the history is missing, damaged, or of another layer.
    pub fn read(run: &RecordedRun, engine: &mut Engine) -> Result<Self> {
        let configuration = &run.configuration;
        let history = run.history()?.history;
        let stability = Stability::count(engine, &history, &configuration.tolerance, configuration.reading())?;
        let envelope = WindowedEnvelope::new(engine, &history, &configuration.windows()?)?;
        Ok(Self { sizes: configuration.focus_shape()?, history, stability, envelope })
    }
}

/// Name of the mask beside the weights.
pub const MASK: &str = "mask";

/// What one replica lost: a line of `pruning.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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

/// Classifies the cell's test set with the trained and with the pruned networks: evaluations before and after.
pub fn evaluate(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicas: &[Replica<f32>],
    masks: &[Mask],
    control: Control<'_>,
) -> Result<(Vec<Evaluation>, Vec<Evaluation>)> {
    let ids: Vec<u32> = (0..replicas.len() as u32).collect();
    let mut batch = cell.begin(engine, configuration, &ids)?;
    batch.restore(replicas)?;
    let test = engine.load(&cell.split.test)?;
    let images = cell.split.test.samples() as u64 * replicas.len() as u64;
    let before = control.stage("evaluate the dense nets", images, "images", |watch| batch.evaluate(test, watch))?;
    let points: Vec<SweepPoint> =
        masks.iter().enumerate().map(|(slot, kept)| SweepPoint { slot, kept: kept.clone() }).collect();
    let after = control.stage("evaluate the pruned nets", points.len() as u64, "points", |watch| {
        batch.sweep(test, &Selection::focus(&cell.architecture), &points, watch)
    })?;
    Ok((before, after))
}

/// Name, shape and values of a tensor.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Each tensor of the networks `[replica, ...]`, and the name of the focus layer's weights.
pub fn tensors(architecture: &Architecture, replicas: &[Replica<f32>]) -> (Vec<NamedTensor>, String) {
    let layout = ParameterLayout::new(architecture);
    let of_tensor = |tensor: &crate::network::Tensor| {
        let shape = [&[replicas.len()][..], &tensor.shape].concat();
        let values = replicas.iter().flat_map(|replica| &replica.parameters[tensor.range()]).copied().collect();
        (tensor.name.clone(), shape, values)
    };
    (layout.stored().map(of_tensor).collect(), layout.focus_weight().name.clone())
}

/// Writes all tensors, with the removed weights of the one called `pruned` at 0, and the mask in its shape (1 for each weight
/// that is kept), as `pruned.safetensors` and `pruned.npz`; returns their paths.
pub fn write_pruned(
    path: &dyn Fn(&str) -> Result<PathBuf>,
    mut tensors: Vec<NamedTensor>,
    pruned: &str,
    masks: &[Mask],
) -> Result<[PathBuf; 2]> {
    let mask: Vec<u8> = masks.iter().flat_map(|mask| mask.iter().map(|&kept| u8::from(kept))).collect();
    let mut mask_shape = Vec::new();
    for (_, shape, values) in tensors.iter_mut().filter(|(name, ..)| name == pruned) {
        mask_shape.clone_from(shape);
        values.iter_mut().zip(&mask).filter(|(_, kept)| **kept == 0).for_each(|(weight, _)| *weight = 0.0);
    }
    let mut named: Vec<NamedArray<'_>> =
        tensors.iter().map(|(name, shape, values)| NamedArray { name, shape, values: Values::F32(values) }).collect();
    named.push(NamedArray { name: MASK, shape: &mask_shape, values: Values::U8(&mask) });
    let files = [path("pruned.safetensors")?, path("pruned.npz")?];
    files.iter().try_for_each(|file| arrays::write(file, &named))?;
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
