//! What a comparison is of, and what its arithmetic alone predicts.

use crate::network::Architecture;
use serde::{Deserialize, Serialize};

/// What was compared: one model on one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data_set: String,
    /// The network.
    pub architecture: Architecture,
    /// Number of training runs.
    pub replicates: u32,
    /// Epochs that the networks were trained for that are pruned without retraining.
    pub epochs: u32,
    /// Epochs that exponential decay trains for each target.
    pub baseline_epochs: u32,
    /// Images of the training set.
    pub training_images: usize,
    /// Images of the test set.
    pub test_images: usize,
}

impl Workload {
    /// How many times dearer one point of exponential decay is than evaluating one mask if only multiply-adds count.
    ///
    /// A point of exponential decay: all steps of its epochs (forward, weight gradients and input gradients, without the input gradient of
    /// the first layer, which nobody needs; Adam not counted) and one forward pass of the test set through the whole
    /// network. A mask: the focus and the output layer on the test set, since all before them is shared.
    pub fn arithmetic_ratio(&self) -> f64 {
        let trained = self.training_images as f64 * f64::from(self.baseline_epochs);
        let training = self.architecture.step_flops(1) * trained;
        let test_pass = 2.0 * self.architecture.forward_multiply_adds() as f64 * self.test_images as f64;
        let layers = self.architecture.dense_layers();
        let behind: usize =
            layers[self.architecture.focus_layer()..].iter().map(|layer| layer.inputs * layer.outputs).sum();
        (training + test_pass) / (2.0 * behind as f64 * self.test_images as f64)
    }

    /// Number of points below which the epochs of training alone cost more than those of exponential decay.
    pub fn epoch_ratio(&self) -> f64 {
        f64::from(self.epochs) / f64::from(self.baseline_epochs)
    }
}

#[cfg(test)]
impl Workload {
    /// The paper's fully connected network on MNIST.
    pub(crate) fn of_the_paper() -> Self {
        Self {
            model: "dnn".into(),
            data_set: "mnist".into(),
            architecture: Architecture::dnn(28, 28, [30; 6], 10),
            replicates: 5,
            epochs: 100,
            baseline_epochs: 3,
            training_images: 60_000,
            test_images: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_predicts_945_for_the_papers_sizes() {
        // By hand: (60,000 x 3 x 61,440 + 10,000 x 28,320) / (10,000 x 1,200) multiply-adds.
        let ratio = Workload::of_the_paper().arithmetic_ratio();
        assert!((ratio - 945.2).abs() < 1e-9, "{ratio}");
    }
}
