//! Arrays that other programs wrote: `.npy`, `.npz` and `.safetensors`, any of the usual number types and layouts, as
//! single-precision numbers in C order; and images and labels as the bytes that they are.
//!
//! What a file is, its first bytes decide, never its name ([`super::file_kind`]). A header is believed only as far as the
//! file is long: memory is taken for bytes that are there, so that a damaged or hostile file ends in a sentence.

mod npy;
mod npz;
mod safetensors;

use super::file_kind::{FileKind, Foreign, Purpose};
use super::input::Input;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Elements that are converted at a time.
const CHUNK: usize = 1 << 14;

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

/// What is known of an array without reading its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its name in the archive; `None` for `.npy`, which has none.
    pub name: Option<String>,
    /// Sizes of its axes; `None` if it does not hold floats, or cannot be read.
    pub shape: Option<Vec<usize>>,
}

/// An open file with one array or several.
pub struct ArrayFile<'a> {
    source: Source<'a>,
    kind: Kind,
    names: Vec<String>,
}

impl<'a> ArrayFile<'a> {
    /// Opens a `.npy`, `.npz` or `.safetensors` file, a pipe that gives one, or `-`, standard input.
    ///
    /// Fails with [`Error::Data`] if the file is missing, damaged or of another kind.
    pub fn open(path: &'a Path) -> Result<Self> {
        let (mut source, kind) = Source::open(path)?;
        let names = match kind {
            Kind::Npy => Vec::new(),
            Kind::Npz => npz::names(&mut source, Purpose::Arrays)?,
            Kind::Safetensors => safetensors::names(&mut source)?,
        };
        Ok(Self { source, kind, names })
    }

    /// Names of the arrays, in the file's order; none of `.npy`. A name that comes twice is there twice.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Names and shapes of all arrays, in the file's order.
    ///
    /// Fails with [`Error::Data`] if the file's directory is damaged.
    pub fn outlines(&mut self) -> Result<Vec<Outline>> {
        let Self { source, kind, names } = self;
        let shapes = match kind {
            Kind::Npy => return Ok(vec![Outline { name: None, shape: npy::shape(source) }]),
            Kind::Npz => npz::shapes(source, names)?,
            Kind::Safetensors => safetensors::shapes(source, names)?,
        };
        Ok(names.iter().zip(shapes).map(|(name, shape)| Outline { name: Some(name.clone()), shape }).collect())
    }

    /// Reads one array: the one with this name, or without a name the only one; `.npy` has one, whatever the name.
    ///
    /// `option` is how the user can name an array, e.g. `--history-key`. Fails as [`read`] does.
    pub fn read(&mut self, name: Option<&str>, option: &str) -> Result<ForeignArray> {
        let Self { source, kind, names } = self;
        if matches!(kind, Kind::Npy) {
            return source.in_context(None, npy::read);
        }
        let name = choose(source.path, names, name, option)?;
        source.read_named(*kind, &name)
    }
}

/// Reads one array: the one with this name, or without a name the only one.
///
/// `option` is how the user can name an array, e.g. `--history-key`. Fails with [`Error::Data`] if the file is missing,
/// damaged or of another kind, if its numbers are not floats, if there is no array of that name or more than one, or if
/// there are several and none is named.
pub fn read(path: &Path, name: Option<&str>, option: &str) -> Result<ForeignArray> {
    ArrayFile::open(path)?.read(name, option)
}

/// Reads every array of a file.
///
/// Fails as [`read`] does, and if a name comes twice.
pub fn read_all(path: &Path) -> Result<Vec<ForeignArray>> {
    let mut file = ArrayFile::open(path)?;
    if matches!(file.kind, Kind::Npy) {
        return Ok(vec![file.read(None, "")?]);
    }
    let names = file.names.clone();
    names.iter().map(|name| file.read(Some(name), "")).collect()
}

/// Names of the arrays of a `.npz` file, in its order; one that comes twice is there twice.
///
/// Fails with [`Error::Data`] if the file is missing, damaged or of another kind.
pub fn npz_names(path: &Path) -> Result<Vec<String>> {
    npz::names(&mut Source::open_npz(path)?, Purpose::Images)
}

