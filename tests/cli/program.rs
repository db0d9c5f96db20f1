//! Runs the program, and reads what it wrote.

use crate::adapter;
pub use crate::support::{Ended, Table, command, end, manifest};
use ndarray::Ix3;
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

/// The recorded focus layers `[epoch, replica, weight_index]` of a run.
pub fn history(folder: &Path) -> ndarray::Array3<f32> {
    let mut archive = NpzReader::new(File::open(folder.join("history.npz")).unwrap()).unwrap();
    archive.by_name::<ndarray::OwnedRepr<f32>, Ix3>("history").unwrap()
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
