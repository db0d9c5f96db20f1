//! `conv2d.*`: convolutions of 3 x 3 with padding that keeps the size, bias and ReLU, forward and backward, on activations
//! `[replica, sample, y, x, channel]`. With an `argmax` they pool 2 x 2 in the same launch.

pub(super) mod backward;
mod forward;

pub use backward::{BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, WeightTiles};
pub use forward::{Forward, ForwardArguments};

use super::images::Images;
use super::max_pool2d::{self, argmax_len};
use super::{Place, grid, require, require_capacity, require_positive};
use super::{read, record, write};
use crate::error::{Error, Result};
use crate::gpu::{Bindable, BoundKernel, Buffer, Cost, Gpu, Kernel, Recorder, Shader, parameters};

/// Joins the preludes of a convolution and its file.
macro_rules! source {
    ($file:literal, $($prelude:literal),*) => {
        concat!(
            include_str!("../../shaders/prelude/step.wgsl"),
            include_str!("../../shaders/prelude/convolution.wgsl"),
            $(include_str!(concat!("../../shaders/prelude/", $prelude)),)*
            include_str!(concat!("../../shaders/conv2d/", $file)),
        )
    };
}

/// `shaders/conv2d/forward.wgsl`
pub static FORWARD: Shader = Shader {
    name: "conv2d.forward",
    source: source!("forward.wgsl", "grid.wgsl", "relu.wgsl"),
    bindings: &[read("params"), record("step"), read("input"), read("parameters"), write("output")],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/forward_images.wgsl`
pub static FORWARD_IMAGES: Shader = Shader {
    name: "conv2d.forward_images",
    source: source!("forward_images.wgsl", "grid.wgsl", "relu.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("parameters"),
        write("output"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/forward_pool.wgsl`
pub static FORWARD_POOL: Shader = Shader {
    name: "conv2d.forward_pool",
    source: source!("forward_pool.wgsl", "grid.wgsl", "relu.wgsl", "pooling_relu.wgsl", "pooling.wgsl"),
    bindings: &[read("params"), record("step"), read("input"), read("parameters"), write("output"), write("argmax")],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/forward_pool_images.wgsl`
pub static FORWARD_POOL_IMAGES: Shader = Shader {
    name: "conv2d.forward_pool_images",
    source: source!("forward_pool_images.wgsl", "grid.wgsl", "relu.wgsl", "pooling_relu.wgsl", "pooling.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("parameters"),
        write("output"),
        write("argmax"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/backward_input.wgsl`
pub static BACKWARD_INPUT: Shader = Shader {
    name: "conv2d.backward_input",
    source: source!("backward_input.wgsl", "grid.wgsl", "relu.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("output_gradient"),
        read("parameters"),
        read("input"),
        write("input_gradient"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/backward_input_pool.wgsl`
pub static BACKWARD_INPUT_POOL: Shader = Shader {
    name: "conv2d.backward_input_pool",
    source: source!("backward_input_pool.wgsl", "grid.wgsl", "relu.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("output_gradient"),
        read("argmax"),
        read("parameters"),
        read("input"),
        write("input_gradient"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["WORKGROUP_SIZE"],
};

/// `shaders/conv2d/backward_weights.wgsl`
pub static BACKWARD_WEIGHTS: Shader = Shader {
    name: "conv2d.backward_weights",
    source: source!("backward_weights.wgsl", "weight_tile.wgsl"),
    bindings: &[read("params"), record("step"), read("input"), read("output_gradient"), write("gradient")],
    parameters: Some(Params::LAYOUT),
    constants: &["TILES"],
};

/// `shaders/conv2d/backward_weights_images.wgsl`
pub static BACKWARD_WEIGHTS_IMAGES: Shader = Shader {
    name: "conv2d.backward_weights_images",
    source: source!("backward_weights_images.wgsl", "weight_tile.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("output_gradient"),
        write("gradient"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["TILES"],
};

/// `shaders/conv2d/backward_weights_pool.wgsl`
pub static BACKWARD_WEIGHTS_POOL: Shader = Shader {
    name: "conv2d.backward_weights_pool",
    source: source!("backward_weights_pool.wgsl", "weight_tile.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("input"),
        read("output_gradient"),
        read("argmax"),
        write("gradient"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["TILES"],
};

/// `shaders/conv2d/backward_weights_pool_images.wgsl`
pub static BACKWARD_WEIGHTS_POOL_IMAGES: Shader = Shader {
    name: "conv2d.backward_weights_pool_images",
    source: source!("backward_weights_pool_images.wgsl", "weight_tile.wgsl"),
    bindings: &[
        read("params"),
        record("step"),
        read("order").indexing(),
        read("images"),
        read("output_gradient"),
        read("argmax"),
        write("gradient"),
    ],
    parameters: Some(Params::LAYOUT),
    constants: &["TILES"],
};

/// `shaders/conv2d/forward_pool_wide.wgsl`
pub static FORWARD_POOL_WIDE: Shader = Shader {
    name: "conv2d.forward_pool_wide",
    source: source!("forward_pool_wide.wgsl", "grid.wgsl", "relu.wgsl", "pooling_relu.wgsl", "pooling.wgsl"),
    ..FORWARD_POOL
};

/// `shaders/conv2d/forward_pool_images_wide.wgsl`
pub static FORWARD_POOL_IMAGES_WIDE: Shader = Shader {
    name: "conv2d.forward_pool_images_wide",
    source: source!("forward_pool_images_wide.wgsl", "grid.wgsl", "relu.wgsl", "pooling_relu.wgsl", "pooling.wgsl"),
    ..FORWARD_POOL_IMAGES
};

/// `shaders/conv2d/backward_input_pool_wide.wgsl`
pub static BACKWARD_INPUT_POOL_WIDE: Shader = Shader {
    name: "conv2d.backward_input_pool_wide",
    source: source!("backward_input_pool_wide.wgsl", "grid.wgsl", "relu.wgsl"),
    ..BACKWARD_INPUT_POOL
};

/// `shaders/conv2d/backward_weights_pool_wide.wgsl`
pub static BACKWARD_WEIGHTS_POOL_WIDE: Shader = Shader {
    name: "conv2d.backward_weights_pool_wide",
    source: source!("backward_weights_pool_wide.wgsl", "weight_tile.wgsl"),
    ..BACKWARD_WEIGHTS_POOL
};

/// How large the register tiles of the pooling kernels are. The bits of forward and input gradient do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// Accumulators that fit the registers of a GPU.
    Narrow,
    /// Four times as many, for half of the loads: for software drivers, where loads cost more than anything else. Layers
    /// with too few channels to fill it take the narrow one.
    Wide,
}

impl Tile {
    /// What suits the device.
    pub fn of(gpu: &Gpu) -> Self {
        if gpu.is_software() { Self::Wide } else { Self::Narrow }
    }
}

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
    fn parameters(&self, place: Place) -> usize {
        let end = (place.weights + 9 * self.inputs * self.outputs).max(place.bias + self.outputs);
        (self.replicas - 1) * place.parameters + end
    }

    /// Params of a layer at `place`; pixels of images are multiplied by `scale`.
    fn params(&self, place: Place, scale: f32) -> Params {
        Params {
            height: self.height as u32,
            width: self.width as u32,
            inputs: self.inputs as u32,
            outputs: self.outputs as u32,
            capacity: self.capacity as u32,
            parameters: place.parameters as u32,
            weights: place.weights as u32,
            bias: place.bias as u32,
            scale,
        }
    }

    /// Checks a word of codes for each four pooled pixels x four channels.
    fn check_argmax(&self, kernel: &str, argmax: Option<&Buffer<u32>>) -> Result<()> {
        let Some(argmax) = argmax else { return Ok(()) };
        require_positive(kernel, &[("pooled rows", self.height / 2), ("pooled columns", self.width / 2)])?;
        require(kernel, "argmax", argmax, argmax_len(self.pool()))
    }
}

/// What a convolution reads.
pub enum Input<'a> {
    /// `[replica, sample, y, x, in]`, what the layer before produced.
    Features(&'a Buffer<f32>),
    /// Images of one channel, gathered by index and widened in the kernel.
    Images(Images<'a>),
}

impl Input<'_> {
    /// What pixels are multiplied by.
    fn scale(&self) -> f32 {
        match self {
            Self::Features(_) => 1.0,
            Self::Images(images) => images.scale,
        }
    }

    /// Words that a pass over all samples reads of it.
    fn words(&self, shape: Shape) -> usize {
        match self {
            Self::Features(_) => shape.input_len(),
            Self::Images(images) => shape.samples() * images.shape.words(),
        }
    }

    fn check(&self, kernel: &str, shape: Shape) -> Result<()> {
        let images = match self {
            Self::Features(input) => return require(kernel, "input", input, shape.input_len()),
            Self::Images(images) => images,
        };
        require(kernel, "images", images.images, images.shape.words())?;
        require(kernel, "order", images.order, 1)?;
        let found = (images.shape.height, images.shape.width, 1);
        if found != (shape.height, shape.width, shape.inputs) {
            return Err(Error::Shape(format!(
                "{kernel}: images of {} x {} with one channel, weights read {} x {} with {}",
                images.shape.height, images.shape.width, shape.height, shape.width, shape.inputs
            )));
        }
        Ok(())
    }

    /// The arrays in the order of the bindings.
    fn arrays(&self) -> Vec<&dyn Bindable> {
        match self {
            Self::Features(input) => vec![*input],
            Self::Images(images) => vec![images.order, images.images],
        }
    }
}

/// A kernel whose tiles cover samples x pixels x channels, with its arrays.
pub struct SampleTiles {
    kernel: BoundKernel,
    name: &'static str,
    workgroup_size: u32,
    replicas: usize,
    capacity: usize,
    /// Tiles of each sample.
    tiles: usize,
}

impl SampleTiles {
    fn new(
        gpu: &Gpu,
        (shader, workgroup_size): (&'static Shader, u32),
        shape: Shape,
        tiles: usize,
        arrays: &[&dyn Bindable],
        cost: Cost,
    ) -> Result<Self> {
        let kernel = Kernel::new(gpu, shader, &[("WORKGROUP_SIZE", workgroup_size)])?.bind(gpu, arrays)?.costing(cost);
        let Shape { replicas, capacity, .. } = shape;
        Ok(Self { kernel, name: shader.name, workgroup_size, replicas, capacity, tiles })
    }

    /// The kernel that was chosen.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Records one launch for the step in record `step`, which has `samples` samples. Fails if there is no room for them.
    pub fn record(&self, recorder: &mut Recorder<'_>, step: u32, samples: usize) -> Result<()> {
        require_capacity(self.name, samples, self.capacity)?;
        let workgroups = grid(samples * self.tiles, self.workgroup_size, self.replicas);
        recorder.dispatch(&self.kernel, workgroups, Some(step))
    }
}
