//! Where data come from, as the `--data` argument names it.

use super::array_shape::without_needless_channels;
use super::classes::Parts;
use super::files;
use super::fit::{self, Fit, Square};
use super::splits::{self, TEST_SHARE};
use super::{Dataset, Split, contrived, inspection, mnist, processed, synthetic};
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

/// What `--data` takes, for messages.
const SOURCES: &str = "mnist, mnist=DIR, pr, pr=DIR, ct, sc=PATH, sc-synthetic, xr=PATH, xr-synthetic or any=PATH";

/// Rows and columns of the paper's scales and x-rays.
pub const PAPER_SIDE: usize = 100;

/// A data set that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `mnist`: the full MNIST; `mnist=DIR` reads its four files from a folder instead of the project's copy.
    Mnist(Option<PathBuf>),
    /// `pr`: 100 images of each digit of the MNIST training set, tested on the MNIST test set; `pr=DIR` as for `mnist`.
    Processed(Option<PathBuf>),
    /// `ct`: noise whose mean depends on the class.
    Contrived,
    /// `sc=PATH`: the user's fish scales, brought to 100 x 100 unless `--side` says otherwise.
    Scales(PathBuf),
    /// `sc-synthetic`: made-up fish scales.
    SyntheticScales,
    /// `xr=PATH`: the user's chest x-rays, brought to 100 x 100 unless `--side` says otherwise.
    Xrays(PathBuf),
    /// `xr-synthetic`: made-up chest x-rays.
    SyntheticXrays,
    /// `any=PATH`: a folder of images, IDX files or an archive in the form of MedMNIST or Keras, named as its files are.
    Any(PathBuf),
}

/// What to take of a source, and in which form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadOptions {
    /// Only that many training images, drawn by seed with the classes in their shares; all if `None`.
    pub training_images: Option<usize>,
    /// Rows and columns of every image; if `None` as the images are, which must then have one size.
    pub side: Option<usize>,
    /// How images are brought to that size.
    pub fit: Fit,
    /// Whether colours become their luma. Without it a set is gray only where all of its pixels are; the paper's scales and
    /// x-rays are always gray.
    pub gray: bool,
    /// The share of each class that is held out where a set has no test set of its own.
    pub test_share: f64,
    /// Whether every image trains, as in the paper's study: nothing is held out (a set without a test set is its own),
    /// and of the scales and x-rays 530 and 500 images of each class are taken.
    pub all_images: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            training_images: None,
            side: None,
            fit: Fit::default(),
            gray: false,
            test_share: TEST_SHARE,
            all_images: false,
        }
    }
}

/// A data set, ready for training.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its images. Their `name` is that of the set in tables and files, e.g. in the column `data_set`.
    pub split: Split,
    /// Names of the classes, in their order.
    pub class_names: Vec<String>,
    /// What the user should know of how it was read.
    pub notices: Vec<String>,
}

impl Source {
    /// Reads one entry of the `--data` argument. A path need not be UTF-8 where the system allows that.
    ///
    /// Fails with [`Error::Usage`], which lists what exists.
    pub fn parse(text: &OsStr) -> Result<Self> {
        let (id, path) = split_at_equals_sign(text)?;
        let shown = text.display();
        let usage = |message: String| Err(Error::Usage(format!("--data {shown}{message}")));
        if path.as_ref().is_some_and(|path| path.is_empty()) {
            let example = if ["mnist", "pr"].contains(&id.as_str()) {
                format!("{id}=DIR, or {id} alone for the project's own data")
            } else {
                format!("{id}=PATH")
            };
            return usage(format!(" names no folder; write {example}"));
        }
        match (id.as_str(), path.map(PathBuf::from)) {
            ("mnist", folder) => Ok(Self::Mnist(folder)),
            ("pr", folder) => Ok(Self::Processed(folder)),
            ("ct", None) => Ok(Self::Contrived),
            ("sc-synthetic", None) => Ok(Self::SyntheticScales),
            ("xr-synthetic", None) => Ok(Self::SyntheticXrays),
            ("sc", Some(path)) => Ok(Self::Scales(path)),
            ("xr", Some(path)) => Ok(Self::Xrays(path)),
            ("any", Some(path)) => Ok(Self::Any(path)),
            ("ct" | "sc-synthetic" | "xr-synthetic", Some(_)) => {
                usage(format!(": {id} is generated and takes no folder; write {id}"))
            }
            ("sc" | "xr", None) => usage(format!(
                ": these images do not come with the project; name yours with {id}=PATH, or take made-up ones with \
                 {id}-synthetic"
            )),
            ("any", None) => {
                usage(": name a folder with a folder of images for each class, IDX files or a .npz: any=PATH".into())
            }
            _ => usage(format!(": there is no such data set; use {SOURCES}")),
        }
    }

