//! A folder that is written into, with a list of the files that were: nothing else in it is ever replaced or removed.

mod list;

pub use list::FolderKind;

use super::manifest::Manifest;
use super::store;
use crate::error::{Error, Result};
use list::{LIST, List, OpenList, line};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = ".lock";
/// Files that are in every folder that is written into, for Holdfast alone.
pub const OUTPUT_FOLDER_FILES: [&str; 2] = [LIST, LOCK];
/// What a process that was killed before it began its list, or its manifest in an older version, leaves.
const BEGINNINGS: [&str; 3] = ["..holdfast.partial", ".manifest.json.partial", ".config.toml.partial"];
/// What systems put into folders that their users see as empty.
const OF_SYSTEMS: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// A folder that this process writes into. No other process can open it until this is dropped.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
    holds: FolderKind,
    list: Mutex<OpenList>,
    /// Held for its lock. The file stays when the lock goes: removing it would let two runs lock two files of one name.
    _lock: File,
}

impl OutputFolder {
    /// Opens a folder, and creates it if it is missing.
    ///
    /// Fails with [`Error::Usage`] if the path is a file or a link that leads nowhere, if the folder is not empty and not Holdfast's, if it holds
    /// something else of Holdfast's, or if another process has it open; with [`Error::Io`] if it cannot be created, read or
    /// locked. Nothing is written then.
    pub fn open(path: &Path, holds: FolderKind) -> Result<Self> {
        let (shown, option) = (path.display(), holds.option());
        let is_there = fs::metadata(path);
        if is_there.as_ref().is_ok_and(|found| !found.is_dir()) {
            return Err(Error::Usage(format!("{shown} is a file, not a folder; choose another {option}")));
        }
        if is_there.is_err() && fs::symlink_metadata(path).is_ok() {
            return Err(Error::Usage(format!(
                "{shown} is a link that leads nowhere; mend it or choose another {option}"
            )));
        }
        let mut begun_late = false;
        if is_there.is_ok() {
            match List::read(path)? {
                Some(list) => list.check(path, holds)?,
                None if is_of_older_run(path) => begun_late = true,
                None => check_free(path, option)?,
            }
        }
        fs::create_dir_all(path).map_err(|error| Error::io("create the folder", path, error))?;
        let lock = lock(path, option)?;
        // Another process may have begun the list before this one had the lock.
        let list = List::read(path)?;
        if let Some(list) = &list {
            list.check(path, holds)?;
        }
        let list = match list {
            Some(List { header, names, is_torn: false }) => OpenList::new(path, names, header.begun_late)?,
            Some(List { header, names, .. }) => OpenList::rewrite(path, holds, header.begun_late, names)?,
            None => OpenList::rewrite(path, holds, begun_late, BTreeSet::new())?,
        };
        Ok(Self { path: path.to_path_buf(), holds, list: Mutex::new(list), _lock: lock })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was written here yet.
    pub fn is_new(&self) -> bool {
        let list = self.list.lock();
        list.names.is_empty() && !list.begun_late
    }

    /// The path of a file that is about to be written, e.g. `cells/dnn-pr/metrics.csv`; makes the folders that lead to it.
    ///
    /// Fails with [`Error::Usage`] if a file of that name is there that Holdfast did not write, and with [`Error::Io`] if a
    /// folder or the list cannot be written.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        }
        let mut list = self.list.lock();
        if list.names.contains(name) {
            return Ok(path);
        }
        list.check_own(&path, name)?;
        let line = line(&name)?;
        list.file.write_all(&line).map_err(|error| Error::io("write", self.path.join(LIST), error))?;
        list.names.insert(name.into());
        Ok(path)
    }

