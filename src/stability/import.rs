//! Anyone's history: an array, an array for each epoch, or a file for each epoch, read as `[epoch, replica, weight_index]`; of
//! one tensor or of several.

mod axes;
mod contents;
mod numbered;
mod source;

pub use super::tensor_history::describe;
pub use axes::Axes;

use super::{History, TensorHistory};
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::run_folder;
use axes::Layout;
use ndarray::{ArrayView, IxDyn};
use source::Source;
use std::path::Path;

/// A history of more numbers than this (256 MB) stays in its file.
const MOST_IN_MEMORY: usize = 1 << 26;
/// Names in a message.
const SHOWN: usize = 12;

/// The histories in a file or a folder, by the names of their tensors; their numbers are read tensor by tensor.
pub struct Histories<'a> {
    path: &'a Path,
    source: Source<'a>,
    /// Numbers that may still be read into memory.
    room: usize,
}

impl<'a> Histories<'a> {
    /// Opens `.npy`, `.npz` or `.safetensors`: arrays of all epochs, numbered arrays of equal shapes (an epoch each), or a folder
    /// of numbered files; `key` names one array, or the one tensor of each epoch.
    ///
    /// Fails with [`Error::Data`] if a file cannot be read or an epoch is missing.
    pub fn open(path: &'a Path, key: Option<&str>, axes: &Axes) -> Result<Self> {
        Ok(Self { path, source: Source::open(path, key, axes)?, room: MOST_IN_MEMORY })
    }

    /// Names of the tensors; empty of one that has none.
    pub fn names(&self) -> Vec<String> {
        self.source.found.iter().map(|found| found.name.clone()).collect()
    }

    /// Sizes of the axes of one of them, in the order of the file; the epochs first where they come from names.
    pub fn shape(&self, index: usize) -> &[usize] {
        &self.source.found[index].shape
    }

    /// What the user should know of what was found.
    pub fn notices(&self) -> &[String] {
        &self.source.notices
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.source.refusal.is_some()
    }

    /// Fails with [`Error::Data`] if there are several, and says how to choose.
    pub fn check_one(&self) -> Result<()> {
        match &self.source.refusal {
            Some(refusal) => Err(Error::Data(format!("{refusal}, or several with --layers NAME,... or --layers all"))),
            None => Ok(()),
        }
    }

    /// The one with this name.
    ///
    /// Fails with [`Error::Usage`] if there is none, and names the nearest.
    pub fn find(&self, name: &str) -> Result<usize> {
        find(name, &self.names(), &self.path.display().to_string())
    }

    /// Whether they lie in the `history.npz` of a run of this program.
    pub fn are_own(&self) -> bool {
        self.source.is_own(self.path)
    }

    /// Reads one of them; what is, with those read before, larger than 256 MB stays in its file where it can.
    ///
    /// The axes are those that `axes` says. Fails with [`Error::Usage`] if that does not fit or if the array can be read in
    /// two ways, and with [`Error::Data`] if the file cannot be read, there are fewer than two axes or an empty one, or a
    /// number is not finite.
    pub fn tensor(&mut self, index: usize, axes: &Axes) -> Result<TensorHistory> {
        let read = self.tensor_within(index, axes, self.room)?;
        let taken = read.in_memory().map_or(0, |history| history.weights().len());
        self.room = self.room.saturating_sub(taken);
        Ok(read)
    }

    fn tensor_within(&mut self, index: usize, axes: &Axes, most: usize) -> Result<TensorHistory> {
        let path = self.path;
        let name = self.source.found[index].name.clone();
        let of = if self.are_several() { format!("{}, {name}", path.display()) } else { path.display().to_string() };
        let refused = |why: String| Error::Data(format!("{of}: {why}"));
        let shape = self.shape(index).to_vec();
        if shape.len() < 2 || shape.contains(&0) {
            return Err(refused(format!(
                "a history needs an axis of epochs and an axis of weights, none of them empty, but the array has the shape \
                 {shape:?}; save the weights after each epoch and stack them"
            )));
        }
        if shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).is_none() {
            // No file is so long: reading says what its header claims.
            self.source.read(index, path)?;
        }
        let axes = if *axes == Axes::Unknown && self.source.is_own(path) { &Axes::Own } else { axes };
        let layout = axes.layout(Path::new(&of), &shape, self.source.found[index].is_numbered)?;
        let Layout { order, has_replicas, names } = layout;
        let ordered: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let (epochs, rest) = (ordered[0], &ordered[1..]);
        let (replicas, weight_axes) = if has_replicas { (rest[0], &rest[1..]) } else { (1, rest) };
        let history_shape = HistoryShape { epochs, replicas, weight_count: weight_axes.iter().product() };
        if [epochs, replicas, history_shape.weight_count].into_iter().any(|size| u32::try_from(size).is_err()) {
            return Err(refused(format!("{}, but no axis may be longer than 4,294,967,295", describe(history_shape))));
        }
        let places =
            if history_shape.len() > most && order.is_sorted() { self.source.locate(index, path)? } else { None };
        let mut read = match places {
            Some(places) => TensorHistory::in_files(history_shape, weight_axes.to_vec(), places),
            None => {
                let (mut values, rounding, notices) = self.source.read(index, path)?;
                if !order.is_sorted() {
                    let view = ArrayView::from_shape(IxDyn(&shape), &values)
                        .map_err(|error| refused(format!("its shape does not fit its values: {error}")))?;
                    values = view.permuted_axes(IxDyn(&order)).iter().copied().collect();
                }
                let history = History::new(history_shape, values).map_err(|error| refused(error.to_string()))?;
                let mut read = TensorHistory::new("", history, weight_axes.to_vec());
                (read.rounding, read.notices) = (rounding, notices);
                read
            }
        };
        if epochs == 1 {
            read.notices.push("the history has one epoch: every magnitude stability is 1".into());
        }
        (read.name, read.weight_axis_names) = (name, names);
        Ok(read)
    }
}

