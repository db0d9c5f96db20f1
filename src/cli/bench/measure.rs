//! Networks and made-up data, and the clock beside them.

use crate::cli::output;
use crate::cli::progress::Reporter;
use crate::cli::stop::stop_flag;
use crate::data::Dataset;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{Batch, DataHandle, Engine, HistoryShape, Setup, Steps, SweepPoint, Watch};
use crate::error::Result;
use crate::lab::{LaunchTimes, profile};
use crate::network::{Architecture, Selection};
use crate::pruning::masks::{RemovalOrder, removed_weights};
use crate::pruning::surgery::Settings;
use crate::random::{Sequence, Stream};
use crate::stability::{History, Reading, Stability};
use crate::study::Progress;
use crate::study::accuracy::Summary;
use crate::study::calibrated::CalibratedNetworks;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Every quantity is measured so often after one warm-up, less often if that takes longer than [`PART`].
pub(super) const REPETITIONS: usize = 7;
/// No repetition is begun this long after the warm-up of its quantity.
const PART: Duration = Duration::from_secs(15);
/// What a step is made of is watched for about this many seconds.
const WATCHING: f64 = 5.0;
/// One repetition of the training step runs for about this long.
const REPETITION: Duration = Duration::from_millis(150);
/// The most steps of one repetition.
const MOST_STEPS: usize = 10_000;
/// Most steps whose launches are counted, and whose launches are timed one by one.
const WATCHED_STEPS: usize = 32;
const PROFILED_STEPS: usize = 8;
/// Images of the made-up training set.
pub(super) const TRAINING_IMAGES: usize = 2048;
/// Most images that a sweep classifies: as many as MNIST's test set has.
pub(super) const TEST_IMAGES: usize = 10_000;
/// Images of the try that tells how many of them a repetition has time for, and seconds that one may take: three and a few
/// tries fit into [`PART`].
const TRIED_IMAGES: usize = 128;
const SWEEP: f64 = 4.0;
/// Masks of one replica that a sweep evaluates.
const SWEEP_POINTS: usize = 40;
/// Images that the surgeon looks at.
pub(super) const CALIBRATION_IMAGES: usize = 4096;
/// Epochs of the history that is sorted and counted.
pub(super) const HISTORY_EPOCHS: usize = 150;
/// Tolerances that it is counted at.
pub(super) const TOLERANCES: [f64; 3] = [0.01, 0.03, 0.05];
/// Classes of the made-up data.
pub(super) const CLASSES: usize = 10;
/// Everything here is drawn with this seed.
pub(super) const SEED: u64 = 1;

/// Repeated measurements of one quantity.
#[derive(Clone, Debug, Default)]
pub(super) struct Measurements(pub(super) Vec<f64>);

impl Measurements {
    pub(super) fn map(&self, convert: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(convert).collect())
    }

    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    /// Standard deviation; none of a single number.
    pub(super) fn deviation(&self) -> Option<f64> {
        Summary::of(&self.0).and_then(|summary| summary.sd)
    }

    /// Whether there was no time for all repetitions.
    pub(super) fn is_short(&self) -> bool {
        self.0.len() < REPETITIONS
    }

    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median(), "sd": self.deviation(), "repetitions": self.0.len() })
    }

    /// Median and spread, and how many repetitions there were if not all.
    pub(super) fn text(&self) -> String {
        let spread = self.deviation().map(|sd| format!(" ± {sd:.1}")).unwrap_or_default();
        let short = if self.is_short() { format!(" [{}]", self.0.len()) } else { String::new() };
        format!("{:.1}{spread}{short}", self.median())
    }

    /// Repeats a measurement after a warm-up, as often as there is time for; where there is time for none, the warm-up is the
    /// measurement.
    fn repeat(name: &str, quiet: bool, mut once: impl FnMut() -> Result<f64>) -> Result<Self> {
        if !quiet {
            output::note(&format!("{name}: up to {REPETITIONS} repetitions in about {} s", PART.as_secs()));
        }
        let reporter = Reporter::new(quiet);
        reporter.begin(name, REPETITIONS as u64, "repetitions");
        let started = Instant::now();
        let warm_up = once()?;
        let mut all = Vec::new();
        while all.len() < REPETITIONS && started.elapsed() < PART {
            all.push(once()?);
            reporter.advance(1);
        }
        reporter.end();
        Ok(Self(if all.is_empty() { vec![warm_up] } else { all }))
    }
}

/// Replicas in training on noise.
pub(super) struct Training {
    pub(super) batch: Batch,
    replicas: u32,
    orders: Vec<Arc<[u32]>>,
    epoch: Vec<Range<usize>>,
    taken: u64,
}