    /// Whether the set is made, not read.
    pub fn is_generated(&self) -> bool {
        matches!(self, Self::Contrived | Self::SyntheticScales | Self::SyntheticXrays)
    }

    /// Images of each class that the paper trained on, of the user's scales and x-rays.
    fn images_of_the_paper(&self) -> Option<usize> {
        match self {
            Self::Scales(_) => Some(synthetic::scales::IMAGES_PER_CLASS),
            Self::Xrays(_) => Some(synthetic::xrays::IMAGES_PER_CLASS),
            _ => None,
        }
    }

    /// Loads or generates the set. `seed` decides what is drawn: the images of `pr`, the pixels of generated sets, what is
    /// held out for testing, the part that `options` asks for.
    ///
    /// Fails with [`Error::Data`] if a file is missing, damaged or malformed, if a class cannot be both learnt and tested, or
    /// if all training images are identical, and with [`Error::Usage`] if `options` asks for more images than there are, or
    /// for impossible sizes.
    pub fn load(&self, seed: u64, options: &LoadOptions) -> Result<Loaded> {
        if let Some(side) = options.side {
            fit::check_side(side)?;
        }
        let square = |side: usize| Square { side, fit: options.fit };
        let asked = options.side.map(square);
        let paper = Some(square(options.side.unwrap_or(PAPER_SIDE)));
        let Parts { training, test, class_names, mut notices } = match self {
            Self::Mnist(folder) => whole(mnist::load(folder.as_deref())?, asked, options.gray),
            Self::Processed(folder) => {
                let (split, notice) = processed::draw(&mnist::load(folder.as_deref())?, seed)?;
                let mut parts = whole(split, asked, options.gray);
                parts.notices.extend(notice);
                parts
            }
            Self::Contrived => whole(contrived::generate(seed)?, asked, true),
            Self::SyntheticScales => whole(synthetic::scales::generate(seed)?, asked, true),
            Self::SyntheticXrays => whole(synthetic::xrays::generate(seed)?, asked, true),
            Self::Scales(path) => files::read(Some("sc"), path, paper, true)?,
            Self::Xrays(path) => files::read(Some("xr"), path, paper, true)?,
            Self::Any(path) => files::read(None, path, asked, options.gray)?,
        };
        let training = match self.images_of_the_paper().filter(|_| options.all_images) {
            Some(per_class) => {
                notices.extend(missing_images(&training, &class_names, per_class));
                splits::draw_of_each_class(&training, per_class, seed)
            }
            None => training,
        };
        let split = match test {
            Some(test) => Split::new(training, test)?,
            None if options.all_images => {
                let training = Arc::new(training);
                Split { test: Arc::clone(&training), training }
            }
            None => {
                check_held_out_classes(&training, &class_names)?;
                splits::hold_out(&training, options.test_share, seed)?
            }
        };
        let split = match options.training_images {
            None => split,
            // Presets ask for a part of the full MNIST.
            Some(images) if matches!(self, Self::Mnist(Some(_))) && images > split.training.samples() => {
                let (name, all) = (&split.training.name, split.training.samples());
                notices.push(format!(
                    "{name}: {images} training images are asked for, and there are {all}: all are taken"
                ));
                split
            }
            Some(images) => {
                let training = Arc::new(splits::stratified_draw(&split.training, images, seed)?);
                Split { training, ..split }
            }
        };
        // What is made here is known.
        if !self.is_generated() {
            notices.extend(inspection::notices(&split, &class_names)?);
        }
        Ok(Loaded { split, class_names, notices })
    }
}

