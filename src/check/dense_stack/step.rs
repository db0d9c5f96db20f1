//! Cases of `dense_stack.step` and its variants.

use super::super::comparator::{EPSILON, Expected, Report, compare, compare_exact};
use super::super::{Draws, Output, Setting, at_every_size, bits, output, pairs, preset, read, run, widen};
use super::FACTOR;
use crate::check::{OFFSET, SCALE};
use crate::cpu::adam::{BETA1, BETA2, EPSILON as ADAM_EPSILON, Masked, corrected_rate};
use crate::cpu::dense;
use crate::cpu::dense_stack::{self as twin, StackShape, Trained};
use crate::cpu::mask::KEPT;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::dense::ImageShape;
use crate::kernels::dense_stack::{
    LaunchStep, Launches, Reads, Residency, STEP, STEP_FEATURES, Sample, Step, StepArguments, StepInput, StepShape,
};
use crate::kernels::softmax_cross_entropy::BatchLoss;
use std::ops::Range;

/// Images that samples are drawn from.
const IMAGES: usize = 11;
/// What decaying weights are multiplied by.
const DECAY: f32 = 0.875;
/// Adam steps before the first.
const STEPS_BEFORE: u64 = 1000;

/// Some steps of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Samples of each step.
    pub steps: &'static [usize],
    /// Steps of a launch.
    pub steps_a_launch: usize,
    /// Samples that there is room for.
    pub capacity: usize,
    /// What layer 0 reads.
    pub reads: Reads,
    /// Rows of an image and numbers of a row, columns x channels; features are one row.
    pub image: [usize; 2],
    /// Units of each hidden layer.
    pub units: usize,
    /// Units of the last layer.
    pub classes: usize,
    /// Hidden layers, the first included.
    pub depth: usize,
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, steps_a_launch, image: [height, width], units, classes, depth, .. } = self;
        let steps: Vec<String> = self.steps.iter().map(usize::to_string).collect();
        let steps = steps.join("+");
        format!("r{replicas}_b{steps}_k{steps_a_launch}_{height}x{width}_u{units}_c{classes}_d{depth}")
    }

    fn kernel(&self) -> &'static str {
        match self.reads {
            Reads::Images => STEP.name,
            Reads::Features => STEP_FEATURES.name,
        }
    }

    fn inputs(&self) -> usize {
        self.image[0] * self.image[1]
    }

    fn stack(&self) -> StackShape {
        StackShape { units: self.units, classes: self.classes, depth: self.depth }
    }

    fn parameters(&self) -> usize {
        OFFSET + (self.inputs() + 1) * self.units + self.stack().parameters()
    }

    fn shape(&self) -> StepShape {
        let Self { replicas, capacity, image: [height, width], units, classes, depth, .. } = *self;
        StepShape {
            replicas,
            capacity,
            reads: self.reads,
            input: ImageShape { height, width },
            scale: if self.reads == Reads::Images { SCALE } else { 1.0 },
            units,
            classes,
            depth,
            parameters: self.parameters(),
            first: OFFSET,
            mask_offset: OFFSET + self.masked().start,
            masked: self.masked().len(),
        }
    }

    /// What the mask covers, without the parameters before the stack: the last hidden layer of two replicas, of others the
    /// whole stack.
    fn masked(&self) -> Range<usize> {
        let focus = (self.inputs() + 1) * self.units + (self.depth - 2) * (self.units + 1) * self.units;
        if self.replicas == 2 { focus..focus + self.units * self.units } else { 0..self.parameters() - OFFSET }
    }

    /// Whether a parameter is a bias, without those before the stack.
    fn is_bias(&self, index: usize) -> bool {
        let (first, later) = (self.inputs() * self.units, (self.units + 1) * self.units);
        match index.checked_sub(first + self.units) {
            None => index >= first,
            Some(index) if index < (self.depth - 1) * later => index % later >= self.units * self.units,
            Some(index) => index - (self.depth - 1) * later >= self.units * self.classes,
        }
    }

    fn all_samples(&self) -> usize {
        self.steps.iter().sum()
    }
}

