//! The history of one tensor: in memory, or, where it is larger, read from its file in blocks of weights.

use super::History;
use super::history::not_finite;
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::run_folder::arrays::{Location, Rounding};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

/// Numbers of a block: 64 MB. Up to three blocks are in memory: one is read while another is counted.
const BLOCK: usize = 1 << 24;

/// A history, how it was read, and where its numbers are.
#[derive(Clone, Debug)]
pub struct TensorHistory {
    /// Name of the tensor; empty if the file does not tell.
    pub name: String,
    /// Sizes of the axes.
    pub shape: HistoryShape,
    /// The axes that make up a weight: `[in, out]` for the weights of a dense layer, one axis if they were flat.
    pub weight_axes: Vec<usize>,
    /// Names of these axes; empty if they have none.
    pub weight_axis_names: Vec<String>,
    /// What storing the numbers in the file's format can have changed.
    pub rounding: Rounding,
    /// What the user should know.
    pub notices: Vec<String>,
    weights: Weights,
    /// Numbers that are read at a time.
    block: usize,
}

#[derive(Clone, Debug)]
enum Weights {
    Memory(History),
    /// One array of all epochs, or one for each, the first epoch first.
    Files(Vec<Location>),
}

impl TensorHistory {
    /// A history in memory.
    pub fn new(name: &str, history: History, weight_axes: Vec<usize>) -> Self {
        Self {
            name: name.into(),
            shape: history.shape(),
            weight_axes,
            weight_axis_names: Vec::new(),
            rounding: Rounding::default(),
            notices: Vec::new(),
            weights: Weights::Memory(history),
            block: BLOCK,
        }
    }

    /// A history of this shape that stays in files: `[epoch, replica, weight_index]` in one place, or an array for each epoch.
    pub(super) fn in_files(shape: HistoryShape, weight_axes: Vec<usize>, places: Vec<Location>) -> Self {
        let rounding = places.iter().map(Location::rounding).fold(Rounding::default(), Rounding::with);
        let mut notices: Vec<String> = places.iter().filter_map(Location::notice).collect();
        notices.dedup();
        Self {
            name: String::new(),
            shape,
            weight_axes,
            weight_axis_names: Vec::new(),
            rounding,
            notices,
            weights: Weights::Files(places),
            block: BLOCK,
        }
    }

    /// The same, read in blocks of about so many numbers.
    #[cfg(test)]
    pub(super) fn in_blocks_of(self, block: usize) -> Self {
        Self { block, ..self }
    }

    /// The history itself, if it is in memory.
    pub fn in_memory(&self) -> Option<&History> {
        match &self.weights {
            Weights::Memory(history) => Some(history),
            Weights::Files(_) => None,
        }
    }

    /// How it was read: `12 epochs x 1 replica x 256 weights (out 16 x in 16)`.
    pub fn describe(&self) -> String {
        let sizes = self.weight_axes.iter().map(usize::to_string);
        let axes: Vec<String> = match self.weight_axis_names.as_slice() {
            [] => sizes.collect(),
            names => names.iter().zip(sizes).map(|(name, size)| format!("{name} {size}")).collect(),
        };
        let axes = if axes.len() < 2 { String::new() } else { format!(" ({})", axes.join(" x ")) };
        format!("{}{axes}", describe(self.shape))
    }

