//! The folders of classes: which are none, what they are called, and which of two parts of a set belong together.
//!
//! A folder is always found by its path. Its name is shown as well as it can be: systems allow names that are no text.

use super::left_out::{LeftOut, Reason, shown_name, shown_name_with_controls};
use crate::error::{Error, Result};
use crate::run_folder::{OUTPUT_FOLDER_FILES, entries};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use unicode_normalization::UnicodeNormalization;

/// Folders and files that systems and programs keep for themselves, in small letters; hidden ones are known by their dot.
const KEPT_BY_SYSTEMS: [&str; 19] = [
    // Windows
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "recycler",
    "system volume information",
    // macOS
    "__macosx",
    "icon\r",
    "network trash folder",
    "temporary items",
    // Linux
    "lost+found",
    // Synology, QNAP and other stores on the network
    "@eadir",
    "@tmp",
    "@recycle",
    "@recently-snapshot",
    "@__thumb",
    "#recycle",
    "#snapshot",
    // Python
    "__pycache__",
];

/// The entries of a folder that could be data, folders and files apart; the others are noted.
pub(super) fn visible(folder: &Path, left_out: &mut LeftOut) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut data = Vec::new();
    for path in entries(folder)? {
        let name = shown_name_with_controls(&path).to_lowercase();
        if OUTPUT_FOLDER_FILES.contains(&name.as_str()) {
            continue;
        }
        if KEPT_BY_SYSTEMS.contains(&name.as_str()) || name.starts_with("@eadir") || is_found_by_chkdsk(&name) {
            left_out.add(Reason::System, path);
        } else if name.starts_with('.') {
            left_out.add(Reason::Hidden, path);
        } else {
            data.push(path);
        }
    }
    Ok(data.into_iter().partition(|path| path.is_dir()))
}

