//! What a file is, told by its first bytes: one of the kinds that arrays are read from, or another, called by its name with
//! what to do instead.

use std::io::Read;
use std::path::Path;

/// So many bytes of its beginning say what a file is.
pub const HEAD: usize = 1024;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// One array of NumPy.
    Npy,
    /// A ZIP archive, such as `.npz`; what it holds is another question, see [`Foreign::of_archive`].
    Zip,
    /// Tensors.
    Safetensors,
    /// Anything else.
    Other(Foreign),
}

/// What somebody wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Weights, histories.
    Arrays,
    /// A data set of images.
    Images,
    /// Rows of a CSV file.
    Table,
}

/// A kind of file that is not read as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    what: &'static str,
    family: Family,
}

/// Kinds of files that need the same advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Torch,
    Hdf5,
    Onnx,
    TensorFlow,
    Pickle,
    Matlab,
    Packed,
    Picture,
    Table,
    Spreadsheet,
    Text,
    Markup,
    Pointer,
    Download,
    /// Data sets in MNIST's format.
    Idx,
    Program,
    Unknown,
}

const TAR: &str = "a tar archive (.tar)";
const PACKED_TAR: &str = "a tar archive packed by gzip (.tar.gz)";

/// Beginnings of files: place, bytes, what they tell.
#[rustfmt::skip]
const SIGNATURES: &[(usize, &[u8], &str, Family)] = &[
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch checkpoint (torch.save)", Family::Torch),
    (0, b"MATLAB 7.3 MAT-file", "a MATLAB file (.mat, version 7.3)", Family::Matlab),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file (.mat)", Family::Matlab),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5, also of Keras)", Family::Hdf5),
    (512, b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5)", Family::Hdf5),
    (0, b"CDF\x01", "a NetCDF file", Family::Hdf5),
    (0, b"CDF\x02", "a NetCDF file", Family::Hdf5),
    (4, b"TFL3", "a TensorFlow Lite model (.tflite)", Family::TensorFlow),
    (0, b"GGUF", "a GGUF model", Family::Program),
    (0, b"PAR1", "a Parquet table", Family::Spreadsheet),
    (0, b"ARROW1", "an Arrow table (Feather)", Family::Spreadsheet),
    (0, b"FEA1", "a Feather table", Family::Spreadsheet),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Microsoft Office, such as .xls", Family::Spreadsheet),
    (0, b"SQLite format 3\0", "an SQLite database", Family::Spreadsheet),
    (0, b"BZh", "a file packed by bzip2 (.bz2)", Family::Packed),
    (0, b"\xfd7zXZ\0", "a file packed by xz (.xz)", Family::Packed),
    (0, b"\x28\xb5\x2f\xfd", "a file packed by Zstandard (.zst)", Family::Packed),
    (0, b"\x04\x22\x4d\x18", "a file packed by LZ4 (.lz4)", Family::Packed),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (.7z)", Family::Packed),
    (0, b"Rar!\x1a\x07", "a RAR archive", Family::Packed),
    (257, b"ustar", TAR, Family::Packed),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", Family::Picture),
    (0, b"\xff\xd8\xff", "a JPEG image", Family::Picture),
    (0, b"GIF8", "a GIF image", Family::Picture),
    (0, b"II*\0", "a TIFF image", Family::Picture),
    (0, b"MM\0*", "a TIFF image", Family::Picture),
    (8, b"WEBP", "a WebP image", Family::Picture),
    (4, b"ftyphei", "a HEIC image", Family::Picture),
    (4, b"ftypavif", "an AVIF image", Family::Picture),
    (128, b"DICM", "a DICOM image", Family::Picture),
    (0, b"\0\0\x08\x01", "an IDX file of labels, as of MNIST", Family::Idx),
    (0, b"\0\0\x08\x03", "an IDX file of images, as of MNIST", Family::Idx),
    (0, b"%PDF", "a PDF document", Family::Program),
    (0, b"\x7fELF", "a program", Family::Program),
    (0, b"MZ", "a program", Family::Program),
    (0, b"version https://git-lfs", "the pointer that Git LFS leaves in place of a file", Family::Pointer),
    (0, b"\xff\xfe", "text in UTF-16", Family::Text),
    (0, b"\xfe\xff", "text in UTF-16", Family::Text),
];

