//! The files of trained networks: metrics, histories, weights, and what was counted of each weight.

use super::experiment::{Cell, CellFolder};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Tensor};
use crate::run_folder::safetensors::StackedArray;
use crate::run_folder::{NamedArray, Values, csv, npz, safetensors};
use crate::stability::{History, Stability, WindowedEnvelope};
use crate::training::Trained;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One line of `metrics.csv`; `replica` is the run's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Columns of `metrics.csv`.
pub(super) const METRICS_COLUMNS: &[&str] = &["model", "data_set", "replica", "epoch", "loss", "accuracy"];

/// Writes `metrics.csv`, `history.npz` and `weights.safetensors` of a trained cell; where replicas may stop at different
/// epochs, `replicas/<replica>/history.npz` of each.
pub fn write_records(
    folder: &CellFolder<'_>,
    cell: &Cell,
    trained: &Trained,
    parameters: &[Vec<f32>],
    stops: bool,
) -> Result<()> {
    let rows = trained.metrics.iter().map(|metrics| MetricsRow {
        model: cell.model().into(),
        data_set: cell.data_set.clone(),
        replica: metrics.slot as u32,
        epoch: metrics.epoch,
        loss: metrics.loss,
        accuracy: metrics.accuracy,
    });
    csv::write(&folder.file("metrics.csv")?, METRICS_COLUMNS, rows)?;
    let write = |name: &str, replicas: usize, values: &[f32]| {
        let weight_count = trained.shape.weight_count;
        let axes = [values.len() / (replicas * weight_count), replicas, weight_count];
        npz::write(&folder.file(name)?, &[NamedArray { name: "history", shape: &axes, values: values.into() }])
    };
    if stops {
        for replica in 0..parameters.len() {
            write(&format!("replicas/{replica}/history.npz"), 1, &trained.history_of_slot(replica))?;
        }
    } else {
        write("history.npz", parameters.len(), &trained.recorded)?;
    }
    write_weights(&folder.file("weights.safetensors")?, &cell.architecture, parameters)
}

/// Writes all parameters, given for each replica, one tensor `[replica, ...]` for each tensor of the network.
fn write_weights(path: &Path, architecture: &Architecture, parameters: &[Vec<f32>]) -> Result<()> {
    let stacked = |tensor: Tensor| {
        let range = tensor.range();
        StackedArray {
            name: tensor.name,
            shape: [&[parameters.len()][..], &tensor.shape].concat(),
            rows: parameters.iter().map(|parameters| &parameters[range.clone()]).collect(),
        }
    };
    let tensors: Vec<_> = ParameterLayout::new(architecture).tensors.into_iter().map(stacked).collect();
    safetensors::write_stacked(path, &tensors)
}

/// Above this many rows a table is written as arrays of the same names.
const MOST_CSV_ROWS: usize = 1_000_000;

/// Gives the place of a file by its name.
pub type PathOf<'a> = &'a dyn Fn(&str) -> Result<PathBuf>;

const STABILITY_COLUMNS: &[&str] =
    &["replica", "weight", "row", "column", "reference_weight", "tolerance", "stability"];
const ENVELOPE_COLUMNS: &[&str] = &[
    "replica",
    "weight",
    "row",
    "column",
    "reference_weight",
    "window",
    "minimum",
    "maximum",
    "smallest_magnitude",
    "settling_tolerance",
    "frozen",
];

/// One line of `stability.csv`.
#[derive(Serialize)]
struct StabilityRow {
    replica: usize,
    weight_index: usize,
    row: Option<usize>,
    column: Option<usize>,
    reference_weight: f32,
    tolerance: f64,
    stability: u32,
}

/// One line of `envelope.csv`.
#[derive(Serialize)]
struct EnvelopeRow {
    replica: usize,
    weight_index: usize,
    row: Option<usize>,
    column: Option<usize>,
    reference_weight: f32,
    window: u32,
    minimum: f32,
    maximum: f32,
    smallest_magnitude: f32,
    settling_tolerance: f64,
    frozen: bool,
}

/// Row and column of a weight: its place along the last two of its axes; neither if there is only one axis.
fn row_and_column(weight_axes: &[usize], weight_index: usize) -> (Option<usize>, Option<usize>) {
    match weight_axes {
        [.., rows, columns] => (Some(weight_index / columns % rows), Some(weight_index % columns)),
        _ => (None, None),
    }
}

/// Rows and columns of all weights as arrays, empty if a weight has one axis.
fn rows_and_columns(weight_axes: &[usize]) -> (Vec<u32>, Vec<u32>) {
    let weight_count = 0..weight_axes.iter().product();
    let places = weight_count.filter_map(|weight_index| match row_and_column(weight_axes, weight_index) {
        (Some(row), Some(column)) => Some((row as u32, column as u32)),
        _ => None,
    });
    places.unzip()
}

