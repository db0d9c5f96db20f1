//! A stack of dense layers of another program, with the images that it is pruned and judged with.

use super::super::options::{OutputOptions, Share};
use super::super::stability::{HistoryOptions, announce_history, check_alike};
use super::super::stack::Images;
use super::PruneArguments;
use crate::engine::{Control, Engine, Evaluation};
use crate::error::{Error, Result};
use crate::network::{Layer, ParameterLayout};
use crate::network_files::dense_stack::{DenseStack, StackLayer};
use crate::network_files::foreign_weights::{self, WeightFile};
use crate::network_files::stored_network::{InputScale, StoredNetwork};
use crate::pruning::surgeon::shares_gram;
use crate::run::calibration::Calibration;
use crate::run::configuration::Configuration;
use crate::run::presets::Preset;
use crate::run::recorded::Base;
use crate::run_folder::arrays::ForeignArray;
use crate::stability::envelope::headline_window;
use crate::stability::import::{Axes, Histories};
use crate::stability::{History, TensorHistory};
use crate::study::pruned::PrunedTensor;
use clap::Args;
use serde::Serialize;
use std::path::Path;

/// How the weights that stay are solved anew; for a run its own settings are taken.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Calibration of networks of other programs")]
pub(super) struct CalibrationOptions {
    /// Training images, without labels, on which weights that stay are solved anew; 4096 if not given.
    #[arg(long, value_name = "N", requires = "dense")]
    calibration_images: Option<usize>,
    /// How much a calibration image counts for a unit whose ReLU lets nothing through, 0 to 1; 0.1 if not given.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, requires = "dense")]
    inactive_weight: Option<Share>,
    /// Ridge of the equations that are solved, as a share of the mean of the Gram matrix' diagonal; 0.001 if not given.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, requires = "dense")]
    ridge: Option<f64>,
    /// Sizes at which a surgeon begins anew on its way, how many times smaller; 2,3,4,5,6,8,10,12,15,20 if not given, 1 for a
    /// single path.
    #[arg(long, value_delimiter = ',', value_name = "TIMES", allow_negative_numbers = true, requires = "dense")]
    stages: Option<Vec<f64>>,
}

impl CalibrationOptions {
    /// These settings and those that are not named. Fails with [`Error::Usage`] for impossible ones.
    fn configuration(&self, seed: u64) -> Result<Configuration> {
        let usual = Configuration::preset(Preset::Paper);
        let configuration = Configuration {
            seed,
            calibration_images: self.calibration_images.unwrap_or(usual.calibration_images),
            inactive_weight: self.inactive_weight.map_or(usual.inactive_weight, f64::from),
            ridge: self.ridge.unwrap_or(usual.ridge),
            stages: self.stages.clone().unwrap_or_else(|| usual.stages.clone()),
            ..usual
        };
        configuration.validate().map(|()| configuration)
    }

    fn is_given(&self) -> bool {
        let Self { calibration_images, inactive_weight, ridge, stages } = self;
        calibration_images.is_some() || inactive_weight.is_some() || ridge.is_some() || stages.is_some()
    }
}

impl PruneArguments {
    /// Fails with [`Error::Usage`] where options of a stack are given to something else.
    pub(super) fn check_stack(&self) -> Result<()> {
        let is_stack = self.stack.dense.is_some();
        let refusal = match (is_stack, self.run.is_some()) {
            (true, true) => "--dense names the layers of --weights FILE, and those of a run are known; leave it out",
            (true, false) if self.weights.is_none() => {
                "--dense names the layers of a file; name that with --weights FILE"
            }
            (true, false) if self.weight_key.is_some() => "--dense names the layers, so leave --weight-key out",
            (false, true) if self.data.data.is_some() => {
                "a run is pruned and judged with its own data; leave --data out, or judge what is written with holdfast evaluate"
            }
            (false, false) if self.data.data.is_some() => {
                "--data needs --dense NAME,..., the layers that read the images, from the image to the classes"
            }
            _ => return Ok(()),
        };
        Err(Error::Usage(refusal.into()))
    }
}

/// What is known of a stack besides its weights.
pub(super) struct StackPart {
    pub(super) stack: DenseStack,
    pub(super) images: Images,
    pub(super) input: InputScale,
    pub(super) configuration: Configuration,
    pub(super) calibration: Calibration,
    /// Parameters averaged over the history.
    mean: Option<Vec<f32>>,
    calibrates: bool,
}

/// What the settings of a run folder say of a stack.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StackSettings {
    data: String,
    normalize: [f64; 2],
    layers: Vec<StackLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationSettings>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CalibrationSettings {
    images: usize,
    seed: u64,
    inactive_weight: f64,
    ridge: f64,
    stages: Vec<f64>,
    /// Layers whose units share one Gram matrix, in which all images count alike.
    one_gram: Vec<String>,
}

