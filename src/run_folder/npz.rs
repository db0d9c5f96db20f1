//! Arrays as NumPy's `.npz`.

use super::{NamedArray, Values, check_arrays, store};
use crate::error::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{NpzReader, NpzWriter, ReadNpzError, WritableElement, WriteNpyError, WriteNpzError};
use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::Path;

/// Writes arrays into one uncompressed archive, in the order given; weights are noise, so compression would gain little.
/// Equal arrays give equal bytes: the archive's time stamps are fixed.
///
/// Fails with [`Error::Shape`] if an array does not have its shape or a name comes twice, and with [`Error::Io`] if the
/// file cannot be written.
pub fn write(path: &Path, arrays: &[NamedArray<'_>]) -> Result<()> {
    check_arrays(arrays)?;
    store::write(path, |writer| {
        let mut archive = NpzWriter::new(writer);
        for array in arrays {
            match array.values {
                Values::F32(values) => add(&mut archive, array, values)?,
                Values::F64(values) => add(&mut archive, array, values)?,
                Values::U32(values) => add(&mut archive, array, values)?,
                Values::U8(values) => add(&mut archive, array, values)?,
            }
        }
        archive.finish().map_err(into_io)?;
        Ok(())
    })
}

fn add<T: WritableElement>(
    archive: &mut NpzWriter<&mut BufWriter<File>>,
    array: &NamedArray<'_>,
    values: &[T],
) -> io::Result<()> {
    let view = ArrayViewD::from_shape(array.shape, values).map_err(io::Error::other)?;
    archive.add_array(array.name, &view).map_err(into_io)
}

/// The cause that the operating system gave, so that a full disk is recognised; anything else as it is.
fn into_io(error: WriteNpzError) -> io::Error {
    match error {
        WriteNpzError::Zip(error) => error.into(),
        WriteNpzError::Npy(WriteNpyError::Io(error)) => error,
        WriteNpzError::Npy(error) => io::Error::other(error),
    }
}

/// Reads one array of 32-bit floats that [`write()`] wrote: its shape, and its values in C order.
///
/// Fails with [`Error::Data`] if the file is missing, is no `.npz`, or has no such array of that type.
pub fn read(path: &Path, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
    let shown = path.display();
    let damaged = |error: ReadNpzError| {
        Error::Data(format!("{name} cannot be read from {shown}: {error}; check that this is a file of a finished run"))
    };
    let file =
        File::open(path).map_err(|error| Error::Data(format!("{shown} cannot be opened: {error}; check the path")))?;
    let mut archive = NpzReader::new(BufReader::new(file)).map_err(damaged)?;
    let names = archive.names().map_err(damaged)?;
    if !names.iter().any(|found| found == name) {
        return Err(Error::Data(format!(
            "{shown} has no array {name}, but {}; check that this is the right file",
            if names.is_empty() { "none at all".into() } else { names.join(", ") }
        )));
    }
    let array: ArrayD<f32> = archive.by_name(name).map_err(damaged)?;
    // `iter` walks in C order, whatever the order in the file.
    Ok((array.shape().to_vec(), array.iter().copied().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::tempdir;

    const VALUES: [f32; 6] = [0.0, -0.0, 1e-45, f32::NAN, f32::INFINITY, 1.0 / 3.0];

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn arrays_come_back_with_their_shape_and_bits() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let history = NamedArray { name: "history", shape: &[1, 2, 3], values: VALUES[..].into() };
        let windows = NamedArray { name: "windows", shape: &[2], values: [2.0f32, 5.0][..].into() };
        write(&path, &[history, windows]).unwrap();
        let (shape, values) = read(&path, "history").unwrap();
        assert_eq!((shape, bits(&values)), (vec![1, 2, 3], bits(&VALUES)));
        assert_eq!(read(&path, "windows").unwrap(), (vec![2], vec![2.0, 5.0]));
    }

    #[test]
    fn counts_masks_and_doubles_keep_their_type() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let arrays = [
            NamedArray { name: "tolerance", shape: &[1], values: Values::F64(&[0.03]) },
            NamedArray { name: "stability", shape: &[2], values: Values::U32(&[1, u32::MAX]) },
            NamedArray { name: "mask", shape: &[2, 1], values: Values::U8(&[0, 1]) },
        ];
        write(&path, &arrays).unwrap();
        let mut archive = NpzReader::new(File::open(&path).unwrap()).unwrap();
        let tolerance: ArrayD<f64> = archive.by_name("tolerance").unwrap();
        let stability: ArrayD<u32> = archive.by_name("stability").unwrap();
        let mask: ArrayD<u8> = archive.by_name("mask").unwrap();
        assert_eq!((tolerance[[0]], stability[[1]], mask[[1, 0]]), (0.03, u32::MAX, 1));
    }

    #[test]
    fn equal_arrays_give_equal_bytes_without_the_time_of_day() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let bytes = || {
            write(&path, &[NamedArray { name: "history", shape: &[6], values: VALUES[..].into() }]).unwrap();
            fs::read(&path).unwrap()
        };
        let first = bytes();
        assert_eq!(first, bytes());
        // Time and date of the first entry in MS-DOS form: 1980-01-01 00:00, the beginning of that calendar.
        assert_eq!(first[10..14], [0, 0, 0x21, 0]);
    }

    #[test]
    fn numpy_files_of_other_programs_are_read() {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stability/e20_r3_n37.npz");
        let (shape, values) = read(&fixture, "history").unwrap();
        assert_eq!((shape, values.len()), (vec![20, 3, 37], 20 * 3 * 37));
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let array = NamedArray { name: "history", shape: &[2, 3], values: VALUES[..].into() };
        for arrays in [vec![NamedArray { shape: &[2, 2], ..array }], vec![array, array]] {
            let error = write(&path, &arrays).unwrap_err();
            assert!(matches!(error, Error::Shape(_)) && error.to_string().contains("history"), "{error}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_array_gets_the_list_of_those_that_are_there() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        write(&path, &[NamedArray { name: "history", shape: &[6], values: VALUES[..].into() }]).unwrap();
        let error = read(&path, "weights").unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("but history"), "{error}");
    }

    #[test]
    fn missing_truncated_and_foreign_files_are_data_errors() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npz");
        assert!(matches!(read(&path, "history"), Err(Error::Data(_))));
        write(&path, &[NamedArray { name: "history", shape: &[6], values: VALUES[..].into() }]).unwrap();
        let bytes = fs::read(&path).unwrap();
        for content in [&bytes[..bytes.len() / 2], b"not a zip", b""] {
            fs::write(&path, content).unwrap();
            let error = read(&path, "history").unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains("a.npz"), "{error}");
        }
    }
}
