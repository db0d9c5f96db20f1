//! Weights as `.safetensors`.

use super::{NamedArray, Values, check_arrays, store};
use crate::error::{Error, Result};
use safetensors::tensor::{Dtype, View, serialize};
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

/// Writes tensors, by convention with the replica as their first axis: `dense0.weight`
/// `[replica, in, out]`. Tensors are ordered by name, so equal tensors give equal bytes, whatever their order here.
///
/// Fails with [`Error::Shape`] if a tensor does not have its shape or a name comes twice, and with [`Error::Io`] if the
/// file cannot be written.
pub fn write(path: &Path, tensors: &[NamedArray<'_>]) -> Result<()> {
    check_arrays(tensors)?;
    let bytes = serialize(tensors.iter().map(|tensor| (tensor.name, tensor)), None)
        .map_err(|error| Error::Job(format!("the tensors of {} cannot be laid out: {error}", path.display())))?;
    store::write_bytes(path, &bytes)
}

/// An array in parts that lie anywhere, one after the other along its first axis.
#[derive(Clone, Debug, PartialEq)]
pub struct StackedArray<'a> {
    /// Name in the file.
    pub name: String,
    /// Sizes of the axes; the first is the number of parts.
    pub shape: Vec<usize>,
    /// The parts.
    pub rows: Vec<&'a [f32]>,
}

/// Writes the same file as [`write()`] of the same tensors, without a copy of their numbers in memory.
///
/// Fails with [`Error::Shape`] if a tensor does not have its shape or a name comes twice, and with [`Error::Io`] if the
/// file cannot be written.
pub fn write_stacked(path: &Path, tensors: &[StackedArray<'_>]) -> Result<()> {
    let mut tensors: Vec<&StackedArray<'_>> = tensors.iter().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    for (tensor, next) in tensors.iter().zip(tensors.iter().skip(1)) {
        if tensor.name == next.name {
            return Err(Error::Shape(format!("two arrays are named {}; names in a file must differ", tensor.name)));
        }
    }
    for StackedArray { name, shape, rows } in &tensors {
        let each: usize = shape.iter().skip(1).product();
        if shape.first() != Some(&rows.len()) || rows.iter().any(|row| row.len() != each) {
            return Err(Error::Shape(format!("{name}: its {} parts do not have the shape {shape:?}", rows.len())));
        }
    }
    let head = serialize(tensors.iter().map(|tensor| (&tensor.name, Head(tensor))), None)
        .map_err(|error| Error::Job(format!("the tensors of {} cannot be laid out: {error}", path.display())))?;
    store::write(path, |writer| {
        writer.write_all(&head)?;
        let mut rows = tensors.iter().flat_map(|tensor| &tensor.rows);
        rows.try_for_each(|row| writer.write_all(&little_endian(row, |value| value.to_le_bytes())))
    })
}

/// A tensor as the file's header tells of it, without its numbers: they follow, tensors by name, since all have one type.
struct Head<'a>(&'a StackedArray<'a>);

impl View for Head<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }

    fn data_len(&self) -> usize {
        self.0.rows.iter().map(|row| size_of_val(*row)).sum()
    }
}

impl View for &NamedArray<'_> {
    fn dtype(&self) -> Dtype {
        match self.values {
            Values::F32(_) => Dtype::F32,
            Values::F64(_) => Dtype::F64,
            Values::U32(_) => Dtype::U32,
            Values::U8(_) => Dtype::U8,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.values {
            Values::F32(values) => little_endian(values, |value| value.to_le_bytes()),
            Values::F64(values) => little_endian(values, |value| value.to_le_bytes()),
            Values::U32(values) => little_endian(values, |value| value.to_le_bytes()),
            Values::U8(values) => Cow::Borrowed(values),
        }
    }

    fn data_len(&self) -> usize {
        match self.values {
            Values::F32(values) => size_of_val(values),
            Values::F64(values) => size_of_val(values),
            Values::U32(values) => size_of_val(values),
            Values::U8(values) => size_of_val(values),
        }
    }
}

/// The bytes of numbers as the format wants them.
fn little_endian<T: bytemuck::NoUninit, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(bytes).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;
    use std::fs;
    use tempfile::tempdir;

    const WEIGHT: NamedArray<'_> =
        NamedArray { name: "dense0.weight", shape: &[2, 1, 2], values: Values::F32(&[1.0, -0.0, f32::NAN, 1e-45]) };
    const BIAS: NamedArray<'_> =
        NamedArray { name: "dense0.bias", shape: &[2, 2], values: Values::F32(&[0.5, 1.5, 2.5, 3.5]) };

    #[test]
    fn tensors_come_back_with_their_shape_and_bits() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        write(&path, &[WEIGHT, BIAS]).unwrap();
        let bytes = fs::read(&path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        for expected in [WEIGHT, BIAS] {
            let found = tensors.tensor(expected.name).unwrap();
            let Values::F32(values) = expected.values else { panic!("the tensors here are weights") };
            let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!((found.dtype(), found.shape(), found.data()), (Dtype::F32, expected.shape, values.as_slice()));
        }
    }

    #[test]
    fn equal_tensors_give_equal_bytes_in_whatever_order_they_come() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let bytes = |tensors: &[NamedArray<'_>]| {
            write(&path, tensors).unwrap();
            fs::read(&path).unwrap()
        };
        let first = bytes(&[WEIGHT, BIAS]);
        assert_eq!(first, bytes(&[WEIGHT, BIAS]));
        assert_eq!(first, bytes(&[BIAS, WEIGHT]));
    }

    #[test]
    fn tensors_in_parts_give_the_same_file() {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let Values::F32(values) = WEIGHT.values else { panic!("the tensors here are weights") };
        write(&path("whole"), &[WEIGHT, BIAS]).unwrap();
        let weight =
            StackedArray { name: WEIGHT.name.into(), shape: WEIGHT.shape.to_vec(), rows: values.chunks(2).collect() };
        let bias =
            StackedArray { name: BIAS.name.into(), shape: BIAS.shape.to_vec(), rows: vec![&[0.5, 1.5], &[2.5, 3.5]] };
        write_stacked(&path("parts"), &[weight.clone(), bias.clone()]).unwrap();
        assert_eq!(fs::read(path("whole")).unwrap(), fs::read(path("parts")).unwrap());
        for tensors in [vec![StackedArray { shape: vec![2, 3], ..bias.clone() }], vec![bias.clone(), bias]] {
            let error = write_stacked(&path("refused"), &tensors).unwrap_err();
            assert!(matches!(error, Error::Shape(_)) && error.to_string().contains("dense0.bias"), "{error}");
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        for tensors in [vec![NamedArray { shape: &[2, 3], ..BIAS }], vec![BIAS, BIAS]] {
            let error = write(&path, &tensors).unwrap_err();
            assert!(matches!(error, Error::Shape(_)) && error.to_string().contains("dense0.bias"), "{error}");
        }
        assert!(!path.exists());
    }
}
