//! Arrays that take the place of a table of too many rows: they are filled block by block, and wait on the disk until then.

use super::{AXES, TableLayer, row_of};
use crate::engine::HistoryShape;
use crate::error::Result;
use crate::run_folder::arrays::{self, NamedArray, Spill, Values};
use std::path::{Path, PathBuf};

/// Places along an axis that are written at a time.
const PLACES: usize = 1 << 16;

/// One array of a layer that is filled block by block: `[row, column]`.
struct Filled {
    layer: usize,
    name: &'static str,
    /// Sizes of all axes.
    shape: Vec<usize>,
    numbers: Spill,
}

/// Arrays of all layers, as they take the place of a table.
pub(super) struct Arrays<'a> {
    file: PathBuf,
    layers: &'a [TableLayer],
    filled: Vec<Filled>,
}

impl<'a> Arrays<'a> {
    pub(super) fn new(file: PathBuf, layers: &'a [TableLayer]) -> Self {
        Self { file, layers, filled: Vec::new() }
    }

    fn folder(&self) -> &Path {
        self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Puts the numbers of some columns of a layer, `[row, column]`, from `first_column` on; `rows` is the size of the first
    /// axis, if there is one before those of replicas and weights.
    pub(super) fn put(
        &mut self,
        layer: usize,
        name: &'static str,
        rows: Option<usize>,
        first_column: usize,
        numbers: &Values<'_>,
    ) -> Result<()> {
        let HistoryShape { replicas, weight_count, .. } = self.layers[layer].shape;
        let columns = replicas * weight_count;
        let place = match self.filled.iter().position(|filled| filled.layer == layer && filled.name == name) {
            Some(place) => place,
            None => {
                let shape: Vec<usize> = rows.into_iter().chain([replicas, weight_count]).collect();
                let spill = Spill::new(self.folder(), numbers, rows.unwrap_or(1) * columns)?;
                self.filled.push(Filled { layer, name, shape, numbers: spill });
                self.filled.len() - 1
            }
        };
        let rows = rows.unwrap_or(1);
        let part = |row: usize| match numbers {
            Values::F32(all) => Values::F32(row_of(all, row, rows)),
            Values::F64(all) => Values::F64(row_of(all, row, rows)),
            Values::U32(all) => Values::U32(row_of(all, row, rows)),
            Values::U8(all) => Values::U8(row_of(all, row, rows)),
            other => other.clone(),
        };
        (0..rows).try_for_each(|row| self.filled[place].numbers.put(row * columns + first_column, &part(row)))
    }

    /// Writes the arrays, those in `common`, and for each layer the places of its weights, and returns the file's path.
    pub(super) fn write(self, common: &[NamedArray<'_>]) -> Result<PathBuf> {
        let mut places: Vec<(usize, &str, Spill)> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let known = layer.layer_axes().order();
            for axis in (0..AXES.len()).filter(|&axis| known[axis].is_some()) {
                let weight_count = layer.shape.weight_count;
                let spill = Spill::new(self.folder(), &Values::U32(&[]), weight_count)?;
                let own = known[axis].unwrap_or_default();
                let (size, stride) = (layer.axes[own], layer.axes[own + 1..].iter().product::<usize>());
                for first in (0..weight_count).step_by(PLACES) {
                    let along = first..(first + PLACES).min(weight_count);
                    let along: Vec<u32> = along.map(|weight_index| (weight_index / stride % size) as u32).collect();
                    spill.put(first, &Values::U32(&along))?;
                }
                places.push((index, AXES[axis], spill));
            }
        }
        // Of several layers the layer's name comes first.
        let called = |layer: usize, name: &str| match self.layers {
            [_] => name.to_string(),
            layers => format!("{}.{name}", layers[layer].name),
        };
        let own: Vec<(String, Vec<usize>, &Spill)> = self
            .filled
            .iter()
            .map(|filled| (called(filled.layer, filled.name), filled.shape.clone(), &filled.numbers))
            .chain(places.iter().map(|(layer, name, spill)| {
                (called(*layer, name), vec![self.layers[*layer].shape.weight_count], spill)
            }))
            .collect();
        let mut all = common.to_vec();
        all.extend(own.iter().map(|(name, shape, spill)| NamedArray { name, shape, values: Values::Spilled(spill) }));
        arrays::write(&self.file, &all)?;
        Ok(self.file)
    }
}
