//! Where a history lies: in one array, in numbered arrays of one file, or in numbered files of a folder.

use super::axes::Axes;
use super::numbered::{Series, series};
use crate::error::{Error, Result};
use crate::run_folder::Manifest;
use crate::run_folder::file_kind::FileKind;
use crate::run_folder::import::{ArrayFile, ForeignArray, Outline, Rounding, listed};
use crate::run_folder::input::Input;
use std::path::{Path, PathBuf};

/// How a user names an array.
const OPTION: &str = "--history-key";

/// What was found, its numbers not yet read.
pub(super) struct Source<'a> {
    /// Sizes of the axes; the first are the epochs if `is_numbered`.
    pub(super) shape: Vec<usize>,
    /// Whether the epochs come from names.
    pub(super) is_numbered: bool,
    /// What the user should know.
    pub(super) notices: Vec<String>,
    parts: Parts<'a>,
}

enum Parts<'a> {
    /// Arrays of a file by name; without a name the only one.
    Arrays(ArrayFile<'a>, Vec<Option<String>>),
    /// A file for each epoch, and the array in each.
    Files(Vec<PathBuf>, Option<String>),
}

impl<'a> Source<'a> {
    /// Finds the history in a file or a folder.
    pub(super) fn open(path: &'a Path, key: Option<&str>, axes: &Axes) -> Result<Self> {
        if path.is_dir() { Self::in_folder(path, key) } else { Self::in_file(path, key, axes) }
    }

    fn in_file(path: &'a Path, key: Option<&str>, axes: &Axes) -> Result<Self> {
        let mut file = ArrayFile::open(path)?;
        let outlines = file.outlines()?;
        let names = file.names().to_vec();
        let shape_of = |index: usize| outlines[index].shape.as_ref();
        // Numbered arrays are epochs if they have one shape; scalars are no weights.
        let is_history = |series: &Series| {
            let first = shape_of(series.members[0].1);
            first.is_none_or(|shape| !shape.is_empty())
                && series.members.iter().all(|member| shape_of(member.1) == first)
        };
        let all = series(&names);
        if let Some(odd) = all.iter().find(|series| {
            !is_history(series)
                && series.pattern.to_lowercase().contains("epoch")
                && key.is_none_or(|key| series.is_called(key))
        }) {
            return Err(different_shapes(path, odd, &outlines));
        }
        let all: Vec<Series> = all.into_iter().filter(is_history).collect();
        let mut notices = Vec::new();
        let chosen = match key {
            Some(key) if names.iter().any(|name| name == key) => {
                let of_many = all.iter().find(|series| series.members.iter().any(|member| names[member.1] == key));
                if let Some(series) = of_many {
                    let is_said = matches!(axes, Axes::Named(axes) if outlines.iter().any(|outline| outline.name.as_deref() == Some(key) && outline.shape.as_ref().is_some_and(|shape| shape.len() == axes.len())));
                    let alone = format!("{key} is one of {} numbered arrays, {}", series.members.len(), series.pattern);
                    if !is_said {
                        return Err(Error::Data(format!(
                            "{}: {alone}, which are taken for an epoch each; leave {OPTION} out to read all of them as the history, or, if {key} alone holds all epochs, name its axes too, e.g. --axes epoch,out,in",
                            path.display()
                        )));
                    }
                    notices.push(format!("{alone}; it is read alone as a whole history, as --axes says"));
                }
                None
            }
            Some(key) => all.iter().find(|series| series.is_called(key)),
            None => {
                // An array with more axes beside the numbered ones may be a history too.
                let axes_of = |index: usize| shape_of(index).map_or(0, Vec::len);
                let is_larger = |series: &Series| {
                    (0..names.len()).any(|index| axes_of(index) > axes_of(series.members[0].1) && names.len() > 1)
                };
                match all.as_slice() {
                    [only] if !is_larger(only) => Some(only),
                    [] => None,
                    several => {
                        let labels: Vec<String> = several.iter().map(|series| series.label.clone()).collect();
                        let in_series = |index: usize| {
                            several.iter().any(|series| series.members.iter().any(|member| member.1 == index))
                        };
                        let others =
                            (0..names.len()).filter(|&index| !in_series(index)).map(|index| names[index].clone());
                        let choices: Vec<String> = labels.into_iter().chain(others).collect();
                        return Err(Error::Data(format!(
                            "{} can be read as several histories: {}; choose one with {OPTION} NAME",
                            path.display(),
                            listed(&choices)
                        )));
                    }
                }
            }
        };
        if let Some(series) = chosen {
            notices.push(series.check(&names).map_err(|why| Error::Data(format!("{}: {why}", path.display())))?);
            let left: Vec<String> = (0..names.len())
                .filter(|index| series.members.iter().all(|member| member.1 != *index))
                .map(|index| names[index].clone())
                .collect();
            notices.extend(left_out(&left));
            let members: Vec<Option<String>> =
                series.members.iter().map(|member| Some(names[member.1].clone())).collect();
            let shape = match shape_of(series.members[0].1) {
                Some(shape) => shape.clone(),
                // Reading says why it cannot be.
                None => file.read(members[0].as_deref(), OPTION)?.shape,
            };
            let shape = [&[members.len()][..], &shape].concat();
            return Ok(Self { shape, is_numbered: true, notices, parts: Parts::Arrays(file, members) });
        }
        let mut name = key.map(str::to_string);
        if name.is_none() && names.len() > 1 {
            // What cannot be a history leaves no choice.
            let can_be = |index: &usize| shape_of(*index).is_some_and(|shape| shape.len() > 1);
            let possible: Vec<usize> = (0..names.len()).filter(can_be).collect();
            match possible.as_slice() {
                [only] => {
                    let others: Vec<String> =
                        (0..names.len()).filter(|index| index != only).map(|index| names[index].clone()).collect();
                    notices.push(format!("{} is read as the history", names[*only]));
                    notices.extend(left_out(&others));
                    name = Some(names[*only].clone());
                }
                _ => {
                    return Err(Error::Data(format!(
                        "{} holds several arrays: {}; choose one with {OPTION} NAME",
                        path.display(),
                        listed(&described(&outlines))
                    )));
                }
            }
        }
        let meant: Vec<usize> = (0..outlines.len())
            .filter(|&index| name.is_none() || names.is_empty() || Some(&names[index]) == name.as_ref())
            .collect();
        let shape = match meant[..] {
            [index] if shape_of(index).is_some() => shape_of(index).cloned().unwrap_or_default(),
            // Reading says what is wrong with it.
            _ => file.read(name.as_deref(), OPTION)?.shape,
        };
        Ok(Self { shape, is_numbered: false, notices, parts: Parts::Arrays(file, vec![name]) })
    }

