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

/// A table that is being filled: rows, or arrays if there are too many.
enum Form<'a, C> {
    Rows(Vec<Part<C>>),
    Arrays(Arrays<'a>),
}

/// A table of every weight at every setting, tolerances or windows, with what was counted at them.
struct Table<'a, S, C> {
    name: &'static str,
    layers: &'a [TableLayer],
    settings: &'a [S],
    path: PathOf<'a>,
    form: Form<'a, C>,
}

/// A weight that a table has a line of.
struct Weight<'a> {
    replica: usize,
    layer: &'a str,
    weight: usize,
    places: [Option<usize>; 4],
    reference_weight: f32,
    /// Its column within its part.
    index: usize,
    /// Its replica and weight within its part.
    own: (usize, usize),
}

impl<'a, S, C> Table<'a, S, C> {
    fn new(name: &'static str, path: PathOf<'a>, layers: &'a [TableLayer], settings: &'a [S]) -> Result<Self> {
        let rows: usize = layers.iter().map(|layer| layer.shape.columns() * settings.len()).sum();
        let form = match rows > MOST_CSV_ROWS {
            true => Form::Arrays(Arrays::new(path(&format!("{name}.npz"))?, layers)),
            false => Form::Rows(Vec::new()),
        };
        Ok(Self { name, layers, settings, path, form })
    }

    /// Writes the lines that `row` makes of a weight, what was counted of its part, and the place of a setting; or the arrays,
    /// with that of the settings.
    fn write<R: Serialize + Default>(
        self,
        settings: (&'static str, Values<'_>),
        row: impl Fn(&Weight<'a>, &C, usize) -> R,
    ) -> Result<PathBuf> {
        let Self { name, layers, settings: all, path, form } = self;
        let parts = match form {
            Form::Rows(parts) => parts,
            Form::Arrays(arrays) => {
                let (name, values) = settings;
                return arrays.write(&[NamedArray { name, shape: &[all.len()], values }]);
            }
        };
        let row = &row;
        let rows = parts.iter().flat_map(|part| {
            part.reference.iter().enumerate().flat_map(move |(index, &reference_weight)| {
                let layer = &layers[part.layer];
                let (replica, weight, places) = layer.place(part.first_column + index);
                let is_whole = part.reference.len() > layer.shape.weight_count;
                let own = if is_whole { (replica, weight) } else { (0, index) };
                let weight = Weight { replica, layer: &layer.name, weight, places, reference_weight, index, own };
                (0..all.len()).map(move |setting| row(&weight, &part.counted, setting))
            })
        });
        let file = path(&format!("{name}.csv"))?;
        csv::write::<R>(&file, rows)?;
        Ok(file)
    }
}

/// `stability.csv` while it is being filled.
///
/// Above a million rows `stability.npz` is written instead: `stability` `[tolerance, replica, weight_index]`, `tolerance`
/// `[tolerance]`, `reference_weight` `[replica, weight_index]`, and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer
/// has them; of several layers with the layer's name and a dot before each of these but `tolerance`.
pub struct StabilityTable<'a>(Table<'a, f64, Vec<u32>>);

impl<'a> StabilityTable<'a> {
    /// An empty table of these layers.
    ///
    /// Fails as `path` does.
    pub fn new(path: PathOf<'a>, layers: &'a [TableLayer], tolerances: &'a [f64]) -> Result<Self> {
        Table::new("stability", path, layers, tolerances).map(Self)
    }

    /// Adds the counts of a block of a layer's weights, the first of which is this column. Blocks come in their order.
    ///
    /// Fails with [`crate::error::Error::Io`] if they have to be put aside and there is no room.
    pub fn add(&mut self, layer: usize, first_column: usize, block: &History, stability: &Stability) -> Result<()> {
        let counts = &stability.counts.stability;
        match &mut self.0.form {
            Form::Rows(parts) => {
                let (reference, counted) = (block.reference().to_vec(), counts.clone());
                parts.push(Part { layer, first_column, reference, counted });
                Ok(())
            }
            Form::Arrays(arrays) => {
                let rows = Some(self.0.settings.len());
                arrays.put(layer, "stability", rows, first_column, &Values::U32(counts))?;
                arrays.put(layer, "reference_weight", None, first_column, &Values::F32(block.reference()))
            }
        }
    }

