//! The backward kernels.

use super::{
    BACKWARD_INPUT, BACKWARD_INPUT_POOL, BACKWARD_WEIGHTS, BACKWARD_WEIGHTS_IMAGES, BACKWARD_WEIGHTS_POOL,
    BACKWARD_WEIGHTS_POOL_IMAGES, Input, NAIVE_BACKWARD_INPUT, NAIVE_BACKWARD_WEIGHTS, Shape, check_input,
    refuse_naive,
};
use crate::error::Result;
use crate::gpu::{Bindable, Buffer, Gpu, Kernel};
use crate::kernels::{Bound, Choice, ParameterOffsets, StepRecord, grid, require};

/// Invocations of a workgroup of the weight gradient.
pub(in crate::kernels) const LANES: usize = 64;
/// The most tiles of a workgroup: as many as the lanes of the narrowest devices, so that neighbours read one cache line.
const MOST_TILES: usize = 8;

/// Arrays of [`BackwardInput`].
pub struct BackwardInputArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where the weights lie in `parameters`.
    pub place: ParameterOffsets,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// `[replica, sample, y, x, out]`, of the pooled output if there is an `argmax`.
    pub output_gradient: &'a Buffer<f32>,
    /// The words that the forward kernel left, if the layer pools.
    pub argmax: Option<&'a Buffer<u32>>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, y, x, in]`, what the layer before produced after its ReLU.
    pub input: &'a Buffer<f32>,
    /// `[replica, sample, y, x, in]`, written.
    pub input_gradient: &'a Buffer<f32>,
}

pass! {
    /// `input_gradient[n, y, x, c] = sum_{ky, kx, k} g[n, y - ky + 1, x - kx + 1, k] * weights[ky, kx, c, k]` where
    /// `input[n, y, x, c] > 0`, else 0; `g` is the gradient before pooling.
    BackwardInput or naive
}

impl BackwardInput {
    /// Checks the arrays and binds them to the kernel that suits them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardInputArguments<'_>) -> Result<Bound> {
        let BackwardInputArguments { shape, place, steps, output_gradient, argmax, parameters, input, input_gradient } =
            *arguments;
        let shader = match argmax {
            None if self.0.naive => &NAIVE_BACKWARD_INPUT,
            _ if self.0.naive => return refuse_naive(NAIVE_BACKWARD_INPUT.name),
            Some(_) => &BACKWARD_INPUT_POOL,
            None => &BACKWARD_INPUT,
        };
        let name = shader.name;
        shape.check(name)?;
        shape.check_argmax(name, argmax)?;
        require(name, "output_gradient", output_gradient, shape.output_len(argmax.is_some()))?;
        require(name, "parameters", parameters, shape.parameters(place))?;
        require(name, "input", input, shape.input_len())?;
        require(name, "input_gradient", input_gradient, shape.input_len())?;
        gpu.check_iterations(name, shape.outputs + shape.outputs.div_ceil(4))?;
        let params = Buffer::from_slice(gpu, "conv2d.backward_input params", &[shape.params(place, 1.0)])?;
        let mut arrays: Vec<&dyn Bindable> = vec![&params, steps, output_gradient];
        arrays.extend(argmax.map(|argmax| argmax as &dyn Bindable));
        arrays.extend([parameters as &dyn Bindable, input, input_gradient]);
        let Shape { height, width, inputs, .. } = shape;
        let tiles = match argmax {
            Some(_) => height.div_ceil(2) * width.div_ceil(8) * inputs.div_ceil(4),
            None if self.0.naive => height * width * inputs,
            None => height.div_ceil(4) * width.div_ceil(4) * inputs.div_ceil(4),
        };
        let cost = shape.cost(shape.output_words(argmax.is_some()) + 2 * shape.input_len());
        self.0.bind(gpu, shader, shape.batch(), &arrays, cost, move |samples| samples * tiles)
    }
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
    /// `[replica, sample, y, x, out]`, of the pooled output if there is an `argmax`.
    pub output_gradient: &'a Buffer<f32>,
    /// The words that the forward kernel left, if the layer pools.
    pub argmax: Option<&'a Buffer<u32>>,
    /// `[replica, parameter]`, written at the layer's place.
    pub gradient: &'a Buffer<f32>,
}

pass! {
    /// `weight_gradient[ky, kx, c, k] = sum_{n, y, x} input[n, y + ky - 1, x + kx - 1, c] * g[n, y, x, k]` and the sum of `g`
    /// for the bias; `g` is the gradient before pooling. Only the naive kernel's workgroups have a choice of sizes.
    BackwardWeights or naive
}

impl BackwardWeights {
    /// Checks the arrays and binds them to the kernel that suits them.
    pub fn bind(&self, gpu: &Gpu, arguments: &BackwardWeightsArguments<'_>) -> Result<Bound> {
        let BackwardWeightsArguments { shape, place, steps, ref input, output_gradient, argmax, gradient } = *arguments;
        let shader = match (input, argmax) {
            (Input::Features(_), None) if self.0.naive => &NAIVE_BACKWARD_WEIGHTS,
            _ if self.0.naive => return refuse_naive(NAIVE_BACKWARD_WEIGHTS.name),
            (Input::Features(_), None) => &BACKWARD_WEIGHTS,
            (Input::Features(_), Some(_)) => &BACKWARD_WEIGHTS_POOL,
            (Input::Images(_), None) => &BACKWARD_WEIGHTS_IMAGES,
            (Input::Images(_), Some(_)) => &BACKWARD_WEIGHTS_POOL_IMAGES,
        };
        let name = shader.name;
        shape.check(name)?;
        check_input(name, input, shape)?;
        shape.check_argmax(name, argmax)?;
        require(name, "output_gradient", output_gradient, shape.output_len(argmax.is_some()))?;
        require(name, "gradient", gradient, shape.parameters(place))?;
        let all = shape.inputs * shape.outputs.div_ceil(4);
        let tiles = all.next_power_of_two().min(MOST_TILES);
        let chunks = LANES / tiles;
        let (rows, columns) =
            if argmax.is_some() { (shape.height / 2, shape.width / 2) } else { (shape.height, shape.width) };
        gpu.check_iterations(name, (shape.capacity * rows).div_ceil(chunks) * (columns + 1) + 8 * LANES)?;
        let params = Buffer::from_slice(gpu, "conv2d.backward_weights params", &[shape.params(place, input.scale())])?;
        let mut arrays: Vec<&dyn Bindable> = vec![&params, steps];
        arrays.extend(input.arrays());
        arrays.push(output_gradient);
        arrays.extend(argmax.map(|argmax| argmax as &dyn Bindable));
        arrays.push(gradient);
        let (constants, workgroups) = if self.0.naive {
            gpu.check_iterations(name, shape.capacity * shape.height * shape.width)?;
            let (gradients, size) = ((9 * shape.inputs + 1) * shape.outputs, self.0.workgroup_size);
            ([("WORKGROUP_SIZE", size)], grid(gradients, size, shape.replicas))
        } else {
            ([("TILES", tiles as u32)], [all.div_ceil(tiles) as u32, 1, shape.replicas as u32])
        };
        let kernel = Kernel::new(gpu, shader, &constants)?.bind(gpu, &arrays)?;
        let kernel = kernel.costing(shape.cost(
            input.words(shape.samples(), shape.height * shape.width * shape.inputs)
                + shape.output_words(argmax.is_some()),
        ));
        Ok(Bound::new(kernel, shape.capacity, move |_| workgroups))
    }
}
