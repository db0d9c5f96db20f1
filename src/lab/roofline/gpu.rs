//! The kernels of the GPU engine, as it launches them.

use super::{LARGEST_COPY, Line, MEASUREMENT, Roofline, TRAINING, Work, bounds, sweep_points, train};
use crate::engine::{Batch, Engine, MaskChange, Setup, Watch};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Launch};
use crate::lab::limits::{CopyProbe, matmul_operations, peak_operations};
use crate::lab::watching::{launches, measure};
use crate::network::Selection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Roofline {
    /// Measures all kernels of the GPU engine, each by itself at the sizes that the engine launches it with.
    pub fn of_gpu(engine: &mut Engine, work: &Work<'_>, watch: &Watch<'_>, progress: &dyn Fn(&str)) -> Result<Self> {
        progress("limits of the device");
        let gpu = device(engine)?;
        let copies = CopyProbe::new(&gpu)?;
        let overhead = copies.launch_time(&gpu)?;
        let mut roofline = Self {
            device: engine.description().clone(),
            peak: peak_operations(&gpu)?,
            matmul: Some(matmul_operations(&gpu)?),
            launch: overhead,
            copy: copies.bytes_per_second(&gpu, LARGEST_COPY, overhead)?,
            lines: Vec::new(),
            launches_a_step: None,
        };
        let parts = Parts::of(engine, work, watch, progress)?;
        roofline.launches_a_step = Some(parts.launches_a_step);
        let mut known = BTreeMap::new();
        for (part, launches) in parts.lists {
            for mut line in counted(part, &launches) {
                progress(&line.kernel);
                let launch = launches.iter().find(|launch| line.is(launch));
                let launch = launch.ok_or_else(|| Error::Job(format!("{} was not launched", line.kernel)))?;
                line.time = Some(measure(&gpu, launch, MEASUREMENT)?);
                // Copies of nearly as many bytes are as fast.
                let size = (line.cost.bytes as usize).max(1).next_power_of_two().min(LARGEST_COPY);
                line.copy = match known.get(&size) {
                    Some(&copy) => copy,
                    None => copies.bytes_per_second(&gpu, size, overhead)?,
                };
                known.insert(size, line.copy);
                roofline.lines.push(line);
                watch.check()?;
            }
        }
        Ok(roofline)
    }

    /// Counts the work of a training step of the GPU engine without measuring it: what it would take at best on a device
    /// that does `peak` operations and moves `copy` bytes a second and takes `launch` for each launch.
    pub fn counted(
        engine: &mut Engine,
        work: &Work<'_>,
        watch: &Watch<'_>,
        (peak, copy, launch): (f64, f64, Duration),
    ) -> Result<Self> {
        let (launches_a_step, launches) = training_launches(engine, work, watch)?;
        let lines = counted(TRAINING, &launches).into_iter().map(|line| Line { copy, ..line }).collect();
        let device = engine.description().clone();
        Ok(Self { device, peak, matmul: None, launch, copy, lines, launches_a_step: Some(launches_a_step) })
    }
}

impl Line {
    /// Whether `launch` is one of those that the line stands for.
    fn is(&self, launch: &Launch) -> bool {
        let bound = &launch.bound;
        self.kernel == bound.name() && self.cost == bound.cost && self.workgroups == workgroups(launch)
    }
}

/// Workgroups of a launch in all dimensions.
fn workgroups(launch: &Launch) -> usize {
    launch.workgroups.iter().map(|&count| count as usize).product()
}

/// One line for each kernel and size, in the order of their first launch.
fn counted(part: &'static str, launches: &[Launch]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for launch in launches {
        match lines.iter_mut().find(|line| line.is(launch)) {
            Some(line) => line.launches += 1,
            None => lines.push(Line {
                part,
                kernel: launch.bound.name().into(),
                launches: 1,
                workgroups: workgroups(launch),
                time: None,
                cost: launch.bound.cost,
                copy: f64::INFINITY,
            }),
        }
    }
    lines
}

