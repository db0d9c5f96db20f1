//! Where data come from, as the `--data` argument names it.

use super::{Split, contrived, mnist, processed, splits};
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

/// A data set that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `mnist`: the full MNIST; `mnist=DIR` reads its four files from a folder instead of the project's copy.
    Mnist(Option<PathBuf>),
    /// `pr`: 100 images of each digit of the MNIST training set, tested on the MNIST test set; `pr=DIR` as for `mnist`.
    Processed(Option<PathBuf>),
    /// `ct`: noise whose mean depends on the class.
    Contrived,
}

/// What to take of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Only that many training images, drawn by seed with the classes in their shares; all if `None`.
    pub training_images: Option<usize>,
}

impl Source {
    /// Reads one entry of the `--data` argument. A folder need not be UTF-8 where the system allows that.
    ///
    /// Fails with [`Error::Usage`], which lists what exists.
    pub fn parse(text: &OsStr) -> Result<Self> {
        let (id, folder) = split_at_equals_sign(text)?;
        if folder.as_ref().is_some_and(|folder| folder.is_empty()) {
            return Err(Error::Usage(format!(
                "--data {} names no folder; write {id}=DIR, or {id} alone for the project's own data",
                text.display()
            )));
        }
        let folder = folder.map(PathBuf::from);
        match (id.as_str(), folder) {
            ("mnist", folder) => Ok(Self::Mnist(folder)),
            ("pr", folder) => Ok(Self::Processed(folder)),
            ("ct", None) => Ok(Self::Contrived),
            ("ct", Some(_)) => {
                Err(Error::Usage(format!("--data {}: ct is generated and takes no folder; write ct", text.display())))
            }
            _ => Err(Error::Usage(format!(
                "--data {}: there is no such data set; use mnist, mnist=DIR, pr, pr=DIR or ct",
                text.display()
            ))),
        }
    }

    /// Short name in tables, files and the column `data_set`.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Mnist(_) => "mnist",
            Self::Processed(_) => "pr",
            Self::Contrived => "ct",
        }
    }

    /// Loads or generates the set. `seed` decides what is drawn: the images of `pr`, the pixels of `ct`, the part that
    /// `options` asks for.
    ///
    /// Fails with [`Error::Data`] if a file is missing or malformed, and with [`Error::Usage`] if more images are asked
    /// for than there are.
    pub fn load(&self, seed: u64, options: &LoadOptions) -> Result<Split> {
        let split = match self {
            Self::Mnist(folder) => mnist::load(folder.as_deref())?,
            Self::Processed(folder) => processed::draw(&mnist::load(folder.as_deref())?, seed)?,
            Self::Contrived => contrived::generate(seed)?,
        };
        match options.training_images {
            None => Ok(split),
            Some(images) => {
                let training = Arc::new(splits::stratified_draw(&split.training, images, seed)?);
                Ok(Split { training, ..split })
            }
        }
    }
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

    #[test]
    fn every_source_is_parsed() {
        assert_eq!(parse("mnist").unwrap(), Source::Mnist(None));
        assert_eq!(parse("mnist=a/b=c").unwrap(), Source::Mnist(Some("a/b=c".into())));
        assert_eq!(parse("pr").unwrap(), Source::Processed(None));
        assert_eq!(parse("pr=digits").unwrap(), Source::Processed(Some("digits".into())));
        assert_eq!(parse("ct").unwrap(), Source::Contrived);
    }

    #[test]
    fn an_unknown_source_gets_the_list_of_those_that_exist() {
        for text in ["MNIST", "", "cifar", "=folder"] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::Usage(_)));
            assert!(error.to_string().contains("mnist, mnist=DIR, pr, pr=DIR or ct"), "{error}");
        }
    }

    #[test]
    fn folders_that_make_no_sense_are_refused() {
        for text in ["mnist=", "pr=", "ct=", "ct=folder"] {
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
        let all = Source::Contrived.load(3, &LoadOptions::default()).unwrap();
        let some = Source::Contrived.load(3, &LoadOptions { training_images: Some(120) }).unwrap();
        assert_eq!(some.training.class_counts(), [12; 10]);
        assert_eq!((all.training.samples(), &some.test), (500, &all.test));
    }

    #[test]
    fn more_training_images_than_there_are_is_an_error() {
        let error = Source::Contrived.load(3, &LoadOptions { training_images: Some(501) }).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("500"), "{error}");
    }

    #[test]
    fn the_processed_set_is_a_balanced_part_of_mnist() {
        let split = Source::Processed(None).load(1, &LoadOptions::default()).unwrap();
        assert_eq!(split.training.class_counts(), [100; 10]);
        assert_eq!(split.test.samples(), 10_000);
    }
}