/// `found.000` and so on.
fn is_found_by_chkdsk(name: &str) -> bool {
    name.strip_prefix("found.").is_some_and(|number| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The folder of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClassFolder {
    pub(super) path: PathBuf,
    /// What the class is called; no two of a set look the same.
    pub(super) name: String,
}

/// Folders as classes, in the order of their names: as numbers if all of them are, else by their letters. Says which
/// names were told apart.
pub(super) fn as_classes(paths: Vec<PathBuf>, notices: &mut Vec<String>) -> Vec<ClassFolder> {
    let mut taken = BTreeSet::new();
    let mut folders: Vec<ClassFolder> = Vec::new();
    for path in paths {
        let lossy = shown_name(&path);
        let mut name = lossy.clone();
        let mut copy = 1;
        // Composed and decomposed letters look the same.
        while !taken.insert(composed(&name)) {
            copy += 1;
            name = format!("{lossy} ({copy})");
        }
        if copy > 1 {
            notices.push(format!(
                "two folders are both shown as {lossy}, since their names differ only in what cannot be shown; they are two \
                 classes, and the later one is called {name}"
            ));
        }
        folders.push(ClassFolder { path, name });
    }
    let as_number = |folder: &ClassFolder| folder.name.parse::<u64>().ok();
    let are_numbers = folders.iter().all(|folder| as_number(folder).is_some());
    folders.sort_by_key(|folder| (as_number(folder).filter(|_| are_numbers), folder.name.clone()));
    folders
}

fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Brings the folders of `others` into the order of `classes`: those of the same name belong together, else those whose
/// names look the same, else those whose names differ in capital letters alone, which is said.
///
/// Fails with [`Error::Data`] if a class is in one of the two alone.
pub(super) fn in_order_of(
    classes: &[ClassFolder],
    others: Vec<ClassFolder>,
    notices: &mut Vec<String>,
) -> Result<Vec<ClassFolder>> {
    // How a name is compared: byte by byte, as it looks, without regard to capital letters.
    let keys: [fn(&Path) -> Option<std::ffi::OsString>; 3] = [
        |path| Some(path.file_name()?.to_owned()),
        |path| Some(composed(path.file_name()?.to_str()?).into()),
        |path| Some(composed(&path.file_name()?.to_str()?.to_lowercase()).into()),
    ];
    let mut partners: Vec<Option<ClassFolder>> = vec![None; classes.len()];
    let mut rest = others;
    for (level, key) in keys.into_iter().enumerate() {
        let open: Vec<usize> = (0..classes.len()).filter(|&class| partners[class].is_none()).collect();
        let count = |folders: &[ClassFolder], wanted: &Option<_>| {
            folders.iter().filter(|folder| key(&folder.path) == *wanted).count()
        };
        let mut left = Vec::new();
        for other in &rest {
            let wanted = key(&other.path);
            let same: Vec<usize> = open.iter().copied().filter(|&class| key(&classes[class].path) == wanted).collect();
            match same[..] {
                [class] if wanted.is_some() && count(&rest, &wanted) == 1 => {
                    if level == 2 {
                        let (one, two) = (classes[class].path.display(), other.path.display());
                        notices.push(format!(
                            "{one} and {two} are taken for one class, though their letters differ in size"
                        ));
                    }
                    partners[class] = Some(other.clone());
                }
                _ => left.push(other.clone()),
            }
        }
        rest = left;
    }
    let place = |folder: &ClassFolder| folder.path.parent().unwrap_or(&folder.path).to_path_buf();
    let lone = |folder: &ClassFolder, other: Option<&ClassFolder>| {
        Err(Error::Data(format!(
            "the class {} is in {}, but not in {}; both need the same classes",
            folder.name,
            place(folder).display(),
            other.map(place).unwrap_or_default().display()
        )))
    };
    if let Some(class) = partners.iter().position(Option::is_none) {
        let other = rest.first().or(partners.iter().flatten().next());
        return lone(&classes[class], other);
    }
    match rest.first() {
        Some(other) => lone(other, classes.first()),
        None => Ok(partners.into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(part: &str, names: &[&str]) -> Vec<ClassFolder> {
        as_classes(names.iter().map(|name| Path::new(part).join(name)).collect(), &mut Vec::new())
    }

    fn names(folders: &[ClassFolder]) -> Vec<&str> {
        folders.iter().map(|folder| folder.name.as_str()).collect()
    }

    #[test]
    fn folders_that_systems_leave_are_no_classes() {
        let folder = tempfile::tempdir().unwrap();
        let system =
            ["@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information", "#recycle", "FOUND.001"];
        let hidden = [".thumbnails", ".ipynb_checkpoints", ".Trash-1000"];
        for name in system.iter().chain(&hidden).chain(&["cats", "found.cats"]) {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut left_out = LeftOut::default();
        let (folders, files) = visible(folder.path(), &mut left_out).unwrap();
        assert_eq!(folders, ["cats", "found.cats"].map(|name| folder.path().join(name)));
        assert!(files.is_empty());
        let notices = left_out.notices("pets", folder.path());
        assert_eq!(notices.len(), 2);
        for (notice, names) in notices.iter().zip([&system[..], &hidden]) {
            assert!(names.iter().all(|name| notice.contains(name)), "{notice}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_cannot_be_shown_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;
        let paths = [&b"caf\xe8"[..], b"caf\xe9", b"tea"].map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)));
        let mut notices = Vec::new();
        let folders = as_classes(paths.to_vec(), &mut notices);
        assert_eq!(names(&folders), ["caf\u{fffd}", "caf\u{fffd} (2)", "tea"]);
        assert_eq!(folders.iter().map(|folder| folder.path.clone()).collect::<Vec<_>>(), paths);
        assert_eq!(notices.len(), 1);
        let others: Vec<PathBuf> = paths.iter().rev().map(|path| Path::new("test").join(path)).collect();
        let others = in_order_of(&folders, as_classes(others, &mut Vec::new()), &mut notices).unwrap();
        for (folder, other) in folders.iter().zip(&others) {
            assert_eq!(folder.path.file_name(), other.path.file_name());
        }
    }

    #[test]
    fn names_are_in_the_order_of_numbers_or_of_letters() {
        assert_eq!(names(&classes("", &["10", "9", "0"])), ["0", "9", "10"]);
        assert_eq!(names(&classes("", &["10", "9", "a"])), ["10", "9", "a"]);
        assert_eq!(names(&classes("", &["2", "1", "01"])), ["01", "1", "2"]);
        assert_eq!(names(&classes("", &["a\nb", "a"])), ["a", "a\u{fffd}b"]);
    }

    #[test]
    fn folders_of_two_parts_are_matched_by_bytes_then_by_looks_then_without_capitals() {
        let training = classes("train", &["Cats", "caf\u{e9}", "dogs", "Dogs"]);
        let test = classes("test", &["cafe\u{301}", "Dogs", "cats", "dogs"]);
        let mut notices = Vec::new();
        let test = in_order_of(&training, test, &mut notices).unwrap();
        assert_eq!(names(&training), ["Cats", "Dogs", "caf\u{e9}", "dogs"]);
        assert_eq!(names(&test), ["cats", "Dogs", "cafe\u{301}", "dogs"]);
        assert!(matches!(&notices[..], [one] if one.contains("Cats") && one.contains("cats")), "{notices:?}");
    }

    #[test]
    fn a_class_of_one_part_alone_is_named_with_both_places() {
        for (training, test) in
            [(&["a", "b"][..], &["a", "b", "c"][..]), (&["a", "b", "c"], &["a", "b"]), (&["c", "d"], &["e", "f"])]
        {
            let (training, test) = (classes("train", training), classes("test", test));
            let message = in_order_of(&training, test, &mut Vec::new()).unwrap_err().to_string();
            assert!(message.contains("class c ") && message.contains("train") && message.contains("test"), "{message}");
        }
        // Two that differ in capitals cannot both be the one of the other part.
        assert!(
            in_order_of(&classes("train", &["a", "b"]), classes("test", &["A", "a", "b"]), &mut Vec::new()).is_err()
        );
    }
}
