//! Cases of `focus_sweep.evaluate`.

use super::OFFSET;
use super::comparator::{EPSILON, Expected, Report, compare, compare_exact};
use super::{Draws, Output, Setting, at_every_size, output, pairs, read, run, widen};
use crate::cpu::focus_sweep::{self as twin, SweepShape};
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::focus_sweep::{BlockLoss, EVALUATE, Evaluate, EvaluateArguments, NAIVE, ParameterOffsets};

/// Some pruned networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas.
    pub replicas: usize,
    /// Pruned networks; point `i` belongs to replica `i % replicas` and keeps fewer weights the larger `i` is.
    pub points: usize,
    /// Samples of the step.
    pub samples: usize,
    /// Units before the focus layer.
    pub inputs: usize,
    /// Units of the focus layer.
    pub units: usize,
    /// Classes.
    pub classes: usize,
}

/// The cases that every device must pass: around the samples of an invocation and of a workgroup, a prime, a layer so wide
/// that a workgroup has a few invocations, layers that narrow and widen, and the paper's.
pub fn cases() -> Vec<Case> {
    let case = |replicas, points, samples, [inputs, units]: [usize; 2], classes| Case {
        replicas,
        points,
        samples,
        inputs,
        units,
        classes,
    };
    vec![
        case(1, 1, 1, [1, 1], 2),
        case(2, 3, 5, [4, 4], 3),
        case(1, 2, 127, [30, 30], 10),
        case(2, 2, 128, [30, 30], 10),
        case(3, 7, 129, [30, 30], 10),
        case(1, 2, 257, [31, 31], 256),
        case(1, 1, 37, [300, 300], 5),
        case(2, 3, 33, [40, 20], 10),
        case(1, 2, 31, [9, 35], 3),
    ]
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, points, samples, inputs, units, classes } = self;
        format!("r{replicas}_p{points}_n{samples}_{inputs}x{units}x{classes}")
    }

    pub(super) fn place(&self) -> ParameterOffsets {
        let focus_bias = OFFSET + self.inputs * self.units;
        let output_weights = focus_bias + self.units;
        let output_bias = output_weights + self.units * self.classes;
        let parameters = output_bias + self.classes;
        ParameterOffsets { parameters, focus_weights: OFFSET, focus_bias, output_weights, output_bias }
    }
}

/// Seeded arrays of a case.
pub(super) struct Arrays {
    /// `[replica, sample, unit]`
    pub(super) input: Vec<f32>,
    /// `[sample]`
    pub(super) labels: Vec<u32>,
    /// `[replica, parameter]`
    pub(super) parameters: Vec<f32>,
    /// `[point, in, word]`
    pub(super) masks: Vec<Vec<u32>>,
}

impl Arrays {
    pub(super) fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.inputs * 1000 + case.samples) as u32);
        let weight_count = case.inputs * case.units;
        let mut input = draws.numbers(case.replicas * case.samples * case.inputs);
        input.iter_mut().for_each(|x| *x = x.max(0.0));
        let dropped = draws.below(case.points * weight_count, case.points as u32 + 1);
        let mask = |(point, dropped): (usize, &[u32])| {
            twin::pack(case.units, &dropped.iter().map(|&dropped| dropped as usize >= point).collect::<Vec<_>>())
        };
        let masks = dropped.chunks_exact(weight_count).enumerate().map(mask).collect();
        let parameters = draws.numbers(case.replicas * case.place().parameters);
        Self { input, labels: draws.below(case.samples, case.classes as u32), parameters, masks }
    }
}

/// Sums of losses and correct samples `[point, block]` of the case on the device, and the samples of a block.
pub fn evaluate(on: Setting<'_>, case: &Case) -> Result<([Output; 2], usize)> {
    let (gpu, arrays) = (on.gpu, Arrays::new(case));
    let kernel = if on.naive { Evaluate::naive } else { Evaluate::new }(gpu, [case.inputs, case.units])?;
    let blocks = case.samples.div_ceil(kernel.block());
    let losses = output::<BlockLoss>(gpu, case.points * blocks)?;
    let point_replica: Vec<u32> = (0..case.points).map(|point| (point % case.replicas) as u32).collect();
    let arguments = EvaluateArguments {
        replicas: case.replicas,
        capacity: case.samples,
        classes: case.classes,
        place: case.place(),
        blocks,
        steps: &Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 0, case.samples, 0, 0.0)])?,
        labels: &Buffer::from_slice(gpu, "labels", &arrays.labels)?,
        input: &Buffer::from_slice(gpu, "input", &arrays.input)?,
        parameters: &Buffer::from_slice(gpu, "parameters", &arrays.parameters)?,
        masks: &Buffer::from_slice(gpu, "masks", &arrays.masks.concat())?,
        point_replica: &Buffer::from_slice(gpu, "point replicas", &point_replica)?,
        losses: &losses,
    };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 0, case.samples))?;
    Ok((pairs(read(gpu, &losses)?, 0), kernel.block()))
}

/// Compares a case with the twin, block by block.
///
/// A logit is a sum of products whose terms are below 1 x `inputs`; the softmax adds the roundings of
/// [`super::softmax_cross_entropy::check`], here with a moving maximum.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let (found, block) = evaluate(on, case)?;
    Ok(reports(if on.naive { NAIVE.name } else { EVALUATE.name }, case, &found, block))
}

/// Compares sums and numbers of correct samples `[point, block]` with the twin's.
pub(super) fn reports(kernel: &'static str, case: &Case, found: &[Output; 2], block: usize) -> Vec<Report> {
    let Case { replicas, samples, inputs, units, classes, .. } = *case;
    let arrays = Arrays::new(case);
    let [sums, corrects] = found;
    let place = case.place();
    let (mut expected, mut expected_correct) = (Vec::new(), Vec::new());
    for (point, mask) in arrays.masks.iter().enumerate() {
        let r = point % replicas;
        let own = widen(&arrays.parameters[r * place.parameters..(r + 1) * place.parameters]);
        for first in (0..samples).step_by(block) {
            let rows = first..(first + block).min(samples);
            let input = &arrays.input[(r * samples + rows.start) * inputs..(r * samples + rows.end) * inputs];
            let labels: Vec<u8> = arrays.labels[rows.clone()].iter().map(|&label| label as u8).collect();
            let shape = SweepShape { samples: rows.len(), inputs, units, classes };
            let (sum, correct) = twin::evaluate(
                shape,
                &widen(input),
                &own[place.focus_weights..place.focus_bias],
                mask,
                &own[place.focus_bias..place.output_weights],
                &own[place.output_weights..place.output_bias],
                &own[place.output_bias..],
                &labels,
            );
            // Hidden units are below inputs / 2, logits below a quarter of inputs x units times a weight's mean square.
            let logit = 0.1 * (inputs * units) as f64 + 2.0;
            let each = 2f64.powi(-20) + EPSILON * (8.0 * logit + classes as f64);
            expected.push(Expected { value: sum, tolerance: rows.len() as f64 * each + 8.0 * EPSILON * sum });
            expected_correct.push(correct);
        }
    }
    let name = case.name();
    vec![
        compare(kernel, format!("{name} losses"), sums, &expected),
        compare_exact(kernel, format!("{name} correct"), corrects, &expected_correct),
    ]
}

/// Checks all cases; a workgroup is as large as the width allows.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    // The naive kernel has all loops in one invocation, and drivers may cut long ones short.
    let check =
        |on: Setting<'_>, case: &Case| if on.naive && case.units > 100 { Ok(Vec::new()) } else { check(on, case) };
    at_every_size(settings, &cases(), |_| false, check)
}
