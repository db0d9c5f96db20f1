//! Data sets of the user: what a path holds, its content decides.

use super::array_shape::without_needless_channels;
use super::classes::{self, Parts};
use super::fit::Square;
use super::left_out::shown_name;
use super::{archive, idx, images};
use crate::error::{Error, Result};
use crate::run_folder::entries;
use crate::run_folder::file_kind::{FileKind, Purpose};
use crate::run_folder::input::Input;
use std::path::{Path, PathBuf};

/// Reads a folder with a folder for each class, a folder of IDX files, an IDX file of images with its labels beside it, or
/// an archive in the form of MedMNIST or Keras. The set is called `name`, or without one as its files are. It is in colour if
/// any pixel is, unless `gray` is asked for.
///
/// Fails with [`Error::Data`] if there is nothing of that kind, or if it is damaged.
pub(super) fn read(name: Option<&str>, path: &Path, square: Option<Square>, gray: bool) -> Result<Parts> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| Error::Data(format!("--data: cannot read {}: {error}; check the path", path.display())))?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(Error::Data(format!(
            "--data: {} is a pipe, a device or a socket; name a folder or a file on disk",
            path.display()
        )));
    }
    let own_name = || tidy(&resolved(path).file_name().unwrap_or_default().to_string_lossy());
    let name_or = |own: String| name.map_or(own, str::to_string);
    let parts = if metadata.is_dir() {
        let found = idx_files(path)?;
        if found.is_empty() {
            return images::read(&name_or(own_name()), path, square, gray);
        }
        let (training, test) = training_and_test(path, &found)?;
        let common = tidy(set_name(&training));
        read_idx(&name_or(if common.is_empty() { own_name() } else { common }), &training, test.as_deref(), gray)?
    } else {
        let stem = own_name();
        let head = Input::open(path)?.head().to_vec();
        let kind = FileKind::of(&head, path);
        match head.as_slice() {
            [b'P', b'K', ..] => archive::read(&name_or(stem.trim_end_matches(".npz").into()), path, gray)?,
            [0x1f, 0x8b, ..] | [0, 0, ..] if !kind.is_packed_tar() => {
                let common = tidy(set_name(path));
                read_idx(&name_or(if common.is_empty() { stem } else { common }), path, None, gray)?
            }
            _ => return Err(Error::Data(format!("{} {}", path.display(), kind.sentence(Purpose::Images)))),
        }
    };
    let fitted = |set| match square {
        Some(square) => square.apply_to_set(set),
        None => set,
    };
    Ok(Parts { training: fitted(parts.training), test: parts.test.map(fitted), ..parts })
}

/// The path without `.` and `..`, so that a folder has a name.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// A name for columns and folders: letters, digits, `-`, `_` and `.` as they are, everything else as `-`.
fn tidy(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(kept).collect::<String>().trim_matches(['-', '_', '.']).into()
}

/// What stands before the part that says which file of a set an IDX file is: `letters` of `letters-train-images-idx3-ubyte`.
fn set_name(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let end = ["train", "t10k", "test", "images"].iter().filter_map(|word| name.find(word)).min();
    &name[..end.unwrap_or(0)]
}

/// IDX files of images in a folder; of a file that lies there in several spellings, the one that comes first of
/// [`idx::spellings`].
fn idx_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        let name = shown_name(&path);
        let axes = ["idx3", "idx4"].iter().any(|axes| name.contains(axes));
        if name.contains("images") && axes && !name.starts_with('.') && path.is_file() {
            files.push(path);
        }
    }
    let all = files.clone();
    files.retain(|path| {
        idx::spellings(path).into_iter().find(|spelling| all.contains(spelling)).is_none_or(|first| first == *path)
    });
    Ok(files)
}

