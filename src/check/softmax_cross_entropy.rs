//! Cases of `softmax_cross_entropy.loss`.

use super::comparator::{EPSILON, Expected, Report, compare, compare_exact};
use super::{Draws, Output, Setting, at_every_size, output, pairs, read, run, widen};
use crate::cpu::softmax_cross_entropy as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::softmax_cross_entropy::{BatchLoss, LOSS, Loss, LossArguments, NAIVE};

/// One batch of logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples of the step.
    pub samples: usize,
    /// Classes.
    pub classes: usize,
    /// Logits lie between minus and plus this.
    pub range: f32,
}

/// The cases that every device must pass: around the 64 invocations of the workgroup, a prime, the extreme numbers of
/// classes, logits whose exponentials would overflow, and the paper's batch.
pub fn cases() -> Vec<Case> {
    let case = |replicas, samples, classes, range| Case { replicas, samples, classes, range };
    vec![
        case(1, 1, 2, 1.0),
        case(2, 63, 3, 5.0),
        case(2, 64, 256, 5.0),
        case(2, 65, 10, 200.0),
        case(1, 997, 10, 4.0),
        case(3, 32, 10, 4.0),
        case(5, 32, 10, 0.0),
    ]
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, samples, classes, range } = self;
        format!("r{replicas}_b{samples}_c{classes}_z{range}")
    }
}

/// Seeded logits `[replica, sample, class]`, and labels with the order in which samples take them.
struct Arrays {
    logits: Vec<f32>,
    labels: Vec<u32>,
    order: Vec<u32>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.samples * 1000 + case.classes) as u32);
        let rows = case.replicas * case.samples;
        let mut logits = draws.numbers(rows * case.classes);
        logits.iter_mut().for_each(|logit| *logit *= case.range);
        let labels = draws.below(rows + 5, case.classes as u32);
        let order = draws.below(rows, (rows + 5) as u32);
        Self { logits, labels, order }
    }
}

/// Runs the case on the device: gradient `[replica, sample, class]`, mean losses and correct samples `[replica]`.
pub fn loss(on: Setting<'_>, case: &Case) -> Result<[Output; 3]> {
    let gpu = on.gpu;
    let Case { replicas, samples, classes, .. } = *case;
    let arrays = Arrays::new(case);
    let gradient = output(gpu, replicas * samples * classes)?;
    // Row 0 belongs to another step.
    let losses = output::<BatchLoss>(gpu, 2 * replicas)?;
    let arguments = LossArguments {
        replicas,
        capacity: samples,
        classes,
        steps: &Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, samples, samples, 1, 0.0)])?,
        order: &Buffer::from_slice(gpu, "order", &arrays.order)?,
        labels: &Buffer::from_slice(gpu, "labels", &arrays.labels)?,
        logits: &Buffer::from_slice(gpu, "logits", &arrays.logits)?,
        gradient: &gradient,
        losses: &losses,
    };
    let kernel = if on.naive { Loss::naive(gpu)? } else { Loss::new(gpu)? };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 0, samples))?;
    let [mean, correct] = pairs(read(gpu, &losses)?, replicas);
    Ok([read(gpu, &gradient)?, mean, correct])
}

/// Compares a case with the twin: gradient, mean loss, and correct samples.
///
/// The bound follows WGSL's accuracy rules: exp(x) is within 3 + 2|x| units in the last place and its argument within one
/// rounding of the difference, log within 2^-21 (absolute), and sums of `classes` positive terms add their roundings.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let Case { replicas, samples, classes, range } = *case;
    let kernel = if on.naive { NAIVE.name } else { LOSS.name };
    let (arrays, [gradient, mean, correct]) = (Arrays::new(case), loss(on, case)?);
    let span = f64::from(2.0 * range);
    let relative = EPSILON * (16.0 + 4.0 * span + classes as f64);
    let (mut gradients, mut means, mut corrects) = (Vec::new(), Vec::new(), Vec::new());
    for r in 0..replicas {
        let own = r * samples..(r + 1) * samples;
        let labels: Vec<u8> = arrays.order[own.clone()].iter().map(|&n| arrays.labels[n as usize] as u8).collect();
        let logits = widen(&arrays.logits[own.start * classes..own.end * classes]);
        let mut gradient = vec![0.0; logits.len()];
        let batch = twin::loss(classes, &logits, &labels, &mut gradient);
        gradients.extend(gradient.into_iter().map(|value: f64| {
            // (p - 1) / samples has the absolute error of p, which is at most 1.
            let tolerance = relative * (value.abs() + 1.0 / samples as f64);
            Expected { value, tolerance }
        }));
        let tolerance = 2f64.powi(-20) + relative * (1.0 + span / 4.0) + 8.0 * EPSILON * batch.mean;
        means.push(Expected { value: batch.mean, tolerance });
        corrects.push(batch.correct);
    }
    let name = case.name();
    Ok(vec![
        compare(kernel, format!("{name} gradient"), &gradient, &gradients),
        compare(kernel, format!("{name} mean"), &mean, &means),
        compare_exact(kernel, format!("{name} correct"), &correct, &corrects),
    ])
}

/// Checks all cases; the workgroup has one size.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    at_every_size(settings, &cases(), |_| false, check)
}