/// Reads the array `name` of a `.npz` file, whose numbers must be whole and of 0 to 255, of whatever type: images, labels.
///
/// Fails with [`Error::Data`] as [`read`] does, and names the first value that is another.
pub fn read_bytes(path: &Path, name: &str) -> Result<ForeignArray<u8>> {
    let mut source = Source::open_npz(path)?;
    choose(path, &npz::names(&mut source, Purpose::Images)?, Some(name), "")?;
    source.in_context(Some(name), |source| npz::read(source, name))
}

/// What a file is.
#[derive(Clone, Copy)]
enum Kind {
    Npy,
    Npz,
    Safetensors,
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
    Io(std::io::Error),
    /// The content is not what it should be.
    Content(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl<'a> Source<'a> {
    fn open(path: &'a Path) -> Result<(Self, Kind)> {
        let input = Input::open(path)?;
        let kind = match FileKind::of(input.head(), path) {
            FileKind::Npy => Kind::Npy,
            FileKind::Zip => Kind::Npz,
            FileKind::Safetensors => Kind::Safetensors,
            FileKind::Other(foreign) => return Err(refused(path, foreign)),
        };
        let (file, length) = input.into_file()?;
        Ok((Self { path, file: BufReader::new(file), length }, kind))
    }

    fn open_npz(path: &'a Path) -> Result<Self> {
        match Self::open(path)? {
            (source, Kind::Npz) => Ok(source),
            _ => Err(Error::Data(format!("{} is no .npz archive; save it with numpy.savez", path.display()))),
        }
    }

    fn read_named(&mut self, kind: Kind, name: &str) -> Result<ForeignArray> {
        self.in_context(Some(name), |source| match kind {
            Kind::Npy => npy::read(source),
            Kind::Npz => npz::read(source, name),
            Kind::Safetensors => safetensors::read(source, name),
        })
    }

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

fn refused(path: &Path, foreign: Foreign) -> Error {
    Error::Data(format!("{} {}", path.display(), foreign.sentence(Purpose::Arrays)))
}

/// Names for a message, the first of many.
pub fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// The name that is asked for, or the only one. Every refusal lists what is there.
fn choose(path: &Path, names: &[String], name: Option<&str>, option: &str) -> Result<String> {
    let shown = path.display();
    let list = if names.is_empty() { "no arrays at all".into() } else { listed(names) };
    let refused = match name {
        None => match names {
            [only] => return Ok(only.clone()),
            [] => format!("{shown} holds no arrays"),
            _ => format!("{shown} holds several arrays: {list}; choose one with {option} NAME"),
        },
        Some(name) => match names.iter().filter(|found| *found == name).count() {
            1 => return Ok(name.into()),
            0 => format!("{shown} has no array {name}, but {list}; choose one of those with {option} NAME"),
            count => {
                format!("{shown} has {count} arrays named {name} (it holds {list}); write it again with each name once")
            }
        },
    };
    Err(Error::Data(refused))
}

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    format: Format,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    fn bytes(self) -> usize {
        match self.format {
            Format::Bool | Format::U8 | Format::I8 => 1,
            Format::U16 | Format::I16 | Format::F16 | Format::Bf16 => 2,
            Format::U32 | Format::I32 | Format::F32 => 4,
            Format::U64 | Format::I64 | Format::F64 => 8,
        }
    }

    /// How NumPy names the type.
    fn name(self) -> String {
        let kind = match self.format {
            Format::Bool => 'b',
            Format::U8 | Format::U16 | Format::U32 | Format::U64 => 'u',
            Format::I8 | Format::I16 | Format::I32 | Format::I64 => 'i',
            Format::F16 | Format::F32 | Format::F64 => 'f',
            Format::Bf16 => 'V',
        };
        let order = if self.bytes() == 1 {
            '|'
        } else if self.big_endian {
            '>'
        } else {
            '<'
        };
        format!("{order}{kind}{}", self.bytes())
    }

    /// What is said about a conversion; 16-bit numbers are widened without loss.
    fn notice(self) -> Option<String> {
        (self.format == Format::F64).then(|| "the values are 64-bit floats; they were rounded to 32 bits".into())
    }

    fn rounding(self) -> Rounding {
        match self.format {
            // Half of the last digit, and of the smallest number that has fewer digits.
            Format::F16 => Rounding { relative: (-11.0f32).exp2(), absolute: (-25.0f32).exp2() },
            Format::Bf16 => Rounding { relative: (-8.0f32).exp2(), absolute: 0.0 },
            _ => Rounding::default(),
        }
    }

    /// The number in double precision, in which all formats but the largest whole numbers are exact.
    fn decode(self, bytes: &[u8]) -> f64 {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            eight[..bytes.len()].reverse();
        }
        let word = u64::from_le_bytes(eight);
        match self.format {
            Format::Bool | Format::U8 | Format::U16 | Format::U32 | Format::U64 => word as f64,
            Format::I8 => f64::from(word as i8),
            Format::I16 => f64::from(word as i16),
            Format::I32 => f64::from(word as i32),
            Format::I64 => word as i64 as f64,
            Format::F16 => half::f16::from_bits(word as u16).to_f64(),
            Format::Bf16 => half::bf16::from_bits(word as u16).to_f64(),
            Format::F32 => f64::from(f32::from_bits(word as u32)),
            Format::F64 => f64::from_bits(word),
        }
    }
}

/// A number that arrays are read as.
trait Number: Copy {
    /// Whether files that hold numbers of this format are read.
    fn accepts(format: Format) -> bool;

