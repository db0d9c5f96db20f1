//! A file of arrays that is read, whichever of the three kinds it is.

use super::element::Number;
use super::{Failure, ForeignArray, Location, Outline, RawArray, Source, npy, npz, safetensors};
use crate::error::{Error, Result};
use crate::run_folder::file_kind::{FileKind, Purpose};
use crate::run_folder::input::Input;
use crate::run_folder::listed;
use std::io::BufReader;
use std::path::Path;

/// Names in a message.
const SHOWN: usize = 12;

/// An open file with one array or several.
pub struct ArrayFile<'a> {
    source: Source<'a>,
    kind: Kind,
    outlines: Vec<Outline>,
}

impl<'a> ArrayFile<'a> {
    /// Opens a `.npy`, `.npz` or `.safetensors` file, a pipe that gives one, or `-`, standard input. What is none of these
    /// gets the advice for this purpose.
    ///
    /// Fails with [`Error::Data`] if the file is missing, damaged or of another kind.
    pub fn open(path: &'a Path, purpose: Purpose) -> Result<Self> {
        let input = Input::open(path)?;
        let kind = match FileKind::of(input.head(), path) {
            FileKind::Npy => Kind::Npy,
            FileKind::Zip => Kind::Npz,
            FileKind::Safetensors => Kind::Safetensors,
            FileKind::Other(foreign) => {
                return Err(Error::Data(format!("{} {}", path.display(), foreign.sentence(purpose))));
            }
        };
        let (file, length) = input.into_file()?;
        let mut source = Source { path, file: BufReader::new(file), length };
        let outlines = source.in_context(None, |source| match kind {
            Kind::Npy => Ok(vec![Outline { name: None, shape: npy::shape(&mut source.file) }]),
            Kind::Npz => npz::outlines(source, purpose),
            Kind::Safetensors => safetensors::outlines(source),
        })?;
        Ok(Self { source, kind, outlines })
    }

    /// Names and shapes of all arrays, in the file's order. A name that comes twice is there twice.
    pub fn outlines(&self) -> &[Outline] {
        &self.outlines
    }

    /// Names of the arrays; none of `.npy`.
    pub fn names(&self) -> Vec<String> {
        self.outlines.iter().filter_map(|outline| outline.name.clone()).collect()
    }

    /// Reads one array: the one with this name, or without a name the only one; `.npy` has one, whatever the name.
    ///
    /// `option` is how the user can name an array, e.g. `--history-key`; empty if it cannot be chosen. Fails as [`read`] does.
    pub fn read(&mut self, name: Option<&str>, option: &str) -> Result<ForeignArray> {
        self.read_as(name, option)
    }

    /// Reads the array `name`, whose numbers must be whole and of 0 to 255, of whatever type: images, labels.
    ///
    /// Fails with [`Error::Data`] as [`read`] does, and names the first value that is another.
    pub fn read_bytes(&mut self, name: &str) -> Result<ForeignArray<u8>> {
        self.read_as(Some(name), "")
    }

    fn read_as<T: Number>(&mut self, name: Option<&str>, option: &str) -> Result<ForeignArray<T>> {
        self.of_array(name, option, |source, kind, name| match kind {
            Kind::Npy => npy::read(source),
            Kind::Npz => npz::read(source, name),
            Kind::Safetensors => safetensors::read(source, name),
        })
    }

    /// Reads one array as it is stored, of whatever type: to be written again with no bit changed.
    ///
    /// Fails with [`Error::Data`] as [`read`] does, but for the types of numbers.
    pub fn read_raw(&mut self, name: Option<&str>) -> Result<RawArray> {
        self.of_array(name, "", |source, kind, name| match kind {
            Kind::Npy => npy::read_raw(source),
            Kind::Npz => npz::read_raw(source, name),
            Kind::Safetensors => safetensors::read_raw(source, name),
        })
    }

