//! `dense.*`: fully connected layers, forward and backward, on activations `[replica, sample, unit]`.

pub use super::images::{ImageShape, Images, Input};

use super::{Bound, Choice, ParameterOffsets, StepRecord, grid, read, record, require, require_positive, write};
use crate::error::{Error, Result};
use crate::gpu::{Bindable, Buffer, Cost, Gpu, Kernel, Shader, parameters};

shader!(FORWARD = "dense", "forward"; with "grid" "step" "dense_layer" "relu"; Params;
    read params, record step, read input, read parameters, write output; "WORKGROUP_SIZE");

shader!(FORWARD_IMAGES = "dense", "forward_images"; with "grid" "step" "dense_layer" "relu"; Params;
    read params, record step, read order.indexing, read images, read parameters, write output; "WORKGROUP_SIZE");

shader!(BACKWARD_INPUT = "dense", "backward_input"; with "grid" "step" "dense_layer" "relu"; Params;
    read params, record step, read output_gradient, read parameters, read input, write input_gradient;
    "WORKGROUP_SIZE");

shader!(BACKWARD_WEIGHTS = "dense", "backward_weights"; with "grid" "step" "dense_layer"; Params;
    read params, record step, read input, read output_gradient, write gradient; "WORKGROUP_SIZE");

shader!(BACKWARD_WEIGHTS_IMAGES = "dense", "backward_weights_images"; with "grid" "step" "dense_layer"; Params;
    read params, record step, read order.indexing, read images, read output_gradient, write gradient;
    "WORKGROUP_SIZE");

shader!(GATHER = "dense", "gather"; with "grid" "step" "dense_layer"; Params;
    read params, record step, read order.indexing, read images, write output; "WORKGROUP_SIZE");

shader!(FORWARD_TILED = "dense", "forward_tiled"; with "grid" "step" "dense_layer" "dense_tile" "relu"; as FORWARD []);

shader!(BACKWARD_INPUT_TILED = "dense", "backward_input_tiled";
    with "grid" "step" "dense_layer" "dense_tile" "relu"; as BACKWARD_INPUT []);

shader!(BACKWARD_WEIGHTS_TILED = "dense", "backward_weights_tiled";
    with "grid" "step" "dense_layer" "dense_tile"; as BACKWARD_WEIGHTS []);

shader!(NAIVE = "dense", "naive"; with "grid" "step" "dense_layer"; as FORWARD);

shader!(NAIVE_BACKWARD_INPUT = "dense", "naive_backward_input"; with "grid" "step" "dense_layer"; as BACKWARD_INPUT);

shader!(NAIVE_BACKWARD_WEIGHTS = "dense", "naive_backward_weights"; with "grid" "step" "dense_layer";
    as BACKWARD_WEIGHTS);

/// A layer with more units than this is computed in tiles of workgroup memory where it reads features: narrower ones would
/// leave most of a tile empty.
const MOST_UNTILED: usize = 64;
/// Rows and columns of a tile, and how much of the inner axis lies in workgroup memory at a time.
pub(super) const SIDE: usize = 32;
pub(super) const INNER: usize = 16;
/// Invocations of a workgroup that owns a tile, and quads of a side.
pub(super) const LANES: usize = 64;
pub(super) const QUADS: usize = SIDE / 4;