/// Writes `stability.csv`, and returns its path; `weight_axes` are the axes whose product is the weights.
///
/// Above a million rows `stability.npz` is written instead: `stability` `[tolerance, replica, weight_index]`, `tolerance`
/// `[tolerance]`, `reference_weight` `[replica, weight_index]`, and `row` and `column` `[weight_index]` if a weight has two axes.
pub fn write_stability(
    path: PathOf<'_>,
    weight_axes: &[usize],
    history: &History,
    stability: &Stability,
) -> Result<PathBuf> {
    let shape = history.shape();
    let counts = &stability.counts.stability;
    if counts.len() > MOST_CSV_ROWS {
        let axes = [stability.tolerances.len(), shape.replicas, shape.weight_count];
        let file = path("stability.npz")?;
        write_arrays(
            &file,
            weight_axes,
            history,
            &[
                NamedArray { name: "tolerance", shape: &axes[..1], values: Values::F64(&stability.tolerances) },
                NamedArray { name: "stability", shape: &axes, values: Values::U32(counts) },
            ],
        )?;
        return Ok(file);
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, weight_index) = (place / shape.weight_count, place % shape.weight_count);
        let (row, column) = row_and_column(weight_axes, weight_index);
        stability.tolerances.iter().enumerate().map(move |(index, &tolerance)| StabilityRow {
            replica,
            weight_index,
            row,
            column,
            reference_weight: history.reference()[place],
            tolerance,
            stability: counts[index * shape.columns() + place],
        })
    });
    let file = path("stability.csv")?;
    csv::write(&file, STABILITY_COLUMNS, rows)?;
    Ok(file)
}

/// Writes `envelope.csv`, and returns its path; `weight_axes` are the axes whose product is the weights.
///
/// Above a million rows `envelope.npz` is written instead: `minimum`, `maximum`, `smallest_magnitude` and
/// `settling_tolerance` `[window, replica, weight_index]`, `window` `[window]`, `frozen` and `reference_weight` `[replica, weight_index]`,
/// and `row` and `column` `[weight_index]` if a weight has two axes.
pub fn write_envelope(
    path: PathOf<'_>,
    weight_axes: &[usize],
    history: &History,
    envelope: &WindowedEnvelope,
) -> Result<PathBuf> {
    let shape = history.shape();
    let extremes = &envelope.extremes;
    if extremes.minimum.len() > MOST_CSV_ROWS {
        let axes = [envelope.windows.len(), shape.replicas, shape.weight_count];
        let settling: Vec<f64> = (0..axes[0])
            .flat_map(|window| (0..shape.replicas).map(move |replica| (window, replica)))
            .flat_map(|(window, replica)| envelope.settling_tolerances(window, replica))
            .collect();
        let frozen: Vec<u8> = envelope.frozen.iter().map(|&frozen| u8::from(frozen)).collect();
        let file = path("envelope.npz")?;
        write_arrays(
            &file,
            weight_axes,
            history,
            &[
                NamedArray { name: "window", shape: &axes[..1], values: Values::U32(&envelope.windows) },
                NamedArray { name: "minimum", shape: &axes, values: Values::F32(&extremes.minimum) },
                NamedArray { name: "maximum", shape: &axes, values: Values::F32(&extremes.maximum) },
                NamedArray {
                    name: "smallest_magnitude",
                    shape: &axes,
                    values: Values::F32(&extremes.smallest_magnitude),
                },
                NamedArray { name: "settling_tolerance", shape: &axes, values: Values::F64(&settling) },
                NamedArray { name: "frozen", shape: &axes[1..], values: Values::U8(&frozen) },
            ],
        )?;
        return Ok(file);
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, weight_index) = (place / shape.weight_count, place % shape.weight_count);
        let (row, column) = row_and_column(weight_axes, weight_index);
        envelope.windows.iter().enumerate().map(move |(index, &window)| {
            let own = index * shape.columns() + place;
            EnvelopeRow {
                replica,
                weight_index,
                row,
                column,
                reference_weight: history.reference()[place],
                window,
                minimum: extremes.minimum[own],
                maximum: extremes.maximum[own],
                smallest_magnitude: extremes.smallest_magnitude[own],
                settling_tolerance: envelope.settling_tolerance(index, replica, weight_index),
                frozen: envelope.frozen[place],
            }
        })
    });
    let file = path("envelope.csv")?;
    csv::write(&file, ENVELOPE_COLUMNS, rows)?;
    Ok(file)
}

/// Writes `arrays` with what tables of weights have in common.
fn write_arrays(file: &Path, weight_axes: &[usize], history: &History, arrays: &[NamedArray<'_>]) -> Result<()> {
    let shape = history.shape();
    let (rows, columns) = rows_and_columns(weight_axes);
    let own = [shape.replicas, shape.weight_count];
    let mut all = arrays.to_vec();
    all.push(NamedArray { name: "reference_weight", shape: &own, values: Values::F32(history.reference()) });
    if !rows.is_empty() {
        all.push(NamedArray { name: "row", shape: &own[1..], values: Values::U32(&rows) });
        all.push(NamedArray { name: "column", shape: &own[1..], values: Values::U32(&columns) });
    }
    npz::write(file, &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_the_last_two_axes_of_a_node() {
        assert_eq!(row_and_column(&[6], 4), (None, None));
        assert_eq!(row_and_column(&[2, 3], 4), (Some(1), Some(1)));
        assert_eq!(row_and_column(&[5, 2, 3], 6 + 4), (Some(1), Some(1)));
        assert_eq!(rows_and_columns(&[2, 2]), (vec![0, 0, 1, 1], vec![0, 1, 0, 1]));
    }
}
