//! Tables of single weights: `stability.csv` and `envelope.csv`, of one tensor or of several, filled block by block. Above a
//! million rows arrays of the same names take their place, which wait on the disk while they are filled.

mod large;

use crate::engine::HistoryShape;
use crate::error::Result;
use crate::run_folder::arrays::{NamedArray, Values};
use crate::run_folder::csv;
use crate::stability::{History, Stability, WindowedEnvelope};
use large::Arrays;
use serde::Serialize;
use std::path::PathBuf;

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

/// Whose weights a part of a table is of, and how many there are.
#[derive(Clone, Debug)]
pub struct TableLayer {
    /// Name of the layer or tensor; empty if it has none.
    pub name: String,
    /// Sizes of the history; windows and tolerances are the table's.
    pub shape: HistoryShape,
    /// Sizes of the axes whose product is the weights.
    pub axes: Vec<usize>,
    /// Their names; empty if they have none.
    pub axis_names: Vec<String>,
}

impl TableLayer {
    fn of(axes: LayerAxes<'_>, shape: HistoryShape) -> Self {
        Self { name: axes.layer.into(), shape, axes: axes.sizes.to_vec(), axis_names: axes.names.to_vec() }
    }

    fn layer_axes(&self) -> LayerAxes<'_> {
        LayerAxes { layer: &self.name, sizes: &self.axes, names: &self.axis_names }
    }

    /// Replica, weight and its places along [`AXES`] of a column.
    fn place(&self, column: usize) -> (usize, usize, [Option<usize>; 4]) {
        let (replica, weight_index) = (column / self.shape.weight_count, column % self.shape.weight_count);
        (replica, weight_index, self.layer_axes().places(weight_index))
    }
}

/// Columns of one layer with what was counted of them.
struct Part<C> {
    layer: usize,
    first_column: usize,
    reference: Vec<f32>,
    counted: C,
}

fn row_of<T>(all: &[T], row: usize, rows: usize) -> &[T] {
    let columns = all.len() / rows;
    &all[row * columns..][..columns]
}

fn rows_of(layers: &[TableLayer], settings: usize) -> usize {
    layers.iter().map(|layer| layer.shape.columns() * settings).sum()
}

/// A table that is being filled: rows, or arrays if there are too many.
enum Form<'a, C> {
    Rows(Vec<Part<C>>),
    Arrays(Arrays<'a>),
}

/// `stability.csv` while it is being filled.
///
/// Above a million rows `stability.npz` is written instead: `stability` `[tolerance, replica, weight_index]`, `tolerance`
/// `[tolerance]`, `reference_weight` `[replica, weight_index]`, and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer
/// has them; of several layers with the layer's name and a dot before each of these but `tolerance`.
pub struct StabilityTable<'a> {
    layers: &'a [TableLayer],
    tolerances: &'a [f64],
    path: PathOf<'a>,
    form: Form<'a, Vec<u32>>,
}

impl<'a> StabilityTable<'a> {
    /// An empty table of these layers.
    ///
    /// Fails as `path` does.
    pub fn new(path: PathOf<'a>, layers: &'a [TableLayer], tolerances: &'a [f64]) -> Result<Self> {
        let is_large = rows_of(layers, tolerances.len()) > MOST_CSV_ROWS;
        let form = match is_large {
            true => Form::Arrays(Arrays::new(path("stability.npz")?, layers)),
            false => Form::Rows(Vec::new()),
        };
        Ok(Self { layers, tolerances, path, form })
    }

    /// Adds the counts of a block of a layer's weights, the first of which is this column. Blocks come in their order.
    ///
    /// Fails with [`crate::error::Error::Io`] if they have to be put aside and there is no room.
    pub fn add(&mut self, layer: usize, first_column: usize, block: &History, stability: &Stability) -> Result<()> {
        let counts = &stability.counts.stability;
        match &mut self.form {
            Form::Rows(parts) => {
                let (reference, counted) = (block.reference().to_vec(), counts.clone());
                parts.push(Part { layer, first_column, reference, counted });
                Ok(())
            }
            Form::Arrays(arrays) => {
                let rows = Some(self.tolerances.len());
                arrays.put(layer, "stability", rows, first_column, &Values::U32(counts))?;
                arrays.put(layer, "reference_weight", None, first_column, &Values::F32(block.reference()))
            }
        }
    }

    /// Writes the file and returns its path.
    ///
    /// Fails with [`crate::error::Error::Io`] if it cannot be written.
    pub fn write(self) -> Result<PathBuf> {
        let Self { layers, tolerances, path, form } = self;
        let parts = match form {
            Form::Rows(parts) => parts,
            Form::Arrays(arrays) => {
                let shape = [tolerances.len()];
                return arrays.write(&[NamedArray {
                    name: "tolerance",
                    shape: &shape,
                    values: Values::F64(tolerances),
                }]);
            }
        };
        let rows = parts.iter().flat_map(|part| {
            let layer = &layers[part.layer];
            part.reference.iter().enumerate().flat_map(move |(index, &reference_weight)| {
                let (replica, weight, [ky, kx, r#in, out]) = layer.place(part.first_column + index);
                tolerances.iter().enumerate().map(move |(row, &tolerance)| StabilityRow {
                    replica,
                    layer: &layer.name,
                    weight,
                    ky,
                    kx,
                    r#in,
                    out,
                    reference_weight,
                    tolerance,
                    stability: row_of(&part.counted, row, tolerances.len())[index],
                })
            })
        });
        let file = path("stability.csv")?;
        csv::write::<StabilityRow<'_>>(&file, rows)?;
        Ok(file)
    }
}

/// `envelope.csv` while it is being filled.
///
/// Above a million rows `envelope.npz` is written instead: `minimum`, `maximum`, `smallest_magnitude` and
/// `settling_tolerance` `[window, replica, weight_index]`, `window` `[window]`, `frozen` and `reference_weight`
/// `[replica, weight_index]`, and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer has them; of several layers with the
/// layer's name and a dot before each of these but `window`.
pub struct EnvelopeTable<'a> {
    layers: &'a [TableLayer],
    windows: &'a [u32],
    path: PathOf<'a>,
    form: Form<'a, WindowedEnvelope>,
}

impl<'a> EnvelopeTable<'a> {
    /// An empty table of these layers.
    ///
    /// Fails as `path` does.
    pub fn new(path: PathOf<'a>, layers: &'a [TableLayer], windows: &'a [u32]) -> Result<Self> {
        let is_large = rows_of(layers, windows.len()) > MOST_CSV_ROWS;
        let form = match is_large {
            true => Form::Arrays(Arrays::new(path("envelope.npz")?, layers)),
            false => Form::Rows(Vec::new()),
        };
        Ok(Self { layers, windows, path, form })
    }

