//! `dense.*`: fully connected layers, forward and backward, on activations `[replica, sample, unit]`.

pub use super::images::{ImageShape, Images};

use super::{Bound, ParameterOffsets, StepRecord, grid, read, record, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{BoundKernel, Buffer, Cost, Gpu, Kernel, Shader, parameters};
use std::sync::Arc;

/// `shaders/dense/forward.wgsl`
pub static FORWARD: Shader = Shader {
    name: "dense.forward",
    source: source!("grid", "step", "relu" => "dense/forward"),
    bindings: &[read("params"), record("step"), read("input"), read("parameters"), write("output")],
    parameters: Some(ForwardParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/forward_images.wgsl`
pub static FORWARD_IMAGES: Shader = Shader {
    name: "dense.forward_images",
    source: source!("grid", "step", "relu" => "dense/forward_images"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("parameters"),
        write("output"),
    ],
    parameters: Some(ForwardImagesParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/backward_input.wgsl`
pub static BACKWARD_INPUT: Shader = Shader {
    name: "dense.backward_input",
    source: source!("grid", "step", "relu" => "dense/backward_input"),
    bindings: &[
        read("params"),
        record("step"),
        read("output_gradient"),
        read("parameters"),
        read("input"),
        write("input_gradient"),
    ],
    parameters: Some(BackwardInputParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/backward_weights.wgsl`
pub static BACKWARD_WEIGHTS: Shader = Shader {
    name: "dense.backward_weights",
    source: source!("grid", "step" => "dense/backward_weights"),
    bindings: &[read("params"), record("step"), read("input"), read("output_gradient"), write("gradient")],
    parameters: Some(BackwardWeightsParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/backward_weights_images.wgsl`
pub static BACKWARD_WEIGHTS_IMAGES: Shader = Shader {
    name: "dense.backward_weights_images",
    source: source!("grid", "step" => "dense/backward_weights_images"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("output_gradient"),
        write("gradient"),
    ],
    parameters: Some(BackwardWeightsImagesParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/naive.wgsl`
pub static NAIVE: Shader = Shader { name: "dense.naive", source: source!("grid", "step" => "dense/naive"), ..FORWARD };

/// `shaders/dense/naive_backward_input.wgsl`
pub static NAIVE_BACKWARD_INPUT: Shader = Shader {
    name: "dense.naive_backward_input",
    source: source!("grid", "step" => "dense/naive_backward_input"),
    ..BACKWARD_INPUT
};

/// `shaders/dense/naive_backward_weights.wgsl`
pub static NAIVE_BACKWARD_WEIGHTS: Shader = Shader {
    name: "dense.naive_backward_weights",
    source: source!("grid", "step" => "dense/naive_backward_weights"),
    ..BACKWARD_WEIGHTS
};

parameters! {
    struct ForwardParams {
        inputs: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
        relu: u32,
    }
}

parameters! {
    struct ForwardImagesParams {
        height: u32,
        width: u32,
        row_words: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
        relu: u32,
        scale: f32,
    }
}

parameters! {
    struct BackwardInputParams {
        inputs: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
    }
}

parameters! {
    struct BackwardWeightsParams {
        inputs: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
    }
}

parameters! {
    struct BackwardWeightsImagesParams {
        height: u32,
        width: u32,
        row_words: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
        scale: f32,
    }
}

/// Sizes of a dense layer over a batch of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Features that come in.
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
}

impl Shape {
    fn check(&self, kernel: &str) -> Result<()> {
        let Self { replicas, capacity, inputs, outputs } = *self;
        let sizes = [("replicas", replicas), ("capacity", capacity), ("inputs", inputs), ("outputs", outputs)];
        require_positive(kernel, &sizes)
    }

    /// Elements of an activation or gradient with `units` features.
    fn activations(&self, units: usize) -> usize {
        self.replicas * self.capacity * units
    }

    /// What a product over all of these sizes costs: weights or their gradient are touched once, and `others` words of
    /// activations.
    fn cost(&self, others: usize) -> Cost {
        let Self { replicas, inputs, outputs, .. } = *self;
        Cost::new(self.activations(inputs * outputs), replicas * (inputs + 1) * outputs + others)
    }

    /// Elements that a flat parameter or gradient buffer needs for the layer at `place`.
    fn parameters(&self, place: ParameterOffsets) -> usize {
        let end = (place.weights + self.inputs * self.outputs).max(place.bias + self.outputs);
        (self.replicas - 1) * place.parameters + end
    }
}

/// Arrays of [`Forward`].
pub struct ForwardArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where weights and bias lie in `parameters`.
    pub place: ParameterOffsets,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, in]`
    pub input: &'a Buffer<f32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, out]`, written.
    pub output: &'a Buffer<f32>,
}

/// Arrays of [`ForwardImages`].
pub struct ForwardImagesArguments<'a> {
    /// Sizes; `inputs` are the pixels of an image.
    pub shape: Shape,
    /// Where weights and bias lie in `parameters`.
    pub place: ParameterOffsets,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// What the layer reads.
    pub images: Images<'a>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, out]`, written.
    pub output: &'a Buffer<f32>,
}

/// Arrays of [`BackwardInput`].
pub struct BackwardInputArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where the weights lie in `parameters`.
    pub place: ParameterOffsets,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, out]`
    pub output_gradient: &'a Buffer<f32>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, in]`, what the layer before produced after its ReLU.
    pub input: &'a Buffer<f32>,
    /// `[replica, sample, in]`, written.
    pub input_gradient: &'a Buffer<f32>,
}

/// Arrays of [`BackwardWeights`].
pub struct BackwardWeightsArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where weights and bias lie in `gradient`.
    pub place: ParameterOffsets,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, in]`
    pub input: &'a Buffer<f32>,
    /// `[replica, sample, out]`
    pub output_gradient: &'a Buffer<f32>,
    /// `[replica, parameter]`, written at the layer's place.
    pub gradient: &'a Buffer<f32>,
}

/// Arrays of [`BackwardWeightsImages`].
pub struct BackwardWeightsImagesArguments<'a> {
    /// Sizes; `inputs` are the pixels of an image.
    pub shape: Shape,
    /// Where weights and bias lie in `gradient`.
    pub place: ParameterOffsets,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// What the layer read.
    pub images: Images<'a>,
    /// `[replica, sample, out]`
    pub output_gradient: &'a Buffer<f32>,
    /// `[replica, parameter]`, written at the layer's place.
    pub gradient: &'a Buffer<f32>,
}

fn compile(gpu: &Gpu, shader: &'static Shader, workgroup_size: u32) -> Result<Arc<Kernel>> {
    Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", workgroup_size)])
}

fn check_images(kernel: &str, images: &Images<'_>, shape: Shape) -> Result<()> {
    require(kernel, "images", images.images, images.shape.words())?;
    require(kernel, "order", images.order, 1)?;
    let pixels = images.shape.height * images.shape.width;
    if pixels != shape.inputs {
        return Err(crate::error::Error::Shape(format!(
            "{kernel}: images of {} x {} have {pixels} pixels, weights read {}",
            images.shape.height, images.shape.width, shape.inputs
        )));
    }
    Ok(())
}

/// `output[n, k] = activation(bias[k] + sum_i input[n, i] * weights[i, k])`.
pub struct Forward(Arc<Kernel>);

impl Forward {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &FORWARD, workgroup_size).map(Self)
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &NAIVE, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardArguments<'_>) -> Result<Bound> {
        let (name, shape, place) = (self.0.name(), arguments.shape, arguments.place);
        shape.check(name)?;
        require(name, "input", arguments.input, shape.activations(shape.inputs))?;
        require(name, "parameters", arguments.parameters, shape.parameters(place))?;
        require(name, "output", arguments.output, shape.activations(shape.outputs))?;
        gpu.check_iterations(name, shape.inputs)?;
        let params = ForwardParams {
            inputs: shape.inputs as u32,
            outputs: shape.outputs as u32,
            capacity: shape.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
            bias: place.bias as u32,
            relu: u32::from(arguments.relu),
        };
        let params = Buffer::from_slice(gpu, "dense.forward params", &[params])?;
        let ForwardArguments { steps, input, parameters, output, .. } = *arguments;
        let kernel = self.0.bind(gpu, &[&params, steps, input, parameters, output])?;
        let kernel = kernel.costing(shape.cost(shape.activations(shape.inputs + shape.outputs)));
        Ok(sample_tiles(self.0.workgroup_size(), kernel, shape, shape.outputs, if name == NAIVE.name { 1 } else { 4 }))
    }
}

/// Tiles of `side` samples x `side` of `units`.
fn sample_tiles(workgroup_size: u32, kernel: BoundKernel, shape: Shape, units: usize, side: usize) -> Bound {
    let tiles = move |samples: usize| samples.div_ceil(side) * units.div_ceil(side);
    let grid = move |samples| grid(tiles(samples), workgroup_size, shape.replicas);
    Bound::new(kernel, shape.capacity, grid)
}

/// [`Forward`] on images, gathered by index and widened in the kernel.
pub struct ForwardImages(Arc<Kernel>);

impl ForwardImages {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &FORWARD_IMAGES, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardImagesArguments<'_>) -> Result<Bound> {
        let (name, shape, place) = (self.0.name(), arguments.shape, arguments.place);
        let images = &arguments.images;
        shape.check(name)?;
        check_images(name, images, shape)?;
        require(name, "parameters", arguments.parameters, shape.parameters(place))?;
        require(name, "output", arguments.output, shape.activations(shape.outputs))?;
        gpu.check_iterations(name, images.shape.height * (images.shape.row_words() + 1))?;
        let params = ForwardImagesParams {
            height: images.shape.height as u32,
            width: images.shape.width as u32,
            row_words: images.shape.row_words() as u32,
            outputs: shape.outputs as u32,
            capacity: shape.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
            bias: place.bias as u32,
            relu: u32::from(arguments.relu),
            scale: images.scale,
        };
        let params = Buffer::from_slice(gpu, "dense.forward_images params", &[params])?;
        let ForwardImagesArguments { steps, parameters, output, .. } = *arguments;
        let kernel = self.0.bind(gpu, &[&params, steps, images.order, images.images, parameters, output])?;
        let kernel = kernel.costing(shape.cost(shape.activations(images.shape.words() + shape.outputs)));
        Ok(sample_tiles(self.0.workgroup_size(), kernel, shape, shape.outputs, 4))
    }
}

/// `input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k]` where `input[n, i] > 0`, else 0.
pub struct BackwardInput(Arc<Kernel>);

impl BackwardInput {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &BACKWARD_INPUT, workgroup_size).map(Self)
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &NAIVE_BACKWARD_INPUT, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardInputArguments<'_>) -> Result<Bound> {
        let (name, shape, place) = (self.0.name(), arguments.shape, arguments.place);
        shape.check(name)?;
        require(name, "output_gradient", arguments.output_gradient, shape.activations(shape.outputs))?;
        require(name, "parameters", arguments.parameters, shape.parameters(place))?;
        require(name, "input", arguments.input, shape.activations(shape.inputs))?;
        require(name, "input_gradient", arguments.input_gradient, shape.activations(shape.inputs))?;
        gpu.check_iterations(name, shape.outputs)?;
        let params = BackwardInputParams {
            inputs: shape.inputs as u32,
            outputs: shape.outputs as u32,
            capacity: shape.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
        };
        let params = Buffer::from_slice(gpu, "dense.backward_input params", &[params])?;
        let BackwardInputArguments { steps, output_gradient, parameters, input, input_gradient, .. } = *arguments;
        let kernel = self.0.bind(gpu, &[&params, steps, output_gradient, parameters, input, input_gradient])?;
        let kernel = kernel.costing(shape.cost(shape.activations(2 * shape.inputs + shape.outputs)));
        Ok(sample_tiles(
            self.0.workgroup_size(),
            kernel,
            shape,
            shape.inputs,
            if name == NAIVE_BACKWARD_INPUT.name { 1 } else { 4 },
        ))
    }
}

/// `weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k]` and the sum over samples for the bias.
pub struct BackwardWeights(Arc<Kernel>);

impl BackwardWeights {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &BACKWARD_WEIGHTS, workgroup_size).map(Self)
    }

    /// Compiles the naive kernel, which no engine uses.
    pub fn naive(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &NAIVE_BACKWARD_WEIGHTS, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsArguments<'_>) -> Result<Bound> {
        let (name, shape, place) = (self.0.name(), arguments.shape, arguments.place);
        shape.check(name)?;
        require(name, "input", arguments.input, shape.activations(shape.inputs))?;
        require(name, "output_gradient", arguments.output_gradient, shape.activations(shape.outputs))?;
        require(name, "gradient", arguments.gradient, shape.parameters(place))?;
        gpu.check_iterations(name, shape.capacity)?;
        let params = BackwardWeightsParams {
            inputs: shape.inputs as u32,
            outputs: shape.outputs as u32,
            capacity: shape.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
            bias: place.bias as u32,
        };
        let params = Buffer::from_slice(gpu, "dense.backward_weights params", &[params])?;
        let BackwardWeightsArguments { steps, input, output_gradient, gradient, .. } = *arguments;
        let kernel = self.0.bind(gpu, &[&params, steps, input, output_gradient, gradient])?;
        let kernel = kernel.costing(shape.cost(shape.activations(shape.inputs + shape.outputs)));
        let tiles = if name == NAIVE_BACKWARD_WEIGHTS.name {
            (shape.inputs + 1) * shape.outputs
        } else {
            shape.inputs.div_ceil(4) * shape.outputs.div_ceil(4)
        };
        let workgroups = grid(tiles, self.0.workgroup_size(), shape.replicas);
        Ok(Bound::new(kernel, shape.capacity, move |_| workgroups))
    }
}

/// [`BackwardWeights`] on images, gathered by index and widened in the kernel.
pub struct BackwardWeightsImages(Arc<Kernel>);

impl BackwardWeightsImages {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &BACKWARD_WEIGHTS_IMAGES, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsImagesArguments<'_>) -> Result<Bound> {
        let (name, shape, place) = (self.0.name(), arguments.shape, arguments.place);
        let images = &arguments.images;
        shape.check(name)?;
        check_images(name, images, shape)?;
        require(name, "output_gradient", arguments.output_gradient, shape.activations(shape.outputs))?;
        require(name, "gradient", arguments.gradient, shape.parameters(place))?;
        gpu.check_iterations(name, shape.capacity)?;
        let params = BackwardWeightsImagesParams {
            height: images.shape.height as u32,
            width: images.shape.width as u32,
            row_words: images.shape.row_words() as u32,
            outputs: shape.outputs as u32,
            capacity: shape.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
            bias: place.bias as u32,
            scale: images.scale,
        };
        let params = Buffer::from_slice(gpu, "dense.backward_weights_images params", &[params])?;
        let BackwardWeightsImagesArguments { steps, output_gradient, gradient, .. } = *arguments;
        let kernel = self.0.bind(gpu, &[&params, steps, images.order, images.images, output_gradient, gradient])?;
        let kernel = kernel.costing(shape.cost(shape.activations(images.shape.words() + shape.outputs)));
        let tiles = images.shape.words() * shape.outputs.div_ceil(4);
        let workgroups = grid(tiles, self.0.workgroup_size(), shape.replicas);
        Ok(Bound::new(kernel, shape.capacity, move |_| workgroups))
    }
}
