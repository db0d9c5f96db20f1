//! The surgeon's kernels on one layer, its units in waves that fit the device. Between them nothing is read back.

use crate::engine::{
    Watch,
    surgeon::PathStep,
    surgeon_layer::{Refit, Rows, SurgeonLayer},
};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Recorder, read_back};
use crate::kernels::StepRecord;
use crate::kernels::gram::{
    Accumulate, AccumulateArguments, MOST_ROWS, NO_COLUMN, Ridge, RidgeArguments, Shape as GramShape,
};
use crate::kernels::surgeon::{
    self as kernels, MOST, Path, PathArguments, RefitArguments, Removal, Shape, Steps, StepsArguments,
};
use std::ops::Range;

/// Steps that are handed over at a time: a submission of them is over soon.
const STEPS_A_SUBMISSION: usize = 32;

/// A layer on the device.
struct OnDevice<'a> {
    gpu: &'a Gpu,
    layer: &'a SurgeonLayer<'a>,
    values: Buffer<f32>,
    positions: Buffer<u32>,
    /// Columns of each unit.
    columns: Vec<Vec<u32>>,
    /// The most that a unit has.
    size: usize,
}

impl<'a> OnDevice<'a> {
    fn new(gpu: &'a Gpu, layer: &'a SurgeonLayer<'a>) -> Result<Self> {
        let columns: Vec<Vec<u32>> = (0..layer.units).map(|k| layer.columns(k)).collect();
        let size = columns.iter().map(Vec::len).max().unwrap_or(0);
        let (values, positions) = match layer.rows {
            Rows::Features { values, .. } => (values, &[0][..]),
            Rows::Patches { values, positions, .. } => (values, positions),
        };
        let most = (gpu.limits().array_bytes() / 4) as usize;
        if values.len().max(layer.rows.len()).max(size * (size + 1)) > most {
            return Err(Error::OutOfMemory(format!(
                "{} inputs of the surgeon's layer with {size} columns a unit are more than an array of {} holds; use fewer \
                 calibration images",
                values.len(),
                gpu.description().name
            )));
        }
        let values = Buffer::from_slice(gpu, "values", values)?;
        Ok(Self { gpu, layer, values, positions: Buffer::from_slice(gpu, "positions", positions)?, columns, size })
    }

    /// Units that are at work together.
    fn waves(&self) -> Vec<Range<usize>> {
        let limits = self.gpu.limits();
        let words = (self.size * (self.size + 1)).max(self.layer.rows.len());
        let most = ((limits.array_bytes() / 4) as usize / words).clamp(1, limits.workgroups as usize);
        let units = self.layer.units;
        (0..units).step_by(most).map(|first| first..(first + most).min(units)).collect()
    }

    /// For each column of each unit of a wave what `of` says, and `other` where there is none.
    fn listed<T: bytemuck::Pod>(
        &self,
        label: &str,
        wave: &Range<usize>,
        other: T,
        of: impl Fn(u32, usize) -> T,
    ) -> Result<Buffer<T>> {
        let mut listed = Vec::with_capacity(wave.len() * self.size);
        for (place, k) in (1..).zip(wave.clone()) {
            listed.extend(self.columns[k].iter().map(|&column| of(column, k)));
            listed.resize(place * self.size, other);
        }
        Buffer::from_slice(self.gpu, label, &listed)
    }

    /// Moments of a wave with their ridge, and at their right the weights for a path, or what a refit solves for.
    fn moments(&self, wave: &Range<usize>, is_path: bool) -> Result<Buffer<f32>> {
        let Self { gpu, layer, size, .. } = *self;
        let (rows, units) = (layer.rows.len(), wave.len());
        let by_row = |of: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..rows).flat_map(|row| wave.clone().map(move |k| of(row, k))).collect()
        };
        let row_weights = by_row(&|row, k| layer.row_weight(row, k));
        let targets = by_row(&|row, k| layer.pre_activations[row * layer.units + k]);
        let pieces: Vec<Range<usize>> =
            (0..rows).step_by(MOST_ROWS).map(|first| first..(first + MOST_ROWS).min(rows)).collect();
        let records: Vec<StepRecord> =
            pieces.iter().map(|piece| StepRecord::new(piece.start, 0, piece.len(), 0, 0.0)).collect();
        let columns = self.listed("columns", wave, NO_COLUMN, |column, _| column)?;
        let moments = Buffer::new(gpu, "moments", units * size * (size + 1))?;
        let patches = match layer.rows {
            Rows::Features { .. } => None,
            Rows::Patches { size: [height, width], channels, .. } => {
                Some([self.values.len() / (height * width * channels), height, width, channels])
            }
        };
        let arguments = AccumulateArguments {
            shape: GramShape { replicas: 1, rows, units, inputs: layer.rows.inputs(), columns: size, patches },
            step: &Buffer::from_slice(gpu, "rows", &records)?,
            values: &self.values,
            positions: &self.positions,
            columns: &columns,
            row_weights: &Buffer::from_slice(gpu, "row weights", &row_weights)?,
            targets: &Buffer::from_slice(gpu, "targets", &targets)?,
            moments: &moments,
        };
        let accumulate = Accumulate::new(gpu)?.bind(gpu, &arguments)?;
        for (step, piece) in (0..).zip(&pieces) {
            let mut recorder = Recorder::new(gpu, "gram");
            accumulate.record(&mut recorder, step, piece.len())?;
            recorder.submit()?;
        }
        let arguments = RidgeArguments {
            units,
            columns: size,
            strength: layer.ridge,
            is_path,
            column_list: &columns,
            weights: &self.listed("weights", wave, 0.0, |column, k| layer.weight(column, k))?,
            moments: &moments,
        };
        let ridge = Ridge::new(gpu)?.bind(gpu, &arguments)?;
        let mut recorder = Recorder::new(gpu, "ridge");
        ridge.record_once(&mut recorder)?;
        recorder.submit()?;
        Ok(moments)
    }

    /// Sweeps all pivots of matrices that are too large for workgroup memory, and unless it `solves` walks along the path.
    fn steps(
        &self,
        shape: Shape,
        solves: bool,
        ratios: &Buffer<f32>,
        matrix: &Buffer<f32>,
        removals: &Buffer<Removal>,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let gpu = self.gpu;
        let count = if solves { shape.columns } else { 2 * shape.columns };
        let records: Vec<StepRecord> = (0..count).map(|step| StepRecord::new(step, 0, 1, 0, 0.0)).collect();
        let arguments = StepsArguments {
            shape,
            solves,
            step: &Buffer::from_slice(gpu, "steps", &records)?,
            ratios,
            matrix,
            pivots: &Buffer::new(gpu, "pivots", shape.units * (shape.columns + 2))?,
            removals,
        };
        let bound = Steps::new(gpu, gpu.usual_workgroup_size())?.bind(gpu, &arguments)?;
        for first in (0..count).step_by(STEPS_A_SUBMISSION) {
            watch.check()?;
            let mut recorder = Recorder::new(gpu, "surgeon");
            for step in first..(first + STEPS_A_SUBMISSION).min(count) {
                bound.record(&mut recorder, step as u32)?;
            }
            recorder.submit()?.wait()?;
        }
        Ok(())
    }
}

