//! Networks and made-up data, and the clock beside them.

use super::Measurement;
use crate::cli::output;
use crate::cli::progress::Reporter;
use crate::cli::stop::stop_flag;
use crate::clock::{Turns, by_turns, seconds};
use crate::data::Dataset;
use crate::data::batches::{shuffled_order, step_ranges};
use crate::engine::{
    ActiveRows, Batch, DataHandle, Engine, HistoryShape, Progress, Rows, Setup, Steps, SurgeonLayer, SweepPoint, Watch,
};
use crate::error::{Error, Result};
use crate::lab::bench_file::Quantity;
use crate::lab::{LaunchTimes, profile};
use crate::network::{Architecture, Selection};
use crate::pruning::allocation::{Amount, First, Scope, TensorScores, allocate_each};
use crate::pruning::calibrated::CalibratedNetworks;
use crate::pruning::masks::{RemovalOrder, removed_weights};
use crate::pruning::surgery::Settings;
use crate::random::{Sequence, Stream};
use crate::stability::{History, Reading, Stability};
use crate::statistics::spread::Spread;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds in which every quantity is measured once, at most, and how sure of each median is sure enough for fewer.
const ROUNDS: usize = 25;
const ENOUGH: f64 = 0.01;
/// What a step is made of is watched for about this many seconds.
const WATCHING: f64 = 5.0;
/// One repetition of the training step runs for about so many seconds, or for a part of what there is in all.
const REPETITION: f64 = 0.15;
/// The most steps of one repetition.
const MOST_STEPS: usize = 10_000;
/// Most steps whose launches are counted, and whose launches are timed one by one.
const WATCHED_STEPS: usize = 32;
const PROFILED_STEPS: usize = 8;
/// Images of the made-up training set.
pub(super) const TRAINING_IMAGES: usize = 2048;
/// Most images that a sweep classifies: as many as MNIST's test set has.
pub(super) const TEST_IMAGES: usize = 10_000;
/// Fewer, where these take too long. They are far apart, so that two runs seldom differ: times on other numbers of images are not
/// compared.
const FEWER_IMAGES: [usize; 6] = [5000, 2000, 1000, 500, 200, TRIED_IMAGES];
/// Images of the tries that tell how many of them a repetition has time for, and seconds that one may take.
const TRIED_IMAGES: usize = 128;
const TRIES: usize = 3;
const SWEEP: f64 = 4.0;
/// Masks of one replica that a sweep evaluates.
const SWEEP_POINTS: usize = 40;
/// Images that the surgeon looks at.
pub(super) const CALIBRATION_IMAGES: usize = 4096;
/// Weights, and masks of them.
pub(super) const MASKS: [usize; 2] = [10_000_000, 20];
/// Rows, inputs and units of the layer that whole inputs are taken from.
pub(super) const WHOLE_INPUTS: [usize; 3] = [2048, 1024, 256];
/// Epochs of the history that is sorted and counted.
pub(super) const HISTORY_EPOCHS: usize = 150;
/// Tolerances that it is counted at.
pub(super) const TOLERANCES: [f64; 3] = [0.01, 0.03, 0.05];
/// Classes of the made-up data.
pub(super) const CLASSES: usize = 10;
/// Everything here is drawn with this seed.
pub(super) const SEED: u64 = 1;

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

/// What a study is made of, on one device.
pub(super) struct Bench<'a> {
    engine: &'a mut Engine,
    architecture: &'a Architecture,
    training: Training,
}

