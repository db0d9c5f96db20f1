//! `dense.*`: fully connected layers, forward and backward, on activations `[replica, sample, unit]`.

pub use super::images::{ImageShape, Images};

use super::conv2d::Tile;
use super::{Place, StepRecord, grid, read, record, require, require_capacity, require_positive, write};
use crate::error::Result;
use crate::gpu::{BoundKernel, Buffer, Cost, Gpu, Kernel, Recorder, Shader, parameters};
use std::sync::Arc;

/// Joins the preludes of a dense kernel and its file.
macro_rules! source {
    ($file:literal $(, $prelude:literal)*) => {
        concat!(
            include_str!("../../shaders/prelude/grid.wgsl"),
            include_str!("../../shaders/prelude/step.wgsl"),
            $(include_str!(concat!("../../shaders/prelude/", $prelude)),)*
            include_str!(concat!("../../shaders/dense/", $file)),
        )
    };
}

/// `shaders/dense/forward.wgsl`
pub static FORWARD: Shader = Shader {
    name: "dense.forward",
    source: source!("forward.wgsl", "relu.wgsl"),
    bindings: &[read("params"), record("step"), read("input"), read("parameters"), write("output")],
    parameters: Some(ForwardParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/forward_images.wgsl`
pub static FORWARD_IMAGES: Shader = Shader {
    name: "dense.forward_images",
    source: source!("forward_images.wgsl", "relu.wgsl"),
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
    source: source!("backward_input.wgsl", "relu.wgsl"),
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
    source: source!("backward_weights.wgsl"),
    bindings: &[read("params"), record("step"), read("input"), read("output_gradient"), write("gradient")],
    parameters: Some(BackwardWeightsParams::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/dense/backward_weights_images.wgsl`
pub static BACKWARD_WEIGHTS_IMAGES: Shader = Shader {
    name: "dense.backward_weights_images",
    source: source!("backward_weights_images.wgsl"),
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

/// Joins the preludes of a dense kernel with a wide tile of pixels and its file.
macro_rules! wide_source {
    ($file:literal $(, $prelude:literal)*) => {
        concat!(include_str!("../../shaders/prelude/pixels.wgsl"), source!($file $(, $prelude)*))
    };
}

/// `shaders/dense/forward_images_wide.wgsl`
pub static FORWARD_IMAGES_WIDE: Shader = Shader {
    name: "dense.forward_images_wide",
    source: wide_source!("forward_images_wide.wgsl", "relu.wgsl"),
    ..FORWARD_IMAGES
};

/// `shaders/dense/backward_weights_images_wide.wgsl`
pub static BACKWARD_WEIGHTS_IMAGES_WIDE: Shader = Shader {
    name: "dense.backward_weights_images_wide",
    source: wide_source!("backward_weights_images_wide.wgsl"),
    ..BACKWARD_WEIGHTS_IMAGES
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
    fn parameters(&self, place: Place) -> usize {
        let end = (place.weights + self.inputs * self.outputs).max(place.bias + self.outputs);
        (self.replicas - 1) * place.parameters + end
    }
}

/// Arrays of [`Forward`].
pub struct ForwardArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where weights and bias lie in `parameters`.
    pub place: Place,
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
    pub place: Place,
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
    pub place: Place,
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
    pub place: Place,
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
    pub place: Place,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// What the layer read.
    pub images: Images<'a>,
    /// `[replica, sample, out]`
    pub output_gradient: &'a Buffer<f32>,
    /// `[replica, parameter]`, written at the layer's place.
    pub gradient: &'a Buffer<f32>,
}

/// A kernel whose tiles cover samples x units, with its arrays.
pub struct SampleTiles {
    kernel: BoundKernel,
    name: &'static str,
    workgroup_size: u32,
    replicas: usize,
    capacity: usize,
    /// Samples of a tile.
    samples: usize,
    /// Tiles of the same samples.
    tiles: usize,
}

impl SampleTiles {
    /// Records one launch for the step in record `step`, which has `samples` samples. Fails if there is no room for them.
    pub fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        require_capacity(self.name, samples, self.capacity)?;
        let workgroups = grid(samples.div_ceil(self.samples) * self.tiles, self.workgroup_size, self.replicas);
        recorder.dispatch(&self.kernel, workgroups, Some(step))
    }
}

/// A kernel whose tiles cover inputs x units, with its arrays.
pub struct WeightTiles {
    kernel: BoundKernel,
    name: &'static str,
    capacity: usize,
    workgroups: [u32; 3],
}

impl WeightTiles {
    /// Records one launch for the step in record `step`, which has `samples` samples. Fails if there is no room for them.
    pub fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        require_capacity(self.name, samples, self.capacity)?;
        recorder.dispatch(&self.kernel, self.workgroups, Some(step))
    }
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

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardArguments<'_>) -> Result<SampleTiles> {
        let (name, shape, place) = (FORWARD.name, arguments.shape, arguments.place);
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
        Ok(sample_tiles(self.0.workgroup_size(), kernel, name, shape, shape.outputs))
    }
}

