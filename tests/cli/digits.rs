//! A data set in the form of MNIST that is small enough for many runs: a bright row says the class.

use std::fs;
use std::path::Path;

/// Images of the training set.
pub const TRAINING: usize = 320;
/// Images of the test set.
pub const TEST: usize = 100;
/// Rows and columns of an image.
const SIDE: usize = 12;

/// The four files of a set, in the order images and labels of training, then of test.
pub const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Writes the four files into a folder.
pub fn write(folder: &Path) {
    for (files, samples, seed) in [([FILES[0], FILES[1]], TRAINING, 1), ([FILES[2], FILES[3]], TEST, 2)] {
        fs::write(folder.join(files[0]), images(samples, seed)).unwrap();
        fs::write(folder.join(files[1]), labels(samples)).unwrap();
    }
}

/// An IDX file of images.
fn images(samples: usize, seed: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    for size in [samples, SIDE, SIDE] {
        bytes.extend((size as u32).to_be_bytes());
    }
    let mut noise = seed;
    for pixel in 0..samples * SIDE * SIDE {
        // The low bits of such a generator are poor, its high ones will do.
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (sample, row) = (pixel / (SIDE * SIDE), pixel / SIDE % SIDE);
        let bright = if row == sample % 10 + 1 { 110 } else { 0 };
        bytes.push((noise >> 25) as u8 + bright);
    }
    bytes
}

/// An IDX file of labels: the ten classes one after the other.
pub fn labels(samples: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1];
    bytes.extend((samples as u32).to_be_bytes());
    bytes.extend((0..samples).map(|sample| (sample % 10) as u8));
    bytes
}

/// A folder with the set, removed at the end, and the argument that names it.
pub fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let argument = format!("mnist={}", folder.path().display());
    (folder, argument)
}
