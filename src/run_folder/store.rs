//! Files that are whole or absent.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a file under a temporary name in its folder and renames it once it is whole and on the disk: a reader, or a run
/// that goes on after a kill or a power cut, finds the old content or the new, never a part.
///
/// Fails with [`Error::Io`], and then leaves what was there before.
pub fn write(path: &Path, content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    replace(path, |temporary| {
        let mut writer = BufWriter::new(File::create(temporary)?);
        content(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    })
}

/// SHA-256 of a file, in hexadecimal digits.
///
/// Fails with [`Error::Data`] if it cannot be read.
pub fn checksum(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut read = |file: File| io::copy(&mut io::BufReader::new(file), &mut HashWriter(&mut hash));
    File::open(path)
        .and_then(&mut read)
        .map_err(|error| Error::Data(format!("cannot read {}: {error}; check the folder", path.display())))?;
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// Takes in what is written.
struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes one of many small files as [`write()`] does, but does not wait until it is on the disk: a power cut may spoil it.
///
/// Fails with [`Error::Io`], and then leaves what was there before.
pub fn write_quickly(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |temporary| fs::write(temporary, bytes))
}

fn replace(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let temporary = temporary_name(path)?;
    write(&temporary).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        // What is left of a failed attempt is of no use; that it may not be removable is no further news.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// `.NAME.partial`: one name for each file, so that what a killed run left is overwritten by the next.
pub(super) fn temporary_name(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::io("write", path, io::Error::new(io::ErrorKind::InvalidInput, "the path does not end in a file name"))
    })?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".partial");
    Ok(path.with_file_name(temporary))
}

/// Writes text that is at hand, see [`write`].
pub(super) fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |writer| writer.write_all(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn the_old_content_is_there_until_the_new_is_whole_and_nothing_else_stays() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(temporary_name(&path).unwrap(), b"a long part of a file that a killed run left").unwrap();
        write(&path, |writer| writer.write_all(b"first and long")).unwrap();
        write(&path, |writer| {
            writer.write_all(b"second")?;
            writer.flush()?;
            assert_eq!(fs::read(&path)?, b"first and long");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let error = write(&path, |writer| {
            writer.write_all(b"third")?;
            Err(io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(error.to_string().contains("free some space"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.csv"]);
    }

    #[test]
    fn a_missing_folder_and_a_path_without_a_name_are_errors() {
        let folder = tempdir().unwrap();
        let missing = write(&folder.path().join("no/a.csv"), |_| Ok(())).unwrap_err();
        assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("a.csv"), "{missing}");
        assert!(write(Path::new("/"), |_| Ok(())).is_err());
    }
}
