//! `max_pool2d.*`: the largest of each 2 x 2 pixels, stand-alone, on activations `[replica, sample, y, x, channel]`.

use super::{Bound, Choice, StepRecord, read, record, require, require_positive, write};
use crate::error::Result;
use crate::gpu::{Bindable, Buffer, Cost, Gpu, Shader, parameters};

shader!(FORWARD = "max_pool2d", "forward"; with "grid" "step" "pooling"; Params;
    read params, record step, read input, write output, write argmax; "WORKGROUP_SIZE");

shader!(BACKWARD = "max_pool2d", "backward"; with "grid" "step"; Params;
    read params, record step, read output_gradient, read argmax, write input_gradient; "WORKGROUP_SIZE");

shader!(NAIVE = "max_pool2d", "naive"; with "grid" "step"; as FORWARD);

parameters! {
    struct Params {
        height: u32,
        width: u32,
        channels: u32,
        capacity: u32,
    }
}

/// Sizes of a pooling over a batch of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// Rows that come in; half of them, rounded down, go out.
    pub height: usize,
    /// Columns that come in; half of them, rounded down, go out.
    pub width: usize,
    /// Channels.
    pub channels: usize,
}

impl Shape {
    fn check(&self, kernel: &str) -> Result<()> {
        let Self { replicas, capacity, height, width, channels } = *self;
        let sizes = [
            ("replicas", replicas),
            ("capacity", capacity),
            ("pooled rows", height / 2),
            ("pooled columns", width / 2),
            ("channels", channels),
        ];
        require_positive(kernel, &sizes)
    }

    fn batch(&self) -> [usize; 2] {
        [self.replicas, self.capacity]
    }

    /// Values of one sample before pooling.
    fn input_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of one sample after pooling.
    fn output_len(&self) -> usize {
        self.height / 2 * (self.width / 2) * self.channels
    }

    /// Words of codes of one sample.
    fn words(&self) -> usize {
        self.height / 2 * (self.width / 2).div_ceil(4) * self.channels.div_ceil(4)
    }

    /// Values before and after pooling and the codes, each touched once; three comparisons of four values.
    fn cost(&self) -> Cost {
        let samples = self.replicas * self.capacity;
        let words = samples * (self.input_len() + self.output_len() + self.words());
        Cost::comparisons(3 * samples * self.output_len(), words)
    }

    fn params(&self) -> Params {
        let Self { height, width, channels, capacity, .. } = *self;
        params!(; Params { height, width, channels, capacity })
    }
}

/// Words of an `argmax` array: the codes of four pooled pixels of a row x four channels share one,
/// `[replica, sample, y / 2, x / 2 / 4, channel / 4]`. Byte `x / 2 % 4` is the pixel's, with two bits for each channel.
pub fn argmax_len(shape: Shape) -> usize {
    shape.replicas * shape.capacity * shape.words()
}

/// Arrays of [`Forward`].
pub struct ForwardArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, y, x, channel]`
    pub input: &'a Buffer<f32>,
    /// `[replica, sample, y / 2, x / 2, channel]`, written.
    pub output: &'a Buffer<f32>,
    /// The words of [`argmax_len`], written.
    pub argmax: &'a Buffer<u32>,
}

pass! {
    /// `output[n, y, x, c]` is the largest of `input[n, 2y + dy, 2x + dx, c]`, and `argmax` says which it is.
    Forward or naive
}

impl Forward {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardArguments<'_>) -> Result<Bound> {
        let ForwardArguments { shape, steps, input, output, argmax } = *arguments;
        let shader = if self.0.naive { &NAIVE } else { &FORWARD };
        let name = shader.name;
        shape.check(name)?;
        let samples = shape.replicas * shape.capacity;
        require(name, "input", input, samples * shape.input_len())?;
        require(name, "output", output, samples * shape.output_len())?;
        require(name, "argmax", argmax, argmax_len(shape))?;
        let params = Buffer::from_slice(gpu, "max_pool2d.forward params", &[shape.params()])?;
        let (arrays, words): ([&dyn Bindable; 5], _) = ([&params, steps, input, output, argmax], shape.words());
        self.0.bind(gpu, shader, shape.batch(), &arrays, shape.cost(), move |samples| samples * words)
    }
}

/// Arrays of [`Backward`].
pub struct BackwardArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, y / 2, x / 2, channel]`
    pub output_gradient: &'a Buffer<f32>,
    /// The words that [`Forward`] left.
    pub argmax: &'a Buffer<u32>,
    /// `[replica, sample, y, x, channel]`, written.
    pub input_gradient: &'a Buffer<f32>,
}

pass! {
    /// `input_gradient` is the output's gradient where `argmax` points to, and 0 elsewhere.
    Backward
}

impl Backward {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardArguments<'_>) -> Result<Bound> {
        let BackwardArguments { shape, steps, output_gradient, argmax, input_gradient } = *arguments;
        let name = BACKWARD.name;
        shape.check(name)?;
        let samples = shape.replicas * shape.capacity;
        require(name, "output_gradient", output_gradient, samples * shape.output_len())?;
        require(name, "argmax", argmax, argmax_len(shape))?;
        require(name, "input_gradient", input_gradient, samples * shape.input_len())?;
        let params = Buffer::from_slice(gpu, "max_pool2d.backward params", &[shape.params()])?;
        let arrays: [&dyn Bindable; 5] = [&params, steps, output_gradient, argmax, input_gradient];
        let values = shape.input_len();
        self.0.bind(gpu, &BACKWARD, shape.batch(), &arrays, shape.cost(), move |samples| samples * values)
    }
}
