//! Folders of images: a folder for each class, or such folders for training and for testing.
//!
//! Headers of all images are read first, so that a wrong size or kind is found before much is decoded; then all pixels,
//! in parallel and each image into its own place. Training starts with a set that is whole.

use super::Dataset;
use super::array_shape::without_needless_channels;
use super::classes::{MOST_CLASSES, Parts, shortened};
use super::findings::Findings;
use super::fit::Square;
use super::folders::{self, ClassFolder};
use super::left_out::{LeftOut, Reason, shown_name};
use super::picture::{self, Header, Picture, Pixels};
use crate::error::{Error, Result};
use image::{ImageBuffer, Pixel};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Names of folders that hold a part of a set, in small letters.
const TRAINING: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];

/// Reads a folder in which each class has a folder, or which has such folders in `train` and `test`. Images in `val` join
/// neither: nothing is chosen by them here. The set is in colour if any pixel is, unless `gray` is asked for.
///
/// Classes come in the order of their names, as numbers if all names are; images in the order of theirs. Without a
/// `square` all images must have one size. Fails with [`Error::Data`] if an image cannot be read, and names it; if there
/// are fewer than two classes or more than 256, or a class is empty; if sizes are mixed.
pub(super) fn read(name: &str, folder: &Path, square: Option<Square>, gray: bool) -> Result<Parts> {
    let mut notices = Vec::new();
    let mut left_out = LeftOut::default();
    let found = subfolders(folder, &mut left_out)?;
    let part_of = |words: &[&str]| found.iter().find(|path| words.contains(&shown_name(path).to_lowercase().as_str()));
    let (training, validation) = (part_of(&TRAINING), part_of(&VALIDATION));
    let (listing, test) = match (training, part_of(&TEST)) {
        (Some(training), Some(test)) => {
            if let Some(validation) = validation {
                notices.push(format!("{name}: the images in {} are left out", validation.display()));
            }
            let parts = [Some(training), Some(test), validation];
            for beside in found.iter().filter(|path| !parts.contains(&Some(path))) {
                left_out.add(Reason::Beside, beside.clone());
            }
            let classes = folders::as_classes(subfolders(training, &mut left_out)?, &mut notices);
            let listing = Listing::new(training, classes, &mut left_out)?;
            let of_test = folders::as_classes(subfolders(test, &mut left_out)?, &mut Vec::new());
            check_number(test, &of_test, &left_out)?;
            let of_test = folders::in_order_of(&listing.classes, of_test, &mut notices)?;
            (listing, Some(Listing::new(test, of_test, &mut left_out)?))
        }
        (Some(training), None) if validation.is_some() => {
            return Err(Error::Data(format!(
                "{} has folders for training and for validation, but none for testing; name one of them test, or give {} \
                 alone",
                folder.display(),
                training.display()
            )));
        }
        _ => {
            let classes = folders::as_classes(found, &mut notices);
            (Listing::new(folder, classes, &mut left_out)?, None)
        }
    };
    let Header { size, colour } = common_header(&listing, test.as_ref(), square)?;
    // Where no file can have a colour, there is only room for gray.
    let form = Form { size, square, colour: colour && !gray };
    let (training, mut findings) = listing.decode(name, form)?;
    let test = match test {
        None => None,
        Some(test) => {
            let (test, of_test) = test.decode(name, form)?;
            findings = findings.and(of_test);
            Some(test)
        }
    };
    let (training, test) = without_needless_channels(training, test, false);
    notices.extend(left_out.notices(name, folder));
    notices.extend(findings.notices(name));
    let class_names = listing.classes.into_iter().map(|class| class.name).collect();
    Ok(Parts { training, test, class_names, notices })
}

/// The folders in a folder that may be classes or parts of a set.
fn subfolders(folder: &Path, left_out: &mut LeftOut) -> Result<Vec<PathBuf>> {
    let (folders, files) = folders::visible(folder, left_out)?;
    files.into_iter().for_each(|path| left_out.add(Reason::Outside, path));
    Ok(folders)
}

/// Which images a folder has, and their classes.
struct Listing {
    folder: PathBuf,
    classes: Vec<ClassFolder>,
    images: Vec<PathBuf>,
    labels: Vec<u8>,
}

/// Fails unless a folder has two to 256 classes.
fn check_number(folder: &Path, classes: &[ClassFolder], left_out: &LeftOut) -> Result<()> {
    let hint = left_out.hint(folder);
    let message = match classes {
        [] => format!(
            "has no folders in it{hint}; put the images of each class into a folder of its own, named by the class"
        ),
        [only] => format!(
            "has only one class, {}{hint}; a network needs two or more (if the folders of the classes lie in that one, name it \
             instead)",
            only.name
        ),
        _ if classes.len() > MOST_CLASSES => format!(
            "has {} classes (one for each folder in it), but no more than {MOST_CLASSES} can be learnt; leave some out",
            classes.len()
        ),
        _ => return Ok(()),
    };
    Err(Error::Data(format!("{} {message}", folder.display())))
}

