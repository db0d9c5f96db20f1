//! Where histories lie: each in one array, in numbered arrays of one file, or in numbered files of a folder.

use super::axes::Axes;
use super::contents::{Chosen, Contents, OPTION, left_out, listed};
use super::numbered::series;
use crate::error::{Error, Result};
use crate::run_folder::arrays::{self, ArrayFile, Location, Outline, Rounding};
use crate::run_folder::file_kind::{FileKind, Purpose};
use crate::run_folder::input::Input;
use crate::run_folder::{Manifest, entries};
use std::path::{Path, PathBuf};

/// The histories that were found, their numbers not yet read.
pub(super) struct Source<'a> {
    /// Each of them.
    pub(super) found: Vec<Found>,
    /// Why they cannot be read as one; `None` if there is one.
    pub(super) refusal: Option<String>,
    /// What the user should know.
    pub(super) notices: Vec<String>,
    store: Store<'a>,
}

/// The history of one tensor.
pub(super) struct Found {
    /// Its name; empty if it has none.
    pub(super) name: String,
    /// Sizes of the axes; the first are the epochs if `is_numbered`.
    pub(super) shape: Vec<usize>,
    /// Whether the epochs come from names.
    pub(super) is_numbered: bool,
    /// Arrays of a file, without a name the only one; of a folder the array in each of its files.
    arrays: Vec<Option<String>>,
}

enum Store<'a> {
    File(Box<ArrayFile<'a>>),
    /// A file for each epoch.
    Folder(Vec<PathBuf>),
}

impl<'a> Source<'a> {
    /// Finds the histories in a file or a folder.
    pub(super) fn open(path: &'a Path, key: Option<&str>, axes: &Axes) -> Result<Self> {
        if path.is_dir() { Self::in_folder(path, key) } else { Self::in_file(path, key, axes) }
    }

    fn in_file(path: &'a Path, key: Option<&str>, axes: &Axes) -> Result<Self> {
        let mut file = ArrayFile::open(path, Purpose::Arrays)?;
        let contents = Contents::new(path, &file);
        let mut notices = Vec::new();
        let (chosen, refusal) = contents.choose(key, axes, &mut notices)?;
        let mut found = Vec::new();
        for Chosen { name, arrays, is_numbered } in chosen {
            let shape = match contents.shape_of(arrays[0].as_deref()) {
                Some(shape) => shape.clone(),
                // Reading says what is wrong with it.
                None => file.read(arrays[0].as_deref(), OPTION)?.shape,
            };
            let shape = if is_numbered { [&[arrays.len()][..], &shape].concat() } else { shape };
            found.push(Found { name, shape, is_numbered, arrays });
        }
        Ok(Self { found, refusal, notices, store: Store::File(Box::new(file)) })
    }

