//! Cases of `surgeon.*`.

mod importance;

use super::FACTOR;
use super::comparator::{EPSILON, Expected, Report, compare};
use super::{Draws, Output, Setting, bits, output, preset, read, run, widen};
use crate::cpu::fast::gram::Half;
use crate::cpu::fast::surgeon as fast;
use crate::cpu::gram::{self, Moments, Rows};
use crate::cpu::surgeon as twin;
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::gram::NO_COLUMN;
use crate::kernels::surgeon::{
    MOST, NAIVE, PATH, Path, PathArguments, REFIT, Refit, RefitArguments, Removal, Shape, Steps, StepsArguments, UPDATE,
};

/// The ridge as a share of the mean of the diagonal: the condition of a Gram matrix is at most columns / ridge.
const RIDGE: f64 = 0.01;
/// The most columns of the naive kernel's cases: its loops are the cube of them.
const MOST_NAIVE: usize = 20;

/// Units that are alike in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Units.
    pub units: usize,
    /// Columns of one, the bias among them.
    pub columns: usize,
}

/// The cases that every device must pass: a single column, a few, the paper's layer, the most that fit workgroup memory,
/// and more.
pub fn cases() -> Vec<Case> {
    [(1, 1), (3, 2), (5, 13), (2, 20), (7, 31), (2, 59), (1, MOST), (2, MOST + 1), (1, 97)]
        .map(|(units, columns)| Case { units, columns })
        .to_vec()
}

/// How it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By one invocation.
    Naive,
    /// In workgroup memory.
    Small,
    /// Step by step in global memory.
    Steps,
}

impl Case {
    fn shape(&self) -> Shape {
        Shape { units: self.units, columns: self.columns }
    }

    fn sizes(&self) -> String {
        format!("k{}_d{}", self.units, self.columns)
    }

    fn name(&self, way: &str, what: &str) -> String {
        format!("{} {what} {way}", self.sizes())
    }

    /// Largest difference, relative to what is compared.
    fn bound(&self) -> f64 {
        FACTOR * EPSILON * self.columns as f64 / RIDGE
    }
}

/// Of each unit its moments with their ridge as the device has them, weights, and ratios.
struct Arrays {
    moments: Vec<Moments<f64>>,
    weights: Vec<f32>,
    ratios: Vec<f32>,
}

impl Arrays {
    /// Moments of twice as many rows as there are columns; the last column stays, as a bias does, if there is another.
    fn new(case: &Case) -> Self {
        let Case { units, columns } = *case;
        let mut draws = Draws::new((units * 1000 + columns) as u32);
        let weights = draws.numbers(units * columns);
        let mut ratios: Vec<f32> = draws.numbers(units * columns).into_iter().map(f32::abs).collect();
        if columns > 1 {
            ratios.iter_mut().skip(columns - 1).step_by(columns).for_each(|ratio| *ratio = -1.0);
        }
        let all: Vec<u32> = (0..columns as u32).collect();
        let mut moments = Vec::new();
        for unit in 0..units {
            let (values, targets) = (widen(&draws.numbers(2 * columns * columns)), widen(&draws.numbers(2 * columns)));
            let rows = Rows::Features { values: &values, inputs: columns };
            let mut own = gram::accumulate(&rows, &all, &vec![1.0; 2 * columns], &targets);
            own.add_ridge(own.ridge(RIDGE), &widen(&weights[unit * columns..(unit + 1) * columns]));
            own.gram.iter_mut().chain(&mut own.cross).for_each(|moment| *moment = f64::from(*moment as f32));
            moments.push(own);
        }
        Self { moments, weights, ratios }
    }

    /// Columns of a unit that may go.
    fn removable(&self, case: &Case) -> usize {
        self.ratios[..case.columns].iter().filter(|&&ratio| ratio >= 0.0).count()
    }

    /// `[unit, column, column + 1]`, at the right the weights or the cross moments.
    fn matrix(&self, is_path: bool) -> Vec<f32> {
        let mut matrix = Vec::new();
        for (unit, moments) in self.moments.iter().enumerate() {
            for (i, row) in moments.gram.chunks_exact(moments.size).enumerate() {
                matrix.extend(row.iter().map(|&moment| moment as f32));
                matrix.push(if is_path { self.weights[unit * moments.size + i] } else { moments.cross[i] as f32 });
            }
        }
        matrix
    }
}