/// Which of the IDX files of a folder is for training and which for testing.
fn training_and_test(folder: &Path, files: &[PathBuf]) -> Result<(PathBuf, Option<PathBuf>)> {
    let is_of = |path: &Path, words: &[&str]| {
        let name = shown_name(path);
        words.iter().any(|word| name.contains(word))
    };
    let (training, others): (Vec<_>, Vec<_>) = files.iter().partition(|path| is_of(path, &["train"]));
    match (training.as_slice(), others.as_slice()) {
        ([only], []) | ([], [only]) => Ok(((*only).clone(), None)),
        ([training], [test]) if is_of(test, &["t10k", "test"]) => Ok(((*training).clone(), Some((*test).clone()))),
        _ => {
            let names: Vec<String> = files.iter().map(|path| shown_name(path)).collect();
            Err(Error::Data(format!(
                "{} holds several sets of IDX images: {}; name one of these files, or a folder with one for training (train) \
                 and one for testing (t10k or test)",
                folder.display(),
                classes::shortened(&names)
            )))
        }
    }
}

fn read_idx(name: &str, training: &Path, test: Option<&Path>, gray: bool) -> Result<Parts> {
    let read = |images: &Path| idx::read_pair(name, images, &labels_of(images)?, classes::MOST_CLASSES);
    let (training, test) = without_needless_channels(read(training)?, test.map(read).transpose()?, gray);
    classes::number(training, test, Vec::new())
}

