//! Images as kernels read them: bytes packed into words.

use super::require;
use crate::error::Result;
use crate::gpu::{Bindable, Buffer};

/// How images lie in memory: `[image, y, word]`, four numbers to a word, each row padded with zeros to whole words. A row has
/// the channels of a pixel side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Rows.
    pub height: usize,
    /// Numbers of a row: columns x channels.
    pub width: usize,
}

impl ImageShape {
    /// Words of one row.
    pub fn row_words(&self) -> usize {
        self.width.div_ceil(4)
    }

    /// Words of one image.
    pub fn words(&self) -> usize {
        self.height * self.row_words()
    }

    /// Packs images `[image, y, x, channel]` of bytes into words.
    pub fn pack(&self, images: &[u8]) -> Vec<u32> {
        self.packed(images).collect()
    }

    /// The words of [`Self::pack`], one after the other.
    pub fn packed(self, images: &[u8]) -> impl Iterator<Item = u32> {
        let word = |pixels: &[u8]| {
            let mut bytes = [0; 4];
            bytes[..pixels.len()].copy_from_slice(pixels);
            u32::from_le_bytes(bytes)
        };
        images.chunks_exact(self.width).flat_map(|row| row.chunks(4)).map(word)
    }
}

/// Images of a batch: which, and how their pixels are read.
#[derive(Clone, Copy)]
pub struct Images<'a> {
    /// Sizes of an image.
    pub shape: ImageShape,
    /// What pixels are multiplied by.
    pub scale: f32,
    /// Indices of images; steps say where each replica's lie. They must be below the number of images.
    pub order: &'a Buffer<u32>,
    /// `[image, y, word]`, made by [`ImageShape::pack`].
    pub images: &'a Buffer<u32>,
}

/// What a layer reads.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// What the layer before produced: `[replica, sample, feature]`, or `[replica, sample, y, x, channel]`.
    Features(&'a Buffer<f32>),
    /// Images, gathered by index and widened in the kernel; those that a convolution reads have one channel.
    Images(Images<'a>),
}

impl Input<'_> {
    pub(super) fn is_features(&self) -> bool {
        matches!(self, Self::Features(_))
    }

    /// What pixels are multiplied by.
    pub(super) fn scale(&self) -> f32 {
        match self {
            Self::Features(_) => 1.0,
            Self::Images(images) => images.scale,
        }
    }

    /// Words that a pass over `samples` samples of so many values reads of it.
    pub(super) fn words(&self, samples: usize, values: usize) -> usize {
        samples
            * match self {
                Self::Features(_) => values,
                Self::Images(images) => images.shape.words(),
            }
    }

    /// Fails unless there are features of so many elements, or images to choose from.
    pub(super) fn require(&self, kernel: &str, elements: usize) -> Result<()> {
        match self {
            Self::Features(input) => require(kernel, "input", input, elements),
            Self::Images(images) => {
                require(kernel, "images", images.images, images.shape.words())?;
                require(kernel, "order", images.order, 1)
            }
        }
    }

    /// The arrays in the order of the bindings.
    pub(super) fn arrays(&self) -> Vec<&dyn Bindable> {
        match self {
            Self::Features(input) => vec![*input],
            Self::Images(images) => vec![images.order, images.images],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_image_are_padded_to_whole_words() {
        let shape = ImageShape { height: 2, width: 5 };
        let words = shape.pack(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(words, [0x0403_0201, 5, 0x0908_0706, 10]);
        assert_eq!(shape.words(), 4);
    }
}
