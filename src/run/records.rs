//! The files of trained networks: metrics, histories, weights; tables of single weights are in [`crate::stability::weight_tables`].

use super::calibration::{CALIBRATION_FILE, Calibration};
use super::cell::{Cell, CellFolder};
use super::configuration::Configuration;
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Selection, Tensor};
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, Values};
use crate::run_folder::csv;
use crate::run_folder::file_kind::Purpose;
use crate::stability::ReplicaHistory;
use crate::training::{EpochMetrics, Trained};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One line of `metrics.csv`; `replica` is the run's id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsRow {
    /// Name of the model.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// Id of the run.
    pub replica: u32,
    /// Counted from 1.
    pub epoch: u32,
    /// Running mean of the epoch, taken before each update.
    pub loss: f64,
    /// Running share of correctly classified images.
    pub accuracy: f64,
}

impl MetricsRow {
    /// A line of the run `id` of a cell.
    pub(crate) fn new(cell: &Cell, id: u32, metrics: &EpochMetrics) -> Self {
        let &EpochMetrics { epoch, loss, accuracy, .. } = metrics;
        Self { model: cell.model().into(), data_set: cell.data_set.clone(), replica: id, epoch, loss, accuracy }
    }
}

/// Writes `metrics.csv`, `history.npz`, `weights.safetensors` and, of averaged weights,
/// `averaged.safetensors` of a trained cell; where replicas may stop at different
/// epochs, `replicas/<replica>/history.npz` of each.
///
/// Fails with [`crate::error::Error::Io`] if a file cannot be written.
pub fn write_records(
    folder: &CellFolder<'_>,
    cell: &Cell,
    trained: &Trained,
    parameters: &[Vec<f32>],
    stops: bool,
) -> Result<()> {
    let rows = trained.metrics.iter().map(|metrics| MetricsRow::new(cell, metrics.slot as u32, metrics));
    csv::write::<MetricsRow>(&folder.file("metrics.csv")?, rows)?;
    let histories = trained.histories();
    let tensors = recorded_tensors(&cell.selection);
    if stops {
        for (replica, history) in histories.iter().enumerate() {
            let file = folder.file(&format!("replicas/{replica}/history.npz"))?;
            ReplicaHistory::write(&file, std::slice::from_ref(history), &tensors)?;
        }
    } else {
        ReplicaHistory::write(&folder.file("history.npz")?, &histories, &tensors)?;
    }
    if !trained.mean.is_empty() {
        write_weights(&folder.file("averaged.safetensors")?, &cell.architecture, &trained.mean)?;
    }
    write_weights(&folder.file("weights.safetensors")?, &cell.architecture, parameters)
}

/// Writes the images that calibrate, for pruning later.
///
/// Fails with [`crate::error::Error::Io`] if the file cannot be written.
pub fn write_calibration(folder: &CellFolder<'_>, cell: &Cell, configuration: &Configuration) -> Result<()> {
    Calibration::of_cell(cell, configuration).write(&folder.file(CALIBRATION_FILE)?)
}

/// What a run's history calls the weights of its focus layer, whose `name` is that of the tensor: runs of before histories had
/// the names of their tensors have one array.
///
/// Fails as reading the file does.
pub(crate) fn history_key(path: &Path, name: &str) -> Result<String> {
    let file = ArrayFile::open(path, Purpose::Arrays)?;
    Ok(if file.names().iter().any(|own| own == name) { name.into() } else { "history".into() })
}

/// Names and shapes of the tensors of a selection.
pub(crate) fn recorded_tensors(selection: &Selection) -> Vec<(&str, &[usize])> {
    selection.parts().iter().map(|part| (part.name.as_str(), part.shape.as_slice())).collect()
}

/// Writes all parameters, given for each replica, one tensor `[replica, ...]` for each tensor of the network.
fn write_weights(path: &Path, architecture: &Architecture, parameters: &[Vec<f32>]) -> Result<()> {
    let layout = ParameterLayout::new(architecture);
    let tensors: Vec<&Tensor> = layout.stored().collect();
    let shapes: Vec<Vec<usize>> =
        tensors.iter().map(|tensor| [&[parameters.len()][..], &tensor.shape].concat()).collect();
    let stacked = tensors.iter().zip(&shapes).map(|(tensor, shape)| {
        let values = Values::Parts(parameters.iter().map(|parameters| &parameters[tensor.range()]).collect());
        NamedArray { name: &tensor.name, shape, values }
    });
    arrays::write(path, &stacked.collect::<Vec<_>>())
}
