//! What was read of a data set: its classes and images, counted, and the line that says so.

use crate::data::Split;
use crate::numbers::thousands;
use serde::Serialize;
use std::sync::Arc;

/// Classes that a line names.
const CLASSES_NAMED: usize = 10;

/// What was read of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Its classes, in their order.
    pub classes: Vec<Class>,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// 1 where images are gray, 3 where they are in colour.
    pub channels: usize,
    /// Images that are trained on.
    pub training_images: usize,
    /// Images that are judged by; `None` if these are the training images.
    pub test_images: Option<usize>,
}

/// A class of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// What it is called.
    pub name: String,
    /// Its training images.
    pub training_images: usize,
    /// Its test images; `None` if these are the training images.
    pub test_images: Option<usize>,
}

impl Contents {
    /// Counts a set whose classes have these names.
    pub fn of(split: &Split, class_names: &[String]) -> Self {
        let own_test = !Arc::ptr_eq(&split.training, &split.test);
        let test = split.test.class_counts();
        let class = |((name, &training_images), &test): ((&String, &usize), &usize)| Class {
            name: name.clone(),
            training_images,
            test_images: own_test.then_some(test),
        };
        Self {
            classes: class_names.iter().zip(&split.training.class_counts()).zip(&test).map(class).collect(),
            height: split.training.height,
            width: split.training.width,
            channels: split.training.channels,
            training_images: split.training.samples(),
            test_images: own_test.then_some(split.test.samples()),
        }
    }

    /// `pets: 2 classes (cats 10, dogs 10), 28 x 28, 20 training and 4 test images, gray`: width x height as programs for
    /// images give them, and of each class its training images; or `colour, 3 channels`.
    pub fn line(&self, name: &str) -> String {
        let count = |images: usize| thousands(images as i64);
        let named: Vec<String> = self
            .classes
            .iter()
            .take(CLASSES_NAMED)
            .map(|class| format!("{} {}", class.name, class.training_images))
            .collect();
        let more = match self.classes.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let images = match self.test_images {
            Some(test) => format!("{} training and {} test images", count(self.training_images), count(test)),
            None => format!("{} images, for training and for testing", count(self.training_images)),
        };
        let kind = if self.channels == 1 { "gray".into() } else { format!("colour, {} channels", self.channels) };
        format!(
            "{name}: {} classes ({}{more}), {} x {}, {images}, {kind}",
            self.classes.len(),
            named.join(", "),
            self.width,
            self.height
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    fn set(labels: &[u8], classes: usize) -> Dataset {
        Dataset::new("pets", vec![0; labels.len() * 6], labels.to_vec(), 2, 3, classes).unwrap()
    }

    fn names(classes: usize) -> Vec<String> {
        (0..classes).map(|class| format!("c{class}")).collect()
    }

    #[test]
    fn the_line_counts_each_class_and_both_parts() {
        let split = Split::new(set(&[1, 0, 1], 2), set(&[0], 2)).unwrap();
        let contents = Contents::of(&split, &names(2));
        assert_eq!(contents.line("pets"), "pets: 2 classes (c0 1, c1 2), 3 x 2, 3 training and 1 test images, gray");
        assert_eq!(contents.classes.iter().map(|class| class.test_images).collect::<Vec<_>>(), [Some(1), Some(0)]);
    }

    #[test]
    fn images_for_both_are_counted_once() {
        let training = Arc::new(set(&[0, 1], 2));
        let contents = Contents::of(&Split { test: Arc::clone(&training), training }, &names(2));
        assert_eq!((contents.test_images, contents.classes[0].test_images), (None, None));
        assert!(contents.line("pets").ends_with("3 x 2, 2 images, for training and for testing, gray"));
    }

    #[test]
    fn of_many_classes_the_first_are_named() {
        let labels: Vec<u8> = (0..26).collect();
        let split = Split::new(set(&labels, 26), set(&labels, 26)).unwrap();
        let line = Contents::of(&split, &names(26)).line("letters");
        assert!(line.contains("26 classes (c0 1, ") && line.contains("c9 1 and 16 more)"), "{line}");
    }
}
