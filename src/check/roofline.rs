//! How near each kernel comes to what its device can do at most.
//!
//! Work is counted by one rule ([`Cost`]), time is measured, and the limits come from loops that do nothing else:
//! multiply-adds in registers, a copy of as many bytes, a launch with nothing to do. What a kernel needs at least is the
//! largest of the three; its share is that time over the measured one.

use crate::cpu::fast::limits;
use crate::data::Dataset;
use crate::data::batches::shuffled_order;
use crate::engine::{
    Batch, CpuEngine, DeviceDescription, Engine, GpuEngine, HistoryShape, MaskChange, Setup, Steps, SweepPoint, Watch,
};
use crate::error::{Error, Result};
use crate::gpu::{CopyProbe, Cost, Gpu, Launch};
use crate::network::{Architecture, ParameterLayout};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One measurement lasts about this long.
const MEASUREMENT: Duration = Duration::from_millis(100);
/// Masks of a sweep.
const POINTS: usize = 8;
/// Tolerances that a history is counted at.
const TOLERANCES: usize = 3;
/// Windows that the envelope is made for.
const WINDOWS: [u32; 3] = [10, 50, 75];
/// Numbers of a long run of copies: more than any cache holds.
const LARGEST_COPY: usize = 256 << 20;

/// What is computed: the sizes that all kernels are measured at.
pub struct Work<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// What it trains on.
    pub training: &'a Arc<Dataset>,
    /// What pruned networks are evaluated on.
    pub test: &'a Arc<Dataset>,
    /// Replicas side by side.
    pub replicates: u32,
    /// Samples of a step.
    pub batch: usize,
    /// A recorded history of the focus layer.
    pub history: &'a [f32],
    /// Its sizes.
    pub shape: HistoryShape,
}

/// What something needs at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its arithmetic.
    Arithmetic,
    /// Moving its bytes.
    Memory,
    /// Being launched at all.
    Launch,
}

impl Bound {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Launch => "launch",
        }
    }
}

/// One kernel, or on the CPU engine one fused piece of work, at one size.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is a part of.
    pub part: &'static str,
    /// `family.kernel`; several of them joined by ` + ` where one variant fuses them.
    pub kernel: String,
    /// How often it is launched there with this size.
    pub launches: usize,
    /// Workgroups of a launch; on the CPU engine pieces of work that threads share.
    pub workgroups: usize,
    /// Time of one launch, or nothing if only the work was counted.
    pub time: Option<Duration>,
    /// Work of one launch.
    pub cost: Cost,
    /// Bytes a second of a copy that touches as many bytes.
    pub copy: f64,
}

/// All kernels of a network on one device, and the device's limits.
#[derive(Clone, Debug)]
pub struct Roofline {
    /// The device.
    pub device: DeviceDescription,
    /// Operations a second, two for each multiply-add.
    pub peak: f64,
    /// Operations a second of a bare product of matrices whose numbers must be loaded; only of GPUs.
    pub matmul: Option<f64>,
    /// What a launch takes at least; nothing on the CPU engine.
    pub launch: Duration,
    /// Bytes a second of a copy that no cache holds.
    pub copy: f64,
    /// Every kernel at every size.
    pub lines: Vec<Line>,
    /// Launches of one training step of all replicas; nothing on the CPU engine.
    pub launches_a_step: Option<f64>,
}

/// Name of the part whose lines are one training step.
pub const TRAINING: &str = "training step";

impl Roofline {
    /// The least time of a launch of `line` and what sets it.
    pub fn least(&self, line: &Line) -> (Duration, Bound) {
        let seconds = [line.cost.operations / self.peak, line.cost.bytes / line.copy, self.launch.as_secs_f64()];
        let bounds = [Bound::Arithmetic, Bound::Memory, Bound::Launch];
        let (seconds, bound) = seconds
            .into_iter()
            .zip(bounds)
            .fold((0.0, Bound::Launch), |most, next| if next.0 > most.0 { next } else { most });
        (Duration::from_secs_f64(seconds), bound)
    }

