//! Cases of `conv2d.*`.

use super::comparator::{Report, compare, sums_of_products};
use super::max_pool2d::{Case as PoolCase, pack};
use super::{
    Draws, Held, Output, Setting, at_every_size, magnitudes, output, part, read, run, second_step, sums, used_part,
    widen,
};
use super::{FACTOR, OFFSET, SCALE};
use crate::cpu::Real;
use crate::cpu::conv2d::{self as twin, ConvShape};
use crate::cpu::dense::gather;
use crate::cpu::max_pool2d::{self as pooling, PoolShape};
use crate::error::Result;
use crate::gpu::{Buffer, Gpu};
use crate::kernels::ParameterOffsets;
use crate::kernels::conv2d::{
    BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, Forward, ForwardArguments, Shape,
};
use crate::kernels::dense::ImageShape;
use crate::kernels::max_pool2d::argmax_len;

/// Images that batches are drawn from.
const IMAGES: usize = 5;

/// One application of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples in the step.
    pub samples: usize,
    /// Samples that there is room for.
    pub capacity: usize,
    /// Rows that come in.
    pub height: usize,
    /// Columns that come in.
    pub width: usize,
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Whether 2 x 2 max pooling follows.
    pub pool: bool,
    /// Whether it reads images, of one channel.
    pub images: bool,
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, samples, height, width, inputs, outputs, .. } = self;
        format!("r{replicas}_b{samples}_c{inputs}_k{outputs}_{height}x{width}")
    }

    fn shape(&self) -> Shape {
        let Self { replicas, capacity, height, width, inputs, outputs, .. } = *self;
        Shape { replicas, capacity, height, width, inputs, outputs }
    }

    fn twin(&self) -> ConvShape {
        let Self { samples, height, width, inputs, outputs, .. } = *self;
        ConvShape { samples, height, width, inputs, outputs }
    }

    fn pool_shape(&self) -> PoolShape {
        let Self { samples, height, width, outputs: channels, .. } = *self;
        PoolShape { samples, height, width, channels }
    }

    /// The pooling behind it.
    pub fn pooling(&self) -> PoolCase {
        let Self { replicas, samples, capacity, height, width, outputs: channels, .. } = *self;
        PoolCase { replicas, samples, capacity, height, width, channels }
    }

    fn place(&self) -> ParameterOffsets {
        let bias = OFFSET + 9 * self.inputs * self.outputs;
        ParameterOffsets { parameters: bias + self.outputs, weights: OFFSET, bias }
    }

    fn rows(&self) -> usize {
        self.replicas * self.capacity
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Values of one sample before pooling.
    fn convolved_len(&self) -> usize {
        self.height * self.width * self.outputs
    }

    fn output_len(&self) -> usize {
        if self.pool { self.height / 2 * (self.width / 2) * self.outputs } else { self.convolved_len() }
    }

    fn words(&self) -> usize {
        argmax_len(self.pooling().shape()) / self.rows()
    }
}

/// The cases that every device must pass: around the sizes of tiles in pixels and channels, odd sides, short batches, the
/// layers of the paper's network, and one large image.
pub fn cases() -> Vec<Case> {
    let sizes = [
        (1, 1, 1, 2, 2, 1, 1),
        (2, 3, 4, 9, 9, 3, 3),
        (2, 2, 2, 8, 11, 4, 4),
        (2, 3, 3, 11, 8, 5, 5),
        (2, 3, 3, 8, 8, 1, 5),
        (3, 4, 4, 20, 20, 1, 8),
        (2, 3, 3, 14, 14, 8, 8),
        (1, 5, 6, 7, 7, 13, 13),
        (2, 2, 2, 3, 3, 8, 16),
        (1, 3, 3, 28, 28, 1, 32),
        (1, 2, 2, 14, 14, 32, 32),
        (1, 1, 1, 9, 33, 1, 13),
        (1, 1, 1, 8, 9, 64, 64),
        (1, 1, 1, 224, 224, 1, 4),
        // Three channels: colours.
        (2, 3, 4, 28, 28, 3, 8),
        (1, 2, 2, 9, 11, 3, 32),
    ];
    let mut cases = Vec::new();
    for (replicas, samples, capacity, height, width, inputs, outputs) in sizes {
        for pool in [false, true] {
            for images in [false, true] {
                if !images || inputs == 1 {
                    cases.push(Case { replicas, samples, capacity, height, width, inputs, outputs, pool, images });
                }
            }
        }
    }
    cases
}

