//! `holdfast bench`: how fast this machine is at the three things that a study is made of.

use super::options::{DeviceOptions, OutputOptions};
use super::run::open_engine;
use super::{output, stop_flag};
use crate::data::Dataset;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Batch, DataHandle, Engine, HistoryShape, Setup, Steps, SweepPoint, Watch};
use crate::error::{Error, Result};
use crate::network::Architecture;
use crate::pruning::masks::{RemovalOrder, removed_nodes};
use crate::random::{Sequence, Stream};
use crate::stability::{History, Reading, Stability};
use crate::study::experiment::check_memory;
use clap::Args;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every quantity is measured at least this often, after one warm-up.
const REPETITIONS: usize = 7;
/// One repetition of the training step runs for about this long.
const REPETITION: Duration = Duration::from_millis(150);
/// Images of the made-up training set.
const TRAINING_IMAGES: usize = 2048;
/// Images that a sweep classifies: as many as MNIST's test set has.
const TEST_IMAGES: usize = 10_000;
/// Masks of one replica that a sweep evaluates.
const SWEEP_POINTS: usize = 40;
/// Epochs of the history that is sorted and counted.
const HISTORY_EPOCHS: usize = 150;
/// Classes of the made-up data.
const CLASSES: usize = 10;
/// Everything here is drawn with this seed.
const SEED: u64 = 1;

/// Arguments of `bench`.
#[derive(Args)]
pub(super) struct BenchArguments {
    /// Networks side by side.
    #[arg(long, default_value_t = 10, value_name = "N")]
    replicates: u32,
    /// Samples of a step.
    #[arg(long, default_value_t = 32, value_name = "N")]
    batch: usize,
    /// Rows and columns of an image.
    #[arg(long, default_value_t = 28, value_name = "PIXELS")]
    side: usize,
    /// Units of each hidden dense layer.
    #[arg(long, default_value_t = 30, value_name = "N")]
    width: usize,
    /// Hidden dense layers.
    #[arg(long, default_value_t = 6, value_name = "N")]
    depth: usize,
    /// Network: fully connected (dnn) or convolutional (cnn).
    #[arg(long, default_value = "dnn", value_parser = ["dnn", "cnn"])]
    model: String,
    /// Channels of each convolution of the CNN.
    #[arg(long, default_value_t = 8, value_name = "N")]
    filters: usize,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &BenchArguments) -> Result<()> {
    let sizes =
        [("--replicates", arguments.replicates as usize), ("--batch", arguments.batch), ("--side", arguments.side)];
    for (option, value) in sizes {
        if value == 0 {
            return Err(Error::Usage(format!("{option} 0 is not possible; use 1 or more")));
        }
    }
    let BenchArguments { side, width, depth, filters, .. } = *arguments;
    let convolutions = if arguments.model == "cnn" { Architecture::paper_convolutions(filters) } else { Vec::new() };
    let architecture =
        Architecture { image_height: side, image_width: side, convolutions, width, depth, classes: CLASSES };
    architecture.validate()?;
    check_memory(&architecture, arguments.replicates, HISTORY_EPOCHS as u32, TRAINING_IMAGES + TEST_IMAGES)?;
    let mut engine = open_engine(&arguments.device, arguments.output.quiet)?;
    let mut bench = Bench::new(&mut *engine, arguments, &architecture)?;
    let step = bench.step()?;
    let sweep = bench.sweep()?;
    let sort_count = bench.sort_count()?;
    let flops = architecture.step_flops(arguments.batch);
    let gflops = step.map(|microseconds| flops / microseconds / 1e3);
    let description = engine.description();
    if arguments.output.json {
        return output::json(&json!({
            "device": description,
            "model": arguments.model,
            "replicates": arguments.replicates,
            "batch": arguments.batch,
            "side": side,
            "width": width,
            "depth": depth,
            "filters": (arguments.model == "cnn").then_some(filters),
            "step_us": step.json(),
            "gflops": gflops.json(),
            "sort_count_ms": sort_count.json(),
            "sweep_us_per_point": sweep.json(),
        }));
    }
    output::result(&format!(
        "{}, {}\n\
         {} {side} x {side}, {} replicas, batch {}; median ± sd of {} repetitions\n\
         \x20 training step   {} µs a replica, {:.1} GFLOP/s\n\
         \x20 sort + count    {} ms for {HISTORY_EPOCHS} epochs x {} replicas x {} nodes\n\
         \x20 sweep           {} µs a point on {TEST_IMAGES} images\n",
        description.name,
        description.variant,
        arguments.model,
        arguments.replicates,
        arguments.batch,
        REPETITIONS,
        step.text(),
        gflops.median(),
        sort_count.text(),
        arguments.replicates,
        architecture.nodes(),
        sweep.text(),
    ))
}

/// Repeated measurements of one quantity.
struct Measurements(Vec<f64>);

impl Measurements {
    fn map(&self, convert: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(convert).collect())
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    fn deviation(&self) -> f64 {
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        (self.0.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (self.0.len() - 1) as f64).sqrt()
    }

    fn json(&self) -> Value {
        json!({ "median": self.median(), "sd": self.deviation() })
    }

    fn text(&self) -> String {
        format!("{:.1} ± {:.1}", self.median(), self.deviation())
    }
}