    fn in_folder(folder: &Path, key: Option<&str>) -> Result<Self> {
        let shown = folder.display();
        let entries = entries(folder)?;
        if entries.iter().any(|entry| name_of(entry) == "saved_model.pb") {
            return Err(Error::Data(format!(
                "{shown} is a TensorFlow SavedModel; load it in Python and save the layer's weights after each \
                 epoch with numpy.save"
            )));
        }
        let (mut files, mut others): (Vec<PathBuf>, Vec<PathBuf>) =
            entries.into_iter().partition(|entry| holds_arrays(entry));
        let mut stems: Vec<String> =
            files.iter().map(|file| file.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
        if files.is_empty() {
            // A folder for each epoch with one file: `checkpoint-500/model.safetensors`.
            let folders: Vec<(PathBuf, PathBuf)> =
                others.iter().filter_map(|inner| Some((inner.clone(), only_file_of_arrays(inner)?))).collect();
            others.retain(|other| folders.iter().all(|(inner, _)| inner != other));
            (stems, files) = folders.into_iter().map(|(inner, file)| (name_of(&inner), file)).unzip();
        }
        let all = series(&stems);
        let called = key.and_then(|key| all.iter().find(|series| series.is_called(key)));
        let chosen = match (called, all.as_slice()) {
            (Some(series), _) | (None, [series]) => series,
            (None, []) => {
                let found = if files.is_empty() {
                    "no arrays".into()
                } else {
                    listed(&files.iter().map(|file| name_of(file)).collect::<Vec<_>>())
                };
                return Err(Error::Data(format!(
                    "{shown} has no history.npz of a run, and no files that are numbered by epoch, such as \
                     epoch_0.npy and epoch_1.npy, but {found}; name a run folder, such a folder, or a file"
                )));
            }
            (None, several) => {
                let kinds: Vec<String> =
                    several.iter().map(|series| format!("{} ({})", series.pattern, series.members.len())).collect();
                let labels: Vec<String> = several.iter().map(|series| series.label.clone()).collect();
                return Err(Error::Data(format!(
                    "{shown} has files numbered in several ways: {}; choose one with {OPTION} NAME ({}), or keep \
                     one kind in the folder",
                    listed(&kinds),
                    listed(&labels)
                )));
            }
        };
        let mut notices = vec![chosen.check(&stems).map_err(|why| Error::Data(format!("{shown}: {why}")))?];
        let left: Vec<String> = (0..files.len())
            .filter(|&index| !chosen.has(index))
            .map(|index| name_of(&files[index]))
            .chain(others.iter().map(|other| name_of(other)))
            .collect();
        notices.extend(left_out(&left));
        let key = if called.is_some() { None } else { key.map(str::to_string) };
        let files: Vec<PathBuf> = chosen.members.iter().map(|member| files[member.1].clone()).collect();
        let outlines = match key {
            Some(_) => Vec::new(),
            None => ArrayFile::open(&files[0], Purpose::Arrays)?.outlines().to_vec(),
        };
        let is_weights = |outline: &Outline| outline.shape.as_ref().is_some_and(|shape| !shape.is_empty());
        let several: Vec<Outline> = outlines.into_iter().filter(is_weights).collect();
        let found = |name: &str, key: Option<String>, shape: &[usize]| Found {
            name: name.into(),
            shape: [&[files.len()][..], shape].concat(),
            is_numbered: true,
            arrays: vec![key],
        };
        match arrays::read(&files[0], key.as_deref(), OPTION) {
            Ok(first) => {
                let name = key.as_deref().or(first.name.as_deref()).unwrap_or_default();
                let found = vec![found(name, key.clone(), &first.shape)];
                Ok(Self { found, refusal: None, notices, store: Store::Folder(files) })
            }
            Err(refused) if several.len() > 1 => {
                let found = several.iter().filter_map(|outline| {
                    Some(found(outline.name.as_deref()?, outline.name.clone(), outline.shape.as_ref()?))
                });
                let (found, refusal) = (found.collect(), Some(refused.to_string()));
                Ok(Self { found, refusal, notices, store: Store::Folder(files) })
            }
            Err(refused) => Err(refused),
        }
    }

    /// Whether this is `history.npz` of a run of this program: beside it, or above it, lies the run's manifest, and its arrays
    /// have the names of the run's layers, or, of an older run, the size of the one that the manifest tells of.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        let is_named = path.file_name().is_some_and(|name| name == "history.npz");
        let Some(manifest) = is_named.then(|| manifest_above(path)).flatten() else { return false };
        let is_layer = |found: &Found| {
            let number =
                found.name.strip_suffix(".weight").map(|layer| layer.trim_end_matches(|c: char| c.is_ascii_digit()));
            !found.is_numbered && matches!(number, Some("dense" | "conv"))
        };
        if self.found.iter().all(is_layer) {
            return true;
        }
        let Store::File(file) = &self.store else { return false };
        let [Found { is_numbered: false, shape, .. }] = &self.found[..] else { return false };
        let ([_, _, weight_count], ["history"]) =
            (&shape[..], &file.names().iter().map(String::as_str).collect::<Vec<_>>()[..])
        else {
            return false;
        };
        let number = |value: &serde_json::Value| value.as_u64().and_then(|units| usize::try_from(units).ok());
        // The last two hidden layers, one after the other or all alike.
        let hidden: Vec<usize> = match manifest.configuration.get("hidden").and_then(|hidden| hidden.as_array()) {
            Some(hidden) => hidden.iter().filter_map(number).collect(),
            None => manifest.configuration.get("width").and_then(number).map_or(Vec::new(), |width| vec![width; 2]),
        };
        let focus = hidden.last_chunk().and_then(|[inputs, units]: &[usize; 2]| inputs.checked_mul(*units));
        focus == Some(*weight_count)
    }

