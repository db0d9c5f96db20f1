//! Which images are for training and which for testing, and seeded draws that keep the share of each class.

use super::Dataset;
use crate::error::{Error, Result};
use crate::random::{Sequence, Stream};
use std::sync::Arc;

/// A training set and a test set of equal image sizes and classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What replicas learn from.
    pub training: Arc<Dataset>,
    /// What they are judged by.
    pub test: Arc<Dataset>,
}

impl Split {
    /// Puts two sets together. Fails with [`Error::Data`] if their image sizes or classes differ.
    pub fn new(training: Dataset, test: Dataset) -> Result<Self> {
        let sizes = |set: &Dataset| (set.height, set.width, set.classes);
        if training.channels != test.channels {
            let kind = |set: &Dataset| if set.channels == 1 { "gray" } else { "in colour" };
            return Err(Error::Data(format!(
                "{}: training images are {}, test images {}; both must be of one kind",
                training.name,
                kind(&training),
                kind(&test)
            )));
        }
        if sizes(&training) != sizes(&test) {
            return Err(Error::Data(format!(
                "{}: training images are {} x {} with {} classes, test images {} x {} with {}; both must be of one kind",
                training.name, training.height, training.width, training.classes, test.height, test.width, test.classes
            )));
        }
        Ok(Self { training: Arc::new(training), test: Arc::new(test) })
    }
}

/// The share that is held out of a set without a test set of its own, if no other is asked for.
pub const TEST_SHARE: f64 = 0.2;

/// Refuses a share that cannot be held out. Fails with [`Error::Usage`].
pub fn check_share(share: f64) -> Result<()> {
    if share > 0.0 && share < 1.0 {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "a share of {share} cannot be held out for testing; use a number between 0 and 1, e.g. --test-share 0.2"
    )))
}

/// Holds out a share of each class for testing, drawn by `seed`; both parts keep the order of the set.
///
/// Of a class with n images round(`share` · n) are held out, but at least one and at most n − 1: every class keeps a
/// training image, and has a test image if it has two images. Fails with [`Error::Usage`] unless 0 < `share` < 1, and
/// with [`Error::Data`] if no class has two images.
pub fn hold_out(set: &Dataset, share: f64, seed: u64) -> Result<Split> {
    check_share(share)?;
    let (mut training, mut test) = (Vec::new(), Vec::new());
    for members in shuffled_classes(set, seed, Stream::HoldOut) {
        let wanted = (share * members.len() as f64).round() as usize;
        let held_out = wanted.max(1).min(members.len().saturating_sub(1));
        test.extend_from_slice(&members[..held_out]);
        training.extend_from_slice(&members[held_out..]);
    }
    if test.is_empty() {
        return Err(Error::Data(format!(
            "{}: no class has two images, so none can be held out for testing; add images",
            set.name
        )));
    }
    training.sort_unstable();
    test.sort_unstable();
    Split::new(set.subset(&training), set.subset(&test))
}

/// The first `images` of a seeded draw in which every prefix has the classes in their shares of the set: a smaller draw
/// is a part of a larger one.
///
/// Fails with [`Error::Usage`] if `images` is 0 or more than the set has.
pub fn stratified_draw(set: &Dataset, images: usize, seed: u64) -> Result<Dataset> {
    if images == 0 || images > set.samples() {
        return Err(Error::Usage(format!(
            "{images} training images cannot be drawn from {}, which has {}; use --training-images 1 to {}",
            set.name,
            set.samples(),
            set.samples()
        )));
    }
    // The j-th of a class's n images stands at (2j + 1) / 2n of the way; fractions are compared crosswise, without rounding.
    let mut places = Vec::with_capacity(set.samples());
    for members in shuffled_classes(set, seed, Stream::Subset) {
        let size = members.len() as u64;
        places.extend((0u64..).zip(members).map(|(j, index)| (2 * j + 1, size, index)));
    }
    // The sort is stable: at equal places the lower class comes first.
    places.sort_by(|(a, a_size, _), (b, b_size, _)| (a * b_size).cmp(&(b * a_size)));
    let indices: Vec<u32> = places[..images].iter().map(|&(_, _, index)| index).collect();
    Ok(set.subset(&indices))
}

/// The first `images` of each class of a seeded draw, in the order of the set; all of a class that has fewer.
pub(super) fn draw_of_each_class(set: &Dataset, images: usize, seed: u64) -> Dataset {
    let mut drawn: Vec<u32> = shuffled_classes(set, seed, Stream::Subset)
        .into_iter()
        .flat_map(|members| members.into_iter().take(images))
        .collect();
    drawn.sort_unstable();
    set.subset(&drawn)
}