    /// Removes a file, if it is there.
    ///
    /// Fails with [`Error::Usage`] if Holdfast did not write it, and with [`Error::Io`] if it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        self.list.lock().check_own(&path, name)?;
        remove_file(&path)
    }

    /// Removes what Holdfast wrote directly in a folder within this one, `name`, and the folder too if nothing else lies in
    /// it.
    ///
    /// Fails with [`Error::Io`] if a file cannot be removed.
    pub fn remove_folder(&self, name: &str) -> Result<()> {
        let folder = self.path.join(name);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("read", folder, error)),
        };
        let list = self.list.lock();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("read", &folder, error))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if list.begun_late || list.has(&format!("{name}/{file}")) {
                remove_file(&entry.path())?;
            }
        }
        // A folder with somebody's files in it stays.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// Removes all that Holdfast wrote here.
    ///
    /// Fails with [`Error::Usage`], and removes nothing, if a file lies here that Holdfast did not write: it would be mixed
    /// with the new ones. Hidden files are no such files: nobody reads them.
    pub fn clear(&self) -> Result<()> {
        let mut list = self.list.lock();
        // Names as they stand in the list, on every system.
        let name = |path: &Path| -> String {
            let inside = path.strip_prefix(&self.path).unwrap_or(path).iter();
            inside.map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/")
        };
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_ours = |path: &Path| is_hidden(path) || list.has(&name(path));
        if let Some(found) = first_file(&self.path, &|_| Ok(true), &is_ours)? {
            return Err(Error::Usage(format!(
                "{} lies among the files of {} in {}, and Holdfast did not write it; move it away, or choose another {}",
                found.display(),
                self.holds.name(),
                self.path.display(),
                self.holds.option()
            )));
        }
        for name in &list.names {
            let path = self.path.join(name);
            remove_file(&path)?;
            remove_file(&store::temporary_name(&path)?)?;
            // Folders that are empty now go as well, from the innermost on.
            for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.path) {
                let _ = fs::remove_dir(folder);
            }
        }
        *list = OpenList::rewrite(&self.path, self.holds, false, BTreeSet::new())?;
        Ok(())
    }
}

/// Whether a version that kept no list has left a run here: its manifest says so.
fn is_of_older_run(folder: &Path) -> bool {
    matches!(Manifest::read(folder), Ok(Some(_)))
}

/// Fails with [`Error::Usage`] unless the folder is empty, or holds nothing but folders of Holdfast's, as that of a study
/// holds those of its shards.
fn check_free(folder: &Path, option: &str) -> Result<()> {
    let is_somebodys = |inner: &Path| Ok(List::read(inner)?.is_none() && !is_of_older_run(inner));
    let is_empty_lock =
        |path: &Path| path.ends_with(LOCK) && fs::symlink_metadata(path).is_ok_and(|lock| lock.len() == 0);
    let is_ours = |path: &Path| BEGINNINGS.iter().any(|name| path.ends_with(name)) || is_empty_lock(path);
    let Some(found) = first_file(folder, &is_somebodys, &is_ours)? else { return Ok(()) };
    Err(Error::Usage(format!(
        "{} is not empty, and what lies there is not Holdfast's: {}; nothing of yours is replaced, so choose another {option}, \
         an empty folder or one that is not there yet",
        folder.display(),
        found.display()
    )))
}

/// The first file in a folder, and in those folders within it that are to be entered, that is neither ours nor a system's.
fn first_file(
    folder: &Path,
    enters: &dyn Fn(&Path) -> Result<bool>,
    is_ours: &dyn Fn(&Path) -> bool,
) -> Result<Option<PathBuf>> {
    for (path, is_folder) in entries(folder)? {
        let is_of_system = OF_SYSTEMS.iter().any(|name| path.ends_with(name));
        if is_folder {
            if enters(&path)?
                && let Some(found) = first_file(&path, enters, is_ours)?
            {
                return Ok(Some(found));
            }
        } else if !is_of_system && !is_ours(&path) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Entries of a folder in the order of their names, and whether each is a folder; links are none.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, bool)>> {
    let unreadable = |error| Error::io("read", folder, error);
    let mut entries = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?.is_dir()))))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(unreadable)?;
    entries.sort();
    Ok(entries)
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

