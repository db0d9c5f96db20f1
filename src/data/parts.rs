//! What the readers of a set hand over.

use super::Dataset;

/// What was read: a training set, a test set if there is one, and what the user should know.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) training: Dataset,
    pub(super) test: Option<Dataset>,
    /// Names of the classes, in their order.
    pub(super) class_names: Vec<String>,
    pub(super) notices: Vec<String>,
}