/// Names of the classes with fewer images than that, and how many they have.
fn small_classes<'a>(
    set: &Dataset,
    class_names: &'a [String],
    least: usize,
) -> impl Iterator<Item = (&'a String, usize)> {
    class_names.iter().zip(set.class_counts()).filter(move |(_, count)| *count < least)
}

/// Says which classes have fewer images than the paper's.
fn missing_images(set: &Dataset, class_names: &[String], per_class: usize) -> Option<String> {
    let few = small_classes(set, class_names, per_class).map(|(name, count)| format!("{name} has {count}"));
    let few = few.collect::<Vec<_>>().join(", ");
    let name = &set.name;
    (!few.is_empty())
        .then(|| format!("{name}: the paper has {per_class} images of each class, but here {few}; all of them train"))
}

/// A set with its own test set, its classes named by their numbers.
fn whole(split: Split, square: Option<Square>, gray: bool) -> Parts {
    let fitted = |set: Dataset| match square {
        Some(square) => square.apply_to_set(set),
        None => set,
    };
    let class_names = (0..split.training.classes).map(|class| class.to_string()).collect();
    let [training, test] = [split.training, split.test].map(Arc::unwrap_or_clone);
    let (training, test) = without_needless_channels(training, Some(test), gray);
    Parts { training: fitted(training), test: test.map(fitted), class_names, notices: Vec::new() }
}

/// Fails if a class has a single image: it could be learnt or tested, not both.
fn check_held_out_classes(set: &Dataset, class_names: &[String]) -> Result<()> {
    let single: Vec<&str> = small_classes(set, class_names, 2).map(|(name, _)| name.as_str()).collect();
    if single.is_empty() {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{}: the class {} has only one image, and each needs two or more, since some are held out for testing; add images, \
         or leave the class out",
        set.name,
        single.join(", ")
    )))
}

