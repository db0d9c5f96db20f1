//! What lies in the folders of a set and is not read, by reason: every folder is named, files are counted.

use super::picture::FORMATS;
use crate::run_folder::listed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// A folder or file that a system or a program keeps for itself.
    System,
    /// Its name begins with a dot.
    Hidden,
    /// A folder beside those for training and testing.
    Beside,
    /// A folder in the folder of a class.
    Nested,
    /// A file beside the folders of the classes.
    Outside,
    /// A file whose name does not end as an image's.
    NoImage,
    /// An image of a format that is not known.
    OtherFormat,
}

/// Folders and files that are left out.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<(Reason, bool), Vec<PathBuf>>);

/// Names in a notice: a folder could be a class that the user misses, a file is one of many.
const FOLDERS_NAMED: usize = 20;
const FILES_NAMED: usize = 5;

impl LeftOut {
    pub(super) fn add(&mut self, reason: Reason, path: PathBuf) {
        self.0.entry((reason, path.is_dir())).or_default().push(path);
    }

    /// A sentence for each reason about the set `name`, with paths as they lie in the folder `root`.
    pub(super) fn notices(&self, name: &str, root: &Path) -> Vec<String> {
        self.0
            .iter()
            .map(|(&(reason, folders), paths)| {
                let (kind, most) = if folders { ("folder", FOLDERS_NAMED) } else { ("file", FILES_NAMED) };
                let kind = if paths.len() == 1 { kind.into() } else { format!("{kind}s") };
                let why = match reason {
                    Reason::System => "that a system or a program keeps for itself".into(),
                    Reason::Hidden => "hidden, by a dot before the name".into(),
                    Reason::Beside => "beside those for training and testing".into(),
                    Reason::Nested => "in the folder of a class".into(),
                    Reason::Outside => "outside the folders of the classes".into(),
                    Reason::NoImage => format!("not named as an image ({FORMATS} is read)"),
                    Reason::OtherFormat => format!("of another format; convert to {FORMATS} what belongs to the set"),
                };
                format!("{name}: left out {} {kind} {why}: {}", paths.len(), listed(most, &names(paths, root)))
            })
            .collect()
    }

    /// The same of what lies in one folder, in short, to be added to the message of what is missing there.
    pub(super) fn hint(&self, folder: &Path) -> String {
        let there: Vec<PathBuf> =
            self.0.values().flatten().filter(|path| path.parent() == Some(folder)).cloned().collect();
        if there.is_empty() {
            String::new()
        } else {
            format!(" (left out there: {})", listed(5, &names(&there, folder)))
        }
    }
}

/// Paths in `root`; those of one name together.
fn names(paths: &[PathBuf], root: &Path) -> Vec<String> {
    let mut by_name: BTreeMap<String, Vec<&PathBuf>> = BTreeMap::new();
    for path in paths {
        by_name.entry(shown_name(path)).or_default().push(path);
    }
    by_name
        .into_iter()
        .map(|(name, paths)| match paths[..] {
            [only] => only.strip_prefix(root).unwrap_or(only).display().to_string(),
            _ => format!("{name} in {} places", paths.len()),
        })
        .collect()
}

/// The name of a file or folder for people, on one line.
pub(super) fn shown_name(path: &Path) -> String {
    shown_name_with_controls(path).replace(char::is_control, "\u{fffd}")
}

/// The same as it is.
pub(super) fn shown_name_with_controls(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_sentence_with_numbers_and_names() {
        let mut left_out = LeftOut::default();
        for class in 0..30 {
            left_out.add(Reason::System, format!("pets/{class}/Thumbs.db").into());
        }
        for file in 0..9 {
            left_out.add(Reason::NoImage, format!("pets/cats/{file}.txt").into());
        }
        let notices = left_out.notices("pets", Path::new("pets"));
        assert_eq!(notices.len(), 2);
        assert!(notices[0].contains("30 files") && notices[0].ends_with("Thumbs.db in 30 places"), "{}", notices[0]);
        assert!(notices[1].contains("9 files") && notices[1].contains("cats/0.txt"), "{}", notices[1]);
        assert!(notices[1].ends_with("and 4 more"), "{}", notices[1]);
        assert!(left_out.hint(Path::new("pets/3")).contains("Thumbs.db"));
        assert_eq!(left_out.hint(Path::new("pets")), "");
    }
}
