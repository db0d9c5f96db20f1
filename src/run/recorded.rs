//! A run that is on disk: its histories and its networks read back, and what is counted of the recorded focus layer.

use super::cell::Cell;
use super::configuration::{Configuration, Network};
use super::records::history_key;
use crate::engine::{Engine, Replica};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Selection};
use crate::run_folder::Manifest;
use crate::run_folder::arrays;
use crate::stability::import::{Axes, Histories, read_history};
use crate::stability::{History, Stability, TensorHistory, WindowedEnvelope};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name of the history of a layer that was recorded alone.
const ALONE: &str = "history";

/// Which weights of a training a network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[strum(serialize_all = "kebab-case")]
pub enum Base {
    /// After the last epoch.
    #[default]
    Last,
    /// Their mean over the last epochs, half of them unless the run was told otherwise.
    Mean,
}

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

    /// The recorded layers' weights by the names of their tensors, e.g. `dense5.weight`, each `[in, out]` or
    /// `[ky, kx, in, out]`.
    ///
    /// Fails with [`Error::Data`] if the file is missing, damaged or of another layer.
    pub fn histories(&self) -> Result<Vec<TensorHistory>> {
        let path = self.folder.join("history.npz");
        let mut histories = Histories::open(&path, None, &Axes::Own)?;
        (0..histories.names().len()).map(|index| self.named(histories.tensor(index, &Axes::Own)?)).collect()
    }

    /// The recorded focus layer.
    ///
    /// Fails as [`Self::histories`] does.
    pub fn history(&self) -> Result<History> {
        let path = self.folder.join("history.npz");
        let key = history_key(&path, &self.focus())?;
        let read = self.named(read_history(&path, Some(&key), &Axes::Own)?)?;
        Ok(read.whole()?.into_owned())
    }

    /// Name of the focus layer's weights.
    pub fn focus(&self) -> String {
        self.configuration.focus_weight_name()
    }

    /// Names of the tensors that a command takes of those that were recorded: those that `layers` names, see
    /// [`Selection::named`], or else the focus layer, or all where that was not recorded.
    ///
    /// Fails with [`Error::Usage`] where a name is not known, and as [`Self::network`] does.
    pub fn chosen(&self, layers: Option<&[String]>, recorded: &[TensorHistory]) -> Result<Vec<String>> {
        if let Some(layers) = layers {
            let selection = Selection::named(&self.network()?, &layers.join(","))?;
            return Ok(selection.parts().iter().map(|part| part.name.clone()).collect());
        }
        let focus = self.focus();
        Ok(match recorded.iter().any(|tensor| tensor.name == focus) {
            true => vec![focus],
            false => recorded.iter().map(|tensor| tensor.name.clone()).collect(),
        })
    }

    /// A recorded tensor under the name of its weights. The focus layer was recorded alone and without its name.
    fn named(&self, mut read: TensorHistory) -> Result<TensorHistory> {
        if read.name != ALONE {
            return Ok(read);
        }
        let [inputs, units] = self.configuration.focus_shape()?;
        if inputs.checked_mul(units) != Some(read.shape.weight_count) {
            return Err(Error::Data(format!(
                "{} has {} weights, but the run's focus layer has {inputs} x {units}; the folder is damaged, run it again",
                self.folder.join("history.npz").display(),
                read.shape.weight_count
            )));
        }
        read.weight_axes = vec![inputs, units];
        read.name = self.focus();
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
    ///
    /// Fails with [`Error::Data`] if the file cannot be read, or holds another network.
    pub fn replicas(&self, architecture: &Architecture) -> Result<Vec<Replica<f32>>> {
        self.networks("weights.safetensors", architecture)
    }

    /// The same with weights and biases averaged over the last epochs.
    ///
    /// Fails with [`Error::Data`] as [`Self::replicas`] does, and if the run is of before these were kept.
    pub fn averaged(&self, architecture: &Architecture) -> Result<Vec<Replica<f32>>> {
        self.networks("averaged.safetensors", architecture)
    }

    fn networks(&self, name: &str, architecture: &Architecture) -> Result<Vec<Replica<f32>>> {
        let path = self.folder.join(name);
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
        let history = run.history()?;
        let stability = Stability::count(engine, &history, &configuration.tolerance, configuration.reading())?;
        let envelope = WindowedEnvelope::new(engine, &history, &configuration.windows()?)?;
        Ok(Self { sizes: configuration.focus_shape()?, history, stability, envelope })
    }
}
