//! Samples side by side in the registers: one number of each makes a lane.

use super::AlignedBuffer;
use super::training_step::ImageBatch;
use crate::network::{Architecture, ConvLayer};
use pulp::{Simd, WithSimd};
use std::ops::{Deref, DerefMut, Range};

/// Samples of a block: with 30 units, input and hidden units of a block are 15 KB.
pub const BLOCK: usize = 64;

/// One number of each sample of a block.
pub type Lane = [f32; BLOCK];

/// Lanes that begin at cache lines: reading a register across two of them takes twice as long.
#[derive(Clone, Debug)]
pub struct Lanes(AlignedBuffer);

impl Lanes {
    /// So many, all 0.
    pub fn zeros(lanes: usize) -> Self {
        Self(AlignedBuffer::zeros(lanes * BLOCK))
    }
}

impl Deref for Lanes {
    type Target = [Lane];
    fn deref(&self) -> &[Lane] {
        self.0.as_chunks().0
    }
}

impl DerefMut for Lanes {
    fn deref_mut(&mut self) -> &mut [Lane] {
        self.0.as_chunks_mut().0
    }
}

impl From<&[Lane]> for Lanes {
    fn from(lanes: &[Lane]) -> Self {
        let mut copy = Self::zeros(lanes.len());
        copy.copy_from_slice(lanes);
        copy
    }
}

/// How what a layer reads lies: `[y, x, channel]`, with a border around convolutions' images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) border: usize,
}

impl Grid {
    /// Lanes of it.
    pub(super) fn len(&self) -> usize {
        (self.height + 2 * self.border) * self.row()
    }

    /// Numbers of a sample, without the border.
    pub(super) fn numbers(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Lanes of a row.
    pub(super) fn row(&self) -> usize {
        (self.width + 2 * self.border) * self.channels
    }

    /// The first channel of a pixel.
    pub(super) fn place(&self, y: usize, x: usize) -> usize {
        (y + self.border) * self.row() + (x + self.border) * self.channels
    }
}

/// What each layer of a network reads, and last the logits.
pub(super) fn grids(architecture: &Architecture) -> Vec<Grid> {
    let convolution =
        |layer: &ConvLayer| Grid { height: layer.height, width: layer.width, channels: layer.inputs, border: 1 };
    let flat = |channels| Grid { height: 1, width: 1, channels, border: 0 };
    let convolutions = architecture.conv_layers();
    let dense = architecture.dense_layers();
    let convolved = convolutions.iter().map(convolution);
    convolved.chain(dense.iter().map(|layer| flat(layer.inputs))).chain([flat(architecture.classes)]).collect()
}

/// Lanes of what layer `index` of a network reads, counted from the image; those of its logits where it is their number.
pub fn input_lanes(architecture: &Architecture, index: usize) -> usize {
    grids(architecture)[index].len()
}

/// Samples and numbers of a square that is turned.
const SQUARE: usize = 8;
/// Numbers of an image that are taken at once.
const STRIP: usize = 32;

/// What the first layer of a network reads of up to [`BLOCK`] images; samples that do not exist are 0.
pub fn pixels(architecture: &Architecture, batch: ImageBatch<'_>, lanes: &mut [Lane]) {
    pulp::Arch::new().dispatch(Pixels { grid: grids(architecture)[0], batch, lanes });
}

/// See [`pixels`].
struct Pixels<'a, 'b> {
    grid: Grid,
    batch: ImageBatch<'b>,
    lanes: &'a mut [Lane],
}

impl WithSimd for Pixels<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { grid, batch, lanes } = self;
        lay(grid, batch, 0..grid.numbers(), &[], lanes);
    }
}

/// Some numbers of each image, beside those of the others; without a border the first of them is the first of `lanes`. Those that
/// are not read, as `is_read` says unless it is empty, need not be laid: their lanes have what they had.
#[inline(always)]
pub(super) fn lay(grid: Grid, batch: ImageBatch<'_>, range: Range<usize>, is_read: &[bool], lanes: &mut [Lane]) {
    let (row, numbers) = (grid.width * grid.channels, grid.numbers());
    // A border stays 0.
    if grid.border > 0 {
        lanes.fill([0.0; BLOCK]);
    }
    let images: [&[u8]; BLOCK] = std::array::from_fn(|sample| match batch.order.get(sample) {
        Some(&index) => &batch.images[index as usize * numbers..][..numbers],
        None => &[],
    });
    let is_read = |number: usize| is_read.get(number).is_none_or(|&is_read| is_read);
    for first in range.clone().step_by(STRIP) {
        let width = STRIP.min(range.end - first);
        if !(first..first + width).any(is_read) {
            continue;
        }
        // A word has the numbers of one sample; side by side lie those of every eighth one.
        let mut squares = [[[0; BLOCK / SQUARE]; SQUARE]; STRIP / SQUARE];
        for (sample, image) in images.iter().take(batch.order.len()).enumerate() {
            let numbers = &image[first..first + width];
            let strip = numbers.try_into().unwrap_or_else(|_| {
                let mut strip = [0; STRIP];
                strip[..width].copy_from_slice(numbers);
                strip
            });
            for (square, &numbers) in squares.iter_mut().zip(strip.as_chunks::<SQUARE>().0) {
                square[sample % SQUARE][sample / SQUARE] = u64::from_le_bytes(numbers);
            }
        }
        for (square, first) in squares.iter().zip((first..first + width).step_by(SQUARE)) {
            for (number, words) in (first..range.end).zip(turned(square)).filter(|&(number, _)| is_read(number)) {
                let place = match grid.border {
                    0 => number - range.start,
                    _ => grid.place(number / row, 0) + number % row,
                };
                let samples = words.map(u64::to_le_bytes);
                for (value, &pixel) in lanes[place].iter_mut().zip(samples.as_flattened()) {
                    *value = f32::from(pixel) * batch.scale;
                }
            }
        }
    }
}

/// A row of squares that lie side by side: a word of each.
type Row = [u64; BLOCK / SQUARE];

/// Squares of bytes with rows and columns exchanged: halves of rows, then quarters, then bytes change places with those on the other
/// side of the diagonal.
#[inline(always)]
fn turned(rows: &[Row; SQUARE]) -> [Row; SQUARE] {
    let [a, b, c, d, e, f, g, h] = *rows;
    let halves = |upper, lower| exchanged::<32>(upper, lower, 0x0000_0000_ffff_ffff);
    let ([a, e], [b, f], [c, g], [d, h]) = (halves(a, e), halves(b, f), halves(c, g), halves(d, h));
    let quarters = |upper, lower| exchanged::<16>(upper, lower, 0x0000_ffff_0000_ffff);
    let ([a, c], [b, d], [e, g], [f, h]) = (quarters(a, c), quarters(b, d), quarters(e, g), quarters(f, h));
    let bytes = |upper, lower| exchanged::<8>(upper, lower, 0x00ff_00ff_00ff_00ff);
    let ([a, b], [c, d], [e, f], [g, h]) = (bytes(a, b), bytes(c, d), bytes(e, f), bytes(g, h));
    [a, b, c, d, e, f, g, h]
}

/// Two rows, between which the `high` parts of the upper and the `low` parts of the lower one, next to each other in a word, have
/// changed places.
#[inline(always)]
fn exchanged<const BITS: u32>(upper: Row, lower: Row, low: u64) -> [Row; 2] {
    [
        std::array::from_fn(|word| upper[word] & low | (lower[word] & low) << BITS),
        std::array::from_fn(|word| upper[word] >> BITS & low | lower[word] & !low),
    ]
}
