//! The list of layers of a network.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A fully connected network: image -> flatten -> `depth` hidden dense layers of `width` units with ReLU -> a dense
/// layer of `classes` units with softmax. The paper's has six hidden layers of 30 units (paper, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Architecture {
    /// Rows of an image, in pixels.
    pub image_height: usize,
    /// Columns of an image, in pixels.
    pub image_width: usize,
    /// Units of each hidden dense layer.
    pub width: usize,
    /// Number of hidden dense layers; the last of them is the focus layer.
    pub depth: usize,
    /// Units of the output layer, one for each class.
    pub classes: usize,
}

/// One dense layer: `output = activation(input x weights + bias)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseLayer {
    /// Features of one sample that come in.
    pub inputs: usize,
    /// Units, and so features that go out.
    pub outputs: usize,
    /// Whether a ReLU follows; only the output layer has none.
    pub relu: bool,
}

impl Architecture {
    /// Checks the sizes: `width >= 1`, `depth >= 2` (the focus layer needs a hidden layer before it), 2 to 256 classes,
    /// at least one pixel.
    pub fn validate(&self) -> Result<()> {
        if self.depth < 2 {
            return Err(Error::Usage(format!(
                "depth {} leaves no hidden layer before the focus layer; use --depth 2 or more",
                self.depth
            )));
        }
        if self.width == 0 {
            return Err(Error::Usage("a layer of width 0 has no weights; use --width 1 or more".into()));
        }
        if !(2..=256).contains(&self.classes) {
            return Err(Error::Data(format!(
                "{} classes found; a classifier needs 2 to 256, check the labels",
                self.classes
            )));
        }
        if self.pixels() == 0 {
            return Err(Error::Data("the images have no pixels".into()));
        }
        Ok(())
    }

    /// Pixels of one image.
    pub fn pixels(&self) -> usize {
        self.image_height * self.image_width
    }

    /// All dense layers from the image to the logits; the first reads pixels.
    pub fn dense_layers(&self) -> Vec<DenseLayer> {
        let mut layers = vec![DenseLayer { inputs: self.pixels(), outputs: self.width, relu: true }];
        layers.resize(self.depth, DenseLayer { inputs: self.width, outputs: self.width, relu: true });
        layers.push(DenseLayer { inputs: self.width, outputs: self.classes, relu: false });
        layers
    }

    /// Position of the focus layer (the last hidden one) in [`Self::dense_layers`].
    pub fn focus_layer(&self) -> usize {
        self.depth - 1
    }

    /// Number of nodes: weights of the focus layer, without biases.
    pub fn nodes(&self) -> usize {
        self.width * self.width
    }

    /// Floating-point operations of one training step of `samples` samples: two for each multiply-add of the forward
    /// pass, the weight gradients and the input gradients (the first layer has none); Adam is not counted.
    pub fn step_flops(&self, samples: usize) -> f64 {
        let layers = self.dense_layers();
        let multiply_adds: usize = layers
            .iter()
            .enumerate()
            .map(|(index, layer)| layer.inputs * layer.outputs * if index == 0 { 2 } else { 3 })
            .sum();
        2.0 * (multiply_adds * samples) as f64
    }

    /// Multiply-adds of classifying one image.
    pub fn forward_multiply_adds(&self) -> usize {
        self.dense_layers().iter().map(|layer| layer.inputs * layer.outputs).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Architecture = Architecture { image_height: 28, image_width: 28, width: 30, depth: 6, classes: 10 };

    #[test]
    fn the_papers_network_has_seven_dense_layers_and_900_nodes() {
        let layers = PAPER.dense_layers();
        assert_eq!(layers.len(), 7);
        assert_eq!((layers[0].inputs, layers[0].outputs), (784, 30));
        assert_eq!((layers[6].inputs, layers[6].outputs, layers[6].relu), (30, 10, false));
        assert_eq!((PAPER.focus_layer(), PAPER.nodes()), (5, 900));
    }

    #[test]
    fn a_step_of_32_samples_costs_3_93_million_operations() {
        assert!((PAPER.step_flops(32) / 3.93e6 - 1.0).abs() < 2e-3, "{}", PAPER.step_flops(32));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(Architecture { depth: 1, ..PAPER }.validate().is_err());
        assert!(Architecture { width: 0, ..PAPER }.validate().is_err());
        assert!(Architecture { classes: 257, ..PAPER }.validate().is_err());
        assert!(Architecture { classes: 1, ..PAPER }.validate().is_err());
        assert!(PAPER.validate().is_ok());
    }
}
