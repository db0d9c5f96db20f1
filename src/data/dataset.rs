//! Images and labels in memory.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Images `[sample, y, x, channel]` with one label each: gray ones have one channel, colours three, red, green and blue.
///
/// ```
/// use holdfast::data::Dataset;
///
/// // Two images of one row of three pixels.
/// let set = Dataset::new("edges", vec![0, 0, 255, 255, 0, 0], vec![0, 1], 1, 3, 2)?;
/// assert_eq!((set.samples(), set.class_counts()), (2, vec![1, 1]));
///
/// // The same numbers as two images of one pixel: a blue and a red one.
/// let set = Dataset::with_channels("hues", vec![0, 0, 255, 255, 0, 0], vec![0, 1], [1, 1, 3], 2)?;
/// assert_eq!((set.samples(), set.image_len()), (2, 3));
///
/// let label_too_large = Dataset::new("edges", vec![0, 0, 255], vec![2], 1, 3, 2);
/// assert_eq!(label_too_large.unwrap_err().exit_code(), 5);
/// # Ok::<(), holdfast::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Short name in files and tables, e.g. `mnist`.
    pub name: String,
    /// Pixels, 0 to 255.
    pub images: Vec<u8>,
    /// Class of each image, below `classes`.
    pub labels: Vec<u8>,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Numbers of a pixel: 1 for gray, 3 for red, green and blue.
    pub channels: usize,
    /// Number of classes.
    pub classes: usize,
}

/// What the values of one channel are like over all images of a set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChannelStatistics {
    /// `gray`, `red`, `green` or `blue`.
    pub channel: &'static str,
    /// Their mean, 0 to 255.
    pub mean: f64,
    /// Their standard deviation around it.
    pub standard_deviation: f64,
}

impl Dataset {
    /// Gray images `[sample, y, x]`. Checks that sizes agree, that there is at least one image, and that every label is below
    /// `classes`.
    ///
    /// Fails with [`Error::Data`].
    pub fn new(
        name: impl Into<String>,
        images: Vec<u8>,
        labels: Vec<u8>,
        height: usize,
        width: usize,
        classes: usize,
    ) -> Result<Self> {
        Self::with_channels(name, images, labels, [height, width, 1], classes)
    }

    /// Images of `[height, width, channels]` each. Checks what [`Self::new`] checks, and that there are 1 or 3 channels.
    ///
    /// Fails with [`Error::Data`].
    pub fn with_channels(
        name: impl Into<String>,
        images: Vec<u8>,
        labels: Vec<u8>,
        [height, width, channels]: [usize; 3],
        classes: usize,
    ) -> Result<Self> {
        let dataset = Self { name: name.into(), images, labels, height, width, channels, classes };
        dataset.validate()?;
        Ok(dataset)
    }