/// Records all steps on a matrix, and gives it back with the removals.
fn steps(on: Setting<'_>, case: &Case, solves: bool) -> Result<[Output; 2]> {
    let Setting { gpu, workgroup_size, .. } = on;
    let arrays = Arrays::new(case);
    let count = if solves { case.columns } else { 2 * case.columns };
    let records: Vec<StepRecord> = (0..count).map(|step| StepRecord::new(step, 0, 1, 0, 0.0)).collect();
    let matrix = preset(gpu, &bits(&arrays.matrix(!solves)))?;
    let removals: Buffer<Removal> = output(gpu, case.units * case.columns)?;
    let arguments = StepsArguments {
        shape: case.shape(),
        solves,
        step: &Buffer::from_slice(gpu, "steps", &records)?,
        ratios: &Buffer::from_slice(gpu, "ratios", &arrays.ratios)?,
        matrix: &matrix,
        pivots: &Buffer::new(gpu, "pivots", case.units * (case.columns + 2))?,
        removals: &removals,
    };
    let bound = Steps::new(gpu, workgroup_size)?.bind(gpu, &arguments)?;
    run(gpu, &case.sizes(), |recorder| (0..count as u32).try_for_each(|step| bound.record(recorder, step)))?;
    Ok([read(gpu, &matrix)?, read(gpu, &removals)?])
}

/// The removals of a path, `[unit, step]` of three words.
fn path(on: Setting<'_>, case: &Case, way: Way) -> Result<Output> {
    let gpu = on.gpu;
    if way == Way::Steps {
        let [_, removals] = steps(on, case, false)?;
        return Ok(removals);
    }
    let arrays = Arrays::new(case);
    let removals: Buffer<Removal> = output(gpu, case.units * case.columns)?;
    let arguments = PathArguments {
        shape: case.shape(),
        ratios: &Buffer::from_slice(gpu, "ratios", &arrays.ratios)?,
        moments: &Buffer::from_slice(gpu, "moments", &arrays.matrix(true))?,
        removals: &removals,
    };
    let kernel = if way == Way::Naive { Path::naive(gpu, on.workgroup_size)? } else { Path::new(gpu)? };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &case.sizes(), |recorder| bound.record_once(recorder))?;
    read(gpu, &removals)
}

/// The solutions of a refit, `[unit, column]`.
fn refit(on: Setting<'_>, case: &Case, way: Way) -> Result<Output> {
    let gpu = on.gpu;
    if way == Way::Steps {
        let [mut matrix, _] = steps(on, case, true)?;
        matrix.bits = matrix.bits.chunks_exact(case.columns + 1).map(|row| row[case.columns]).collect();
        return Ok(matrix);
    }
    let solution = output(gpu, case.units * case.columns)?;
    let arguments = RefitArguments {
        shape: case.shape(),
        moments: &Buffer::from_slice(gpu, "moments", &Arrays::new(case).matrix(false))?,
        solution: &solution,
    };
    let bound = Refit::new(gpu)?.bind(gpu, &arguments)?;
    run(gpu, &case.sizes(), |recorder| bound.record_once(recorder))?;
    read(gpu, &solution)
}

/// Replays a path in double precision: of each step the score and the cost that its column has, and the score of the column
/// that should have gone. A column that may not go has NaN, which never passes.
fn replay(case: &Case, arrays: &Arrays, unit: usize, columns: &[u32]) -> Vec<[f64; 3]> {
    let size = case.columns;
    let own = unit * size..(unit + 1) * size;
    let (mut weights, ratios) = (widen(&arrays.weights[own.clone()]), widen(&arrays.ratios[own]));
    let mut inverse = arrays.moments[unit].gram.clone();
    twin::invert(size, &mut inverse);
    let mut is_open: Vec<bool> = ratios.iter().map(|&ratio| ratio >= 0.0).collect();
    let mut replayed = Vec::new();
    for &column in columns {
        let p = column as usize;
        let cost = |p: usize| weights[p] * weights[p] / inverse[p * size + p];
        let score = |p: usize| ratios[p] * ratios[p] * cost(p);
        let smallest = (0..size).filter(|&p| is_open[p]).map(score).fold(f64::INFINITY, f64::min);
        if !is_open.get(p).copied().unwrap_or(false) {
            replayed.push([f64::NAN, f64::NAN, smallest]);
            continue;
        }
        replayed.push([score(p), cost(p), smallest]);
        is_open[p] = false;
        twin::remove(size, p, &mut inverse, &mut weights);
    }
    replayed
}

