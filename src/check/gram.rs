//! Cases of `gram.*`.

use super::FACTOR;
use super::comparator::{Report, compare, sums_of_products};
use super::{Draws, Output, Setting, bits, magnitudes, output, preset, read, run, widen};
use crate::cpu::fast::gram as fast;
use crate::cpu::gram::{self as twin, Moments, Rows};
use crate::error::Result;
use crate::gpu::Buffer;
use crate::kernels::StepRecord;
use crate::kernels::gram::{
    ACCUMULATE, Accumulate, AccumulateArguments, NAIVE, NO_COLUMN, RIDGE, Ridge, RidgeArguments, Shape,
};

/// What inactive rows count.
const INACTIVE: f32 = 0.1;
/// The ridge as a share of the mean of the diagonal.
const STRENGTH: f32 = 1e-3;

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Replicas side by side.
    pub replicas: usize,
    /// Rows of one.
    pub rows: usize,
    /// Units of one.
    pub units: usize,
    /// Inputs of a dense layer, or channels of a convolution.
    pub inputs: usize,
    /// Samples, height and width of a convolution's activations; none for a dense layer.
    pub image: Option<[usize; 3]>,
}

/// The cases that every device must pass: a single row and input, around the tile and the rows that are gathered at a time,
/// the paper's layer, and patches of single pixels and of images that are not square.
pub fn cases() -> Vec<Case> {
    let dense = |replicas, rows, units, inputs| Case { replicas, rows, units, inputs, image: None };
    let patches = |replicas, rows, units, inputs, image| Case { replicas, rows, units, inputs, image: Some(image) };
    vec![
        dense(1, 1, 1, 1),
        dense(2, 15, 2, 30),
        dense(1, 17, 3, 31),
        dense(2, 33, 1, 32),
        dense(1, 101, 2, 67),
        dense(1, 600, 30, 30),
        patches(1, 3, 2, 1, [3, 1, 1]),
        patches(2, 41, 3, 3, [3, 5, 4]),
    ]
}

/// Seeded arrays of a case.
struct Arrays {
    shape: Shape,
    values: Vec<f32>,
    positions: Vec<u32>,
    columns: Vec<u32>,
    row_weights: Vec<f32>,
    targets: Vec<f32>,
    weights: Vec<f32>,
}

impl Arrays {
    /// Every other unit lacks some columns; all have the constant 1.
    fn new(case: &Case) -> Self {
        let Case { replicas, rows, units, inputs, image } = *case;
        let mut draws = Draws::new((rows * 1000 + inputs) as u32);
        let patches = image.map(|[samples, height, width]| [samples, height, width, inputs]);
        let inputs = if patches.is_some() { 9 * inputs } else { inputs };
        let shape = Shape { replicas, rows, units, inputs, columns: inputs + 1, patches };
        let numbers = patches.map_or(rows * inputs, |sizes| sizes.iter().product());
        let pixels = image.map_or(1, |sizes| sizes.iter().product()) as u32;
        let mut columns = Vec::new();
        for unit in 0..replicas * units {
            let taken = |&column: &u32| unit % 2 == 0 || column as usize == inputs || column % 3 != 1;
            let mut own: Vec<u32> = (0..=inputs as u32).filter(taken).collect();
            own.resize(shape.columns, NO_COLUMN);
            columns.extend(own);
        }
        let rarely = |weight: f32| if weight > 0.0 { 1.0 } else { INACTIVE };
        Self {
            shape,
            values: draws.numbers(replicas * numbers),
            positions: draws.below(rows, pixels),
            row_weights: draws.numbers(replicas * rows * units).into_iter().map(rarely).collect(),
            targets: draws.numbers(replicas * rows * units),
            weights: draws.numbers(columns.len()),
            columns,
        }
    }

