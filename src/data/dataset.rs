//! Images and labels in memory.

use crate::error::{Error, Result};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Grayscale images `[sample, y, x]` with one label each.
///
/// ```
/// use holdfast::data::Dataset;
///
/// // Two images of one row of three pixels.
/// let set = Dataset::new("edges", vec![0, 0, 255, 255, 0, 0], vec![0, 1], 1, 3, 2)?;
/// assert_eq!((set.samples(), set.class_counts()), (2, vec![1, 1]));
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
    /// Number of classes.
    pub classes: usize,
}

impl Dataset {
    /// Checks that sizes agree, that there is at least one image, and that every label is below `classes`.
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
        let dataset = Self { name: name.into(), images, labels, height, width, classes };
        dataset.validate()?;
        Ok(dataset)
    }

    /// What [`Self::new`] checks: fails with [`Error::Data`].
    pub fn validate(&self) -> Result<()> {
        let Self { ref name, ref images, ref labels, height, width, classes } = *self;
        if labels.is_empty() || height == 0 || width == 0 {
            return Err(Error::Data(format!("{name}: no images found")));
        }
        let pixels = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(labels.len()));
        if pixels != Some(images.len()) {
            return Err(Error::Data(format!(
                "{name}: {} pixels are not {} labels x {height} x {width}; images and labels must agree in number",
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

    /// Pixels of one image.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// SHA-256 over sizes, pixels and labels, in hexadecimal: what reports name the data by.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for size in [self.samples(), self.height, self.width, self.classes] {
            hash.update((size as u64).to_le_bytes());
        }
        hash.update(&self.images);
        hash.update(&self.labels);
        HEXLOWER.encode(&hash.finalize())
    }

    /// The images at `indices`, in that order.
    pub fn subset(&self, indices: &[u32]) -> Self {
        let pixels = self.pixels();
        let mut images = Vec::with_capacity(indices.len() * pixels);
        for &index in indices {
            images.extend_from_slice(&self.images[index as usize * pixels..][..pixels]);
        }
        let labels = indices.iter().map(|&index| self.labels[index as usize]).collect();
        Self { name: self.name.clone(), images, labels, ..*self }
    }
}
