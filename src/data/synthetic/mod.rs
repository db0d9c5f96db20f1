//! Made-up stand-ins for the paper's two sets that are not public. Their names say `synthetic`, and so does everything
//! that is made of them.
//!
//! A picture is painted as a field of brightness without unit; [`Picture::develop`] then gives it a mean, a contrast and
//! noise that are drawn apart from its class. So neither tells the class: what is in the picture has to be seen.

pub(super) mod scales;
pub(super) mod xrays;

use super::{Dataset, Split};
use crate::error::Result;
use crate::random::{Sequence, Stream};
use rayon::prelude::*;

/// Rows and columns of an image.
pub(super) const SIDE: usize = 100;

/// So many training images of each class, and for testing as many as `--test-share` holds out of a real set.
const fn per_class(training: usize) -> [usize; 2] {
    [training, training / 5]
}

/// Between which shades mean, standard deviation and noise of an image lie. Pictures are dark on the whole, as MNIST's are:
/// on bright ones of this size the units of the paper's fully connected network die in training, and it stays at chance.
const MEAN: [f64; 2] = [32.0, 44.0];
const CONTRAST: [f64; 2] = [18.0, 30.0];
const NOISE: [f64; 2] = [2.0, 7.0];

/// A set with so many images of each class for training and for testing, drawn apart: `parts` are the second words of the two
/// draws' counters. `paint` draws an image of a class from the image's own sequence.
pub(super) fn generate(
    name: &str,
    classes: usize,
    per_class: [usize; 2],
    parts: [u32; 2],
    seed: u64,
    paint: impl Fn(usize, &mut Sequence, &mut [u8]) + Sync,
) -> Result<Split> {
    let draw = |part: usize| {
        let labels: Vec<u8> = (0u8..).take(classes).flat_map(|class| vec![class; per_class[part]]).collect();
        let mut images = vec![0; labels.len() * SIDE * SIDE];
        // Each image has its own sequence, so threads change nothing.
        images.par_chunks_mut(SIDE * SIDE).zip(&labels).enumerate().for_each(|(image, (pixels, &class))| {
            paint(class.into(), &mut Sequence::new(seed, Stream::Pixels, image as u32, parts[part]), pixels);
        });
        Dataset::new(name, images, labels, SIDE, SIDE, classes)
    };
    Split::new(draw(0)?, draw(1)?)
}

/// Brightness of every pixel `[y, x]`, in any unit.
struct Picture(Vec<f64>);

impl Picture {
    /// The picture whose brightness at column x and row y is given.
    fn paint(brightness: impl Fn(f64, f64) -> f64) -> Self {
        let at = |pixel: usize| brightness((pixel % SIDE) as f64, (pixel / SIDE) as f64);
        Self((0..SIDE * SIDE).map(at).collect())
    }

