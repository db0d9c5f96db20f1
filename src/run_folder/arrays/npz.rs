//! NumPy's `.npz`: a ZIP archive of `.npy` files.

use super::element::{Element, Number};
use super::{Failure, ForeignArray, NamedArray, Outline, RawArray, Source, npy};
use crate::run_folder::file_kind::{Foreign, Purpose};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// First bytes of an entry of the central directory, and the length of its fixed part (PKWARE's APPNOTE, 4.3.12).
const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
/// Deflate cannot make data smaller than this (two bits for 258 bytes).
const MOST_DEFLATED: u64 = 1032;

/// Writes arrays in their order. Time stamps are the beginning of ZIP's calendar: equal arrays give equal bytes.
pub(super) fn write(file: &mut (impl Write + Seek), arrays: &[NamedArray<'_>]) -> io::Result<()> {
    let mut archive = ZipWriter::new(file);
    for NamedArray { name, shape, values } in arrays {
        let is_large = u32::try_from(values.size() + usize::from(u16::MAX)).is_err();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(is_large);
        let Some(element) = values.element() else {
            return Err(io::Error::other(format!("{name} has numbers of a type that NumPy has no name for")));
        };
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&npy::header(element, shape))?;
        values.write(&mut archive)?;
    }
    archive.finish()?;
    Ok(())
}

/// Names and shapes of all arrays, in the order of the archive; a name that comes twice is there twice.
///
/// An archive of anything else is refused by its kind, with advice for this purpose.
pub(super) fn outlines(source: &mut Source<'_>, purpose: Purpose) -> Result<Vec<Outline>, Failure> {
    let start = ZipArchive::new(&mut source.file).map_err(damaged)?.central_directory_start();
    source.file.seek(SeekFrom::Start(start))?;
    // The crate keeps one entry for each name, so the directory is read once more.
    let (mut names, mut others) = (Vec::new(), Vec::new());
    let mut entry = [0; ENTRY_BYTES];
    while source.file.read_exact(&mut entry).is_ok() && entry[..4] == ENTRY_SIGNATURE {
        let length = |place: usize| u16::from_le_bytes([entry[place], entry[place + 1]]);
        let mut name = vec![0; usize::from(length(28))];
        source.file.read_exact(&mut name)?;
        source.file.seek(SeekFrom::Current(i64::from(length(30)) + i64::from(length(32))))?;
        let name = String::from_utf8_lossy(&name);
        match name.strip_suffix(".npy") {
            Some(array) if !is_of_macos(&name) => names.push(array.to_string()),
            _ => others.push(name.into_owned()),
        }
    }
    if names.is_empty() {
        return Err(Failure::Content(format!("this {}", Foreign::of_archive(&others).sentence(purpose))));
    }
    source.file.rewind()?;
    let mut archive = ZipArchive::new(&mut source.file).map_err(damaged)?;
    let mut shape = |name: &str| npy::shape(&mut archive.by_name(&format!("{name}.npy")).ok()?);
    Ok(names.into_iter().map(|name| Outline { shape: shape(&name), name: Some(name) }).collect())
}

/// Whether macOS put this file into an archive beside the user's.
fn is_of_macos(name: &str) -> bool {
    name.starts_with("__MACOSX/") || name.rsplit('/').next().is_some_and(|file| file.starts_with("._"))
}

/// Reads the array `name`, which comes once.
pub(super) fn read<T: Number>(source: &mut Source<'_>, name: &str) -> Result<ForeignArray<T>, Failure> {
    let array = in_entry(source, name, |entry, length, stored| npy::read_from(entry, length, stored))?;
    Ok(ForeignArray { name: Some(name.into()), ..array })
}

/// Reads the array `name` as it is stored.
pub(super) fn read_raw(source: &mut Source<'_>, name: &str) -> Result<RawArray, Failure> {
    let mut array = in_entry(source, name, |entry, length, stored| npy::read_raw_from(entry, length, stored))?;
    array.name = Some(name.into());
    Ok(array)
}

/// Where the numbers of the array `name` begin, if it is not compressed.
pub(super) fn locate(source: &mut Source<'_>, name: &str) -> Result<Option<(u64, Element, Vec<usize>)>, Failure> {
    let length = source.length;
    let mut archive = open(source, name)?;
    let mut entry = archive.by_name(&format!("{name}.npy")).map_err(damaged)?;
    if entry.compression() != CompressionMethod::Stored {
        return Ok(None);
    }
    let (start, size) = (entry.data_start(), entry.size());
    if start.checked_add(size).is_none_or(|end| end > length) {
        return Err(Failure::Content(format!(
            "the archive claims {size} bytes for it, which a file of {length} cannot hold; write or copy it again"
        )));
    }
    npy::locate_in(&mut entry, start, size)
}

/// Reads an entry of an archive: `work` gets its bytes, how many they are, and whether they are there as they are.
fn in_entry<T>(
    source: &mut Source<'_>,
    name: &str,
    work: impl FnOnce(&mut dyn Read, u64, bool) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let length = source.length;
    let mut archive = open(source, name)?;
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
    let array = work(&mut entry, unpacked, stored)?;
    // Reading on to the end makes the archive check its sum.
    if entry.read(&mut [0])? != 0 {
        return Err(Failure::Content("the array is longer than the archive says; write it again".into()));
    }
    Ok(array)
}

/// The archive, if it has an array `name` that can be read.
fn open<'a>(source: &'a mut Source<'_>, name: &str) -> Result<ZipArchive<&'a mut BufReader<File>>, Failure> {
    source.file.rewind()?;
    let mut archive = ZipArchive::new(&mut source.file).map_err(damaged)?;
    if let Some(index) = archive.index_for_name(&format!("{name}.npy")) {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        if entry.encrypted() {
            return Err(Failure::Content("it is encrypted; write the archive without a password".into()));
        }
        if let Some(method) = unknown_method(entry.compression()) {
            return Err(Failure::Content(format!(
                "it is compressed by {method}, which is not read; write the archive with numpy.savez or \
                 numpy.savez_compressed (stored or deflated)"
            )));
        }
    }
    Ok(archive)
}

/// The name of a compression that is not read.
fn unknown_method(method: CompressionMethod) -> Option<String> {
    let name = match method {
        CompressionMethod::Stored | CompressionMethod::Deflated => return None,
        CompressionMethod::DEFLATE64 => "Deflate64",
        CompressionMethod::BZIP2 => "bzip2",
        CompressionMethod::LZMA => "LZMA",
        CompressionMethod::ZSTD | CompressionMethod::ZSTD_DEPRECATED => "Zstandard",
        CompressionMethod::XZ => "xz",
        CompressionMethod::PPMD => "PPMd",
        other => return Some(format!("a method of ZIP ({other:?})")),
    };
    Some(name.into())
}

fn damaged(error: zip::result::ZipError) -> Failure {
    Failure::Content(format!("the archive is cut off or damaged ({error}); write or copy it again"))
}
