//! Data sets as files for other programs, and for the eye: PNG images in a folder for each class, a contact sheet, IDX, an
//! archive in MedMNIST's form.

use super::{Dataset, Split, idx};
use crate::error::{Error, Result};
use crate::run_folder::arrays::{self, NamedArray, Values};
use crate::run_folder::{self, OutputFolder};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageBuffer, ImageEncoder, Luma, Pixel, Rgb, imageops};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Images of each class on a contact sheet.
const SHEET_COLUMNS: usize = 12;
/// Pixels between images on a contact sheet, and their gray.
const SHEET_GAP: u32 = 2;
const SHEET_GRAY: u8 = 128;
/// Longest side of an image on a contact sheet.
const SHEET_LARGEST: usize = 112;

/// Writes the first `limit` images of each class, or all, as `<part>/<class>/<index>.png` of a folder; returns how many.
/// `classes` are the names of the folders.
///
/// Fails with [`Error::Io`] if a file cannot be written.
pub fn write_images(
    set: &Dataset,
    classes: &[String],
    folder: &OutputFolder,
    part: &str,
    limit: Option<usize>,
) -> Result<usize> {
    let digits = (set.samples() - 1).to_string().len();
    let mut written = vec![0; set.classes];
    for (index, (pixels, &label)) in set.images.chunks_exact(set.image_len()).zip(&set.labels).enumerate() {
        let class = usize::from(label);
        if limit.is_some_and(|limit| written[class] == limit) {
            continue;
        }
        written[class] += 1;
        let path = folder.file(&format!("{part}/{}/{index:0digits$}.png", classes[class]))?;
        write_png(&path, pixels, [set.width, set.height, set.channels])?;
    }
    Ok(written.iter().sum())
}

/// Writes one picture with a row for each class and its first images in it, large ones made smaller.
///
/// Fails with [`Error::Io`] if the file cannot be written.
pub fn write_contact_sheet(set: &Dataset, path: &Path) -> Result<()> {
    if set.channels == 1 {
        write_sheet(set, path, Luma([SHEET_GRAY]))
    } else {
        write_sheet(set, path, Rgb([SHEET_GRAY; 3]))
    }
}

/// The same of a set whose pixels are `P`.
fn write_sheet<P: Pixel<Subpixel = u8> + 'static>(set: &Dataset, path: &Path, gap: P) -> Result<()> {
    let columns = SHEET_COLUMNS.min(set.class_counts().into_iter().max().unwrap_or(1));
    let shrink = (set.height.max(set.width) as f64 / SHEET_LARGEST as f64).max(1.0);
    let shown = |length: usize| ((length as f64 / shrink).round() as u32).max(1);
    let (image_width, image_height) = (shown(set.width), shown(set.height));
    let (cell_width, cell_height) = (image_width + SHEET_GAP, image_height + SHEET_GAP);
    let size = (columns as u32 * cell_width + SHEET_GAP, set.classes as u32 * cell_height + SHEET_GAP);
    let mut sheet = ImageBuffer::<P, Vec<u8>>::from_pixel(size.0, size.1, gap);
    let mut placed = vec![0; set.classes];
    for (pixels, &label) in set.images.chunks_exact(set.image_len()).zip(&set.labels) {
        let class = usize::from(label);
        if placed[class] == columns {
            continue;
        }
        let left = SHEET_GAP + placed[class] as u32 * cell_width;
        let top = SHEET_GAP + u32::from(label) * cell_height;
        placed[class] += 1;
        // A chunk of the set has the numbers of an image of the set.
        let image = ImageBuffer::<P, Vec<u8>>::from_raw(set.width as u32, set.height as u32, pixels.to_vec());
        let image = image.unwrap_or_default();
        let image = if shrink > 1.0 { imageops::thumbnail(&image, image_width, image_height) } else { image };
        imageops::replace(&mut sheet, &image, left.into(), top.into());
    }
    write_png(path, sheet.as_raw(), [size.0 as usize, size.1 as usize, set.channels])
}

/// What the files of [`write_idx`] are called before what they hold: nothing for a set of the paper, so that they are
/// named as MNIST's are; else the name of the set, so that it is not lost.
fn idx_prefix(set: &Dataset) -> String {
    if set.name.ends_with("-synthetic") { format!("{}-", set.name) } else { String::new() }
}