    /// Where one array lies, see [`Self::read`], if its numbers lie there one after the other in C order; `None` if they are
    /// compressed or in another order.
    ///
    /// Fails as [`Self::read`] does, but for what only its numbers tell.
    pub fn locate(&mut self, name: Option<&str>, option: &str) -> Result<Option<Location>> {
        let found = self.of_array(name, option, |source, kind, name| match kind {
            Kind::Npy => npy::locate(source),
            Kind::Npz => npz::locate(source, name),
            Kind::Safetensors => safetensors::locate(source, name),
        })?;
        let Some((offset, element, shape)) = found else { return Ok(None) };
        let file = self.source.file.get_ref().try_clone();
        let file = file.map_err(|error| Error::io("read", self.source.path, error))?;
        Ok(Some(Location::new(file, self.source.path, offset, element, shape)))
    }

    /// Runs `work` on the array that is asked for. That of `.npy` has no name.
    fn of_array<T>(
        &mut self,
        name: Option<&str>,
        option: &str,
        work: impl FnOnce(&mut Source<'a>, Kind, &str) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let kind = self.kind;
        let name = match kind {
            Kind::Npy => None,
            _ => Some(choose(self.source.path, &self.names(), name, option)?),
        };
        self.source.in_context(name.as_deref(), |source| work(source, kind, name.as_deref().unwrap_or_default()))
    }

    /// The note that [`super::write_noted`] left; `None` if there is none.
    ///
    /// Fails with [`Error::Data`] if the header is damaged.
    pub fn note(&mut self) -> Result<Option<String>> {
        match self.kind {
            Kind::Safetensors => self.source.in_context(None, safetensors::note),
            Kind::Npy | Kind::Npz => Ok(None),
        }
    }

    /// Whether numbers are in NumPy's own formats, `.npy` and `.npz`.
    pub fn is_numpys(&self) -> bool {
        matches!(self.kind, Kind::Npy | Kind::Npz)
    }
}

/// Reads one array: the one with this name, or without a name the only one.
///
/// `option` is how the user can name an array, e.g. `--history-key`. Fails with [`Error::Data`] if the file is missing,
/// damaged or of another kind, if its numbers are not floats, if there is no array of that name or more than one, or if
/// there are several and none is named.
pub fn read(path: &Path, name: Option<&str>, option: &str) -> Result<ForeignArray> {
    ArrayFile::open(path, Purpose::Arrays)?.read(name, option)
}

/// Reads every array of a file.
///
/// Fails as [`read`] does, and if a name comes twice.
pub fn read_all(path: &Path) -> Result<Vec<ForeignArray>> {
    let mut file = ArrayFile::open(path, Purpose::Arrays)?;
    let outlines = file.outlines.clone();
    outlines.iter().map(|outline| file.read(outline.name.as_deref(), "")).collect()
}

/// What a file is.
#[derive(Clone, Copy)]
enum Kind {
    Npy,
    Npz,
    Safetensors,
}

/// The name that is asked for, or the only one. Every refusal lists what is there.
fn choose(path: &Path, names: &[String], name: Option<&str>, option: &str) -> Result<String> {
    let shown = path.display();
    let list = if names.is_empty() { "no arrays at all".into() } else { listed(SHOWN, names) };
    let advice = match option {
        "" => "check that this is the right file".into(),
        option => format!("choose one of those with {option} NAME"),
    };
    let refused = match name {
        None => match names {
            [only] => return Ok(only.clone()),
            [] => format!("{shown} holds no arrays"),
            _ => format!("{shown} holds several arrays: {list}; choose one with {option} NAME"),
        },
        Some(name) => match names.iter().filter(|found| *found == name).count() {
            1 => return Ok(name.into()),
            0 => format!("{shown} has no array {name}, but {list}; {advice}"),
            count => {
                format!("{shown} has {count} arrays named {name} (it holds {list}); write it again with each name once")
            }
        },
    };
    Err(Error::Data(refused))
}