/// What the GPU engine launches in each part of a study.
struct Parts {
    lists: Vec<(&'static str, Vec<Launch>)>,
    launches_a_step: f64,
}

/// Begins a batch, with the launches of that.
fn begin(engine: &mut Engine, work: &Work<'_>) -> Result<(Batch, Vec<Launch>)> {
    let training = engine.load(work.training)?;
    let replica_ids: Vec<u32> = (0..work.replicates).collect();
    let setup = Setup {
        architecture: work.architecture,
        training,
        batch: work.batch,
        pixel_scale: 255.0,
        seed: 1,
        replica_ids: &replica_ids,
        selection: &Selection::focus(work.architecture),
    };
    // The first time the engine may try several ways to train: those launches are not asked for.
    drop(engine.begin(&setup)?);
    let gpu = device(engine)?;
    listed(&gpu, || engine.begin(&setup))
}

/// What `work` gives, and what it launches.
fn listed<R>(gpu: &Gpu, work: impl FnOnce() -> Result<R>) -> Result<(R, Vec<Launch>)> {
    let (result, launches) = launches(gpu, work)?;
    Ok((result, launches.into_iter().map(|(_, launch)| launch).collect()))
}

/// The device, whose launches are listed.
fn device(engine: &Engine) -> Result<Arc<Gpu>> {
    let none =
        || Error::Usage("the CPU engine has no launches to list; name a GPU or a software driver with --device".into());
    engine.device().map(Arc::clone).ok_or_else(none)
}

/// Launches of a training step: how many for each of many steps, and those of one.
fn training_launches(engine: &mut Engine, work: &Work<'_>, watch: &Watch<'_>) -> Result<(f64, Vec<Launch>)> {
    let (mut batch, _) = begin(engine, work)?;
    list_training(&*device(engine)?, &mut batch, work, watch)
}

fn list_training(gpu: &Gpu, batch: &mut Batch, work: &Work<'_>, watch: &Watch<'_>) -> Result<(f64, Vec<Launch>)> {
    const MANY: usize = 32;
    let before = gpu.dispatches();
    train(batch, work, MANY, watch)?;
    let launches_a_step = (gpu.dispatches() - before) as f64 / MANY as f64;
    let ((), launches) = listed(gpu, || train(batch, work, 1, watch))?;
    Ok((launches_a_step, launches))
}

impl Parts {
    fn of(engine: &mut Engine, work: &Work<'_>, watch: &Watch<'_>, progress: &dyn Fn(&str)) -> Result<Self> {
        progress("launches of the engine");
        let gpu = device(engine)?;
        let test = engine.load(work.test)?;
        let (mut batch, initial) = begin(engine, work)?;
        let (launches_a_step, training) = list_training(&gpu, &mut batch, work, watch)?;
        let weight_count = vec![work.architecture.weight_count() as u32 / 2; work.replicates as usize];
        let (_, masks) = listed(&gpu, || {
            batch.change_masks(MaskChange::PruneSmallest, &weight_count)?;
            batch.change_masks(MaskChange::RegrowRandom { update: 1 }, &weight_count)
        })?;
        let (_, evaluation) = listed(&gpu, || batch.evaluate(test, watch))?;
        let points = sweep_points(work.architecture.weight_count());
        let (_, mut sweep) = listed(&gpu, || batch.sweep(test, &Selection::focus(work.architecture), &points, watch))?;
        // What comes before the focus layer is an evaluation, and is listed there.
        sweep.retain(|launch| launch.bound.name().starts_with("focus_sweep"));
        let (lower, upper, windows) = bounds(work);
        let (_, history) = listed(&gpu, || {
            engine.rank(work.shape, work.history)?;
            engine.count(work.shape, work.history, &lower, &upper)?;
            engine.envelope(work.shape, work.history, &windows)
        })?;
        let lists = vec![
            (TRAINING, training),
            ("evaluation", evaluation),
            ("sweep", sweep),
            ("history", history),
            ("masks", masks),
            ("initial weights", initial),
        ];
        Ok(Self { lists, launches_a_step })
    }
}
