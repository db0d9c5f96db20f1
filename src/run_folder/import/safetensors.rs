//! `.safetensors`: the length of a JSON header, the header, then the tensors.

use super::{Element, Failure, ForeignArray, Format, Source, read_values, seek, sizes};
use crate::error::Result;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Bytes of the header's length.
const LENGTH_BYTES: u64 = 8;
/// The format allows no longer header.
const MOST_HEADER_BYTES: u64 = 100_000_000;

/// Names of all tensors, in the order of the header; a name that comes twice is there twice.
pub(super) fn names(source: &mut Source<'_>) -> Result<Vec<String>> {
    source.in_context(None, |source| {
        let header = header(source)?;
        let names: Names = serde_json::from_slice(&header).map_err(malformed)?;
        Ok(names.0)
    })
}

/// Reads the tensor `name`, which comes once.
pub(super) fn read(source: &mut Source<'_>, name: &str) -> std::result::Result<ForeignArray, Failure> {
    let header = header(source)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;
    let tensor = metadata.info(name).ok_or_else(|| Failure::Content("its header does not describe it".into()))?;
    let format = format_of(tensor.dtype).ok_or_else(|| {
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
    seek(source, LENGTH_BYTES + header.len() as u64 + start)?;
    let values = read_values(&mut source.file, count, element, true)?;
    let notices = element.notice().into_iter().collect();
    let rounding = element.rounding();
    Ok(ForeignArray { name: Some(name.into()), shape: tensor.shape.clone(), values, rounding, notices })
}

/// The sizes of the axes of each of these tensors; `None` of those that do not hold floats.
pub(super) fn shapes(source: &mut Source<'_>, names: &[String]) -> Result<Vec<Option<Vec<usize>>>> {
    source.in_context(None, |source| {
        let header = header(source)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(malformed)?;
        let shape = |name: &String| metadata.info(name).filter(|info| format_of(info.dtype).is_some());
        Ok(names.iter().map(|name| Some(shape(name)?.shape.clone())).collect())
    })
}

fn format_of(dtype: Dtype) -> Option<Format> {
    match dtype {
        Dtype::F16 => Some(Format::F16),
        Dtype::BF16 => Some(Format::Bf16),
        Dtype::F32 => Some(Format::F32),
        Dtype::F64 => Some(Format::F64),
        _ => None,
    }
}

/// The text of the header.
fn header(source: &mut Source<'_>) -> std::result::Result<Vec<u8>, Failure> {
    seek(source, 0)?;
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
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the names of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Names, A::Error> {
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
