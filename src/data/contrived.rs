//! The contrived set of the paper: noise whose only information is its mean (Riedel & Segev 2023, section 4.1).

use super::Split;
use super::synthetic::generate as generate_set;
use crate::error::Result;

const CLASS_MEANS: [f64; 10] = [20.0, 50.0, 75.0, 100.0, 125.0, 150.0, 175.0, 200.0, 225.0, 240.0];
const STANDARD_DEVIATION: f64 = 1000.0;
const IMAGES_PER_CLASS: usize = 50;

/// 10 classes of 50 images of 100 x 100 pixels, each pixel normal with the mean of its class and standard deviation 1000,
/// rounded and clamped to 0..=255; a second, independent draw of the same size is the test set.
pub(super) fn generate(seed: u64) -> Result<Split> {
    generate_set("ct", CLASS_MEANS.len(), [IMAGES_PER_CLASS; 2], [0, 1], seed, |class, sequence, pixels| {
        for pair in pixels.chunks_mut(2) {
            for (pixel, normal) in pair.iter_mut().zip(sequence.normal_pair()) {
                *pixel = (CLASS_MEANS[class] + STANDARD_DEVIATION * normal).round().clamp(0.0, 255.0) as u8;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_fifty_images_of_each_of_ten_classes() {
        let split = generate(1).unwrap();
        for set in [&split.training, &split.test] {
            assert_eq!((set.samples(), set.height, set.width), (500, 100, 100));
            assert_eq!(set.class_counts(), [50; 10]);
        }
    }

    #[test]
    fn black_and_white_pixels_are_as_frequent_as_the_clamped_normal_says() {
        let set = generate(1).unwrap().training;
        // P(N(20, 1000) < 0.5), P(N(20, 1000) >= 254.5), and the same of mean 240, from tables of the normal distribution.
        for (class, black, white) in [(0, 0.492_221, 0.407_298), (9, 0.405_359, 0.494_216)] {
            let pixels = &set.images[class * 500_000..][..500_000];
            let share = |value| pixels.iter().filter(|&&pixel| pixel == value).count() as f64 / 500_000.0;
            // Five standard errors of a share near one half.
            assert!((share(0) - black).abs() < 0.0036, "class {class}: {} black", share(0));
            assert!((share(255) - white).abs() < 0.0036, "class {class}: {} white", share(255));
        }
    }

    #[test]
    fn the_test_set_is_another_draw() {
        let split = generate(1).unwrap();
        assert_eq!(generate(1).unwrap(), split);
        assert_ne!(split.training.images, split.test.images);
        assert_ne!(generate(2).unwrap().training.images, split.training.images);
    }
}