/// Networks and made-up data on one device.
struct Bench<'a> {
    engine: &'a mut dyn Engine,
    architecture: &'a Architecture,
    replicates: u32,
    batch_size: usize,
    batch: Box<dyn Batch>,
    test: DataHandle,
}

impl<'a> Bench<'a> {
    fn new(engine: &'a mut dyn Engine, arguments: &BenchArguments, architecture: &'a Architecture) -> Result<Self> {
        let training = engine.load(&Arc::new(images(architecture, 0, TRAINING_IMAGES)?))?;
        let test = engine.load(&Arc::new(images(architecture, 1, TEST_IMAGES)?))?;
        let ids: Vec<u32> = (0..arguments.replicates).collect();
        let batch_size = arguments.batch.min(TRAINING_IMAGES);
        let batch = engine.begin(&Setup {
            architecture,
            training,
            batch: batch_size,
            pixel_scale: 255.0,
            seed: SEED,
            replica_ids: &ids,
        })?;
        Ok(Self { engine, architecture, replicates: arguments.replicates, batch_size, batch, test })
    }

    /// Microseconds of a training step of one replica: wall time / (steps x replicates).
    fn step(&mut self) -> Result<Measurements> {
        let watch = Watch { stop: stop_flag()?, progress: &|_| {} };
        let orders: Vec<Arc<[u32]>> =
            (0..self.replicates).map(|id| shuffled_order(TRAINING_IMAGES as u32, SEED, id, 0)).collect();
        let epoch = step_ranges(TRAINING_IMAGES, self.batch_size)?;
        let mut taken = 0;
        let mut time = |count: usize| -> Result<f64> {
            let batches: Vec<_> = epoch.iter().cloned().cycle().take(count).collect();
            let start = Instant::now();
            self.batch.train(&Steps { first_step: taken, orders: &orders, batches: &batches, decay: 1.0 }, &watch)?;
            taken += count as u64;
            Ok(start.elapsed().as_secs_f64())
        };
        // Warm-up, and how many steps a repetition has.
        time(2)?;
        let once = time(8)? / 8.0;
        let steps = ((REPETITION.as_secs_f64() / once) as usize).clamp(8, 10_000);
        let per_step = f64::from(self.replicates) * steps as f64;
        (0..REPETITIONS).map(|_| Ok(time(steps)? * 1e6 / per_step)).collect::<Result<_>>().map(Measurements)
    }

    /// Microseconds of evaluating one pruned focus layer on the test images.
    fn sweep(&mut self) -> Result<Measurements> {
        let nodes = self.architecture.nodes();
        let points: Vec<SweepPoint> = (0..SWEEP_POINTS)
            .map(|point| {
                let order = RemovalOrder::random(SEED, point as u32, nodes);
                let sparsity = point as f64 / SWEEP_POINTS as f64;
                SweepPoint { slot: 0, kept: order.mask(removed_nodes(sparsity, nodes)) }
            })
            .collect();
        let watch = Watch { stop: stop_flag()?, progress: &|_| {} };
        let mut time = || -> Result<f64> {
            let start = Instant::now();
            self.batch.sweep(self.test, &points, &watch)?;
            Ok(start.elapsed().as_secs_f64() * 1e6 / SWEEP_POINTS as f64)
        };
        time()?;
        (0..REPETITIONS).map(|_| time()).collect::<Result<_>>().map(Measurements)
    }

    /// Milliseconds of ranking a history and counting it at three tolerances.
    fn sort_count(&mut self) -> Result<Measurements> {
        let nodes = self.architecture.nodes();
        let shape = HistoryShape { epochs: HISTORY_EPOCHS, replicas: self.replicates as usize, nodes };
        let history = History::new(shape, random_walk(shape))?;
        let mut time = || -> Result<f64> {
            let start = Instant::now();
            self.engine.rank(shape, history.weights())?;
            Stability::count(self.engine, &history, &[0.01, 0.03, 0.05], Reading::default())?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        };
        time()?;
        (0..REPETITIONS).map(|_| time()).collect::<Result<_>>().map(Measurements)
    }
}

/// Noise with labels: what pixels hold moves no time.
fn images(architecture: &Architecture, array: u32, samples: usize) -> Result<Dataset> {
    let mut noise = Sequence::new(SEED, Stream::Check, array, 0);
    let pixels = (0..samples * architecture.pixels()).map(|_| noise.next_word() as u8).collect();
    let labels = (0..samples).map(|sample| (sample % CLASSES) as u8).collect();
    Dataset::new("noise", pixels, labels, architecture.image_height, architecture.image_width, CLASSES)
}

/// Weights that move less and less, as those of a network in training do.
fn random_walk(shape: HistoryShape) -> Vec<f32> {
    let mut noise = Sequence::new(SEED, Stream::Check, 2, 0);
    let mut weights: Vec<f32> = (0..shape.columns()).map(|_| noise.unit() as f32 - 0.5).collect();
    let mut history = Vec::with_capacity(shape.len());
    for epoch in 0..shape.epochs {
        for weight in &mut weights {
            *weight += 0.05 / (epoch + 1) as f32 * (noise.unit() as f32 - 0.5);
        }
        history.extend_from_slice(&weights);
    }
    history
}