/// One of these things, ready to be timed.
enum Job {
    /// Training steps of all replicas, so many a repetition.
    Step(usize),
    /// Points of a sweep on a test set of so many images.
    Sweep { test: DataHandle, images: usize, points: Vec<SweepPoint> },
    /// A history to rank and count.
    SortCount(History),
    /// Weights of several tensors.
    Masks(Vec<Vec<f32>>),
    /// What a layer reads `[row, input]`, what it makes of it `[row, unit]`, and its weights `[input, unit]`.
    WholeInputs { values: Vec<f32>, pre_activations: Vec<f32>, weights: Vec<f32> },
    /// What calibrates, and all parameters.
    Surgeon { features: Vec<f32>, parameters: Vec<Vec<f32>> },
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        engine: &'a mut Engine,
        architecture: &'a Architecture,
        replicas: u32,
        batch: usize,
    ) -> Result<Self> {
        let training = Training::new(engine, architecture, replicas, batch, TRAINING_IMAGES)?;
        Ok(Self { engine, architecture, training })
    }

    /// Times these parts alternately, in about so many seconds; `on_cue` each round waits for a line of standard input, whose end
    /// ends it, and is answered by a line.
    pub(super) fn measure(
        &mut self,
        parts: &[Measurement],
        seconds: f64,
        on_cue: bool,
        quiet: bool,
    ) -> Result<Measured> {
        let jobs = parts.iter().map(|&part| self.prepare(part, seconds, quiet)).collect::<Result<Vec<Job>>>()?;
        let sweep_images = jobs.iter().find_map(|job| match job {
            Job::Sweep { images, .. } => Some(*images),
            _ => None,
        });
        let turns = Turns { rounds: ROUNDS, within: Duration::from_secs_f64(seconds), enough: ENOUGH };
        let reporter = Reporter::new(quiet);
        let titles: Vec<&str> = parts.iter().map(|part| part.names().1).collect();
        reporter.begin(
            &format!("alternating: {}", titles.join(", ")),
            (1 + ROUNDS) as u64 * jobs.len() as u64,
            "times",
        );
        let time = |which: usize| {
            reporter.control().silent().check()?;
            let found = self.time(&jobs[which]);
            reporter.advance(1);
            found
        };
        let taken = if on_cue { by_cues(jobs.len(), time) } else { by_turns(jobs.len(), turns, time) };
        reporter.end();
        let quantity = |(&part, samples): (&Measurement, Vec<f64>)| {
            let (name, title, unit) = part.names();
            // Times on other numbers of images are not compared.
            let images = sweep_images.filter(|_| part == Measurement::Sweep);
            let unit = images.map_or(unit.to_string(), |images| format!("{unit} on {images} images"));
            Quantity { name: name.into(), title: title.into(), unit, samples }
        };
        Ok(Measured { quantities: parts.iter().zip(taken?).map(quantity).collect(), sweep_images })
    }

    /// Makes ready what is timed; a repetition of a part takes no more than its share of the `seconds`, if it can be helped.
    fn prepare(&mut self, part: Measurement, seconds: f64, quiet: bool) -> Result<Job> {
        let (architecture, replicas) = (self.architecture, self.training.replicas as usize);
        let mut draws = Sequence::new(SEED, Stream::Check, 4, 0);
        let mut noise = std::iter::from_fn(|| Some(draws.unit() as f32 - 0.5));
        Ok(match part {
            Measurement::Step => {
                Job::Step(self.training.steps_in(Duration::from_secs_f64(REPETITION.min(seconds / 32.0)))?)
            }
            Measurement::Sweep => self.prepare_sweep(SWEEP.min(seconds / 8.0), quiet)?,
            Measurement::SortCount => {
                let shape =
                    HistoryShape { epochs: HISTORY_EPOCHS, replicas, weight_count: architecture.weight_count() };
                Job::SortCount(History::new(shape, random_walk(shape))?)
            }
            Measurement::Masks => {
                let [weights, _] = MASKS;
                let tensor = |_| noise.by_ref().take(weights / 4).collect();
                Job::Masks((0..4).map(tensor).collect())
            }
            Measurement::WholeInputs => {
                let [rows, inputs, units] = WHOLE_INPUTS;
                let mut draw = |count: usize| noise.by_ref().take(count).collect();
                Job::WholeInputs {
                    values: draw(rows * inputs),
                    pre_activations: draw(rows * units),
                    weights: draw(inputs * units),
                }
            }
            Measurement::Surgeon => {
                let set = images(architecture, 3, CALIBRATION_IMAGES)?;
                let features = set.images.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
                Job::Surgeon { features, parameters: self.training.batch.parameters()? }
            }
        })
    }

    /// A sweep of as many images as a repetition of `most` seconds has time for.
    fn prepare_sweep(&mut self, most: f64, quiet: bool) -> Result<Job> {
        let weight_count = Selection::focus(self.architecture).weights();
        let points: Vec<SweepPoint> = (0..SWEEP_POINTS)
            .map(|point| {
                let order = RemovalOrder::random(SEED, point as u32, weight_count);
                let sparsity = point as f64 / SWEEP_POINTS as f64;
                SweepPoint { slot: 0, kept: order.mask(removed_weights(sparsity, weight_count)) }
            })
            .collect();
        let few = self.engine.load(&Arc::new(images(self.architecture, 1, TRIED_IMAGES)?))?;
        // The first try compiles kernels too; a device that is slow is known well enough all the same.
        let first = self.sweep(few, &points)?;
        let mut tried = first;
        for _ in 0..if first > most { 0 } else { TRIES } {
            tried = tried.min(self.sweep(few, &points)?);
        }
        let fitting = (most / tried * TRIED_IMAGES as f64) as usize;
        let mut counts = std::iter::once(TEST_IMAGES).chain(FEWER_IMAGES);
        let count = counts.find(|&count| count <= fitting).unwrap_or(TRIED_IMAGES);
        if count < TEST_IMAGES && !quiet {
            output::note(&format!(
                "sweep: on {count} images; {TEST_IMAGES} would take longer than {most:.1} s a repetition"
            ));
        }
        let test = self.engine.load(&Arc::new(images(self.architecture, 1, count)?))?;
        Ok(Job::Sweep { test, images: count, points })
    }

    /// Seconds of one sweep.
    fn sweep(&mut self, test: DataHandle, points: &[SweepPoint]) -> Result<f64> {
        let watch = Watch { stop: stop_flag(), progress: &|_| {} };
        let selection = Selection::focus(self.architecture);
        Ok(seconds(|| self.training.batch.sweep(test, &selection, points, &watch))?.1)
    }

    /// Times one thing once, in the unit of [`Measurement::names`].
    fn time(&mut self, job: &Job) -> Result<f64> {
        match job {
            Job::Step(steps) => {
                let all = f64::from(self.training.replicas) * *steps as f64;
                Ok(self.training.time(*steps)? * 1e6 / all)
            }
            Job::Sweep { test, points, .. } => {
                // What the layers before the pruned one give is known from here on: whatever else is measured in turn, a point
                // costs what one more costs.
                self.sweep(*test, &points[..1])?;
                Ok(self.sweep(*test, points)? * 1e6 / SWEEP_POINTS as f64)
            }
            Job::SortCount(history) => Ok((sort(self.engine, history)? + count(self.engine, history)?) * 1e3),
            Job::Masks(tensors) => {
                let [_, count] = MASKS;
                let work = || {
                    let scores: Vec<Vec<f32>> =
                        tensors.iter().map(|weights| weights.iter().map(|weight| weight.abs()).collect()).collect();
                    let scores: Vec<_> = scores.iter().map(|scores| TensorScores::new(scores)).collect();
                    let share = |place: usize| Amount::Share((place as f64 + 0.5) / count as f64);
                    let shares: Vec<Amount> = (0..count).map(share).collect();
                    let watch = Watch { stop: stop_flag(), progress: &|_| {} };
                    allocate_each(Scope::Global, First::Smallest, &scores, &shares, &watch)
                };
                Ok(seconds(work)?.1 * 1e3)
            }
            Job::WholeInputs { values, pre_activations, weights } => {
                let [_, inputs, units] = WHOLE_INPUTS;
                let watch = Watch { stop: stop_flag(), progress: &|_| {} };
                let layer = SurgeonLayer {
                    rows: Rows::Features { values, inputs },
                    units,
                    pre_activations,
                    active_rows: ActiveRows::Always,
                    inactive_weight: 1.0,
                    ridge: 1e-3,
                    weights,
                    bias: None,
                    kept: &vec![true; inputs * units],
                    shares_gram: true,
                };
                let groups: Vec<Vec<u32>> = (0..inputs as u32).map(|input| vec![input]).collect();
                let work = || self.engine.whole_inputs(&layer, &groups, &vec![1.0; units], &watch);
                Ok(seconds(work)?.1 * 1e3)
            }
            Job::Surgeon { features, parameters } => {
                let watch = Watch { stop: stop_flag(), progress: &|_| {} };
                let settings = Settings::default();
                // Moments that are known take no time: the networks are new each time.
                let networks = CalibratedNetworks::new(self.engine, self.architecture, parameters, features, settings)?;
                let first = Selection::focus(self.architecture).first_layer();
                let (_, taken) = seconds(|| networks.ways_of_layer(self.engine, first, None, &watch))?;
                Ok(taken * 1e3)
            }
        }
    }
}

