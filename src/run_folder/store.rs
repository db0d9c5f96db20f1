//! Files that are whole or absent, and the folder that holds them.

use super::Manifest;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = ".lock";

/// Writes a file under a temporary name in its folder and renames it once it is whole and on the disk: a reader, or a run
/// that goes on after a kill or a power cut, finds the old content or the new, never a part.
///
/// Fails with [`Error::Io`], and then leaves what was there before.
pub fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let temporary = temporary_name(path)?;
    let written = File::create(&temporary).and_then(|file| {
        let mut writer = BufWriter::new(file);
        content(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        // What is left of a failed attempt is of no use; that it may not be removable is no further news.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// `.NAME.partial`: one name for each file, so that what a killed run left is overwritten by the next.
fn temporary_name(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::io("write", path, io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name"))
    })?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".partial");
    Ok(path.with_file_name(temporary))
}

/// The output folder of one run. No other process can open it until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    manifest: Option<Manifest>,
    /// Held for its lock. The file stays when the lock goes: removing it would let two runs lock two files of one name.
    _lock: File,
}

impl RunFolder {
    /// Opens a folder for the configuration with this hash, and creates it if it is missing.
    ///
    /// Fails with [`Error::Usage`] if the path is a file, if another process has the folder open, or if its manifest is of
    /// another configuration or cannot be understood; with [`Error::Io`] if it cannot be created or locked.
    pub fn open(path: &Path, configuration_hash: &str) -> Result<Self> {
        let shown = path.display();
        if path.is_file() {
            return Err(Error::Usage(format!("{shown} is a file, not a folder; choose another --out")));
        }
        fs::create_dir_all(path).map_err(|error| Error::io("create the folder", path, error))?;
        let lock_path = path.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| Error::io("create", &lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Usage(format!(
                    "{shown} is in use by another run; wait until that is done or choose another --out"
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &lock_path, error)),
        }
        let manifest = Manifest::read(path)?;
        if let Some(found) = manifest.as_ref().map(|manifest| &manifest.configuration_hash)
            && found != configuration_hash
        {
            return Err(Error::Usage(format!(
                "{shown} belongs to another configuration: its manifest says {found}, this run is {configuration_hash}; \
                 choose another --out"
            )));
        }
        Ok(Self { path: path.to_path_buf(), manifest, _lock: lock })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest that was there when the folder was opened: of this configuration, from a run that ended or stopped.
    pub fn earlier_manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The path of a file in this folder, e.g. `cells/dnn-pr/metrics.csv`; makes the folders that lead to it.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| Error::io("create the folder", folder, error))?;
        }
        Ok(path)
    }
}

/// Writes text that is at hand, see [`write`].
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |writer| writer.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::example;
    use super::*;
    use tempfile::tempdir;

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_stays() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, |writer| writer.write_all(b"first and long")).unwrap();
        write(&path, |writer| writer.write_all(b"second")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_content() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, |writer| writer.write_all(b"old")).unwrap();
        let error = write(&path, |writer| {
            writer.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn the_old_content_is_there_until_the_new_is_whole() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write(&path, |writer| writer.write_all(b"old")).unwrap();
        write(&path, |writer| {
            writer.write_all(b"new")?;
            writer.flush()?;
            assert_eq!(fs::read(&path)?, b"old");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_a_killed_run_left_is_overwritten() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(temporary_name(&path).unwrap(), b"a long part of a file").unwrap();
        write(&path, |writer| writer.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.csv"]);
    }

    #[test]
    fn a_missing_folder_and_a_path_without_a_name_are_errors() {
        let folder = tempdir().unwrap();
        let missing = write(&folder.path().join("no/a.csv"), |_| Ok(())).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("a.csv"), "{missing}");
        assert!(write(Path::new("/"), |_| Ok(())).is_err());
    }

    #[test]
    fn a_run_folder_is_created_with_its_parents() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("runs/one");
        let run = RunFolder::open(&path, "abc").unwrap();
        assert!(run.path().is_dir() && run.earlier_manifest().is_none());
        let file = run.file("cells/dnn-pr/metrics.csv").unwrap();
        write(&file, |writer| writer.write_all(b"x")).unwrap();
        assert!(path.join("cells/dnn-pr/metrics.csv").is_file());
    }

    #[test]
    fn a_folder_in_use_is_refused_until_it_is_free() {
        let folder = tempdir().unwrap();
        let first = RunFolder::open(folder.path(), "abc").unwrap();
        let error = RunFolder::open(folder.path(), "abc").unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("in use by another run"), "{error}");
        drop(first);
        RunFolder::open(folder.path(), "abc").unwrap();
    }

    #[test]
    fn a_run_goes_on_in_a_folder_of_its_own_configuration() {
        let folder = tempdir().unwrap();
        let manifest = example("abc");
        manifest.write(RunFolder::open(folder.path(), "abc").unwrap().path()).unwrap();
        assert_eq!(RunFolder::open(folder.path(), "abc").unwrap().earlier_manifest(), Some(&manifest));
    }

    #[test]
    fn a_folder_of_another_configuration_is_refused() {
        let folder = tempdir().unwrap();
        example("abc").write(folder.path()).unwrap();
        let error = RunFolder::open(folder.path(), "def").unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        for words in ["abc", "def", "choose another --out"] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_manifest_that_is_none_is_refused() {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("manifest.json"), "{").unwrap();
        let error = RunFolder::open(folder.path(), "abc").unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("manifest.json"), "{error}");
    }

    #[test]
    fn a_file_in_place_of_the_folder_is_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let error = RunFolder::open(&path, "abc").unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("is a file"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_path_that_is_not_utf_8_is_fine() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
        let run = RunFolder::open(&path, "abc").unwrap();
        example("abc").write(run.path()).unwrap();
        assert_eq!(names(&path), [".lock", "manifest.json"]);
    }
}