    /// Brings the picture to a drawn mean and contrast, adds noise, and rounds and clamps to 0..=255.
    fn develop(self, sequence: &mut Sequence, pixels: &mut [u8]) {
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        let deviation = (self.0.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let target = sequence.between(MEAN[0], MEAN[1]);
        let contrast = sequence.between(CONTRAST[0], CONTRAST[1]) / deviation;
        let noise = sequence.between(NOISE[0], NOISE[1]);
        for (pixels, values) in pixels.chunks_mut(2).zip(self.0.chunks(2)) {
            for ((pixel, value), normal) in pixels.iter_mut().zip(values).zip(sequence.normal_pair()) {
                let shade = target + contrast * (value - mean) + noise * normal;
                *pixel = shade.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// 0 far below `edge`, 1 far above, over about twice `softness`.
fn step(value: f64, edge: f64, softness: f64) -> f64 {
    let place = (value - edge) / softness;
    // What lies farther off differs from 0 and 1 by less than a millionth of a shade, and is most of a picture.
    if place.abs() > 12.0 {
        return f64::from(u8::from(place > 0.0));
    }
    1.0 / (1.0 + (-2.0 * place).exp())
}

/// 1 at 0, falling as the normal curve with standard deviation `width`; 0 beyond seven of these.
fn bump(distance: f64, width: f64) -> f64 {
    let place = distance / width;
    if place.abs() > 7.0 { 0.0 } else { (-0.5 * place * place).exp() }
}

/// Smooth clouds: normal numbers on a grid, between them interpolated without corners.
struct Clouds {
    grid: Vec<f64>,
    across: usize,
    spacing: f64,
}

impl Clouds {
    /// Clouds of about `spacing` pixels.
    fn draw(sequence: &mut Sequence, spacing: f64) -> Self {
        let across = (SIDE as f64 / spacing).ceil() as usize + 2;
        let grid = (0..across * across).map(|_| sequence.normal_pair()[0]).collect();
        Self { grid, across, spacing }
    }

    /// How dense they are at column x and row y, which must lie in the picture.
    fn at(&self, x: f64, y: f64) -> f64 {
        let split = |place: f64| {
            let place = place / self.spacing;
            let fraction = place.fract();
            (place as usize, fraction * fraction * (3.0 - 2.0 * fraction))
        };
        let ((column, right), (row, below)) = (split(x), split(y));
        let corner = |row: usize, column: usize| self.grid[row * self.across + column];
        let line = |row: usize| corner(row, column) * (1.0 - right) + corner(row, column + 1) * right;
        line(row) * (1.0 - below) + line(row + 1) * below
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    /// Both sets of one seed; they take seconds.
    static SETS: LazyLock<[Split; 2]> = LazyLock::new(|| [scales::generate(1).unwrap(), xrays::generate(1).unwrap()]);

    /// Mean and standard deviation of each image.
    fn moments(set: &Dataset) -> Vec<[f64; 2]> {
        let of_image = |pixels: &[u8]| {
            let count = pixels.len() as f64;
            let mean = pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / count;
            let variance = pixels.iter().map(|&pixel| (f64::from(pixel) - mean).powi(2)).sum::<f64>() / count;
            [mean, variance.sqrt()]
        };
        set.images.chunks_exact(set.image_len()).map(of_image).collect()
    }

    /// Share of the test images whose class is that of the nearest centre, in `features` of the training images.
    fn nearest_centre_accuracy(split: &Split, features: impl Fn(&[f64; 2]) -> [f64; 2]) -> f64 {
        let classes = split.training.classes;
        let mut centres = vec![[0.0; 2]; classes];
        let counts = split.training.class_counts();
        for (moments, &label) in moments(&split.training).iter().zip(&split.training.labels) {
            for (sum, feature) in centres[usize::from(label)].iter_mut().zip(features(moments)) {
                *sum += feature / counts[usize::from(label)] as f64;
            }
        }
        let right = moments(&split.test).into_iter().zip(&split.test.labels).filter(|(moments, label)| {
            let found = features(moments);
            let distance = |class: usize| (centres[class][0] - found[0]).hypot(centres[class][1] - found[1]);
            let nearest = (0..classes).min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            nearest == Some(usize::from(**label))
        });
        right.count() as f64 / split.test.samples() as f64
    }

    #[test]
    fn neither_brightness_nor_contrast_tells_the_class() {
        for split in SETS.iter() {
            let (chance, images) = (1.0 / split.test.classes as f64, split.test.samples() as f64);
            // Four standard errors above chance.
            let bound = chance + 4.0 * (chance * (1.0 - chance) / images).sqrt();
            type Features = fn(&[f64; 2]) -> [f64; 2];
            let features: [Features; 3] =
                [|&[mean, _]| [mean, 0.0], |&[_, deviation]| [0.0, deviation], |&[mean, deviation]| [mean, deviation]];
            for feature in features {
                let accuracy = nearest_centre_accuracy(split, feature);
                assert!(accuracy < bound, "{}: {accuracy} is above {bound}", split.test.name);
            }
        }
    }

    #[test]
    fn sets_have_their_sizes_and_say_that_they_are_synthetic() {
        for (split, name, training, test) in [
            (&SETS[0], "sc-synthetic", vec![530; 5], vec![106; 5]),
            (&SETS[1], "xr-synthetic", vec![500; 2], vec![100; 2]),
        ] {
            assert_eq!([split.training.name.as_str(), split.test.name.as_str()], [name; 2]);
            assert_eq!((split.training.class_counts(), split.test.class_counts()), (training, test));
            assert_eq!((split.training.height, split.training.width), (100, 100));
        }
    }

    #[test]
    fn pictures_depend_on_the_seed_alone_and_test_images_are_others() {
        let (first, again, other) = (&SETS[1], &xrays::generate(1).unwrap(), xrays::generate(2).unwrap());
        assert_eq!(first, again);
        assert_ne!(first.training.images, other.training.images);
        assert_ne!(first.training.images[..10_000], first.test.images[..10_000]);
    }

    #[test]
    fn black_takes_few_pixels_and_white_none() {
        for split in SETS.iter() {
            let pixels = &split.training.images;
            let share = |value| pixels.iter().filter(|&&pixel| pixel == value).count() as f64 / pixels.len() as f64;
            let name = &split.training.name;
            assert!(share(0) < 0.1 && share(255) < 1e-3, "{name}: {} black, {} white", share(0), share(255));
        }
    }

    #[test]
    fn clouds_have_no_seams() {
        let clouds = Clouds::draw(&mut Sequence::new(5, Stream::Check, 0, 0), 8.0);
        for place in 1..12 {
            let edge = 8.0 * f64::from(place);
            let (before, after) = (clouds.at(edge - 1e-9, 33.0), clouds.at(edge, 33.0));
            assert!((before - after).abs() < 1e-6, "{before} and {after} at {edge}");
        }
        assert!(clouds.at(99.0, 99.0).is_finite());
    }
}
