//! Images brought to one size.

use super::Dataset;
use crate::error::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Pixel, Rgb};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How an image is brought to another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Resampled (Lanczos, three lobes); the proportions of an image that is not square change.
    #[default]
    Resize,
    /// Put in the middle of a black square; never enlarged, and shrunk with its proportions where it is larger.
    Pad,
}

/// The square that images are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Square {
    /// Rows and columns.
    pub(super) side: usize,
    /// How.
    pub(super) fit: Fit,
}

/// An image of bytes, gray or in colour.
type Image<P> = ImageBuffer<P, Vec<u8>>;

/// Sides above this are slips of the keyboard.
const LARGEST_SIDE: usize = 4096;

/// Refuses a side that no image can have. Fails with [`Error::Usage`].
pub fn check_side(side: usize) -> Result<()> {
    if (1..=LARGEST_SIDE).contains(&side) {
        return Ok(());
    }
    Err(Error::Usage(format!("--side {side} is not possible; use 1 to {LARGEST_SIDE}, e.g. --side 28")))
}

impl Square {
    /// Brings one image to this size. An image that has it stays as it is.
    pub(super) fn apply<P: Pixel<Subpixel = u8> + 'static>(self, image: Image<P>) -> Image<P> {
        let side = self.side as u32;
        if image.dimensions() == (side, side) {
            return image;
        }
        match self.fit {
            Fit::Resize => imageops::resize(&image, side, side, FilterType::Lanczos3),
            Fit::Pad => {
                let image = shrunk(image, side);
                let (width, height) = image.dimensions();
                let mut square = Image::<P>::new(side, side);
                imageops::replace(&mut square, &image, ((side - width) / 2).into(), ((side - height) / 2).into());
                square
            }
        }
    }

    /// Brings every image of a set to this size.
    pub(super) fn apply_to_set(self, set: Dataset) -> Dataset {
        if (set.height, set.width) == (self.side, self.side) {
            return set;
        }
        if set.channels == 1 { self.apply_to_each::<Luma<u8>>(set) } else { self.apply_to_each::<Rgb<u8>>(set) }
    }

    /// The same of a set whose pixels are `P`.
    fn apply_to_each<P: Pixel<Subpixel = u8> + 'static>(self, set: Dataset) -> Dataset {
        let len = self.side * self.side * set.channels;
        let mut images = vec![0; set.samples() * len];
        images.par_chunks_mut(len).zip(set.images.par_chunks(set.image_len())).for_each(|(fitted, original)| {
            // A chunk of the set has the numbers of an image of the set.
            let image = Image::<P>::from_raw(set.width as u32, set.height as u32, original.to_vec());
            fitted.copy_from_slice(self.apply(image.unwrap_or_default()).as_raw());
        });
        Dataset { images, height: self.side, width: self.side, ..set }
    }
}

/// The image with its longer side at most `side`, its proportions kept to a pixel.
fn shrunk<P: Pixel<Subpixel = u8> + 'static>(image: Image<P>, side: u32) -> Image<P> {
    let (width, height) = image.dimensions();
    let longer = width.max(height);
    if longer <= side {
        return image;
    }
    let scaled = |length: u32| {
        let scaled = (f64::from(length) * f64::from(side) / f64::from(longer)).round();
        (scaled as u32).max(1)
    };
    imageops::resize(&image, scaled(width), scaled(height), FilterType::Lanczos3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::GrayImage;

    fn square(side: usize, fit: Fit) -> Square {
        Square { side, fit }
    }

    #[test]
    fn a_padded_image_stands_in_the_middle_of_black_shrunk_if_it_is_larger() {
        let image = GrayImage::from_fn(3, 2, |x, y| Luma([(10 + 3 * y + x) as u8]));
        let padded = square(6, Fit::Pad).apply(image.clone());
        assert_eq!(padded.dimensions(), (6, 6));
        for (x, y, pixel) in padded.enumerate_pixels() {
            let inside = (1..4).contains(&x) && (2..4).contains(&y);
            let expected = if inside { image.get_pixel(x - 1, y - 2).0[0] } else { 0 };
            assert_eq!(pixel.0[0], expected, "{x}, {y}");
        }
        let padded = square(10, Fit::Pad).apply(GrayImage::from_pixel(40, 20, Luma([200])));
        let bright = |y: u32| (0..10).filter(|&x| padded.get_pixel(x, y).0[0] == 200).count();
        assert_eq!((0..10).map(bright).collect::<Vec<_>>(), [0, 0, 10, 10, 10, 10, 10, 0, 0, 0]);
        assert_eq!(square(4, Fit::Pad).apply(GrayImage::new(1, 4000)).dimensions(), (4, 4));
    }

    #[test]
    fn a_resized_image_fills_the_square() {
        let even = square(7, Fit::Resize).apply(GrayImage::from_pixel(20, 5, Luma([90])));
        assert_eq!((even.dimensions(), even.pixels().all(|pixel| pixel.0[0] == 90)), ((7, 7), true));
        // A step from black to white in the middle stays there.
        let step = GrayImage::from_fn(40, 40, |x, _| Luma([if x < 20 { 0 } else { 255 }]));
        let small = square(8, Fit::Resize).apply(step);
        assert!((0..8).all(|y| small.get_pixel(1, y).0[0] < 20 && small.get_pixel(6, y).0[0] > 235));
    }

    #[test]
    fn a_set_is_fitted_image_by_image() {
        let pixels: Vec<u8> = (0..24).map(|value| value * 10).collect();
        let set = Dataset::new("toy", pixels.clone(), vec![0, 1], 3, 4, 2).unwrap();
        let fitted = square(5, Fit::Pad).apply_to_set(set);
        assert_eq!((fitted.samples(), fitted.height, fitted.width), (2, 5, 5));
        for image in 0..2 {
            let rows: Vec<u8> = (1..4).flat_map(|y| fitted.images[image * 25 + y * 5..][..4].to_vec()).collect();
            assert_eq!(rows, pixels[image * 12..][..12]);
        }
        assert_eq!(square(5, Fit::Resize).apply_to_set(fitted.clone()), fitted);
    }

    #[test]
    fn each_channel_is_fitted_as_a_gray_image_is() {
        let values: Vec<u8> = (0..2 * 5 * 7 * 3).map(|value| (value * 37 % 256) as u8).collect();
        let colours = Dataset::with_channels("toy", values.clone(), vec![0, 1], [5, 7, 3], 2).unwrap();
        for fit in [Fit::Resize, Fit::Pad] {
            for side in [3, 9] {
                let fitted = square(side, fit).apply_to_set(colours.clone());
                assert_eq!((fitted.channels, fitted.images.len()), (3, 2 * side * side * 3));
                for channel in 0..3 {
                    let own = |values: &[u8]| values.iter().copied().skip(channel).step_by(3).collect::<Vec<_>>();
                    let gray = Dataset::new("toy", own(&values), vec![0, 1], 5, 7, 2).unwrap();
                    assert_eq!(own(&fitted.images), square(side, fit).apply_to_set(gray).images, "{fit:?} {side}");
                }
            }
        }
    }

    #[test]
    fn impossible_sides_are_refused() {
        for side in [0, 4097, usize::MAX] {
            assert!(matches!(check_side(side), Err(Error::Usage(_))), "{side}");
        }
        assert!(check_side(1).is_ok() && check_side(4096).is_ok());
    }
}
