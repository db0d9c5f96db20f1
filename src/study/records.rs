//! The files of trained networks: metrics, histories, weights, and what was counted of each weight.

use super::experiment::{Cell, CellFolder};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Selection, Tensor};
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, Values};
use crate::run_folder::csv;
use crate::run_folder::file_kind::Purpose;
use crate::stability::{History, ReplicaHistory, Stability, WindowedEnvelope};
use crate::training::{EpochMetrics, Trained};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

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
    pub(super) fn new(cell: &Cell, id: u32, metrics: &EpochMetrics) -> Self {
        let &EpochMetrics { epoch, loss, accuracy, .. } = metrics;
        Self { model: cell.model().into(), data_set: cell.data_set.clone(), replica: id, epoch, loss, accuracy }
    }
}

/// Writes `metrics.csv`, `history.npz`, `weights.safetensors` and, of weights averaged over the last half of the epochs,
/// `averaged.safetensors` of a trained cell; where replicas may stop at different
/// epochs, `replicas/<replica>/history.npz` of each.
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

/// What a run's history calls the weights of its focus layer, whose `name` is that of the tensor: runs of before histories had
/// the names of their tensors have one array.
///
/// Fails as reading the file does.
pub(super) fn history_key(path: &Path, name: &str) -> Result<String> {
    let file = ArrayFile::open(path, Purpose::Arrays)?;
    Ok(if file.names().iter().any(|own| own == name) { name.into() } else { "history".into() })
}

/// Names and shapes of the tensors of a selection.
pub(super) fn recorded_tensors(selection: &Selection) -> Vec<(&str, &[usize])> {
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

/// Above this many rows a table is written as arrays of the same names.
const MOST_CSV_ROWS: usize = 1_000_000;

/// Gives the place of a file by its name.
pub type PathOf<'a> = &'a dyn Fn(&str) -> Result<PathBuf>;

/// One line of `stability.csv`. The order of the fields is the order of the columns, here and below.
#[derive(Default, Serialize)]
struct StabilityRow<'a> {
    replica: usize,
    layer: &'a str,
    weight: usize,
    ky: Option<usize>,
    kx: Option<usize>,
    r#in: Option<usize>,
    out: Option<usize>,
    reference_weight: f32,
    tolerance: f64,
    stability: u32,
}

/// One line of `envelope.csv`.
#[derive(Default, Serialize)]
struct EnvelopeRow<'a> {
    replica: usize,
    layer: &'a str,
    weight: usize,
    ky: Option<usize>,
    kx: Option<usize>,
    r#in: Option<usize>,
    out: Option<usize>,
    reference_weight: f32,
    window: u32,
    minimum: f32,
    maximum: f32,
    smallest_magnitude: f32,
    settling_tolerance: f64,
    frozen: bool,
}

/// Names of the axes of a weight in tables.
const AXES: [&str; 4] = ["ky", "kx", "in", "out"];

/// Whose weights a table is of.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerAxes<'a> {
    /// Name of the layer; empty if it has none.
    pub layer: &'a str,
    /// Sizes of the axes whose product is the weights.
    pub sizes: &'a [usize],
    /// Their names; empty if they have none.
    pub names: &'a [String],
}

impl LayerAxes<'_> {
    /// Which of the axes each of [`AXES`] is: by its name, or, if none of them has such a name, `[.., ky, kx, in, out]` of two
    /// axes or more.
    fn order(&self) -> [Option<usize>; 4] {
        let named = AXES.map(|wanted| self.names.iter().position(|name| name == wanted));
        let axes = self.sizes.len();
        if axes < 2 || named.iter().any(Option::is_some) {
            return named;
        }
        [4, 3, 2, 1].map(|from_end| axes.checked_sub(from_end))
    }

    /// Where a weight lies along each of [`AXES`]; `None` along those that the layer lacks.
    fn places(&self, weight_index: usize) -> [Option<usize>; 4] {
        let along = |axis: usize| {
            let stride: usize = self.sizes[axis + 1..].iter().product();
            weight_index / stride % self.sizes[axis]
        };
        self.order().map(|axis| axis.map(along))
    }
}

/// Writes `stability.csv`, and returns its path.
///
/// Above a million rows `stability.npz` is written instead: `stability` `[tolerance, replica, weight_index]`, `tolerance`
/// `[tolerance]`, `reference_weight` `[replica, weight_index]`, and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer has them.
pub fn write_stability(
    path: PathOf<'_>,
    axes: LayerAxes<'_>,
    history: &History,
    stability: &Stability,
) -> Result<PathBuf> {
    let shape = history.shape();
    let counts = &stability.counts.stability;
    if counts.len() > MOST_CSV_ROWS {
        let sizes = [stability.tolerances.len(), shape.replicas, shape.weight_count];
        let file = path("stability.npz")?;
        write_arrays(
            &file,
            axes,
            history,
            &[
                NamedArray { name: "tolerance", shape: &sizes[..1], values: Values::F64(&stability.tolerances) },
                NamedArray { name: "stability", shape: &sizes, values: Values::U32(counts) },
            ],
        )?;
        return Ok(file);
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, weight_index) = (place / shape.weight_count, place % shape.weight_count);
        let [ky, kx, r#in, out] = axes.places(weight_index);
        stability.tolerances.iter().enumerate().map(move |(index, &tolerance)| StabilityRow {
            replica,
            layer: axes.layer,
            weight: weight_index,
            ky,
            kx,
            r#in,
            out,
            reference_weight: history.reference()[place],
            tolerance,
            stability: counts[index * shape.columns() + place],
        })
    });
    let file = path("stability.csv")?;
    csv::write::<StabilityRow<'_>>(&file, rows)?;
    Ok(file)
}