impl Training {
    /// `replicas` networks on `samples` images.
    pub(super) fn new(
        engine: &mut Engine,
        architecture: &Architecture,
        replicas: u32,
        batch: usize,
        samples: usize,
    ) -> Result<Self> {
        let training = engine.load(&Arc::new(images(architecture, 0, samples)?))?;
        let ids: Vec<u32> = (0..replicas).collect();
        let batch_size = batch.min(samples);
        let batch = engine.begin(&Setup {
            architecture,
            training,
            batch: batch_size,
            pixel_scale: 255.0,
            seed: SEED,
            replica_ids: &ids,
            selection: &Selection::focus(architecture),
        })?;
        let orders = ids.iter().map(|&id| shuffled_order(samples as u32, SEED, id, 0)).collect();
        Ok(Self { batch, replicas, orders, epoch: step_ranges(samples, batch_size)?, taken: 0 })
    }

    /// Seconds of so many steps of all replicas.
    pub(super) fn time(&mut self, steps: usize) -> Result<f64> {
        let watch = Watch { stop: stop_flag(), progress: &|_| {} };
        let batches: Vec<_> = self.epoch.iter().cloned().cycle().take(steps).collect();
        let Self { orders, taken, .. } = self;
        let start = Instant::now();
        self.batch.train(&Steps { first_step: *taken, orders, batches: &batches, decay: 1.0 }, &watch)?;
        self.taken += steps as u64;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Steps that take about `repetition`, after a warm-up.
    pub(super) fn steps_in(&mut self, repetition: Duration) -> Result<usize> {
        let first = self.time(1)?;
        // Devices that are slow at this size are known well enough by now.
        let once = if first < repetition.as_secs_f64() { self.time(8)? / 8.0 } else { first };
        Ok(((repetition.as_secs_f64() / once) as usize).clamp(1, MOST_STEPS))
    }
}

/// The three things that a study is made of, on one device.
pub(super) struct Bench<'a> {
    engine: &'a mut Engine,
    architecture: &'a Architecture,
    pub(super) training: Training,
    quiet: bool,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        engine: &'a mut Engine,
        architecture: &'a Architecture,
        replicas: u32,
        batch: usize,
        quiet: bool,
    ) -> Result<Self> {
        let training = Training::new(engine, architecture, replicas, batch, TRAINING_IMAGES)?;
        Ok(Self { engine, architecture, training, quiet })
    }

    /// Microseconds of a training step of one replica: wall time / (steps x replicates).
    pub(super) fn step(&mut self) -> Result<Measurements> {
        let steps = self.training.steps_in(REPETITION)?;
        let per_step = f64::from(self.training.replicas) * steps as f64;
        Measurements::repeat("training step", self.quiet, || Ok(self.training.time(steps)? * 1e6 / per_step))
    }

    /// Microseconds of evaluating one pruned focus layer on test images, and how many of these a repetition has time for.
    pub(super) fn sweep(&mut self) -> Result<(Measurements, usize)> {
        let selection = Selection::focus(self.architecture);
        let weight_count = selection.weights();
        let points: Vec<SweepPoint> = (0..SWEEP_POINTS)
            .map(|point| {
                let order = RemovalOrder::random(SEED, point as u32, weight_count);
                let sparsity = point as f64 / SWEEP_POINTS as f64;
                SweepPoint { slot: 0, kept: order.mask(removed_weights(sparsity, weight_count)) }
            })
            .collect();
        let watch = Watch { stop: stop_flag(), progress: &|_| {} };
        let load = |engine: &mut Engine, count| engine.load(&Arc::new(images(self.architecture, 1, count)?));
        let mut seconds = |test: DataHandle| -> Result<f64> {
            let start = Instant::now();
            self.training.batch.sweep(test, &selection, &points, &watch)?;
            Ok(start.elapsed().as_secs_f64())
        };
        let few = load(self.engine, TRIED_IMAGES)?;
        // The first try compiles kernels too; a device that is slow is known well enough all the same.
        let first = seconds(few)?;
        let tried = if first > SWEEP { first } else { seconds(few)? };
        let count = ((SWEEP / tried * TRIED_IMAGES as f64) as usize).clamp(TRIED_IMAGES, TEST_IMAGES);
        if count < TEST_IMAGES && !self.quiet {
            output::note(&format!(
                "sweep: on {count} images; {TEST_IMAGES} would take longer than {SWEEP} s a repetition"
            ));
        }
        let test = load(self.engine, count)?;
        let found = Measurements::repeat("sweep", self.quiet, || Ok(seconds(test)? * 1e6 / SWEEP_POINTS as f64))?;
        Ok((found, count))
    }

    /// Milliseconds of ranking a history and counting it at three tolerances.
    pub(super) fn sort_count(&mut self) -> Result<Measurements> {
        let weight_count = self.architecture.weight_count();
        let shape = HistoryShape { epochs: HISTORY_EPOCHS, replicas: self.training.replicas as usize, weight_count };
        let history = History::new(shape, random_walk(shape))?;
        Measurements::repeat("sort + count", self.quiet, || {
            Ok((sort(self.engine, &history)? + count(self.engine, &history)?) * 1e3)
        })
    }
}