/// For each class the indices of its images in random order; a class's order depends on no other class.
pub(super) fn shuffled_classes(set: &Dataset, seed: u64, stream: Stream) -> Vec<Vec<u32>> {
    let mut members = vec![Vec::new(); set.classes];
    for (index, &label) in (0u32..).zip(&set.labels) {
        members[usize::from(label)].push(index);
    }
    for (class, members) in (0u32..).zip(&mut members) {
        Sequence::new(seed, stream, class, 0).shuffle(members);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One image of 1 x 2 pixels for each label; the pixels hold its index.
    fn labelled(labels: &[u8], classes: usize) -> Dataset {
        let images = (0..labels.len()).flat_map(|index| (index as u16).to_le_bytes()).collect();
        Dataset::new("toy", images, labels.to_vec(), 1, 2, classes).unwrap()
    }

    fn indices(set: &Dataset) -> Vec<u16> {
        set.images.chunks_exact(2).map(|pixels| u16::from_le_bytes([pixels[0], pixels[1]])).collect()
    }

    fn unbalanced() -> Dataset {
        let counts = [100usize, 10, 2, 1, 0, 37];
        let labels: Vec<u8> = (0u8..).zip(counts).flat_map(|(class, count)| vec![class; count]).collect();
        labelled(&labels, counts.len())
    }

    #[test]
    fn a_hold_out_takes_its_share_of_every_class_and_loses_and_doubles_no_image() {
        let set = unbalanced();
        let split = hold_out(&set, 0.2, 5).unwrap();
        assert_eq!(split.test.class_counts(), [20, 2, 1, 0, 0, 7]);
        assert_eq!(split.training.class_counts(), [80, 8, 1, 1, 0, 30]);
        let mut all = [indices(&split.training), indices(&split.test)].concat();
        all.sort_unstable();
        assert_eq!(all, indices(&set));
    }

    #[test]
    fn every_class_keeps_a_training_image_whatever_the_share() {
        for share in [1e-9, 0.5, 1.0 - 1e-9] {
            let split = hold_out(&unbalanced(), share, 5).unwrap();
            for (class, count) in [100, 10, 2, 1, 0, 37].into_iter().enumerate() {
                let (training, test) = (split.training.class_counts()[class], split.test.class_counts()[class]);
                assert_eq!((training >= 1, test >= 1), (count >= 1, count >= 2), "class {class}, share {share}");
            }
        }
    }

    #[test]
    fn hold_outs_and_draws_depend_on_the_seed_alone() {
        let set = unbalanced();
        assert_eq!(hold_out(&set, 0.2, 5).unwrap(), hold_out(&set, 0.2, 5).unwrap());
        assert_ne!(hold_out(&set, 0.2, 5).unwrap(), hold_out(&set, 0.2, 6).unwrap());
        assert_ne!(stratified_draw(&set, 50, 3).unwrap(), stratified_draw(&set, 50, 4).unwrap());
    }

    #[test]
    fn what_cannot_be_held_out_or_drawn_is_refused() {
        for share in [0.0, 1.0, -0.1, 2.0, f64::NAN] {
            assert!(matches!(hold_out(&unbalanced(), share, 5), Err(Error::Usage(_))), "{share}");
        }
        let error = hold_out(&labelled(&[0, 1, 2], 3), 0.2, 5).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains("no class has two images"), "{error}");
        for images in [0, 151] {
            let error = stratified_draw(&unbalanced(), images, 3).unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("150"), "{error}");
        }
    }

    #[test]
    fn a_draw_keeps_the_shares_of_the_classes_and_begins_with_every_smaller_one() {
        let labels: Vec<u8> = (0..1000).map(|index| if index % 4 == 0 { 0 } else { 1 }).collect();
        let set = labelled(&labels, 2);
        for images in [4, 40, 400, 1000] {
            assert_eq!(stratified_draw(&set, images, 3).unwrap().class_counts(), [images / 4, images * 3 / 4]);
        }
        let set = unbalanced();
        let (small, large) = (stratified_draw(&set, 31, 3).unwrap(), stratified_draw(&set, 90, 3).unwrap());
        assert_eq!(indices(&small), indices(&large)[..31]);
        assert_eq!(indices(&large).into_iter().collect::<std::collections::BTreeSet<_>>().len(), 90);
    }

    #[test]
    fn training_and_test_images_of_other_sizes_are_refused() {
        let other = Dataset::new("toy", vec![0; 3], vec![0], 1, 3, 2).unwrap();
        let error = Split::new(labelled(&[0, 1], 2), other).unwrap_err();
        assert!(error.to_string().contains("1 x 2") && error.to_string().contains("1 x 3"), "{error}");
    }
}
