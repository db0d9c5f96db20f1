//! Archives in the form of MedMNIST (Yang et al., "MedMNIST v2", Scientific Data 10, 2023): the arrays `train_images`,
//! `train_labels`, `val_images`, `val_labels`, `test_images` and `test_labels` of unsigned bytes in one `.npz`.
//!
//! Images are `[sample, y, x]`, or `[sample, y, x, 3]` in colour; labels `[sample]` or `[sample, 1]`.

use super::files::Parts;
use super::{Dataset, classes};
use crate::error::{Error, Result};
use crate::run_folder::import;
use image::{Pixel, Rgb};
use std::path::Path;

/// Reads the training and the test set. Validation images join neither: nothing is chosen by them here.
///
/// Fails with [`Error::Data`] if the archive is damaged, lacks one of the arrays, or holds other numbers or shapes.
pub(super) fn read(name: &str, path: &Path) -> Result<Parts> {
    let shown = path.display();
    let names = import::npz_names(path)?;
    let wanted = ["train_images", "train_labels", "test_images", "test_labels"];
    let missing: Vec<&str> = wanted.into_iter().filter(|wanted| !names.iter().any(|name| name == wanted)).collect();
    if !missing.is_empty() {
        let found = if names.is_empty() { "no arrays at all".into() } else { classes::shortened(&names) };
        return Err(Error::Data(format!(
            "{shown} has no array {}, but {found}; an archive in the form of MedMNIST has {}",
            missing.join(", "),
            wanted.join(", ")
        )));
    }
    let mut notices = Vec::new();
    if names.iter().any(|name| name == "val_labels") {
        let images = import::read_bytes(path, "val_labels")?.shape.first().copied().unwrap_or(0);
        notices.push(format!("{name}: the {images} validation images are left out; training and test images are used"));
    }
    let part = |part| read_part(name, path, part);
    classes::number(part("train")?, Some(part("test")?), notices)
}

fn read_part(name: &str, path: &Path, part: &str) -> Result<Dataset> {
    let refused = |array: &str, shape: &[usize], why: &str| {
        Error::Data(format!("{}, array {part}_{array}: the shape {shape:?} {why}", path.display()))
    };
    let images = import::read_bytes(path, &format!("{part}_images"))?;
    let labels = import::read_bytes(path, &format!("{part}_labels"))?;
    if images.shape.contains(&0) {
        return Err(refused("images", &images.shape, "has no pixels; write the archive again"));
    }
    let (height, width, pixels) = match images.shape[..] {
        [_, height, width] | [_, height, width, 1] => (height, width, images.values),
        [_, height, width, 3] => (height, width, luma(&images.values)),
        _ => {
            return Err(refused(
                "images",
                &images.shape,
                "is not that of images; [sample, y, x] or [sample, y, x, 3] is read",
            ));
        }
    };
    if !matches!(labels.shape[..], [_] | [_, 1]) {
        return Err(refused("labels", &labels.shape, "is not one label for each image; only single labels are learnt"));
    }
    let (samples, labelled) = (images.shape[0], labels.shape[0]);
    if samples != labelled {
        return Err(Error::Data(format!(
            "{}: {part}_images has {samples} images, but {part}_labels has {labelled} labels; write the archive again",
            path.display()
        )));
    }
    Dataset::new(name, pixels, labels.values, height, width, classes::MOST_CLASSES)
}

