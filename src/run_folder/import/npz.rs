//! NumPy's `.npz`: a ZIP archive of `.npy` files.

use super::{Failure, ForeignArray, Number, Source, npy, seek};
use crate::error::Result;
use std::io::{Read, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// First bytes of an entry of the central directory, and the length of its fixed part (PKWARE's APPNOTE, 4.3.12).
const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
/// Deflate cannot make data smaller than this (two bits for 258 bytes).
const MOST_DEFLATED: u64 = 1032;

/// Names of all arrays, in the order of the archive; a name that comes twice is there twice.
pub(super) fn names(source: &mut Source<'_>) -> Result<Vec<String>> {
    source.in_context(None, |source| {
        let start = ZipArchive::new(&mut source.file).map_err(damaged)?.central_directory_start();
        seek(source, start)?;
        // The crate keeps one entry for each name, so the directory is read once more.
        let mut names = Vec::new();
        let mut entry = [0; ENTRY_BYTES];
        while source.file.read_exact(&mut entry).is_ok() && entry[..4] == ENTRY_SIGNATURE {
            let length = |place: usize| u16::from_le_bytes([entry[place], entry[place + 1]]);
            let mut name = vec![0; usize::from(length(28))];
            source.file.read_exact(&mut name)?;
            source.file.seek(SeekFrom::Current(i64::from(length(30)) + i64::from(length(32))))?;
            if let Some(name) = String::from_utf8_lossy(&name).strip_suffix(".npy") {
                names.push(name.to_string());
            }
        }
        Ok(names)
    })
}

/// Reads the array `name`, which comes once.
pub(super) fn read<T: Number>(source: &mut Source<'_>, name: &str) -> std::result::Result<ForeignArray<T>, Failure> {
    let length = source.length;
    source.file.rewind()?;
    let mut archive = ZipArchive::new(&mut source.file).map_err(damaged)?;
    let mut entry = archive.by_name(&format!("{name}.npy")).map_err(damaged)?;
    let (packed, unpacked) = (entry.compressed_size(), entry.size());
    let stored = entry.compression() == CompressionMethod::Stored;
    let most = if stored { packed } else { packed.saturating_mul(MOST_DEFLATED) };
    if packed > length || unpacked > most {
        return Err(Failure::Content(format!(
            "the archive claims {unpacked} bytes for it, but {packed} bytes of a file of {length} cannot hold that; write \
             or copy it again"
        )));
    }
    let array = npy::read_from(&mut entry, unpacked, stored)?;
    // Reading on to the end makes the archive check its sum.
    if entry.read(&mut [0])? != 0 {
        return Err(Failure::Content("the array is longer than the archive says; write it again".into()));
    }
    Ok(ForeignArray { name: Some(name.into()), ..array })
}

fn damaged(error: zip::result::ZipError) -> Failure {
    Failure::Content(format!("the archive is cut off or damaged ({error}); write or copy it again"))
}
