//! Anyone's history: an array from a file, read as `[epoch, replica, node]`.

use super::History;
use crate::engine::HistoryShape;
use crate::error::{Error, Result};
use crate::run_folder::import::{self, ForeignArray};
use std::path::Path;

/// A history, and how its array was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedHistory {
    /// The weights.
    pub history: History,
    /// The axes that make up a node: `[in, out]` for the weights of a dense layer, one axis if they were flat.
    pub node_axes: Vec<usize>,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// Reads a history from `.npy`, `.npz` or `.safetensors`; `key` names the array where there are several.
///
/// Two axes are `[epoch, node]`. With three or more the second is the replica, unless `no_replica_axis`; the rest are a
/// node's. Fails with [`Error::Data`] if the file cannot be read, has fewer than two axes or an empty one, or holds a
/// number that is not finite.
pub fn read_history(path: &Path, key: Option<&str>, no_replica_axis: bool) -> Result<ImportedHistory> {
    let ForeignArray { shape, values, mut notices, .. } = import::read(path, key, "--history-key")?;
    if shape.contains(&0) {
        return Err(Error::Data(format!(
            "{}: the array has the shape {shape:?}, so it is empty; save the weights after each epoch and stack them",
            path.display()
        )));
    }
    let (epochs, replicas, node_axes) = match *shape.as_slice() {
        [] | [_] => {
            return Err(Error::Data(format!(
                "{}: a history needs an axis of epochs and an axis of nodes, but the array has the shape {shape:?}; save \
                 the weights after each epoch and stack them",
                path.display()
            )));
        }
        [epochs, replicas, ref node @ ..] if !node.is_empty() && !no_replica_axis => (epochs, replicas, node.to_vec()),
        [epochs, ref node @ ..] => (epochs, 1, node.to_vec()),
    };
    let history_shape = HistoryShape { epochs, replicas, nodes: node_axes.iter().product() };
    if [epochs, replicas, history_shape.nodes].into_iter().any(|size| u32::try_from(size).is_err()) {
        return Err(Error::Data(format!(
            "{}: {}, but no axis may be longer than 4,294,967,295",
            path.display(),
            describe(history_shape)
        )));
    }
    let history =
        History::new(history_shape, values).map_err(|error| Error::Data(format!("{}: {error}", path.display())))?;
    if epochs == 1 {
        notices.push("the history has one epoch: every magnitude stability is 1".into());
    }
    Ok(ImportedHistory { history, node_axes, notices })
}

/// How a history was read: `100 epochs x 30 replicas x 30 nodes`.
pub fn describe(shape: HistoryShape) -> String {
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let axes = [(shape.epochs, "epoch"), (shape.replicas, "replica"), (shape.nodes, "node")];
    axes.map(|(number, noun)| count(number, noun)).join(" x ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::{NamedArray, npz};
    use tempfile::tempdir;

    fn read(shape: &[usize], no_replica_axis: bool) -> Result<ImportedHistory> {
        let folder = tempdir().unwrap();
        let path = folder.path().join("history.npz");
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
        npz::write(&path, &[NamedArray { name: "history", shape, values: values.as_slice().into() }]).unwrap();
        read_history(&path, None, no_replica_axis)
    }

    #[test]
    fn axes_are_epochs_replicas_and_nodes() {
        for (shape, no_replica_axis, described, node_axes) in [
            (&[4, 6][..], false, "4 epochs x 1 replica x 6 nodes", &[6][..]),
            (&[4, 6], true, "4 epochs x 1 replica x 6 nodes", &[6]),
            (&[4, 3, 2], false, "4 epochs x 3 replicas x 2 nodes", &[2]),
            (&[4, 3, 2], true, "4 epochs x 1 replica x 6 nodes", &[3, 2]),
            (&[1, 1, 3, 1], false, "1 epoch x 1 replica x 3 nodes", &[3, 1]),
            (&[2, 3, 3, 4, 5], false, "2 epochs x 3 replicas x 60 nodes", &[3, 4, 5]),
        ] {
            let read = read(shape, no_replica_axis).unwrap();
            assert_eq!((describe(read.history.shape()).as_str(), read.node_axes.as_slice()), (described, node_axes));
            assert_eq!(read.notices.len(), usize::from(shape[0] == 1), "{shape:?}");
        }
    }

    #[test]
    fn too_few_or_empty_axes_are_refused() {
        for shape in [&[6][..], &[0, 6], &[3, 0], &[2, 0, 4]] {
            assert!(matches!(read(shape, false), Err(Error::Data(_))), "{shape:?}");
        }
    }
}
