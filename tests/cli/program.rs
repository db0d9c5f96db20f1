//! Runs the program, and reads what it wrote.

use crate::adapter;
pub use crate::support::{Ended, command, end};
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

/// A table that was read from a CSV file.
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let columns = reader.headers().unwrap().iter().map(String::from).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(String::from).collect()).collect();
        Self { columns, rows }
    }

    fn place(&self, column: &str) -> usize {
        self.columns.iter().position(|name| name == column).unwrap_or_else(|| panic!("there is no column {column}"))
    }

    /// The rows whose columns hold these values.
    pub fn only(&self, conditions: &[(&str, &str)]) -> Self {
        let holds = |row: &&Vec<String>| conditions.iter().all(|(column, value)| row[self.place(column)] == *value);
        Self { columns: self.columns.clone(), rows: self.rows.iter().filter(holds).cloned().collect() }
    }

    /// A column as text.
    pub fn column(&self, column: &str) -> Vec<&str> {
        let place = self.place(column);
        self.rows.iter().map(|row| row[place].as_str()).collect()
    }

    /// A column as numbers.
    pub fn numbers(&self, column: &str) -> Vec<f64> {
        self.column(column).iter().map(|entry| entry.parse().unwrap_or_else(|_| panic!("{column}: {entry}"))).collect()
    }

    /// A column as counts.
    pub fn counts(&self, column: &str) -> Vec<usize> {
        self.column(column).iter().map(|entry| entry.parse().unwrap_or_else(|_| panic!("{column}: {entry}"))).collect()
    }
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

/// The manifest of a run.
pub fn manifest(folder: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
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