/// The gray values of pixels with three colours.
fn luma(colours: &[u8]) -> Vec<u8> {
    colours.chunks_exact(3).map(|colour| Rgb([colour[0], colour[1], colour[2]]).to_luma().0[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::{NamedArray, npz};
    use tempfile::TempDir;

    type Array = (&'static str, Vec<usize>, Vec<u8>);

    /// Three training, one validation and two test images of 2 x 3 pixels.
    fn arrays() -> Vec<Array> {
        let pixels = |images: u8| (0..images * 6).collect();
        vec![
            ("train_images", vec![3, 2, 3], pixels(3)),
            ("train_labels", vec![3, 1], vec![1, 0, 1]),
            ("val_images", vec![1, 2, 3], pixels(1)),
            ("val_labels", vec![1, 1], vec![0]),
            ("test_images", vec![2, 2, 3], pixels(2)),
            ("test_labels", vec![2, 1], vec![0, 1]),
        ]
    }

    fn read_arrays(arrays: &[Array]) -> Result<Parts> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("set.npz");
        let named: Vec<NamedArray<'_>> = arrays
            .iter()
            .map(|(name, shape, values)| NamedArray { name, shape, values: values.as_slice().into() })
            .collect();
        npz::write(&path, &named).unwrap();
        read("toy", &path)
    }

    /// The message about the arrays with one replaced, or taken out if there is no other.
    fn message(name: &'static str, other: Option<(Vec<usize>, Vec<u8>)>) -> String {
        let mut arrays = arrays();
        arrays.retain(|array| array.0 != name);
        arrays.extend(other.map(|(shape, values)| (name, shape, values)));
        let error = read_arrays(&arrays).unwrap_err();
        assert!(matches!(error, Error::Data(_)));
        error.to_string()
    }

    #[test]
    fn training_and_test_images_are_read_and_validation_images_left_out_with_a_notice() {
        let parts = read_arrays(&arrays()).unwrap();
        assert_eq!(parts.training, Dataset::new("toy", (0..18).collect(), vec![1, 0, 1], 2, 3, 2).unwrap());
        assert_eq!(parts.test, Some(Dataset::new("toy", (0..12).collect(), vec![0, 1], 2, 3, 2).unwrap()));
        assert_eq!(parts.notices.len(), 1);
        assert!(parts.notices[0].contains("1 validation images are left out"), "{:?}", parts.notices);
    }

    #[test]
    fn labels_may_have_one_axis_and_validation_images_may_be_missing() {
        let mut arrays = arrays();
        arrays.retain(|array| !array.0.starts_with("val"));
        for array in &mut arrays {
            array.1.truncate(if array.0.ends_with("labels") { 1 } else { 3 });
        }
        let parts = read_arrays(&arrays).unwrap();
        assert_eq!((parts.training.labels.as_slice(), parts.notices.len()), ([1, 0, 1].as_slice(), 0));
    }

    /// White, black, and the three primary colours with the weights of ITU-R BT.709.
    #[test]
    fn colours_become_luma() {
        let colours = [255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
        let expected = [255.0, 0.0, 255.0 * 0.2126, 255.0 * 0.7152, 255.0 * 0.0722];
        for (found, expected) in luma(&colours).into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() <= 1.0, "{found}, not {expected}");
        }
        let mut arrays = arrays();
        arrays[0] = ("train_images", vec![3, 2, 3, 3], vec![80; 54]);
        assert_eq!(read_arrays(&arrays).unwrap().training.images, [80; 18]);
    }

    #[test]
    fn a_missing_array_is_named_with_those_that_are_there() {
        let message = message("test_labels", None);
        assert!(message.contains("no array test_labels, but train_images"), "{message}");
    }

    #[test]
    fn other_shapes_are_refused() {
        let images = message("test_images", Some((vec![2, 6], vec![0; 12])));
        assert!(images.contains("test_images") && images.contains("[2, 6]"), "{images}");
        let labels = message("train_labels", Some((vec![3, 2], vec![0; 6])));
        assert!(labels.contains("train_labels") && labels.contains("one label for each image"), "{labels}");
        let empty = message("train_images", Some((vec![0, 2, 3], vec![])));
        assert!(empty.contains("no pixels"), "{empty}");
        let number = message("train_labels", Some((vec![2], vec![0, 1])));
        assert!(number.contains("3 images") && number.contains("2 labels"), "{number}");
    }
}
