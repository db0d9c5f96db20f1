//! Cases of `dense_stack.*`: here of the gradient, in [`step`] of whole steps.

pub mod step;

use super::OFFSET;
use super::comparator::{EPSILON, Expected, Report, compare, compare_exact};
use super::{Draws, Output, Setting, UNWRITTEN, at_every_size, bits, output, pairs, part, preset, read, run, widen};
use crate::cpu::dense_stack::{self as twin, StackShape};
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::dense_stack::{GRADIENT, Gradient, GradientArguments, NAIVE, Shape};
use crate::kernels::softmax_cross_entropy::BatchLoss;

/// Rounding errors that a number gathers on its way forward and backward, in units of the largest number of its array: each of
/// some ten sums of up to 32 terms adds a few, while one wrong term shows a thousand times as large.
const FACTOR: f64 = 16.0;
/// Images that have labels.
const IMAGES: usize = 11;

/// One step of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples in the step.
    pub samples: usize,
    /// Samples that there is room for.
    pub capacity: usize,
    /// Units of each hidden layer.
    pub units: usize,
    /// Units of the last layer.
    pub classes: usize,
    /// Hidden layers, the first included.
    pub depth: usize,
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, samples, units, classes, depth, .. } = self;
        format!("r{replicas}_b{samples}_u{units}_c{classes}_d{depth}")
    }

    fn shape(&self) -> Shape {
        let Self { replicas, capacity, units, classes, depth, .. } = *self;
        Shape { replicas, capacity, units, classes, depth }
    }

    fn twin(&self) -> StackShape {
        StackShape { units: self.units, classes: self.classes, depth: self.depth }
    }

    fn parameters_per_replica(&self) -> usize {
        OFFSET + self.twin().parameters()
    }
}

/// The cases that every device must pass: around a tile and the width of 32, batches of one and of several chunks, short
/// ones, the least depth, and the paper's network.
pub fn cases() -> Vec<Case> {
    let case = |replicas, samples, capacity, units, classes, depth| Case {
        replicas,
        samples,
        capacity,
        units,
        classes,
        depth,
    };
    vec![
        case(1, 1, 1, 1, 2, 1),
        case(2, 3, 5, 3, 4, 2),
        case(2, 5, 5, 5, 3, 3),
        case(1, 31, 32, 31, 32, 2),
        case(2, 33, 33, 32, 31, 2),
        case(2, 64, 70, 32, 32, 3),
        case(3, 67, 70, 17, 13, 2),
        case(3, 32, 32, 30, 10, 6),
        case(3, 16, 32, 30, 10, 6),
    ]
}

/// Seeded arrays.
struct Arrays {
    parameters: Vec<f32>,
    activations: Vec<f32>,
    labels: Vec<u32>,
    order: Vec<u32>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.samples * 1000 + case.units) as u32);
        // As wide as He's initial weights, so that activations neither vanish nor grow from layer to layer.
        let scale = (6.0 / case.units as f32).sqrt();
        let mut parameters = draws.numbers(case.replicas * case.parameters_per_replica());
        parameters.iter_mut().for_each(|parameter| *parameter *= scale);
        let mut activations = draws.numbers(case.replicas * case.capacity * case.units);
        // As after a ReLU: half of it is exactly 0.
        activations.iter_mut().for_each(|x| *x = x.max(0.0));
        Self {
            parameters,
            activations,
            labels: draws.below(IMAGES, case.classes as u32),
            order: draws.below(case.replicas * case.capacity, IMAGES as u32),
        }
    }
}