    /// What `moments` of the rows of each unit's columns come to, laid out as `[replica, unit, column, column + 1]`. It is
    /// handed rows, columns, row weights and targets, with numbers widened by `of`, or their magnitudes.
    fn laid_out<T: Copy + Default>(
        &self,
        of: impl Fn(&[f32]) -> Vec<T>,
        moments: impl Fn(&Rows<'_, T>, &[u32], &[T], &[T]) -> Moments<T>,
    ) -> Vec<T> {
        let Shape { replicas, rows, units, inputs, columns: size, patches } = self.shape;
        let (values, row_weights, targets) = (of(&self.values), of(&self.row_weights), of(&self.targets));
        let mut laid_out = Vec::new();
        for unit in 0..replicas * units {
            let values = &values[unit / units * (values.len() / replicas)..][..values.len() / replicas];
            let rows_of = match patches {
                None => Rows::Features { values, inputs },
                Some([_, height, width, channels]) => {
                    Rows::Patches { values, size: [height, width], channels, positions: &self.positions }
                }
            };
            let own = |all: &[T]| -> Vec<T> {
                let first = unit / units * rows * units;
                all[first..first + rows * units].iter().skip(unit % units).step_by(units).copied().collect()
            };
            let columns = self.columns[unit * size..(unit + 1) * size].iter().copied();
            let columns: Vec<u32> = columns.filter(|&column| column != NO_COLUMN).collect();
            let Moments { size: found, gram, cross } = moments(&rows_of, &columns, &own(&row_weights), &own(&targets));
            let mut square = vec![T::default(); size * (size + 1)];
            for i in 0..found {
                square[i * (size + 1)..][..found].copy_from_slice(&gram[i * found..(i + 1) * found]);
                square[i * (size + 1) + size] = cross[i];
            }
            laid_out.extend(square);
        }
        laid_out
    }

    /// What the twin makes of it.
    fn expected(&self, of: impl Fn(&[f32]) -> Vec<f64>) -> Vec<f64> {
        self.laid_out(of, twin::accumulate)
    }
}

fn name(case: &Case) -> String {
    let Case { replicas, rows, units, inputs, image } = case;
    let kind = image.map_or(String::new(), |[_, height, width]| format!("_{height}x{width}"));
    format!("r{replicas}_n{rows}_{inputs}x{units}{kind}")
}

/// What `gram.accumulate` makes of the rows in two launches, `[replica, unit, column, column + 1]`.
fn accumulate(on: Setting<'_>, case: &Case) -> Result<Output> {
    let gpu = on.gpu;
    let arrays = Arrays::new(case);
    let shape = arrays.shape;
    let moments = output(gpu, shape.replicas * shape.units * shape.columns * (shape.columns + 1))?;
    let first = shape.rows.div_ceil(2);
    let steps = [StepRecord::new(0, 0, first, 0, 0.0), StepRecord::new(first, 0, shape.rows - first, 0, 0.0)];
    let arguments = AccumulateArguments {
        shape,
        step: &Buffer::from_slice(gpu, "steps", &steps)?,
        values: &Buffer::from_slice(gpu, "values", &arrays.values)?,
        positions: &Buffer::from_slice(gpu, "positions", &arrays.positions)?,
        columns: &Buffer::from_slice(gpu, "columns", &arrays.columns)?,
        row_weights: &Buffer::from_slice(gpu, "row weights", &arrays.row_weights)?,
        targets: &Buffer::from_slice(gpu, "targets", &arrays.targets)?,
        moments: &moments,
    };
    let kernel = if on.naive { Accumulate::naive(gpu, on.workgroup_size)? } else { Accumulate::new(gpu)? };
    let bound = kernel.bind(gpu, &arguments)?;
    run(gpu, &name(case), |recorder| {
        bound.record(recorder, 0, first)?;
        bound.record(recorder, 1, shape.rows - first)
    })?;
    read(gpu, &moments)
}

fn report(kernel: &'static str, case: &Case, found: &Output) -> Report {
    let arrays = Arrays::new(case);
    let expected = sums_of_products(&arrays.expected(widen), &arrays.expected(magnitudes), FACTOR);
    compare(kernel, name(case), found, &expected)
}

/// Compares `gram.accumulate` with the twin.
fn check_accumulate(on: Setting<'_>, case: &Case) -> Result<Report> {
    let kernel = if on.naive { NAIVE.name } else { ACCUMULATE.name };
    Ok(report(kernel, case, &accumulate(on, case)?))
}

/// Compares the CPU engine's variant with the twin.
pub(super) fn check_fast(case: &Case) -> Report {
    let moments = |rows: &Rows<'_, f32>, columns: &[u32], row_weights: &[f32], targets: &[f32]| {
        let target = |row: usize, output: &mut [f32]| output[0] = targets[row];
        let every: Vec<u32> = (0..targets.len() as u32).collect();
        let active: Vec<u32> = every.iter().copied().filter(|&row| row_weights[row as usize] == 1.0).collect();
        let [all, active] = [every, active].map(|chosen| fast::accumulate(rows, columns, &chosen, 1, target));
        let half = fast::weigh(INACTIVE, all, &active);
        let size = half.size;
        let gram =
            (0..size * size).map(|place| half.at((place / size).min(place % size), (place / size).max(place % size)));
        Moments { size, gram: gram.collect(), cross: (0..size).map(|i| half.at(i, size)).collect() }
    };
    let found = Arrays::new(case).laid_out(<[f32]>::to_vec, moments);
    report(ACCUMULATE.name, case, &Output { bits: bits(&found), guard: Vec::new() })
}

