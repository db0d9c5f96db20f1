//! The IDX format, in which MNIST is published: a magic number, one size for each axis, then the values.
//!
//! Layout (LeCun, Cortes & Burges, "The MNIST database of handwritten digits"): two zero bytes, the type of the values
//! (0x08 for u8), the number of axes, each size as a big-endian u32, the values in row-major order. Files may be
//! compressed with gzip; what a file is, its first bytes decide, never its name.

use super::Dataset;
use crate::error::{Error, Result};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;

/// The names under which a file of the format may lie in its folder, however `path` spells it: `...-idx3-ubyte` before
/// `....idx3-ubyte`, each plain before compressed.
pub(super) fn spellings(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let both = [name.replace(".idx", "-idx"), name.replace("-idx", ".idx")];
    both.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).map(|name| path.with_file_name(name)).collect()
}

/// Reads a file of images `[sample, y, x]` and its file of labels `[sample]` into a data set of `classes` classes.
///
/// Fails with [`Error::Data`] if a file is missing or malformed, if the files disagree in number, or if a label is not
/// below `classes`.
pub(super) fn read_pair(name: &str, images: &Path, labels: &Path, classes: usize) -> Result<Dataset> {
    let (image_sizes, pixels) = read(images, Content::Images)?;
    let (label_sizes, classes_of_images) = read(labels, Content::Labels)?;
    let (samples, height, width) = (image_sizes[0], image_sizes[1], image_sizes[2]);
    if samples != label_sizes[0] {
        return Err(Error::Data(format!(
            "{} has {samples} images, but {} has {} labels; give the two files of one set",
            images.display(),
            labels.display(),
            label_sizes[0]
        )));
    }
    if let Some(index) = classes_of_images.iter().position(|&label| usize::from(label) >= classes) {
        return Err(Error::Data(format!(
            "{}: the label of image {index} is {}, but labels of {classes} classes lie in 0..={}; check that this file \
             belongs to the set",
            labels.display(),
            classes_of_images[index],
            classes.saturating_sub(1)
        )));
    }
    Dataset::new(name, pixels, classes_of_images, height, width, classes)
}

/// The compressed file of unsigned bytes with axes of these sizes.
///
/// Equal values give equal bytes: gzip's time stamp stays 0. Fails with [`Error::Shape`] if an axis is longer than the
/// format can say.
pub(super) fn encode(sizes: &[usize], values: &[u8]) -> Result<Vec<u8>> {
    let mut header = vec![0, 0, UNSIGNED_BYTE, sizes.len() as u8];
    for &size in sizes {
        let size = u32::try_from(size)
            .map_err(|_| Error::Shape(format!("an axis of {size} is too long for an IDX file; write fewer images")))?;
        header.extend(size.to_be_bytes());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(&header).and_then(|()| encoder.write_all(values)).and_then(|()| encoder.finish());
    written.map_err(|error| Error::Job(format!("an IDX file cannot be compressed: {error}; free some memory")))
}

/// What a file should hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Images,
    Labels,
}

impl Content {
    fn axes(self) -> usize {
        match self {
            Self::Images => 3,
            Self::Labels => 1,
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Labels => "labels",
        }
    }
}

/// Sizes of the axes and all values of one file.
fn read(path: &Path, content: Content) -> Result<(Vec<usize>, Vec<u8>)> {
    let shown = path.display();
    let mut file = BufReader::new(open(path)?);
    let mut magic = Vec::new();
    read_at_most(&mut file, path, 2, &mut magic)?;
    if magic == GZIP_MAGIC {
        read_decoded(MultiGzDecoder::new(magic.as_slice().chain(file)), path, content)
    } else if magic == [0, 0] {
        read_decoded(magic.as_slice().chain(file), path, content)
    } else if magic.is_empty() {
        Err(Error::Data(format!("{shown} is empty; copy or download it again")))
    } else {
        Err(Error::Data(format!(
            "{shown} is neither gzip nor IDX: it begins with the bytes {}; an IDX file begins with 00 00, a gzip file with \
             1f 8b; check that this is the right file",
            hexadecimal(&magic)
        )))
    }
}

