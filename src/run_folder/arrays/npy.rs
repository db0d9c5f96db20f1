//! NumPy's `.npy`: a magic string, a Python dictionary with type, order and shape, then the values (NEP 1).
//!
//! The header is read here, since the crates that read the format take memory for whatever length it claims.

use super::element::{AnyNumber, Element, Format, Number, read_values, sizes};
use super::{Failure, ForeignArray, RawArray, Source};
use ndarray::{ArrayView, IxDyn, ShapeBuilder};
use std::io::{Read, Seek};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What stands before the values of an array that is written, so long that they begin at a multiple of 64 bytes.
pub(super) fn header(element: Element, shape: &[usize]) -> Vec<u8> {
    let sizes = match shape {
        [only] => format!("{only},"),
        sizes => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
    };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({sizes})}}", element.name());
    // Version 1 has two bytes for the length, which is enough for some thousand axes.
    let length = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    [MAGIC, &[1, 0], &(length as u16).to_le_bytes(), format!("{text:<0$}\n", length - 1).as_bytes()].concat()
}

/// Reads a file that holds one array.
pub(super) fn read<T: Number>(source: &mut Source<'_>) -> Result<ForeignArray<T>, Failure> {
    source.file.rewind()?;
    read_from(&mut source.file, source.length, true)
}

/// The sizes of the axes of an array at the beginning of a stream; `None` if they are not those of floats.
pub(super) fn shape(reader: &mut dyn Read) -> Option<Vec<usize>> {
    Header::read::<f32>(reader).ok().map(|(header, _)| header.shape)
}

/// Reads an array from a stream of `length` bytes; `present` says that they are known to be there.
pub(super) fn read_from<T: Number>(
    reader: &mut dyn Read,
    length: u64,
    present: bool,
) -> Result<ForeignArray<T>, Failure> {
    let (header, _) = Header::checked::<T>(reader, length)?;
    let (count, _) = sizes(&header.shape, header.element)?;
    let mut values: Vec<T> = read_values(reader, count, header.element, present)?;
    if header.fortran_order && header.shape.len() > 1 {
        // Sizes agree: `count` is their product.
        let view = ArrayView::from_shape(IxDyn(&header.shape).f(), &values)
            .map_err(|error| Failure::Content(format!("its shape does not fit its values: {error}; write it again")))?;
        values = view.iter().copied().collect();
    }
    let mut notices: Vec<String> = header.element.notice().into_iter().collect();
    if header.unnamed {
        notices.push("the values are of type V2, as NumPy writes bfloat16; they were read as that".into());
    }
    let rounding = header.element.rounding();
    Ok(ForeignArray { name: None, shape: header.shape, values, rounding, notices })
}

/// Reads a file that holds one array as it is stored.
pub(super) fn read_raw(source: &mut Source<'_>) -> Result<RawArray, Failure> {
    source.file.rewind()?;
    read_raw_from(&mut source.file, source.length, true)
}