/// What names tell of files whose bytes have no signature.
const ENDINGS: &[(&str, &str, Family)] = &[
    ("onnx", "an ONNX model", Family::Onnx),
    ("pb", "a TensorFlow graph (.pb)", Family::TensorFlow),
    ("index", "the index of a TensorFlow checkpoint", Family::TensorFlow),
    ("data-00000-of-00001", "a part of a TensorFlow checkpoint", Family::TensorFlow),
    ("mat", "a MATLAB file (.mat, version 4)", Family::Matlab),
    ("msgpack", "a Flax checkpoint (.msgpack)", Family::Program),
    ("pkl", "a Python pickle", Family::Pickle),
    ("pickle", "a Python pickle", Family::Pickle),
    ("joblib", "a Python pickle of joblib", Family::Pickle),
    ("bin", "a file of bare bytes, without types and shapes", Family::Program),
    ("bmp", "a BMP image", Family::Picture),
];

impl FileKind {
    /// Tells by the first [`HEAD`] bytes, or all if there are fewer. The name counts only where bytes say nothing.
    pub fn of(head: &[u8], path: &Path) -> Self {
        match head {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => return Self::Npy,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Self::Zip,
            // The length of the header comes first; text would make it longer than any disk.
            [_, _, _, _, _, _, 0, 0, b'{', ..] => return Self::Safetensors,
            _ => {}
        }
        let foreign = |what, family| Self::Other(Foreign { what, family });
        if head.is_empty() {
            return foreign("empty: it has no bytes", Family::Download);
        }
        let found =
            SIGNATURES.iter().find(|(place, bytes, ..)| head.get(*place..).is_some_and(|at| at.starts_with(bytes)));
        if let Some(&(_, _, what, family)) = found {
            return foreign(what, family);
        }
        if head.starts_with(b"\x1f\x8b") {
            return Self::Other(in_gzip(head, path));
        }
        if let [0x80, 2..=5, ..] = head {
            return foreign("a Python pickle (also old checkpoints, and files of joblib)", Family::Pickle);
        }
        let has = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
        if matches!(head, [8, 1..=30, 0x12, ..]) && (has(b"onnx") || has(b"pytorch")) {
            return foreign("an ONNX model", Family::Onnx);
        }
        if head.iter().all(|&byte| byte == 0) {
            return foreign("made of zeros, as a download or a copy that did not end leaves it", Family::Download);
        }
        if let Some(text) = text(head) {
            let (what, family) = in_text(text);
            return foreign(what, family);
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        match ENDINGS.iter().find(|(known, ..)| *known == ending) {
            Some(&(_, what, family)) => foreign(what, family),
            None => foreign("of a kind that is not known here", Family::Unknown),
        }
    }

    /// What the file is and what to do, see [`Foreign::sentence`].
    pub fn sentence(self, purpose: Purpose) -> String {
        let (what, family) = match self {
            Self::Other(foreign) => return foreign.sentence(purpose),
            Self::Npy => ("an array of NumPy (.npy)", Family::Program),
            Self::Zip => ("a ZIP archive, such as .npz and .xlsx", Family::Spreadsheet),
            Self::Safetensors => ("a .safetensors file", Family::Program),
        };
        Foreign { what, family }.sentence(purpose)
    }

    /// Whether this is a tar archive packed by gzip, and not one file.
    pub fn is_packed_tar(self) -> bool {
        matches!(self, Self::Other(Foreign { what: PACKED_TAR, .. }))
    }
}

impl Foreign {
    /// What a ZIP archive is in which there are no arrays, by the names of its files.
    pub fn of_archive(names: &[String]) -> Self {
        let is = |ending: &str| names.iter().any(|name| name.to_lowercase().ends_with(ending));
        let (what, family) = if is("data.pkl") {
            ("a PyTorch checkpoint (torch.save)", Family::Torch)
        } else if is("model.weights.h5") {
            ("a Keras model (.keras)", Family::Hdf5)
        } else if names.iter().any(|name| name == "[Content_Types].xml") {
            ("a document of Microsoft Office, such as .xlsx", Family::Spreadsheet)
        } else if [".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"].into_iter().any(is) {
            ("a ZIP archive of images", Family::Packed)
        } else if names.is_empty() {
            ("an empty ZIP archive: it holds no arrays", Family::Download)
        } else {
            ("a ZIP archive that holds no arrays", Family::Packed)
        };
        Self { what, family }
    }