    /// What [`Self::with_channels`] checks: fails with [`Error::Data`].
    pub fn validate(&self) -> Result<()> {
        let Self { ref name, ref images, ref labels, height, width, channels, classes } = *self;
        if labels.is_empty() || height == 0 || width == 0 {
            return Err(Error::Data(format!("{name}: no images found")));
        }
        if ![1, 3].contains(&channels) {
            return Err(Error::Data(format!(
                "{name}: images of {channels} channels; 1 (gray) and 3 (red, green and blue) are read"
            )));
        }
        let sizes = [width, channels, labels.len()];
        let values = sizes.into_iter().try_fold(height, |product, size| product.checked_mul(size));
        if values != Some(images.len()) {
            let of_channels = if channels == 1 { String::new() } else { format!(" x {channels}") };
            return Err(Error::Data(format!(
                "{name}: {} pixels are not {} labels x {height} x {width}{of_channels}; images and labels must agree in number",
                images.len(),
                labels.len()
            )));
        }
        if u32::try_from(labels.len()).is_err() {
            return Err(Error::Data(format!(
                "{name}: {} images are more than the {} that can be numbered; use a part of them",
                labels.len(),
                u32::MAX
            )));
        }
        if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(Error::Data(format!(
                "{name}: label {} of image {index} is not below the number of classes, {classes}",
                labels[index]
            )));
        }
        Ok(())
    }

    /// Number of images.
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// Numbers of one image: rows x columns x channels.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Mean and standard deviation of each channel over all pixels of all images.
    pub fn channel_statistics(&self) -> Vec<ChannelStatistics> {
        let names: &[&'static str] = if self.channels == 1 { &["gray"] } else { &["red", "green", "blue"] };
        let of_channel = |(place, &channel): (usize, &&'static str)| {
            let values = self.images.iter().skip(place).step_by(self.channels).map(|&value| u64::from(value));
            // Whole numbers: exact for any number of images that fits into memory.
            let (count, sum, squares) = values.fold((0u64, 0u64, 0u128), |(count, sum, squares), value| {
                (count + 1, sum + value, squares + u128::from(value * value))
            });
            let mean = sum as f64 / count as f64;
            let spread = u128::from(count) * squares - u128::from(sum) * u128::from(sum);
            ChannelStatistics { channel, mean, standard_deviation: (spread as f64).sqrt() / count as f64 }
        };
        names.iter().enumerate().map(of_channel).collect()
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// SHA-256 over sizes, pixels and labels, in hexadecimal: what reports name the data by. Of gray images the channel is
    /// not among the sizes.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        let sizes = [self.samples(), self.height, self.width, self.classes];
        for size in sizes.into_iter().chain((self.channels != 1).then_some(self.channels)) {
            hash.update((size as u64).to_le_bytes());
        }
        hash.update(&self.images);
        hash.update(&self.labels);
        HEXLOWER.encode(&hash.finalize())
    }

    /// The images at `indices`, in that order.
    pub fn subset(&self, indices: &[u32]) -> Self {
        let len = self.image_len();
        let mut images = Vec::with_capacity(indices.len() * len);
        for &index in indices {
            images.extend_from_slice(&self.images[index as usize * len..][..len]);
        }
        let labels = indices.iter().map(|&index| self.labels[index as usize]).collect();
        Self { name: self.name.clone(), images, labels, ..*self }
    }

    /// The same images with only these numbers of each, flat places in `[y, x, channel]`, in that order: gray images of
    /// 1 x `pixels.len()`.
    ///
    /// Fails with [`Error::Data`] if no pixel is named, or one that an image has not.
    pub fn with_pixels(&self, pixels: &[u32]) -> Result<Self> {
        let len = self.image_len();
        if let Some(outside) = pixels.iter().find(|&&pixel| pixel as usize >= len) {
            return Err(Error::Data(format!(
                "{}: pixel {outside} is asked for, counted from 0, and images have {len}; take the images that the network was \
                 made for",
                self.name
            )));
        }
        let gather = |image: &[u8]| pixels.iter().map(|&pixel| image[pixel as usize]).collect::<Vec<u8>>();
        let images = self.images.chunks_exact(len).flat_map(gather).collect();
        Self::with_channels(self.name.clone(), images, self.labels.clone(), [1, pixels.len(), 1], self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colours() -> Dataset {
        Dataset::with_channels("hues", vec![0, 10, 20, 4, 10, 60], vec![0, 1], [1, 1, 3], 2).unwrap()
    }

    #[test]
    fn other_numbers_of_channels_are_refused() {
        for channels in [0, 2, 4, 5] {
            let error =
                Dataset::with_channels("x", vec![0; 2 * channels], vec![0, 1], [1, 1, channels], 2).unwrap_err();
            assert_eq!(error.exit_code(), 5);
            assert!(error.to_string().contains(&format!("{channels} channels")), "{error}");
        }
    }

    #[test]
    fn each_channel_has_its_own_statistics() {
        let [red, green, blue] = colours().channel_statistics()[..] else { panic!("three channels") };
        assert_eq!([red.channel, green.channel, blue.channel], ["red", "green", "blue"]);
        assert_eq!([red.mean, green.mean, blue.mean], [2.0, 10.0, 40.0]);
        let deviations = [red, green, blue].map(|channel| channel.standard_deviation);
        assert_eq!(deviations, [2.0, 0.0, 20.0]);
    }

    #[test]
    fn some_pixels_make_images_of_one_row() {
        let some = colours().with_pixels(&[0, 2]).unwrap();
        assert_eq!((some.images.as_slice(), some.image_len(), some.channels), (&[0, 20, 4, 60][..], 2, 1));
        assert_eq!((&some.labels, some.classes), (&colours().labels, 2));
        assert!(colours().with_pixels(&[3]).unwrap_err().to_string().contains("pixel 3"));
        assert_eq!(colours().with_pixels(&[]).unwrap_err().exit_code(), 5);
    }

    #[test]
    fn colours_have_another_checksum_than_the_same_numbers_as_gray() {
        let colours = colours();
        let gray = Dataset::new("hues", colours.images.clone(), colours.labels.clone(), 1, 3, 2).unwrap();
        assert_ne!(colours.checksum(), gray.checksum());
        assert_eq!(colours.subset(&[1]).images, [4, 10, 60]);
    }
}