/// See [`crate::engine::Engine::paths`].
pub(super) fn paths(
    gpu: &Gpu,
    layer: &SurgeonLayer<'_>,
    ratios: Option<&[f32]>,
    watch: &Watch<'_>,
) -> Result<Vec<Vec<PathStep<f32>>>> {
    let on_device = OnDevice::new(gpu, layer)?;
    let (size, inputs) = (on_device.size, layer.rows.inputs());
    let mut paths = Vec::with_capacity(layer.units);
    if size == 0 {
        return Ok(vec![Vec::new(); layer.units]);
    }
    for wave in on_device.waves() {
        watch.check()?;
        let shape = Shape { units: wave.len(), columns: size };
        let moments = on_device.moments(&wave, true)?;
        // The bias stays, and so does what is no column.
        let ratio = |column: u32, k: usize| match ratios {
            _ if column as usize == inputs => -1.0,
            Some(ratios) => ratios[column as usize * layer.units + k],
            None => 1.0,
        };
        let listed = on_device.listed("ratios", &wave, -1.0, ratio)?;
        let removals = Buffer::new(gpu, "removals", wave.len() * size)?;
        if size <= MOST {
            let arguments = PathArguments { shape, ratios: &listed, moments: &moments, removals: &removals };
            let path = Path::new(gpu)?.bind(gpu, &arguments)?;
            let mut recorder = Recorder::new(gpu, "surgeon");
            path.record_once(&mut recorder)?;
            recorder.submit()?;
        } else {
            on_device.steps(shape, false, &listed, &moments, &removals, watch)?;
        }
        for (k, removals) in wave.clone().zip(read_back(gpu, &removals)?.chunks_exact(size)) {
            let columns = &on_device.columns[k];
            let removable = columns.iter().filter(|&&column| (column as usize) < inputs).count();
            let steps = removals[..removable].iter().map(|&[column, score, cost]| {
                let column = columns.get(column as usize).copied();
                let [score, cost] = [score, cost].map(f32::from_bits);
                column.filter(|_| score.is_finite()).map(|column| PathStep { column, score, cost })
            });
            paths.push(steps.collect::<Option<_>>().ok_or_else(|| layer.singular(k))?);
        }
        (watch.progress)(wave.len() as u64);
    }
    Ok(paths)
}

/// See [`crate::engine::Engine::refit`].
pub(super) fn refit(gpu: &Gpu, layer: &SurgeonLayer<'_>, watch: &Watch<'_>) -> Result<Refit> {
    let on_device = OnDevice::new(gpu, layer)?;
    let size = on_device.size;
    let mut refit = layer.nothing_kept();
    if size == 0 {
        return Ok(refit);
    }
    for wave in on_device.waves() {
        watch.check()?;
        let shape = Shape { units: wave.len(), columns: size };
        let moments = on_device.moments(&wave, false)?;
        let solutions = if size <= MOST {
            let solution = Buffer::new(gpu, "solution", wave.len() * size)?;
            let arguments = RefitArguments { shape, moments: &moments, solution: &solution };
            let bound = kernels::Refit::new(gpu)?.bind(gpu, &arguments)?;
            let mut recorder = Recorder::new(gpu, "surgeon");
            bound.record_once(&mut recorder)?;
            recorder.submit()?;
            read_back(gpu, &solution)?
        } else {
            let ratios = on_device.listed("ratios", &wave, -1.0, |_, _| -1.0)?;
            let removals = Buffer::new(gpu, "removals", wave.len() * size)?;
            on_device.steps(shape, true, &ratios, &moments, &removals, watch)?;
            read_back(gpu, &moments)?.chunks_exact(size + 1).map(|row| row[size]).collect()
        };
        for (k, solution) in wave.clone().zip(solutions.chunks_exact(size)) {
            let columns = &on_device.columns[k];
            if solution[..columns.len()].iter().any(|weight| !weight.is_finite()) {
                return Err(layer.singular(k));
            }
            layer.place(&mut refit, k, columns, solution);
        }
        (watch.progress)(wave.len() as u64);
    }
    Ok(refit)
}