    /// Writes the file and returns its path.
    ///
    /// Fails with [`crate::error::Error::Io`] if it cannot be written.
    pub fn write(self) -> Result<PathBuf> {
        let tolerances = self.0.settings;
        self.0.write(("tolerance", Values::F64(tolerances)), |weight, counts, row| {
            let &Weight { replica, layer, weight, places: [ky, kx, r#in, out], reference_weight, index, .. } = weight;
            let (tolerance, stability) = (tolerances[row], row_of(counts, row, tolerances.len())[index]);
            StabilityRow { replica, layer, weight, ky, kx, r#in, out, reference_weight, tolerance, stability }
        })
    }
}

/// `envelope.csv` while it is being filled.
///
/// Above a million rows `envelope.npz` is written instead: `minimum`, `maximum`, `smallest_magnitude` and
/// `settling_tolerance` `[window, replica, weight_index]`, `window` `[window]`, `frozen` and `reference_weight`
/// `[replica, weight_index]`, and `ky`, `kx`, `in` and `out` `[weight_index]` where the layer has them; of several layers with the
/// layer's name and a dot before each of these but `window`.
pub struct EnvelopeTable<'a>(Table<'a, u32, WindowedEnvelope>);

impl<'a> EnvelopeTable<'a> {
    /// An empty table of these layers.
    ///
    /// Fails as `path` does.
    pub fn new(path: PathOf<'a>, layers: &'a [TableLayer], windows: &'a [u32]) -> Result<Self> {
        Table::new("envelope", path, layers, windows).map(Self)
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
        let windows = self.0.settings.len();
        let arrays = match &mut self.0.form {
            Form::Rows(parts) => {
                let reference = block.reference().to_vec();
                parts.push(Part { layer, first_column, reference, counted: envelope });
                return Ok(());
            }
            Form::Arrays(arrays) => arrays,
        };
        let settling: Vec<f64> = (0..windows)
            .flat_map(|window| (0..block.shape().replicas).map(move |replica| (window, replica)))
            .flat_map(|(window, replica)| envelope.settling_tolerances(window, replica))
            .collect();
        let frozen: Vec<u8> = envelope.frozen.iter().map(|&frozen| u8::from(frozen)).collect();
        let extremes = &envelope.extremes;
        for (name, rows, values) in [
            ("minimum", Some(windows), Values::F32(&extremes.minimum)),
            ("maximum", Some(windows), Values::F32(&extremes.maximum)),
            ("smallest_magnitude", Some(windows), Values::F32(&extremes.smallest_magnitude)),
            ("settling_tolerance", Some(windows), Values::F64(&settling)),
            ("frozen", None, Values::U8(&frozen)),
            ("reference_weight", None, Values::F32(block.reference())),
        ] {
            arrays.put(layer, name, rows, first_column, &values)?;
        }
        Ok(())
    }

    /// Writes the file and returns its path.
    ///
    /// Fails with [`crate::error::Error::Io`] if it cannot be written.
    pub fn write(self) -> Result<PathBuf> {
        let windows = self.0.settings;
        self.0.write(("window", Values::U32(windows)), |weight, envelope, row| {
            let extremes = &envelope.extremes;
            let of = |all: &[f32]| row_of(all, row, windows.len())[weight.index];
            let (own_replica, own_weight) = weight.own;
            let &Weight { replica, layer, weight, places: [ky, kx, r#in, out], reference_weight, index, .. } = weight;
            EnvelopeRow {
                replica,
                layer,
                weight,
                ky,
                kx,
                r#in,
                out,
                reference_weight,
                window: windows[row],
                minimum: of(&extremes.minimum),
                maximum: of(&extremes.maximum),
                smallest_magnitude: of(&extremes.smallest_magnitude),
                settling_tolerance: envelope.settling_tolerance(row, own_replica, own_weight),
                frozen: envelope.frozen[index],
            }
        })
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
