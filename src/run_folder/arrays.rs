//! Arrays by name in `.npy`, `.npz` and `.safetensors`: written as this program makes them; read from anyone, of any of the
//! usual number types and layouts, as single-precision numbers in C order, and images and labels as the bytes that they are.
//!
//! What a file is that is read, its first bytes decide, never its name ([`super::file_kind`]). A header is believed only as
//! far as the file is long: memory is taken for bytes that are there, so that a damaged or hostile file ends in a sentence.

mod element;
mod file;
mod location;
mod npy;
mod npz;
mod raw;
mod safetensors;
mod spill;

pub use file::{ArrayFile, read, read_all};
pub use location::Location;
pub use raw::RawArray;
pub use spill::Spill;

use super::store;
use crate::error::{Error, Result};
use element::{Element, Format};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

const _: () =
    assert!(cfg!(target_endian = "little"), "arrays are written as they lie in memory, which files want little-endian");

/// An array to be written to a file.
#[derive(Clone, Debug)]
pub struct NamedArray<'a> {
    /// Name in the file, e.g. `history` or `dense0.weight`.
    pub name: &'a str,
    /// Sizes of the axes, the slowest first.
    pub shape: &'a [usize],
    /// All values in C order.
    pub values: Values<'a>,
}

/// Numbers of one of the types that files hold.
#[derive(Clone, Debug)]
pub enum Values<'a> {
    /// 32-bit floats: weights.
    F32(&'a [f32]),
    /// The same in parts that lie anywhere, one after the other.
    Parts(Vec<&'a [f32]>),
    /// 64-bit floats: tolerances.
    F64(&'a [f64]),
    /// Counts.
    U32(&'a [u32]),
    /// 0 or 1: masks.
    U8(&'a [u8]),
    /// An array as somebody's file held it.
    Raw(&'a RawArray),
    /// Numbers that were put aside in a file.
    Spilled(&'a Spill),
}

impl Values<'_> {
    /// How they are stored; `None` if that has no name in NumPy.
    fn element(&self) -> Option<Element> {
        let format = match self {
            Self::F32(_) | Self::Parts(_) => Format::F32,
            Self::F64(_) => Format::F64,
            Self::U32(_) => Format::U32,
            Self::U8(_) => Format::U8,
            Self::Raw(array) => return array.element(),
            Self::Spilled(spill) => return Some(spill.element()),
        };
        Some(Element { format, big_endian: false })
    }

    /// Their bytes, part by part; none of what lies in a file.
    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Self::F32(values) => vec![bytemuck::cast_slice(values)],
            Self::Parts(parts) => parts.iter().map(|part| bytemuck::cast_slice(part)).collect(),
            Self::F64(values) => vec![bytemuck::cast_slice(values)],
            Self::U32(values) => vec![bytemuck::cast_slice(values)],
            Self::U8(values) => vec![values],
            Self::Raw(array) => vec![array.bytes()],
            Self::Spilled(_) => Vec::new(),
        }
    }

    /// How many bytes these are.
    fn size(&self) -> usize {
        match self {
            Self::Spilled(spill) => spill.size(),
            _ => self.parts().into_iter().map(<[u8]>::len).sum(),
        }
    }

    fn write(&self, file: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Spilled(spill) => spill.copy_to(file),
            _ => self.parts().into_iter().try_for_each(|part| file.write_all(part)),
        }
    }

    /// Whether there are as many values as a shape has places.
    fn fit(&self, shape: &[usize]) -> bool {
        match (self, self.element()) {
            (Self::Raw(array), _) => array.shape == shape,
            (_, Some(element)) => {
                let places = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
                places.and_then(|places| places.checked_mul(element.bytes())) == Some(self.size())
            }
            (_, None) => false,
        }
    }
}

/// Writes arrays into one file without a copy of their numbers: as `.safetensors` if its name ends so, else as `.npz`, not
/// compressed, since weights are noise. Equal arrays give equal bytes, in `.safetensors` whatever their order here.
///
/// Fails with [`Error::Shape`] if an array does not have its shape or a name comes twice, and with [`Error::Io`] if the
/// file cannot be written.
pub fn write(path: &Path, arrays: &[NamedArray<'_>]) -> Result<()> {
    write_noted(path, arrays, None)
}

/// The same with a note of what the arrays are, which [`ArrayFile::note`] reads: in the `__metadata__` of a `.safetensors`
/// file; of `.npz`, which has no place for it, it is left out.
///
/// Fails as [`write()`] does.
pub fn write_noted(path: &Path, arrays: &[NamedArray<'_>], note: Option<&str>) -> Result<()> {
    let mut names = BTreeSet::new();
    for NamedArray { name, shape, values } in arrays {
        if !values.fit(shape) {
            let found = values.size() / values.element().map_or(1, Element::bytes);
            return Err(Error::Shape(format!("{name}: {found} values do not have the shape {shape:?}")));
        }
        if !names.insert(name) {
            return Err(Error::Shape(format!("two arrays are named {name}; names in a file must differ")));
        }
    }
    let is_safetensors = path.extension().is_some_and(|ending| ending == "safetensors");
    store::write(
        path,
        |file| if is_safetensors { safetensors::write(file, arrays, note) } else { npz::write(file, arrays) },
    )
}

/// An array as it was read, of floats or of bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignArray<T = f32> {
    /// Its name in the archive; `None` for `.npy`, which has none.
    pub name: Option<String>,
    /// Sizes of the axes, the slowest first.
    pub shape: Vec<usize>,
    /// All values in C order.
    pub values: Vec<T>,
    /// What storing a number in the file's format can have changed.
    pub rounding: Rounding,
    /// What the user should know of how it was read.
    pub notices: Vec<String>,
}

/// How far a number may lie from the 32-bit float that it was before a file stored it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rounding {
    /// As a share of the number: 2^-11 of 16-bit floats, 2^-8 of bfloat16, 0 of those that hold 32 bits or more.
    pub relative: f32,
    /// Near zero, where 16-bit floats have fewer digits.
    pub absolute: f32,
}

impl Rounding {
    /// The larger of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { relative: self.relative.max(other.relative), absolute: self.absolute.max(other.absolute) }
    }
}

/// What is known of an array without reading its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its name in the archive; `None` for `.npy`, which has none.
    pub name: Option<String>,
    /// Sizes of its axes; `None` if it does not hold floats, or cannot be read.
    pub shape: Option<Vec<usize>>,
}

