//! `holdfast bench --growth`: how time grows with replicas, width, side, weights and epochs, and whether anything grows faster
//! than its work.
//!
//! All sizes of a line are measured one after the other, round after round: a machine whose speed drifts slows all of them alike.

use super::BenchArguments;
use super::measure::{CLASSES, SEED, TOLERANCES, Training, count, random_walk, sort};
use crate::cli::output;
use crate::cli::run::{begin, finish, open_engine};
use crate::clock::{Turns, by_turns};
use crate::engine::{DeviceDescription, Engine, HistoryShape};
use crate::error::{Error, Result};
use crate::network::Architecture;
use crate::report::figures::write_drawing;
use crate::report::pen::Sheet;
use crate::report::scaling::{ScalingLine, ScalingPanel, as_json, table};
use crate::report::scaling_figure;
use crate::run::cell::check_memory;
use crate::run_folder::csv;
use crate::stability::History;
use crate::statistics::scaling::ScalingPoint;
use crate::statistics::spread::median;
use crate::statistics::standard_deviation;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Replicas side by side: odd numbers too, which leave a thread without a partner.
const REPLICAS: [u32; 11] = [1, 2, 3, 4, 5, 7, 10, 13, 25, 50, 100];
/// Between these the time of a replica's step should not depend on how many run beside it.
const FLAT: (f64, f64) = (4.0, 50.0);
/// Units of each hidden layer.
const WIDTHS: [usize; 6] = [30, 60, 90, 128, 180, 256];
/// Rows and columns of an image.
const SIDES: [usize; 7] = [28, 42, 56, 84, 112, 160, 224];
/// Weights of a layer whose history is sorted and counted.
const WEIGHT_COUNTS: [usize; 9] = [100, 316, 1_000, 3_162, 10_000, 31_623, 100_000, 316_228, 1_000_000];
/// Epochs of these histories.
const EPOCHS_OF_COUNTED: usize = 10;
/// Epochs of a history.
const EPOCHS: [usize; 5] = [10, 32, 100, 316, 1_000];

/// Images of the made-up training set: few, since the largest are large.
const IMAGES: usize = 512;
/// A repetition of a training step runs for about this long.
const REPETITION: Duration = Duration::from_millis(60);
/// Rounds of a line, and no round begins that would end later than this.
const ROUNDS: usize = 9;
const LINE: Duration = Duration::from_secs(12);
/// A size that would take longer for one repetition, as its work says, is left out.
const SLOWEST: f64 = 10.0;

/// The size that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Axis {
    /// Replicas side by side, 1 to 100.
    Replicas,
    /// Units of each hidden layer, 30 to 256.
    Width,
    /// Rows and columns of an image, 28 to 224.
    Side,
    /// Weights of a layer whose history is sorted and counted, 100 to 1,000,000.
    Weights,
    /// Epochs of such a history, 10 to 1,000.
    Epochs,
}

impl Axis {
    fn name(self) -> &'static str {
        match self {
            Self::Replicas => "replicas",
            Self::Width => "width",
            Self::Side => "side",
            Self::Weights => "weights",
            Self::Epochs => "epochs",
        }
    }
}

/// What moves the numbers: what the folder's name is made of.
#[derive(Serialize)]
struct Settings<'a> {
    growth: &'a [Axis],
    model: &'a str,
    replicates: u32,
    batch: usize,
    side: usize,
    hidden: Vec<usize>,
    bias: bool,
    filters: usize,
}

/// A line of `growth.csv`.
#[derive(Default, Serialize)]
struct GrowthRow<'a> {
    over: &'a str,
    timed: &'a str,
    size: f64,
    seconds: f64,
    sd: f64,
    work: f64,
}

/// What is timed at one size.
enum GrowthCase {
    /// Steps of all replicas, so many a repetition.
    Step(Box<Training>, usize),
    Sort(Rc<History>),
    Count(Rc<History>),
}