fn open(path: &Path) -> Result<File> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Error::Data(format!("{shown} is a folder, not an IDX file; give the file itself")));
    }
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::Data(format!("there is no file {shown}; check the path")),
        _ => Error::Data(format!("{shown} cannot be opened: {error}; check that you may read it")),
    })
}

fn read_decoded(mut reader: impl Read, path: &Path, content: Content) -> Result<(Vec<usize>, Vec<u8>)> {
    let shown = path.display();
    let mut magic = Vec::new();
    read_header(&mut reader, path, 4, &mut magic)?;
    if magic[..2] != [0, 0] {
        return Err(Error::Data(format!(
            "{shown} is a gzip file, but what it holds is not IDX: it begins with the bytes {} instead of 00 00; check that \
             this is the right file",
            hexadecimal(&magic)
        )));
    }
    if magic[2] != UNSIGNED_BYTE {
        return Err(Error::Data(format!(
            "{shown} holds values of IDX type 0x{:02x}; only unsigned bytes (0x08) are read, convert the file",
            magic[2]
        )));
    }
    let axes = usize::from(magic[3]);
    if axes != content.axes() {
        let hint = match (content, axes) {
            (Content::Images, 1) => "it seems to hold labels: are the two files swapped?",
            (Content::Labels, 3) => "it seems to hold images: are the two files swapped?",
            _ => "check that this is the right file",
        };
        return Err(Error::Data(format!(
            "{shown} has {axes} axes, but IDX {} have {}; {hint}",
            content.plural(),
            content.axes()
        )));
    }
    let mut header = Vec::new();
    read_header(&mut reader, path, 4 * axes, &mut header)?;
    let sizes: Vec<u32> =
        header.chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]])).collect();
    let shape = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ");
    if sizes.contains(&0) {
        return Err(Error::Data(format!(
            "the header of {shown} says {shape}, which is no {} at all; copy or download it again",
            content.plural()
        )));
    }
    let too_large = || {
        Error::Data(format!(
            "the header of {shown} says {shape} bytes, more than this machine can address; the file is damaged, copy or \
             download it again"
        ))
    };
    let claimed =
        sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into())).ok_or_else(too_large)?;
    let limit = claimed.checked_add(1).ok_or_else(too_large)?;

    // The vector grows with the bytes that are there: a header that lies costs nothing. One byte more than claimed shows
    // that there are trailing bytes, however many a compressed file would expand to.
    let mut values = Vec::new();
    let ending = read_at_most(&mut reader, path, limit, &mut values)?;
    let found = values.len() as u64;
    if found < claimed {
        return Err(Error::Data(format!(
            "{shown} is truncated: its header says {shape} = {claimed} bytes, {found} are there; copy or download it again"
        )));
    }
    if found > claimed {
        return Err(Error::Data(format!(
            "{shown} has trailing bytes: its header says {shape} = {claimed} bytes, more follow; copy or download it again"
        )));
    }
    if ending == Ending::Cut {
        return Err(Error::Data(format!(
            "the gzip data of {shown} do not end where they should: the file is truncated after its {claimed} bytes of \
             content, or other bytes follow; copy or download it again"
        )));
    }
    // Every size divides the number of bytes that are in memory, so it fits.
    Ok((sizes.into_iter().map(|size| size as usize).collect(), values))
}

/// Reads exactly `length` bytes of a header.
fn read_header(reader: &mut impl Read, path: &Path, length: usize, bytes: &mut Vec<u8>) -> Result<()> {
    read_at_most(reader, path, length as u64, bytes)?;
    if bytes.len() < length {
        return Err(Error::Data(format!(
            "{} is truncated in its header: {length} bytes should come next, {} are there; copy or download it again",
            path.display(),
            bytes.len()
        )));
    }
    Ok(())
}

/// How a stream ended, if the limit did not end it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    /// In the middle of a gzip member.
    Cut,
}

