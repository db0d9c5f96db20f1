//! Folders of images: a folder for each class, or such folders for training and for testing.
//!
//! Headers of all images are read first, so that a wrong size or kind is found before much is decoded; then all pixels,
//! in parallel and each image into its own place. Training starts with a set that is whole.

use super::Dataset;
use super::classes::{self, MOST_CLASSES, shortened};
use super::files::Parts;
use super::fit::Square;
use super::picture;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Names of folders that hold a part of a set, in small letters.
const TRAINING: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// Files and folders that systems leave behind, in small letters; they and hidden ones are no data.
const LEFT_BEHIND: [&str; 3] = ["thumbs.db", "desktop.ini", "__macosx"];

/// Reads a folder in which each class has a folder, or which has such folders in `train` and `test`. Images in `val` join
/// neither: nothing is chosen by them here.
///
/// Classes come in the order of their names, as numbers if all names are; images in the order of theirs. Without a
/// `square` all images must have one size. Fails with [`Error::Data`] if an image cannot be read, and names it; if there
/// are fewer than two classes or more than 256, or a class is empty; if sizes are mixed.
pub(super) fn read(name: &str, folder: &Path, square: Option<Square>) -> Result<Parts> {
    let mut notices = Vec::new();
    let folders = subfolders(folder, &mut notices)?;
    let part_of = |words: &[&str]| folders.iter().find(|path| words.contains(&file_name(path).to_lowercase().as_str()));
    let (training, validation) = (part_of(&TRAINING), part_of(&VALIDATION));
    match (training, part_of(&TEST)) {
        (Some(training), Some(test)) => {
            if let Some(validation) = validation {
                notices.push(format!("{name}: the images in {} are left out", validation.display()));
            }
            let training = Listing::new(training, &subfolders(training, &mut notices)?, &mut notices)?;
            let test = Listing::new(test, &subfolders(test, &mut notices)?, &mut notices)?;
            if let Some((class, place, other)) = training.class_missing_in(&test) {
                return Err(Error::Data(format!(
                    "the class {class} is in {}, but not in {}; both need the same classes",
                    place.display(),
                    other.display()
                )));
            }
            let size = common_size(&[&training, &test], square)?;
            Ok(Parts {
                training: training.decode(name, size, square)?,
                test: Some(test.decode(name, size, square)?),
                class_names: training.class_names,
                notices,
            })
        }
        (Some(training), None) if validation.is_some() => Err(Error::Data(format!(
            "{} has folders for training and for validation, but none for testing; name one of them test, or give {} alone",
            folder.display(),
            training.display()
        ))),
        _ => {
            let listing = Listing::new(folder, &folders, &mut notices)?;
            let size = common_size(&[&listing], square)?;
            let training = listing.decode(name, size, square)?;
            Ok(Parts { training, test: None, class_names: listing.class_names, notices })
        }
    }
}

/// The visible entries of a folder, sorted by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error| Error::Data(format!("cannot read the folder {}: {error}; check the path", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(cannot)?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(cannot)?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_hidden(path: &Path) -> bool {
    let name = file_name(path);
    name.starts_with('.') || LEFT_BEHIND.contains(&name.to_lowercase().as_str())
}

/// The folders in a folder; says which files beside them are skipped.
fn subfolders(folder: &Path, notices: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let (hidden, visible): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(|path| is_hidden(path));
    let (folders, files): (Vec<_>, Vec<_>) = visible.into_iter().partition(|path| path.is_dir());
    skip(folder, "outside the folders of the classes", &files, notices);
    skip(folder, "hidden", &hidden, notices);
    Ok(folders)
}

fn skip(folder: &Path, why: &str, paths: &[PathBuf], notices: &mut Vec<String>) {
    if !paths.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| file_name(path)).collect();
        notices.push(format!("{}: skipped, since {why}: {}", folder.display(), shortened(&names)));
    }
}

/// Which images a folder has, and their classes.
struct Listing {
    folder: PathBuf,
    class_names: Vec<String>,
    images: Vec<PathBuf>,
    labels: Vec<u8>,
}

impl Listing {
    /// Lists the images in the folders of the classes.
    fn new(folder: &Path, folders: &[PathBuf], notices: &mut Vec<String>) -> Result<Self> {
        let shown = folder.display();
        let refused = |message: String| Err(Error::Data(format!("{shown} {message}")));
        let mut class_names: Vec<String> = folders.iter().map(|path| file_name(path)).collect();
        match folders {
            [] => {
                return refused(
                    "has no folders in it; put the images of each class into a folder of its own, named by the class"
                        .into(),
                );
            }
            [only] => {
                return refused(format!(
                    "has only one class, {}; a network needs two or more (if the folders of the classes lie in that one, name \
                     it instead)",
                    file_name(only)
                ));
            }
            _ if folders.len() > MOST_CLASSES => {
                return refused(format!(
                    "has {} classes (one for each folder in it), but no more than {MOST_CLASSES} can be learnt; leave some out",
                    folders.len()
                ));
            }
            _ => {}
        }
        classes::sort_names(&mut class_names);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        let mut empty = Vec::new();
        for (label, class) in (0..=u8::MAX).zip(&class_names) {
            let Some(class_folder) = folders.iter().find(|path| file_name(path) == *class) else { continue };
            let found = images_of_class(class_folder, notices)?;
            if found.is_empty() {
                empty.push(class.clone());
            }
            labels.resize(labels.len() + found.len(), label);
            images.extend(found);
        }
        if !empty.is_empty() {
            return refused(format!(
                "has no images ({}) of the class {}; add some, or remove the folder",
                picture::FORMATS,
                shortened(&empty)
            ));
        }
        Ok(Self { folder: folder.into(), class_names, images, labels })
    }

