//! `.safetensors`: the length of a JSON header, the header, then the tensors.

use super::element::{Element, Format, Number, dtype_of, format_of_dtype, read_values, sizes};
use super::{Failure, ForeignArray, NamedArray, Outline, RawArray, Source, Values};
use safetensors::tensor::{Dtype, Metadata, TensorInfo, View, serialize};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::{cmp, fmt};

/// Bytes of the header's length.
const LENGTH_BYTES: u64 = 8;
/// The format allows no longer header.
const MOST_HEADER_BYTES: u64 = 100_000_000;

/// The one entry of the metadata that is ours.
const NOTE: &str = "holdfast";

/// Writes tensors, by convention with the replica as their first axis: `dense0.weight` `[replica, in, out]`. A note goes into
/// the metadata of the header.
pub(super) fn write(file: &mut impl Write, arrays: &[NamedArray<'_>], note: Option<&str>) -> io::Result<()> {
    let mut arrays: Vec<Tensor<'_>> = arrays.iter().map(Tensor).collect();
    // In the order of the header: the longest numbers first, then by name.
    arrays.sort_by_key(|&Tensor(array)| (cmp::Reverse(Tensor(array).dtype()), array.name));
    // One entry: several would stand in an order of their own each time.
    let metadata = note.map(|note| HashMap::from([(NOTE.to_string(), note.to_string())]));
    let tensors = arrays.iter().map(|&tensor| (tensor.0.name, tensor));
    let header = serialize(tensors, metadata).map_err(io::Error::other)?;
    file.write_all(&header)?;
    arrays.iter().try_for_each(|tensor| tensor.0.values.write(file))
}

/// An array as the header tells of it, without its numbers: they follow.
#[derive(Clone, Copy)]
struct Tensor<'a>(&'a NamedArray<'a>);

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        if let Values::Raw(array) = &self.0.values {
            return array.dtype();
        }
        self.0.values.element().and_then(|element| dtype_of(element.format)).unwrap_or(Dtype::F32)
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
    let (tensor, first) = find(source, name)?;
    let (start, element, shape) = place::<T>(&tensor, first)?;
    source.file.seek(SeekFrom::Start(start))?;
    let values = read_values(&mut source.file, shape.iter().product(), element, true)?;
    let (notices, rounding) = (element.notice().into_iter().collect(), element.rounding());
    Ok(ForeignArray { name: Some(name.into()), shape, values, rounding, notices })
}

/// Reads the tensor `name` as it is stored.
pub(super) fn read_raw(source: &mut Source<'_>, name: &str) -> Result<RawArray, Failure> {
    let (tensor, first) = find(source, name)?;
    let (start, end) = tensor.data_offsets;
    source.file.seek(SeekFrom::Start(first + start as u64))?;
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(end - start)
        .map_err(|_| Failure::Content(format!("{} bytes do not fit the memory of this machine", end - start)))?;
    if source.file.by_ref().take((end - start) as u64).read_to_end(&mut bytes)? != end - start {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(RawArray::of_dtype(name, tensor.shape, tensor.dtype, bytes))
}

/// The note that [`write`] left in the metadata, if there is one.
pub(super) fn note(source: &mut Source<'_>) -> Result<Option<String>, Failure> {
    let metadata: Metadata = serde_json::from_slice(&header(source)?).map_err(malformed)?;
    Ok(metadata.metadata().as_ref().and_then(|entries| entries.get(NOTE).cloned()))
}

/// Where the numbers of the tensor `name` begin.
pub(super) fn locate(source: &mut Source<'_>, name: &str) -> Result<Option<(u64, Element, Vec<usize>)>, Failure> {
    let (tensor, first) = find(source, name)?;
    place::<f32>(&tensor, first).map(Some)
}

/// What the header says of a tensor whose bytes are there, and where the first tensor's lie.
fn find(source: &mut Source<'_>, name: &str) -> Result<(TensorInfo, u64), Failure> {
    let header = header(source)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;
    let tensor = metadata.info(name).ok_or_else(|| Failure::Content("its header does not describe it".into()))?;
    let (start, end) = tensor.data_offsets;
    let there = source.length - LENGTH_BYTES - header.len() as u64;
    if end as u64 > there || start > end {
        return Err(claims_too_much(tensor, there));
    }
    Ok((tensor.clone(), LENGTH_BYTES + header.len() as u64))
}

/// Where the numbers of a tensor begin, if they are of a type that is wanted and as many as its shape has places.
fn place<T: Number>(tensor: &TensorInfo, first: u64) -> Result<(u64, Element, Vec<usize>), Failure> {
    let format = format_of::<T>(tensor.dtype).ok_or_else(|| {
        Failure::Content(format!("it holds numbers of type {:?}, not weights; save it as F32", tensor.dtype))
    })?;
    let element = Element { format, big_endian: false };
    let (_, bytes) = sizes(&tensor.shape, element)?;
    let (start, end) = (tensor.data_offsets.0 as u64, tensor.data_offsets.1 as u64);
    if end - start != bytes {
        return Err(claims_too_much(tensor, end - start));
    }
    Ok((first + start, element, tensor.shape.clone()))
}

fn claims_too_much(tensor: &TensorInfo, there: u64) -> Failure {
    Failure::Content(format!(
        "the header claims bytes {} to {} for the shape {:?}, but the file has {there} bytes of tensors; write or copy it \
         again",
        tensor.data_offsets.0, tensor.data_offsets.1, tensor.shape
    ))
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
    format_of_dtype(dtype).filter(|&format| T::accepts(format))
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
