//! Arrays on the device.

use super::Gpu;
use crate::error::{Error, Result};
use bytemuck::Pod;
use std::marker::PhantomData;
use std::time::Instant;

/// Distance of the records that a launch chooses from: WebGPU's alignment of dynamic offsets.
const RECORD_BYTES: u64 = 256;

/// An array of `T` on a device, visible to kernels as a storage binding. It starts as zeros.
pub struct Buffer<T> {
    pub(super) raw: wgpu::Buffer,
    /// What observers know it by.
    pub(super) number: u64,
    label: String,
    len: usize,
    element: PhantomData<T>,
}

/// A buffer whose element type no longer matters: what a binding needs.
pub trait Bindable {
    /// The buffer itself, with its name.
    #[doc(hidden)]
    fn raw(&self) -> RawBuffer<'_>;
}

/// A buffer as wgpu knows it, its name, and the bytes of the records that it is made of, if launches choose from them.
pub struct RawBuffer<'a> {
    pub(super) buffer: &'a wgpu::Buffer,
    pub(super) label: &'a str,
    pub(super) number: u64,
    pub(super) record: u64,
}

impl<T> Bindable for Buffer<T> {
    fn raw(&self) -> RawBuffer<'_> {
        let record = RECORD_BYTES;
        RawBuffer { buffer: &self.raw, label: &self.label, number: self.number, record }
    }
}

/// A buffer of records that are larger than 256 bytes.
pub struct Records<'a, T> {
    /// The records, one after the other.
    pub buffer: &'a Buffer<T>,
    /// Bytes of one of them, a multiple of 256.
    pub bytes: u64,
}

impl<T> Bindable for Records<'_, T> {
    fn raw(&self) -> RawBuffer<'_> {
        RawBuffer { record: self.bytes, ..self.buffer.raw() }
    }
}

impl<T: Pod> Buffer<T> {
    /// Room for `len` elements, all bits 0. Fails if it exceeds the limits or the memory of the device.
    pub fn new(gpu: &Gpu, label: &str, len: usize) -> Result<Self> {
        // A binding may not be empty, and copies come in words.
        let bytes = (len.max(1) * size_of::<T>()).next_multiple_of(4) as u64;
        let most = gpu.limits().array_bytes();
        if bytes > most {
            return Err(Error::OutOfMemory(format!(
                "{label} needs {bytes} bytes, and arrays on {} have at most {most}",
                gpu.description().name
            )));
        }
        let raw = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check()?;
        let number = gpu.next_number();
        gpu.tell(|observer| observer.created(number, bytes))?;
        Ok(Self { raw, number, label: label.to_string(), len, element: PhantomData })
    }

    /// A buffer with these elements.
    ///
    /// Fails as [`Self::new`] does.
    pub fn from_slice(gpu: &Gpu, label: &str, elements: &[T]) -> Result<Self> {
        let buffer = Self::new(gpu, label, elements.len())?;
        buffer.write(gpu, 0, elements)?;
        Ok(buffer)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its name in errors and in graphics debuggers.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Copies `elements` to the places from `first` on. Work submitted before sees the old elements, work submitted
    /// after it the new ones. Fails if they do not fit.
    pub fn write(&self, gpu: &Gpu, first: usize, elements: &[T]) -> Result<()> {
        self.check_place(first, elements.len())?;
        let start = Instant::now();
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        if !bytes.is_empty() {
            let place = (first * size_of::<T>()) as u64;
            gpu.queue.write_buffer(&self.raw, place, bytes);
            gpu.tell(|observer| observer.written(self.number, place, bytes))?;
        }
        gpu.count_transfer(start);
        gpu.check()
    }

    fn check_place(&self, first: usize, len: usize) -> Result<()> {
        if first + len > self.len {
            return Err(Error::Shape(format!(
                "{}: {len} elements from {first} on do not fit into {}",
                self.label, self.len
            )));
        }
        Ok(())
    }
}

impl Buffer<u32> {
    /// Puts the first `len` of `words` to the places from `first` on, one by one into the memory that the device copies from:
    /// what is gathered from several places never lies anywhere else. Otherwise as [`Self::write`], which says when it fails.
    pub fn gather(&self, gpu: &Gpu, first: usize, len: usize, words: impl Iterator<Item = u32>) -> Result<()> {
        self.check_place(first, len)?;
        // An observer is told of the words in one piece.
        if !gpu.observers().is_empty() {
            return self.write(gpu, first, &words.take(len).collect::<Vec<_>>());
        }
        let start = Instant::now();
        let [place, bytes] = [first, len].map(|words| (words * size_of::<u32>()) as u64);
        if let Some(size) = wgpu::BufferSize::new(bytes) {
            let Some(mut staging) = gpu.queue.write_buffer_with(&self.raw, place, size) else {
                gpu.hear();
                gpu.check()?;
                return Err(Error::DeviceLost(format!("{} cannot be written", self.label)));
            };
            let (places, _) = staging.slice(..).into_chunks::<{ size_of::<u32>() }>();
            places.into_iter().zip(words).for_each(|(place, word)| place.write(word.to_ne_bytes()));
        }
        gpu.count_transfer(start);
        gpu.check()
    }
}
