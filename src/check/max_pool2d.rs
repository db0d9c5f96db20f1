//! Cases of `max_pool2d.*`, and how codes are packed into words.

use super::{Draws, Output, Report, Setting, at_every_size, bits, exact, output, read, run, second_step, used_part};
use crate::cpu::max_pool2d::{self as twin, PoolShape};
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::max_pool2d::{
    BACKWARD, Backward, BackwardArguments, FORWARD, Forward, ForwardArguments, NAIVE, Shape, argmax_len,
};

/// One application of a pooling.
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
    /// Channels.
    pub channels: usize,
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, samples, height, width, channels, .. } = self;
        format!("r{replicas}_b{samples}_c{channels}_{height}x{width}")
    }

    /// The case as the wrapper knows it.
    pub fn shape(&self) -> Shape {
        let Self { replicas, capacity, height, width, channels, .. } = *self;
        Shape { replicas, capacity, height, width, channels }
    }

    /// All of the module of all replicas, as the twin knows it.
    fn twin(&self) -> PoolShape {
        let Self { replicas, capacity, height, width, channels, .. } = *self;
        PoolShape { samples: replicas * capacity, height, width, channels }
    }

    fn input_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn output_len(&self) -> usize {
        self.height / 2 * (self.width / 2) * self.channels
    }

    fn words(&self) -> usize {
        argmax_len(Shape { replicas: 1, capacity: 1, ..self.shape() })
    }
}

/// The cases that every device must pass: odd sides, around four pooled pixels and four channels, and a short batch.
pub fn cases() -> Vec<Case> {
    let case = |replicas, samples, capacity, height, width, channels| Case {
        replicas,
        samples,
        capacity,
        height,
        width,
        channels,
    };
    vec![
        case(1, 1, 1, 2, 2, 1),
        case(2, 3, 4, 9, 9, 3),
        case(2, 2, 2, 8, 11, 4),
        case(3, 2, 3, 11, 8, 5),
        case(2, 4, 4, 28, 28, 8),
        case(1, 2, 2, 7, 33, 13),
        case(1, 1, 1, 20, 20, 64),
    ]
}

/// Packs codes `[sample, y, x, channel]` into words.
pub fn pack(shape: Shape, codes: &[u8]) -> Vec<u32> {
    let (width, quads) = (shape.width / 2, shape.channels.div_ceil(4));
    let mut words = vec![0; argmax_len(shape)];
    for (place, &code) in codes.iter().enumerate() {
        let (pixel, channel) = (place / shape.channels, place % shape.channels);
        let (line, x) = (pixel / width, pixel % width);
        let word = (line * width.div_ceil(4) + x / 4) * quads + channel / 4;
        words[word] |= u32::from(code) << (8 * (x % 4) + 2 * (channel % 4));
    }
    words
}

/// Arrays of a case: inputs with many ties, gradients, and codes.
struct Arrays {
    input: Vec<f32>,
    output_gradient: Vec<f32>,
    codes: Vec<u8>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.input_len() * 100 + case.samples) as u32);
        let samples = case.replicas * case.capacity;
        let input = draws.below(samples * case.input_len(), 5);
        Self {
            input: input.into_iter().map(|value| value as f32 - 1.0).collect(),
            output_gradient: draws.numbers(samples * case.output_len()),
            codes: draws.below(samples * case.output_len(), 4).into_iter().map(|code| code as u8).collect(),
        }
    }
}

/// Runs `max_pool2d.forward` on `input`: values and words of codes.
pub fn forward(on: Setting<'_>, case: &Case, input: &[f32]) -> Result<[Output; 2]> {
    let Setting { gpu, workgroup_size, .. } = on;
    let samples = case.replicas * case.capacity;
    let values = output::<f32>(gpu, samples * case.output_len())?;
    let argmax = output::<u32>(gpu, argmax_len(case.shape()))?;
    let arguments = ForwardArguments {
        shape: case.shape(),
        steps: &second_step(gpu, case.capacity, case.samples)?,
        input: &Buffer::from_slice(gpu, "input", input)?,
        output: &values,
        argmax: &argmax,
    };
    let kernel = if on.naive { Forward::naive } else { Forward::new };
    let bound = kernel(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let used = |found, len| used_part(found, case.capacity * len, case.samples * len);
    Ok([used(read(gpu, &values)?, case.output_len()), used(read(gpu, &argmax)?, case.words())])
}

/// Runs `max_pool2d.backward` on a gradient and words of codes.
pub fn backward(on: Setting<'_>, case: &Case, output_gradient: &[f32], words: &[u32]) -> Result<Output> {
    let Setting { gpu, workgroup_size, .. } = on;
    let input_gradient = output::<f32>(gpu, case.replicas * case.capacity * case.input_len())?;
    let arguments = BackwardArguments {
        shape: case.shape(),
        steps: &second_step(gpu, case.capacity, case.samples)?,
        output_gradient: &Buffer::from_slice(gpu, "output gradient", output_gradient)?,
        argmax: &Buffer::from_slice(gpu, "argmax", words)?,
        input_gradient: &input_gradient,
    };
    let bound = Backward::new(workgroup_size).bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 1, case.samples))?;
    let found = read(gpu, &input_gradient)?;
    Ok(used_part(found, case.capacity * case.input_len(), case.samples * case.input_len()))
}

/// What the twins expect of the samples of the step, replica by replica.
fn used_of<T: Clone>(case: &Case, all: &[T], len: usize) -> Vec<T> {
    all.chunks_exact(case.capacity * len).flat_map(|replica| replica[..case.samples * len].to_vec()).collect()
}

/// Compares both kernels with their twins: nothing is rounded, so everything is equal.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let arrays = Arrays::new(case);
    let (mut values, mut codes) = (vec![0.0f32; arrays.output_gradient.len()], vec![0; arrays.codes.len()]);
    twin::forward(case.twin(), &arrays.input, &mut values, &mut codes);
    let mut gradient = vec![0.0f32; arrays.input.len()];
    twin::backward(case.twin(), &arrays.output_gradient, &arrays.codes, &mut gradient);
    let words = pack(case.shape(), &codes);
    let [found_values, found_words] = forward(on, case, &arrays.input)?;
    let found_gradient = backward(on, case, &arrays.output_gradient, &pack(case.shape(), &arrays.codes))?;
    let arrays = [
        ("values", found_values, bits(&used_of(case, &values, case.output_len()))),
        ("codes", found_words, used_of(case, &words, case.words())),
    ];
    let mut reports = exact(if on.naive { NAIVE.name } else { FORWARD.name }, &case.name(), arrays);
    let gradient = [("gradient", found_gradient, bits(&used_of(case, &gradient, case.input_len())))];
    reports.extend(exact(BACKWARD.name, &case.name(), gradient));
    Ok(reports)
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    at_every_size(settings, &cases(), |case| case.height < 20, check)
}
