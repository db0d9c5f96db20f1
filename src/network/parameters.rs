//! Where each tensor of a network lies in the one flat parameter vector of a replica.

use super::Architecture;
use std::ops::Range;

/// One tensor: a weight matrix or a bias vector, a slice of the flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in files, e.g. `conv0.weight` or `dense5.bias`.
    pub name: String,
    /// First parameter.
    pub offset: usize,
    /// Sizes of the axes: `[in, out]` for a weight matrix, `[ky, kx, in, out]` for the weights of a convolution, `[out]` for
    /// a bias.
    pub shape: Vec<usize>,
    /// Number of inputs that feed one unit, for weights; `None` for biases, which start at 0.
    pub fan_in: Option<usize>,
}

impl Tensor {
    /// The layer that it belongs to: its name before the dot.
    pub fn layer(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the flat parameter vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// All tensors of a network in order: weight and bias of each layer from the image to the logits. A network without biases has
/// places for them too, so that every layout is read in the same way; see [`Self::stored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    /// The tensors, one after the other, without gaps.
    pub tensors: Vec<Tensor>,
    convolutions: usize,
    focus: usize,
    bias: bool,
}

impl ParameterLayout {
    /// The layout of `architecture`.
    pub fn new(architecture: &Architecture) -> Self {
        let mut tensors = Vec::new();
        let mut offset = 0;
        let mut push = |name: String, shape: Vec<usize>, fan_in| {
            let tensor = Tensor { name, offset, shape, fan_in };
            offset += tensor.len();
            tensors.push(tensor);
        };
        for (index, layer) in architecture.conv_layers().iter().enumerate() {
            let shape = vec![3, 3, layer.inputs, layer.outputs];
            push(format!("conv{index}.weight"), shape, Some(9 * layer.inputs));
            push(format!("conv{index}.bias"), vec![layer.outputs], None);
        }
        for (index, layer) in architecture.dense_layers().iter().enumerate() {
            push(format!("dense{index}.weight"), vec![layer.inputs, layer.outputs], Some(layer.inputs));
            push(format!("dense{index}.bias"), vec![layer.outputs], None);
        }
        let convolutions = architecture.convolutions.len();
        Self { tensors, convolutions, focus: 2 * (convolutions + architecture.focus_layer()), bias: architecture.bias }
    }

    /// The tensors that the network has, which are those of its files: all, or the weights of a network without biases.
    pub fn stored(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| self.bias || tensor.fan_in.is_some())
    }

    /// The places of biases that the network has not; they hold 0 for ever.
    pub fn missing(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().filter(|tensor| !self.bias && tensor.fan_in.is_none())
    }

    /// Length of the flat parameter vector of one replica, with a place for each bias whether the network has it or not.
    pub fn parameters(&self) -> usize {
        self.tensors.last().map_or(0, |tensor| tensor.range().end)
    }

    /// Number of weights of one replica, biases apart.
    pub fn weights(&self) -> usize {
        self.tensors.iter().filter(|tensor| tensor.fan_in.is_some()).map(Tensor::len).sum()
    }

    /// Weights of convolution `index`.
    pub fn conv_weight(&self, index: usize) -> &Tensor {
        &self.tensors[2 * index]
    }

    /// Bias of convolution `index`.
    pub fn conv_bias(&self, index: usize) -> &Tensor {
        &self.tensors[2 * index + 1]
    }

    /// Weights of dense layer `index`.
    pub fn dense_weight(&self, index: usize) -> &Tensor {
        &self.tensors[2 * (self.convolutions + index)]
    }

    /// Bias of dense layer `index`.
    pub fn dense_bias(&self, index: usize) -> &Tensor {
        &self.tensors[2 * (self.convolutions + index) + 1]
    }

    /// Weights of the focus layer: the weights.
    pub fn focus_weight(&self) -> &Tensor {
        &self.tensors[self.focus]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_follow_each_other_without_gaps() {
        let architecture = Architecture::dnn(28, 28, [30; 6], 10);
        let layout = ParameterLayout::new(&architecture);
        let mut end = 0;
        for tensor in &layout.tensors {
            assert_eq!(tensor.offset, end, "{}", tensor.name);
            end = tensor.range().end;
        }
        assert_eq!(layout.parameters(), 28_510);
        assert_eq!(layout.focus_weight().name, "dense5.weight");
        assert_eq!(layout.dense_bias(6).shape, [10]);
        let convolutions = Architecture::paper_convolutions(8);
        let layout = ParameterLayout::new(&Architecture { convolutions, ..architecture });
        assert_eq!(layout.tensors[2].name, "conv1.weight");
        assert_eq!(
            (layout.conv_weight(1).shape.as_slice(), layout.conv_weight(1).fan_in),
            ([3, 3, 8, 8].as_slice(), Some(72))
        );
        assert_eq!(
            (layout.dense_weight(0).offset, layout.focus_weight().name.as_str()),
            (80 + 3 * 584, "dense5.weight")
        );
    }

    #[test]
    fn a_network_without_biases_has_their_places_but_does_not_store_them() {
        let with = Architecture::dnn(3, 3, [4, 5], 2);
        let layout = ParameterLayout::new(&Architecture { bias: false, ..with.clone() });
        assert_eq!(layout.parameters(), ParameterLayout::new(&with).parameters());
        let names = |tensors: Vec<&Tensor>| tensors.iter().map(|tensor| tensor.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(layout.stored().collect()), ["dense0.weight", "dense1.weight", "dense2.weight"]);
        assert_eq!(names(layout.missing().collect()), ["dense0.bias", "dense1.bias", "dense2.bias"]);
        assert_eq!(layout.stored().map(Tensor::len).sum::<usize>(), layout.weights());
        let layout = ParameterLayout::new(&with);
        assert_eq!((layout.stored().count(), layout.missing().count()), (6, 0));
    }
}