/// Writes the four compressed IDX files of a set, which `--data any=DIR` reads; returns their paths. They are named as
/// MNIST's, those of a made-up set with its name before, so that whoever reads them knows.
///
/// Fails with [`Error::Io`] if a file cannot be written.
pub fn write_idx(split: &Split, folder: &OutputFolder) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (set, names) in [(&split.training, super::mnist::TRAINING), (&split.test, super::mnist::TEST)] {
        // Colours have a fourth axis, which the name says as of the others.
        let (sizes, axes) =
            ([set.samples(), set.height, set.width, set.channels], if set.channels == 1 { 3 } else { 4 });
        let images = idx::encode(&sizes[..axes], &set.images)?;
        let labels = idx::encode(&[set.samples()], &set.labels)?;
        for (name, bytes) in names.into_iter().zip([images, labels]) {
            let name = name.replace("idx3", &format!("idx{axes}"));
            let path = folder.file(&format!("{}{name}.gz", idx_prefix(set)))?;
            run_folder::write(&path, |file| file.write_all(&bytes))?;
            files.push(path);
        }
    }
    Ok(files)
}

/// Writes a set as one `.npz` in the form of MedMNIST, which `--data any=FILE` reads: images `[sample, y, x]`, of colours
/// `[sample, y, x, 3]`, labels `[sample, 1]`. Returns its path.
///
/// Fails with [`Error::Io`] if the file cannot be written.
pub fn write_npz(split: &Split, folder: &OutputFolder) -> Result<PathBuf> {
    let path = folder.file(&format!("{}.npz", split.training.name))?;
    let shapes = |set: &Dataset| {
        let axes = if set.channels == 1 { 3 } else { 4 };
        ([set.samples(), set.height, set.width, set.channels][..axes].to_vec(), [set.samples(), 1])
    };
    let (training, test) = (shapes(&split.training), shapes(&split.test));
    let array = |name, shape, values| NamedArray { name, shape, values: Values::U8(values) };
    arrays::write(
        &path,
        &[
            array("train_images", &training.0, &split.training.images),
            array("train_labels", &training.1, &split.training.labels),
            array("test_images", &test.0, &split.test.images),
            array("test_labels", &test.1, &split.test.labels),
        ],
    )?;
    Ok(path)
}