/// A path against the definition: its scores and costs are those of its choices, and each choice is the smallest.
fn path_reports(kernel: &'static str, case: &Case, way: &str, found: &Output) -> Vec<Report> {
    let arrays = Arrays::new(case);
    let removable = arrays.removable(case);
    let mut outputs = [(); 2].map(|()| Output { bits: Vec::new(), guard: found.guard.clone() });
    let mut expected = [Vec::new(), Vec::new()];
    for (unit, removals) in found.bits.chunks_exact(3 * case.columns).enumerate() {
        let steps: Vec<&[u32]> = removals.chunks_exact(3).collect();
        let columns: Vec<u32> = steps[..removable].iter().map(|step| step[0]).collect();
        let replayed = replay(case, &arrays, unit, &columns);
        let largest = replayed.iter().fold(0.0f64, |largest, [_, cost, _]| largest.max(*cost));
        let near = |value: f64| Expected { value, tolerance: case.bound() * (value.abs() + 1e-3 * largest) };
        for (step, [score, cost, smallest]) in steps.iter().zip(replayed) {
            outputs[0].bits.extend(&step[1..]);
            expected[0].extend([near(score), near(cost)]);
            outputs[1].bits.push((score as f32).to_bits());
            expected[1].push(near(smallest));
        }
        // Behind the last column that may go there is none.
        for step in &steps[removable..] {
            outputs[1].bits.push(f32::from(u8::from(step[0] != NO_COLUMN)).to_bits());
            expected[1].push(Expected { value: 0.0, tolerance: 0.0 });
        }
    }
    let arrays = ["scores", "choices"].iter().zip(outputs.iter().zip(&expected));
    arrays.map(|(array, (found, expected))| compare(kernel, case.name(way, array), found, expected)).collect()
}

/// Compares a path with the definition.
fn check_path(on: Setting<'_>, case: &Case, way: Way) -> Result<Vec<Report>> {
    let kernel = match way {
        Way::Naive => NAIVE.name,
        Way::Small => PATH.name,
        Way::Steps => UPDATE.name,
    };
    Ok(path_reports(kernel, case, &format!("{way:?}"), &path(on, case, way)?))
}

/// A refit against the definition.
fn refit_report(kernel: &'static str, case: &Case, way: &str, found: &Output) -> Report {
    let mut expected = Vec::new();
    for moments in &Arrays::new(case).moments {
        let solution = twin::refit(moments).unwrap_or_else(|| vec![f64::NAN; case.columns]);
        let largest = solution.iter().fold(0.0f64, |largest, weight| largest.max(weight.abs()));
        expected.extend(solution.iter().map(|&value| Expected { value, tolerance: case.bound() * largest }));
    }
    compare(kernel, case.name(way, "refit"), found, &expected)
}

/// Compares a refit with the definition.
fn check_refit(on: Setting<'_>, case: &Case, way: Way) -> Result<Report> {
    let kernel = if way == Way::Small { REFIT.name } else { UPDATE.name };
    Ok(refit_report(kernel, case, &format!("{way:?}"), &refit(on, case, way)?))
}

/// Compares the CPU engine's variants with the definition.
pub(super) fn check_fast(case: &Case) -> Vec<Report> {
    let arrays = Arrays::new(case);
    let removable = arrays.removable(case);
    // A matrix that cannot be inverted gives no numbers, and then the lengths differ.
    let [mut removals, mut solutions] = [(); 2].map(|()| Output { bits: Vec::new(), guard: Vec::new() });
    for unit in 0..case.units {
        let half = |is_path| {
            let matrix = arrays.matrix(is_path);
            let mut half = Half::new(case.columns, 1);
            let rows = matrix[unit * case.columns * (case.columns + 1)..].chunks_exact(case.columns + 1);
            let stride = half.stride;
            for (own, row) in half.values.chunks_exact_mut(stride).zip(rows.take(case.columns)) {
                own[..row.len()].copy_from_slice(row);
            }
            half
        };
        let own = unit * case.columns..(unit + 1) * case.columns;
        if let Some(inverse) = fast::invert(half(true)) {
            let steps = fast::path(inverse, &arrays.weights[own.clone()], &arrays.ratios[own][..removable]);
            let words = |step: &twin::PathStep<f32>| [step.column, step.score.to_bits(), step.cost.to_bits()];
            removals.bits.extend(steps.iter().flat_map(words));
            removals.bits.extend([NO_COLUMN, 0, 0].repeat(case.columns - removable));
        }
        solutions.bits.extend(bits(&fast::refit(half(false)).unwrap_or_default()));
    }
    let mut reports = path_reports(PATH.name, case, "fast", &removals);
    reports.push(refit_report(REFIT.name, case, "fast", &solutions));
    reports
}

/// Checks all cases in every way; the small ones step by step with every size of workgroups.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for &on in settings {
        let usual = on.workgroup_size == on.gpu.usual_workgroup_size();
        for case in cases() {
            let fits = |way: &Way| match way {
                Way::Naive => on.naive && case.columns <= MOST_NAIVE,
                Way::Small => !on.naive && usual && case.columns <= MOST,
                Way::Steps => !on.naive && (usual || case.columns <= MOST_NAIVE),
            };
            for way in [Way::Naive, Way::Small, Way::Steps].into_iter().filter(fits) {
                reports.extend(check_path(on, &case, way)?);
                if way != Way::Naive {
                    reports.push(check_refit(on, &case, way)?);
                }
            }
        }
    }
    reports.extend(importance::all(settings)?);
    Ok(reports)
}
