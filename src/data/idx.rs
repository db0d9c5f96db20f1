//! The IDX format, in which MNIST is published: a magic number, one size for each axis, then the values.
//!
//! Layout (LeCun, Cortes & Burges, "The MNIST database of handwritten digits"): two zero bytes, the type of the values
//! (0x08 for u8), the number of axes, each size as a big-endian u32, the values in row-major order. Files may be
//! compressed with gzip; what a file is, its first bytes decide, never its name.

use super::Dataset;
use super::array_shape::ArrayShape;
use crate::error::{Error, Result};
use crate::run_folder::input::Input;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const UNSIGNED_BYTE: u8 = 0x08;

/// The names under which a file of the format may lie in its folder, however `path` spells it: `...-idx3-ubyte` before
/// `....idx3-ubyte`, each plain before compressed.
pub(super) fn spellings(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let both = [name.replace(".idx", "-idx"), name.replace("-idx", ".idx")];
    both.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).map(|name| path.with_file_name(name)).collect()
}

/// Reads a file of images `[sample, y, x]`, or with a fourth axis of channels as [`ArrayShape`] has it, and its file of labels
/// `[sample]` into a data set of `classes` classes.
///
/// Fails with [`Error::Data`] if a file is missing or malformed, if the files disagree in number, or if a label is not
/// below `classes`.
pub(super) fn read_pair(name: &str, images: &Path, labels: &Path, classes: usize) -> Result<Dataset> {
    let (image_sizes, pixels) = read(images, IMAGES)?;
    let (label_sizes, classes_of_images) = read(labels, LABELS)?;
    let samples = image_sizes[0];
    let shape = ArrayShape::of(&image_sizes)
        .map_err(|why| Error::Data(format!("{}: the shape {image_sizes:?} {why}", images.display())))?;
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
    Dataset::with_channels(name, shape.channels_last(pixels), classes_of_images, shape.sizes(), classes)
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
    compressed(&[&header, values])
        .map_err(|error| Error::Job(format!("an IDX file cannot be compressed: {error}; free some memory")))
}

fn compressed(parts: &[&[u8]]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    parts.iter().try_for_each(|part| encoder.write_all(part))?;
    encoder.finish()
}

/// What a file should hold, and how many axes that has.
type Content = (&'static str, &'static [usize]);
const IMAGES: Content = ("images", &[3, 4]);
const LABELS: Content = ("labels", &[1]);

/// Sizes of the axes and all values of one file.
fn read(path: &Path, (what, axes): Content) -> Result<(Vec<usize>, Vec<u8>)> {
    let shown = path.display();
    let refused = |why: String| Err(Error::Data(why));
    let input = Input::open(path)?;
    let head = input.head().to_vec();
    let file = BufReader::new(input.into_file()?.0);
    let mut reader: Box<dyn Read> = match head[..] {
        [] => return refused(format!("{shown} is empty; copy or download it again")),
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(file)),
        [0, 0, ..] => Box::new(file),
        _ => {
            return refused(format!(
                "{shown} is neither gzip nor IDX: it begins with the bytes {}; an IDX file begins with 00 00, a gzip file \
                 with 1f 8b; check that this is the right file",
                hexadecimal(&head[..head.len().min(2)])
            ));
        }
    };
    let magic = read_header(&mut reader, path, 4)?;
    if magic[..2] != [0, 0] {
        return refused(format!(
            "{shown} is a gzip file, but what it holds is not IDX: it begins with the bytes {} instead of 00 00; check that \
             this is the right file",
            hexadecimal(&magic)
        ));
    }
    if magic[2] != UNSIGNED_BYTE {
        return refused(format!(
            "{shown} holds values of IDX type 0x{:02x}; only unsigned bytes (0x08) are read, convert the file",
            magic[2]
        ));
    }
    let found = usize::from(magic[3]);
    if !axes.contains(&found) {
        let hint = match [IMAGES, LABELS].into_iter().find(|other| other.1.contains(&found)) {
            Some((other, _)) => format!("it seems to hold {other}: are the two files swapped?"),
            None => "check that this is the right file".into(),
        };
        let axes = axes.iter().map(usize::to_string).collect::<Vec<_>>().join(" or ");
        return refused(format!("{shown} has {found} axes, but IDX {what} have {axes}; {hint}"));
    }
    let header = read_header(&mut reader, path, 4 * found)?;
    let sizes: Vec<u32> = header.as_chunks().0.iter().map(|size| u32::from_be_bytes(*size)).collect();
    let shape = sizes.iter().map(u32::to_string).collect::<Vec<_>>().join(" x ");
    if sizes.contains(&0) {
        return refused(format!(
            "the header of {shown} says {shape}, which is no {what} at all; copy or download it again"
        ));
    }
    let claimed = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
    let Some((claimed, limit)) = claimed.and_then(|claimed| Some((claimed, claimed.checked_add(1)?))) else {
        return refused(format!(
            "the header of {shown} says {shape} bytes, more than this machine can address; the file is damaged, copy or \
             download it again"
        ));
    };
    // The vector grows with the bytes that are there: a header that lies costs nothing. One byte more than claimed shows
    // that there are trailing bytes, however many a compressed file would expand to.
    let (values, is_cut) = read_at_most(&mut reader, path, limit)?;
    let found = values.len() as u64;
    let wrong = if found < claimed {
        format!("{shown} is truncated: its header says {shape} = {claimed} bytes, {found} are there")
    } else if found > claimed {
        format!("{shown} has trailing bytes: its header says {shape} = {claimed} bytes, more follow")
    } else if is_cut {
        format!(
            "the gzip data of {shown} do not end where they should: the file is truncated after its {claimed} bytes of \
             content, or other bytes follow"
        )
    } else {
        // Every size divides the number of bytes that are in memory, so it fits.
        return Ok((sizes.into_iter().map(|size| size as usize).collect(), values));
    };
    refused(format!("{wrong}; copy or download it again"))
}

