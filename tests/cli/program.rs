//! Runs the program, and reads what it wrote.

use crate::adapter;
pub use crate::support::{Ended, Table, command, end, manifest};
use ndarray_npy::NpzReader;
use safetensors::SafeTensors;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Runs the program with the arguments of a line, parted by spaces, and then those of `more`.
pub fn holdfast(line: &str, more: &[&str]) -> Ended {
    end(&mut command(&[&line.split(' ').collect::<Vec<_>>(), more].concat()))
}

/// The index of the adapter that the shaders are tested on, as an argument of `--device`.
pub fn device() -> String {
    adapter::index().to_string()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The recorded focus layers `[epoch, replica, weight_index]` of a run: of all layers the last but one, or the only one.
pub fn history(folder: &Path) -> ndarray::Array3<f32> {
    let mut archive = NpzReader::new(File::open(folder.join("history.npz")).unwrap()).unwrap();
    let mut dense: Vec<String> = archive.names().unwrap();
    dense.iter_mut().for_each(|name| *name = name.trim_end_matches(".npy").to_string());
    dense.retain(|name| name.starts_with("dense"));
    dense.sort();
    let focus = &dense[dense.len().saturating_sub(2)];
    let found = archive.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(focus).unwrap();
    let (epochs, replicas) = (found.shape()[0], found.shape()[1]);
    let weights = found.len() / (epochs * replicas);
    found.into_shape_with_order((epochs, replicas, weights)).unwrap()
}

/// One tensor `[replica, ..]` of a run's weights: its shape, and its bytes.
pub fn weights(folder: &Path, name: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = fs::read(folder.join("weights.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    (tensor.shape().to_vec(), tensor.data().to_vec())
}

/// An empty folder of this name among the files that tests leave in the target folder.
pub fn fresh_folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}