/// Seeded arrays of a case, the same for all kernels.
pub struct Arrays {
    input: Vec<f32>,
    pixels: Vec<u8>,
    order: Vec<u32>,
    parameters: Vec<f32>,
    output_gradient: Vec<f32>,
    codes: Vec<u8>,
}

impl Arrays {
    /// Draws them; the seed is part of the case.
    pub fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.input_len() * 100 + case.outputs) as u32);
        let order = draws.below(case.rows(), IMAGES as u32);
        let pixels: Vec<u8> =
            draws.below(IMAGES * case.height * case.width, 256).into_iter().map(|pixel| pixel as u8).collect();
        let mut input = draws.numbers(case.rows() * case.input_len());
        // As after a ReLU: half of it is exactly 0. With one channel it is what the images hold, rounded as in a kernel.
        input.iter_mut().for_each(|x| *x = x.max(0.0));
        if case.inputs == 1 {
            gather(case.input_len(), &pixels, &order, SCALE, &mut input);
        }
        let outputs = case.rows() * case.output_len();
        Self {
            input,
            pixels,
            order,
            parameters: draws.numbers(case.replicas * case.place().parameters),
            output_gradient: draws.numbers(outputs),
            codes: draws.below(outputs, 4).into_iter().map(|code| code as u8).collect(),
        }
    }

    /// The part of replica `r` of an array with `len` elements for each sample.
    fn own<'a, T>(case: &Case, all: &'a [T], r: usize, len: usize) -> &'a [T] {
        &all[r * case.capacity * len..][..case.samples * len]
    }

    /// What replica `r` reads.
    fn input<T: Real>(&self, case: &Case, r: usize) -> Vec<T> {
        let len = case.input_len();
        if !case.images {
            return Self::own(case, &self.input, r, len).iter().map(|&x| T::of(f64::from(x))).collect();
        }
        let mut input = vec![T::zero(); case.samples * len];
        gather(len, &self.pixels, Self::own(case, &self.order, r, 1), T::of(f64::from(SCALE)), &mut input);
        input
    }

    fn weights_and_bias(&self, case: &Case, r: usize) -> (&[f32], &[f32]) {
        let place = case.place();
        let own = &self.parameters[r * place.parameters..(r + 1) * place.parameters];
        own[place.weights..].split_at(9 * case.inputs * case.outputs)
    }

    /// What the layer reads, on the device.
    fn on_device(&self, gpu: &Gpu, case: &Case) -> Result<Held> {
        let shape = ImageShape { height: case.height, width: case.width };
        if case.images {
            Held::images(gpu, shape, SCALE, &self.order, &self.pixels)
        } else {
            Held::features(gpu, &self.input)
        }
    }

    /// The gradient of replica `r` before pooling, made by `number` from single precision.
    fn gradient(&self, case: &Case, r: usize, number: fn(&[f32]) -> Vec<f64>) -> Vec<f64> {
        let own = number(Self::own(case, &self.output_gradient, r, case.output_len()));
        if !case.pool {
            return own;
        }
        let mut before = vec![0.0; case.samples * case.convolved_len()];
        pooling::backward(case.pool_shape(), &own, Self::own(case, &self.codes, r, case.output_len()), &mut before);
        before
    }

    /// The gradient with respect to the output, and the words of codes if the layer pools.
    pub fn backward_inputs(&self, case: &Case) -> (&[f32], Vec<u32>) {
        let words = if case.pool { pack(case.pooling().shape(), &self.codes) } else { Vec::new() };
        (&self.output_gradient, words)
    }
}