impl Listing {
    /// Lists the images in the folders of the classes, which lie in `folder`.
    fn new(folder: &Path, classes: Vec<ClassFolder>, left_out: &mut LeftOut) -> Result<Self> {
        check_number(folder, &classes, left_out)?;
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        let mut empty = Vec::new();
        for (label, class) in (0..=u8::MAX).zip(&classes) {
            let found = images_of_class(&class.path, left_out)?;
            if found.is_empty() {
                empty.push(format!("{}{}", class.name, left_out.hint(&class.path)));
            }
            labels.resize(labels.len() + found.len(), label);
            images.extend(found);
        }
        if !empty.is_empty() {
            return Err(Error::Data(format!(
                "{} has no images ({}) of the class {}; add some, or remove the folder",
                folder.display(),
                picture::FORMATS,
                shortened(&empty)
            )));
        }
        Ok(Self { folder: folder.into(), classes, images, labels })
    }

    /// Reads all pixels.
    fn decode(&self, name: &str, form: Form) -> Result<(Dataset, Findings)> {
        let (width, height) = (form.size.0 as usize, form.size.1 as usize);
        let channels = if form.colour { 3 } else { 1 };
        let len = width * height * channels;
        let bytes = self.images.len().saturating_mul(len);
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
            let Picture { pixels, findings } = picture::decode(path, !form.colour)?;
            form.write(pixels, place)?;
            Ok(findings)
        };
        let filled: Vec<(&PathBuf, std::result::Result<Findings, String>)> =
            images.par_chunks_mut(len).zip(&self.images).map(|(place, path)| (path, fill(place, path))).collect();
        let mut findings = Findings::default();
        let mut unreadable = Vec::new();
        for (path, filled) in filled {
            match filled {
                Ok(found) => findings = findings.and(found),
                Err(why) => unreadable.push((path, why)),
            }
        }
        refuse_unreadable(unreadable, &self.folder)?;
        let sizes = [height, width, channels];
        let set = Dataset::with_channels(name, images, self.labels.clone(), sizes, self.classes.len())?;
        Ok((set, findings))
    }
}

/// What images become.
#[derive(Clone, Copy)]
struct Form {
    /// Width and height of every image, once it is fitted into the square if there is one.
    size: (u32, u32),
    square: Option<Square>,
    /// Whether each pixel has three numbers.
    colour: bool,
}

impl Form {
    /// Writes an image to its place, a gray one among colours as three equal channels; or says why it cannot.
    fn write(self, pixels: Pixels, place: &mut [u8]) -> std::result::Result<(), String> {
        fn fitted<P>(image: ImageBuffer<P, Vec<u8>>, form: Form) -> std::result::Result<Vec<u8>, String>
        where
            P: Pixel<Subpixel = u8> + 'static,
        {
            let image = match form.square {
                Some(square) => square.apply(image),
                None => image,
            };
            if image.dimensions() == form.size {
                Ok(image.into_raw())
            } else {
                Err("it changed while it was read".into())
            }
        }
        match pixels {
            Pixels::Colour(image) => place.copy_from_slice(&fitted(image, self)?),
            Pixels::Gray(image) if self.colour => {
                for (pixel, gray) in place.chunks_exact_mut(3).zip(fitted(image, self)?) {
                    pixel.fill(gray);
                }
            }
            Pixels::Gray(image) => place.copy_from_slice(&fitted(image, self)?),
        }
        Ok(())
    }
}

/// The images in the folder of a class, sorted by name.
fn images_of_class(folder: &Path, left_out: &mut LeftOut) -> Result<Vec<PathBuf>> {
    let (folders, files) = folders::visible(folder, left_out)?;
    folders.into_iter().for_each(|path| left_out.add(Reason::Nested, path));
    let (images, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| picture::is_named_as_image(path));
    for path in others {
        let reason = if picture::is_named_as_other_image(&path) { Reason::OtherFormat } else { Reason::NoImage };
        left_out.add(reason, path);
    }
    Ok(images)
}

/// Width and height that all images have, or are to have, and whether any of them can have colours.
fn common_header(training: &Listing, test: Option<&Listing>, square: Option<Square>) -> Result<Header> {
    let mut first: Option<((u32, u32), &Path)> = None;
    let mut colour = false;
    for listing in [training].into_iter().chain(test) {
        let headers: Vec<_> = listing.images.par_iter().map(|path| (path, picture::header(path))).collect();
        let mut unreadable = Vec::new();
        let mut other = None;
        for (path, header) in headers {
            colour |= header.as_ref().is_ok_and(|header| header.colour);
            match (header.map(|header| header.size), first) {
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
    let size = match (square, first) {
        (Some(square), _) => (square.side as u32, square.side as u32),
        (None, Some((size, _))) => size,
        (None, None) => return Err(Error::Data("there are no images; add some".into())),
    };
    Ok(Header { size, colour })
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