impl StackPart {
    /// Reads images and stack.
    pub(super) fn open(arguments: &PruneArguments, path: &Path, calibrates: bool) -> Result<Self> {
        let PruneArguments { stack: options, calibration, data, folder, .. } = arguments;
        let configuration = calibration.configuration(data.seed())?;
        let input = options.input()?;
        if calibration.is_given() && !calibrates {
            return Err(Error::Usage(
                "--calibration-images, --inactive-weight, --ridge and --stages belong to surgeons, wanda, hold-input and --repair \
                 refit; leave them out"
                    .into(),
            ));
        }
        let images = data.load()?.ok_or_else(|| {
            Error::Usage(
                "--dense needs --data, the images that the network reads: they tell how its weights lie, training images calibrate, \
                 test images judge; e.g. --data mnist"
                    .into(),
            )
        })?;
        let mut images = options.arranged(images)?;
        let there = images.split.training.samples();
        if calibrates && let Some(asked) = calibration.calibration_images.filter(|&asked| asked > there) {
            images.notices.push(format!("{asked} calibration images are asked for, and {there} train: all are taken"));
        }
        images.announce(&folder.output);
        let stack = options.read(path, &images)?;
        let calibration =
            Calibration::of_images(&images.split.training, configuration.calibration_images, configuration.seed);
        Ok(Self { stack, images, input, configuration, calibration, mean: None, calibrates })
    }

    /// Names of the weights of the layers that are asked for, or of all.
    pub(super) fn weights(&self, arguments: &PruneArguments) -> Vec<String> {
        let named = arguments.stack.dense.iter().flatten();
        let asked = |layer: &String| {
            let known = named.clone().zip(&self.stack.layers).find(|(name, _)| *name == layer);
            known.map_or_else(|| layer.clone(), |(_, layer)| layer.weight.clone())
        };
        match &arguments.layers {
            Some(layers) if layers.as_slice() != ["all"] => layers.iter().map(asked).collect(),
            _ => self.stack.layers.iter().map(|layer| layer.weight.clone()).collect(),
        }
    }

    /// The histories of these weights, in our order of axes, and, if that is asked for, the mean of every tensor over the last
    /// half of the epochs.
    pub(super) fn follow(
        &mut self,
        arguments: &PruneArguments,
        path: &Path,
        history: &Path,
        weights: &[String],
    ) -> Result<(Vec<TensorHistory>, Vec<String>)> {
        let PruneArguments { array, base, folder, .. } = arguments;
        let mut histories = array.open(history)?;
        let mut said = histories.notices().to_vec();
        let mut file = WeightFile::open(path)?;
        let mut followed = Vec::with_capacity(weights.len());
        for name in weights {
            let Some(layer) = self.stack.layer(name) else { continue };
            let alone = weights.len() == 1 && histories.names().len() == 1;
            let index = if alone { 0 } else { histories.find(name)? };
            let read = tensor(&mut histories, array, index, name, &layer.shape())?;
            announce_history(history, &read, true, &folder.output);
            said.extend(read.notices.iter().cloned());
            let array: ForeignArray = file.read(Some(name), "--dense")?;
            let compared = foreign_weights::compare(&array, &read)
                .map_err(|error| Error::Data(format!("{}, {name}: {error}", path.display())))?;
            folder.output.notices(compared.as_slice());
            said.extend(compared);
            followed.push(turned(layer, &read)?);
        }
        check_alike(&followed)?;
        if *base == Some(Base::Mean) {
            self.mean = Some(self.averaged(&mut histories, array, history)?);
        }
        Ok((followed, said))
    }

    /// Every tensor averaged over the last half of the epochs.
    fn averaged(&self, histories: &mut Histories<'_>, options: &HistoryOptions, path: &Path) -> Result<Vec<f32>> {
        let names = histories.names();
        let mut parameters = self.stack.parameters.clone();
        let mut read = Vec::new();
        for layer in &self.stack.layers {
            for name in [Some(&layer.weight), layer.bias.as_ref()].into_iter().flatten() {
                let Some(index) = names.iter().position(|known| known == name) else {
                    return Err(Error::Usage(format!(
                        "--base mean averages every tensor over the last half of the epochs, and {} has no history of {name}; record \
                         that too, or leave --base out",
                        path.display()
                    )));
                };
                let Some(place) = self.stack.tensor(name) else { continue };
                let shape = match *name == layer.weight {
                    true => layer.shape().to_vec(),
                    false => histories.shape(index).get(1..).unwrap_or_default().to_vec(),
                };
                if shape.iter().product::<usize>() != place.len() {
                    return Err(Error::Data(format!(
                        "{}: the history of {name} has the shape {:?}, and there are {} biases; a history has the axis of epochs before \
                         those of the tensor",
                        path.display(),
                        histories.shape(index),
                        place.len()
                    )));
                }
                let history = tensor(histories, options, index, name, &shape)?;
                let mean = mean(&history)?;
                let ours = if *name == layer.weight { layer.ours(&mean) } else { mean };
                parameters[place.range()].copy_from_slice(&ours);
                read.push(history);
            }
        }
        check_alike(&read)?;
        Ok(parameters)
    }

    /// The settings for a surgeon; a size of 1 is where it begins, not where it stops on its way.
    pub(super) fn in_stages(&self) -> Configuration {
        let stages = self.configuration.stages.iter().copied().filter(|&size| size > 1.0).collect();
        Configuration { stages, ..self.configuration.clone() }
    }

