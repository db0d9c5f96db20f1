//! One network by itself, apart from the run that trained it: kept in a file that other programs read too.

use crate::data::Dataset;
use crate::engine::{Batch, Control, DataHandle, Engine, Evaluation, Replica, Setup};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Selection};
use crate::run::calibration::{CALIBRATION_FILE, Calibration};
use crate::run::recorded::{Base, RecordedRun};
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, RawArray, Values};
use crate::run_folder::{entries, file_kind::Purpose, listed};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// Name of the file with the networks in a folder.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// Name of the tensor that says which pixels are read.
const PIXELS: &str = "pixels";
/// Folders in a message.
const SHOWN: usize = 6;
/// Samples that are computed together.
const BATCH: usize = 64;

/// One network.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredNetwork {
    /// Its layers.
    pub architecture: Architecture,
    /// All parameters, in the order of [`ParameterLayout`].
    pub parameters: Vec<f32>,
    /// Which numbers of an image it reads, where it does not read all: ascending flat places in `[y, x, channel]`. The
    /// architecture is then one of gray images of 1 x `pixels.len()`.
    pub pixels: Option<Vec<u32>>,
    /// What it makes of a pixel before its first layer.
    pub input: InputScale,
}

/// From pixels to features: `(pixel / divisor - mean) / sd`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputScale {
    /// What pixels, 0 to 255, are divided by.
    pub divisor: f64,
    /// What is taken off then.
    pub mean: f64,
    /// What the rest is divided by.
    pub sd: f64,
}

impl InputScale {
    /// Pixels that are only divided.
    pub fn divided_by(divisor: f64) -> Self {
        Self { divisor, mean: 0.0, sd: 1.0 }
    }

    /// Whether pixels are only divided, as the first layer of every engine does.
    pub fn is_plain(&self) -> bool {
        self.mean == 0.0 && self.sd == 1.0
    }

    /// The feature of each pixel.
    pub fn features(&self, pixels: &[u8]) -> Vec<f32> {
        let plain = (1.0 / self.divisor) as f32;
        let feature = |pixel: u8| match self.is_plain() {
            // As the engines compute it.
            true => f32::from(pixel) * plain,
            false => ((f64::from(pixel) / self.divisor - self.mean) / self.sd) as f32,
        };
        let table: Vec<f32> = (0..=u8::MAX).map(feature).collect();
        pixels.iter().map(|&pixel| table[usize::from(pixel)]).collect()
    }

    /// Whether every feature is a finite number and no two pixels are one.
    fn is_possible(&self) -> bool {
        let features = self.features(&[0, 1, u8::MAX]);
        features.iter().all(|feature| feature.is_finite()) && features[0] < features[1] && self.divisor > 0.0
    }
}

/// What the file's metadata say of the tensors.
#[derive(Serialize, Deserialize)]
struct Note<'a> {
    architecture: Cow<'a, Architecture>,
    input: InputScale,
}

/// The note for a file with the tensors of networks of this architecture, by the names of their [`ParameterLayout`]: with it
/// [`StoredNetwork::read`] knows them again.
///
/// Fails with [`Error::Job`] if it cannot be written as JSON.
pub fn note(architecture: &Architecture, input: InputScale) -> Result<String> {
    serde_json::to_string(&Note { architecture: Cow::Borrowed(architecture), input })
        .map_err(|error| Error::Job(format!("the network's sizes cannot be written as JSON: {error}")))
}

/// Whether this is a folder of `compare` or `train`.
pub fn is_run(path: &Path) -> bool {
    path.join("history.npz").is_file() || path.join("cells").is_dir()
}

/// The network of a run, with the rows and columns of its images where the run has kept some.
///
/// Fails as [`RecordedRun::network`] and [`Calibration::read`] do.
pub fn architecture_of(run: &RecordedRun) -> Result<Architecture> {
    let architecture = run.network()?;
    let calibration = run.folder.join(CALIBRATION_FILE);
    // The run's weights alone tell only how many pixels an image has.
    if !calibration.is_file() {
        return Ok(architecture);
    }
    let [image_height, image_width, channels] = Calibration::read(&calibration)?.sizes;
    let sized = Architecture { image_height, image_width, channels, ..architecture.clone() };
    Ok(if sized.features() == architecture.features() { sized } else { architecture })
}