/// Times so many things once for each line that comes in, and answers with a line: first that all is ready, then behind each round.
fn by_cues(things: usize, mut time: impl FnMut(usize) -> Result<f64>) -> Result<Vec<Vec<f64>>> {
    let mut taken = vec![Vec::new(); things];
    output::result("\n")?;
    for cue in std::io::stdin().lines() {
        cue.map_err(|error| Error::io("read", "standard input", error))?;
        for (thing, taken) in taken.iter_mut().enumerate() {
            taken.push(time(thing)?);
        }
        output::result("\n")?;
    }
    if taken.iter().any(Vec::is_empty) {
        return Err(Error::Usage("--on-cue measures for each line of standard input, and none came in".into()));
    }
    Ok(taken)
}

/// What was measured.
pub(super) struct Measured {
    /// One for each part that was asked for.
    pub(super) quantities: Vec<Quantity>,
    /// Images that the sweep classified, if there was one.
    pub(super) sweep_images: Option<usize>,
}

impl Measured {
    /// One of the quantities.
    pub(super) fn of(&self, part: Measurement) -> Option<Spread> {
        let quantity = self.quantities.iter().find(|quantity| quantity.name == part.names().0)?;
        Some(quantity.spread())
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
    Ok(seconds(|| engine.rank(history.shape(), history.weights()))?.1)
}

/// Seconds of counting a history at three tolerances.
pub(super) fn count(engine: &mut Engine, history: &History) -> Result<f64> {
    Ok(seconds(|| Stability::count(engine, history, &TOLERANCES, Reading::default()))?.1)
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