parameters! {
    struct Params {
        inputs: u32,
        outputs: u32,
        capacity: u32,
        parameters: u32,
        weights: u32,
        bias: u32,
        relu: u32,
        height: u32,
        width: u32,
        row_words: u32,
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

    fn batch(&self) -> [usize; 2] {
        [self.replicas, self.capacity]
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

    /// Params of a layer at `place`; features are an image of one row.
    fn params(&self, place: ParameterOffsets, input: Option<&Input<'_>>, relu: bool) -> Params {
        let image = match input {
            Some(Input::Images(images)) => images.shape,
            _ => ImageShape { height: 1, width: self.inputs },
        };
        let Self { inputs, outputs, capacity, .. } = *self;
        let ParameterOffsets { parameters, weights, bias } = place;
        let (ImageShape { height, width }, scale) = (image, input.map_or(1.0, Input::scale));
        params!(; Params {
            inputs, outputs, capacity, parameters, weights, bias, relu, height, width, row_words: image.row_words(), scale
        })
    }

    /// Fails unless the input is there, and images have as many numbers as the weights read.
    fn check_input(&self, kernel: &str, input: &Input<'_>) -> Result<()> {
        input.require(kernel, self.activations(self.inputs))?;
        let Input::Images(Images { shape, .. }) = input else { return Ok(()) };
        let pixels = shape.height * shape.width;
        if pixels != self.inputs {
            return Err(Error::Shape(format!(
                "{kernel}: images of {} x {} have {pixels} numbers, weights read {}",
                shape.height, shape.width, self.inputs
            )));
        }
        Ok(())
    }

    /// Whether a product with so long an inner axis is computed in tiles: if the layer is wide, and the driver does not cut
    /// the loops of an invocation short.
    fn is_tiled(&self, gpu: &Gpu, naive: bool, inner: usize) -> bool {
        let turns = inner.div_ceil(INNER) * (2 * INNER + 1 + INNER * QUADS / LANES);
        !naive && self.outputs > MOST_UNTILED && gpu.check_iterations("dense", turns).is_ok()
    }

    /// Words of the input of all samples.
    fn input_words(&self, input: &Input<'_>) -> usize {
        input.words(self.replicas * self.capacity, self.inputs)
    }
}

/// The kernel for this input; the naive ones read features.
fn choose(
    naive: bool,
    input: &Input<'_>,
    [of_naive, of_features, of_images]: [&'static Shader; 3],
) -> Result<&'static Shader> {
    match input {
        Input::Images(_) if naive => Err(Error::Shape(format!("{}: it reads features", of_naive.name))),
        Input::Images(_) => Ok(of_images),
        Input::Features(_) if naive => Ok(of_naive),
        Input::Features(_) => Ok(of_features),
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
    /// What the layer reads.
    pub input: Input<'a>,
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
    /// What the layer read.
    pub input: Input<'a>,
    /// `[replica, sample, out]`
    pub output_gradient: &'a Buffer<f32>,
    /// `[replica, parameter]`, written at the layer's place.
    pub gradient: &'a Buffer<f32>,
}

/// Rows and columns of a product that an invocation owns; in workgroup memory a whole workgroup.
fn tile(naive: bool, is_tiled: bool) -> [usize; 2] {
    match (naive, is_tiled) {
        (_, true) => [SIDE; 2],
        (true, false) => [1; 2],
        (false, false) => [4; 2],
    }
}

/// Binds the kernel of a product with so many columns, cut into tiles; `rows` gives its rows for the samples of a step.
fn bind_product(
    choice: Choice,
    gpu: &Gpu,
    shader: &'static Shader,
    [replicas, capacity]: [usize; 2],
    arrays: &[&dyn Bindable],
    cost: Cost,
    tile: [usize; 2],
    columns: usize,
    rows: impl Fn(usize) -> usize + Send + Sync + 'static,
) -> Result<Bound> {
    let tiles = move |samples| rows(samples).div_ceil(tile[0]) * columns.div_ceil(tile[1]);
    if tile != [SIDE; 2] {
        return choice.bind(gpu, shader, [replicas, capacity], arrays, cost, tiles);
    }
    let kernel = Kernel::new(gpu, shader, &[])?.bind(gpu, arrays)?.costing(cost);
    Ok(Bound::new(kernel, capacity, move |samples| grid(tiles(samples), 1, replicas)))
}

pass! {
    /// `output[n, k] = activation(bias[k] + sum_i input[n, i] * weights[i, k])`.
    Forward or naive
}

impl Forward {
    /// Checks the arrays and binds them to the kernel that suits them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardArguments<'_>) -> Result<Bound> {
        let ForwardArguments { shape, place, relu, steps, ref input, parameters, output } = *arguments;
        let is_tiled = input.is_features() && shape.is_tiled(gpu, self.0.naive, shape.inputs);
        let of_features = if is_tiled { &FORWARD_TILED } else { &FORWARD };
        let shader = choose(self.0.naive, input, [&NAIVE, of_features, &FORWARD_IMAGES])?;
        let name = shader.name;
        shape.check(name)?;
        shape.check_input(name, input)?;
        require(name, "parameters", parameters, shape.parameters(place))?;
        require(name, "output", output, shape.activations(shape.outputs))?;
        gpu.check_iterations(
            name,
            match input {
                Input::Features(_) => shape.inputs,
                Input::Images(images) => images.shape.height * (images.shape.row_words() + 1),
            },
        )?;
        let params = Buffer::from_slice(gpu, "dense.forward params", &[shape.params(place, Some(input), relu)])?;
        let mut arrays: Vec<&dyn Bindable> = vec![&params, steps];
        arrays.extend(input.arrays());
        arrays.extend([parameters as &dyn Bindable, output]);
        let (tile, units) = (tile(self.0.naive, is_tiled), shape.outputs);
        let cost = shape.cost(shape.input_words(input) + shape.activations(units));
        bind_product(self.0, gpu, shader, shape.batch(), &arrays, cost, tile, units, |samples| samples)
    }
}

pass! {
    /// `input_gradient[n, i] = sum_k output_gradient[n, k] * weights[i, k]` where `input[n, i] > 0`, else 0.
    BackwardInput or naive
}

impl BackwardInput {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardInputArguments<'_>) -> Result<Bound> {
        let BackwardInputArguments { shape, place, steps, output_gradient, parameters, input, input_gradient } =
            *arguments;
        let is_tiled = shape.is_tiled(gpu, self.0.naive, shape.outputs);
        let shader = match self.0.naive {
            true => &NAIVE_BACKWARD_INPUT,
            false if is_tiled => &BACKWARD_INPUT_TILED,
            false => &BACKWARD_INPUT,
        };
        let name = shader.name;
        shape.check(name)?;
        require(name, "output_gradient", output_gradient, shape.activations(shape.outputs))?;
        require(name, "parameters", parameters, shape.parameters(place))?;
        require(name, "input", input, shape.activations(shape.inputs))?;
        require(name, "input_gradient", input_gradient, shape.activations(shape.inputs))?;
        gpu.check_iterations(name, shape.outputs)?;
        let params = Buffer::from_slice(gpu, "dense.backward_input params", &[shape.params(place, None, false)])?;
        let arrays: [&dyn Bindable; 6] = [&params, steps, output_gradient, parameters, input, input_gradient];
        let (tile, units) = (tile(self.0.naive, is_tiled), shape.inputs);
        let cost = shape.cost(shape.activations(2 * units + shape.outputs));
        bind_product(self.0, gpu, shader, shape.batch(), &arrays, cost, tile, units, |samples| samples)
    }
}

pass! {
    /// `weight_gradient[i, k] = sum_n input[n, i] * output_gradient[n, k]` and the sum over samples for the bias.
    BackwardWeights or naive
}

impl BackwardWeights {
    /// Checks the arrays and binds them to the kernel that suits them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsArguments<'_>) -> Result<Bound> {
        let BackwardWeightsArguments { shape, place, steps, ref input, output_gradient, gradient } = *arguments;
        let is_tiled = input.is_features() && shape.is_tiled(gpu, self.0.naive, shape.capacity);
        let of_features = if is_tiled { &BACKWARD_WEIGHTS_TILED } else { &BACKWARD_WEIGHTS };
        let shader = choose(self.0.naive, input, [&NAIVE_BACKWARD_WEIGHTS, of_features, &BACKWARD_WEIGHTS_IMAGES])?;
        let name = shader.name;
        shape.check(name)?;
        shape.check_input(name, input)?;
        require(name, "output_gradient", output_gradient, shape.activations(shape.outputs))?;
        require(name, "gradient", gradient, shape.parameters(place))?;
        gpu.check_iterations(name, shape.capacity)?;
        let params = shape.params(place, Some(input), false);
        let params = Buffer::from_slice(gpu, "dense.backward_weights params", &[params])?;
        let mut arrays: Vec<&dyn Bindable> = vec![&params, steps];
        arrays.extend(input.arrays());
        arrays.extend([output_gradient as &dyn Bindable, gradient]);
        let (rows, tile) = match input {
            // A word of an image is four rows already.
            Input::Images(images) => (images.shape.words(), [1, 4]),
            Input::Features(_) if self.0.naive => (shape.inputs + 1, tile(true, false)),
            Input::Features(_) => (shape.inputs, tile(false, is_tiled)),
        };
        let cost = shape.cost(shape.input_words(input) + shape.activations(shape.outputs));
        bind_product(self.0, gpu, shader, shape.batch(), &arrays, cost, tile, shape.outputs, move |_| rows)
    }
}