/// The cases that every device must pass: around a word, a tile and the width of 32, short batches and those of several
/// chunks, one and several steps, and the paper's networks.
pub fn cases() -> Vec<Case> {
    let case = |replicas, steps: &'static [usize], capacity, image, units, classes, depth| Case {
        replicas,
        steps,
        steps_a_launch: steps.len(),
        capacity,
        reads: Reads::Images,
        image,
        units,
        classes,
        depth,
    };
    let features = |replicas, steps, capacity, features, units, classes, depth| Case {
        reads: Reads::Features,
        ..case(replicas, steps, capacity, [1, features], units, classes, depth)
    };
    vec![
        case(1, &[1], 1, [1, 1], 1, 2, 2),
        case(2, &[3, 2], 5, [2, 3], 3, 4, 2),
        case(2, &[5], 5, [3, 5], 5, 3, 3),
        case(1, &[31, 4], 32, [4, 4], 31, 32, 2),
        case(2, &[33], 33, [5, 6], 32, 31, 2),
        case(2, &[64, 7, 33], 70, [3, 9], 32, 32, 3),
        case(3, &[67], 70, [9, 7], 17, 13, 2),
        case(3, &[32, 32, 32, 32, 9], 32, [12, 12], 30, 10, 6),
        case(2, &[32], 32, [28, 28], 30, 10, 6),
        // Three channels: 5 x 5 pixels are rows of 15 numbers.
        case(2, &[9, 4], 10, [5, 15], 12, 4, 3),
        features(1, &[1], 1, 1, 1, 2, 2),
        features(2, &[7], 9, 33, 5, 3, 2),
        features(2, &[32], 32, 72, 30, 10, 6),
        features(3, &[45], 50, 65, 32, 32, 3),
    ]
}

/// What the kernel changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// Parameters, m and v, each `[replica, parameter]` with those before the stack.
    pub trained: [Output; 3],
    /// Mean losses `[step, replica]`.
    pub mean: Output,
    /// Correct samples `[step, replica]`.
    pub correct: Output,
    /// Gradient with respect to the features `[replica, sample, feature]`, nothing for images; samples without room are
    /// guard.
    pub features: Output,
}

/// Seeded arrays.
struct Arrays {
    parameters: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
    mask: Vec<u32>,
    images: Vec<u8>,
    features: Vec<f32>,
    /// Image and label of each sample `[replica, sample]`.
    samples: Vec<(u32, u32)>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new((case.all_samples() * 1000 + case.units) as u32);
        let all = case.replicas * case.parameters();
        let mut parameters = draws.numbers(all);
        // As wide as He's initial weights, so that activations neither vanish nor grow from layer to layer.
        let first = OFFSET + (case.inputs() + 1) * case.units;
        let scale = |fan_in: usize| (6.0 / fan_in as f32).sqrt();
        for own in parameters.chunks_exact_mut(case.parameters()) {
            own[..first].iter_mut().for_each(|parameter| *parameter *= scale(case.inputs()));
            own[first..].iter_mut().for_each(|parameter| *parameter *= scale(case.units));
        }
        let labels = draws.below(IMAGES, case.classes as u32);
        let order = draws.below(case.replicas * case.all_samples(), IMAGES as u32);
        // As after a ReLU: half of them are exactly 0.
        let features = draws.numbers(case.replicas * case.capacity * case.inputs());
        let features = features.into_iter().map(|x| x.max(0.0)).collect();
        Self {
            parameters,
            m: draws.numbers(all).into_iter().map(|u| 0.1 * u).collect(),
            v: draws.numbers(all).into_iter().map(|u| 1e-4 + 1e-2 * u.abs()).collect(),
            mask: (0..case.replicas)
                .flat_map(|_| case.masked())
                .zip(draws.below(case.replicas * case.masked().len(), 3))
                .map(|(index, state)| if case.is_bias(index) { KEPT } else { state })
                .collect(),
            images: draws.below(IMAGES * case.inputs(), 256).into_iter().map(|pixel| pixel as u8).collect(),
            features,
            samples: order.into_iter().map(|image| (image, labels[image as usize])).collect(),
        }
    }

    /// Samples `[replica, sample]` of a part of all steps.
    fn part(&self, case: &Case, first: usize, count: usize) -> Vec<Sample> {
        let own = self.samples.chunks_exact(case.all_samples());
        own.flat_map(|own| &own[first..first + count]).map(|&(image, label)| Sample::new(image, label)).collect()
    }
}

