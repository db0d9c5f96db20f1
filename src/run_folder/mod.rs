//! The folder that a run writes: one run at a time, one configuration, every file whole or absent, nobody's file replaced.

pub mod csv;
pub mod file_kind;
pub mod import;
pub mod input;
mod manifest;
pub mod npz;
mod output_folder;
mod run;
pub mod safetensors;
mod shard;
mod store;

pub use manifest::{Manifest, timestamp};
pub use output_folder::{FolderKind, OUTPUT_FOLDER_FILES, OutputFolder};
pub use run::RunFolder;
pub use shard::Shard;
pub use store::{write, write_quickly};

use crate::error::{Error, Result};

/// An array to be written to a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NamedArray<'a> {
    /// Name in the file, e.g. `history` or `dense0.weight`.
    pub name: &'a str,
    /// Sizes of the axes, the slowest first.
    pub shape: &'a [usize],
    /// All values in C order.
    pub values: Values<'a>,
}

/// Numbers of one of the types that files hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// 32-bit floats: weights.
    F32(&'a [f32]),
    /// 64-bit floats: tolerances.
    F64(&'a [f64]),
    /// Counts.
    U32(&'a [u32]),
    /// 0 or 1: masks.
    U8(&'a [u8]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::F64(values)
    }
}

impl<'a> From<&'a [u32]> for Values<'a> {
    fn from(values: &'a [u32]) -> Self {
        Self::U32(values)
    }
}

impl<'a> From<&'a [u8]> for Values<'a> {
    fn from(values: &'a [u8]) -> Self {
        Self::U8(values)
    }
}

impl NamedArray<'_> {
    /// Fails with [`Error::Shape`] if there are more or fewer values than the shape has places.
    fn check(&self) -> Result<()> {
        let places = self.shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if places == Some(self.values.len()) {
            return Ok(());
        }
        Err(Error::Shape(format!("{}: {} values do not have the shape {:?}", self.name, self.values.len(), self.shape)))
    }
}

/// Checks each array, and that no name comes twice.
fn check_arrays(arrays: &[NamedArray<'_>]) -> Result<()> {
    let mut names = std::collections::BTreeSet::new();
    for array in arrays {
        array.check()?;
        if !names.insert(array.name) {
            return Err(Error::Shape(format!("two arrays are named {}; names in a file must differ", array.name)));
        }
    }
    Ok(())
}