/// Runs the case on the device: the gradient with respect to the first layer's output `[replica, sample, unit]`, samples
/// without room are guard; that of the parameters `[replica, parameter]`, without those before the stack; mean losses and
/// correct samples `[replica]`.
pub fn gradient(on: Setting<'_>, case: &Case) -> Result<[Output; 4]> {
    let Setting { gpu, workgroup_size, .. } = on;
    let (arrays, shape) = (Arrays::new(case), case.shape());
    let (samples, stride) = (case.samples, case.parameters_per_replica());
    let mut all = bits(&arrays.activations);
    let inputs = all.len();
    all.resize(shape.activations(), UNWRITTEN);
    let activations = preset(gpu, &all)?;
    let gradient = output(gpu, case.replicas * stride)?;
    // Row 0 belongs to another step.
    let losses = output::<BatchLoss>(gpu, 2 * case.replicas)?;
    let arguments = GradientArguments {
        shape,
        parameters_per_replica: stride,
        first: OFFSET,
        steps: &Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, case.capacity, samples, 1, 0.0)])?,
        order: &Buffer::from_slice(gpu, "order", &arrays.order)?,
        labels: &Buffer::from_slice(gpu, "labels", &arrays.labels)?,
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        activations: &activations,
        gradient: &gradient,
        losses: &losses,
    };
    let kernel = if on.naive { Gradient::naive(gpu)? } else { Gradient::new(gpu, workgroup_size)? };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 0, samples))?;
    let mut found = read(gpu, &activations)?;
    let mut kept = Vec::new();
    let room = case.capacity * case.units;
    for (found, before) in found.bits[..inputs].chunks_exact(room).zip(arrays.activations.chunks_exact(room)) {
        let (own, rest) = found.split_at(samples * case.units);
        kept.extend_from_slice(own);
        // Where there is no sample nothing is written; scratch may hold anything.
        if rest != bits(&before[samples * case.units..]) {
            // No case expects this element.
            kept.push(UNWRITTEN);
        }
    }
    found.bits = kept;
    let [mean, correct] = pairs(read(gpu, &losses)?, case.replicas);
    Ok([found, part(read(gpu, &gradient)?, stride, OFFSET..stride), mean, correct])
}

/// Compares a case with the twin. A unit or a ReLU that rounds to the other side of 0 would show as a large difference;
/// the seeded cases have none.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let (arrays, found) = (Arrays::new(case), gradient(on, case)?);
    let (mut activations, mut gradients, mut means, mut corrects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let expected = |values: &[f64]| {
        let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let expected = |&value: &f64| Expected { value, tolerance: FACTOR * EPSILON * largest };
        values.iter().map(expected).collect::<Vec<_>>()
    };
    for r in 0..case.replicas {
        let rows = r * case.capacity;
        let own = &arrays.order[rows..rows + case.samples];
        let labels: Vec<u8> = own.iter().map(|&image| arrays.labels[image as usize] as u8).collect();
        let stride = case.parameters_per_replica();
        let parameters = widen(&arrays.parameters[r * stride + OFFSET..(r + 1) * stride]);
        let mut values = widen(&arrays.activations[rows * case.units..(rows + case.samples) * case.units]);
        let mut gradient = vec![0.0; parameters.len()];
        let loss = twin::gradient(case.twin(), &parameters, &labels, &mut values, &mut gradient);
        activations.extend(expected(&values));
        gradients.extend(expected(&gradient));
        means.push(Expected { value: loss.mean, tolerance: 2f64.powi(-20) + FACTOR * EPSILON * (1.0 + loss.mean) });
        corrects.push(loss.correct);
    }
    let (kernel, name) = (if on.naive { NAIVE.name } else { GRADIENT.name }, case.name());
    Ok(vec![
        compare(kernel, format!("{name} activations"), &found[0], &activations),
        compare(kernel, format!("{name} gradient"), &found[1], &gradients),
        compare(kernel, format!("{name} mean"), &found[2], &means),
        compare_exact(kernel, format!("{name} correct"), &found[3], &corrects),
    ])
}

/// Checks all cases.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let mut reports = at_every_size(settings, &cases(), |_| true, check)?;
    reports.extend(step::all(settings)?);
    Ok(reports)
}