/// Runs the case on the device.
pub fn step(on: Setting<'_>, case: &Case) -> Result<Outputs> {
    let Setting { gpu, workgroup_size, .. } = on;
    let (arrays, shape) = (Arrays::new(case), case.shape());
    let mut launches =
        Launches::new(gpu, &shape, DECAY, case.steps_a_launch, case.steps.len().div_ceil(case.steps_a_launch))?;
    let (mut start, mut step) = (0, 0);
    for part in case.steps.chunks(case.steps_a_launch) {
        let mut first = 0;
        let mut steps = Vec::new();
        for &samples in part {
            // Row 0 belongs to another step.
            steps.push(LaunchStep::new(first, samples, step + 1, rate(step)));
            (first, step) = (first + samples, step + 1);
        }
        // Of two launches only the first one brings weights and moments, and only the second one puts them back.
        let launch = launches.written();
        let moves = Residency { enters: launch % 2 == 0, leaves: launch % 2 == 1 || step == case.steps.len() };
        launches.push(gpu, moves, &steps, arrays.part(case, start, first).into_iter())?;
        start += first;
    }
    let trained = [&arrays.parameters, &arrays.m, &arrays.v].map(|array| preset(gpu, &bits(array)));
    let [parameters, m, v] = trained;
    let (parameters, m, v) = (parameters?, m?, v?);
    let scratch = output(gpu, shape.scratch())?;
    let losses = output::<BatchLoss>(gpu, (case.steps.len() + 1) * case.replicas)?;
    let images = Buffer::from_slice(gpu, "images", &shape.input.pack(&arrays.images))?;
    let features = preset(gpu, &bits(&arrays.features))?;
    let arguments = StepArguments {
        launches: &launches,
        input: match case.reads {
            Reads::Images => StepInput::Images(&images),
            Reads::Features => StepInput::Features(&features),
        },
        mask: &Buffer::from_slice(gpu, "mask", &arrays.mask)?,
        parameters: &parameters,
        m: &m,
        v: &v,
        scratch: &scratch,
        losses: &losses,
    };
    let bound = Step::new(gpu, workgroup_size, case.reads)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| {
        (0..launches.written()).try_for_each(|launch| bound.record(recorder, &launches, launch as u32))
    })?;
    let [mut mean, correct] = pairs(read(gpu, &losses)?, case.replicas);
    mean.guard.extend(read(gpu, &scratch)?.guard);
    let (room, used) = (case.capacity * case.inputs(), case.steps[0] * case.inputs());
    let mut gradient = Output { guard: read(gpu, &features)?.guard, bits: Vec::new() };
    if case.reads == Reads::Features {
        let all = read(gpu, &features)?.bits;
        for (found, before) in all.chunks_exact(room).zip(arrays.features.chunks_exact(room)) {
            gradient.bits.extend_from_slice(&found[..used]);
            // Where there is no sample nothing is written.
            if found[used..] != bits(&before[used..]) {
                gradient.guard.push(0);
            }
        }
    }
    Ok(Outputs {
        trained: [read(gpu, &parameters)?, read(gpu, &m)?, read(gpu, &v)?],
        mean,
        correct,
        features: gradient,
    })
}

fn rate(step: usize) -> f32 {
    corrected_rate(STEPS_BEFORE + 1 + step as u64) as f32
}

/// What the twin expects of one replica.
#[derive(Default)]
struct Replica {
    trained: [Vec<Expected>; 3],
    mean: Vec<Expected>,
    correct: Vec<u32>,
    features: Vec<Expected>,
}

