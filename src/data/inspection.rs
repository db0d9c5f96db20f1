//! What the pixels of a set tell before anything is trained: copies, images without a shape, a range that is hardly used.

use super::{Dataset, Split, classes};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// An image that is nowhere brighter than this uses less than a quarter of the values.
const DARK: u8 = 63;

/// Sentences about what was found.
///
/// Fails with [`Error::Data`] if all training images are identical: there is nothing to learn.
pub(super) fn notices(split: &Split, class_names: &[String]) -> Result<Vec<String>> {
    let name = &split.training.name;
    let copies = Copies::count(split);
    let images = split.training.samples();
    if images > 1 && copies.in_training == images - 1 {
        let all = match shade(&split.training.images, split.training.channels) {
            Some([gray]) => format!(", every pixel {gray}"),
            Some(colour) => format!(", every pixel {colour:?}"),
            None => String::new(),
        };
        return Err(Error::Data(format!(
            "{name}: all {images} training images are identical{all}: there is nothing to learn; check how they were saved"
        )));
    }
    let mut notices = of_range(split, class_names);
    notices.extend(copies.sentences(split).into_iter().map(|sentence| format!("{name}: {sentence}")));
    Ok(notices)
}

/// The one gray value or colour that all pixels have, if they do.
fn shade(values: &[u8], channels: usize) -> Option<&[u8]> {
    let first = values.get(..channels)?;
    values.chunks_exact(channels).all(|pixel| pixel == first).then_some(first)
}

/// The parts of a split; one if it is tested on what it trains on.
fn parts(split: &Split) -> Vec<&Dataset> {
    let same = Arc::ptr_eq(&split.training, &split.test);
    [&split.training, &split.test].into_iter().take(if same { 1 } else { 2 }).map(Arc::as_ref).collect()
}

/// Darkest and brightest value of an image, whether all its pixels are equal, and its label.
struct Range {
    darkest: u8,
    brightest: u8,
    flat: bool,
    label: u8,
}

/// What the darkest and brightest pixels say.
fn of_range(split: &Split, class_names: &[String]) -> Vec<String> {
    let name = &split.training.name;
    let ranges: Vec<Range> = parts(split)
        .into_iter()
        .flat_map(|set| {
            let of = |(image, &label): (&[u8], &u8)| {
                let ends = |(low, high): (u8, u8), &gray: &u8| (gray.min(low), gray.max(high));
                let (darkest, brightest) = image.iter().fold((255, 0), ends);
                Range { darkest, brightest, flat: shade(image, set.channels).is_some(), label }
            };
            set.images.par_chunks_exact(set.image_len()).zip(&set.labels).map(of).collect::<Vec<_>>()
        })
        .collect();
    let images = ranges.len();
    let (flat, shaped): (Vec<&Range>, Vec<&Range>) = ranges.iter().partition(|range| range.flat);
    let darkest = ranges.iter().map(|range| range.darkest).min().unwrap_or(0);
    let brightest = ranges.iter().map(|range| range.brightest).max().unwrap_or(0);
    let dark: Vec<&Range> = shaped.into_iter().filter(|range| range.brightest <= DARK).collect();
    let mut sentences = Vec::new();
    if brightest <= DARK {
        sentences.push(format!(
            "{name}: the brightest value found is {brightest} of 255; --pixel-scale {} brings pixels into 0..1, where \
             networks learn best",
            brightest.max(1)
        ));
    } else if brightest - darkest <= DARK {
        sentences.push(format!(
            "{name}: all values lie within {darkest} and {brightest} of 255; with more contrast, networks learn better"
        ));
    } else if let Some(most) = dark.iter().map(|range| range.brightest).max().filter(|_| dark.len() * 10 >= images) {
        let of: BTreeSet<u8> = dark.iter().map(|range| range.label).collect();
        let of: Vec<String> = of.into_iter().filter_map(|label| class_names.get(usize::from(label)).cloned()).collect();
        sentences.push(format!(
            "{name}: {} of {images} images (class {}) are nowhere brighter than {most} of 255, others reach {brightest}; if \
             they were saved with another range, multiply their pixels by {} first; --pixel-scale {most} would scale all images",
            dark.len(),
            classes::shortened(&of),
            255 / most
        ));
    }
    if !flat.is_empty() {
        sentences.push(format!("{name}: {} of {images} images are of one shade all over", flat.len()));
    }
    sentences
}

/// Whether it is for testing, its pixels, its label.
type Image<'a> = (bool, &'a [u8], u8);

/// Images with the same pixels as an earlier one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Copies {
    /// Training images that are copies of other training images.
    in_training: usize,
    /// Test images that are copies of other test images.
    in_test: usize,
    /// Test images that are training images, too.
    across: usize,
    /// Training images that are identical to one of another class.
    contradictory: usize,
}