/// Reads up to `limit` bytes. A compressed stream that is cut is no error here: the caller knows what is missing.
fn read_at_most(reader: &mut impl Read, path: &Path, limit: u64, bytes: &mut Vec<u8>) -> Result<Ending> {
    match reader.take(limit).read_to_end(bytes) {
        Ok(_) => Ok(Ending::Whole),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Ending::Cut),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData) => {
            Err(Error::Data(format!(
                "the gzip data of {} are damaged after {} bytes: {error}; copy or download it again",
                path.display(),
                bytes.len()
            )))
        }
        Err(error) => {
            Err(Error::Data(format!("{} cannot be read: {error}; check the file and its disk", path.display())))
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn idx(type_code: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, type_code, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Two images of 2 x 3 pixels with labels 1 and 0, each file as given or else well-formed.
    struct Pair {
        folder: TempDir,
    }

    impl Pair {
        fn new(images: Option<&[u8]>, labels: Option<&[u8]>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (good_images, good_labels) = (idx(8, &[2, 2, 3], &[9; 12]), idx(8, &[2], &[1, 0]));
            std::fs::write(folder.path().join("images"), images.unwrap_or(&good_images)).unwrap();
            std::fs::write(folder.path().join("labels"), labels.unwrap_or(&good_labels)).unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn read(&self) -> Result<Dataset> {
            read_pair("tiny", &self.path("images"), &self.path("labels"), 2)
        }
    }

    /// Asserts that reading fails with a data error that names the file and says all of `words`.
    #[track_caller]
    fn assert_refused(result: Result<Dataset>, file: &Path, words: &[&str]) {
        let error = result.expect_err("a malformed file was accepted");
        assert!(matches!(error, Error::Data(_)), "{error:?}");
        let message = error.to_string();
        for word in [file.to_str().unwrap()].iter().chain(words) {
            assert!(message.contains(word), "{word:?} is missing in: {message}");
        }
    }

    #[track_caller]
    fn assert_images_refused(bytes: &[u8], words: &[&str]) {
        let pair = Pair::new(Some(bytes), None);
        assert_refused(pair.read(), &pair.path("images"), words);
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_images() {
        let values: Vec<u8> = (0..12).collect();
        let bytes = idx(8, &[2, 2, 3], &values);
        let plain = Pair::new(Some(&bytes), None).read().unwrap();
        assert_eq!((plain.samples(), plain.height, plain.width, plain.classes), (2, 2, 3, 2));
        assert_eq!((&plain.images, plain.labels.as_slice()), (&values, [1, 0].as_slice()));
        assert_eq!(Pair::new(Some(&gzip(&bytes)), None).read().unwrap(), plain);
    }

    #[test]
    fn gzip_members_one_after_the_other_are_one_file() {
        let bytes = idx(8, &[2, 2, 3], &[7; 12]);
        let (front, back) = bytes.split_at(18);
        let members = [gzip(front), gzip(back)].concat();
        assert_eq!(Pair::new(Some(&members), None).read().unwrap().images, [7; 12]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let pair = Pair::new(None, None);
        let missing = pair.path("absent");
        assert_refused(read_pair("tiny", &pair.path("images"), &missing, 2), &missing, &["there is no file"]);
    }

    #[test]
    fn a_folder_is_not_a_file() {
        let pair = Pair::new(None, None);
        let folder = pair.folder.path();
        assert_refused(read_pair("tiny", folder, &pair.path("labels"), 2), folder, &["is a folder"]);
    }

    #[test]
    fn what_is_neither_gzip_nor_idx_is_refused() {
        assert_images_refused(b"\x89PNG\r\n", &["neither gzip nor IDX", "89 50"]);
        assert_images_refused(&[0], &["neither gzip nor IDX", "bytes 00"]);
        assert_images_refused(b"", &["is empty"]);
        assert_images_refused(&gzip(b"hello, world"), &["not IDX", "68 65 6c 6c"]);
    }

    #[test]
    fn a_truncated_file_says_how_much_is_there() {
        let bytes = idx(8, &[2, 2, 3], &[1; 11]);
        let words = ["truncated", "2 x 2 x 3 = 12 bytes", "11 are there"];
        assert_images_refused(&bytes, &words);
        assert_images_refused(&gzip(&bytes), &words);
        assert_images_refused(&bytes[..9], &["truncated in its header", "12 bytes should come next, 5 are there"]);
        assert_images_refused(&bytes[..3], &["truncated in its header", "4 bytes should come next, 3 are there"]);
    }

    #[test]
    fn a_cut_gzip_stream_is_truncated() {
        // Values that do not compress, so that the cut falls among them.
        let mut sequence = crate::random::Sequence::new(1, crate::random::Stream::Check, 0, 0);
        let values: Vec<u8> = (0..4096).map(|_| sequence.next_word() as u8).collect();
        let compressed = gzip(&idx(8, &[4, 32, 32], &values));
        assert_images_refused(&compressed[..2000], &["truncated", "4 x 32 x 32 = 4096 bytes"]);
        assert_images_refused(&compressed[..5], &["truncated in its header"]);
        let without_checksum = gzip(&idx(8, &[2, 2, 3], &[1; 12]));
        let end = without_checksum.len() - 4;
        assert_images_refused(&without_checksum[..end], &["truncated after its 12 bytes"]);
    }

    #[test]
    fn damaged_gzip_data_are_refused() {
        let mut compressed = gzip(&idx(8, &[2, 2, 3], &[5; 12]));
        let checksum = compressed.len() - 8;
        compressed[checksum] ^= 0xff;
        assert_images_refused(&compressed, &["gzip", "damaged"]);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let bytes = idx(8, &[2, 2, 3], &[1; 13]);
        assert_images_refused(&bytes, &["trailing bytes", "2 x 2 x 3 = 12 bytes"]);
        assert_images_refused(&gzip(&bytes), &["trailing bytes"]);
        let garbage_after_gzip = [gzip(&bytes[..28]), b"garbage".to_vec()].concat();
        assert_images_refused(&garbage_after_gzip, &["gzip", "other bytes follow"]);
        let long_garbage = [gzip(&bytes[..28]), vec![b'x'; 100]].concat();
        assert_images_refused(&long_garbage, &["gzip", "damaged after 12 bytes"]);
    }

    #[test]
    fn swapped_files_are_recognised() {
        let pair = Pair::new(None, None);
        let (images, labels) = (pair.path("images"), pair.path("labels"));
        assert_refused(read_pair("tiny", &labels, &labels, 2), &labels, &["seems to hold labels", "swapped"]);
        assert_refused(read_pair("tiny", &images, &images, 2), &images, &["seems to hold images", "swapped"]);
    }

    #[test]
    fn other_types_and_numbers_of_axes_are_refused() {
        assert_images_refused(&idx(0x0d, &[2, 2, 3], &[1; 48]), &["type 0x0d", "unsigned bytes"]);
        assert_images_refused(&idx(8, &[2, 2, 3, 1], &[1; 12]), &["4 axes", "have 3"]);
    }

    #[test]
    fn a_size_of_zero_is_refused() {
        assert_images_refused(&idx(8, &[0, 2, 3], &[]), &["0 x 2 x 3", "no images"]);
        assert_images_refused(&idx(8, &[2, 0, 3], &[]), &["2 x 0 x 3"]);
    }

    #[test]
    fn a_header_that_claims_gigabytes_is_refused_by_what_is_there() {
        let claim = idx(8, &[u32::MAX, 1, 1], &[1; 12]);
        assert_images_refused(&claim, &["4294967295 bytes, 12 are there"]);
        assert_images_refused(&gzip(&claim), &["4294967295 bytes, 12 are there"]);
        assert_images_refused(&idx(8, &[u32::MAX; 3], &[1; 12]), &["more than this machine can address"]);
    }

    #[test]
    fn a_small_header_before_much_compressed_data_is_refused_without_expanding_them() {
        let bomb = gzip(&idx(8, &[2, 2, 3], &vec![0; 64 << 20]));
        assert_images_refused(&bomb, &["trailing bytes"]);
    }

    #[test]
    fn labels_and_images_that_disagree_in_number_are_refused() {
        let pair = Pair::new(None, Some(&idx(8, &[3], &[0, 1, 0])));
        assert_refused(pair.read(), &pair.path("labels"), &["2 images", "3 labels"]);
    }

    #[test]
    fn labels_above_the_number_of_classes_are_refused() {
        let pair = Pair::new(None, Some(&idx(8, &[2], &[1, 2])));
        assert_refused(pair.read(), &pair.path("labels"), &["label of image 1 is 2", "0..=1"]);
    }
}
