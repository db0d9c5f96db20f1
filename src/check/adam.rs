//! Cases of `adam.step`.

use super::comparator::{EPSILON, Expected, Report, compare};
use super::{Draws, Setting, at_every_size, bits, magnitudes, preset, read, run, widen};
use crate::cpu::adam as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::adam::{Step, StepArguments};
use std::ops::Range;

/// Factor of the tolerance of m and v: three roundings.
const FACTOR: f64 = 4.0;

/// One step.
struct Case {
    replicas: usize,
    parameters: usize,
    /// How many of them are updated.
    updated: usize,
    /// Which of them the mask covers.
    masked: Range<usize>,
    /// Number of the step, from 1.
    t: u64,
    decay: f32,
}

impl Case {
    fn name(&self) -> String {
        let Self { replicas, parameters, updated, t, .. } = self;
        format!("r{replicas}_n{updated}of{parameters}_t{t}")
    }
}

/// The cases that every device must pass: around the workgroup, a prime, a mask at either end, the paper's network, and the
/// first parameters only.
/// Masks hold all three states.
fn cases() -> Vec<Case> {
    let case =
        |replicas, parameters, masked, t| Case { replicas, parameters, updated: parameters, masked, t, decay: 0.875 };
    vec![
        case(1, 1, 0..1, 1),
        case(2, 63, 0..5, 1),
        case(2, 64, 60..64, 2),
        case(2, 65, 7..7, 3),
        case(3, 997, 11..90, 1000),
        case(3, 28_510, 27_270..28_170, 281_250),
        Case { updated: 70, ..case(2, 149, 60..90, 5) },
        Case { updated: 70, ..case(2, 149, 80..90, 5) },
    ]
}

/// Seeded state before the step.
struct Arrays {
    gradient: Vec<f32>,
    mask: Vec<u32>,
    parameters: Vec<f32>,
    m: Vec<f32>,
    v: Vec<f32>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let mut draws = Draws::new(case.parameters as u32);
        let all = case.replicas * case.parameters;
        Self {
            gradient: draws.numbers(all),
            mask: draws.below(case.replicas * case.masked.len(), 3),
            parameters: draws.numbers(all),
            m: draws.numbers(all),
            v: draws.numbers(all).into_iter().map(f32::abs).collect(),
        }
    }
}

/// Compares a case with the twin: parameters, m and v, each `[replica, parameter]`.
///
/// m and v are sums of two products. The update divides the error of m by sqrt(v) + epsilon and adds that of the root
/// (half of v's, and 2.5 units) and of the division (2.5 units). A decay below 1 adds a rounding of its own, and shrinks
/// all others.
fn check(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let Setting { gpu, workgroup_size, .. } = on;
    let arrays = Arrays::new(case);
    let [parameters, m, v] =
        [preset(gpu, &bits(&arrays.parameters))?, preset(gpu, &bits(&arrays.m))?, preset(gpu, &bits(&arrays.v))?];
    let rate = twin::corrected_rate(case.t) as f32;
    let arguments = StepArguments {
        replicas: case.replicas,
        parameters_per_replica: case.parameters,
        updated: case.updated,
        masked: case.masked.clone(),
        decay: case.decay,
        steps: &Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 0, 1, 0, rate)])?,
        gradient: &Buffer::from_slice(gpu, "gradient", &arrays.gradient)?,
        mask: &Buffer::from_slice(gpu, "mask", &arrays.mask)?,
        parameters: &parameters,
        m: &m,
        v: &v,
    };
    let kernel = if on.naive { Step::naive } else { Step::new };
    let bound = kernel(gpu, workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record(recorder, 0, 0))?;
    let found = [read(gpu, &parameters)?, read(gpu, &m)?, read(gpu, &v)?];
    let rate = f64::from(rate);
    let mut expected: [Vec<Expected>; 3] = Default::default();
    for r in 0..case.replicas {
        let own = r * case.parameters..(r + 1) * case.parameters;
        let weight_count = case.masked.len();
        let mask = &arrays.mask[r * weight_count..(r + 1) * weight_count];
        let masked = Some(twin::Masked { offset: case.masked.start, mask, decay: f64::from(case.decay) });
        let (gradient, before) = (&arrays.gradient[own.clone()], &arrays.parameters[own.clone()]);
        let (m_before, v_before) = (&arrays.m[own.clone()], &arrays.v[own]);
        let (mut p, mut m, mut v) = (widen(before), widen(m_before), widen(v_before));
        twin::step(rate, &widen(gradient), masked, &mut p, &mut m, &mut v);
        // The same on magnitudes: m is then the sum of the magnitudes of its terms.
        let (mut p_sum, mut m_sum, mut v_sum) = (widen(before), magnitudes(m_before), widen(v_before));
        twin::step(rate, &magnitudes(gradient), masked, &mut p_sum, &mut m_sum, &mut v_sum);
        for i in 0..case.parameters {
            if i >= case.updated {
                let kept = |before: &[f32]| Expected { value: f64::from(before[i]), tolerance: 0.0 };
                for (expected, before) in expected.iter_mut().zip([before, m_before, v_before]) {
                    expected.push(kept(before));
                }
                continue;
            }
            let root = v[i].sqrt() + twin::EPSILON;
            let update = rate * m_sum[i] / root;
            let tolerance = EPSILON * (p[i].abs() + (FACTOR + 12.0) * update);
            expected[0].push(Expected { value: p[i], tolerance });
            expected[1].push(Expected { value: m[i], tolerance: FACTOR * EPSILON * m_sum[i] });
            expected[2].push(Expected { value: v[i], tolerance: FACTOR * EPSILON * v_sum[i] });
        }
    }
    let (kernel, name) = (bound.name(), case.name());
    let arrays = ["parameters", "m", "v"].iter().zip(found.iter().zip(&expected));
    Ok(arrays.map(|(array, (found, expected))| compare(kernel, format!("{name} {array}"), found, expected)).collect())
}

/// Checks all cases.
pub(super) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    at_every_size(settings, &cases(), |case| case.parameters < 1000, check)
}