impl GrowthCase {
    fn seconds(&mut self, engine: &mut Engine) -> Result<f64> {
        match self {
            Self::Step(training, steps) => Ok(training.time(*steps)? / *steps as f64),
            Self::Sort(history) => sort(engine, history),
            Self::Count(history) => count(engine, history),
        }
    }
}

/// One size of a line.
struct Probe {
    size: f64,
    work: f64,
    subject: GrowthCase,
    seconds: Vec<f64>,
}

/// Lines in the making.
struct Growth<'a> {
    engine: &'a mut Engine,
    arguments: &'a BenchArguments,
    /// What was left out, and why.
    left_out: Vec<String>,
}

pub(super) fn run(arguments: &BenchArguments, axes: &[Axis]) -> Result<()> {
    let BenchArguments { replicates, batch, side, filters, ref model, .. } = *arguments;
    let say = &arguments.output;
    let architecture = arguments.architecture(model)?;
    architecture.validate()?;
    let mut engine = open_engine(&arguments.device, say.quiet)?;
    let mut axes = axes.to_vec();
    axes.sort_unstable();
    axes.dedup();
    let (hidden, bias) = (architecture.hidden.clone(), architecture.bias);
    let settings = Settings { growth: &axes, model, replicates, batch, side, hidden, bias, filters };
    let description = engine.description().clone();
    let none = BTreeMap::new();
    let (folder, mut manifest) =
        begin(arguments.out.as_deref(), "bench", &settings, &description, none.clone(), &none)?;
    let mut growth = Growth { engine: &mut engine, arguments, left_out: Vec::new() };
    let mut panels = Vec::new();
    for &axis in &axes {
        say.note(&format!("time over {}", axis.name()));
        panels.push(growth.panel(axis)?);
    }
    say.notices(&growth.left_out);

    let rows = panels.iter().flat_map(|panel| {
        panel.lines.iter().flat_map(move |line| {
            let points = line.points.iter().zip(&line.deviations);
            points.map(move |(point, &sd)| GrowthRow {
                over: panel.axis,
                timed: &line.name,
                size: point.size,
                seconds: point.time,
                sd,
                work: point.work,
            })
        })
    });
    csv::write::<GrowthRow<'_>>(&folder.file("growth.csv")?, rows)?;
    let title = title(&description, &settings, &architecture);
    let [light, dark] = [Sheet::Light, Sheet::Dark].map(|sheet| scaling_figure::svg(&title, &panels, sheet));
    write_drawing("growth", [&light, &dark], &|name| folder.file(&format!("figures/{name}")))?;
    manifest.seeds.push(SEED);
    finish(&folder, &mut manifest)?;

    let replicas =
        panels.iter().find(|panel| panel.axis == Axis::Replicas.name()).and_then(|panel| panel.lines.first());
    let spread = replicas.and_then(|line| line.spread_per_size(FLAT.0, FLAT.1));
    if say.json {
        return output::json(&json!({
            "device": description,
            "settings": settings,
            "lines": as_json(&panels),
            "replica_step_spread": { "from": FLAT.0, "to": FLAT.1, "spread": spread },
            "left_out": growth.left_out,
            "folder": folder.path().display().to_string(),
        }));
    }
    let per_replica = replicas.map(|line| per_replica_step(line, spread)).unwrap_or_default();
    output::result(&format!(
        "{title}\n{}{per_replica}Files are in {}; begin with figures/growth.svg.\n",
        table(&panels),
        folder.path().display()
    ))
}

fn title(device: &DeviceDescription, settings: &Settings<'_>, architecture: &Architecture) -> String {
    let Settings { model, replicates, batch, side, filters, .. } = *settings;
    let filters = if model == "cnn" { format!(", {filters} filters") } else { String::new() };
    format!(
        "{}, {}: {model}{filters}, {replicates} replicas, batch {batch}, {side} x {side}, {}, where a panel \
         changes nothing else",
        device.name,
        device.variant,
        architecture.hidden_in_words()
    )
}