    /// The parameters that surgeons and repairs begin with.
    pub(super) fn base(&self) -> &[f32] {
        self.mean.as_deref().unwrap_or(&self.stack.parameters)
    }

    /// Name of our tensor for that of the file.
    pub(super) fn part(&self, weight: &str) -> String {
        self.stack.tensor(weight).map_or_else(|| weight.into(), |tensor| tensor.name)
    }

    /// The parameters with weights at 0 where masks, in our order, do not keep them.
    pub(super) fn cut(&self, tensors: &[PrunedTensor]) -> Vec<f32> {
        let mut parameters = self.stack.parameters.clone();
        for PrunedTensor { name, masks, .. } in tensors {
            let Some((tensor, mask)) = self.stack.tensor(name).zip(masks.first()) else { continue };
            let own = parameters[tensor.range()].iter_mut().zip(mask.iter());
            own.filter(|(_, kept)| !**kept).for_each(|(weight, _)| *weight = 0.0);
        }
        parameters
    }

    /// The same masks in the order of the file.
    pub(super) fn in_file_order(&self, tensors: &[PrunedTensor]) -> Vec<PrunedTensor> {
        let turned = |tensor: &PrunedTensor| match self.stack.layer(&tensor.name) {
            Some(layer) => {
                let masks = tensor.masks.iter().map(|mask| layer.theirs(mask).into()).collect();
                PrunedTensor { masks, name: tensor.name.clone(), frozen: None }
            }
            None => tensor.clone(),
        };
        tensors.iter().map(turned).collect()
    }

    /// How well networks of these parameters classify the test set.
    pub(super) fn evaluate(
        &self,
        engine: &mut Engine,
        networks: &[&[f32]],
        control: Control<'_>,
    ) -> Result<Vec<Evaluation>> {
        let evaluate = |parameters: &&[f32]| {
            let (architecture, parameters) = (self.stack.architecture.clone(), parameters.to_vec());
            let network = StoredNetwork { architecture, parameters, pixels: None, input: self.input };
            network.evaluate(engine, &self.images.split.test, control)
        };
        networks.iter().map(evaluate).collect()
    }

    /// For the manifest.
    pub(super) fn settings(&self) -> StackSettings {
        let Configuration { seed, inactive_weight, ridge, ref stages, .. } = self.configuration;
        let layers = Layer::all(&self.stack.architecture);
        let shares = |(layer, own): &(&Layer, &StackLayer)| {
            shares_gram(layer.inputs(), layer.units()).then(|| own.weight.clone())
        };
        let calibration = CalibrationSettings {
            images: self.calibration.len(),
            seed,
            inactive_weight,
            ridge,
            stages: stages.clone(),
            one_gram: layers.iter().zip(&self.stack.layers).filter_map(|pair| shares(&pair)).collect(),
        };
        StackSettings {
            data: self.images.name().into(),
            normalize: [self.input.mean, self.input.sd],
            layers: self.stack.layers.clone(),
            calibration: self.calibrates.then_some(calibration),
        }
    }

    /// Weights of the whole stack.
    pub(super) fn weight_count(&self) -> usize {
        ParameterLayout::new(&self.stack.architecture).weights()
    }

    /// Says what the user should know of how the file was read.
    pub(super) fn announce(&self, say: &OutputOptions) {
        say.notices(&self.stack.notices);
    }
}

/// One tensor's history, of one network, its axes those of the file's tensor behind that of the epochs.
fn tensor(
    histories: &mut Histories<'_>,
    options: &HistoryOptions,
    index: usize,
    name: &str,
    shape: &[usize],
) -> Result<TensorHistory> {
    let axes = match options.axes()? {
        Axes::Unknown => Axes::OneNetwork,
        said => said,
    };
    let read = histories.tensor(index, &axes)?;
    if read.shape.replicas == 1 && read.weight_axes == shape {
        return Ok(read);
    }
    Err(Error::Data(format!(
        "the history of {name} has the shape {:?}, and the tensor has {shape:?}; a history has the axis of epochs before those of the \
         tensor, e.g. numpy.stack of the weights after each epoch",
        histories.shape(index)
    )))
}

/// A history of a file's matrix in our order.
fn turned(layer: &StackLayer, read: &TensorHistory) -> Result<TensorHistory> {
    let whole = read.whole()?;
    let weights = whole.weights().chunks_exact(read.shape.weight_count).flat_map(|epoch| layer.ours(epoch)).collect();
    Ok(TensorHistory::new(&layer.weight, History::new(read.shape, weights)?, layer.sizes.to_vec()))
}

/// The mean of a tensor over the last half of the epochs.
fn mean(history: &TensorHistory) -> Result<Vec<f32>> {
    let epochs = history.shape.epochs;
    let window = headline_window(epochs as u32) as usize;
    let mut sums = vec![0.0f64; history.shape.columns()];
    for epoch in epochs - window..epochs {
        sums.iter_mut().zip(history.epoch(epoch)?.iter()).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    Ok(sums.into_iter().map(|sum| (sum / window as f64) as f32).collect())
}