/// The place of a name among others.
///
/// Fails with [`Error::Usage`] if it is not there; `whose` says where the names are from.
pub fn find(name: &str, names: &[String], whose: &str) -> Result<usize> {
    if let Some(place) = names.iter().position(|known| known == name) {
        return Ok(place);
    }
    let distance = |known: &&String| strsim::damerau_levenshtein(known, name);
    let nearest = names.iter().min_by_key(distance).filter(|nearest| distance(nearest) <= name.len().div_ceil(2));
    let nearest = nearest.map(|nearest| format!(" (is {nearest} meant?)")).unwrap_or_default();
    let known =
        if names.iter().all(String::is_empty) { "none with a name".into() } else { run_folder::listed(SHOWN, names) };
    Err(Error::Usage(format!("{whose} has no tensor {name}{nearest}; it has {known}")))
}

/// Reads a history of one tensor into memory, see [`Histories::open`] and [`Histories::tensor`].
///
/// Fails as these do, and with [`Error::Data`] if there are several.
pub fn read_history(path: &Path, key: Option<&str>, axes: &Axes) -> Result<TensorHistory> {
    let mut histories = Histories::open(path, key, axes)?;
    histories.check_one()?;
    let mut read = histories.tensor_within(0, axes, usize::MAX)?;
    read.notices.splice(0..0, histories.notices().iter().cloned());
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::arrays::{self, NamedArray, Values};
    use tempfile::{TempDir, tempdir};

    fn read(shape: &[usize], axes: &Axes) -> Result<TensorHistory> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history.npz");
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
        arrays::write(&path, &[NamedArray { name: "history", shape, values: Values::F32(&values) }]).unwrap();
        read_history(&path, None, axes)
    }

    #[test]
    fn axes_are_epochs_replicas_and_weights() {
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
        assert_eq!(read.shape, HistoryShape { epochs: 3, replicas: 2, weight_count: 2 });
        assert_eq!(*read.epoch(2).unwrap(), [2.0, 5.0, 8.0, 11.0]);
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

    /// A folder with a history of two tensors, in one file with an array for each tensor, in one with an array for each
    /// tensor and epoch, and in a folder with a file for each epoch; `a` is `[epoch 5, replica 2, 3]`, `b` `[epoch 5, 2, 4]`.
    fn three_forms() -> (TempDir, [Vec<f32>; 2]) {
        let folder = tempdir().unwrap();
        let values = [30, 40].map(|count| (0..count).map(|value| (value * 7 % 11) as f32 - 5.0).collect::<Vec<f32>>());
        let named = |name, shape, values| NamedArray { name, shape, values: Values::F32(values) };
        let [a, b] = &values;
        let path = |name: &str| folder.path().join(name);
        arrays::write(&path("whole.npz"), &[named("a", &[5, 2, 3], a), named("b", &[5, 2, 4], b)]).unwrap();
        std::fs::create_dir(path("epochs")).unwrap();
        let names: Vec<[String; 2]> =
            (0..5).map(|epoch| ["a", "b"].map(|name| format!("epoch_{epoch}.{name}"))).collect();
        let mut all = Vec::new();
        for (epoch, [name_of_a, name_of_b]) in names.iter().enumerate() {
            let (a, b) = (&a[epoch * 6..][..6], &b[epoch * 8..][..8]);
            all.extend([named(name_of_a, &[2, 3], a), named(name_of_b, &[2, 4], b)]);
            let file = path(&format!("epochs/epoch_{epoch}.safetensors"));
            arrays::write(&file, &[named("a", &[2, 3], a), named("b", &[2, 4], b)]).unwrap();
        }
        arrays::write(&path("numbered.safetensors"), &all).unwrap();
        (folder, values)
    }

    #[test]
    fn several_tensors_are_found_by_name_in_every_form_and_read_alike_from_memory_and_from_the_file() {
        let (folder, values) = three_forms();
        for name in ["whole.npz", "numbered.safetensors", "epochs"] {
            let path = folder.path().join(name);
            let mut histories = Histories::open(&path, None, &Axes::Own).unwrap();
            assert_eq!(histories.names(), ["a", "b"], "{name}");
            let refused = histories.check_one().unwrap_err().to_string();
            assert!(refused.contains("--layers") && refused.contains("--history-key"), "{refused}");
            for (index, values) in values.iter().enumerate() {
                let read = histories.tensor(index, &Axes::Own).unwrap();
                let whole = read.in_memory().unwrap().clone();
                assert_eq!(whole.weights(), values, "{name}");
                let streamed = histories.tensor_within(index, &Axes::Own, 0).unwrap().in_blocks_of(4);
                assert!(streamed.in_memory().is_none());
                assert_eq!((streamed.shape, streamed.describe()), (read.shape, read.describe()));
                assert_eq!(streamed.whole().unwrap().weights(), values);
                assert_eq!(*streamed.epoch(3).unwrap(), *read.epoch(3).unwrap());
                // Two epochs of two columns, or of one where a replica has three: the last epochs.
                let columns = read.shape.columns();
                let mut found = vec![f32::NAN; 2 * columns];
                streamed
                    .for_each_block(2, &mut |block, first| {
                        let width = block.shape().weight_count;
                        assert!(width <= 2 && block.shape().epochs == 2);
                        for (epoch, row) in block.weights().chunks(width).enumerate() {
                            found[epoch * columns + first..][..width].copy_from_slice(row);
                        }
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(found, values[3 * columns..], "{name}");
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_by_its_place_in_the_whole_history() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("h.npz");
        let mut values = vec![0.5; 24];
        values[12 + 4 + 2] = f32::INFINITY;
        arrays::write(&path, &[NamedArray { name: "h", shape: &[2, 3, 4], values: Values::F32(&values) }]).unwrap();
        let mut histories = Histories::open(&path, None, &Axes::Own).unwrap();
        let streamed = histories.tensor_within(0, &Axes::Own, 0).unwrap().in_blocks_of(3);
        let refused = streamed.for_each_block(2, &mut |_, _| Ok(())).unwrap_err().to_string();
        assert!(refused.contains("inf at epoch 1, replica 1, weight 2"), "{refused}");
        // An error of the work ends the reading.
        let ended = streamed.for_each_block(2, &mut |_, _| Err(Error::Interrupted));
        assert!(matches!(ended, Err(Error::Interrupted)));
        assert!(histories.tensor(0, &Axes::Own).unwrap_err().to_string().contains("epoch 1, replica 1, weight 2"));
    }

    #[test]
    fn a_tensor_or_an_epoch_that_is_missing_is_named() {
        let (folder, _) = three_forms();
        let last = folder.path().join("epochs/epoch_4.safetensors");
        let alone = NamedArray { name: "a", shape: &[2, 3], values: Values::F32(&[0.0; 6]) };
        arrays::write(&last, &[alone]).unwrap();
        let path = folder.path().join("epochs");
        let mut histories = Histories::open(&path, None, &Axes::Own).unwrap();
        assert!(histories.tensor(0, &Axes::Own).is_ok());
        for most in [0, usize::MAX] {
            let refused = histories.tensor_within(1, &Axes::Own, most).unwrap_err().to_string();
            assert!(refused.contains("epoch_4") && refused.contains("no array b"), "{refused}");
        }
        std::fs::remove_file(folder.path().join("epochs/epoch_2.safetensors")).unwrap();
        let refused = Histories::open(&path, None, &Axes::Own).err().unwrap().to_string();
        assert!(refused.contains("epoch_2 is missing"), "{refused}");
    }

    #[test]
    fn a_name_that_is_not_there_gets_the_nearest() {
        let names = ["conv1.weight", "fc1.weight"].map(String::from);
        assert_eq!(find("fc1.weight", &names, "f").unwrap(), 1);
        let refused = find("fc1.wieght", &names, "f").unwrap_err().to_string();
        assert!(refused.contains("is fc1.weight meant?") && refused.contains("conv1.weight, fc1.weight"), "{refused}");
        assert!(!find("something else", &names, "f").unwrap_err().to_string().contains("meant"));
    }
}
