//! What data sets there are, where their files lie, and whether these are the ones that ship with the project.

use super::mnist;
use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::io::ErrorKind;
use std::path::PathBuf;

/// The list of files with their checksums is the one that people read.
const README: &str = include_str!("../../datasets/README.md");

/// One data set, as the `--data` argument names it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub id: &'static str,
    /// What it shows.
    pub what: &'static str,
    /// Images for training and for testing, and their size.
    pub sizes: &'static str,
    /// Who may use it.
    pub licence: &'static str,
    /// How one comes by it.
    pub origin: Origin,
    /// Folders in which its files are looked for, in that order; none unless it ships with the project.
    pub looked_in: Vec<PathBuf>,
    /// The folder in which they are; `None` if they are in none, or if it does not ship.
    pub found_in: Option<PathBuf>,
}

/// How one comes by a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Its files come with the project.
    Shipped,
    /// It is made when it is asked for.
    Generated,
    /// The user has it.
    Yours,
}

/// All data sets.
pub fn entries() -> Vec<Entry> {
    use Origin::{Generated, Shipped, Yours};
    let places = mnist::shipped_places();
    let found = mnist::find(places.clone()).ok();
    let sets = [
        ("mnist", "handwritten digits, 10 classes", "60,000 + 10,000 of 28 x 28 pixels", Shipped),
        (
            "pr",
            "\"processed\": 100 images of each digit, drawn from mnist by seed",
            "1,000 + 10,000 of 28 x 28 pixels",
            Shipped,
        ),
        (
            "ct",
            "\"contrived\": generated noise whose mean depends on the class, 10 classes",
            "500 + 500 of 100 x 100 pixels",
            Generated,
        ),
        (
            "sc=PATH",
            "your pictures of fish scales, a class for each age",
            "all of yours, brought to 100 x 100 pixels",
            Yours,
        ),
        (
            "sc-synthetic",
            "synthetic: scale-like pictures with 0 to 4 growth rings, 5 classes",
            "2,650 + 530 of 100 x 100 pixels",
            Generated,
        ),
        (
            "xr=PATH",
            "your chest x-rays, e.g. MedMNIST's pneumoniamnist.npz",
            "all of yours, brought to 100 x 100 pixels",
            Yours,
        ),
        (
            "xr-synthetic",
            "synthetic: chest-like pictures without and with opacities, 2 classes",
            "1,000 + 200 of 100 x 100 pixels",
            Generated,
        ),
        (
            "any=PATH",
            "your folder of images, IDX files or .npz archive, gray or in colour",
            "all of yours, in their size",
            Yours,
        ),
    ];
    let entry = |(id, what, sizes, origin)| {
        let licence = match origin {
            Shipped => "CC BY-SA 3.0, Yann LeCun and Corinna Cortes",
            Generated => "generated, nobody's",
            Yours => "yours to know",
        };
        let (looked_in, found_in) =
            if origin == Shipped { (places.clone(), found.clone()) } else { (Vec::new(), None) };
        Entry { id, what, sizes, licence, origin, looked_in, found_in }
    };
    sets.map(entry).into()
}

/// What became of a file that ships with the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// It is the file that ships.
    Intact,
    /// There is another file of its name.
    Different,
    /// There is no file of its name.
    Missing,
}

/// One file of [`verify`].
#[derive(Clone, Debug, Serialize)]
pub struct CheckedFile {
    /// Where it should be.
    pub path: PathBuf,
    /// The SHA-256 that it should have.
    pub expected: String,
    /// What was found.
    pub state: FileState,
}

/// Compares the files that ship with the project with their checksums.
///
/// Fails with [`Error::Data`] if their folder is not found, or if one of them cannot be read.
pub fn verify() -> Result<Vec<CheckedFile>> {
    let folder = mnist::find(mnist::shipped_places())?;
    shipped_files()
        .map(|(name, expected)| {
            // The list names files from the folder `datasets`; what was found is its folder `mnist`.
            let path = folder.join(name.strip_prefix("mnist/").unwrap_or(name));
            let state = match std::fs::read(&path) {
                Ok(bytes) => {
                    let found = HEXLOWER.encode(&Sha256::digest(&bytes));
                    if found == expected { FileState::Intact } else { FileState::Different }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => FileState::Missing,
                Err(error) => {
                    return Err(Error::Data(format!("cannot read {}: {error}; check the file", path.display())));
                }
            };
            Ok(CheckedFile { path, expected: expected.into(), state })
        })
        .collect()
}

/// Names and checksums in the table of the README.
fn shipped_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    README.lines().filter_map(|line| {
        let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
        let (_, name, sum) = (cells.next()?, cells.next()?, cells.next()?);
        (sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((name, sum))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::entries as entries_of_folder;
    use std::collections::BTreeSet;

    #[test]
    fn the_shipped_files_are_intact() {
        let checked = verify().unwrap();
        assert!(checked.iter().all(|file| file.state == FileState::Intact), "{checked:?}");
        let listed: BTreeSet<_> = checked.into_iter().map(|file| file.path).collect();
        let there: BTreeSet<_> =
            entries_of_folder(&mnist::find(mnist::shipped_places()).unwrap()).unwrap().into_iter().collect();
        assert_eq!((&listed, listed.len()), (&there, 4), "the README must list every file once");
    }

    #[test]
    fn every_set_that_can_be_loaded_is_listed() {
        let sizes = |id: &str| entries().into_iter().find(|entry| entry.id == id).unwrap().sizes;
        for id in ["pr", "ct", "sc-synthetic", "xr-synthetic"] {
            let split = super::super::Source::parse(id.as_ref()).unwrap().load(1, &Default::default()).unwrap().split;
            let counted = [split.training.samples(), split.test.samples()].map(|count| count.to_string());
            let shape = format!("{} x {} pixels", split.test.height, split.test.width);
            let listed = sizes(id).replace(',', "");
            assert_eq!(listed, format!("{} + {} of {shape}", counted[0], counted[1]));
        }
        assert_eq!(sizes("mnist"), "60,000 + 10,000 of 28 x 28 pixels");
    }
}
