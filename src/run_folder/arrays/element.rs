//! How numbers are stored in files, and what they are read as.

use super::{Failure, Rounding};
use safetensors::tensor::Dtype;
use std::io::Read;

/// Elements that are converted at a time.
const CHUNK: usize = 1 << 14;

/// Types of numbers as `.safetensors` calls them.
const DTYPES: [(Dtype, Format); 13] = [
    (Dtype::BOOL, Format::Bool),
    (Dtype::I8, Format::I8),
    (Dtype::I16, Format::I16),
    (Dtype::U16, Format::U16),
    (Dtype::I32, Format::I32),
    (Dtype::I64, Format::I64),
    (Dtype::U64, Format::U64),
    (Dtype::F16, Format::F16),
    (Dtype::BF16, Format::Bf16),
    (Dtype::F32, Format::F32),
    (Dtype::F64, Format::F64),
    (Dtype::U32, Format::U32),
    (Dtype::U8, Format::U8),
];

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) format: Format,
    pub(super) big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    pub(super) fn bytes(self) -> usize {
        match self.format {
            Format::Bool | Format::U8 | Format::I8 => 1,
            Format::U16 | Format::I16 | Format::F16 | Format::Bf16 => 2,
            Format::U32 | Format::I32 | Format::F32 => 4,
            Format::U64 | Format::I64 | Format::F64 => 8,
        }
    }

    /// How NumPy names the type.
    pub(super) fn name(self) -> String {
        let kind = match self.format {
            Format::Bool => 'b',
            Format::U8 | Format::U16 | Format::U32 | Format::U64 => 'u',
            Format::I8 | Format::I16 | Format::I32 | Format::I64 => 'i',
            Format::F16 | Format::F32 | Format::F64 => 'f',
            Format::Bf16 => 'V',
        };
        let order = if self.bytes() == 1 {
            '|'
        } else if self.big_endian {
            '>'
        } else {
            '<'
        };
        format!("{order}{kind}{}", self.bytes())
    }

    /// What is said about a conversion; 16-bit numbers are widened without loss.
    pub(super) fn notice(self) -> Option<String> {
        (self.format == Format::F64).then(|| "the values are 64-bit floats; they were rounded to 32 bits".into())
    }

    pub(super) fn rounding(self) -> Rounding {
        match self.format {
            // Half of the last digit, and of the smallest number that has fewer digits.
            Format::F16 => Rounding { relative: (-11.0f32).exp2(), absolute: (-25.0f32).exp2() },
            Format::Bf16 => Rounding { relative: (-8.0f32).exp2(), absolute: 0.0 },
            _ => Rounding::default(),
        }
    }

    /// The number in double precision, in which all formats but the largest whole numbers are exact.
    pub(super) fn decode(self, bytes: &[u8]) -> f64 {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        if self.big_endian {
            eight[..bytes.len()].reverse();
        }
        let word = u64::from_le_bytes(eight);
        match self.format {
            Format::Bool | Format::U8 | Format::U16 | Format::U32 | Format::U64 => word as f64,
            Format::I8 => f64::from(word as i8),
            Format::I16 => f64::from(word as i16),
            Format::I32 => f64::from(word as i32),
            Format::I64 => word as i64 as f64,
            Format::F16 => half::f16::from_bits(word as u16).to_f64(),
            Format::Bf16 => half::bf16::from_bits(word as u16).to_f64(),
            Format::F32 => f64::from(f32::from_bits(word as u32)),
            Format::F64 => f64::from_bits(word),
        }
    }
}

/// How `.safetensors` calls a type of numbers.
pub(super) fn dtype_of(format: Format) -> Option<Dtype> {
    DTYPES.iter().find(|known| known.1 == format).map(|known| known.0)
}

/// How we call a type of numbers; `None` if we do not know it.
pub(super) fn format_of_dtype(dtype: Dtype) -> Option<Format> {
    DTYPES.iter().find(|known| known.0 == dtype).map(|known| known.1)
}

/// A number that arrays are read as.
pub(super) trait Number: Copy {
    /// Whether files that hold numbers of this format are read.
    fn accepts(format: Format) -> bool;

    /// What a file of other numbers is told: what they should be, and how to save them so.
    const WANTED: &'static str;

    /// The number at `place` of the file, or why it cannot be one.
    fn decode(element: Element, bytes: &[u8], place: usize) -> Result<Self, Failure>;

    /// These numbers as the bytes that a file holds of them, where they are the same.
    fn as_stored(_: &mut [Self], _: Element) -> Option<&mut [u8]> {
        None
    }
}

impl Number for f32 {
    const WANTED: &'static str = "not weights; save it as float32, e.g. array.astype('float32')";