/// Reads exactly `length` bytes of a header.
fn read_header(reader: &mut dyn Read, path: &Path, length: usize) -> Result<Vec<u8>> {
    let (bytes, _) = read_at_most(reader, path, length as u64)?;
    if bytes.len() == length {
        return Ok(bytes);
    }
    Err(Error::Data(format!(
        "{} is truncated in its header: {length} bytes should come next, {} are there; copy or download it again",
        path.display(),
        bytes.len()
    )))
}

/// Reads up to `limit` bytes, and says whether a compressed stream is cut there: the caller knows what is missing.
fn read_at_most(reader: &mut dyn Read, path: &Path, limit: u64) -> Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let ended = reader.take(limit).read_to_end(&mut bytes);
    let shown = path.display();
    match ended.map_err(|error| (error.kind(), error)) {
        Ok(_) => Ok((bytes, false)),
        Err((ErrorKind::UnexpectedEof, _)) => Ok((bytes, true)),
        Err((ErrorKind::InvalidInput | ErrorKind::InvalidData, error)) => Err(Error::Data(format!(
            "the gzip data of {shown} are damaged after {} bytes: {error}; copy or download it again",
            bytes.len()
        ))),
        Err((_, error)) => Err(Error::Data(format!("{shown} cannot be read: {error}; check the file and its disk"))),
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
        compressed(&[bytes]).unwrap()
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
    fn missing_files_folders_and_swapped_files_are_named() {
        let pair = Pair::new(None, None);
        let (images, labels, absent) = (pair.path("images"), pair.path("labels"), pair.path("absent"));
        assert_refused(read_pair("tiny", &images, &absent, 2), &absent, &["check the path"]);
        let folder = pair.folder.path();
        assert_refused(read_pair("tiny", folder, &labels, 2), folder, &["is a folder"]);
        assert_refused(read_pair("tiny", &labels, &labels, 2), &labels, &["seems to hold labels", "swapped"]);
        assert_refused(read_pair("tiny", &images, &images, 2), &images, &["seems to hold images", "swapped"]);
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
    fn cut_and_damaged_gzip_data_are_refused() {
        // Values that do not compress, so that the cut falls among them.
        let mut sequence = crate::random::Sequence::new(1, crate::random::Stream::Check, 0, 0);
        let values: Vec<u8> = (0..4096).map(|_| sequence.next_word() as u8).collect();
        let compressed = gzip(&idx(8, &[4, 32, 32], &values));
        assert_images_refused(&compressed[..2000], &["truncated", "4 x 32 x 32 = 4096 bytes"]);
        assert_images_refused(&compressed[..5], &["truncated in its header"]);
        let mut whole = gzip(&idx(8, &[2, 2, 3], &[1; 12]));
        assert_images_refused(&whole[..whole.len() - 4], &["truncated after its 12 bytes"]);
        let checksum = whole.len() - 8;
        whole[checksum] ^= 0xff;
        assert_images_refused(&whole, &["gzip", "damaged"]);
    }

    #[test]
    fn trailing_bytes_are_refused_without_expanding_them() {
        let bytes = idx(8, &[2, 2, 3], &[1; 13]);
        assert_images_refused(&bytes, &["trailing bytes", "2 x 2 x 3 = 12 bytes"]);
        assert_images_refused(&gzip(&bytes), &["trailing bytes"]);
        assert_images_refused(&gzip(&idx(8, &[2, 2, 3], &vec![0; 64 << 20])), &["trailing bytes"]);
        let garbage_after_gzip = [gzip(&bytes[..28]), b"garbage".to_vec()].concat();
        assert_images_refused(&garbage_after_gzip, &["gzip", "other bytes follow"]);
        let long_garbage = [gzip(&bytes[..28]), vec![b'x'; 100]].concat();
        assert_images_refused(&long_garbage, &["gzip", "damaged after 12 bytes"]);
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        assert_images_refused(&idx(0x0d, &[2, 2, 3], &[1; 48]), &["type 0x0d", "unsigned bytes"]);
        assert_images_refused(&idx(8, &[2, 2, 3, 1, 1], &[1; 12]), &["5 axes", "have 3 or 4"]);
        assert_images_refused(&idx(8, &[2, 2, 2, 5], &[1; 40]), &["images of 5 channels", "1 (gray) and 3"]);
        assert_images_refused(&idx(8, &[0, 2, 3], &[]), &["0 x 2 x 3", "no images"]);
        assert_images_refused(&idx(8, &[2, 0, 3], &[]), &["2 x 0 x 3"]);
        let claim = idx(8, &[u32::MAX, 1, 1], &[1; 12]);
        assert_images_refused(&claim, &["4294967295 bytes, 12 are there"]);
        assert_images_refused(&gzip(&claim), &["4294967295 bytes, 12 are there"]);
        assert_images_refused(&idx(8, &[u32::MAX; 3], &[1; 12]), &["more than this machine can address"]);
    }

    #[test]
    fn labels_that_do_not_fit_are_refused() {
        for (labels, words) in [
            (idx(8, &[3], &[0, 1, 0]), ["2 images", "3 labels"]),
            (idx(8, &[2], &[1, 2]), ["label of image 1 is 2", "0..=1"]),
        ] {
            let pair = Pair::new(None, Some(&labels));
            assert_refused(pair.read(), &pair.path("labels"), &words);
        }
    }
}
