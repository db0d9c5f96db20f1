//! Classes as files number or name them, as the classes 0, 1, 2, ... of a data set.

use super::Dataset;
use crate::error::{Error, Result};
use crate::run_folder::listed;
use std::collections::BTreeSet;

/// What the readers of a set hand over: a training set, a test set if there is one, and what the user should know.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) training: Dataset,
    pub(super) test: Option<Dataset>,
    /// Names of the classes, in their order.
    pub(super) class_names: Vec<String>,
    pub(super) notices: Vec<String>,
}

/// Labels are bytes.
pub(super) const MOST_CLASSES: usize = 256;

/// Numbers the labels of a file anew, without gaps from 0, in their order; their old values become the names of the
/// classes. Which labels there are, the training set decides.
///
/// Fails with [`Error::Data`] if there is only one class, or if the test set has a class that the training set lacks.
pub(super) fn number(training: Dataset, test: Option<Dataset>, mut notices: Vec<String>) -> Result<Parts> {
    let found: BTreeSet<u8> = training.labels.iter().copied().collect();
    let names: Vec<String> = found.iter().map(u8::to_string).collect();
    if found.len() == 1 {
        return Err(Error::Data(format!(
            "{}: all training images have the label {}; a network needs two or more classes",
            training.name, names[0]
        )));
    }
    if let Some(test) = &test {
        if let Some(label) = test.labels.iter().find(|label| !found.contains(label)) {
            return Err(Error::Data(format!(
                "{}: the test set has images of the label {label}, the training set has none; check the labels",
                test.name
            )));
        }
        let missing: Vec<&str> = found
            .iter()
            .zip(&names)
            .filter(|(label, _)| !test.labels.contains(label))
            .map(|(_, name)| &**name)
            .collect();
        if !missing.is_empty() {
            notices.push(format!("{}: the test set has no image of the label {}", test.name, missing.join(", ")));
        }
    }
    let (first, last) = (names[0].clone(), names[names.len() - 1].clone());
    if last != (names.len() - 1).to_string() {
        notices.push(format!(
            "{}: the labels, {} from {first} to {last}, were numbered 0 to {}",
            training.name,
            names.len(),
            names.len() - 1
        ));
    }
    let numbered = |set: Dataset| {
        let labels = set.labels.iter().map(|label| found.range(..label).count() as u8).collect();
        Dataset { labels, classes: names.len(), ..set }
    };
    Ok(Parts { training: numbered(training), test: test.map(numbered), class_names: names.clone(), notices })
}

/// The first few of a list of names, and how many more there are.
pub(super) fn shortened(names: &[String]) -> String {
    listed(5, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(labels: &[u8]) -> Dataset {
        Dataset::new("toy", vec![0; labels.len()], labels.to_vec(), 1, 1, MOST_CLASSES).unwrap()
    }

    #[test]
    fn labels_without_gaps_stay_as_they_are() {
        let parts = number(labelled(&[2, 0, 1, 1]), Some(labelled(&[1, 0, 2])), Vec::new()).unwrap();
        assert_eq!((parts.training.labels.as_slice(), parts.training.classes), ([2, 0, 1, 1].as_slice(), 3));
        assert_eq!(parts.test.unwrap().labels, [1, 0, 2]);
        assert_eq!((parts.class_names.join(" ").as_str(), parts.notices.len()), ("0 1 2", 0));
    }

    #[test]
    fn labels_with_gaps_are_numbered_anew_and_keep_their_values_as_names() {
        let parts = number(labelled(&[7, 255, 3]), Some(labelled(&[255, 3])), Vec::new()).unwrap();
        assert_eq!((parts.training.labels.as_slice(), parts.training.classes), ([1, 2, 0].as_slice(), 3));
        assert_eq!(parts.test.unwrap().labels, [2, 0]);
        assert_eq!(parts.class_names, ["3", "7", "255"]);
        assert!(parts.notices[0].contains("no image of the label 7"), "{:?}", parts.notices);
        assert!(parts.notices[1].contains("3 from 3 to 255, were numbered 0 to 2"), "{:?}", parts.notices);
    }

    #[test]
    fn one_class_and_classes_of_the_test_set_alone_are_refused() {
        let message = number(labelled(&[4, 4]), None, Vec::new()).unwrap_err().to_string();
        assert!(message.contains("label 4") && message.contains("two or more classes"), "{message}");
        let message = number(labelled(&[0, 1]), Some(labelled(&[1, 9])), Vec::new()).unwrap_err().to_string();
        assert!(message.contains("label 9"), "{message}");
    }
}