    /// Whether this may be text that is a table: what is not known is perhaps text in another encoding.
    pub fn may_be_text(self) -> bool {
        matches!(self.family, Family::Text | Family::Table | Family::Unknown)
    }

    /// What the file is and what to do, without its name: `is a tar archive (.tar); unpack it and name the folder`.
    pub fn sentence(self, purpose: Purpose) -> String {
        let none = match purpose {
            Purpose::Arrays => ", so it is neither .npy nor .npz nor .safetensors",
            Purpose::Images => ", so it is neither a .npz archive nor an IDX file",
            Purpose::Table => ", so it is no CSV file",
        };
        let none = if self.family == Family::Unknown { none } else { "" };
        format!("is {}{none}; {}", self.what, self.advice(purpose))
    }

    fn advice(self, purpose: Purpose) -> &'static str {
        match (self.family, purpose) {
            (Family::Pointer, _) => "fetch the file itself: git lfs pull",
            (Family::Download, _) => "write, copy or download it again",
            (Family::Packed, Purpose::Images) => "unpack it and name the folder",
            (Family::Packed, _) => "unpack it and name a file that was in it",
            (Family::Picture, Purpose::Images) => {
                "name the folder in which each class has a folder of images, not one image"
            }
            (_, Purpose::Images) => {
                "name a folder in which each class has a folder of images, IDX files, or a .npz with train_images, \
                 train_labels, test_images and test_labels"
            }
            (_, Purpose::Table) => "save the table as CSV, its columns separated by commas",
            (Family::Torch, _) => {
                "load it in Python and save what is needed, e.g. numpy.save('layer.npy', \
                 torch.load(FILE)['layer.weight'].numpy()), or safetensors.torch.save_file(model.state_dict(), \
                 'weights.safetensors')"
            }
            (Family::Hdf5, _) => {
                "load it in Python and save what is needed, e.g. numpy.save('layer.npy', \
                 keras.models.load_model(FILE).layers[1].get_weights()[0]), or read it by h5py"
            }
            (Family::Onnx, _) => {
                "load it in Python and save what is needed, e.g. numpy.savez('weights.npz', **{w.name: \
                 onnx.numpy_helper.to_array(w) for w in onnx.load(FILE).graph.initializer})"
            }
            (Family::TensorFlow, _) => {
                "load it in Python and save what is needed, e.g. numpy.save('layer.npy', variable.numpy()) of a loaded model"
            }
            (Family::Pickle, _) => {
                "a pickle can run programs, so it is not read; load it in Python and save what is needed with numpy.save"
            }
            (Family::Matlab, _) => {
                "load it in Python and save what is needed, e.g. numpy.save('history.npy', scipy.io.loadmat(FILE)['h'])"
            }
            (Family::Table, _) => {
                "save its numbers as an array, e.g. numpy.save('history.npy', numpy.loadtxt(FILE, delimiter=','))"
            }
            _ => "save the weights as .npy, .npz or .safetensors",
        }
    }
}

/// What a file is that gzip packed, by the bytes within.
fn in_gzip(head: &[u8], path: &Path) -> Foreign {
    let mut inner = Vec::new();
    // The head breaks off in the middle of the stream: what came before the error is enough.
    let _ = flate2::read::GzDecoder::new(head).take(HEAD as u64).read_to_end(&mut inner);
    let what = match FileKind::of(&inner, &path.with_extension("")) {
        FileKind::Npy => "a .npy file packed by gzip (.npy.gz)",
        FileKind::Safetensors => "a .safetensors file packed by gzip",
        FileKind::Other(Foreign { what: TAR, .. }) => PACKED_TAR,
        FileKind::Other(Foreign { family: Family::Idx, .. }) => {
            return Foreign { what: "an IDX file packed by gzip, as of MNIST", family: Family::Idx };
        }
        _ => "a file packed by gzip (.gz)",
    };
    Foreign { what, family: Family::Packed }
}