    /// Measures all kernels of the GPU engine, each by itself at the sizes that the engine launches it with.
    pub fn of_gpu(engine: &mut GpuEngine, work: &Work<'_>, watch: &Watch<'_>, progress: &dyn Fn(&str)) -> Result<Self> {
        progress("limits of the device");
        let gpu = Arc::clone(engine.gpu());
        let copies = CopyProbe::new(&gpu)?;
        let overhead = gpu.launch_time()?;
        let mut roofline = Self {
            device: engine.description().clone(),
            peak: gpu.peak_operations()?,
            matmul: Some(gpu.matmul_operations()?),
            launch: overhead,
            copy: copies.bytes_per_second(&gpu, LARGEST_COPY, overhead)?,
            lines: Vec::new(),
            launches_a_step: None,
        };
        let parts = launches(engine, work, watch, progress)?;
        roofline.launches_a_step = Some(parts.launches_a_step);
        let mut known = BTreeMap::new();
        for (part, launches) in parts.lists {
            for mut line in counted(part, &launches) {
                progress(&line.kernel);
                let launch = launches.iter().find(|launch| line.is(launch));
                let launch = launch.ok_or_else(|| Error::Job(format!("{} was not launched", line.kernel)))?;
                line.time = Some(launch.measure(&gpu, MEASUREMENT)?);
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
        engine: &mut GpuEngine,
        work: &Work<'_>,
        watch: &Watch<'_>,
        (peak, copy, launch): (f64, f64, Duration),
    ) -> Result<Self> {
        let (launches_a_step, launches) = training_launches(engine, work, watch)?;
        let lines = counted(TRAINING, &launches).into_iter().map(|line| Line { copy, ..line }).collect();
        let device = engine.description().clone();
        Ok(Self { device, peak, matmul: None, launch, copy, lines, launches_a_step: Some(launches_a_step) })
    }

    /// What a training step of all replicas takes at least: the sum over its launches. A launch with fewer workgroups than the
    /// device has `compute_units` reaches only their share of its arithmetic.
    pub fn least_step(&self, compute_units: usize) -> Duration {
        let seconds = |line: &Line| {
            let busy = (line.workgroups as f64 / compute_units as f64).min(1.0);
            let work = (line.cost.operations / (self.peak * busy)).max(line.cost.bytes / line.copy);
            (work + self.launch.as_secs_f64()) * line.launches as f64
        };
        let steps = self.lines.iter().filter(|line| line.part == TRAINING).map(seconds);
        Duration::from_secs_f64(steps.sum())
    }

    /// Measures what the CPU engine is made of, with `threads` threads or one for each core.
    pub fn of_cpu(
        engine: &mut CpuEngine,
        threads: Option<usize>,
        work: &Work<'_>,
        watch: &Watch<'_>,
        progress: &dyn Fn(&str),
    ) -> Result<Self> {
        progress("limits of the processor");
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build()
            .map_err(|error| Error::Job(format!("cannot start threads: {error}")))?;
        let device = engine.description().clone();
        let (peak, copy) = (processor_peak(&pool), processor_copy(&pool, LARGEST_COPY));
        let lines = processor_lines(engine, &pool, work, watch, progress)?;
        Ok(Self { device, peak, matmul: None, launch: Duration::ZERO, copy, lines, launches_a_step: None })
    }
}

impl Line {
    /// Operations a second that were reached.
    pub fn operations_per_second(&self) -> Option<f64> {
        self.time.map(|time| self.cost.operations / time.as_secs_f64())
    }

    /// Bytes a second that were reached.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.time.map(|time| self.cost.bytes / time.as_secs_f64())
    }

    /// Whether `launch` is one of those that the line stands for.
    fn is(&self, launch: &Launch) -> bool {
        self.kernel == launch.kernel() && self.cost == launch.cost() && self.workgroups == workgroups(launch)
    }
}

/// Workgroups of a launch in all dimensions.
fn workgroups(launch: &Launch) -> usize {
    launch.workgroups().iter().map(|&count| count as usize).product()
}

/// One line for each kernel and size, in the order of their first launch.
fn counted(part: &'static str, launches: &[Launch]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for launch in launches {
        match lines.iter_mut().find(|line| line.is(launch)) {
            Some(line) => line.launches += 1,
            None => lines.push(Line {
                part,
                kernel: launch.kernel().into(),
                launches: 1,
                workgroups: workgroups(launch),
                time: None,
                cost: launch.cost(),
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
fn begin(engine: &mut GpuEngine, work: &Work<'_>) -> Result<(Box<dyn Batch>, Vec<Launch>)> {
    let training = engine.load(work.training)?;
    let replica_ids: Vec<u32> = (0..work.replicates).collect();
    engine.gpu().list_launches();
    let batch = engine.begin(&Setup {
        architecture: work.architecture,
        training,
        batch: work.batch,
        pixel_scale: 255.0,
        seed: 1,
        replica_ids: &replica_ids,
    })?;
    Ok((batch, engine.gpu().take_launches()))
}

/// Trains so many full steps.
fn train(batch: &mut dyn Batch, work: &Work<'_>, steps: usize, watch: &Watch<'_>) -> Result<()> {
    let samples = work.training.samples();
    let orders: Vec<Arc<[u32]>> = (0..work.replicates).map(|id| shuffled_order(samples as u32, 1, id, 0)).collect();
    let size = work.batch.min(samples);
    let batches: Vec<_> = (0..samples / size).map(|step| step * size..(step + 1) * size).cycle().take(steps).collect();
    batch.train(&Steps { first_step: 0, orders: &orders, batches: &batches, decay: 1.0 }, watch).map(|_| ())
}

/// Launches of a training step: how many for each of many steps, and those of one.
fn training_launches(engine: &mut GpuEngine, work: &Work<'_>, watch: &Watch<'_>) -> Result<(f64, Vec<Launch>)> {
    let (mut batch, _) = begin(engine, work)?;
    list_training(engine.gpu(), &mut *batch, work, watch)
}

fn list_training(gpu: &Gpu, batch: &mut dyn Batch, work: &Work<'_>, watch: &Watch<'_>) -> Result<(f64, Vec<Launch>)> {
    const MANY: usize = 32;
    let before = gpu.dispatches();
    train(batch, work, MANY, watch)?;
    let launches_a_step = (gpu.dispatches() - before) as f64 / MANY as f64;
    gpu.list_launches();
    train(batch, work, 1, watch)?;
    Ok((launches_a_step, gpu.take_launches()))
}

/// What the engine launches in each part of a study.
fn launches(engine: &mut GpuEngine, work: &Work<'_>, watch: &Watch<'_>, progress: &dyn Fn(&str)) -> Result<Parts> {
    progress("launches of the engine");
    let gpu = Arc::clone(engine.gpu());
    let test = engine.load(work.test)?;
    let (mut batch, initial) = begin(engine, work)?;
    let (launches_a_step, training) = list_training(&gpu, &mut *batch, work, watch)?;
    let nodes = vec![work.architecture.nodes() as u32 / 2; work.replicates as usize];
    gpu.list_launches();
    batch.change_masks(MaskChange::PruneSmallest, &nodes)?;
    batch.change_masks(MaskChange::RegrowRandom { update: 1 }, &nodes)?;
    let masks = gpu.take_launches();
    gpu.list_launches();
    batch.evaluate(test, watch)?;
    let evaluation = gpu.take_launches();
    let points = sweep_points(work.architecture.nodes());
    gpu.list_launches();
    batch.sweep(test, &points, watch)?;
    let mut sweep = gpu.take_launches();
    // What comes before the focus layer is an evaluation, and is listed there.
    sweep.retain(|launch| launch.kernel().starts_with("focus_sweep"));
    let (lower, upper, windows) = bounds(work);
    gpu.list_launches();
    engine.rank(work.shape, work.history)?;
    engine.count(work.shape, work.history, &lower, &upper)?;
    engine.envelope(work.shape, work.history, &windows)?;
    let history = gpu.take_launches();
    let lists = vec![
        (TRAINING, training),
        ("evaluation", evaluation),
        ("sweep", sweep),
        ("history", history),
        ("masks", masks),
        ("initial weights", initial),
    ];
    Ok(Parts { lists, launches_a_step })
}

/// Masks with more and more nodes pruned, all of replica 0.
fn sweep_points(nodes: usize) -> Vec<SweepPoint> {
    (0..POINTS)
        .map(|point| SweepPoint { slot: 0, kept: (0..nodes).map(|node| node % POINTS >= point).collect() })
        .collect()
}

/// Bounds around the last epoch for each tolerance, and windows that the history is long enough for.
fn bounds(work: &Work<'_>) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let columns = work.shape.columns();
    let last = &work.history[work.history.len() - columns..];
    let at = |side: f32| -> Vec<f32> {
        let tolerance = |index: usize| 0.02 * (index + 1) as f32;
        (0..TOLERANCES).flat_map(|index| last.iter().map(move |w| w + side * tolerance(index) * w.abs())).collect()
    };
    let windows = WINDOWS.into_iter().filter(|&window| window as usize <= work.shape.epochs).collect();
    (at(-1.0), at(1.0), windows)
}

/// Operations a second of all threads.
fn processor_peak(pool: &rayon::ThreadPool) -> f64 {
    const STEPS: usize = 1 << 22;
    let start = Instant::now();
    let mut multiply_adds = 0;
    while start.elapsed() < MEASUREMENT {
        multiply_adds += pool.broadcast(|_| limits::multiply_adds(STEPS)).into_iter().sum::<usize>();
    }
    2.0 * multiply_adds as f64 / start.elapsed().as_secs_f64()
}

/// Bytes a second, read and written ones together, of a copy by all threads that touches `bytes` in all.
fn processor_copy(pool: &rayon::ThreadPool, bytes: usize) -> f64 {
    let words = (bytes / 8).max(pool.current_num_threads()).div_ceil(pool.current_num_threads());
    let mut pieces: Vec<_> =
        (0..pool.current_num_threads()).map(|_| (vec![1.0f32; words], vec![0.0f32; words])).collect();
    // Small pieces are copied many times, so that starting threads does not count.
    let repetitions = (1_usize << 22).div_ceil(words);
    let mut run = || {
        pool.install(|| {
            pieces.par_iter_mut().for_each(|(source, destination)| {
                (0..repetitions).for_each(|_| limits::copy(source, destination));
            });
        });
    };
    run();
    let (start, mut runs) = (Instant::now(), 0);
    while start.elapsed() < MEASUREMENT {
        run();
        runs += 1;
    }
    let words = words * pool.current_num_threads() * repetitions * runs;
    8.0 * words as f64 / start.elapsed().as_secs_f64()
}

/// Time of `run`, which is repeated; what it returns is how often it did its work.
fn time(mut run: impl FnMut() -> Result<usize>) -> Result<Duration> {
    run()?;
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < MEASUREMENT || done == 0 {
        done += run()?;
    }
    Ok(start.elapsed() / done as u32)
}

/// What the CPU engine is made of.
fn processor_lines(
    engine: &mut CpuEngine,
    pool: &rayon::ThreadPool,
    work: &Work<'_>,
    watch: &Watch<'_>,
    progress: &dyn Fn(&str),
) -> Result<Vec<Line>> {
    let Work { architecture, replicates, batch: samples, shape, .. } = *work;
    let replicas = replicates as usize;
    let threads = pool.current_num_threads();
    let (training, test) = (engine.load(work.training)?, engine.load(work.test)?);
    let replica_ids: Vec<u32> = (0..replicates).collect();
    let setup =
        Setup { architecture, training, batch: samples, pixel_scale: 255.0, seed: 1, replica_ids: &replica_ids };
    let mut batch = engine.begin(&setup)?;
    let mut lines = Vec::new();
    // A copy of `footprint` bytes is what the memory could do: those that a thread comes back to, times threads.
    let mut add = |part, kernel: &str, workgroups, cost: Cost, footprint: usize, time| {
        let copy = processor_copy(pool, footprint.min(LARGEST_COPY));
        lines.push(Line { part, kernel: kernel.into(), launches: 1, workgroups, time: Some(time), cost, copy });
    };

    progress(TRAINING);
    let parameters = ParameterLayout::new(architecture).parameters();
    let size = samples.min(work.training.samples());
    let pixels = size * architecture.pixels();
    let adam = Cost::new(6 * parameters, 6 * parameters);
    let cost = Cost {
        operations: replicas as f64 * (architecture.step_flops(size) + adam.operations),
        bytes: replicas as f64 * (adam.bytes + pixels as f64),
    };
    let own = adam.bytes as usize / 2 + pixels;
    let kernels = if architecture.convolutions.is_empty() {
        "dense_stack.step"
    } else {
        "conv2d.forward_pool + max_pool2d.forward + dense_stack.step + conv2d.backward_input_pool + \
         conv2d.backward_weights_pool"
    };
    const STEPS: usize = 16;
    let taken = time(|| train(&mut *batch, work, STEPS, watch).map(|()| STEPS))?;
    add(TRAINING, kernels, replicas, cost, own * threads, taken);

    progress("evaluation");
    let images = work.test.samples();
    let cost = Cost {
        operations: 2.0 * (replicas * images * architecture.forward_multiply_adds()) as f64,
        bytes: (replicas * (images * architecture.pixels() + 4 * parameters)) as f64,
    };
    let taken = time(|| batch.evaluate(test, watch).map(|_| 1))?;
    add(
        "evaluation",
        "dense.forward_images + dense.forward + softmax_cross_entropy.loss",
        replicas,
        cost,
        4 * parameters * threads,
        taken,
    );

    progress("sweep");
    let points = sweep_points(architecture.nodes());
    let (width, classes) = (architecture.width, architecture.classes);
    let weights = width * (width + classes);
    let cost = Cost::new(POINTS * images * weights, POINTS * (images * width + weights));
    let taken = time(|| batch.sweep(test, &points, watch).map(|_| 1))?;
    add("sweep", "focus_sweep.evaluate", POINTS, cost, 4 * images * width, taken);

    progress("history");
    let (lower, upper, windows) = bounds(work);
    let (columns, all) = (shape.columns(), shape.len());
    let taken = time(|| engine.rank(shape, work.history).map(|_| 1))?;
    add("history", "magnitude_sort.rank", shape.epochs * replicas, Cost::comparisons(0, 2 * all), 8 * all, taken);
    let words = all + TOLERANCES * (3 * columns + shape.epochs * shape.replicas);
    let cost = Cost::comparisons(2 * TOLERANCES * all, words);
    let taken = time(|| engine.count(shape, work.history, &lower, &upper).map(|_| 1))?;
    add("history", "stability.count", replicas, cost, 4 * words, taken);
    let words = all + 3 * windows.len() * columns;
    let taken = time(|| engine.envelope(shape, work.history, &windows).map(|_| 1))?;
    add("history", "stability.envelope", replicas, Cost::comparisons(3 * all, words), 4 * words, taken);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roofline(operations: f64, bytes: f64, milliseconds: u64) -> Roofline {
        let engine = CpuEngine::new(Some(1)).unwrap();
        let line = Line {
            part: TRAINING,
            kernel: "a.b".into(),
            launches: 3,
            workgroups: 5,
            time: Some(Duration::from_millis(milliseconds)),
            cost: Cost { operations, bytes },
            copy: 1e9,
        };
        Roofline {
            device: engine.description().clone(),
            peak: 1e10,
            matmul: None,
            launch: Duration::from_micros(10),
            copy: 1e9,
            lines: vec![line],
            launches_a_step: None,
        }
    }

    #[test]
    fn the_largest_of_three_least_times_bounds_a_kernel() {
        let bound = |operations, bytes| {
            let roofline = roofline(operations, bytes, 1);
            roofline.least(&roofline.lines[0])
        };
        assert_eq!(bound(1e7, 1e5), (Duration::from_millis(1), Bound::Arithmetic));
        assert_eq!(bound(1e7, 1e7), (Duration::from_millis(10), Bound::Memory));
        assert_eq!(bound(1e3, 1e3), (Duration::from_micros(10), Bound::Launch));
    }

    #[test]
    fn a_step_needs_every_launch_and_few_workgroups_leave_compute_units_idle() {
        let roofline = roofline(1e7, 1e5, 1);
        assert_eq!(roofline.least_step(1), Duration::from_micros(3 * (1000 + 10)));
        assert_eq!(roofline.least_step(5), Duration::from_micros(3 * (1000 + 10)));
        assert_eq!(roofline.least_step(10), Duration::from_micros(3 * (2000 + 10)));
    }

    #[test]
    fn rates_are_work_over_time() {
        let line = &roofline(2e6, 4e6, 2).lines[0];
        assert_eq!(line.operations_per_second(), Some(1e9));
        assert_eq!(line.bytes_per_second(), Some(2e9));
    }
}
