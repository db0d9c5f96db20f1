//! The forward kernels.

use super::{
    FORWARD, FORWARD_IMAGES, FORWARD_POOL, FORWARD_POOL_IMAGES, Input, NAIVE, Shape, check_input, refuse_naive,
};
use crate::error::Result;
use crate::gpu::{Bindable, Buffer, Gpu};
use crate::kernels::{Bound, Choice, ParameterOffsets, StepRecord, require};

/// Arrays of [`Forward`].
pub struct ForwardArguments<'a> {
    /// Sizes.
    pub shape: Shape,
    /// Where weights and bias lie in `parameters`.
    pub place: ParameterOffsets,
    /// The steps that launches choose from.
    pub steps: &'a Buffer<StepRecord>,
    /// What the layer reads.
    pub input: Input<'a>,
    /// `[replica, parameter]`
    pub parameters: &'a Buffer<f32>,
    /// `[replica, sample, y, x, out]`, pooled if there is an `argmax`, written.
    pub output: &'a Buffer<f32>,
    /// The words of [`crate::kernels::max_pool2d::argmax_len`], written. Without it the layer does not pool.
    pub argmax: Option<&'a Buffer<u32>>,
}

pass! {
    /// `output[n, y, x, k] = relu(bias[k] + sum_{ky, kx, c} input[n, y + ky - 1, x + kx - 1, c] * weights[ky, kx, c, k])`,
    /// then the largest of 2 x 2 if the layer pools.
    Forward or naive
}

impl Forward {
    /// Checks the arrays and binds them to the kernel that suits them.
    pub fn bind(&self, gpu: &Gpu, arguments: &ForwardArguments<'_>) -> Result<Bound> {
        let ForwardArguments { shape, place, steps, ref input, parameters, output, argmax } = *arguments;
        let shader = match (input, argmax) {
            (Input::Features(_), None) if self.0.naive => &NAIVE,
            _ if self.0.naive => return refuse_naive(NAIVE.name),
            (Input::Features(_), None) => &FORWARD,
            (Input::Features(_), Some(_)) => &FORWARD_POOL,
            (Input::Images(_), None) => &FORWARD_IMAGES,
            (Input::Images(_), Some(_)) => &FORWARD_POOL_IMAGES,
        };
        let name = shader.name;
        shape.check(name)?;
        check_input(name, input, shape)?;
        shape.check_argmax(name, argmax)?;
        require(name, "parameters", parameters, shape.parameters(place))?;
        require(name, "output", output, shape.output_len(argmax.is_some()))?;
        gpu.check_iterations(name, shape.inputs)?;
        let params = Buffer::from_slice(gpu, "conv2d.forward params", &[shape.params(place, input.scale())])?;
        let mut arrays: Vec<&dyn Bindable> = vec![&params, steps];
        arrays.extend(input.arrays());
        arrays.extend([parameters as &dyn Bindable, output]);
        arrays.extend(argmax.map(|argmax| argmax as &dyn Bindable));
        let Shape { height, width, outputs, .. } = shape;
        let tiles = match argmax {
            Some(_) => height / 2 * (width / 2).div_ceil(4) * outputs.div_ceil(4),
            None if self.0.naive => height * width * outputs,
            None => height.div_ceil(4) * width.div_ceil(4) * outputs.div_ceil(4),
        };
        let cost = shape.cost(
            input.words(shape.samples(), shape.height * shape.width * shape.inputs)
                + shape.output_words(argmax.is_some()),
        );
        self.0.bind(gpu, shader, shape.batch(), &arrays, cost, move |samples| samples * tiles)
    }
}