fn lock(folder: &Path, option: &str) -> Result<File> {
    let path = folder.join(LOCK);
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| Error::io("create", &path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
            "{} is in use by another run; wait until that is done or choose another {option}",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::example;
    use super::*;
    use tempfile::{TempDir, tempdir};

    fn open(folder: &Path) -> Result<OutputFolder> {
        OutputFolder::open(folder, FolderKind::Run)
    }

    /// A folder in which Holdfast wrote `own.csv`.
    fn written() -> TempDir {
        let folder = tempdir().unwrap();
        fs::write(open(folder.path()).unwrap().file("own.csv").unwrap(), "own").unwrap();
        folder
    }

    fn is_usage<T>(result: &Result<T>, words: &str) -> bool {
        matches!(result, Err(Error::Usage(message)) if message.contains(words))
    }

    #[test]
    fn a_folder_with_anything_in_it_that_is_not_holdfasts_is_refused_and_left_as_it_was() {
        for name in ["config.toml", "manifest.json", ".holdfast", ".hidden", "deep/down/notes.txt", ".git/HEAD"] {
            let folder = tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "{\"mine\": 1}\n").unwrap();
            assert!(is_usage(&open(folder.path()).map(drop), name), "{name}");
            assert!(!folder.path().join(LOCK).exists(), "{name}");
            assert_eq!(fs::read(&path).unwrap(), b"{\"mine\": 1}\n", "{name}");
        }
    }

    #[test]
    fn a_folder_that_looks_empty_or_was_just_begun_is_taken() {
        for name in [".DS_Store", LOCK, "..holdfast.partial", "shards"] {
            let folder = tempdir().unwrap();
            let path = folder.path().join(name);
            if name == "shards" {
                open(&path.join("1-of-2")).map(drop).unwrap();
            } else {
                fs::write(path, "").unwrap();
            }
            assert!(open(folder.path()).is_ok(), "{name}");
        }
        let folder = tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "mine").unwrap();
        assert!(is_usage(&open(folder.path()).map(drop), LOCK));
    }

    #[test]
    fn a_file_that_somebody_put_into_the_folder_is_neither_replaced_nor_removed() {
        let folder = written();
        fs::write(folder.path().join("sweep.csv"), "mine").unwrap();
        let opened = open(folder.path()).unwrap();
        assert!(opened.file("own.csv").is_ok() && opened.file("new.csv").is_ok());
        assert!(is_usage(&opened.file("sweep.csv").map(drop), "sweep.csv"));
        assert!(is_usage(&opened.remove("sweep.csv"), "sweep.csv"));
        opened.remove("own.csv").unwrap();
        assert!(!folder.path().join("own.csv").exists() && folder.path().join("sweep.csv").is_file());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("link.csv")).unwrap();
            assert!(is_usage(&opened.file("link.csv").map(drop), "link.csv"));
        }
    }

    #[test]
    fn a_line_that_was_cut_off_protects_its_file_and_spoils_no_other() {
        let folder = written();
        let list = folder.path().join(LIST);
        let text = [fs::read_to_string(&list).unwrap(), "\"half.cs".into()].concat();
        fs::write(&list, text).unwrap();
        fs::write(folder.path().join("half.csv"), "mine").unwrap();
        fs::write(open(folder.path()).unwrap().file("next.csv").unwrap(), "next").unwrap();
        let opened = open(folder.path()).unwrap();
        assert!(opened.file("own.csv").is_ok() && opened.file("next.csv").is_ok());
        assert!(is_usage(&opened.file("half.csv").map(drop), "half.csv"));
    }

    #[test]
    fn a_run_of_a_version_without_a_list_goes_on() {
        let folder = tempdir().unwrap();
        example("abc").write(folder.path()).unwrap();
        for name in ["history.npz", "checkpoints/train.checkpoint"] {
            fs::create_dir_all(folder.path().join("checkpoints")).unwrap();
            fs::write(folder.path().join(name), "old").unwrap();
        }
        for _ in 0..2 {
            let opened = open(folder.path()).unwrap();
            assert!(opened.file("history.npz").is_ok() && !opened.is_new());
        }
        open(folder.path()).unwrap().remove_folder("checkpoints").unwrap();
        assert!(!folder.path().join("checkpoints").exists());
    }

    #[test]
    fn of_a_folder_only_what_holdfast_wrote_is_removed() {
        let folder = written();
        let opened = open(folder.path()).unwrap();
        fs::write(opened.file("checkpoints/a.checkpoint").unwrap(), "own").unwrap();
        fs::write(folder.path().join("checkpoints/.a.checkpoint.partial"), "half").unwrap();
        fs::write(folder.path().join("checkpoints/mine"), "mine").unwrap();
        opened.remove_folder("checkpoints").unwrap();
        let left: Vec<_> = entries(&folder.path().join("checkpoints")).unwrap();
        assert_eq!(left, [(folder.path().join("checkpoints/mine"), false)]);
        opened.remove_folder("never").unwrap();
    }

    #[test]
    fn clearing_removes_all_of_holdfasts_or_nothing() {
        let folder = tempdir().unwrap();
        let opened = OutputFolder::open(folder.path(), FolderKind::DataSet).unwrap();
        for name in ["training/a/0.png", "training/b/1.png", "sheet.png"] {
            fs::write(opened.file(name).unwrap(), "own").unwrap();
        }
        fs::write(folder.path().join("training/a/2.png"), "mine").unwrap();
        assert!(is_usage(&opened.clear(), "2.png"));
        assert!(folder.path().join("sheet.png").is_file());
        fs::remove_file(folder.path().join("training/a/2.png")).unwrap();
        opened.clear().unwrap();
        let left: Vec<_> = entries(folder.path()).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [LIST, LOCK].map(|name| folder.path().join(name)));
        assert!(opened.is_new());
    }

    #[test]
    fn a_folder_holds_one_kind_of_thing() {
        assert!(is_usage(&OutputFolder::open(written().path(), FolderKind::DataSet).map(drop), "a run"));
    }
}
