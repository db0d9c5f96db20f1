//! Images and labels as arrays of one `.npz`: in the form of MedMNIST (Yang et al., "MedMNIST v2", Scientific Data 10,
//! 2023), `train_images`, `train_labels`, `test_images`, `test_labels`, and `val_images`, `val_labels`, which are left out;
//! or in that of Keras, `x_train`, `y_train`, `x_test`, `y_test`.
//!
//! Images are `[sample, y, x]`, with an axis of one or three channels before or after `y, x`; labels
//! `[sample]` or `[sample, 1]`, or `[sample, class]` with a single 1 for each image. All are whole numbers of 0 to 255, of
//! whatever type. Arrays that are not used are not judged.

use super::Dataset;
use super::array_shape::{ArrayShape, without_needless_channels};
use super::classes::{self, Parts};
use crate::error::{Error, Result};
use crate::run_folder::arrays::{ArrayFile, ForeignArray};
use crate::run_folder::file_kind::Purpose;
use std::path::Path;

/// Training images and labels, test images and labels, as other programs name them.
const FORMS: [[&str; 4]; 2] =
    [["train_images", "train_labels", "test_images", "test_labels"], ["x_train", "y_train", "x_test", "y_test"]];

/// Reads the training and the test set, as gray if `gray` is asked for or no pixel has a colour. Validation images join
/// neither: nothing is chosen by them here.
///
/// Fails with [`Error::Data`] if the archive is damaged, lacks one of the arrays, or holds other numbers or shapes.
pub(super) fn read(name: &str, path: &Path, gray: bool) -> Result<Parts> {
    let mut file = ArrayFile::open(path, Purpose::Images)?;
    let names = file.names();
    let there = |wanted: &&str| names.iter().any(|name| name == wanted);
    // The form of which most is there; of both equally, the first.
    let form = FORMS.iter().rev().max_by_key(|form| form.iter().filter(|wanted| there(wanted)).count());
    let form = form.unwrap_or(&FORMS[0]);
    let missing: Vec<&str> = form.iter().copied().filter(|wanted| !there(wanted)).collect();
    if !missing.is_empty() {
        let found = if names.is_empty() { "no arrays at all".into() } else { classes::shortened(&names) };
        return Err(Error::Data(format!(
            "{} has no array {}, but {found}; an archive in the form of MedMNIST has {}, one of Keras {}",
            path.display(),
            missing.join(", "),
            FORMS[0].join(", "),
            FORMS[1].join(", ")
        )));
    }
    let mut notices = Vec::new();
    let mut others: Vec<String> = names.iter().filter(|name| !form.contains(&name.as_str())).cloned().collect();
    if let Some(labels) = others.iter().find(|name| ["val_labels", "y_val"].contains(&name.as_str())) {
        // Nothing is made of them, so they may be of any type.
        let count = file.read_bytes(labels).ok().and_then(|array| array.shape.first().copied());
        let images = count.map_or("the".into(), |count| format!("the {count}"));
        notices.push(format!("{name}: {images} validation images are left out; training and test images are used"));
        others.retain(|name| !name.starts_with("val_") && !name.ends_with("_val"));
    }
    if !others.is_empty() {
        notices
            .push(format!("{name}: left out the arrays {}, which belong to neither part", classes::shortened(&others)));
    }
    let [training_images, training_labels, test_images, test_labels] = *form;
    let training = read_part(name, path, &mut file, [training_images, training_labels], &mut notices)?;
    let test = read_part(name, path, &mut file, [test_images, test_labels], &mut Vec::new())?;
    let (training, test) = without_needless_channels(training, Some(test), gray);
    classes::number(training, test, notices)
}

