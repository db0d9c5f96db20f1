//! `conv2d.*`: convolutions of 3 x 3 with padding that keeps the size, bias and ReLU, forward and backward, on activations
//! `[replica, sample, y, x, channel]`. With an `argmax` they pool 2 x 2 in the same launch.

pub(super) mod backward;
mod forward;

pub use super::images::Input;
pub use backward::{BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments};
pub use forward::{Forward, ForwardArguments};

use super::max_pool2d::{self, argmax_len};
use super::{Bound, ParameterOffsets, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Cost, Shader, parameters};

shader!(FORWARD = "conv2d", "forward";
    with "step" "convolution" "convolution_channels" "convolution_tile" "convolution_pixels" "grid" "relu"; Params;
    read params, record step, read input, read parameters, write output; "WORKGROUP_SIZE");

shader!(FORWARD_IMAGES = "conv2d", "forward_images";
    with "step" "convolution" "convolution_channels" "convolution_tile" "grid" "relu"; Params;
    read params, record step, read order.indexing, read images, read parameters, write output; "WORKGROUP_SIZE");

shader!(FORWARD_POOL = "conv2d", "forward_pool";
    with "step" "convolution" "convolution_channels" "convolution_strip" "grid" "relu" "pooling" "pooled_strip"; Params;
    read params, record step, read input, read parameters, write output, write argmax; "WORKGROUP_SIZE");

shader!(FORWARD_POOL_IMAGES = "conv2d", "forward_pool_images";
    with "step" "convolution" "convolution_channels" "convolution_strip" "grid" "relu" "pooling" "pooled_strip"; Params;
    read params, record step, read order.indexing, read images, read parameters, write output, write argmax;
    "WORKGROUP_SIZE");

shader!(BACKWARD_INPUT = "conv2d", "backward_input";
    with "step" "convolution" "convolution_channels" "convolution_tile" "convolution_pixels" "grid" "relu"; Params;
    read params, record step, read output_gradient, read parameters, read input, write input_gradient;
    "WORKGROUP_SIZE");

shader!(BACKWARD_INPUT_POOL = "conv2d", "backward_input_pool";
    with "step" "convolution" "convolution_channels" "convolution_strip" "grid" "relu"; Params;
    read params, record step, read output_gradient, read argmax, read parameters, read input, write input_gradient;
    "WORKGROUP_SIZE");

shader!(BACKWARD_WEIGHTS = "conv2d", "backward_weights"; with "step" "convolution" "weight_tile"; Params;
    read params, record step, read input, read output_gradient, write gradient; "TILES");

shader!(BACKWARD_WEIGHTS_IMAGES = "conv2d", "backward_weights_images"; with "step" "convolution" "weight_tile"; Params;
    read params, record step, read order.indexing, read images, read output_gradient, write gradient; "TILES");

shader!(BACKWARD_WEIGHTS_POOL = "conv2d", "backward_weights_pool"; with "step" "convolution" "weight_tile"; Params;
    read params, record step, read input, read output_gradient, read argmax, write gradient; "TILES");

shader!(BACKWARD_WEIGHTS_POOL_IMAGES = "conv2d", "backward_weights_pool_images";
    with "step" "convolution" "weight_tile"; Params;
    read params, record step, read order.indexing, read images, read output_gradient, read argmax, write gradient;
    "TILES");

shader!(NAIVE = "conv2d", "naive"; with "step" "convolution" "grid"; as FORWARD);

shader!(NAIVE_BACKWARD_INPUT = "conv2d", "naive_backward_input"; with "step" "convolution" "grid"; as BACKWARD_INPUT);

shader!(NAIVE_BACKWARD_WEIGHTS = "conv2d", "naive_backward_weights"; with "step" "convolution" "grid";
    as BACKWARD_WEIGHTS ["WORKGROUP_SIZE"]);

parameters! {
    struct Params {
        height: u32,
        width: u32,
        inputs: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
        scale: f32,
    }
}