/// What `gram.ridge` makes of the twin's moments, for a path and for a refit.
fn ridge(on: Setting<'_>, case: &Case) -> Result<[Output; 2]> {
    let gpu = on.gpu;
    let arrays = Arrays::new(case);
    let before: Vec<f32> = arrays.expected(widen).into_iter().map(|moment| moment as f32).collect();
    let finish = |is_path: bool| {
        let moments = preset(gpu, &bits(&before))?;
        let arguments = RidgeArguments {
            units: case.replicas * case.units,
            columns: arrays.shape.columns,
            strength: STRENGTH,
            is_path,
            column_list: &Buffer::from_slice(gpu, "columns", &arrays.columns)?,
            weights: &Buffer::from_slice(gpu, "weights", &arrays.weights)?,
            moments: &moments,
        };
        let bound = Ridge::new(gpu)?.bind(gpu, &arguments)?;
        run(gpu, &name(case), |recorder| bound.record_once(recorder))?;
        read(gpu, &moments)
    };
    Ok([finish(true)?, finish(false)?])
}

/// Compares `gram.ridge` with the formula.
fn check_ridge(on: Setting<'_>, case: &Case) -> Result<Vec<Report>> {
    let arrays = Arrays::new(case);
    let size = arrays.shape.columns;
    let before: Vec<f32> = arrays.expected(widen).into_iter().map(|moment| moment as f32).collect();
    let mut expected = [widen(&before), widen(&before)];
    let lists = arrays.columns.chunks_exact(size).zip(arrays.weights.chunks_exact(size));
    for (unit, (columns, weights)) in lists.enumerate() {
        let there = |i: &usize| columns[*i] != NO_COLUMN;
        let at = |i: usize, j: usize| (unit * size + i) * (size + 1) + j;
        let diagonal: Vec<f64> = (0..size).filter(there).map(|i| f64::from(before[at(i, i)])).collect();
        let ridge = twin::ridge(diagonal.into_iter(), f64::from(STRENGTH));
        for (index, moments) in expected.iter_mut().enumerate() {
            for i in 0..size {
                let weight = f64::from(weights[i]);
                let cross = if index == 0 { weight } else { moments[at(i, size)] + ridge * weight };
                moments[at(i, i)] = if there(&i) { moments[at(i, i)] + ridge } else { 1.0 };
                moments[at(i, size)] = if there(&i) { cross } else { 0.0 };
            }
        }
    }
    let found = ridge(on, case)?;
    let compared = |index: usize| {
        let absolute: Vec<f64> = expected[index].iter().map(|moment| moment.abs()).collect();
        // The mean's rounding reaches a sum of another sign: relative to the largest moment's share of the ridge.
        let largest = absolute.iter().fold(0.0f64, |largest, &moment| largest.max(moment));
        let sums: Vec<f64> = absolute.iter().map(|moment| moment + f64::from(STRENGTH) * largest).collect();
        let purpose = if index == 0 { "path" } else { "refit" };
        let expected = sums_of_products(&expected[index], &sums, FACTOR);
        compare(RIDGE.name, format!("{} {purpose}", name(case)), &found[index], &expected)
    };
    Ok(vec![compared(0), compared(1)])
}

/// Checks all cases. No bit depends on the size of workgroups.
pub fn all(settings: &[Setting<'_>]) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for &on in settings.iter().filter(|on| on.workgroup_size == on.gpu.usual_workgroup_size()) {
        for case in &cases() {
            reports.push(check_accumulate(on, case)?);
            if !on.naive {
                reports.extend(check_ridge(on, case)?);
            }
        }
    }
    Ok(reports)
}