/// Runs the forward kernel of the case: which it is, values, and words of codes if it pools.
pub fn forward(on: Setting<'_>, case: &Case, arrays: &Arrays) -> Result<(&'static str, Vec<Output>)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let values = output::<f32>(gpu, case.rows() * case.output_len())?;
    let argmax = output::<u32>(gpu, case.rows() * case.words())?;
    let held = arrays.on_device(gpu, case)?;
    let arguments = ForwardArguments {
        shape: case.shape(),
        place: case.place(),
        steps: &second_step(gpu, case.capacity, case.samples)?,
        input: held.input(),
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        output: &values,
        argmax: case.pool.then_some(&argmax),
    };
    let kernel = if on.naive { Forward::naive } else { Forward::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let used = |found, len| used_part(found, case.capacity * len, case.samples * len);
    let mut outputs = vec![used(read(gpu, &values)?, case.output_len())];
    if case.pool {
        outputs.push(used(read(gpu, &argmax)?, case.words()));
    }
    Ok((bound.name(), outputs))
}

/// Compares the forward kernel of the case with its twin; of the codes that what they point to is the largest.
pub fn check_forward(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let arrays = Arrays::new(case);
    let (kernel, found) = forward(on, case, &arrays)?;
    let (mut expected, mut pointed_to) = (Vec::new(), Vec::new());
    for r in 0..case.replicas {
        let (weights, bias) = arrays.weights_and_bias(case, r);
        let input: Vec<f64> = arrays.input(case, r);
        let len = case.samples * case.convolved_len();
        let (mut value, mut sum) = (vec![0.0; len], vec![0.0; len]);
        twin::forward(case.twin(), &input, &widen(weights), &widen(bias), &mut value);
        // Inputs are not negative.
        twin::forward(case.twin(), &input, &magnitudes(weights), &magnitudes(bias), &mut sum);
        if case.pool {
            let len = case.samples * case.output_len();
            let (mut pooled, mut pooled_sum) = (vec![0.0; len], vec![0.0; len]);
            pooling::forward(case.pool_shape(), &value, &mut pooled, &mut vec![0; len]);
            pooling::forward(case.pool_shape(), &sum, &mut pooled_sum, &mut vec![0; len]);
            pointed_to.extend(pointed_to_by(case, &found[1], r, &value));
            (value, sum) = (pooled, pooled_sum);
        }
        expected.extend(sums_of_products(&value, &sum, FACTOR));
    }
    let mut reports = vec![compare(kernel, case.name(), &found[0], &expected)];
    if case.pool {
        let bits = pointed_to.into_iter().map(f32::to_bits).collect();
        let found = Output { bits, guard: found[1].guard.clone() };
        reports.push(compare(kernel, format!("{} codes", case.name()), &found, &expected));
    }
    Ok(reports)
}

/// What the codes of replica `r` point to in the twin's values before pooling.
fn pointed_to_by(case: &Case, found: &Output, r: usize, values: &[f64]) -> Vec<f32> {
    let words = &found.bits[r * case.samples * case.words()..];
    let (height, width, quads) = (case.height / 2, case.width / 2, case.outputs.div_ceil(4));
    let mut pointed_to = Vec::new();
    for n in 0..case.samples {
        for y in 0..height {
            for x in 0..width {
                for k in 0..case.outputs {
                    let word = words[((n * height + y) * width.div_ceil(4) + x / 4) * quads + k / 4];
                    let code = (word >> (8 * (x % 4) + 2 * (k % 4)) & 3) as usize;
                    let (row, column) = (2 * y + code / 2, 2 * x + code % 2);
                    let pixel = (n * case.height + row) * case.width + column;
                    pointed_to.push(values[pixel * case.outputs + k] as f32);
                }
            }
        }
    }
    pointed_to
}