/// `id=folder` cut at its first equals sign; the folder as the operating system gave it.
fn split_at_equals_sign(text: &OsStr) -> Result<(String, Option<OsString>)> {
    if let Some(text) = text.to_str() {
        return Ok(match text.split_once('=') {
            Some((id, folder)) => (id.into(), Some(folder.into())),
            None => (text.into(), None),
        });
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let mut parts = text.as_bytes().splitn(2, |&byte| byte == b'=');
        let id = parts.next().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
        Ok((id, parts.next().map(|folder| OsStr::from_bytes(folder).to_owned())))
    }
    #[cfg(not(unix))]
    Err(Error::Usage(format!("--data {}: the path is not valid Unicode; rename the folder", text.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Source> {
        Source::parse(OsStr::new(text))
    }

    fn load_contrived(options: LoadOptions) -> Result<Loaded> {
        Source::Contrived.load(3, &options)
    }

    #[test]
    fn every_set_can_be_brought_to_another_size() {
        for fit in [Fit::Resize, Fit::Pad] {
            let split = load_contrived(LoadOptions { side: Some(8), fit, ..Default::default() }).unwrap().split;
            assert_eq!((split.training.height, split.test.width, split.test.images.len()), (8, 8, 500 * 64));
        }
        assert!(matches!(load_contrived(LoadOptions { side: Some(0), ..Default::default() }), Err(Error::Usage(_))));
    }

    #[test]
    fn every_source_is_parsed() {
        for (text, source) in [
            ("mnist", Source::Mnist(None)),
            ("mnist=a/b=c", Source::Mnist(Some("a/b=c".into()))),
            ("pr", Source::Processed(None)),
            ("pr=digits", Source::Processed(Some("digits".into()))),
            ("ct", Source::Contrived),
            ("sc=scales", Source::Scales("scales".into())),
            ("xr=a.npz", Source::Xrays("a.npz".into())),
            ("any=x", Source::Any("x".into())),
            ("sc-synthetic", Source::SyntheticScales),
            ("xr-synthetic", Source::SyntheticXrays),
        ] {
            assert_eq!(parse(text).unwrap(), source);
        }
    }

    #[test]
    fn an_unknown_source_gets_the_list_of_those_that_exist() {
        for text in ["MNIST", "", "cifar", "=folder"] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            assert!(error.to_string().contains(SOURCES), "{error}");
        }
    }

    #[test]
    fn folders_that_make_no_sense_are_refused() {
        for text in ["mnist=", "pr=", "ct=", "ct=folder", "sc", "xr", "any", "any=", "sc-synthetic=x"] {
            assert!(matches!(parse(text), Err(Error::Usage(_))), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_not_utf_8_is_kept_as_it_is() {
        use std::os::unix::ffi::OsStrExt;
        let source = Source::parse(OsStr::from_bytes(b"mnist=caf\xe9=1")).unwrap();
        assert_eq!(source, Source::Mnist(Some(OsStr::from_bytes(b"caf\xe9=1").into())));
    }

    #[test]
    fn only_so_many_training_images_are_taken_and_the_test_set_stays() {
        let some = |images| load_contrived(LoadOptions { training_images: Some(images), ..Default::default() });
        let (all, part) = (load_contrived(LoadOptions::default()).unwrap().split, some(120).unwrap().split);
        assert_eq!(part.training.class_counts(), [12; 10]);
        assert_eq!((all.training.samples(), &part.test), (500, &all.test));
        let error = some(501).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("500"), "{error}");
    }

    #[test]
    fn the_processed_set_is_a_balanced_part_of_mnist() {
        let split = Source::Processed(None).load(1, &LoadOptions::default()).unwrap().split;
        assert_eq!((split.training.class_counts(), split.test.samples()), (vec![100; 10], 10_000));
    }

    /// A folder with an IDX file of one-pixel images of two classes, so many of each, and its labels.
    fn two_classes(counts: [usize; 2]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let size = (counts[0] + counts[1]) as u32;
        let labels: Vec<u8> = counts.iter().zip([0, 1]).flat_map(|(&count, label)| vec![label; count]).collect();
        let mut images = vec![0, 0, 8, 3];
        [size, 1, 1].iter().for_each(|size| images.extend(size.to_be_bytes()));
        images.extend(labels.iter().map(|label| 100 * label));
        let mut with_size = vec![0, 0, 8, 1];
        with_size.extend(size.to_be_bytes());
        with_size.extend(labels);
        std::fs::write(folder.path().join("own-train-images-idx3-ubyte"), images).unwrap();
        std::fs::write(folder.path().join("own-train-labels-idx1-ubyte"), with_size).unwrap();
        folder
    }

    #[test]
    fn a_study_trains_on_all_images_and_of_xrays_on_five_hundred_a_class() {
        let folder = two_classes([503, 499]);
        let (xrays, any) = (Source::Xrays(folder.path().into()), Source::Any(folder.path().into()));
        let all = LoadOptions { all_images: true, side: Some(1), ..Default::default() };
        let loaded = any.load(1, &all).unwrap();
        assert_eq!(loaded.split.training.class_counts(), [503, 499]);
        assert_eq!(loaded.split.training, loaded.split.test);
        let loaded = xrays.load(1, &all).unwrap();
        assert_eq!(loaded.split.training.class_counts(), [500, 499]);
        assert!(loaded.notices.iter().any(|notice| notice.contains("1 has 499")), "{:?}", loaded.notices);
        let held_out = xrays.load(1, &LoadOptions { all_images: false, ..all }).unwrap().split;
        assert_eq!((held_out.training.samples(), held_out.test.samples()), (801, 201));
    }
}