/// Sizes of a convolution over a batch of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Rows that come in; half of them, rounded down, go out where it pools.
    pub height: usize,
    /// Columns that come in; half of them, rounded down, go out where it pools.
    pub width: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
}

impl Shape {
    fn check(&self, kernel: &str) -> Result<()> {
        let Self { replicas, capacity, height, width, inputs, outputs } = *self;
        let sizes = [
            ("replicas", replicas),
            ("capacity", capacity),
            ("height", height),
            ("width", width),
            ("inputs", inputs),
            ("outputs", outputs),
        ];
        require_positive(kernel, &sizes)
    }

    fn batch(&self) -> [usize; 2] {
        [self.replicas, self.capacity]
    }

    fn samples(&self) -> usize {
        self.replicas * self.capacity
    }

    /// Elements of what comes in.
    fn input_len(&self) -> usize {
        self.samples() * self.height * self.width * self.inputs
    }

    /// Elements of what goes out.
    fn output_len(&self, pools: bool) -> usize {
        let pixels = if pools { self.height / 2 * (self.width / 2) } else { self.height * self.width };
        self.samples() * pixels * self.outputs
    }

    /// What a pass over all pixels before pooling costs: weights or their gradient are touched once, and `others` words of
    /// activations.
    fn cost(&self, others: usize) -> Cost {
        let Self { replicas, height, width, inputs, outputs, .. } = *self;
        let multiply_adds = 9 * self.samples() * height * width * inputs * outputs;
        Cost::new(multiply_adds, replicas * (9 * inputs + 1) * outputs + others)
    }

    /// Words of what goes out, with the codes that say where each maximum was.
    fn output_words(&self, pools: bool) -> usize {
        self.output_len(pools) + if pools { argmax_len(self.pool()) } else { 0 }
    }

    fn pool(&self) -> max_pool2d::Shape {
        let Self { replicas, capacity, height, width, outputs: channels, .. } = *self;
        max_pool2d::Shape { replicas, capacity, height, width, channels }
    }

    /// Elements that a flat parameter or gradient buffer needs for the layer at `place`.
    fn parameters(&self, place: ParameterOffsets) -> usize {
        let end = (place.weights + 9 * self.inputs * self.outputs).max(place.bias + self.outputs);
        (self.replicas - 1) * place.parameters + end
    }

    /// Params of a layer at `place`; pixels of images are multiplied by `scale`.
    fn params(&self, place: ParameterOffsets, scale: f32) -> Params {
        let Self { height, width, inputs, outputs, capacity, .. } = *self;
        let ParameterOffsets { parameters, weights, bias } = place;
        params!(; Params { height, width, inputs, outputs, capacity, parameters, weights, bias, scale })
    }

    /// Checks a word of codes for each four pooled pixels x four channels.
    fn check_argmax(&self, kernel: &str, argmax: Option<&Buffer<u32>>) -> Result<()> {
        let Some(argmax) = argmax else { return Ok(()) };
        require_positive(kernel, &[("pooled rows", self.height / 2), ("pooled columns", self.width / 2)])?;
        require(kernel, "argmax", argmax, argmax_len(self.pool()))
    }
}

/// Fails unless the input is there, and images are as the weights read them.
fn check_input(kernel: &str, input: &Input<'_>, shape: Shape) -> Result<()> {
    input.require(kernel, shape.input_len())?;
    match input {
        Input::Images(images)
            if (images.shape.height, images.shape.width, 1) != (shape.height, shape.width, shape.inputs) =>
        {
            Err(Error::Shape(format!(
                "{kernel}: images of {} x {} with one channel, weights read {} x {} with {}",
                images.shape.height, images.shape.width, shape.height, shape.width, shape.inputs
            )))
        }
        _ => Ok(()),
    }
}

fn refuse_naive(name: &str) -> Result<Bound> {
    Err(Error::Shape(format!("{name}: it reads features, and does not pool")))
}