/// Arrays of [`Gather`].
pub struct GatherArguments<'a> {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples that each replica has room for.
    pub capacity: usize,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// The images of a step.
    pub images: Images<'a>,
    /// `[replica, sample, in]`, an image each: `[y, x, channel]`; written.
    pub output: &'a Buffer<f32>,
}

pass! {
    /// `output[n, i] = images[order[n], i] * scale`: what convolutions read of images of several channels.
    Gather
}

impl Gather {
    /// Checks the arrays and binds them.
    pub fn bind(&self, gpu: &Gpu, arguments: &GatherArguments<'_>) -> Result<Bound> {
        let GatherArguments {
            replicas,
            capacity,
            steps,
            images: Images { shape: image, scale, order, images },
            output,
        } = *arguments;
        let name = GATHER.name;
        let shape = Shape { replicas, capacity, inputs: image.height * image.width, outputs: 1 };
        shape.check(name)?;
        let input = Input::Images(Images { shape: image, scale, order, images });
        shape.check_input(name, &input)?;
        require(name, "output", output, shape.activations(shape.inputs))?;
        let place = ParameterOffsets { parameters: 0, weights: 0, bias: 0 };
        let params = Buffer::from_slice(gpu, "dense.gather params", &[shape.params(place, Some(&input), false)])?;
        let arrays: [&dyn Bindable; 5] = [&params, steps, order, images, output];
        let cost = Cost::new(0, shape.input_words(&input) + shape.activations(shape.inputs));
        self.0.bind(gpu, &GATHER, shape.batch(), &arrays, cost, move |samples| samples * image.words())
    }
}
