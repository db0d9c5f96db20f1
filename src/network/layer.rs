//! One layer with weights, whatever its kind: what code that walks through a network front to back goes by.

use super::{Architecture, ConvLayer, DenseLayer, ParameterLayout, Part, Tensor};

/// A convolution or a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// 3 x 3, with ReLU, and with pooling behind it where the layer says so.
    Convolution(ConvLayer),
    /// With ReLU, but for the output layer.
    Dense(DenseLayer),
}

impl Layer {
    /// All layers of a network from the image to the logits. Layer `l` has tensors `2 l` (weights) and `2 l + 1` (bias) of
    /// [`ParameterLayout::tensors`], see [`Self::tensors`].
    pub fn all(architecture: &Architecture) -> Vec<Self> {
        let convolutions = architecture.conv_layers().into_iter().map(Self::Convolution);
        convolutions.chain(architecture.dense_layers().into_iter().map(Self::Dense)).collect()
    }

    /// Weights and bias of layer `layer`, counted from the image.
    pub fn tensors(layout: &ParameterLayout, layer: usize) -> [&Tensor; 2] {
        [&layout.tensors[2 * layer], &layout.tensors[2 * layer + 1]]
    }

    /// Which layer, counted from the image, a part of a selection belongs to.
    pub fn of_part(layout: &ParameterLayout, part: &Part) -> usize {
        // Each layer has two tensors; a part of another network would be behind them all.
        layout.tensors.iter().position(|tensor| tensor.offset == part.range.start).unwrap_or(layout.tensors.len()) / 2
    }

    /// Weights of one unit: of a convolution nine for each channel that comes in.
    pub fn inputs(&self) -> usize {
        match self {
            Self::Convolution(layer) => 9 * layer.inputs,
            Self::Dense(layer) => layer.inputs,
        }
    }

    /// Units: of a convolution its filters.
    pub fn units(&self) -> usize {
        match self {
            Self::Convolution(layer) => layer.outputs,
            Self::Dense(layer) => layer.outputs,
        }
    }

    /// Values of one image that come in.
    pub fn input_len(&self) -> usize {
        match self {
            Self::Convolution(layer) => layer.input_len(),
            Self::Dense(layer) => layer.inputs,
        }
    }

    /// Values of one image that go on to the next layer.
    pub fn output_len(&self) -> usize {
        match self {
            Self::Convolution(layer) => layer.output_len(),
            Self::Dense(layer) => layer.outputs,
        }
    }

    /// Rows of one image: how often a unit looks at it. Of a convolution its positions, before pooling.
    pub fn rows(&self) -> usize {
        match self {
            Self::Convolution(layer) => layer.height * layer.width,
            Self::Dense(_) => 1,
        }
    }
}