    /// How many arrays the history with this index lies in.
    fn parts(&self, index: usize) -> usize {
        match &self.store {
            Store::File(_) => self.found[index].arrays.len(),
            Store::Folder(files) => files.len(),
        }
    }

    /// Sizes of the axes of each of its arrays.
    fn expected(&self, index: usize) -> &[usize] {
        let found = &self.found[index];
        &found.shape[usize::from(found.is_numbered)..]
    }

    /// Refuses an array of other sizes than the first epoch's.
    fn check(&self, index: usize, part: usize, path: &Path, shape: &[usize]) -> Result<()> {
        let (expected, found) = (self.expected(index), &self.found[index]);
        if shape == expected {
            return Ok(());
        }
        let name = match &self.store {
            Store::File(_) => found.arrays[part].clone().unwrap_or_default(),
            Store::Folder(files) => files[part].display().to_string(),
        };
        Err(Error::Data(format!(
            "{}: {name} has the shape {shape:?}, but the first epoch {expected:?}; each epoch needs the same weights",
            path.display()
        )))
    }

    /// Where the numbers of the history with this index lie: one place for each of its arrays; `None` if they have to be read
    /// as a whole.
    pub(super) fn locate(&mut self, index: usize, path: &Path) -> Result<Option<Vec<Location>>> {
        let mut places = Vec::new();
        for part in 0..self.parts(index) {
            let array = &self.found[index].arrays;
            let place = match &mut self.store {
                Store::File(file) => file.locate(array[part].as_deref(), OPTION)?,
                Store::Folder(files) => ArrayFile::open(&files[part], Purpose::Arrays)?
                    .locate(array[0].as_deref(), OPTION)?
                    .map(Location::closed),
            };
            let Some(place) = place else { return Ok(None) };
            self.check(index, part, path, place.shape())?;
            places.push(place);
        }
        Ok(Some(places))
    }

    /// Reads all numbers of the history with this index, in C order of its shape, and says what the user should know of that.
    pub(super) fn read(&mut self, index: usize, path: &Path) -> Result<(Vec<f32>, Rounding, Vec<String>)> {
        let mut values = Vec::new();
        let mut rounding = Rounding::default();
        let mut notices = Vec::new();
        let count = self.parts(index);
        for part in 0..count {
            let names = &self.found[index].arrays;
            let array = match &mut self.store {
                Store::File(file) => file.read(names[part].as_deref(), OPTION)?,
                Store::Folder(files) => arrays::read(&files[part], names[0].as_deref(), OPTION)?,
            };
            self.check(index, part, path, &array.shape)?;
            rounding = rounding.with(array.rounding);
            for notice in array.notices {
                if !notices.contains(&notice) {
                    notices.push(notice);
                }
            }
            if count == 1 {
                values = array.values;
            } else {
                values.extend(array.values);
            }
        }
        Ok((values, rounding, notices))
    }
}

/// The manifest of the run that a file belongs to: beside it, or above it.
fn manifest_above(path: &Path) -> Option<Manifest> {
    let path = path.canonicalize().ok()?;
    path.ancestors().skip(1).take(4).find_map(|folder| Manifest::read(folder).ok().flatten())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file in a folder that arrays are read from, if there is one and no other.
fn only_file_of_arrays(folder: &Path) -> Option<PathBuf> {
    let mut files = entries(folder).ok()?.into_iter().filter(|entry| holds_arrays(entry));
    files.next().filter(|_| files.next().is_none())
}

/// Whether a file in a folder is one that arrays are read from.
fn holds_arrays(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    // Nothing but files is opened: a pipe would wait for somebody to write.
    if is_hidden || !path.is_file() {
        return false;
    }
    match Input::open(path).map(|input| FileKind::of(input.head(), path)) {
        Ok(FileKind::Zip) => ArrayFile::open(path, Purpose::Arrays).is_ok(),
        Ok(FileKind::Npy | FileKind::Safetensors) => true,
        _ => false,
    }
}
