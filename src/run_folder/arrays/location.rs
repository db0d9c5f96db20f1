//! Where an array lies in its file, so that a part of it is read without the rest.

use super::element::{Element, read_into};
use super::{Failure, Rounding};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An array of floats whose numbers lie one after the other in C order.
#[derive(Clone, Debug)]
pub struct Location {
    file: Place,
    path: PathBuf,
    offset: u64,
    element: Element,
    shape: Vec<usize>,
}

/// How the file is reached.
#[derive(Clone, Debug)]
enum Place {
    Open(Arc<File>),
    /// It is opened for each part: of many files not all can be open.
    Closed,
}

impl Location {
    pub(super) fn new(file: File, path: &Path, offset: u64, element: Element, shape: Vec<usize>) -> Self {
        Self { file: Place::Open(Arc::new(file)), path: path.to_path_buf(), offset, element, shape }
    }

    /// The same, but the file is closed until a part is read.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { file: Place::Closed, ..self }
    }

    /// Sizes of the axes, the slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What storing a number in the file's format can have changed.
    pub fn rounding(&self) -> Rounding {
        self.element.rounding()
    }

    /// What the user should know of how its numbers are read.
    pub fn notice(&self) -> Option<String> {
        self.element.notice()
    }

    /// Reads these elements, counted in C order, into `values`, which has as many.
    ///
    /// Fails with [`Error::Data`] if the file has changed since it was opened, or cannot be read any more.
    pub fn read(&self, elements: Range<usize>, values: &mut [f32]) -> Result<()> {
        assert_eq!(elements.len(), values.len());
        let start = self.offset + elements.start as u64 * self.element.bytes() as u64;
        let mut read = |mut file: &File| {
            file.seek(SeekFrom::Start(start))?;
            read_into(&mut file, values, self.element)
        };
        let outcome = match &self.file {
            Place::Open(file) => read(file),
            Place::Closed => File::open(&self.path).map_err(Failure::Io).and_then(|file| read(&file)),
        };
        outcome.map_err(|failure| {
            let why = match failure {
                Failure::Io(error) => {
                    format!("the file is cut off, or was changed while it was read ({error}); read it again")
                }
                Failure::Content(why) => why,
            };
            Error::Data(format!("{}: {why}", self.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ArrayFile, NamedArray, Values, write};
    use crate::run_folder::file_kind::Purpose;
    use std::fs;
    use tempfile::tempdir;

    #[test]
    fn a_part_of_an_array_is_read_wherever_it_lies() {
        let folder = tempdir().unwrap();
        let values: Vec<f32> = (0..12).map(|value| value as f32 / 8.0).collect();
        let other = [7.0; 5];
        for name in ["a.npz", "a.safetensors"] {
            let path = folder.path().join(name);
            let named = |name, shape, values| NamedArray { name, shape, values: Values::F32(values) };
            write(&path, &[named("other", &[5], &other), named("w", &[3, 4], &values)]).unwrap();
            let mut file = ArrayFile::open(&path, Purpose::Arrays).unwrap();
            let found = file.locate(Some("w"), "").unwrap().unwrap();
            assert_eq!(found.shape(), [3, 4]);
            let mut part = [0.0; 5];
            found.read(4..9, &mut part).unwrap();
            assert_eq!(part, values[4..9], "{name}");
            found.closed().read(7..12, &mut part).unwrap();
            assert_eq!(part, values[7..], "{name}");
            assert!(file.locate(Some("none"), "").is_err());
        }
    }

    #[test]
    fn halves_and_big_endian_numbers_are_read_as_single_ones_and_other_orders_are_not_located() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let npy = |descr: &str, fortran: &str, data: &[u8]| {
            let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': (2, 2), }}\n");
            [b"\x93NUMPY\x01\x00".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), data].concat()
        };
        let numbers = [0.5f32, -2.0, 1.0, 4.0];
        let halves: Vec<u8> = numbers.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
        let big: Vec<u8> = numbers.iter().flat_map(|value| value.to_be_bytes()).collect();
        for (descr, data) in [("<f2", &halves), (">f4", &big)] {
            fs::write(&path, npy(descr, "False", data)).unwrap();
            let mut file = ArrayFile::open(&path, Purpose::Arrays).unwrap();
            let mut part = [0.0; 3];
            file.locate(None, "").unwrap().unwrap().read(1..4, &mut part).unwrap();
            assert_eq!(part, numbers[1..], "{descr}");
        }
        fs::write(&path, npy(">f4", "True", &big)).unwrap();
        assert!(ArrayFile::open(&path, Purpose::Arrays).unwrap().locate(None, "").unwrap().is_none());
        fs::write(&path, npy(">f4", "False", &big[..9])).unwrap();
        assert!(ArrayFile::open(&path, Purpose::Arrays).unwrap().locate(None, "").is_err());
    }
}
