//! What all targets share: a folder for the files that a target writes, and what an error must be like.

use holdfast::error::{Error, Result};
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The folder of this process.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a temporary folder")).path()
}

/// Writes `content` under `name` in the folder.
pub fn file(name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, content).expect("a temporary file");
    path
}

/// Panics if a refusal is not one that a user can act on: bad data or impossible settings, in a sentence.
pub fn judge<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error @ (Error::Data(_) | Error::Usage(_))) => {
            assert!(error.to_string().len() > 10, "no sentence: {error:?}");
            None
        }
        Err(error) => panic!("not a refusal of bad data: {error:?}"),
    }
}