impl Replica {
    /// Runs all steps on the twin, and follows what rounding may have done to each parameter and its moments.
    ///
    /// A gradient's error is that of `dense_stack.gradient`, and more for the longer sums of layer 0. m and v add a share of
    /// it to what they had, and three roundings. The update divides the error of m by sqrt(v) + epsilon and adds that of the
    /// root (half of v's, and 2.5 units) and of the division (2.5 units).
    fn new(case: &Case, arrays: &Arrays, r: usize) -> Self {
        let (stride, masked) = (case.parameters(), case.masked());
        let own = |array: &[f32]| widen(&array[r * stride..(r + 1) * stride]);
        let (mut parameters, mut m, mut v) = (own(&arrays.parameters), own(&arrays.m), own(&arrays.v));
        let mask = &arrays.mask[r * masked.len()..(r + 1) * masked.len()];
        let mut tolerances = [(); 3].map(|()| vec![0.0; stride]);
        let mut found = Self::default();
        let mut samples = &arrays.samples[r * case.all_samples()..];
        for (step, &count) in case.steps.iter().enumerate() {
            let (batch, later) = samples.split_at(count);
            samples = later;
            let images: Vec<u32> = batch.iter().map(|&(image, _)| image).collect();
            let labels: Vec<u8> = batch.iter().map(|&(_, label)| label as u8).collect();
            let mut input = vec![0.0; count * case.inputs()];
            match case.reads {
                Reads::Images => dense::gather(case.inputs(), &arrays.images, &images, f64::from(SCALE), &mut input),
                Reads::Features => {
                    let first = r * case.capacity * case.inputs();
                    input = widen(&arrays.features[first..first + input.len()]);
                }
            }
            let rate = f64::from(rate(step));
            let held = Masked { offset: masked.start, mask, decay: f64::from(DECAY) };
            let before = [&m, &v].map(Clone::clone);
            let trained = Trained { parameters: &mut parameters[OFFSET..], m: &mut m[OFFSET..], v: &mut v[OFFSET..] };
            let (loss, gradient) = twin::step(case.stack(), &mut input, &labels, rate, held, trained);
            let factor = FACTOR + case.inputs() as f64 / 16.0;
            let error = factor * EPSILON * gradient.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
            for (i, g) in (OFFSET..).zip(&gradient) {
                let [of_parameter, of_m, of_v] = tolerances.each_mut().map(|array| &mut array[i]);
                let (m_sum, v_sum) = (BETA1 * before[0][i].abs() + 0.1 * g.abs(), v[i]);
                *of_m = BETA1 * *of_m + 0.1 * error + 4.0 * EPSILON * m_sum;
                *of_v = BETA2 * *of_v + 0.001 * (2.0 * g.abs() + error) * error + 4.0 * EPSILON * v_sum;
                let root = v_sum.sqrt() + ADAM_EPSILON;
                let of_update = *of_m / root + m_sum * *of_v / (2.0 * v_sum.sqrt() * root * root);
                *of_parameter += rate * of_update + EPSILON * (parameters[i].abs() + 16.0 * rate * m_sum / root);
            }
            for (weight_index, _) in mask.iter().enumerate().filter(|(_, state)| **state == 0) {
                tolerances.iter_mut().for_each(|array| array[OFFSET + masked.start + weight_index] = 0.0);
            }
            let tolerance = 2f64.powi(-20) + factor * EPSILON * (1.0 + loss.mean);
            found.mean.push(Expected { value: loss.mean, tolerance });
            found.correct.push(loss.correct);
            if case.reads == Reads::Features {
                let error = factor * EPSILON * input.iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
                found.features.extend(input.iter().map(|&value| Expected { value, tolerance: error }));
            }
        }
        for ((found, values), tolerances) in found.trained.iter_mut().zip([parameters, m, v]).zip(tolerances) {
            let expected = values.into_iter().zip(tolerances);
            found.extend(expected.map(|(value, tolerance)| Expected { value, tolerance }));
        }
        found
    }
}

/// Compares a case with the twin.
pub fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let arrays = Arrays::new(case);
    let found = step(on, case)?;
    let replicas: Vec<Replica> = (0..case.replicas).map(|r| Replica::new(case, &arrays, r)).collect();
    let (kernel, name) = (case.kernel(), case.name());
    let mut reports = Vec::new();
    for (array, (label, found)) in ["parameters", "m", "v"].iter().zip(&found.trained).enumerate() {
        let expected: Vec<Expected> = replicas.iter().flat_map(|replica| replica.trained[array].clone()).collect();
        reports.push(compare(kernel, format!("{name} {label}"), found, &expected));
    }
    let steps = 0..case.steps.len();
    let by_step = |step: usize| replicas.iter().map(move |replica| (replica.mean[step], replica.correct[step]));
    let (means, corrects): (Vec<Expected>, Vec<u32>) = steps.flat_map(by_step).unzip();
    reports.push(compare(kernel, format!("{name} mean"), &found.mean, &means));
    reports.push(compare_exact(kernel, format!("{name} correct"), &found.correct, &corrects));
    if case.reads == Reads::Features {
        let expected: Vec<Expected> = replicas.iter().flat_map(|replica| replica.features.clone()).collect();
        reports.push(compare(kernel, format!("{name} features"), &found.features, &expected));
    }
    Ok(reports)
}

/// Checks all cases.
pub(super) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &Case| if on.naive { Ok(Vec::new()) } else { check(on, case) };
    at_every_size(settings, &cases(), |_| true, check)
}
