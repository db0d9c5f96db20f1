//! The MNIST database of handwritten digits, which ships with the project in `datasets/mnist`.

use super::{Split, idx};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

const CLASSES: usize = 10;

/// The files of the set; each may also be spelled as [`idx::spellings`] has it.
pub(super) const TRAINING: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
pub(super) const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Reads 60,000 training and 10,000 test images of 28 x 28 pixels in 10 classes: from `folder`, or else from the
/// project's own copy. Any set in MNIST's files and classes will do.
///
/// The project's copy is looked for in the folder `mnist` of the environment variable `HOLDFAST_DATASETS` if that is set;
/// else in `datasets/mnist` of the current folder, then of the folder that the program was built in.
pub(super) fn load(folder: Option<&Path>) -> Result<Split> {
    let folder = match folder {
        Some(folder) => find(vec![folder.to_path_buf()])?,
        None => find(shipped_places())?,
    };
    let read = |[images, labels]: [&str; 2]| {
        idx::read_pair("mnist", &existing(&folder, images), &existing(&folder, labels), CLASSES)
    };
    Split::new(read(TRAINING)?, read(TEST)?)
}

/// Where the project's copy may lie. A folder that the user named is the only one: data from elsewhere would surprise.
pub(super) fn shipped_places() -> Vec<PathBuf> {
    match std::env::var_os("HOLDFAST_DATASETS") {
        Some(folder) => vec![PathBuf::from(folder).join("mnist")],
        None => vec![Path::new("datasets/mnist").into(), Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist")],
    }
}

/// The first of `places` that has the training images.
pub(super) fn find(places: Vec<PathBuf>) -> Result<PathBuf> {
    let looked = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" and in ");
    places.into_iter().find(|place| existing(place, TRAINING[0]).is_file()).ok_or_else(|| {
        Error::Data(format!(
            "MNIST was not found: there is no {}.gz (or the same without .gz, or with .idx3 for -idx3) in {looked}; run from the project's folder, set \
             HOLDFAST_DATASETS to its folder datasets, or name the folder of the four files with --data mnist=DIR",
            TRAINING[0]
        ))
    })
}

/// The path of a file in one of its spellings; the usual compressed one where there is none.
fn existing(folder: &Path, name: &str) -> PathBuf {
    let there = idx::spellings(&folder.join(name)).into_iter().find(|path| path.is_file());
    there.unwrap_or_else(|| folder.join(format!("{name}.gz")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist")
    }

    /// Counts as in table 1 of many descriptions of MNIST; they add up to 60,000 and 10,000.
    #[test]
    fn the_shipped_set_has_all_images_and_the_known_number_of_each_digit() {
        let split = load(Some(&shipped())).unwrap();
        assert_eq!((split.training.samples(), split.test.samples()), (60_000, 10_000));
        assert_eq!((split.training.height, split.training.width, split.training.classes), (28, 28, 10));
        assert_eq!(split.training.class_counts(), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(split.test.class_counts(), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        assert_eq!(split.training.labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let message = || match load(Some(folder.path())) {
            Err(Error::Data(message)) => message,
            other => panic!("{other:?}"),
        };
        let nothing = message();
        for words in [folder.path().to_str().unwrap(), "train-images-idx3-ubyte.gz", "mnist=DIR"] {
            assert!(nothing.contains(words), "{nothing}");
        }
        let file = "train-images-idx3-ubyte.gz";
        std::fs::copy(shipped().join(file), folder.path().join(file)).unwrap();
        assert!(message().contains("train-labels-idx1-ubyte.gz"), "{}", message());
        let places = find(vec!["nowhere/one".into(), "nowhere/two".into()]).unwrap_err().to_string();
        assert!(places.contains("nowhere/one and in nowhere/two"), "{places}");
    }
}