/// Writes `envelope.csv`, and returns its path.
///
/// Above a million rows `envelope.npz` is written instead: `minimum`, `maximum`, `smallest_magnitude` and
/// `settling_tolerance` `[window, replica, weight_index]`, `window` `[window]`, `frozen` and `reference_weight` `[replica, weight_index]`,
/// and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer has them.
pub fn write_envelope(
    path: PathOf<'_>,
    axes: LayerAxes<'_>,
    history: &History,
    envelope: &WindowedEnvelope,
) -> Result<PathBuf> {
    let shape = history.shape();
    let extremes = &envelope.extremes;
    if extremes.minimum.len() > MOST_CSV_ROWS {
        let sizes = [envelope.windows.len(), shape.replicas, shape.weight_count];
        let settling: Vec<f64> = (0..sizes[0])
            .flat_map(|window| (0..shape.replicas).map(move |replica| (window, replica)))
            .flat_map(|(window, replica)| envelope.settling_tolerances(window, replica))
            .collect();
        let frozen: Vec<u8> = envelope.frozen.iter().map(|&frozen| u8::from(frozen)).collect();
        let file = path("envelope.npz")?;
        write_arrays(
            &file,
            axes,
            history,
            &[
                NamedArray { name: "window", shape: &sizes[..1], values: Values::U32(&envelope.windows) },
                NamedArray { name: "minimum", shape: &sizes, values: Values::F32(&extremes.minimum) },
                NamedArray { name: "maximum", shape: &sizes, values: Values::F32(&extremes.maximum) },
                NamedArray {
                    name: "smallest_magnitude",
                    shape: &sizes,
                    values: Values::F32(&extremes.smallest_magnitude),
                },
                NamedArray { name: "settling_tolerance", shape: &sizes, values: Values::F64(&settling) },
                NamedArray { name: "frozen", shape: &sizes[1..], values: Values::U8(&frozen) },
            ],
        )?;
        return Ok(file);
    }
    let rows = (0..shape.columns()).flat_map(|place| {
        let (replica, weight_index) = (place / shape.weight_count, place % shape.weight_count);
        let [ky, kx, r#in, out] = axes.places(weight_index);
        envelope.windows.iter().enumerate().map(move |(index, &window)| {
            let own = index * shape.columns() + place;
            EnvelopeRow {
                replica,
                layer: axes.layer,
                weight: weight_index,
                ky,
                kx,
                r#in,
                out,
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
    csv::write::<EnvelopeRow<'_>>(&file, rows)?;
    Ok(file)
}

/// Writes `arrays` with what tables of weights have in common.
fn write_arrays(file: &Path, axes: LayerAxes<'_>, history: &History, arrays: &[NamedArray<'_>]) -> Result<()> {
    let shape = history.shape();
    let own = [shape.replicas, shape.weight_count];
    let places: Vec<[Option<usize>; 4]> =
        (0..shape.weight_count).map(|weight_index| axes.places(weight_index)).collect();
    let along: Vec<Vec<u32>> =
        (0..AXES.len()).map(|axis| places.iter().filter_map(|places| Some(places[axis]? as u32)).collect()).collect();
    let mut all = arrays.to_vec();
    all.push(NamedArray { name: "reference_weight", shape: &own, values: Values::F32(history.reference()) });
    let known = AXES.into_iter().zip(&along).filter(|(_, along)| !along.is_empty());
    all.extend(known.map(|(name, along)| NamedArray { name, shape: &own[1..], values: Values::U32(along) }));
    arrays::write(file, &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_known_by_their_names_or_else_by_their_order() {
        let places = |sizes: &[usize], names: &[&str], weight_index| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            LayerAxes { layer: "", sizes, names: &names }.places(weight_index)
        };
        assert_eq!(places(&[6], &[], 4), [None; 4]);
        assert_eq!(places(&[2, 3], &[], 4), [None, None, Some(1), Some(1)]);
        assert_eq!(places(&[2, 3], &["out", "in"], 5), [None, None, Some(2), Some(1)]);
        assert_eq!(places(&[3, 5, 2, 3], &[], 41), [Some(1), Some(1), Some(1), Some(2)]);
        assert_eq!(places(&[2, 3], &["row", "in"], 5), [None, None, Some(2), None]);
        assert_eq!(places(&[2, 3], &["row", "column"], 5), [None, None, Some(1), Some(2)]);
    }
}