impl StoredNetwork {
    /// Writes `.safetensors`: a tensor for each of the layout, e.g. `dense0.weight` `[in, out]`, and `pixels` where not all are
    /// read; architecture and input scale as JSON in the metadata.
    ///
    /// Fails with [`Error::Shape`] if there are more or fewer parameters than the architecture has, and with [`Error::Io`] if
    /// the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let layout = ParameterLayout::new(&self.architecture);
        if self.parameters.len() != layout.parameters() {
            return Err(Error::Shape(format!(
                "{} parameters of a network of {}",
                self.parameters.len(),
                layout.parameters()
            )));
        }
        let stored: Vec<_> = layout.stored().collect();
        let pixels = self.pixels.as_ref().map(|pixels| RawArray::of_indices(PIXELS, pixels));
        let tensors = stored.iter().map(|tensor| NamedArray {
            name: &tensor.name,
            shape: &tensor.shape,
            values: Values::F32(&self.parameters[tensor.range()]),
        });
        let pixels =
            pixels.iter().map(|pixels| NamedArray { name: PIXELS, shape: &pixels.shape, values: Values::Raw(pixels) });
        let arrays: Vec<NamedArray<'_>> = tensors.chain(pixels).collect();
        arrays::write_noted(path, &arrays, Some(&note(&self.architecture, self.input)?))
    }

    /// Reads what [`Self::write`] wrote, or the networks of all replicas of a file that `holdfast prune` wrote of a run: there
    /// the replica is the first axis of each tensor.
    ///
    /// Fails with [`Error::Data`] if the file is missing or damaged, does not say what network it holds, or holds other tensors
    /// than that network has, or weights that are not finite.
    pub fn read(path: &Path) -> Result<Vec<Self>> {
        let shown = path.display();
        let mut file = ArrayFile::open(path, Purpose::Arrays)?;
        let Some(note) = file.note()? else {
            return Err(Error::Data(format!(
                "{shown} does not say what network its tensors are of; of a stack of dense layers of another program name the layers \
                 with --dense NAME,..., of a run of this program name the folder"
            )));
        };
        let Note { architecture, input } = serde_json::from_str(&note).map_err(|error| {
            Error::Data(format!(
                "{shown}: what it says of its network cannot be understood ({error}); write it again with this version"
            ))
        })?;
        let architecture = architecture.into_owned();
        let refused = |why: String| Error::Data(format!("{shown}: {why}; write or copy it again"));
        // Sizes that can be counted; here it need not be a network that can be trained.
        let deep = Architecture { hidden: [&architecture.hidden[..], &[1, 1]].concat(), ..architecture.clone() };
        deep.validate().map_err(|error| refused(format!("it says it holds an impossible network ({error})")))?;
        if !input.is_possible() {
            return Err(refused(format!("its pixels are scaled by impossible numbers, {input:?}")));
        }
        let pixels = match file.names().iter().any(|name| name == PIXELS) {
            false => None,
            true => {
                let pixels = file.read_raw(Some(PIXELS))?.indices();
                let ascending = pixels.filter(|pixels| pixels.windows(2).all(|pair| pair[0] < pair[1]));
                let image = [architecture.image_height, architecture.channels, architecture.convolutions.len()];
                let fits = |pixels: &Vec<u32>| image == [1, 1, 0] && pixels.len() == architecture.image_width;
                Some(ascending.filter(fits).ok_or_else(|| {
                    refused(format!("{PIXELS} are not {} ascending indices", architecture.image_len()))
                })?)
            }
        };
        let layout = ParameterLayout::new(&architecture);
        let mut networks: Vec<Vec<f32>> = Vec::new();
        for tensor in layout.stored() {
            let found = file.read(Some(&tensor.name), "")?;
            let replicas = match found.shape.split_first() {
                _ if found.shape == tensor.shape => Some(1),
                Some((&replicas, rest)) if rest == tensor.shape && replicas > 0 => Some(replicas),
                _ => None,
            };
            let replicas = replicas.filter(|&replicas| networks.is_empty() || networks.len() == replicas);
            let Some(replicas) = replicas else {
                return Err(refused(format!(
                    "{} has the shape {:?}, and the network that it says it holds has {:?} there",
                    tensor.name, found.shape, tensor.shape
                )));
            };
            if let Some(value) = found.values.iter().find(|value| !value.is_finite()) {
                return Err(Error::Data(format!("{shown}: {} holds {value}; save finite weights", tensor.name)));
            }
            networks.resize(replicas, Vec::new());
            for (parameters, values) in networks.iter_mut().zip(found.values.chunks_exact(tensor.len())) {
                parameters.resize(layout.parameters(), 0.0);
                parameters[tensor.range()].copy_from_slice(values);
            }
        }
        let network =
            |parameters| Self { architecture: architecture.clone(), parameters, pixels: pixels.clone(), input };
        Ok(networks.into_iter().map(network).collect())
    }

    /// The networks of all replicas of a run.
    ///
    /// Fails as [`RecordedRun::replicas`] and [`RecordedRun::averaged`] do.
    pub fn of_run(run: &RecordedRun, base: Base) -> Result<Vec<Self>> {
        let architecture = architecture_of(run)?;
        let replicas = match base {
            Base::Last => run.replicas(&architecture)?,
            Base::Mean => run.averaged(&architecture)?,
        };
        let input = InputScale::divided_by(run.configuration.pixel_scale);
        let network = |parameters| Self { architecture: architecture.clone(), parameters, pixels: None, input };
        Ok(replicas.into_iter().map(|replica| network(replica.parameters)).collect())
    }

    /// The networks at a path: a run folder of `compare` or `train`, a folder that `prune` or `compact` wrote, or a file that
    /// [`Self::read`] reads. One for each replica, in their order.
    ///
    /// Fails as [`Self::of_run`] and [`Self::read`] do, and with [`Error::Usage`] if averages are wanted of what is no run.
    pub fn open(path: &Path, base: Base) -> Result<Vec<Self>> {
        if is_run(path) {
            return Self::of_run(&RecordedRun::open(path)?, base);
        }
        if base == Base::Mean {
            return Err(Error::Usage(format!(
                "--base mean is of runs, which keep averages over their last epochs, and {} is none; leave it out",
                path.display()
            )));
        }
        if !path.is_dir() {
            return Self::read(path);
        }
        let file = path.join(WEIGHTS_FILE);
        if file.is_file() {
            return Self::read(&file);
        }
        let parts: Vec<String> = entries(path)?
            .into_iter()
            .filter(|part| part.join(WEIGHTS_FILE).is_file())
            .map(|part| part.display().to_string())
            .collect();
        Err(match parts.is_empty() {
            true => Error::Data(format!(
                "{} has no {WEIGHTS_FILE}; name a folder that holdfast compare, train, prune or compact has written, or a file",
                path.display()
            )),
            false => Error::Usage(format!("{} holds several; name one: {}", path.display(), listed(SHOWN, &parts))),
        })
    }

    /// The images as the network reads them: those of its pixels, in its rows and columns.
    ///
    /// Fails with [`Error::Data`] if images or classes are not the network's.
    pub fn fit(&self, data: &Arc<Dataset>) -> Result<Arc<Dataset>> {
        let Architecture { image_height, image_width, channels, classes, ref convolutions, .. } = self.architecture;
        let gathered = match &self.pixels {
            Some(pixels) => Arc::new(data.with_pixels(pixels)?),
            None => Arc::clone(data),
        };
        let sizes = [gathered.height, gathered.width, gathered.channels];
        let wanted = [image_height, image_width, channels];
        // Dense layers do not know where in its image a pixel lies.
        let fits = sizes == wanted || convolutions.is_empty() && gathered.image_len() == self.architecture.image_len();
        if !fits {
            return Err(Error::Data(format!(
                "{}: images of {sizes:?} (rows, columns, channels), and the network reads {wanted:?}; bring them to that size \
                 with --side, or name the data that it was trained on",
                data.name
            )));
        }
        if data.classes != classes {
            return Err(Error::Data(format!(
                "{}: {} classes, and the network tells {classes} apart; name the data that it was trained on",
                data.name, data.classes
            )));
        }
        if sizes == wanted {
            return Ok(gathered);
        }
        let mut set = Arc::unwrap_or_clone(gathered);
        [set.height, set.width, set.channels] = wanted;
        Ok(Arc::new(set))
    }

    /// How well it classifies images as [`Self::fit`] gives them: on the engine's device, or, where pixels are not only divided
    /// or there are fewer than two hidden layers, on the host.
    ///
    /// Fails as the calls of the engine do.
    pub fn evaluate(&self, engine: &mut Engine, data: &Arc<Dataset>, control: Control<'_>) -> Result<Evaluation> {
        let watch = control.silent();
        let Some((mut batch, data)) = self.on_device(engine, data)? else {
            let features = self.input.features(&data.images);
            return engine.evaluate_features(&self.architecture, &self.parameters, &features, &data.labels, &watch);
        };
        Ok(batch.evaluate(data, &watch)?.remove(0))
    }

    /// The network and such images on the engine's device; nothing where the host computes it.
    ///
    /// Fails as the calls of the engine do.
    pub fn on_device(&self, engine: &mut Engine, data: &Arc<Dataset>) -> Result<Option<(Batch, DataHandle)>> {
        if !self.input.is_plain() || self.architecture.hidden.len() < 2 {
            return Ok(None);
        }
        let data = engine.load(data)?;
        let mut batch = engine.begin(&Setup {
            architecture: &self.architecture,
            training: data,
            batch: BATCH,
            pixel_scale: self.input.divisor,
            seed: 0,
            replica_ids: &[0],
            selection: &Selection::focus(&self.architecture),
        })?;
        batch.restore(&[Replica::new(self.parameters.clone())])?;
        Ok(Some((batch, data)))
    }
}

#[cfg(test)]
mod tests;