    /// What a file of other numbers is told: what they should be, and how to save them so.
    const WANTED: &'static str;

    /// The number at `place` of the file, or why it cannot be one.
    fn decode(element: Element, bytes: &[u8], place: usize) -> std::result::Result<Self, Failure>;
}

impl Number for f32 {
    const WANTED: &'static str = "not weights; save it as float32, e.g. array.astype('float32')";

    fn accepts(format: Format) -> bool {
        matches!(format, Format::F16 | Format::Bf16 | Format::F32 | Format::F64)
    }

    fn decode(element: Element, bytes: &[u8], _: usize) -> std::result::Result<Self, Failure> {
        let value = element.decode(bytes);
        let single = value as f32;
        if single.is_infinite() && value.is_finite() {
            return Err(Failure::Content(format!(
                "it holds {value:e}, too large for 32-bit floats; weights of that size are no weights, check the file"
            )));
        }
        Ok(single)
    }
}

impl Number for u8 {
    const WANTED: &'static str = "not bytes 0 to 255; save it as uint8, e.g. array.astype('uint8')";

    fn accepts(format: Format) -> bool {
        format != Format::Bf16
    }

    fn decode(element: Element, bytes: &[u8], place: usize) -> std::result::Result<Self, Failure> {
        if element.format == Format::U8 {
            return Ok(bytes[0]);
        }
        let value = element.decode(bytes);
        if value.fract() == 0.0 && (0.0..=255.0).contains(&value) {
            return Ok(value as u8);
        }
        let advice = if value.fract() == 0.0 {
            "bring the values into this range and save them as uint8"
        } else {
            "of shares of white, save (array * 255).round().astype('uint8')"
        };
        Err(Failure::Content(format!(
            "its value {place} is {value} (dtype {}), but images and labels are whole numbers of 0 to 255; {advice}",
            element.name()
        )))
    }
}

/// Number of elements and of bytes of an array, if they can be counted.
fn sizes(shape: &[usize], element: Element) -> std::result::Result<(usize, u64), Failure> {
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let bytes = count.and_then(|count| (count as u64).checked_mul(element.bytes() as u64));
    count.zip(bytes).ok_or_else(|| {
        Failure::Content(format!("the header claims the shape {shape:?}, more than any file can hold; write it again"))
    })
}

/// Reads `count` elements. `present` says that their bytes are known to be there; otherwise memory grows as they come.
fn read_values<T: Number>(
    reader: &mut dyn Read,
    count: usize,
    element: Element,
    present: bool,
) -> std::result::Result<Vec<T>, Failure> {
    let too_large =
        |_| Failure::Content(format!("{count} numbers do not fit the memory of this machine; save fewer of them"));
    let mut values = Vec::new();
    if present {
        values.try_reserve_exact(count).map_err(too_large)?;
    }
    let mut buffer = vec![0; CHUNK * element.bytes()];
    while values.len() < count {
        let chunk = CHUNK.min(count - values.len());
        let bytes = &mut buffer[..chunk * element.bytes()];
        reader.read_exact(bytes)?;
        values.try_reserve(chunk).map_err(too_large)?;
        for bytes in bytes.chunks_exact(element.bytes()) {
            values.push(T::decode(element, bytes, values.len())?);
        }
    }
    Ok(values)
}

/// Goes to a place in the file.
fn seek(source: &mut Source<'_>, place: u64) -> std::io::Result<()> {
    source.file.seek(SeekFrom::Start(place)).map(|_| ())
}