/// The file of labels that belongs to a file of images, compressed or not.
fn labels_of(images: &Path) -> Result<PathBuf> {
    let name = images.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains("images") {
        return Err(Error::Data(format!(
            "{} has no \"images\" in its name, so the name of the file of its labels is not known; name the files as \
             MNIST's are: NAME-images-idx3-ubyte (idx4 with an axis of channels) and NAME-labels-idx1-ubyte",
            images.display()
        )));
    }
    let labels =
        images.with_file_name(name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1"));
    if labels.is_file() {
        return Ok(labels);
    }
    Ok(idx::spellings(&labels).into_iter().find(|path| path.is_file()).unwrap_or(labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    /// Images of 2 x 2 pixels, a shade for each label, as a pair of IDX files.
    fn write_pair(folder: &Path, before: &str, labels: &[u8]) {
        let pixels: Vec<u8> = labels.iter().flat_map(|label| [label * 2; 4]).collect();
        let images = idx::encode(&[labels.len(), 2, 2], &pixels).unwrap();
        std::fs::write(folder.join(format!("{before}images-idx3-ubyte.gz")), images).unwrap();
        std::fs::write(
            folder.join(format!("{before}labels-idx1-ubyte.gz")),
            idx::encode(&[labels.len()], labels).unwrap(),
        )
        .unwrap();
    }

    #[test]
    fn a_folder_of_idx_files_has_its_own_split() {
        let folder = tempdir().unwrap();
        write_pair(folder.path(), "letters-train-", &[1, 2, 2, 1]);
        write_pair(folder.path(), "letters-test-", &[2, 1]);
        let parts = read(None, folder.path(), None, false).unwrap();
        assert_eq!((parts.training.name.as_str(), parts.training.labels.as_slice()), ("letters", &[0, 1, 1, 0][..]));
        assert_eq!(
            (parts.test.unwrap().images, parts.class_names.join(" ")),
            (vec![4, 4, 4, 4, 2, 2, 2, 2], "1 2".into())
        );
        assert_eq!(read(Some("sc"), folder.path(), None, false).unwrap().training.name, "sc");
    }

    #[test]
    fn a_pair_is_named_by_its_images_and_is_fitted() {
        let folder = tempdir().unwrap();
        write_pair(folder.path(), "", &[0, 1, 1, 0]);
        let square = Square { side: 3, fit: super::super::Fit::Pad };
        let images = folder.path().join("images-idx3-ubyte.gz");
        let parts = read(Some("mine"), &images, Some(square), false).unwrap();
        assert!(parts.test.is_none());
        assert_eq!((parts.training.height, parts.training.width), (3, 3));
        assert_eq!(read(Some("mine"), folder.path(), Some(square), false).unwrap().training, parts.training);
    }

    #[test]
    fn several_pairs_in_a_folder_are_listed() {
        let folder = tempdir().unwrap();
        for before in ["a-train-", "b-train-", "b-test-"] {
            write_pair(folder.path(), before, &[0, 1]);
        }
        let message = read(None, folder.path(), None, false).unwrap_err().to_string();
        assert!(message.contains("several sets") && message.contains("b-test-images-idx3-ubyte.gz"), "{message}");
        let one = folder.path().join("b-train-images-idx3-ubyte.gz");
        assert_eq!(read(None, &one, None, false).unwrap().training.name, "b");
    }

    #[test]
    fn a_fourth_axis_holds_the_channels() {
        let folder = tempdir().unwrap();
        let colours: Vec<u8> = (0..24).collect();
        let write = |name: &str, sizes: &[usize], values: &[u8]| {
            std::fs::write(folder.path().join(name), idx::encode(sizes, values).unwrap()).unwrap();
        };
        write("hues-images-idx4-ubyte.gz", &[2, 2, 2, 3], &colours);
        write("hues-labels-idx1-ubyte.gz", &[2], &[0, 1]);
        let training = read(None, folder.path(), None, false).unwrap().training;
        assert_eq!((training.name.as_str(), training.channels, &training.images), ("hues", 3, &colours));
        let gray = read(None, folder.path(), None, true).unwrap().training;
        assert_eq!((gray.channels, gray.images.len()), (1, 8));
        write("hues-images-idx4-ubyte.gz", &[2, 8, 8, 5], &[0; 640]);
        let error = read(None, folder.path(), None, false).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains("images of 5 channels; 1 (gray) and 3"), "{error}");
    }

    #[test]
    fn files_are_found_with_a_dot_in_their_names_as_with_a_dash() {
        let dash = tempdir().unwrap();
        write_pair(dash.path(), "train-", &[0, 1, 1, 0]);
        write_pair(dash.path(), "t10k-", &[1, 0]);
        let expected = read(Some("x"), dash.path(), None, false).unwrap();
        for (images, labels) in [(".idx3", ".idx1"), (".idx3", "-idx1"), ("-idx3", ".idx1")] {
            let folder = tempdir().unwrap();
            for path in entries(dash.path()).unwrap() {
                let name = shown_name(&path).replace("-idx3", images).replace("-idx1", labels);
                std::fs::copy(&path, folder.path().join(name)).unwrap();
            }
            let read = read(Some("x"), folder.path(), None, false).unwrap();
            assert_eq!((&read.training, &read.test), (&expected.training, &expected.test), "{images} {labels}");
        }
        // Both spellings side by side are one set.
        std::fs::copy(dash.path().join("train-images-idx3-ubyte.gz"), dash.path().join("train-images.idx3-ubyte.gz"))
            .unwrap();
        assert_eq!(read(Some("x"), dash.path(), None, false).unwrap().training, expected.training);
    }

    #[test]
    fn labels_are_found_beside_their_images_compressed_or_not() {
        let folder = tempdir().unwrap();
        let images = folder.path().join("x-images-idx3-ubyte");
        let [plain, gzip] = ["x-labels-idx1-ubyte", "x-labels-idx1-ubyte.gz"].map(|name| folder.path().join(name));
        assert_eq!(labels_of(&images).unwrap(), plain, "the name that an error should give");
        std::fs::write(&gzip, "").unwrap();
        assert_eq!(labels_of(&images).unwrap(), gzip);
        std::fs::write(&plain, "").unwrap();
        assert_eq!(labels_of(&images).unwrap(), plain);
        assert_eq!(labels_of(&folder.path().join("x-images-idx3-ubyte.gz")).unwrap(), gzip);
        assert!(labels_of(&plain).unwrap_err().to_string().contains("no \"images\" in its name"));
    }

    #[test]
    fn names_are_fit_for_columns_and_folders() {
        let names = [("my scales, 2020", "my-scales--2020"), ("..", ""), ("écailles_1.5", "écailles_1.5")];
        names.into_iter().for_each(|(name, expected)| assert_eq!(tidy(name), expected));
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        let folder = tempdir().unwrap();
        let message = |name: &str| read(None, &folder.path().join(name), None, false).unwrap_err().to_string();
        std::fs::write(folder.path().join("picture.png"), b"\x89PNG\r\n").unwrap();
        assert!(
            message("picture.png").contains("neither a .npz archive nor an IDX file"),
            "{}",
            message("picture.png")
        );
        let absent = message("absent");
        assert!(absent.contains("absent") && absent.contains("check the path"), "{absent}");
    }
}