impl Bench<'_> {
    /// Milliseconds of the surgeon's way to the end of the last hidden layer of all replicas: moments, paths, and one order.
    pub(super) fn surgeon(&mut self) -> Result<Measurements> {
        let set = images(self.architecture, 3, CALIBRATION_IMAGES)?;
        let features: Vec<f32> = set.images.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let parameters = self.training.batch.parameters()?;
        let watch = Watch { stop: stop_flag(), progress: &|_| {} };
        let selection = Selection::focus(self.architecture);
        Measurements::repeat("surgeon", self.quiet, || {
            // Moments that are known take no time: the networks are new each time.
            let settings = Settings::default();
            let networks = CalibratedNetworks::new(self.engine, self.architecture, &parameters, &features, settings)?;
            let start = Instant::now();
            networks.ways_of_layer(self.engine, selection.first_layer(), None, &watch)?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        })
    }
}

/// What training steps are made of on a device.
pub(super) struct Launches {
    /// Launches of one step of all replicas.
    pub(super) per_step: f64,
    /// Steps that were watched, in one call.
    pub(super) steps: usize,
    /// Submissions of these steps, reading the losses back included.
    pub(super) submissions: u64,
    /// What each kernel took of one step, in microseconds, the slowest first; empty where there are no usable timestamps.
    pub(super) kernels: Vec<(&'static str, f64)>,
}

impl Bench<'_> {
    /// What the training step, which takes a replica `step_us`, is made of; nothing on the CPU engine, which launches nothing.
    pub(super) fn launches(&mut self, step_us: f64) -> Result<Option<Launches>> {
        let Some(gpu) = self.engine.device().map(Arc::clone) else { return Ok(None) };
        let fitting = WATCHING * 1e6 / (step_us * f64::from(self.training.replicas));
        let [watched, profiled] = [WATCHED_STEPS, PROFILED_STEPS].map(|most| (fitting as usize).clamp(1, most));
        let before = (gpu.dispatches(), gpu.submits());
        self.training.time(watched)?;
        let (launches, submissions) = (gpu.dispatches() - before.0, gpu.submits() - before.1);
        let (_, times) = profile(&gpu, || self.training.time(profiled))?;
        let per_step = |(kernel, times): (_, LaunchTimes)| (kernel, times.time.as_secs_f64() * 1e6 / profiled as f64);
        let mut kernels: Vec<_> = times.into_iter().map(per_step).collect();
        kernels.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Ok(Some(Launches { per_step: launches as f64 / watched as f64, steps: watched, submissions, kernels }))
    }
}

impl Launches {
    pub(super) fn json(&self) -> Value {
        let kernels: Vec<Value> =
            self.kernels.iter().map(|(kernel, time)| json!({ "kernel": kernel, "us_per_step": time })).collect();
        json!({
            "per_step": self.per_step,
            "steps": self.steps,
            "submissions": self.submissions,
            "kernels": kernels,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\x20 launches        {} a step of all replicas; {} submissions for {} steps\n",
            self.per_step, self.submissions, self.steps
        );
        if self.kernels.is_empty() {
            text += "\x20 kernels         the device has no usable timestamps\n";
        }
        for (kernel, time) in &self.kernels {
            text += &format!("\x20   {kernel:<36} {time:>10.1} µs a step of all replicas\n");
        }
        text
    }
}

/// Seconds of ranking a history.
pub(super) fn sort(engine: &mut Engine, history: &History) -> Result<f64> {
    let start = Instant::now();
    engine.rank(history.shape(), history.weights())?;
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds of counting a history at three tolerances.
pub(super) fn count(engine: &mut Engine, history: &History) -> Result<f64> {
    let start = Instant::now();
    Stability::count(engine, history, &TOLERANCES, Reading::default())?;
    Ok(start.elapsed().as_secs_f64())
}

/// Noise with labels: what pixels hold moves no time.
pub(super) fn images(architecture: &Architecture, array: u32, samples: usize) -> Result<Dataset> {
    let mut noise = Sequence::new(SEED, Stream::Check, array, 0);
    let pixels = (0..samples * architecture.image_len()).map(|_| noise.next_word() as u8).collect();
    let labels = (0..samples).map(|sample| (sample % CLASSES) as u8).collect();
    Dataset::new("noise", pixels, labels, architecture.image_height, architecture.image_width, CLASSES)
}

/// Weights that move less and less, as those of a network in training do.
pub(super) fn random_walk(shape: HistoryShape) -> Vec<f32> {
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