    /// Adds what a block of a layer's weights did, the first of which is this column. Blocks come in their order.
    ///
    /// Fails with [`crate::error::Error::Io`] if it has to be put aside and there is no room.
    pub fn add(
        &mut self,
        layer: usize,
        first_column: usize,
        block: &History,
        envelope: WindowedEnvelope,
    ) -> Result<()> {
        match &mut self.form {
            Form::Rows(parts) => {
                let reference = block.reference().to_vec();
                parts.push(Part { layer, first_column, reference, counted: envelope });
                Ok(())
            }
            Form::Arrays(arrays) => {
                let rows = Some(self.windows.len());
                let extremes = &envelope.extremes;
                for (name, values) in [
                    ("minimum", &extremes.minimum),
                    ("maximum", &extremes.maximum),
                    ("smallest_magnitude", &extremes.smallest_magnitude),
                ] {
                    arrays.put(layer, name, rows, first_column, &Values::F32(values))?;
                }
                let replicas = block.shape().replicas;
                let settling: Vec<f64> = (0..self.windows.len())
                    .flat_map(|window| (0..replicas).map(move |replica| (window, replica)))
                    .flat_map(|(window, replica)| envelope.settling_tolerances(window, replica))
                    .collect();
                arrays.put(layer, "settling_tolerance", rows, first_column, &Values::F64(&settling))?;
                let frozen: Vec<u8> = envelope.frozen.iter().map(|&frozen| u8::from(frozen)).collect();
                arrays.put(layer, "frozen", None, first_column, &Values::U8(&frozen))?;
                arrays.put(layer, "reference_weight", None, first_column, &Values::F32(block.reference()))
            }
        }
    }

    /// Writes the file and returns its path.
    ///
    /// Fails with [`crate::error::Error::Io`] if it cannot be written.
    pub fn write(self) -> Result<PathBuf> {
        let Self { layers, windows, path, form } = self;
        let parts = match form {
            Form::Rows(parts) => parts,
            Form::Arrays(arrays) => {
                let shape = [windows.len()];
                return arrays.write(&[NamedArray { name: "window", shape: &shape, values: Values::U32(windows) }]);
            }
        };
        let rows = parts.iter().flat_map(|part| {
            let (layer, envelope) = (&layers[part.layer], &part.counted);
            let extremes = &envelope.extremes;
            part.reference.iter().enumerate().flat_map(move |(index, &reference_weight)| {
                let (replica, weight, [ky, kx, r#in, out]) = layer.place(part.first_column + index);
                // Within its block.
                let (own_replica, own_weight) = match part.reference.len() > layer.shape.weight_count {
                    true => (replica, weight),
                    false => (0, index),
                };
                windows.iter().enumerate().map(move |(row, &window)| EnvelopeRow {
                    replica,
                    layer: &layer.name,
                    weight,
                    ky,
                    kx,
                    r#in,
                    out,
                    reference_weight,
                    window,
                    minimum: row_of(&extremes.minimum, row, windows.len())[index],
                    maximum: row_of(&extremes.maximum, row, windows.len())[index],
                    smallest_magnitude: row_of(&extremes.smallest_magnitude, row, windows.len())[index],
                    settling_tolerance: envelope.settling_tolerance(row, own_replica, own_weight),
                    frozen: envelope.frozen[index],
                })
            })
        });
        let file = path("envelope.csv")?;
        csv::write::<EnvelopeRow<'_>>(&file, rows)?;
        Ok(file)
    }
}

/// Writes the whole table of one layer, see [`StabilityTable`], and returns its path.
///
/// Fails as that does.
pub fn write_stability(
    path: PathOf<'_>,
    axes: LayerAxes<'_>,
    history: &History,
    stability: &Stability,
) -> Result<PathBuf> {
    let layers = [TableLayer::of(axes, history.shape())];
    let mut table = StabilityTable::new(path, &layers, &stability.tolerances)?;
    table.add(0, 0, history, stability)?;
    table.write()
}

/// Writes the whole table of one layer, see [`EnvelopeTable`], and returns its path.
///
/// Fails as that does.
pub fn write_envelope(
    path: PathOf<'_>,
    axes: LayerAxes<'_>,
    history: &History,
    envelope: &WindowedEnvelope,
) -> Result<PathBuf> {
    let layers = [TableLayer::of(axes, history.shape())];
    let mut table = EnvelopeTable::new(path, &layers, &envelope.windows)?;
    table.add(0, 0, history, envelope.clone())?;
    table.write()
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