/// Writes a picture of one or three channels.
fn write_png(path: &Path, pixels: &[u8], [width, height, channels]: [usize; 3]) -> Result<()> {
    let mut bytes = Vec::new();
    let colours = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let encoded = PngEncoder::new(&mut bytes).write_image(pixels, width as u32, height as u32, colours);
    encoded.map_err(|error| Error::Job(format!("{} cannot be drawn: {error}; use a smaller set", path.display())))?;
    run_folder::write_quickly(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{LoadOptions, Source};
    use crate::run_folder::FolderKind;
    use image::ColorType;
    use std::ffi::OsStr;
    use tempfile::tempdir;

    fn open(folder: &Path) -> OutputFolder {
        OutputFolder::open(folder, FolderKind::DataSet).unwrap()
    }

    /// Three images of 2 x 3 pixels in two classes.
    fn tiny() -> Dataset {
        let pixels = (0..18).map(|value| value * 10).collect();
        Dataset::new("tiny", pixels, vec![1, 0, 1], 2, 3, 2).unwrap()
    }

    fn names() -> Vec<String> {
        ["young", "old"].map(String::from).into()
    }

    fn pixels(path: &Path) -> (u32, u32, Vec<u8>) {
        let image = image::open(path).unwrap();
        assert_eq!(image.color(), ColorType::L8);
        (image.width(), image.height(), image.into_bytes())
    }

    #[test]
    fn each_image_is_written_once_into_the_folder_of_its_class() {
        let folder = tempdir().unwrap();
        let set = tiny();
        assert_eq!(write_images(&set, &names(), &open(folder.path()), "test", None).unwrap(), 3);
        for (index, class) in [1, 0, 1].into_iter().enumerate() {
            let expected = (3, 2, set.images[index * 6..][..6].to_vec());
            assert_eq!(pixels(&folder.path().join(format!("test/{}/{index}.png", names()[class]))), expected);
        }
    }

    #[test]
    fn a_limit_counts_for_each_class() {
        let folder = tempdir().unwrap();
        assert_eq!(write_images(&tiny(), &names(), &open(folder.path()), "test", Some(1)).unwrap(), 2);
        assert!(folder.path().join("test/old/0.png").is_file() && folder.path().join("test/young/1.png").is_file());
        assert!(!folder.path().join("test/old/2.png").exists());
    }

    #[test]
    fn a_contact_sheet_has_a_row_for_each_class() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        write_contact_sheet(&tiny(), &path).unwrap();
        let (width, height, found) = pixels(&path);
        assert_eq!((width, height), (2 * 5 + 2, 2 * 4 + 2));
        let at = |x: u32, y: u32| found[(y * width + x) as usize];
        // Class 0: image 1 at the left, nothing beside it; class 1: images 0 and 2.
        assert_eq!((at(2, 2), at(4, 3), at(7, 2)), (60, 110, SHEET_GRAY));
        assert_eq!((at(2, 6), at(7, 6), at(0, 0)), (0, 120, SHEET_GRAY));
    }

    #[test]
    fn large_images_are_made_smaller_on_a_contact_sheet() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let set = Dataset::new("large", vec![77; 2 * 448 * 224], vec![0, 1], 448, 224, 2).unwrap();
        write_contact_sheet(&set, &path).unwrap();
        let (width, height, found) = pixels(&path);
        assert_eq!((width, height), (56 + 4, 2 * 114 + 2));
        assert_eq!(found.iter().filter(|&&pixel| pixel == 77).count(), 2 * 112 * 56);
    }

    /// Writes a set as IDX files, and reads it by this name of a source.
    fn read_back(split: &Split, source: &str) -> Split {
        let folder = tempdir().unwrap();
        assert_eq!(write_idx(split, &open(folder.path())).unwrap().len(), 4);
        let mut argument = OsStr::new(source).to_owned();
        argument.push(folder.path());
        Source::parse(&argument).unwrap().load(0, &LoadOptions::default()).unwrap().split
    }

    /// Two parts of images of 9 x 8 pixels whose colours all differ.
    fn colours() -> Split {
        let set = |first: usize| {
            let values = (0..4 * 9 * 8 * 3).map(|value| ((first + value) * 37 % 256) as u8).collect();
            Dataset::with_channels("hues", values, vec![0, 1, 1, 0], [9, 8, 3], 2).unwrap()
        };
        Split::new(set(0), set(5)).unwrap()
    }

    #[test]
    fn colours_come_back_from_every_form() {
        let split = colours();
        let folder = tempdir().unwrap();
        let output = open(folder.path());
        let classes = ["0", "1"].map(String::from);
        for (set, part) in [(&split.training, "training"), (&split.test, "test")] {
            write_images(set, &classes, &output, part, None).unwrap();
        }
        let mut argument = OsStr::new("any=").to_owned();
        argument.push(folder.path());
        let read = Source::parse(&argument).unwrap().load(0, &LoadOptions::default()).unwrap().split;
        // Folders have an order by class.
        for (found, set) in [(&read.training, &split.training), (&read.test, &split.test)] {
            let expected = set.subset(&[0, 3, 1, 2]);
            assert_eq!((found.channels, &found.images, &found.labels), (3, &expected.images, &expected.labels));
        }
        let folder = tempdir().unwrap();
        let path = write_npz(&split, &open(folder.path())).unwrap();
        let mut argument = OsStr::new("any=").to_owned();
        argument.push(path);
        let of_npz = Source::parse(&argument).unwrap().load(0, &LoadOptions::default()).unwrap().split;
        for found in [of_npz, read_back(&split, "any=")] {
            for (found, set) in [(&found.training, &split.training), (&found.test, &split.test)] {
                assert_eq!((found.channels, &found.images, &found.labels), (3, &set.images, &set.labels));
            }
        }
    }

    #[test]
    fn a_contact_sheet_of_colours_has_them() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let set = &colours().training;
        write_contact_sheet(set, &path).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        assert_eq!(sheet.get_pixel(2, 2).0, set.images[..3]);
        assert_eq!(sheet.get_pixel(0, 0).0, [SHEET_GRAY; 3]);
    }

    #[test]
    fn idx_files_are_read_back_as_the_same_set_and_made_up_ones_keep_their_name() {
        let split = Source::Contrived.load(3, &LoadOptions::default()).unwrap().split;
        let read = read_back(&split, "mnist=");
        assert_eq!((&read.training.images, &read.training.labels), (&split.training.images, &split.training.labels));
        assert_eq!((&read.test.images, &read.test.labels), (&split.test.images, &split.test.labels));
        let set = Dataset::new("xr-synthetic", vec![7, 7, 8, 8], vec![0, 1], 1, 2, 2).unwrap();
        let read = read_back(&Split::new(set.clone(), set).unwrap(), "any=");
        assert_eq!(read.training.name, "xr-synthetic");
    }
}
