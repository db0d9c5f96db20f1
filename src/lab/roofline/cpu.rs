//! What the CPU engine is made of, piece of fused work by piece.

use super::{
    LARGEST_COPY, Line, MEASUREMENT, POINTS, Roofline, TOLERANCES, TRAINING, Work, bounds, sweep_points, train,
};
use crate::cpu::fast::limits;
use crate::engine::{Engine, Setup, Watch};
use crate::error::{Error, Result};
use crate::gpu::Cost;
use crate::network::{ParameterLayout, Selection};
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// A limit is the best of so many measurements.
const MEASUREMENTS: usize = 5;

impl Roofline {
    /// Measures what the CPU engine is made of, with `threads` threads or one for each core.
    ///
    /// Fails as [`crate::engine::Engine::cpu`] does, and with [`crate::error::Error::OutOfMemory`].
    pub fn of_cpu(
        engine: &mut Engine,
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

/// The highest of several rates: whatever else runs on the machine only makes them worse.
fn best(mut rate: impl FnMut() -> f64) -> f64 {
    (0..MEASUREMENTS).map(|_| rate()).fold(0.0, f64::max)
}

/// Operations a second of all threads.
fn processor_peak(pool: &rayon::ThreadPool) -> f64 {
    const STEPS: usize = 1 << 21;
    best(|| {
        let start = Instant::now();
        let multiply_adds: usize = pool.broadcast(|_| limits::multiply_adds(STEPS)).into_iter().sum();
        2.0 * multiply_adds as f64 / start.elapsed().as_secs_f64()
    })
}

/// Bytes a second, read and written ones together, of a copy by all threads that touches `bytes` in all.
fn processor_copy(pool: &rayon::ThreadPool, bytes: usize) -> f64 {
    let threads = pool.current_num_threads();
    let words = (bytes / 8).max(threads).div_ceil(threads);
    let mut pieces: Vec<_> = (0..threads).map(|_| (vec![1.0f32; words], vec![0.0f32; words])).collect();
    // Small pieces are copied many times, so that starting threads does not count.
    let repetitions = (1_usize << 22).div_ceil(words);
    let mut run = || {
        let start = Instant::now();
        pool.install(|| {
            pieces.par_iter_mut().for_each(|(source, destination)| {
                (0..repetitions).for_each(|_| limits::copy(source, destination));
            });
        });
        (8 * words * threads * repetitions) as f64 / start.elapsed().as_secs_f64()
    };
    // The first touches memory that was never there.
    run();
    best(run)
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
    engine: &mut Engine,
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
    let selection = Selection::focus(architecture);
    let setup = Setup {
        architecture,
        training,
        batch: samples,
        pixel_scale: 255.0,
        seed: 1,
        replica_ids: &replica_ids,
        selection: &selection,
    };
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
    let pixels = size * architecture.image_len();
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
    let taken = time(|| train(&mut batch, work, STEPS, watch).map(|()| STEPS))?;
    add(TRAINING, kernels, replicas, cost, own * threads, taken);

    progress("evaluation");
    let images = work.test.samples();
    let cost = Cost {
        operations: 2.0 * (replicas * images * architecture.forward_multiply_adds()) as f64,
        bytes: (replicas * (images * architecture.image_len() + 4 * parameters)) as f64,
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
    let points = sweep_points(architecture.weight_count());
    let [inputs, units] = architecture.focus_shape();
    let weights = units * (inputs + architecture.classes);
    let cost = Cost::new(POINTS * images * weights, POINTS * (images * inputs + weights));
    let taken = time(|| batch.sweep(test, &selection, &points, watch).map(|_| 1))?;
    add("sweep", "focus_sweep.evaluate", POINTS, cost, 4 * images * inputs, taken);

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