/// Runs the input gradient's kernel on a gradient with respect to the output, and words of codes if the case pools.
pub fn backward_input(
    on: Setting<'_>,
    case: &Case,
    arrays: &Arrays,
    gradient: &[f32],
    words: &[u32],
) -> Result<(&'static str, Output)> {
    let Setting { gpu, workgroup_size, .. } = on;
    let input_gradient = output::<f32>(gpu, case.rows() * case.input_len())?;
    let argmax = Buffer::from_slice(gpu, "argmax", words)?;
    let arguments = BackwardInputArguments {
        shape: case.shape(),
        place: case.place(),
        steps: &second_step(gpu, case.capacity, case.samples)?,
        output_gradient: &Buffer::from_slice(gpu, "output gradient", gradient)?,
        argmax: case.pool.then_some(&argmax),
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        input: &Buffer::from_slice(gpu, "input", &arrays.input)?,
        input_gradient: &input_gradient,
    };
    let kernel = if on.naive { BackwardInput::naive } else { BackwardInput::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let found = read(gpu, &input_gradient)?;
    let used = used_part(found, case.capacity * case.input_len(), case.samples * case.input_len());
    Ok((bound.name(), used))
}

/// Compares the input gradient's kernel with its twin.
pub fn check_backward_input(on: Setting<'_>, case: &Case) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (gradient, words) = arrays.backward_inputs(case);
    let (kernel, found) = backward_input(on, case, &arrays, gradient, &words)?;
    let expected = sums(case.replicas, FACTOR, |r, number| {
        let (weights, _) = arrays.weights_and_bias(case, r);
        let input: Vec<f64> = arrays.input(case, r);
        let mut input_gradient = vec![0.0; input.len()];
        let gradient = arrays.gradient(case, r, number);
        twin::backward_input(case.twin(), &gradient, &number(weights), &input, &mut input_gradient);
        input_gradient
    });
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Runs the weight gradient's kernel; gives weights and bias of each replica. The parameters before them must be untouched.
fn backward_weights(on: Setting<'_>, case: &Case, arrays: &Arrays) -> Result<(&'static str, Output)> {
    let gpu = on.gpu;
    let place = case.place();
    let gradient = output(gpu, case.replicas * place.parameters)?;
    let (output_gradient, words) = arrays.backward_inputs(case);
    let argmax = Buffer::from_slice(gpu, "argmax", &words)?;
    let held = arrays.on_device(gpu, case)?;
    let arguments = BackwardWeightsArguments {
        shape: case.shape(),
        place,
        steps: &second_step(gpu, case.capacity, case.samples)?,
        input: held.input(),
        output_gradient: &Buffer::from_slice(gpu, "output gradient", output_gradient)?,
        argmax: case.pool.then_some(&argmax),
        gradient: &gradient,
    };
    let kernel = if on.naive { BackwardWeights::naive } else { BackwardWeights::new };
    let bound = kernel(on.workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    Ok((bound.name(), part(read(gpu, &gradient)?, place.parameters, place.weights..place.parameters)))
}

/// Compares the weight gradient's kernel with its twin.
pub fn check_backward_weights(on: Setting<'_>, case: &Case) -> Result<Report> {
    let arrays = Arrays::new(case);
    let (kernel, found) = backward_weights(on, case, &arrays)?;
    let expected = sums(case.replicas, FACTOR, |r, number| {
        let (input, gradient) = (arrays.input(case, r), arrays.gradient(case, r, number));
        let (mut weights, mut bias) = (vec![0.0; 9 * case.inputs * case.outputs], vec![0.0; case.outputs]);
        twin::backward_weights(case.twin(), &input, &gradient, &mut weights, &mut bias);
        [weights, bias].concat()
    });
    Ok(compare(kernel, case.name(), &found, &expected))
}

/// Runs all kernels of a case.
pub fn outputs(on: Setting<'_>, case: &Case) -> Result<Vec<Output>> {
    let arrays = Arrays::new(case);
    let (_, mut outputs) = forward(on, case, &arrays)?;
    if !case.images {
        let (gradient, words) = arrays.backward_inputs(case);
        outputs.push(backward_input(on, case, &arrays, gradient, &words)?.1);
    }
    outputs.push(backward_weights(on, case, &arrays)?.1);
    Ok(outputs)
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &Case| {
        if on.naive && (case.pool || case.images) {
            return Ok(Vec::new());
        }
        let mut reports = check_forward(on, case)?;
        reports.push(check_backward_weights(on, case)?);
        if !case.images {
            reports.push(check_backward_input(on, case)?);
        }
        Ok(reports)
    };
    at_every_size(settings, &cases(), |case| case.height * case.width * case.inputs * case.outputs < 3000, check)
}