    fn accepts(format: Format) -> bool {
        matches!(format, Format::F16 | Format::Bf16 | Format::F32 | Format::F64)
    }

    fn decode(element: Element, bytes: &[u8], _: usize) -> Result<Self, Failure> {
        let value = element.decode(bytes);
        let single = value as f32;
        if single.is_infinite() && value.is_finite() {
            return Err(Failure::Content(format!(
                "it holds {value:e}, too large for 32-bit floats; weights of that size are no weights, check the file"
            )));
        }
        Ok(single)
    }

    fn as_stored(values: &mut [Self], element: Element) -> Option<&mut [u8]> {
        let is_same = element.format == Format::F32 && !element.big_endian;
        is_same.then(|| bytemuck::cast_slice_mut(values))
    }
}

impl Number for u8 {
    const WANTED: &'static str = "not bytes 0 to 255; save it as uint8, e.g. array.astype('uint8')";

    fn accepts(format: Format) -> bool {
        format != Format::Bf16
    }

    fn decode(element: Element, bytes: &[u8], place: usize) -> Result<Self, Failure> {
        if element.format == Format::U8 {
            return Ok(bytes[0]);
        }
        let value = element.decode(bytes);
        if value.fract() == 0.0 && (0.0..=255.0).contains(&value) {
            return Ok(value as u8);
        }
        let advice = if value.fract() == 0.0 {
            "bring the values into this range and save them as uint8"
        } else {
            "of shares of white, save (array * 255).round().astype('uint8')"
        };
        Err(Failure::Content(format!(
            "its value {place} is {value} (dtype {}), but images and labels are whole numbers of 0 to 255; {advice}",
            element.name()
        )))
    }
}

/// Any number: read as the bytes that it is stored as, never as a value.
#[derive(Clone, Copy)]
pub(super) struct AnyNumber;

impl Number for AnyNumber {
    const WANTED: &'static str = "not numbers; save the tensors of a network only";

    fn accepts(_: Format) -> bool {
        true
    }

    fn decode(_: Element, _: &[u8], _: usize) -> Result<Self, Failure> {
        Ok(Self)
    }
}

/// Number of elements and of bytes of an array, if they can be counted.
pub(super) fn sizes(shape: &[usize], element: Element) -> Result<(usize, u64), Failure> {
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let bytes = count.and_then(|count| (count as u64).checked_mul(element.bytes() as u64));
    count.zip(bytes).ok_or_else(|| {
        Failure::Content(format!("the header claims the shape {shape:?}, more than any file can hold; write it again"))
    })
}

/// Reads `count` elements. `present` says that their bytes are known to be there; otherwise memory grows as they come.
pub(super) fn read_values<T: Number>(
    reader: &mut dyn Read,
    count: usize,
    element: Element,
    present: bool,
) -> Result<Vec<T>, Failure> {
    let too_large =
        |_| Failure::Content(format!("{count} numbers do not fit the memory of this machine; save fewer of them"));
    let mut values = Vec::new();
    if present {
        values.try_reserve_exact(count).map_err(too_large)?;
    }
    let mut buffer = vec![0; CHUNK * element.bytes()];
    while values.len() < count {
        let chunk = CHUNK.min(count - values.len());
        values.try_reserve(chunk).map_err(too_large)?;
        decode_into(reader, element, &mut buffer, &mut values, chunk)?;
    }
    Ok(values)
}

/// Reads `values.len()` elements from where the reader stands.
pub(super) fn read_into<T: Number>(reader: &mut dyn Read, values: &mut [T], element: Element) -> Result<(), Failure> {
    if let Some(bytes) = T::as_stored(values, element) {
        return Ok(reader.read_exact(bytes)?);
    }
    let mut buffer = vec![0; CHUNK * element.bytes()];
    let mut decoded = Vec::with_capacity(CHUNK);
    for values in values.chunks_mut(CHUNK) {
        decoded.clear();
        decode_into(reader, element, &mut buffer, &mut decoded, values.len())?;
        values.copy_from_slice(&decoded);
    }
    Ok(())
}

/// Reads `chunk` more elements, no more than [`CHUNK`].
fn decode_into<T: Number>(
    reader: &mut dyn Read,
    element: Element,
    buffer: &mut [u8],
    values: &mut Vec<T>,
    chunk: usize,
) -> Result<(), Failure> {
    let bytes = &mut buffer[..chunk * element.bytes()];
    reader.read_exact(bytes)?;
    for bytes in bytes.chunks_exact(element.bytes()) {
        values.push(T::decode(element, bytes, values.len())?);
    }
    Ok(())
}