/// Time of a replica's step by how many run side by side.
fn per_replica_step(line: &ScalingLine, spread: Option<f64>) -> String {
    let each = line.points.iter().map(|point| format!("{}: {:.1}", point.size, 1e6 * point.time / point.size));
    let spread = spread.map(|spread| {
        format!(
            "; from {} to {} replicas the slowest takes {:.1} % longer than the fastest",
            FLAT.0,
            FLAT.1,
            100.0 * spread
        )
    });
    format!(
        "a replica's step by the number of replicas (µs): {}{}\n",
        each.collect::<Vec<_>>().join(" · "),
        spread.unwrap_or_default()
    )
}

impl Growth<'_> {
    fn panel(&mut self, axis: Axis) -> Result<ScalingPanel> {
        const STEP: &str = "Time of a step of all replicas (ms)";
        let arguments = self.arguments;
        let base = arguments.architecture(&arguments.model)?;
        let (size_title, time_title, lines) = match axis {
            Axis::Replicas => {
                let of_replicas = |replicas| (f64::from(replicas), base.clone(), replicas);
                let line = self.step_line(&arguments.model, axis, REPLICAS.map(of_replicas).into())?;
                ("Replicas side by side", STEP, line.into_iter().collect())
            }
            Axis::Width => {
                let of_width = |width| {
                    let hidden = vec![width; base.hidden.len()];
                    (width as f64, Architecture { hidden, ..base.clone() }, arguments.replicates)
                };
                let line = self.step_line(&arguments.model, axis, WIDTHS.map(of_width).into())?;
                ("Width of the hidden layers (units)", STEP, line.into_iter().collect())
            }
            Axis::Side => {
                let mut lines = Vec::new();
                for model in ["dnn", "cnn"] {
                    let base = arguments.architecture(model)?;
                    let of_side = |side| {
                        let sides = Architecture { image_height: side, image_width: side, ..base.clone() };
                        (side as f64, sides, arguments.replicates)
                    };
                    lines.extend(self.step_line(model, axis, SIDES.map(of_side).into())?);
                }
                ("Side of an image (pixels)", STEP, lines)
            }
            Axis::Weights => {
                let of_weights = |weight_count| {
                    (weight_count as f64, HistoryShape { epochs: EPOCHS_OF_COUNTED, replicas: 1, weight_count })
                };
                let lines = self.history_lines(axis, WEIGHT_COUNTS.map(of_weights).into())?;
                ("Weights of the focus layer, 10 epochs", "Time (ms)", lines)
            }
            Axis::Epochs => {
                let (replicas, weight_count) = (arguments.replicates as usize, base.weight_count());
                let of_epochs = |epochs| (epochs as f64, HistoryShape { epochs, replicas, weight_count });
                let lines = self.history_lines(axis, EPOCHS.map(of_epochs).into())?;
                ("Epochs of the history", "Time (ms)", lines)
            }
        };
        Ok(ScalingPanel { axis: axis.name(), size_title, time_title, lines })
    }

    /// A training step at several sizes: what each is, its network, its replicas.
    fn step_line(
        &mut self,
        model: &str,
        axis: Axis,
        sizes: Vec<(f64, Architecture, u32)>,
    ) -> Result<Option<ScalingLine>> {
        let mut probes = Vec::new();
        let batch = self.arguments.batch;
        for (size, architecture, replicas) in sizes {
            let work = architecture.step_flops(batch) * f64::from(replicas);
            let samples = IMAGES.max(batch);
            let subject = |engine: &mut Engine| {
                architecture.validate()?;
                check_memory(&architecture, replicas, 0, samples)?;
                let mut training = Training::new(engine, &architecture, replicas, batch, samples)?;
                let steps = training.steps_in(REPETITION)?;
                Ok(GrowthCase::Step(Box::new(training), steps))
            };
            self.add(axis, &mut probes, size, work, subject)?;
        }
        self.measure(format!("{model} step"), probes)
    }

    /// Sorting and counting histories of several sizes.
    fn history_lines(&mut self, axis: Axis, sizes: Vec<(f64, HistoryShape)>) -> Result<Vec<ScalingLine>> {
        let (mut sorts, mut counts) = (Vec::new(), Vec::new());
        for (size, shape) in sizes {
            let numbers = shape.len() as f64;
            if Vec::<f32>::new().try_reserve_exact(2 * shape.len()).is_err() {
                let axis = axis.name();
                self.left_out.push(format!("{axis} {size} is left out: its {numbers} weights do not fit into memory"));
                continue;
            }
            let history = Rc::new(History::new(shape, random_walk(shape))?);
            let comparisons = numbers * (shape.weight_count as f64).log2().max(1.0);
            self.add(axis, &mut sorts, size, comparisons, |_| Ok(GrowthCase::Sort(Rc::clone(&history))))?;
            let work = numbers * TOLERANCES.len() as f64;
            self.add(axis, &mut counts, size, work, |_| Ok(GrowthCase::Count(Rc::clone(&history))))?;
        }
        let lines = [self.measure("sort".into(), sorts)?, self.measure("count".into(), counts)?];
        Ok(lines.into_iter().flatten().collect())
    }

    /// Adds a size to a line, if it fits into memory and time; runs it once, which warms it up.
    fn add(
        &mut self,
        axis: Axis,
        probes: &mut Vec<Probe>,
        size: f64,
        work: f64,
        subject: impl FnOnce(&mut Engine) -> Result<GrowthCase>,
    ) -> Result<()> {
        let axis = axis.name();
        let expected = probes.last().map_or(0.0, |last: &Probe| median(&last.seconds) * work / last.work);
        if expected > SLOWEST {
            self.left_out.push(format!("{axis} {size} is left out: it would take about {expected:.0} s a repetition"));
            return Ok(());
        }
        let first = subject(self.engine).and_then(|mut subject| {
            let seconds = subject.seconds(self.engine)?;
            Ok(Probe { size, work, subject, seconds: vec![seconds] })
        });
        match first {
            Ok(probe) => probes.push(probe),
            Err(error @ (Error::Job(_) | Error::OutOfMemory(_) | Error::Shape(_))) => {
                self.left_out.push(format!("{axis} {size} is left out: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Rounds over all sizes of a line, and the fit.
    fn measure(&mut self, name: String, mut probes: Vec<Probe>) -> Result<Option<ScalingLine>> {
        let turns = Turns { rounds: ROUNDS, within: LINE, enough: 0.0 };
        let taken = by_turns(probes.len(), turns, |which| probes[which].subject.seconds(self.engine))?;
        let point = |(probe, taken): (&Probe, &Vec<f64>)| ScalingPoint {
            size: probe.size,
            time: median(taken),
            work: probe.work,
        };
        let deviations = taken.iter().map(|taken| standard_deviation(taken).unwrap_or(f64::NAN)).collect();
        Ok(ScalingLine::new(name, probes.iter().zip(&taken).map(point).collect(), deviations))
    }
}

impl BenchArguments {
    /// The network asked for, as a `dnn` or a `cnn`. Fails with more layers than a network can have.
    pub(super) fn architecture(&self, model: &str) -> Result<Architecture> {
        let hidden = match &self.hidden {
            Some(hidden) => hidden.clone(),
            None => {
                Architecture::check_layers(self.depth)?;
                vec![self.width; self.depth]
            }
        };
        let convolutions = if model == "cnn" { Architecture::paper_convolutions(self.filters) } else { Vec::new() };
        let dnn = Architecture::dnn(self.side, self.side, hidden, CLASSES);
        Ok(Architecture { convolutions, bias: !self.no_bias, ..dnn })
    }
}