    /// A class that one of two listings has and the other has not: its name, where it is, where it is not.
    fn class_missing_in<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a Path, &'a Path)> {
        let lone = |from: &'a Self, to: &'a Self| {
            let class = from.class_names.iter().find(|class| !to.class_names.contains(class))?;
            Some((class.as_str(), from.folder.as_path(), to.folder.as_path()))
        };
        lone(self, other).or_else(|| lone(other, self))
    }

    /// Reads all pixels. `size` is width and height of every image, once it is fitted into the square if there is one.
    fn decode(&self, name: &str, size: (u32, u32), square: Option<Square>) -> Result<Dataset> {
        let (width, height) = (size.0 as usize, size.1 as usize);
        let pixels = width * height;
        let bytes = self.images.len().saturating_mul(pixels);
        let mut images = Vec::new();
        images.try_reserve_exact(bytes).map_err(|_| {
            Error::Job(format!(
                "{}: {} images of {width} x {height} do not fit the memory of this machine; use a smaller --side",
                self.folder.display(),
                self.images.len()
            ))
        })?;
        images.resize(bytes, 0);
        let fill = |place: &mut [u8], path: &Path| {
            let image = picture::decode(path)?;
            let image = match square {
                Some(square) => square.apply(image),
                None => image,
            };
            if image.dimensions() != size {
                return Err("it changed while it was read".into());
            }
            place.copy_from_slice(image.as_raw());
            Ok(())
        };
        let unreadable = images.par_chunks_mut(pixels).zip(&self.images);
        let unreadable = unreadable.filter_map(|(place, path)| Some((path, fill(place, path).err()?))).collect();
        refuse_unreadable(unreadable, &self.folder)?;
        Dataset::new(name, images, self.labels.clone(), height, width, self.class_names.len())
    }
}

/// The images in the folder of a class, sorted by name; says what it skips.
fn images_of_class(folder: &Path, notices: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let (hidden, visible): (Vec<_>, Vec<_>) = entries(folder)?.into_iter().partition(|path| is_hidden(path));
    let (folders, files): (Vec<_>, Vec<_>) = visible.into_iter().partition(|path| path.is_dir());
    let (images, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| picture::is_named_as_image(path));
    skip(folder, "hidden", &hidden, notices);
    skip(folder, "a folder in the folder of a class", &folders, notices);
    skip(folder, "not named as an image", &others, notices);
    Ok(images)
}

/// Width and height that all images have, or are to have.
fn common_size(listings: &[&Listing], square: Option<Square>) -> Result<(u32, u32)> {
    let mut first: Option<((u32, u32), &Path)> = None;
    for listing in listings {
        let sizes: Vec<_> = listing.images.par_iter().map(|path| (path, picture::size(path))).collect();
        let mut unreadable = Vec::new();
        let mut other = None;
        for (path, size) in sizes {
            match (size, first) {
                (Err(why), _) => unreadable.push((path, why)),
                (Ok(size), None) => first = Some((size, path)),
                (Ok(size), Some((expected, _))) if size != expected => other = other.or(Some((size, path))),
                _ => {}
            }
        }
        refuse_unreadable(unreadable, &listing.folder)?;
        if let (Some((size, path)), Some((expected, example)), None) = (other, first, square) {
            return Err(Error::Data(format!(
                "images differ in size: {} is {} x {}, {} is {} x {} pixels; bring them to one size with --side N (and --fit \
                 resize or pad)",
                example.display(),
                expected.0,
                expected.1,
                path.display(),
                size.0,
                size.1
            )));
        }
    }
    match (square, first) {
        (Some(square), _) => Ok((square.side as u32, square.side as u32)),
        (None, Some((size, _))) => Ok(size),
        (None, None) => Err(Error::Data("there are no images; add some".into())),
    }
}

/// Fails and names the images that cannot be read, if there are any.
fn refuse_unreadable(unreadable: Vec<(&PathBuf, String)>, folder: &Path) -> Result<()> {
    if unreadable.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = unreadable.iter().map(|(path, why)| format!("{} ({why})", path.display())).collect();
    Err(Error::Data(format!(
        "{} of the images in {} cannot be used: {}; repair, replace or remove them",
        unreadable.len(),
        folder.display(),
        shortened(&named)
    )))
}
