//! Cases of `dense.*`.

use super::comparator::{Report, compare};
use super::{Draws, Held, Output, Setting, at_every_size, output, part, read, run, second_step, sums, used_part};
use super::{FACTOR, OFFSET, SCALE};
use crate::cpu::Real;
use crate::cpu::dense::{self as twin, DenseShape};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu};
use crate::kernels::ParameterOffsets;
use crate::kernels::dense::{
    BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, Forward, ForwardArguments,
    Gather, GatherArguments, ImageShape, Input, Shape,
};

/// Images that batches are drawn from.
const IMAGES: usize = 11;

/// One application of a dense layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples in the step.
    pub samples: usize,
    /// Samples that there is room for.
    pub capacity: usize,
    /// Features that come in; pixels of an image, see [`Self::image`].
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Case {
    /// Sizes of its images: gray squares where `inputs` is a square number, squares of three channels where it is three times
    /// one, else one row.
    pub fn image(&self) -> ImageShape {
        let side = |pixels: usize| Some(pixels.isqrt()).filter(|side| side * side == pixels);
        let colours = self.inputs.is_multiple_of(3).then(|| side(self.inputs / 3)).flatten();
        match (side(self.inputs), colours) {
            (Some(side), _) => ImageShape { height: side, width: side },
            (None, Some(side)) => ImageShape { height: side, width: 3 * side },
            (None, None) => ImageShape { height: 1, width: self.inputs },
        }
    }

    fn name(&self) -> String {
        let Self { replicas, samples, inputs, outputs, .. } = self;
        format!("r{replicas}_b{samples}_{inputs}x{outputs}")
    }

    fn shape(&self) -> Shape {
        let Self { replicas, capacity, inputs, outputs, .. } = *self;
        Shape { replicas, capacity, inputs, outputs }
    }

    fn twin(&self) -> DenseShape {
        DenseShape { samples: self.samples, inputs: self.inputs, outputs: self.outputs }
    }

    fn place(&self) -> ParameterOffsets {
        let bias = OFFSET + self.inputs * self.outputs;
        ParameterOffsets { parameters: bias + self.outputs, weights: OFFSET, bias }
    }
}

/// The cases that every device must pass: around the width of a tile and of a workgroup, a prime, a short batch, the
/// layers of the paper's network, and wide layers around the sides and the depth of a tile of workgroup memory.
pub fn cases() -> Vec<Case> {
    let case = |replicas, samples, capacity, inputs, outputs, relu| Case {
        replicas,
        samples,
        capacity,
        inputs,
        outputs,
        relu,
    };
    vec![
        case(1, 1, 1, 1, 1, true),
        case(2, 3, 4, 3, 3, true),
        case(2, 4, 4, 4, 4, false),
        case(2, 5, 5, 5, 5, true),
        case(1, 31, 32, 17, 13, false),
        case(3, 33, 33, 36, 65, true),
        case(3, 32, 32, 784, 30, true),
        case(3, 32, 32, 30, 30, true),
        case(4, 32, 32, 30, 10, false),
        case(3, 16, 32, 784, 30, true),
        case(2, 15, 16, 49, 6, true),
        case(2, 17, 40, 23, 9, false),
        // Images of three channels: rows of 15, 21 and 84 numbers.
        case(2, 3, 5, 75, 6, true),
        case(2, 17, 18, 147, 30, false),
        case(1, 32, 32, 2352, 30, true),
        case(2, 31, 32, 15, 66, true),
        case(2, 32, 33, 16, 96, false),
        case(2, 33, 40, 64, 97, true),
        case(3, 1, 2, 1, 65, true),
        case(1, 70, 70, 130, 127, false),
        case(2, 32, 32, 512, 512, true),
    ]
}

/// Seeded arrays of a case, the same for all kernels.
pub struct Arrays {
    input: Vec<f32>,
    images: Vec<u8>,
    order: Vec<u32>,
    parameters: Vec<f32>,
    output_gradient: Vec<f32>,
}

