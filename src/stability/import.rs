//! Anyone's history: an array, an array for each epoch, or a file for each epoch, read as `[epoch, replica, weight_index]`.

mod axes;
mod numbered;
mod source;

pub use axes::Axes;

use super::History;
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::run_folder::arrays::Rounding;
use axes::Layout;
use ndarray::{ArrayView, IxDyn};
use source::Source;
use std::path::Path;

/// A history, and how its array was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedHistory {
    /// The weights.
    pub history: History,
    /// Name of the layer; empty if the file does not tell.
    pub layer: String,
    /// The axes that make up a weight: `[in, out]` for the weights of a dense layer, one axis if they were flat.
    pub weight_axes: Vec<usize>,
    /// Names of these axes; empty if they have none.
    pub weight_axis_names: Vec<String>,
    /// What storing the numbers in the file's format can have changed.
    pub rounding: Rounding,
    /// What the user should know.
    pub notices: Vec<String>,
}

impl ImportedHistory {
    /// How it was read: `12 epochs x 1 replica x 256 weights (out 16 x in 16)`.
    pub fn describe(&self) -> String {
        let sizes = self.weight_axes.iter().map(usize::to_string);
        let axes: Vec<String> = match self.weight_axis_names.as_slice() {
            [] => sizes.collect(),
            names => names.iter().zip(sizes).map(|(name, size)| format!("{name} {size}")).collect(),
        };
        let axes = if axes.len() < 2 { String::new() } else { format!(" ({})", axes.join(" x ")) };
        format!("{}{axes}", describe(self.history.shape()))
    }
}

/// Reads a history from `.npy`, `.npz` or `.safetensors`: one array, numbered arrays of equal shapes (an epoch each), or a
/// folder of numbered files; `key` names the array, or the tensor of each epoch, where there are several.
///
/// The axes are those that `axes` says. Fails with [`Error::Usage`] if that does not fit or if the array can be read in two
/// ways, and with [`Error::Data`] if a file cannot be read, an epoch is missing, there are fewer than two axes or an empty
/// one, or a number is not finite.
pub fn read_history(path: &Path, key: Option<&str>, axes: &Axes) -> Result<ImportedHistory> {
    let refused = |why: String| Error::Data(format!("{}: {why}", path.display()));
    let mut source = Source::open(path, key, axes)?;
    let shape = source.shape.clone();
    if shape.len() < 2 || shape.contains(&0) {
        return Err(refused(format!(
            "a history needs an axis of epochs and an axis of weights, none of them empty, but the array has the shape \
             {shape:?}; save the weights after each epoch and stack them"
        )));
    }
    if shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).is_none() {
        // No file is so long: reading says what its header claims.
        source.read(path)?;
    }
    let axes = if *axes == Axes::Unknown && source.is_own(path) { &Axes::Own } else { axes };
    let Layout { order, has_replicas, names } = axes.layout(path, &shape, source.is_numbered)?;
    let ordered: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let (epochs, rest) = (ordered[0], &ordered[1..]);
    let (replicas, weight_axes) = if has_replicas { (rest[0], &rest[1..]) } else { (1, rest) };
    let history_shape = HistoryShape { epochs, replicas, weight_count: weight_axes.iter().product() };
    if [epochs, replicas, history_shape.weight_count].into_iter().any(|size| u32::try_from(size).is_err()) {
        return Err(refused(format!("{}, but no axis may be longer than 4,294,967,295", describe(history_shape))));
    }
    let (mut values, rounding) = source.read(path)?;
    if !order.is_sorted() {
        let view = ArrayView::from_shape(IxDyn(&shape), &values)
            .map_err(|error| refused(format!("its shape does not fit its values: {error}")))?;
        values = view.permuted_axes(IxDyn(&order)).iter().copied().collect();
    }
    let history = History::new(history_shape, values).map_err(|error| refused(error.to_string()))?;
    let mut notices = source.notices;
    if epochs == 1 {
        notices.push("the history has one epoch: every magnitude stability is 1".into());
    }
    Ok(ImportedHistory {
        history,
        layer: String::new(),
        weight_axes: weight_axes.to_vec(),
        weight_axis_names: names,
        rounding,
        notices,
    })
}

/// The sizes of a history: `100 epochs x 30 replicas x 30 weights`.
pub fn describe(shape: HistoryShape) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let axes = [(shape.epochs, "epoch"), (shape.replicas, "replica"), (shape.weight_count, "weight")];
    axes.map(|(number, noun)| count(number, noun)).join(" x ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::arrays::{self, NamedArray, Values};
    use tempfile::tempdir;

    fn read(shape: &[usize], axes: &Axes) -> Result<ImportedHistory> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history.npz");
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
        arrays::write(&path, &[NamedArray { name: "history", shape, values: Values::F32(&values) }]).unwrap();
        read_history(&path, None, axes)
    }

    #[test]
    fn axes_are_epochs_replicas_and_nodes() {
        for (shape, axes, described, weight_axes) in [
            (&[4, 6][..], Axes::Unknown, "4 epochs x 1 replica x 6 weights", &[6][..]),
            (&[4, 6], Axes::OneNetwork, "4 epochs x 1 replica x 6 weights", &[6]),
            (&[4, 3, 2], Axes::Own, "4 epochs x 3 replicas x 2 weights", &[2]),
            (&[4, 3, 2], Axes::OneNetwork, "4 epochs x 1 replica x 6 weights (3 x 2)", &[3, 2]),
            (&[4, 3, 2], named("epoch,out,in"), "4 epochs x 1 replica x 6 weights (out 3 x in 2)", &[3, 2]),
            (&[1, 1, 3, 1], Axes::Unknown, "1 epoch x 1 replica x 3 weights (3 x 1)", &[3, 1]),
            (&[2, 3, 3, 4, 5], Axes::Own, "2 epochs x 3 replicas x 60 weights (3 x 4 x 5)", &[3, 4, 5]),
        ] {
            let read = read(shape, &axes).unwrap();
            assert_eq!((read.describe().as_str(), read.weight_axes.as_slice()), (described, weight_axes));
            assert_eq!(read.notices.len(), usize::from(shape[0] == 1), "{shape:?}");
        }
    }

    fn named(names: &str) -> Axes {
        Axes::parse(names).unwrap()
    }

    #[test]
    fn epochs_and_replicas_may_stand_anywhere() {
        // Values 0, 1, 2, ... in C order of `[replica, in, epoch]`.
        let read = read(&[2, 2, 3], &named("replica,in,epoch")).unwrap();
        assert_eq!(read.history.shape(), HistoryShape { epochs: 3, replicas: 2, weight_count: 2 });
        assert_eq!(read.history.reference(), [2.0, 5.0, 8.0, 11.0]);
    }

    #[test]
    fn axes_that_are_too_few_or_empty_or_to_be_guessed_are_refused() {
        for shape in [&[6][..], &[0, 6], &[3, 0], &[2, 0, 4]] {
            assert!(matches!(read(shape, &Axes::Unknown), Err(Error::Data(_))), "{shape:?}");
        }
        for axes in [Axes::Unknown, named("epoch,in")] {
            assert!(matches!(read(&[4, 3, 2], &axes), Err(Error::Usage(_))));
        }
    }
}
