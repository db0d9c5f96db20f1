//! Numbers that are made piece by piece, in no order of the array that they become, and are too many for the memory: they wait
//! in a file that has no name.

use super::Values;
use super::element::Element;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An array that is filled in any order.
#[derive(Debug)]
pub struct Spill {
    file: File,
    folder: PathBuf,
    element: Element,
    count: usize,
}

impl Spill {
    /// Makes room for `count` numbers of the type of `kind`, e.g. `Values::F32(&[])`, on the disk of `folder`; numbers that are
    /// never put are 0.
    ///
    /// Fails with [`Error::Io`] if there is no room, and with [`Error::Shape`] if the type is none of ours.
    pub fn new(folder: &Path, kind: &Values<'_>, count: usize) -> Result<Self> {
        let no_room = |error| Error::io("put numbers aside in", folder, error);
        let element =
            kind.element().ok_or_else(|| Error::Shape("numbers of an unknown type cannot be put aside".into()))?;
        let file = tempfile::tempfile_in(folder).map_err(no_room)?;
        file.set_len(count as u64 * element.bytes() as u64).map_err(no_room)?;
        Ok(Self { file, folder: folder.into(), element, count })
    }

    /// Puts numbers at this place of the array, counted in its own numbers.
    ///
    /// Fails with [`Error::Io`] if they cannot be written, and with [`Error::Shape`] if they are of another type or reach
    /// beyond the end.
    pub fn put(&self, place: usize, numbers: &Values<'_>) -> Result<()> {
        let found = numbers.size() / self.element.bytes();
        if numbers.element() != Some(self.element) || place + found > self.count {
            return Err(Error::Shape(format!("{found} numbers from {place} on do not fit an array of {}", self.count)));
        }
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place as u64 * self.element.bytes() as u64))
            .and_then(|_| numbers.write(&mut file))
            .map_err(|error| Error::io("put numbers aside in", &self.folder, error))
    }

    pub(super) fn element(&self) -> Element {
        self.element
    }

    pub(super) fn size(&self) -> usize {
        self.count * self.element.bytes()
    }

    pub(super) fn copy_to(&self, file: &mut impl Write) -> io::Result<()> {
        (&self.file).rewind()?;
        io::copy(&mut &self.file, file).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NamedArray, Values, read, write};
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn an_array_filled_in_any_order_is_written_as_any_other() {
        let folder = tempdir().unwrap();
        let spill = Spill::new(folder.path(), &Values::F32(&[]), 6).unwrap();
        spill.put(4, &Values::F32(&[5.0, 6.0])).unwrap();
        spill.put(0, &Values::F32(&[1.0, 2.0, 3.0])).unwrap();
        for name in ["a.npz", "a.safetensors"] {
            let path = folder.path().join(name);
            write(&path, &[NamedArray { name: "w", shape: &[2, 3], values: Values::Spilled(&spill) }]).unwrap();
            let found = read(&path, Some("w"), "").unwrap();
            assert_eq!((found.shape.as_slice(), found.values.as_slice()), (&[2, 3][..], &[1., 2., 3., 0., 5., 6.][..]));
        }
        assert!(spill.put(5, &Values::F32(&[1.0, 2.0])).is_err() && spill.put(0, &Values::U32(&[1])).is_err());
    }
}