impl Arrays {
    /// Draws them; the seed is part of the case.
    pub fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.inputs * 1000 + case.samples) as u32);
        let rows = case.replicas * case.capacity;
        let mut input = draws.numbers(rows * case.inputs);
        // As after a ReLU: half of it is exactly 0.
        input.iter_mut().for_each(|x| *x = x.max(0.0));
        let pixels = IMAGES * case.inputs;
        Self {
            input,
            images: draws.below(pixels, 256).into_iter().map(|pixel| pixel as u8).collect(),
            order: draws.below(rows, IMAGES as u32),
            parameters: draws.numbers(case.replicas * case.place().parameters),
            output_gradient: draws.numbers(rows * case.outputs),
        }
    }

    /// What replica `r` reads, `[sample, in]`; from the images for the image kernels.
    fn input<T: Real>(&self, case: &Case, r: usize, images: bool) -> Vec<T> {
        let rows = r * case.capacity;
        if images {
            let mut input = vec![T::zero(); case.samples * case.inputs];
            let order = &self.order[rows..rows + case.samples];
            twin::gather(case.inputs, &self.images, order, T::of(f64::from(SCALE)), &mut input);
            input
        } else {
            let own = &self.input[rows * case.inputs..(rows + case.samples) * case.inputs];
            own.iter().map(|&x| T::of(f64::from(x))).collect()
        }
    }

    fn output_gradient(&self, case: &Case, r: usize) -> &[f32] {
        let row = r * case.capacity;
        &self.output_gradient[row * case.outputs..(row + case.samples) * case.outputs]
    }

    fn weights_and_bias(&self, case: &Case, r: usize) -> (&[f32], &[f32]) {
        let place = case.place();
        let own = &self.parameters[r * place.parameters..(r + 1) * place.parameters];
        own[place.weights..].split_at(case.inputs * case.outputs)
    }

    /// What the layer reads, on the device.
    fn on_device(&self, gpu: &Gpu, case: &Case, images: bool) -> Result<Held> {
        if images {
            Held::images(gpu, case.image(), SCALE, &self.order, &self.images)
        } else {
            Held::features(gpu, &self.input)
        }
    }
}

/// Runs `dense.forward`, or `dense.forward_images` if `images`: says which it was.
pub fn forward(on: Setting<'_>, case: &Case, arrays: &Arrays, images: bool) -> Result<(&'static str, Output)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let output = output(gpu, case.replicas * case.capacity * case.outputs)?;
    let held = arrays.on_device(gpu, case, images)?;
    let arguments = ForwardArguments {
        shape: case.shape(),
        place: case.place(),
        relu: case.relu,
        steps: &second_step(gpu, case.capacity, case.samples)?,
        input: held.input(),
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        output: &output,
    };
    let kernel = if on.naive { Forward::naive } else { Forward::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let found = read(gpu, &output)?;
    Ok((bound.name(), used_part(found, case.capacity * case.outputs, case.samples * case.outputs)))
}

