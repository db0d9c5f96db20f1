//! The paper's "processed" set: a small balanced part of MNIST (Riedel & Segev 2023, section 4.1).

use super::splits::shuffled_classes;
use super::{Dataset, Split};
use crate::error::{Error, Result};
use crate::random::Stream;
use std::sync::Arc;

const IMAGES_PER_CLASS: usize = 100;

/// 100 images of each class, drawn from MNIST's training set by `seed`; the test set stays MNIST's, under the name of
/// this set. A set in MNIST's form may have fewer: then all images of such a class are taken, and a notice says so. Fails
/// with [`Error::Data`] if a class has none.
pub(super) fn draw(mnist: &Split, seed: u64) -> Result<(Split, Option<String>)> {
    let mut indices = Vec::new();
    let mut small = Vec::new();
    for (class, members) in shuffled_classes(&mnist.training, seed, Stream::Subset).iter().enumerate() {
        if members.is_empty() {
            return Err(Error::Data(format!("pr: class {class} has no training images; give the full MNIST")));
        }
        if members.len() < IMAGES_PER_CLASS {
            small.push(format!("class {class} has {}", members.len()));
        }
        indices.extend(members.iter().take(IMAGES_PER_CLASS));
    }
    let notice = (!small.is_empty()).then(|| {
        format!(
            "pr: {IMAGES_PER_CLASS} training images of each class are drawn, but {}; all of them are taken",
            small.join(", ")
        )
    });
    let training = Dataset { name: "pr".into(), ..mnist.training.subset(&indices) };
    let test = Dataset { name: "pr".into(), ..Dataset::clone(&mnist.test) };
    Ok((Split { training: Arc::new(training), test: Arc::new(test) }, notice))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of 1 x 2 pixels that hold their index, labels 0, 1, 0, 1, ...
    fn alternating(images: u16) -> Split {
        let pixels = (0..images).flat_map(u16::to_le_bytes).collect();
        let labels = (0..images).map(|index| (index % 2) as u8).collect();
        let set = Dataset::new("mnist", pixels, labels, 1, 2, 2).unwrap();
        Split::new(set.clone(), set).unwrap()
    }

    #[test]
    fn a_hundred_different_images_of_each_class_are_drawn_by_the_seed_and_tested_on_those_of_mnist() {
        let mnist = alternating(1000);
        let (split, notice) = draw(&mnist, 9).unwrap();
        assert_eq!((notice, split.training.class_counts()), (None, vec![100, 100]));
        let mut drawn: Vec<_> = split.training.images.chunks(2).zip(&split.training.labels).collect();
        assert!(drawn.iter().all(|(pixels, label)| pixels[0] % 2 == **label), "an image lost its label");
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 200);
        assert_eq!((&split.test.images, &split.test.labels), (&mnist.test.images, &mnist.test.labels));
        assert_eq!((split.training.name.as_str(), split.test.name.as_str()), ("pr", "pr"));
        assert_eq!(draw(&mnist, 9).unwrap().0, split);
        assert_ne!(draw(&mnist, 10).unwrap().0.training, split.training);
    }

    #[test]
    fn of_a_class_with_fewer_than_a_hundred_images_all_are_taken_and_one_without_any_is_refused() {
        let (split, notice) = draw(&alternating(199), 9).unwrap();
        assert_eq!(split.training.class_counts(), [100, 99]);
        assert!(notice.unwrap().contains("class 1 has 99"));
        let mut mnist = alternating(200);
        mnist.training = Arc::new(Dataset { classes: 3, ..Dataset::clone(&mnist.training) });
        let error = draw(&mnist, 9).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("class 2"), "{error}");
    }
}