/// Reads an array from a stream of `length` bytes in C order; `present` says that they are known to be there.
pub(super) fn read_raw_from(reader: &mut dyn Read, length: u64, present: bool) -> Result<RawArray, Failure> {
    let (header, _) = Header::checked::<AnyNumber>(reader, length)?;
    let Header { element, shape, .. } = header;
    let (_, size) = sizes(&shape, element)?;
    let mut bytes = Vec::new();
    if present {
        let reserved = usize::try_from(size).is_ok_and(|size| bytes.try_reserve_exact(size).is_ok());
        if !reserved {
            return Err(Failure::Content(format!("{size} bytes do not fit the memory of this machine")));
        }
    }
    if reader.take(size).read_to_end(&mut bytes)? as u64 != size {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    if element.big_endian {
        bytes.chunks_exact_mut(element.bytes()).for_each(<[u8]>::reverse);
    }
    if header.fortran_order && shape.len() > 1 {
        let places: Vec<usize> = (0..bytes.len() / element.bytes()).collect();
        let view = ArrayView::from_shape(IxDyn(&shape).f(), &places)
            .map_err(|error| Failure::Content(format!("its shape does not fit its values: {error}; write it again")))?;
        let of = |&place: &usize| &bytes[place * element.bytes()..][..element.bytes()];
        bytes = view.iter().flat_map(of).copied().collect();
    }
    RawArray::new(shape, element.format, bytes)
}

/// Where the numbers of a file that holds one array begin; `None` if they are not in C order.
pub(super) fn locate(source: &mut Source<'_>) -> Result<Option<(u64, Element, Vec<usize>)>, Failure> {
    source.file.rewind()?;
    locate_in(&mut source.file, 0, source.length)
}

/// The same of an array of `length` bytes that begins at `start` of its file, where the reader stands.
pub(super) fn locate_in(
    reader: &mut dyn Read,
    start: u64,
    length: u64,
) -> Result<Option<(u64, Element, Vec<usize>)>, Failure> {
    let (header, header_bytes) = Header::checked::<f32>(reader, length)?;
    let is_in_order = !header.fortran_order || header.shape.len() < 2;
    Ok(is_in_order.then_some((start + header_bytes, header.element, header.shape)))
}

/// What the dictionary says.
#[derive(Debug, PartialEq)]
struct Header {
    element: Element,
    /// Whether the number type is told by its size only.
    unnamed: bool,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads the header of an array of `length` bytes, if it has as many, and counts its bytes.
    fn checked<T: Number>(reader: &mut dyn Read, length: u64) -> Result<(Self, u64), Failure> {
        let (header, header_bytes) = Self::read::<T>(reader)?;
        let (_, bytes) = sizes(&header.shape, header.element)?;
        let there = length.saturating_sub(header_bytes);
        if there != bytes {
            return Err(Failure::Content(format!(
                "the header claims the shape {:?}, which takes {bytes} bytes, but {there} are there; write or copy it again",
                header.shape
            )));
        }
        Ok((header, header_bytes))
    }

    /// Reads the header, and counts its bytes.
    fn read<T: Number>(reader: &mut dyn Read) -> Result<(Self, u64), Failure> {
        let mut start = [0; 8];
        reader.read_exact(&mut start)?;
        let (magic, version) = start.split_at(6);
        if magic != MAGIC {
            return Err(Failure::Content(
                "it does not begin as .npy does; save it with numpy.save or numpy.savez".into(),
            ));
        }
        let (text_bytes, length_bytes) = match version {
            [1, _] => {
                let mut length = [0; 2];
                reader.read_exact(&mut length)?;
                (u64::from(u16::from_le_bytes(length)), 2)
            }
            [2 | 3, _] => {
                let mut length = [0; 4];
                reader.read_exact(&mut length)?;
                (u64::from(u32::from_le_bytes(length)), 4)
            }
            _ => {
                return Err(Failure::Content(format!(
                    "it is of version {}.{} of the format; versions 1 to 3 are known, save it with numpy.save",
                    version[0], version[1]
                )));
            }
        };
        let mut text = Vec::new();
        let found = reader.take(text_bytes).read_to_end(&mut text)? as u64;
        if found < text_bytes {
            return Err(Failure::Content(format!(
                "the header claims to be {text_bytes} bytes long, but {found} are there; write or copy it again"
            )));
        }
        let text = String::from_utf8_lossy(&text);
        Ok((Self::parse::<T>(&text)?, 8 + length_bytes + text_bytes))
    }

    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse<T: Number>(text: &str) -> Result<Self, Failure> {
        let malformed = || {
            let start: String = text.chars().take(80).collect();
            Failure::Content(format!("its header cannot be understood: {}; save it with numpy.save", start.trim_end()))
        };
        let (mut element, mut unnamed, mut fortran_order, mut shape) = (None, false, None, None);
        let mut rest = text.trim().strip_prefix('{').ok_or_else(malformed)?.trim_start();
        while !rest.starts_with('}') {
            let (key, after) = quoted(rest).ok_or_else(malformed)?;
            let value = after.trim_start().strip_prefix(':').ok_or_else(malformed)?.trim_start();
            rest = match key {
                "descr" if value.starts_with('[') => {
                    return Err(Failure::Content(format!(
                        "it is a table of named columns (structured dtype), {}",
                        T::WANTED
                    )));
                }
                "descr" => {
                    let (descr, after) = quoted(value).ok_or_else(malformed)?;
                    element = Some(element_of::<T>(descr)?);
                    unnamed = descr.ends_with("V2");
                    after
                }
                "fortran_order" => {
                    let order =
                        ["False", "True"].iter().position(|word| value.starts_with(word)).ok_or_else(malformed)?;
                    fortran_order = Some(order == 1);
                    value.trim_start_matches(char::is_alphabetic)
                }
                "shape" => {
                    let (sizes, after) =
                        value.strip_prefix('(').and_then(|value| value.split_once(')')).ok_or_else(malformed)?;
                    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
                    // Python 2 wrote an L behind long integers.
                    let sizes = sizes.map(|size| size.trim_end_matches('L').parse().map_err(|_| malformed()));
                    shape = Some(sizes.collect::<Result<Vec<usize>, Failure>>()?);
                    after
                }
                _ => return Err(malformed()),
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        match (element, fortran_order, shape) {
            (Some(element), Some(fortran_order), Some(shape)) => Ok(Self { element, unnamed, fortran_order, shape }),
            _ => Err(malformed()),
        }
    }
}

/// A quoted word at the beginning of a text, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The number type that NumPy writes as e.g. `<f4`. Others are refused by name.
fn element_of<T: Number>(descr: &str) -> Result<Element, Failure> {
    let (order, code) = match descr.chars().next() {
        Some(order @ ('<' | '>' | '=' | '|')) => (order, &descr[1..]),
        _ => ('=', descr),
    };
    let format = match code {
        "b1" | "?" => Some(Format::Bool),
        "u1" => Some(Format::U8),
        "i1" => Some(Format::I8),
        "u2" => Some(Format::U16),
        "i2" => Some(Format::I16),
        "u4" => Some(Format::U32),
        "i4" => Some(Format::I32),
        "u8" => Some(Format::U64),
        "i8" => Some(Format::I64),
        "f2" => Some(Format::F16),
        "f4" => Some(Format::F32),
        "f8" => Some(Format::F64),
        // NumPy has no name for bfloat16 and writes it as two bytes of anything.
        "V2" | "bfloat16" => Some(Format::Bf16),
        _ => None,
    };
    let format = match format {
        Some(format) if T::accepts(format) => format,
        _ => {
            let what = match code.chars().next() {
                // Types that ml_dtypes adds to NumPy are written by their names.
                _ if code.starts_with("float8") || code.starts_with("float4") || code.starts_with("float6") => {
                    "floats of 8 bits or fewer"
                }
                _ if code.starts_with("int") || code.starts_with("uint") => "integers",
                _ if code.starts_with("complex") => "complex numbers",
                Some('O') => "Python objects",
                Some('i' | 'u') => "integers",
                Some('b' | '?') => "truth values",
                Some('c') => "complex numbers",
                Some('f') => "floats",
                Some('S' | 'U' | 'a') => "text",
                _ => "values",
            };
            return Err(Failure::Content(format!("it holds {what} (dtype {descr}), {}", T::WANTED)));
        }
    };
    Ok(Element { format, big_endian: order == '>' || (order == '=' && cfg!(target_endian = "big")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        match Header::parse::<f32>(text) {
            Err(Failure::Content(message)) => message,
            _ => panic!("{text} should have been refused"),
        }
    }

    #[test]
    fn headers_are_read_as_numpy_writes_them() {
        let element = Element { format: Format::F32, big_endian: false };
        for (text, fortran_order, shape) in [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n", false, vec![3, 4]),
            ("{\"shape\": (3L,), \"fortran_order\": True, \"descr\": \"<f4\"}", true, vec![3]),
            ("{'descr':'<f4','fortran_order':False,'shape':()}", false, vec![]),
        ] {
            assert_eq!(
                Header::parse::<f32>(text).ok().unwrap(),
                Header { element, unnamed: false, fortran_order, shape },
                "{text}"
            );
        }
    }

    fn header_of(descr: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}")
    }

    #[test]
    fn other_number_types_are_refused_by_name() {
        for (descr, named) in [
            ("|O", "objects"),
            ("<i8", "integers"),
            ("|b1", "truth"),
            ("<c8", "complex"),
            ("<U3", "text"),
            ("<f16", "f16"),
        ] {
            let message = message(&header_of(descr));
            assert!(message.contains(named) && message.contains(descr), "{message}");
        }
        assert!(message("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }").contains("structured"));
    }

    #[test]
    fn bytes_are_read_only_where_bytes_are_wanted() {
        assert!(message(&header_of("|u1")).contains("not weights"));
        assert_eq!(Header::parse::<u8>(&header_of("|u1")).ok().unwrap().element.format, Format::U8);
        for descr in ["|O", "<U3", "<c8", "V2"] {
            let Err(Failure::Content(message)) = Header::parse::<u8>(&header_of(descr)) else {
                panic!("{descr} should have been refused")
            };
            assert!(message.contains(descr) && message.contains("astype('uint8')"), "{message}");
        }
    }

    /// An array of two numbers as NumPy saves it.
    fn saved(descr: &str, values: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
        [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), values].concat()
    }

    fn bytes_of(descr: &str, values: &[u8]) -> Result<Vec<u8>, String> {
        let file = saved(descr, values);
        match read_from(&mut file.as_slice(), file.len() as u64, true) {
            Ok(array) => Ok(array.values),
            Err(Failure::Content(message)) => Err(message),
            Err(Failure::Io(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn whole_numbers_of_every_type_are_bytes_if_they_are_in_range() {
        let wide = |first: i64, second: i64| [first.to_le_bytes(), second.to_le_bytes()].concat();
        let floats = |first: f32, second: f32| [first.to_be_bytes(), second.to_be_bytes()].concat();
        assert_eq!(bytes_of("<i8", &wide(0, 255)), Ok(vec![0, 255]));
        assert_eq!(bytes_of(">u2", &[0, 7, 0, 255]), Ok(vec![7, 255]));
        assert_eq!(bytes_of("|b1", &[1, 0]), Ok(vec![1, 0]));
        assert_eq!(bytes_of(">f4", &floats(3.0, 255.0)), Ok(vec![3, 255]));
        for (descr, values, word) in [
            ("<i8", wide(3, 256), "value 1 is 256 (dtype <i8)"),
            ("<i8", wide(-1, 3), "value 0 is -1 "),
            ("|i1", vec![5, 0x80], "value 1 is -128 (dtype |i1)"),
            (">u2", vec![1, 0, 0, 0], "value 0 is 256 (dtype >u2)"),
            (">f4", floats(1.0, 0.5), "value 1 is 0.5 (dtype >f4)"),
            (">f4", floats(f32::NAN, 0.0), "value 0 is NaN"),
        ] {
            let message = bytes_of(descr, &values).unwrap_err();
            assert!(message.contains(word) && message.contains("uint8"), "{message}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for text in [
            "",
            "{",
            "{'",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': None, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
            "{é",
        ] {
            assert!(message(text).contains("numpy.save"), "{text}");
        }
        assert!(message(&format!("{{'descr': {}", "[".repeat(60_000))).contains("structured"));
        assert!(message(&"(".repeat(60_000)).contains("understood"));
    }
}
