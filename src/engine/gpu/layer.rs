//! One layer over a batch of replicas, whatever its kind: its kernels, bound to the arrays around it.

use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::dense::Input;
use crate::kernels::{Bound, ParameterOffsets, StepRecord, conv2d, dense, max_pool2d};
use crate::network::{ConvLayer, DenseLayer, Layer, ParameterLayout};

/// A layer with the arrays that its forward and its backward pass share.
pub(super) struct LayerBinder<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) workgroup_size: u32,
    pub(super) replicas: usize,
    /// Samples that each replica has room for.
    pub(super) capacity: usize,
    pub(super) steps: &'a Buffer<StepRecord>,
    pub(super) parameters: &'a Buffer<f32>,
    pub(super) layer: Layer,
    pub(super) place: ParameterOffsets,
    pub(super) input: Input<'a>,
    /// Codes of where pooling found each value, where the layer pools.
    pub(super) argmax: Option<&'a Buffer<u32>>,
}

/// Where layer `layer`, counted from the image, lies in the flat parameter buffer.
pub(super) fn place(layout: &ParameterLayout, layer: usize) -> ParameterOffsets {
    let [weights, bias] = Layer::tensors(layout, layer).map(|tensor| tensor.offset);
    ParameterOffsets { parameters: layout.parameters(), weights, bias }
}

/// Words of [`LayerBinder::argmax`] for so many samples.
pub(super) fn argmax_words(layer: &Layer, samples: usize) -> Option<usize> {
    let Layer::Convolution(ConvLayer { height, width, outputs: channels, pool: true, .. }) = *layer else {
        return None;
    };
    Some(max_pool2d::argmax_len(max_pool2d::Shape { replicas: 1, capacity: samples, height, width, channels }))
}

impl LayerBinder<'_> {
    fn dense(&self, layer: DenseLayer) -> dense::Shape {
        let DenseLayer { inputs, outputs, .. } = layer;
        dense::Shape { replicas: self.replicas, capacity: self.capacity, inputs, outputs }
    }

    fn convolution(&self, layer: ConvLayer) -> conv2d::Shape {
        let ConvLayer { height, width, inputs, outputs, .. } = layer;
        conv2d::Shape { replicas: self.replicas, capacity: self.capacity, height, width, inputs, outputs }
    }

    /// Binds the forward pass, which writes `output`.
    pub(super) fn forward(&self, output: &Buffer<f32>) -> Result<Bound> {
        let Self { gpu, workgroup_size: size, steps, parameters, place, input, argmax, .. } = *self;
        match self.layer {
            Layer::Dense(layer) => {
                let (shape, relu) = (self.dense(layer), layer.relu);
                let arguments = dense::ForwardArguments { shape, place, relu, steps, input, parameters, output };
                dense::Forward::new(size).bind(gpu, &arguments)
            }
            Layer::Convolution(layer) => {
                let shape = self.convolution(layer);
                let arguments = conv2d::ForwardArguments { shape, place, steps, input, parameters, output, argmax };
                conv2d::Forward::new(size).bind(gpu, &arguments)
            }
        }
    }

    /// Binds the gradient of weights and bias, written at their place in `gradient`.
    pub(super) fn backward_weights(&self, output_gradient: &Buffer<f32>, gradient: &Buffer<f32>) -> Result<Bound> {
        let Self { gpu, workgroup_size: size, steps, place, input, argmax, .. } = *self;
        match self.layer {
            Layer::Dense(layer) => {
                let shape = self.dense(layer);
                let arguments =
                    dense::BackwardWeightsArguments { shape, place, steps, input, output_gradient, gradient };
                dense::BackwardWeights::new(size).bind(gpu, &arguments)
            }
            Layer::Convolution(layer) => {
                let shape = self.convolution(layer);
                let arguments =
                    conv2d::BackwardWeightsArguments { shape, place, steps, input, output_gradient, argmax, gradient };
                conv2d::BackwardWeights::new(size).bind(gpu, &arguments)
            }
        }
    }

    /// Binds the gradient of `input`, which the layer before produced.
    pub(super) fn backward_input(
        &self,
        output_gradient: &Buffer<f32>,
        input: &Buffer<f32>,
        input_gradient: &Buffer<f32>,
    ) -> Result<Bound> {
        let Self { gpu, workgroup_size: size, steps, parameters, place, argmax, .. } = *self;
        match self.layer {
            Layer::Dense(layer) => {
                let shape = self.dense(layer);
                let arguments = dense::BackwardInputArguments {
                    shape,
                    place,
                    steps,
                    output_gradient,
                    parameters,
                    input,
                    input_gradient,
                };
                dense::BackwardInput::new(size).bind(gpu, &arguments)
            }
            Layer::Convolution(layer) => {
                let shape = self.convolution(layer);
                let arguments = conv2d::BackwardInputArguments {
                    shape,
                    place,
                    steps,
                    output_gradient,
                    argmax,
                    parameters,
                    input,
                    input_gradient,
                };
                conv2d::BackwardInput::new(size).bind(gpu, &arguments)
            }
        }
    }
}
