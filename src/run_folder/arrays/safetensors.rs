//! `.safetensors`: the length of a JSON header, the header, then the tensors.

use super::{Element, Failure, ForeignArray, Format, NamedArray, Number, Outline, Source, read_values, sizes};
use safetensors::tensor::{Dtype, Metadata, View, serialize};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::{cmp, fmt};

/// Bytes of the header's length.
const LENGTH_BYTES: u64 = 8;
/// The format allows no longer header.
const MOST_HEADER_BYTES: u64 = 100_000_000;

/// Types of numbers as the format calls them.
const DTYPES: [(Dtype, Format); 6] = [
    (Dtype::F16, Format::F16),
    (Dtype::BF16, Format::Bf16),
    (Dtype::F32, Format::F32),
    (Dtype::F64, Format::F64),
    (Dtype::U32, Format::U32),
    (Dtype::U8, Format::U8),
];

/// Writes tensors, by convention with the replica as their first axis: `dense0.weight` `[replica, in, out]`.
pub(super) fn write(file: &mut impl Write, arrays: &[NamedArray<'_>]) -> io::Result<()> {
    let mut arrays: Vec<Tensor<'_>> = arrays.iter().map(Tensor).collect();
    // In the order of the header: the longest numbers first, then by name.
    arrays.sort_by_key(|&Tensor(array)| (cmp::Reverse(Tensor(array).dtype()), array.name));
    let header = serialize(arrays.iter().map(|&tensor| (tensor.0.name, tensor)), None).map_err(io::Error::other)?;
    file.write_all(&header)?;
    arrays.iter().flat_map(|tensor| tensor.0.values.bytes()).try_for_each(|part| file.write_all(part))
}

/// An array as the header tells of it, without its numbers: they follow.
#[derive(Clone, Copy)]
struct Tensor<'a>(&'a NamedArray<'a>);

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        let format = self.0.values.element().format;
        DTYPES.iter().find(|known| known.1 == format).map_or(Dtype::F32, |known| known.0)
    }

    fn shape(&self) -> &[usize] {
        self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }

    fn data_len(&self) -> usize {
        self.0.values.size()
    }
}

/// Reads the tensor `name`, which comes once.
pub(super) fn read<T: Number>(source: &mut Source<'_>, name: &str) -> Result<ForeignArray<T>, Failure> {
    let header = header(source)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;
    let tensor = metadata.info(name).ok_or_else(|| Failure::Content("its header does not describe it".into()))?;
    let format = format_of::<T>(tensor.dtype).ok_or_else(|| {
        Failure::Content(format!("it holds numbers of type {:?}, not weights; save it as F32", tensor.dtype))
    })?;
    let element = Element { format, big_endian: false };
    let (count, bytes) = sizes(&tensor.shape, element)?;
    let (start, end) = (tensor.data_offsets.0 as u64, tensor.data_offsets.1 as u64);
    let there = source.length - LENGTH_BYTES - header.len() as u64;
    if end > there || end.checked_sub(start) != Some(bytes) {
        return Err(Failure::Content(format!(
            "the header claims bytes {start} to {end} for the shape {:?}, but the file has {there} bytes of tensors; write \
             or copy it again",
            tensor.shape
        )));
    }
    source.file.seek(SeekFrom::Start(LENGTH_BYTES + header.len() as u64 + start))?;
    let values = read_values(&mut source.file, count, element, true)?;
    let (notices, rounding) = (element.notice().into_iter().collect(), element.rounding());
    Ok(ForeignArray { name: Some(name.into()), shape: tensor.shape.clone(), values, rounding, notices })
}

/// Names and shapes of all tensors, in the order of the header; a name that comes twice is there twice.
pub(super) fn outlines(source: &mut Source<'_>) -> Result<Vec<Outline>, Failure> {
    let header = header(source)?;
    let names: Names = serde_json::from_slice(&header).map_err(malformed)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;
    let shape = |name: &str| metadata.info(name).filter(|info| format_of::<f32>(info.dtype).is_some());
    let outline = |name: String| Outline { shape: shape(&name).map(|info| info.shape.clone()), name: Some(name) };
    Ok(names.0.into_iter().map(outline).collect())
}

fn format_of<T: Number>(dtype: Dtype) -> Option<Format> {
    DTYPES.iter().find(|known| known.0 == dtype && T::accepts(known.1)).map(|known| known.1)
}

/// The text of the header.
fn header(source: &mut Source<'_>) -> Result<Vec<u8>, Failure> {
    source.file.rewind()?;
    let mut length = [0; LENGTH_BYTES as usize];
    source.file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let there = source.length.saturating_sub(LENGTH_BYTES);
    if length > there.min(MOST_HEADER_BYTES) {
        return Err(Failure::Content(format!(
            "the header claims to be {length} bytes long, but {there} are there; write or copy it again"
        )));
    }
    let mut header = Vec::new();
    source.file.by_ref().take(length).read_to_end(&mut header)?;
    Ok(header)
}

fn malformed(error: serde_json::Error) -> Failure {
    Failure::Content(format!("its header cannot be understood ({error}); write or copy it again"))
}

/// The keys of a JSON object but `__metadata__`, also those that come twice.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the names of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if name != "__metadata__" {
                        names.push(name);
                    }
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
