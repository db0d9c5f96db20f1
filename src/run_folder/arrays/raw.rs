//! An array as a file holds it, to be written again with no bit changed.

use super::Failure;
use super::element::{Element, Format, dtype_of, format_of_dtype};
use safetensors::tensor::Dtype;

/// Numbers of any type, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawArray {
    /// Its name in the archive; `None` for `.npy`, which has none.
    pub name: Option<String>,
    /// Sizes of the axes, the slowest first.
    pub shape: Vec<usize>,
    dtype: Dtype,
    /// Little-endian, in C order.
    bytes: Vec<u8>,
}

impl RawArray {
    pub(super) fn new(shape: Vec<usize>, format: Format, bytes: Vec<u8>) -> Result<Self, Failure> {
        let dtype = dtype_of(format).ok_or_else(|| Failure::Content("it holds numbers of an unknown type".into()))?;
        Ok(Self { name: None, shape, dtype, bytes })
    }

    pub(super) fn of_dtype(name: &str, shape: Vec<usize>, dtype: Dtype, bytes: Vec<u8>) -> Self {
        Self { name: Some(name.into()), shape, dtype, bytes }
    }

    /// Weights of 32-bit floats.
    pub fn of_weights(name: &str, shape: Vec<usize>, weights: &[f32]) -> Self {
        Self { name: Some(name.into()), shape, dtype: Dtype::F32, bytes: bytemuck::cast_slice(weights).to_vec() }
    }

    /// Indices as whole numbers of 64 bits, which every program reads.
    pub fn of_indices(name: &str, indices: &[u32]) -> Self {
        let bytes = indices.iter().flat_map(|&index| i64::from(index).to_le_bytes()).collect();
        Self { name: Some(name.into()), shape: vec![indices.len()], dtype: Dtype::I64, bytes }
    }

    /// Its numbers as indices; `None` if one of them is no whole number of 0 to 2^32 - 1.
    pub fn indices(&self) -> Option<Vec<u32>> {
        let element = self.element()?;
        let index = |bytes: &[u8]| {
            let value = element.decode(bytes);
            (value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value)).then_some(value as u32)
        };
        self.bytes.chunks_exact(element.bytes()).map(index).collect()
    }

    pub(super) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How its numbers are stored; `None` if NumPy has no name for that.
    pub(super) fn element(&self) -> Option<Element> {
        format_of_dtype(self.dtype).map(|format| Element { format, big_endian: false })
    }

    /// All bytes, little-endian, in C order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets numbers to 0 where `kept` says no, in C order. Of every type of floats the bytes of 0 are zeros.
    pub fn cut(&mut self, kept: &[bool]) {
        let size = self.bytes.len() / kept.len().max(1);
        let numbers = self.bytes.chunks_exact_mut(size.max(1)).zip(kept);
        numbers.filter(|&(_, &kept)| !kept).for_each(|(number, _)| number.fill(0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ArrayFile, NamedArray, RawArray, Values, write};
    use crate::run_folder::file_kind::Purpose;
    use std::fs;
    use std::path::Path;
    use tempfile::tempdir;

    fn read(path: &Path, name: &str) -> RawArray {
        ArrayFile::open(path, Purpose::Arrays).unwrap().read_raw(Some(name)).unwrap()
    }

    #[test]
    fn what_is_read_raw_is_written_again_with_every_bit() {
        let folder = tempdir().unwrap();
        // Every type that we know and one that we do not, of two numbers each.
        let dtypes = [
            ("BOOL", 1),
            ("U8", 1),
            ("I8", 1),
            ("I16", 2),
            ("U16", 2),
            ("F16", 2),
            ("BF16", 2),
            ("I32", 4),
            ("U32", 4),
            ("F32", 4),
            ("F64", 8),
            ("I64", 8),
            ("U64", 8),
            ("F8_E4M3", 1),
        ];
        let mut start = 0;
        let entries: Vec<String> = dtypes
            .iter()
            .map(|(dtype, size)| {
                start += 2 * size;
                format!(
                    "\"{dtype}\":{{\"dtype\":\"{dtype}\",\"shape\":[2,1],\"data_offsets\":[{},{start}]}}",
                    start - 2 * size
                )
            })
            .collect();
        let header = format!("{{{}}}", entries.join(","));
        // Pieces of NaNs with bits in them.
        let data: Vec<u8> = (0..start).map(|byte| 255 - byte as u8).collect();
        let file = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &data].concat();
        let path = folder.path().join("a.safetensors");
        fs::write(&path, file).unwrap();
        let arrays: Vec<RawArray> = dtypes.iter().map(|(dtype, _)| read(&path, dtype)).collect();
        for (again, count) in [("b.safetensors", dtypes.len()), ("b.npz", dtypes.len() - 1)] {
            let again = folder.path().join(again);
            let named: Vec<NamedArray<'_>> = arrays[..count]
                .iter()
                .map(|array| NamedArray {
                    name: array.name.as_deref().unwrap(),
                    shape: &array.shape,
                    values: Values::Raw(array),
                })
                .collect();
            write(&again, &named).unwrap();
            for array in &arrays[..count] {
                assert_eq!(&read(&again, array.name.as_deref().unwrap()), array);
            }
        }
        let last = &arrays[dtypes.len() - 1];
        let unknown = NamedArray { name: "a", shape: &last.shape, values: Values::Raw(last) };
        assert!(write(&folder.path().join("c.npz"), &[unknown]).is_err(), "NumPy has no such type");
    }

    #[test]
    fn other_orders_of_bytes_and_axes_are_brought_into_ours() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let text = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|value| value.to_be_bytes()).collect();
        let head = [b"\x93NUMPY\x01\x00".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat();
        fs::write(&path, [head, data].concat()).unwrap();
        let expected: Vec<u8> = (1i16..=6).flat_map(i16::to_le_bytes).collect();
        assert_eq!(read(&path, "").bytes(), expected);
    }

    #[test]
    fn indices_come_back_and_other_numbers_are_none() {
        let indices = [0, 7, u32::MAX];
        assert_eq!(RawArray::of_indices("pixels", &indices).indices().unwrap(), indices);
        for value in [0.5, -1.0, f32::NAN, 5e9] {
            assert_eq!(RawArray::of_weights("pixels", vec![1], &[value]).indices(), None, "{value}");
        }
    }

    #[test]
    fn what_is_cut_is_a_zero_of_its_type() {
        let mut array = RawArray::of_weights("w", vec![3], &[-1.5, f32::NAN, 2.0]);
        array.cut(&[true, false, true]);
        let values: Vec<f32> = array.bytes().chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        assert_eq!(values, [-1.5, 0.0, 2.0]);
    }
}