fn read_part(
    name: &str,
    path: &Path,
    file: &mut ArrayFile<'_>,
    [images_name, labels_name]: [&str; 2],
    notices: &mut Vec<String>,
) -> Result<Dataset> {
    let refused = |why: String| Err(Error::Data(format!("{}{why}", path.display())));
    let of_shape =
        |array: &str, shape: &[usize], why: &str| refused(format!(", array {array}: the shape {shape:?} {why}"));
    let (images, labels) = (file.read_bytes(images_name)?, file.read_bytes(labels_name)?);
    if images.shape.contains(&0) {
        return of_shape(images_name, &images.shape, "has no pixels; write the archive again");
    }
    let shape = match ArrayShape::of(&images.shape) {
        Ok(shape) => shape,
        Err(why) => return of_shape(images_name, &images.shape, &why),
    };
    if shape.channels_first() {
        notices.push(format!(
            "{name}: {images_name} is {:?}: its three channels come before rows and columns",
            images.shape
        ));
    }
    let (samples, labelled) = (images.shape[0], labels.shape.first().copied().unwrap_or(0));
    if samples != labelled {
        return refused(format!(
            ": {images_name} has {samples} images, but {labels_name} has {labelled} labels; write the archive again"
        ));
    }
    let labels = match (&labels.shape[..], places_of_one(&labels)) {
        ([_] | [_, 1], _) => labels.values,
        ([_, classes], Some(places)) => {
            notices.push(format!(
                "{name}: the labels are one-hot, {classes} numbers for each image: the place of the 1 was taken as its class"
            ));
            places
        }
        _ => {
            let why = "is not one label for each image; only single labels are learnt";
            return of_shape(labels_name, &labels.shape, why);
        }
    };
    let images = shape.channels_last(images.values);
    Dataset::with_channels(name, images, labels, shape.sizes(), classes::MOST_CLASSES)
}

