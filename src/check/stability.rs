//! Cases of `stability.*`.

use super::{Draws, Report, Setting, at_every_size, bits, exact, output, preset, read, run};
use crate::cpu::stability::{self as twin, HistoryShape, sortable_key};
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::stability::{Count, CountArguments, Envelope, EnvelopeArguments, Shape, TOLERANCES};

/// A history.
pub(crate) struct Case {
    pub(crate) epochs: usize,
    pub(crate) replicas: usize,
    pub(crate) weight_count: usize,
}

/// The cases that every device must pass: a single epoch, around the 64 epochs that are gathered at a time and around the
/// workgroup, primes, and the paper's layer.
pub(crate) fn cases() -> Vec<Case> {
    let case = |epochs, replicas, weight_count| Case { epochs, replicas, weight_count };
    vec![
        case(1, 1, 1),
        case(2, 2, 7),
        case(63, 1, 8),
        case(64, 2, 9),
        case(65, 1, 63),
        case(131, 2, 65),
        case(150, 3, 900),
    ]
}

impl Case {
    pub(crate) fn host(&self) -> HistoryShape {
        HistoryShape { epochs: self.epochs, replicas: self.replicas, weight_count: self.weight_count }
    }

    fn device(&self) -> Shape {
        Shape { epochs: self.epochs, replicas: self.replicas, weight_count: self.weight_count }
    }

    pub(crate) fn name(&self) -> String {
        format!("e{}_r{}_n{}", self.epochs, self.replicas, self.weight_count)
    }

    /// Weights that come to rest: steps shrink with the epoch; some weights are zero, negative zero or denormal throughout.
    pub(crate) fn history(&self) -> Vec<f32> {
        let columns = self.replicas * self.weight_count;
        let mut draws = Draws::new((self.epochs * 10_000 + self.weight_count) as u32);
        let (start, steps) = (draws.numbers(columns), draws.numbers(self.epochs * columns));
        let mut history = Vec::with_capacity(steps.len());
        for epoch in 0..self.epochs {
            for column in 0..columns {
                let moved = steps[epoch * columns + column] * 0.1 / (1 + epoch) as f32;
                history.push(match column % 13 {
                    3 => 0.0,
                    5 => -0.0,
                    7 => f32::from_bits(1 + (epoch % 3) as u32),
                    _ => start[column] + moved,
                });
            }
        }
        history
    }

    /// Keys of lower and upper bounds `[tolerance, replica, weight_index]` around the last epoch, for four tolerances.
    pub(crate) fn bounds(&self, history: &[f32]) -> [Vec<u32>; 2] {
        let reference = &history[history.len() - self.replicas * self.weight_count..];
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for tolerance in [0.0, 0.001, 0.01, 0.1] {
            for &weight in reference {
                let width = tolerance * weight.abs();
                lower.push(sortable_key(weight - width));
                upper.push(sortable_key(weight + width));
            }
        }
        [lower, upper]
    }

    /// Windows that end at the first, the last and some epochs between.
    pub(crate) fn windows(&self) -> Vec<u32> {
        let epochs = self.epochs as u32;
        let mut windows = vec![1, 2.min(epochs), epochs.div_ceil(2), epochs];
        windows.sort_unstable();
        windows
    }
}

/// From `[tolerance, element]` to a vector of tolerances for each element.
fn interleave(elements: usize, planes: &[u32]) -> Vec<[u32; TOLERANCES]> {
    (0..elements).map(|element| std::array::from_fn(|tolerance| planes[tolerance * elements + element])).collect()
}

/// Compares `stability.count` with the twin: stability `[replica, weight_index]` and stable weights `[epoch, replica]`, four
/// tolerances each.
fn check_count(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let gpu = on.gpu;
    let (columns, rows) = (case.replicas * case.weight_count, case.epochs * case.replicas);
    let history = case.history();
    let [lower, upper] = case.bounds(&history);
    let stability = output(gpu, columns)?;
    let stable_weights = preset(gpu, &vec![0; TOLERANCES * rows])?;
    let arguments = CountArguments {
        shape: case.device(),
        history: &Buffer::from_slice(gpu, "history", &history)?,
        lower: &Buffer::from_slice(gpu, "lower", &interleave(columns, &lower))?,
        upper: &Buffer::from_slice(gpu, "upper", &interleave(columns, &upper))?,
        stability: &stability,
        stable_weights: &stable_weights,
    };
    let kernel = if on.naive { Count::naive } else { Count::new };
    let bound = kernel(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    let mut expected = (vec![0; lower.len()], vec![0; TOLERANCES * rows]);
    twin::count(case.host(), &history, &lower, &upper, &mut expected.0, &mut expected.1);
    let arrays = [
        ("stability", read(gpu, &stability)?, interleave(columns, &expected.0).concat()),
        ("stable weights", read(gpu, &stable_weights)?, interleave(rows, &expected.1).concat()),
    ];
    Ok(exact(bound.name(), &case.name(), arrays))
}

/// Compares `stability.envelope` with the twin, each array `[window, replica, weight_index]`.
fn check_envelope(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let gpu = on.gpu;
    let (history, windows) = (case.history(), case.windows());
    let results = windows.len() * case.replicas * case.weight_count;
    let [minimum, maximum, smallest] = [output(gpu, results)?, output(gpu, results)?, output(gpu, results)?];
    let arguments = EnvelopeArguments {
        shape: case.device(),
        windows: &Buffer::from_slice(gpu, "windows", &windows)?,
        history: &Buffer::from_slice(gpu, "history", &history)?,
        minimum: &minimum,
        maximum: &maximum,
        smallest_magnitude: &smallest,
    };
    let bound = Envelope::new(gpu, on.workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.name(), |recorder| bound.record_once(recorder))?;
    let mut expected = [(); 3].map(|()| vec![0.0; results]);
    let [low, high, near] = &mut expected;
    twin::envelope(case.host(), &history, &windows, low, high, near);
    let [low, high, near] = expected.map(|numbers| bits(&numbers));
    let arrays = [
        ("minimum", read(gpu, &minimum)?, low),
        ("maximum", read(gpu, &maximum)?, high),
        ("smallest magnitude", read(gpu, &smallest)?, near),
    ];
    Ok(exact(bound.name(), &case.name(), arrays))
}

/// Checks all cases.
pub(crate) fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let check = |on: Setting<'_>, case: &Case| {
        let mut reports = check_count(on, case)?;
        if !on.naive {
            reports.extend(check_envelope(on, case)?);
        }
        Ok(reports)
    };
    at_every_size(settings, &cases(), |case| case.weight_count < 100, check)
}
