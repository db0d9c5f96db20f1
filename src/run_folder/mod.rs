//! The folder that a run writes: one run at a time, one configuration, every file whole or absent, nobody's file replaced.

pub mod arrays;
pub mod csv;
pub mod file_kind;
pub mod input;
mod manifest;
pub mod onnx_messages;
mod output_folder;
mod run;
mod shard;
mod store;

pub use manifest::{Manifest, timestamp};
pub use output_folder::{FolderKind, OUTPUT_FOLDER_FILES, OutputFolder};
pub use run::RunFolder;
pub use shard::Shard;
pub use store::{checksum, write, write_quickly};

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Names for a message: the first `most`, and how many more there are.
pub fn listed(most: usize, names: &[String]) -> String {
    match names.len().checked_sub(most) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..most].join(", ")),
    }
}

/// What lies in somebody's folder, in the order of the names.
///
/// Fails with [`Error::Data`] if the folder cannot be read.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(|error| {
        Error::Data(format!("cannot read the folder {}: {error}; check the path", folder.display()))
    })?;
    paths.sort();
    Ok(paths)
}