/// For each row of zeros and a single one, where that is; `None` if a row is not so.
fn places_of_one(labels: &ForeignArray<u8>) -> Option<Vec<u8>> {
    let classes = *labels.shape.last().filter(|classes| (2..=classes::MOST_CLASSES).contains(classes))?;
    let place = |row: &[u8]| {
        let place = row.iter().position(|&value| value == 1)?;
        let single = row.iter().filter(|&&value| value != 0).count() == 1;
        u8::try_from(place).ok().filter(|_| single)
    };
    labels.values.chunks_exact(classes).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::super::array_shape::luma;
    use super::*;
    use crate::run_folder::arrays::{self, NamedArray, Values};
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
        read_as(arrays, false)
    }

    fn read_as(arrays: &[Array], gray: bool) -> Result<Parts> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("set.npz");
        let named: Vec<NamedArray<'_>> =
            arrays.iter().map(|(name, shape, values)| NamedArray { name, shape, values: Values::U8(values) }).collect();
        arrays::write(&path, &named).unwrap();
        read("toy", &path, gray)
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
    fn axes_of_one_colour_and_of_labels_may_be_there_or_not_and_so_may_validation_images() {
        let expected = read_arrays(&arrays()).unwrap();
        for shape in [vec![3, 2, 3], vec![3, 2, 3, 1], vec![3, 1, 2, 3]] {
            let mut arrays = arrays();
            arrays.retain(|array| !array.0.starts_with("val"));
            arrays[0].1 = shape;
            arrays[1].1.truncate(1);
            let parts = read_arrays(&arrays).unwrap();
            assert_eq!((&parts.training, &parts.test, parts.notices.len()), (&expected.training, &expected.test, 0));
        }
    }

    #[test]
    fn colours_stay_colours_unless_gray_is_asked_for_or_all_are_gray() {
        let mut arrays = arrays();
        arrays[0] = ("train_images", vec![3, 2, 3, 3], (0..54).collect());
        arrays[4] = ("test_images", vec![2, 2, 3, 3], (100..136).collect());
        let parts = read_arrays(&arrays).unwrap();
        assert_eq!((parts.training.channels, parts.training.images), (3, (0..54).collect::<Vec<_>>()));
        assert_eq!((parts.test.unwrap().images, parts.notices.len()), ((100..136).collect::<Vec<_>>(), 1));
        let gray = read_as(&arrays, true).unwrap().training;
        assert_eq!((gray.channels, gray.images.len(), gray.images[0]), (1, 18, luma([0, 1, 2])));
        arrays[0].2 = vec![80; 54];
        arrays[4].2 = vec![90; 36];
        let parts = read_arrays(&arrays).unwrap();
        assert_eq!((parts.training.channels, parts.training.images), (1, vec![80; 18]));
    }

    #[test]
    fn channels_before_rows_and_columns_are_read_and_said() {
        let mut arrays = arrays();
        arrays[0] = ("train_images", vec![3, 3, 1, 2], (0..18).collect());
        arrays[4] = ("test_images", vec![2, 3, 1, 2], (0..12).collect());
        let parts = read_arrays(&arrays).unwrap();
        assert_eq!(parts.training.images[..6], [0, 2, 4, 1, 3, 5]);
        assert!(parts.notices.iter().any(|notice| notice.contains("[3, 3, 1, 2]")), "{:?}", parts.notices);
    }

    #[test]
    fn missing_arrays_and_other_shapes_are_refused() {
        for (name, other, words) in [
            ("test_labels", None, ["no array test_labels", "but train_images"]),
            ("test_images", Some((vec![2, 6], vec![0; 12])), ["test_images", "[2, 6]"]),
            ("train_labels", Some((vec![3, 2], vec![0; 6])), ["train_labels", "one label for each image"]),
            ("train_images", Some((vec![0, 2, 3], vec![])), ["train_images", "no pixels"]),
            ("train_images", Some((vec![3, 2, 2, 5], vec![0; 60])), ["[3, 2, 2, 5]", "images of 5 channels"]),
            (
                "train_images",
                Some((vec![3, 8, 8, 5], vec![0; 960])),
                ["train_images", "images of 5 channels; 1 (gray) and 3"],
            ),
            ("train_labels", Some((vec![2], vec![0, 1])), ["3 images", "2 labels"]),
        ] {
            let message = message(name, other);
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }

    #[test]
    fn the_form_of_keras_is_read_with_labels_of_one_or_two_axes() {
        let expected = read_arrays(&arrays()).unwrap();
        for axes in [1, 2] {
            let mut keras: Vec<Array> = arrays().into_iter().filter(|array| !array.0.starts_with("val")).collect();
            for (array, name) in keras.iter_mut().zip(FORMS[1]) {
                array.0 = name;
                if name.starts_with('y') {
                    array.1.truncate(axes);
                }
            }
            let parts = read_arrays(&keras).unwrap();
            assert_eq!((&parts.training, &parts.test), (&expected.training, &expected.test));
            assert!(parts.notices.is_empty(), "{:?}", parts.notices);
            keras.remove(2);
            let error = read_arrays(&keras).unwrap_err().to_string();
            assert!(error.contains("no array x_test, but x_train"), "{error}");
        }
    }

    #[test]
    fn one_hot_labels_are_read_and_said_and_several_labels_are_refused() {
        let mut arrays = arrays();
        arrays[1] = ("train_labels", vec![3, 2], vec![0, 1, 1, 0, 0, 1]);
        let parts = read_arrays(&arrays).unwrap();
        assert_eq!(parts.training.labels, [1, 0, 1]);
        assert!(parts.notices.iter().any(|notice| notice.contains("one-hot")), "{:?}", parts.notices);
        for values in [vec![1, 1, 1, 0, 0, 1], vec![0, 2, 1, 0, 0, 1], vec![0, 0, 1, 0, 0, 1]] {
            arrays[1] = ("train_labels", vec![3, 2], values);
            assert!(read_arrays(&arrays).unwrap_err().to_string().contains("train_labels"));
        }
    }

    #[test]
    fn arrays_that_are_not_used_are_named() {
        let mut arrays = arrays();
        arrays.push(("patients", vec![2], vec![7, 8]));
        let parts = read_arrays(&arrays).unwrap();
        assert!(parts.notices.iter().any(|notice| notice.contains("patients")), "{:?}", parts.notices);
    }
}