    fn in_folder(folder: &Path, key: Option<&str>) -> Result<Self> {
        let shown = folder.display();
        let cannot = |error: std::io::Error| Error::Data(format!("cannot read {shown}: {error}; check the path"));
        let mut entries: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(cannot)? {
            entries.push(entry.map_err(cannot)?.path());
        }
        entries.sort();
        let name_of = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if entries.iter().any(|entry| name_of(entry) == "saved_model.pb") {
            return Err(Error::Data(format!(
                "{shown} is a TensorFlow SavedModel; load it in Python and save the layer's weights after each epoch with numpy.save"
            )));
        }
        let (files, others): (Vec<PathBuf>, Vec<PathBuf>) = entries.into_iter().partition(|entry| holds_arrays(entry));
        let stems: Vec<String> =
            files.iter().map(|file| file.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
        let all = series(&stems);
        let called = key.and_then(|key| all.iter().find(|series| series.is_called(key)));
        let chosen = match (called, all.as_slice()) {
            (Some(series), _) | (None, [series]) => series,
            (None, []) => {
                let found = if files.is_empty() {
                    "no arrays".into()
                } else {
                    listed(&files.iter().map(name_of).collect::<Vec<_>>())
                };
                return Err(Error::Data(format!(
                    "{shown} has no history.npz of a run, and no files that are numbered by epoch, such as epoch_0.npy and epoch_1.npy, but {found}; name a run folder, such a folder, or a file"
                )));
            }
            (None, several) => {
                let kinds: Vec<String> =
                    several.iter().map(|series| format!("{} ({})", series.pattern, series.members.len())).collect();
                let labels: Vec<String> = several.iter().map(|series| series.label.clone()).collect();
                return Err(Error::Data(format!(
                    "{shown} has files numbered in several ways: {}; choose one with {OPTION} NAME ({}), or keep one kind in the folder",
                    listed(&kinds),
                    listed(&labels)
                )));
            }
        };
        let mut notices = vec![chosen.check(&stems).map_err(|why| Error::Data(format!("{shown}: {why}")))?];
        let left: Vec<String> = (0..files.len())
            .filter(|index| chosen.members.iter().all(|member| member.1 != *index))
            .map(|index| name_of(&files[index]))
            .chain(others.iter().map(name_of))
            .collect();
        notices.extend(left_out(&left));
        let key = if called.is_some() { None } else { key.map(str::to_string) };
        let files: Vec<PathBuf> = chosen.members.iter().map(|member| files[member.1].clone()).collect();
        let first = read_one(&files[0], key.as_deref())?;
        let shape = [&[files.len()][..], &first.shape].concat();
        Ok(Self { shape, is_numbered: true, notices, parts: Parts::Files(files, key) })
    }

    /// Whether this is `history.npz` of a run of this program: beside it, or above it, lies the run's manifest, and the array
    /// is as large as the layer that the manifest tells of.
    pub(super) fn is_own(&self, path: &Path) -> bool {
        let Parts::Arrays(file, _) = &self.parts else { return false };
        let [_, _, nodes] = self.shape[..] else { return false };
        if self.is_numbered || file.names() != ["history"] || path.file_name().is_none_or(|name| name != "history.npz")
        {
            return false;
        }
        let Ok(path) = path.canonicalize() else { return false };
        let manifest = path.ancestors().skip(1).take(4).find_map(|folder| Manifest::read(folder).ok().flatten());
        let width = manifest.and_then(|manifest| manifest.configuration.get("width")?.as_u64());
        width.and_then(|width| width.checked_mul(width)) == Some(nodes as u64)
    }

    /// Reads all numbers, in C order of `shape`.
    pub(super) fn read(&mut self, path: &Path) -> Result<(Vec<f32>, Rounding)> {
        let count = match &self.parts {
            Parts::Arrays(_, names) => names.len(),
            Parts::Files(files, _) => files.len(),
        };
        let mut values = Vec::new();
        let mut rounding = Rounding::default();
        for part in 0..count {
            let (array, name) = match &mut self.parts {
                Parts::Arrays(file, names) => {
                    let name = names[part].as_deref();
                    (file.read(name, OPTION)?, name.unwrap_or_default().to_string())
                }
                Parts::Files(files, key) => {
                    (read_one(&files[part], key.as_deref())?, files[part].display().to_string())
                }
            };
            let expected = &self.shape[usize::from(self.is_numbered)..];
            if array.shape != expected {
                return Err(Error::Data(format!(
                    "{}: {name} has the shape {:?}, but the first epoch {expected:?}; each epoch needs the same weights",
                    path.display(),
                    array.shape
                )));
            }
            rounding.relative = rounding.relative.max(array.rounding.relative);
            rounding.absolute = rounding.absolute.max(array.rounding.absolute);
            for notice in array.notices {
                if !self.notices.contains(&notice) {
                    self.notices.push(notice);
                }
            }
            if count == 1 {
                values = array.values;
            } else {
                values.extend(array.values);
            }
        }
        Ok((values, rounding))
    }
}

/// One array of a file that holds an epoch.
fn read_one(path: &Path, key: Option<&str>) -> Result<ForeignArray> {
    ArrayFile::open(path)?.read(key, OPTION)
}

/// Whether a file in a folder is one that arrays are read from.
fn holds_arrays(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    // Nothing but files is opened: a pipe would wait for somebody to write.
    !is_hidden
        && path.is_file()
        && Input::open(path).is_ok_and(|input| match FileKind::of(input.head(), path) {
            FileKind::Other(_) => false,
            FileKind::Zip => ArrayFile::open(path).is_ok(),
            FileKind::Npy | FileKind::Safetensors => true,
        })
}

fn left_out(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("left out: {}", listed(names)))
}

/// Names with shapes.
fn described(outlines: &[Outline]) -> Vec<String> {
    let one = |outline: &Outline| {
        let name = outline.name.as_deref().unwrap_or_default();
        outline.shape.as_ref().map_or_else(|| name.to_string(), |shape| format!("{name} {shape:?}"))
    };
    outlines.iter().map(one).collect()
}

fn different_shapes(path: &Path, series: &Series, outlines: &[Outline]) -> Error {
    let mut shown: Vec<Outline> = Vec::new();
    for member in &series.members {
        let outline = &outlines[member.1];
        if shown.iter().all(|known| known.shape != outline.shape) {
            shown.push(outline.clone());
        }
    }
    Error::Data(format!(
        "{} has numbered arrays of different shapes: {}; each epoch needs the same weights",
        path.display(),
        listed(&described(&shown))
    ))
}