/// The beginning of a file as text, if it is text.
fn text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last letter may be cut.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let is_text = |letter: char| !letter.is_control() || matches!(letter, '\t' | '\n' | '\r' | '\u{c}');
    text.chars().all(is_text).then_some(text)
}

fn in_text(text: &str) -> (&'static str, Family) {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let start: String = text.chars().take(15).collect::<String>().to_lowercase();
    let first_line = text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    if start.starts_with("<!doctype html") || start.starts_with("<html") {
        ("a web page (HTML), as a failed download leaves it", Family::Download)
    } else if start.starts_with('<') {
        ("text in XML", Family::Markup)
    } else if start.starts_with(['{', '[']) {
        ("text in JSON", Family::Markup)
    } else if first_line.contains([',', ';', '\t']) {
        ("a table in text, such as CSV", Family::Table)
    } else {
        ("text", Family::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn told(head: &[u8], name: &str) -> String {
        match FileKind::of(head, Path::new(name)) {
            FileKind::Other(foreign) => foreign.sentence(Purpose::Arrays),
            kind => format!("{kind:?}"),
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn kinds_are_told_by_their_bytes_and_not_by_their_names() {
        let mut tar = vec![0; 512];
        tar[..4].copy_from_slice(b"cats");
        tar[257..262].copy_from_slice(b"ustar");
        let long_text = "a,b\n1,2\n".repeat(200);
        for (head, name, words) in [
            (&b"\x93NUMPY\x01\0"[..], "h.csv", "Npy"),
            (b"PK\x03\x04", "h.npy", "Zip"),
            (b"\x10\0\0\0\0\0\0\0{", "h", "Safetensors"),
            (b"", "h.npy", "no bytes"),
            (b"\0\0\0\0\0\0\0\0\0\0", "h.npy", "zeros"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "m.pt", "PyTorch"),
            (b"\x80\x04\x95", "m", "pickle"),
            (b"\x89HDF\r\n\x1a\n", "m.npy", "HDF5"),
            (b"\x08\x07\x12\x07pytorch", "m", "ONNX"),
            (b"\x08\x09\xff\xfe", "m.onnx", "ONNX"),
            (b"\x1c\0\0\0TFL3", "m", "TensorFlow Lite"),
            (b"GGUF\x03\0", "m", "GGUF"),
            (b"PAR1\x15", "m", "Parquet"),
            (b"epoch;w\n1;2\n", "h.npy", "CSV"),
            (long_text.as_bytes(), "h.npy", "CSV"),
            (b"{\"a\": [1, {", "h", "JSON"),
            (b"\n<!DOCTYPE html><html>", "h.npz", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "h.npz", "git lfs pull"),
            (&tar, "h.npz", "tar archive"),
            (&gzip(&tar), "h.npz", ".tar.gz"),
            (&gzip(b"\x93NUMPY\x01\0"), "h.npy.gz", ".npy.gz"),
            (b"BZh91AY", "h", "bzip2"),
            (b"\xff\xd8\xff\xe0", "h", "JPEG"),
            (b"caf\xe9\x01", "h", "neither .npy nor .npz nor .safetensors"),
        ] {
            let found = told(head, name);
            assert!(found.contains(words), "{name}: {words:?} is not in {found}");
        }
    }

    #[test]
    fn archives_without_arrays_are_told_by_what_they_hold() {
        for (name, words) in [
            ("model/data.pkl", "PyTorch"),
            ("model.weights.h5", "Keras"),
            ("[Content_Types].xml", ".xlsx"),
            ("cats/1.PNG", "images"),
            ("a.txt", "no arrays"),
        ] {
            let found = Foreign::of_archive(&[name.into()]).sentence(Purpose::Images);
            assert!(found.contains(words), "{words:?} is not in {found}");
        }
    }
}