impl Copies {
    fn count(split: &Split) -> Self {
        let images: Vec<Image<'_>> = (0..)
            .zip(parts(split))
            .flat_map(|(part, set)| {
                let images = set.images.chunks_exact(set.image_len()).zip(&set.labels);
                images.map(move |(pixels, &label)| (part == 1, pixels, label))
            })
            .collect();
        let digest = |(index, image): (usize, &Image<'_>)| {
            let mut hasher = DefaultHasher::new();
            hasher.write(image.1);
            (hasher.finish(), index)
        };
        let mut digests: Vec<(u64, usize)> = images.par_iter().enumerate().map(digest).collect();
        digests.sort_unstable();
        let mut copies = Self::default();
        for group in digests.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() > 1) {
            let mut group: Vec<_> = group.iter().map(|(_, index)| images[*index]).collect();
            // Two images could have one hash.
            group.sort_by_key(|image| image.1);
            for same in group.chunk_by(|one, other| one.1 == other.1) {
                let (test, training): (Vec<Image<'_>>, Vec<Image<'_>>) =
                    same.iter().copied().partition(|image| image.0);
                copies.in_training += training.len().saturating_sub(1);
                copies.in_test += test.len().saturating_sub(1);
                if !training.is_empty() {
                    copies.across += test.len();
                }
                if training.windows(2).any(|pair| pair[0].2 != pair[1].2) {
                    copies.contradictory += training.len();
                }
            }
        }
        copies
    }

    fn sentences(&self, split: &Split) -> Vec<String> {
        let (training, test) = (split.training.samples(), split.test.samples());
        let mut sentences = Vec::new();
        if self.in_training > 0 {
            sentences.push(format!("{} of {training} training images are copies of others", self.in_training));
        }
        if self.contradictory > 0 {
            sentences.push(format!(
                "{} training images are identical to one of another class; one of their labels is wrong",
                self.contradictory
            ));
        }
        if self.in_test > 0 {
            sentences.push(format!("{} of {test} test images are copies of others", self.in_test));
        }
        if self.across > 0 {
            sentences.push(format!(
                "{} of {test} test images are training images, too: the accuracy in test is flattered by them",
                self.across
            ));
        }
        sentences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of two pixels each with their labels.
    fn set(images: &[([u8; 2], u8)]) -> Dataset {
        let pixels = images.iter().flat_map(|image| image.0).collect();
        Dataset::new("pets", pixels, images.iter().map(|image| image.1).collect(), 1, 2, 2).unwrap()
    }

    fn names() -> Vec<String> {
        ["cats", "dogs"].map(String::from).into()
    }

    fn said(training: &[([u8; 2], u8)], test: &[([u8; 2], u8)]) -> Vec<String> {
        notices(&Split::new(set(training), set(test)).unwrap(), &names()).unwrap()
    }

    #[test]
    fn copies_are_counted_within_and_across_the_parts() {
        let training = [([0, 255], 0), ([0, 255], 0), ([9, 200], 1), ([8, 200], 1), ([8, 200], 0), ([1, 100], 1)];
        let test = [([0, 255], 0), ([7, 255], 1), ([7, 255], 1), ([1, 100], 1)];
        let split = Split::new(set(&training), set(&test)).unwrap();
        assert_eq!(Copies::count(&split), Copies { in_training: 2, in_test: 1, across: 2, contradictory: 2 });
        let notices = notices(&split, &names()).unwrap();
        assert_eq!(notices.len(), 4);
        for (notice, number) in notices.iter().zip(["2 of 6 ", "2 training", "1 of 4 ", "2 of 4 "]) {
            assert!(notice.starts_with("pets: ") && notice.contains(number), "{notice}");
        }
        let own = Arc::new(set(&training));
        let own = Split { test: Arc::clone(&own), training: own };
        assert_eq!(Copies::count(&own), Copies { in_training: 2, in_test: 0, across: 0, contradictory: 2 });
    }

    #[test]
    fn a_set_in_which_nothing_is_odd_has_no_notice() {
        assert!(said(&[([0, 255], 0), ([1, 254], 1)], &[([2, 250], 0)]).is_empty());
    }

    #[test]
    fn identical_training_images_are_refused() {
        for (images, word) in
            [([([0, 0], 0), ([0, 0], 1)], "every pixel 0"), ([([1, 200], 0), ([1, 200], 1)], "all 2 ")]
        {
            let split = Split::new(set(&images), set(&[([3, 4], 0)])).unwrap();
            let error = notices(&split, &names()).unwrap_err();
            assert!(matches!(error, Error::Data(_)) && error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_range_that_is_hardly_used_is_said_with_how_to_scale() {
        let dark = said(&[([0, 16], 0), ([1, 15], 1)], &[([2, 14], 0)]);
        assert!(
            matches!(&dark[..], [one] if one.contains("16 of 255") && one.contains("--pixel-scale 16")),
            "{dark:?}"
        );
        let some = said(&[([0, 16], 0), ([1, 255], 1)], &[([2, 254], 1)]);
        let words = ["1 of 3 ", "class cats", "16 of 255", "by 15 "];
        assert!(matches!(&some[..], [one] if words.iter().all(|word| one.contains(word))), "{some:?}");
        let bright = said(&[([201, 255], 0), ([200, 254], 1)], &[([202, 250], 1)]);
        assert!(matches!(&bright[..], [one] if one.contains("200 and 255")), "{bright:?}");
    }

    #[test]
    fn images_of_one_shade_are_counted() {
        let flat = said(&[([70, 70], 0), ([1, 255], 1)], &[([200, 200], 1)]);
        assert!(matches!(&flat[..], [one] if one.contains("2 of 3 ")), "{flat:?}");
    }
}