fn sample_tiles(
    workgroup_size: u32,
    kernel: BoundKernel,
    name: &'static str,
    shape: Shape,
    units: usize,
) -> SampleTiles {
    SampleTiles {
        kernel,
        name,
        workgroup_size,
        replicas: shape.replicas,
        capacity: shape.capacity,
        samples: 4,
        tiles: units.div_ceil(4),
    }
}

/// [`Forward`] on images, gathered by index and widened in the kernel.
pub struct ForwardImages {
    kernel: Arc<Kernel>,
    tile: Tile,
}

impl ForwardImages {
    /// Compiles the variant with this tile.
    pub fn new(gpu: &Gpu, workgroup_size: u32, tile: Tile) -> Result<Self> {
        let shader = match tile {
            Tile::Narrow => &FORWARD_IMAGES,
            Tile::Wide => &FORWARD_IMAGES_WIDE,
        };
        Ok(Self { kernel: compile(gpu, shader, workgroup_size)?, tile })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardImagesArguments<'_>) -> Result<SampleTiles> {
        let (name, shape, place) = (self.kernel.name(), arguments.shape, arguments.place);
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
        let kernel = self.kernel.bind(gpu, &[&params, steps, images.order, images.images, parameters, output])?;
        let kernel = kernel.costing(shape.cost(shape.activations(images.shape.words() + shape.outputs)));
        let samples = if self.tile == Tile::Wide { 16 } else { 4 };
        Ok(SampleTiles { samples, ..sample_tiles(self.kernel.workgroup_size(), kernel, name, shape, shape.outputs) })
    }
}

/// `input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k]` where `input[n, i] > 0`, else 0.
pub struct BackwardInput(Arc<Kernel>);

impl BackwardInput {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &BACKWARD_INPUT, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardInputArguments<'_>) -> Result<SampleTiles> {
        let (name, shape, place) = (BACKWARD_INPUT.name, arguments.shape, arguments.place);
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
        Ok(sample_tiles(self.0.workgroup_size(), kernel, name, shape, shape.inputs))
    }
}

/// `weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k]` and the sum over samples for the bias.
pub struct BackwardWeights(Arc<Kernel>);

impl BackwardWeights {
    /// Compiles the kernel.
    pub fn new(gpu: &Gpu, workgroup_size: u32) -> Result<Self> {
        compile(gpu, &BACKWARD_WEIGHTS, workgroup_size).map(Self)
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsArguments<'_>) -> Result<WeightTiles> {
        let (name, shape, place) = (BACKWARD_WEIGHTS.name, arguments.shape, arguments.place);
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
        let tiles = shape.inputs.div_ceil(4) * shape.outputs.div_ceil(4);
        let workgroups = grid(tiles, self.0.workgroup_size(), shape.replicas);
        Ok(WeightTiles { kernel, name, capacity: shape.capacity, workgroups })
    }
}

/// [`BackwardWeights`] on images, gathered by index and widened in the kernel.
pub struct BackwardWeightsImages {
    kernel: Arc<Kernel>,
    tile: Tile,
}

impl BackwardWeightsImages {
    /// Compiles the variant with this tile.
    pub fn new(gpu: &Gpu, workgroup_size: u32, tile: Tile) -> Result<Self> {
        let shader = match tile {
            Tile::Narrow => &BACKWARD_WEIGHTS_IMAGES,
            Tile::Wide => &BACKWARD_WEIGHTS_IMAGES_WIDE,
        };
        Ok(Self { kernel: compile(gpu, shader, workgroup_size)?, tile })
    }

    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsImagesArguments<'_>) -> Result<WeightTiles> {
        let (name, shape, place) = (self.kernel.name(), arguments.shape, arguments.place);
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
        let kernel =
            self.kernel.bind(gpu, &[&params, steps, images.order, images.images, output_gradient, gradient])?;
        let kernel = kernel.costing(shape.cost(shape.activations(images.shape.words() + shape.outputs)));
        let words = if self.tile == Tile::Wide { 4 } else { 1 };
        let tiles = images.shape.words().div_ceil(words) * shape.outputs.div_ceil(4);
        let workgroups = grid(tiles, self.kernel.workgroup_size(), shape.replicas);
        Ok(WeightTiles { kernel, name, capacity: shape.capacity, workgroups })
    }
}