/// An open file, and how much there is of it.
struct Source<'a> {
    path: &'a Path,
    file: BufReader<File>,
    length: u64,
}

/// Why an array could not be read; [`Source`] says of which file.
enum Failure {
    /// The file broke off, or the disk failed.
    Io(io::Error),
    /// The content is not what it should be.
    Content(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Source<'_> {
    /// Runs `work` and says of its failure in which file, and in which array, it happened.
    fn in_context<T>(
        &mut self,
        name: Option<&str>,
        work: impl FnOnce(&mut Self) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let shown = self.path.display().to_string();
        work(self).map_err(|failure| {
            let place = name.map_or(shown.clone(), |name| format!("{shown}, array {name}"));
            Error::Data(match failure {
                Failure::Content(message) => format!("{place}: {message}"),
                Failure::Io(error) => {
                    format!("{place}: the file is cut off or damaged ({error}); write or copy it again")
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::safetensors::{Dtype, SafeTensors};
    use ndarray::ArrayD;
    use ndarray_npy::NpzReader;
    use std::fs;
    use tempfile::tempdir;

    const VALUES: [f32; 6] = [0.0, -0.0, 1e-45, f32::NAN, f32::INFINITY, 1.0 / 3.0];
    const WEIGHT: NamedArray<'_> =
        NamedArray { name: "dense0.weight", shape: &[3, 1, 2], values: Values::F32(&VALUES) };
    const BIAS: NamedArray<'_> =
        NamedArray { name: "dense0.bias", shape: &[2, 2], values: Values::F32(&[0.5, 1.5, 2.5, 3.5]) };
    const MASK: NamedArray<'_> = NamedArray { name: "a mask", shape: &[2], values: Values::U8(&[0, 1]) };
    const FILES: [&str; 2] = ["a.npz", "a.safetensors"];

    /// Writes the arrays, and reads the file.
    fn written(path: &Path, arrays: &[NamedArray<'_>]) -> Vec<u8> {
        write(path, arrays).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn arrays_come_back_with_their_shape_and_bits_whole_or_in_parts() {
        let folder = tempdir().unwrap();
        for name in FILES {
            let path = folder.path().join(name);
            let bytes = written(&path, &[WEIGHT, BIAS, MASK]);
            let found = read(&path, Some("dense0.weight"), "").unwrap();
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!((found.shape.as_slice(), bits(&found.values)), (WEIGHT.shape, bits(&VALUES)));
            assert_eq!(read(&path, Some("dense0.bias"), "").unwrap().values, [0.5, 1.5, 2.5, 3.5]);
            let parts = NamedArray { values: Values::Parts(VALUES.chunks(2).collect()), ..WEIGHT };
            assert_eq!(written(&path, &[parts, BIAS, MASK]), bytes);
        }
    }

    #[test]
    fn other_programs_read_every_type_of_numbers() {
        let folder = tempdir().unwrap();
        let arrays = [
            NamedArray { name: "tolerance", shape: &[1], values: Values::F64(&[0.03]) },
            NamedArray { name: "stability", shape: &[2], values: Values::U32(&[1, u32::MAX]) },
            NamedArray { name: "mask", shape: &[2, 1], values: Values::U8(&[0, 1]) },
            NamedArray { name: "scalar", shape: &[], values: Values::F32(&[7.0]) },
        ];
        let [npz, safetensors] = FILES.map(|name| written(&folder.path().join(name), &arrays));
        let mut archive = NpzReader::new(io::Cursor::new(&npz)).unwrap();
        let tolerance: ArrayD<f64> = archive.by_name("tolerance").unwrap();
        let stability: ArrayD<u32> = archive.by_name("stability").unwrap();
        let mask: ArrayD<u8> = archive.by_name("mask").unwrap();
        let scalar: ArrayD<f32> = archive.by_name("scalar").unwrap();
        assert_eq!((tolerance[[0]], stability[[1]], mask[[1, 0]], scalar.sum()), (0.03, u32::MAX, 1, 7.0));
        let tensors = SafeTensors::deserialize(&safetensors).unwrap();
        for (array, dtype) in arrays.iter().zip([Dtype::F64, Dtype::U32, Dtype::U8, Dtype::F32]) {
            let found = tensors.tensor(array.name).unwrap();
            assert_eq!(
                (found.dtype(), found.shape(), found.data()),
                (dtype, array.shape, &*array.values.parts().concat())
            );
        }
    }

    #[test]
    fn equal_arrays_give_equal_bytes_without_the_time_of_day() {
        let folder = tempdir().unwrap();
        let [npz, safetensors] = FILES.map(|name| folder.path().join(name));
        let first = written(&npz, &[WEIGHT, BIAS]);
        assert_eq!(first, written(&npz, &[WEIGHT, BIAS]));
        // Time and date of the first entry in MS-DOS form: 1980-01-01 00:00, the beginning of that calendar.
        assert_eq!(first[10..14], [0, 0, 0x21, 0]);
        // The values begin where NumPy lets them begin.
        let header = 30 + "dense0.weight.npy".len();
        assert_eq!(first[header + 128..][..24], *bytemuck::cast_slice::<f32, u8>(&VALUES));
        assert_eq!(written(&safetensors, &[WEIGHT, MASK, BIAS]), written(&safetensors, &[MASK, BIAS, WEIGHT]));
    }

    #[test]
    fn numpy_files_of_other_programs_are_read() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stability/e20_r3_n37.npz");
        let found = read(&fixture, Some("history"), "").unwrap();
        assert_eq!((found.shape, found.values.len()), (vec![20, 3, 37], 20 * 3 * 37));
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused_and_nothing_is_written() {
        let folder = tempdir().unwrap();
        for path in FILES.map(|name| folder.path().join(name)) {
            let parts = NamedArray { values: Values::Parts(vec![&VALUES[..2]]), ..BIAS };
            for arrays in [vec![NamedArray { shape: &[2, 3], ..BIAS }], vec![BIAS, BIAS], vec![parts]] {
                let error = write(&path, &arrays).unwrap_err();
                assert!(matches!(error, Error::Shape(_)) && error.to_string().contains("dense0.bias"), "{error}");
            }
            assert!(!path.exists());
        }
    }

    #[test]
    fn missing_arrays_and_missing_cut_and_foreign_files_are_data_errors() {
        let folder = tempdir().unwrap();
        for name in FILES {
            let path = folder.path().join(name);
            let message = |array: &str| match read(&path, Some(array), "") {
                Err(Error::Data(message)) => message,
                other => panic!("{other:?}"),
            };
            assert!(message("history").contains(name));
            let bytes = written(&path, &[WEIGHT]);
            let missing = message("history");
            assert!(missing.contains("but dense0.weight; check that this is the right file"), "{missing}");
            for content in [&bytes[..bytes.len() / 2], b"not a zip", b""] {
                fs::write(&path, content).unwrap();
                assert!(message("dense0.weight").contains(name));
            }
        }
    }
}