/// Compares `dense.forward` or `dense.forward_images` with the twin.
pub fn check_forward(on: Setting<'_>, case: &Case, images: bool) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (kernel, found) = forward(on, case, &arrays, images)?;
    let expected = sums(case.replicas, FACTOR, |r, number| {
        let (weights, bias) = arrays.weights_and_bias(case, r);
        let mut output = vec![0.0; case.samples * case.outputs];
        // Inputs are not negative, and so no sum of magnitudes is.
        let input: Vec<f64> = arrays.input(case, r, images);
        twin::forward(case.twin(), &input, &number(weights), &number(bias), case.relu, &mut output);
        output
    });
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Runs `dense.gather`.
pub fn gather(on: Setting<'_>, case: &Case, arrays: &Arrays) -> Result<(&'static str, Output)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let output = output(gpu, case.replicas * case.capacity * case.inputs)?;
    let held = arrays.on_device(gpu, case, true)?;
    let Input::Images(images) = held.input() else { return Err(Error::Shape("dense.gather reads images".into())) };
    let arguments = GatherArguments {
        replicas: case.replicas,
        capacity: case.capacity,
        steps: &second_step(gpu, case.capacity, case.samples)?,
        images,
        output: &output,
    };
    let bound = Gather::new(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let found = read(gpu, &output)?;
    Ok((bound.name(), used_part(found, case.capacity * case.inputs, case.samples * case.inputs)))
}

/// Compares `dense.gather` with the twin: each number is one product.
pub fn check_gather(on: Setting<'_>, case: &Case) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (kernel, found) = gather(on, case, &arrays)?;
    let expected = sums(case.replicas, FACTOR, |r, _| arrays.input(case, r, true));
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Runs `dense.backward_input`.
pub fn backward_input(on: Setting<'_>, case: &Case, arrays: &Arrays) -> Result<(&'static str, Output)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let input_gradient = output(gpu, case.replicas * case.capacity * case.inputs)?;
    let arguments = BackwardInputArguments {
        shape: case.shape(),
        place: case.place(),
        steps: &second_step(gpu, case.capacity, case.samples)?,
        output_gradient: &Buffer::from_slice(gpu, "output gradient", &arrays.output_gradient)?,
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        input: &Buffer::from_slice(gpu, "input", &arrays.input)?,
        input_gradient: &input_gradient,
    };
    let kernel = if on.naive { BackwardInput::naive } else { BackwardInput::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let found = read(gpu, &input_gradient)?;
    Ok((bound.name(), used_part(found, case.capacity * case.inputs, case.samples * case.inputs)))
}

/// Compares `dense.backward_input` with the twin.
pub fn check_backward_input(on: Setting<'_>, case: &Case) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (kernel, found) = backward_input(on, case, &arrays)?;
    let expected = sums(case.replicas, FACTOR, |r, number| {
        let (weights, _) = arrays.weights_and_bias(case, r);
        let (input, gradient) = (arrays.input(case, r, false), arrays.output_gradient(case, r));
        let mut input_gradient = vec![0.0; input.len()];
        twin::backward_input(case.twin(), &number(gradient), &number(weights), &input, &mut input_gradient);
        input_gradient
    });
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Runs `dense.backward_weights`, or `dense.backward_weights_images` if `images`; gives weights and bias of each replica. The
/// parameters before them must be untouched.
pub fn backward_weights(on: Setting<'_>, case: &Case, arrays: &Arrays, images: bool) -> Result<(&'static str, Output)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let place = case.place();
    let gradient = output(gpu, case.replicas * place.parameters)?;
    let held = arrays.on_device(gpu, case, images)?;
    let arguments = BackwardWeightsArguments {
        shape: case.shape(),
        place,
        steps: &second_step(gpu, case.capacity, case.samples)?,
        input: held.input(),
        output_gradient: &Buffer::from_slice(gpu, "output gradient", &arrays.output_gradient)?,
        gradient: &gradient,
    };
    let kernel = if on.naive { BackwardWeights::naive } else { BackwardWeights::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    Ok((bound.name(), part(read(gpu, &gradient)?, place.parameters, place.weights..place.parameters)))
}

/// Compares `dense.backward_weights` or `dense.backward_weights_images` with the twin.
pub fn check_backward_weights(on: Setting<'_>, case: &Case, images: bool) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (kernel, found) = backward_weights(on, case, &arrays, images)?;
    let expected = sums(case.replicas, FACTOR, |r, number| {
        let (input, gradient) = (arrays.input(case, r, images), number(arrays.output_gradient(case, r)));
        let (mut weights, mut bias) = (vec![0.0; case.inputs * case.outputs], vec![0.0; case.outputs]);
        twin::backward_weights(case.twin(), &input, &gradient, &mut weights, &mut bias);
        [weights, bias].concat()
    });
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &Case| {
        let mut reports = vec![check_backward_input(on, case)?];
        if !on.naive {
            reports.push(check_gather(on, case)?);
        }
        for &images in if on.naive { &[false][..] } else { &[false, true] } {
            reports.push(check_forward(on, case, images)?);
            reports.push(check_backward_weights(on, case, images)?);
        }
        Ok(reports)
    };
    at_every_size(settings, &cases(), |case| case.inputs < 100, check)
}
