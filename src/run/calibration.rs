//! The training images, without their labels, that networks are measured with: drawn by seed, and kept beside a run so that
//! it can be cut later without its data.

use super::cell::Cell;
use super::configuration::Configuration;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::pruning::surgery::calibration_images;
use crate::run_folder::arrays::{self, ArrayFile, NamedArray, Values};
use crate::run_folder::file_kind::Purpose;
use std::path::Path;

/// Name of the file in a run folder.
pub const CALIBRATION_FILE: &str = "calibration.npz";

/// Images that calibrate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// Which of the training images they are, ascending.
    indices: Vec<u32>,
    /// Pixels `[image, y, x, channel]`.
    images: Vec<u8>,
    /// Rows, columns and channels of an image.
    pub sizes: [usize; 3],
}

impl Calibration {
    /// Those of a cell.
    pub fn of_cell(cell: &Cell, configuration: &Configuration) -> Self {
        Self::of_images(&cell.split.training, configuration.calibration_images, configuration.seed)
    }

    /// So many of these training images, or all where there are fewer.
    pub fn of_images(training: &Dataset, count: usize, seed: u64) -> Self {
        let indices = calibration_images(training.samples(), count.min(training.samples()), seed);
        let (length, sizes) = (training.image_len(), [training.height, training.width, training.channels]);
        let image = |&index: &u32| &training.images[index as usize * length..][..length];
        let images = indices.iter().flat_map(image).copied().collect();
        Self { indices, images, sizes }
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Pixels `[image, y, x, channel]`.
    pub fn pixels(&self) -> &[u8] {
        &self.images
    }

    /// What networks read: pixels divided by `pixel_scale`, `[image, feature]`.
    pub fn features(&self, pixel_scale: f64) -> Vec<f32> {
        let scale = (1.0 / pixel_scale) as f32;
        self.images.iter().map(|&pixel| f32::from(pixel) * scale).collect()
    }

    /// Writes `images` `[image, y, x, channel]` and `indices` `[image]`.
    ///
    /// Fails with [`Error::Io`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let [height, width, channels] = self.sizes;
        let shape = [self.len(), height, width, channels];
        let images = NamedArray { name: "images", shape: &shape, values: Values::U8(&self.images) };
        let indices = NamedArray { name: "indices", shape: &shape[..1], values: Values::U32(&self.indices) };
        arrays::write(path, &[images, indices])
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// Fails with [`Error::Data`] if the file is missing or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::Data(format!(
                "{} is not there: without calibration images no weights can be solved anew and no inputs are known; make the run \
                 again with this version, or prune by stability, settle, hold or magnitude with --repair cut",
                path.display()
            )));
        }
        let mut file = ArrayFile::open(path, Purpose::Arrays)?;
        let images = file.read_bytes("images")?;
        let &[count, height, width, channels] = &images.shape[..] else {
            return Err(Error::Data(format!(
                "{} has images of the shape {:?}, not [image, y, x, channel]; the folder is damaged, run it again",
                path.display(),
                images.shape
            )));
        };
        // Where they stood among the training images is for people to look up.
        Ok(Self { indices: (0..count as u32).collect(), images: images.values, sizes: [height, width, channels] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_they_were_written_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CALIBRATION_FILE);
        let images = vec![0, 51, 102, 153, 204, 255];
        let written = Calibration { indices: vec![0, 1], images, sizes: [3, 1, 1] };
        written.write(&path).unwrap();
        let read = Calibration::read(&path).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.features(51.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let missing = Calibration::read(&folder.path().join("none.npz")).unwrap_err();
        assert!(missing.exit_code() == 5 && missing.to_string().contains("--repair cut"), "{missing}");
    }
}
