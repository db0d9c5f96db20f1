//! One cell of a study: one model on one data set, trained in replicas, with its records on disk.

use super::Control;
use super::configuration::Configuration;
use crate::data::{Dataset, LoadOptions, Source, Split};
use crate::engine::{DataHandle, Engine, Replica};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Tensor};
use crate::run_folder::{NamedArray, csv, npz, safetensors};
use crate::stability::History;
use crate::training::{Plan, Trained, train};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

/// One model on one data set.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Name of the data set in tables and files.
    pub data_set: String,
    /// Training and test images.
    pub split: Split,
    /// The network that fits them.
    pub architecture: Architecture,
}

impl Cell {
    /// Loads the data sets of a configuration, one cell for each.
    pub fn load_all(configuration: &Configuration) -> Result<Vec<Self>> {
        let options = LoadOptions { training_images: configuration.training_images };
        configuration
            .data
            .iter()
            .map(|text| {
                let source = Source::parse(OsStr::new(text))?;
                let split = source.load(configuration.seed, &options)?;
                let Dataset { height, width, classes, .. } = *split.training;
                let architecture = configuration.architecture(height, width, classes);
                architecture.validate()?;
                Ok(Self { data_set: source.id().into(), split, architecture })
            })
            .collect()
    }

    /// Folder of this cell in the run folder: the top if it is the only one.
    pub fn folder(&self, configuration: &Configuration, cells: usize) -> String {
        if cells == 1 { String::new() } else { format!("cells/{}-{}/", configuration.model.name(), self.data_set) }
    }

    /// Checksums of both sets, by name.
    pub fn checksums(&self) -> BTreeMap<String, String> {
        [("training", &self.split.training), ("test", &self.split.test)]
            .map(|(part, data)| (format!("{}, {part}", self.data_set), data.checksum()))
            .into()
    }

    /// The engine's handles of the training and the test set.
    pub fn upload(&self, engine: &mut dyn Engine) -> Result<(DataHandle, DataHandle)> {
        Ok((engine.load(&self.split.training)?, engine.load(&self.split.test)?))
    }
}

/// Trains the replicas of a cell for all epochs and records the focus layer.
pub fn train_and_record(
    engine: &mut dyn Engine,
    cell: &Cell,
    configuration: &Configuration,
    control: Control<'_>,
) -> Result<Trained> {
    let (training, _) = cell.upload(engine)?;
    let replica_ids: Vec<u32> = (0..configuration.replicates).collect();
    let plan = Plan {
        architecture: &cell.architecture,
        training,
        data: &cell.split.training,
        batch: configuration.batch,
        pixel_scale: configuration.pixel_scale,
        seed: configuration.seed,
        replica_ids: &replica_ids,
        epochs: configuration.epochs,
        schedules: &[],
        record: true,
    };
    if configuration.batch > cell.split.training.samples() {
        control.progress.notice(&format!(
            "--batch {} is larger than the {} training images: each epoch is one short step",
            configuration.batch,
            cell.split.training.samples()
        ));
    }
    let steps = cell.split.training.samples().div_ceil(configuration.batch) as u64;
    let total = steps * u64::from(configuration.epochs) * u64::from(configuration.replicates);
    let name = format!("train {} on {}", configuration.model.name(), cell.data_set);
    control.stage(&name, total, "replica-steps", |watch| train(engine, &plan, watch, &mut |_| {}))
}

/// The history that [`train_and_record`] left.
pub fn history_of(trained: &Trained) -> Result<&History> {
    trained.history.as_ref().ok_or_else(|| Error::Job("the session recorded no history".into()))
}

/// Columns of `metrics.csv`.
#[derive(Serialize)]
struct MetricsRow<'a> {
    model: &'a str,
    data_set: &'a str,
    replica: usize,
    epoch: u32,
    loss: f64,
    accuracy: f64,
}

/// Writes `metrics.csv`, `history.npz` and `weights.safetensors` of a trained cell.
pub fn write_records(
    path: &dyn Fn(&str) -> Result<std::path::PathBuf>,
    cell: &Cell,
    configuration: &Configuration,
    trained: &Trained,
    replicas: &[Replica<f32>],
) -> Result<()> {
    let rows = trained.metrics.iter().map(|metrics| MetricsRow {
        model: configuration.model.name(),
        data_set: &cell.data_set,
        replica: metrics.slot,
        epoch: metrics.epoch,
        loss: metrics.loss,
        accuracy: metrics.accuracy,
    });
    csv::write(&path("metrics.csv")?, &["model", "data_set", "replica", "epoch", "loss", "accuracy"], rows)?;
    let history = history_of(trained)?;
    let shape = history.shape();
    let axes = [shape.epochs, shape.replicas, shape.nodes];
    npz::write(
        &path("history.npz")?,
        &[NamedArray { name: "history", shape: &axes, values: history.weights().into() }],
    )?;
    write_weights(&path("weights.safetensors")?, &cell.architecture, replicas)
}

/// Writes all parameters, one tensor `[replica, ...]` for each tensor of the network.
pub fn write_weights(path: &Path, architecture: &Architecture, replicas: &[Replica<f32>]) -> Result<()> {
    let tensors = parameter_tensors(architecture, replicas);
    let arrays: Vec<NamedArray<'_>> = tensors
        .iter()
        .map(|(name, shape, values)| NamedArray { name, shape, values: values.as_slice().into() })
        .collect();
    safetensors::write(path, &arrays)
}

/// Name, shape `[replica, ...]` and values of each tensor of the network.
pub(super) fn parameter_tensors(
    architecture: &Architecture,
    replicas: &[Replica<f32>],
) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let of_tensor = |tensor: Tensor| {
        let shape = [&[replicas.len()][..], &tensor.shape].concat();
        let values = replicas.iter().flat_map(|replica| &replica.parameters[tensor.range()]).copied().collect();
        (tensor.name, shape, values)
    };
    ParameterLayout::new(architecture).tensors.into_iter().map(of_tensor).collect()
}