    /// The whole history in memory.
    ///
    /// Fails with [`Error::Data`] if a number is not finite or the file cannot be read, and with [`Error::OutOfMemory`] if it
    /// does not fit.
    pub fn whole(&self) -> Result<Cow<'_, History>> {
        let Weights::Files(places) = &self.weights else {
            return Ok(Cow::Borrowed(self.in_memory().ok_or_else(|| Error::Shape("no history".into()))?));
        };
        let mut weights = Vec::new();
        weights.try_reserve_exact(self.shape.len()).map_err(|_| {
            Error::OutOfMemory(format!("a history of {}, which this reading needs as a whole,", describe(self.shape)))
        })?;
        weights.resize(self.shape.len(), 0.0);
        for (epoch, row) in weights.chunks_mut(self.shape.columns()).enumerate() {
            self.read(places, epoch, 0..row.len(), row)?;
        }
        History::new(self.shape, weights).map(Cow::Owned)
    }

    /// The weights of one epoch `[replica, weight_index]`.
    ///
    /// Fails with [`Error::Data`] if the file cannot be read any more.
    pub fn epoch(&self, epoch: usize) -> Result<Cow<'_, [f32]>> {
        let columns = self.shape.columns();
        match &self.weights {
            Weights::Memory(history) => Ok(Cow::Borrowed(&history.weights()[epoch * columns..][..columns])),
            Weights::Files(places) => {
                let mut row = vec![0.0; columns];
                self.read(places, epoch, 0..columns, &mut row)?;
                Ok(Cow::Owned(row))
            }
        }
    }

    /// Calls `work` with one block of weights after the other: its history, and its first column, `replica * weight_count +
    /// weight_index`. A block holds all weights of all replicas, or, of a history that stays in its file, some of one replica
    /// and at least its last `epochs` epochs.
    ///
    /// Fails as `work` does, and with [`Error::Data`] if a number in these epochs is not finite, or the file cannot be read.
    pub fn for_each_block(&self, epochs: usize, work: &mut dyn FnMut(&History, usize) -> Result<()>) -> Result<()> {
        let Weights::Files(places) = &self.weights else {
            return self.in_memory().map_or(Ok(()), |history| work(history, 0));
        };
        let epochs = epochs.clamp(1, self.shape.epochs);
        // What was counted is filled again.
        let (used, empty) = channel();
        std::thread::scope(|scope| {
            // The channel ends with this closure, and with it the reading.
            let (read, blocks): (SyncSender<Result<(usize, History)>>, Receiver<_>) = sync_channel(0);
            scope.spawn(move || {
                for columns in self.blocks(epochs) {
                    let buffer = empty.try_recv().unwrap_or_default();
                    let block = self.block(places, epochs, columns.clone(), buffer);
                    let ends = block.is_err();
                    if read.send(block.map(|block| (columns.start, block))).is_err() || ends {
                        return;
                    }
                }
            });
            for block in blocks {
                let (first, block) = block?;
                work(&block, first)?;
                // Nobody takes it any more at the end.
                let _ = used.send(block.into_weights());
            }
            Ok(())
        })
    }

    /// The columns of each block.
    fn blocks(&self, epochs: usize) -> impl Iterator<Item = Range<usize>> {
        let (step, weight_count) = ((self.block / epochs).max(1), self.shape.weight_count);
        (0..self.shape.replicas).flat_map(move |replica| {
            let end = (replica + 1) * weight_count;
            (replica * weight_count..end).step_by(step).map(move |start| start..(start + step).min(end))
        })
    }

    /// Some columns of the last `epochs` epochs, the last one first; `weights` is a buffer.
    fn block(
        &self,
        places: &[Location],
        epochs: usize,
        columns: Range<usize>,
        mut weights: Vec<f32>,
    ) -> Result<History> {
        let width = columns.len();
        weights.resize(epochs * width, 0.0);
        let before = self.shape.epochs - epochs;
        for (epoch, row) in weights.chunks_mut(width).enumerate().rev() {
            self.read(places, before + epoch, columns.clone(), row)?;
            if let Some(place) = row.iter().position(|weight| !weight.is_finite()) {
                let (column, weight_count) = (columns.start + place, self.shape.weight_count);
                let found = not_finite(row[place], before + epoch, column / weight_count, column % weight_count);
                let name = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
                return Err(Error::Data(format!("{name}{found}")));
            }
        }
        Ok(History::recorded(HistoryShape { epochs, replicas: 1, weight_count: width }, weights))
    }

    fn read(&self, places: &[Location], epoch: usize, columns: Range<usize>, row: &mut [f32]) -> Result<()> {
        match places {
            [all] => {
                let first = epoch * self.shape.columns();
                all.read(first + columns.start..first + columns.end, row)
            }
            each => each[epoch].read(columns, row),
        }
    }
}

/// The sizes of a history: `100 epochs x 30 replicas x 30 weights`.
pub fn describe(shape: HistoryShape) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let axes = [(shape.epochs, "epoch"), (shape.replicas, "replica"), (shape.weight_count, "weight")];
    axes.map(|(number, noun)| count(number, noun)).join(" x ")
}
