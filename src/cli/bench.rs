//! `holdfast bench`: how fast this machine is at the things that a study is made of, and whether that differs from another time,
//! machine or program.

mod against;
mod growth;
mod measure;
mod roofline;
mod sparse;
mod two_programs;

use super::options::{DeviceOptions, OutputOptions, Share};
use super::output;
use super::run::open_engine;
use crate::check::Certificate;
use crate::clock::{Fingerprint, busy};
use crate::engine::{Tuning, TuningChoice};
use crate::error::{Error, Result};
use crate::kernels::dense_stack::MOST_STEPS;
use crate::lab::bench_file::BenchFile;
use crate::network::Architecture;
use crate::numbers::{counted, significant, thousands};
use crate::run::cell::check_memory;
use crate::statistics::spread::Spread;
use clap::{Args, ValueEnum};
use growth::Axis;
use measure::{Bench, CALIBRATION_IMAGES, CLASSES, HISTORY_EPOCHS, MASKS, TEST_IMAGES, TRAINING_IMAGES, WHOLE_INPUTS};
use roofline::RooflineOptions;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Seconds that are measured if nothing else is asked for.
const SECONDS: f64 = 20.0;
/// Intervals wider than this share of their median to either side are worth a notice.
const WIDE: f64 = 0.1;

/// Arguments of `bench`.
#[derive(Args)]
#[command(after_help = "Examples:
  holdfast bench
  holdfast bench --kernels --device cpu
  holdfast bench --save before.json
  holdfast bench --against before.json --fail-over 10%
  holdfast bench --only sweep --against-program ../old/holdfast")]
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
    /// Units of each hidden dense layer, separated by commas, in place of --width and --depth: 40,20.
    #[arg(long, value_delimiter = ',', value_name = "N,...", conflicts_with_all = ["width", "depth"])]
    hidden: Option<Vec<usize>>,
    /// Units and filters without biases.
    #[arg(long)]
    no_bias: bool,
    /// Network: fully connected (dnn) or convolutional (cnn).
    #[arg(long, default_value = "dnn", value_parser = ["dnn", "cnn"])]
    model: String,
    /// Channels of each convolution of the CNN.
    #[arg(long, default_value_t = 8, value_name = "N")]
    filters: usize,
    /// How time grows with each of these sizes (all if none is named) beside the work: a table, a figure and the numbers.
    #[arg(
        long,
        value_name = "SIZE,...",
        value_delimiter = ',',
        num_args = 0..,
        default_missing_values = ["replicas", "width", "side", "weights", "epochs"]
    )]
    growth: Option<Vec<Axis>>,
    /// Folder for what --growth found; `runs/bench-<hash>` if not given.
    #[arg(long, value_name = "DIR", requires = "growth")]
    out: Option<PathBuf>,
    /// How much faster networks of which many weights are zero are evaluated weight by weight on the processor, by share of
    /// weights that are left, and where that begins to pay.
    #[arg(long, conflicts_with_all = ["growth", "kernels", "only"])]
    sparse: bool,
    /// Measure only these, separated by commas.
    #[arg(long, value_delimiter = ',', value_enum, value_name = "PART")]
    only: Vec<Measurement>,
    /// About how long is measured, apart from making ready: 20 seconds, and 60 with --against-program. Fewer repetitions are made
    /// where the numbers are certain before.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Keep all samples and the facts of this machine in a file; docs/bench-format.md describes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["growth", "kernels", "sparse"])]
    save: Option<PathBuf>,
    /// Compare with such a file: ratios with ranges, and which differ by more than chance.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["growth", "kernels", "sparse", "against_program"])]
    against: Option<PathBuf>,
    /// Compare with another build of this program: both measure in turn, round by round, and are started again and again.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["growth", "kernels", "sparse", "save"])]
    against_program: Option<PathBuf>,
    /// Each round waits for a line of standard input and answers it: so --against-program alternates two programs.
    #[arg(long, hide = true, requires = "save")]
    on_cue: bool,
    /// End with exit code 1 if something is slower than there by more than this share: 10% or 0.1.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    fail_over: Option<Share>,
    #[command(flatten)]
    roofline: RooflineOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// A training step.
    Step,
    /// Sorting and counting a history.
    SortCount,
    /// Evaluating pruned networks.
    Sweep,
    /// The surgeon's order of the last hidden layer; only where it is named.
    Surgeon,
    /// Masks of ten million weights; only where it is named.
    Masks,
    /// Whole inputs taken out of a layer of 1,024 inputs and 256 units; only where it is named.
    WholeInputs,
}

impl Measurement {
    /// In the order in which they are shown.
    const ALL: [Self; 6] = [Self::Step, Self::SortCount, Self::Sweep, Self::Surgeon, Self::Masks, Self::WholeInputs];

    /// Its name in files and JSON, what it is called, and the unit of its samples.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Step => ("step_us", "training step", "µs"),
            Self::SortCount => ("sort_count_ms", "sort + count", "ms"),
            Self::Sweep => ("sweep_us_per_point", "sweep", "µs"),
            Self::Surgeon => ("surgeon_ms", "surgeon", "ms"),
            Self::Masks => ("masks_ms", "masks", "ms"),
            Self::WholeInputs => ("whole_inputs_ms", "whole inputs", "ms"),
        }
    }

    /// What `--only` calls it.
    fn option(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }
}

impl BenchArguments {
    /// The parts that are asked for; the first three if none is named.
    fn parts(&self) -> Vec<Measurement> {
        let chosen = if self.only.is_empty() { &Measurement::ALL[..3] } else { &self.only[..] };
        Measurement::ALL.into_iter().filter(|part| chosen.contains(part)).collect()
    }

    /// How long is measured, where nothing is asked for as long as `usual`.
    fn seconds(&self, usual: f64) -> Result<f64> {
        match self.seconds {
            Some(seconds) if !(seconds > 0.0 && seconds <= 86_400.0) => Err(Error::Usage(format!(
                "--seconds {seconds} is not possible; use more than 0, up to 86400, which is a day"
            ))),
            seconds => Ok(seconds.unwrap_or(usual)),
        }
    }

    /// The file at `path`, if what is to be measured with these settings can be compared with it.
    fn comparable(&self, path: &Path, settings: &serde_json::Map<String, Value>) -> Result<BenchFile> {
        let there = BenchFile::read(path)?;
        there.check_settings(settings)?;
        let has = |part: &Measurement| there.quantities.iter().any(|quantity| quantity.name == part.names().0);
        if self.parts().iter().any(has) {
            return Ok(there);
        }
        let own = Measurement::ALL.into_iter().filter(has).map(Measurement::option).collect::<Vec<_>>().join(",");
        Err(Error::Usage(format!(
            "{} has nothing of what would be measured here; give --only {own}, or name another file",
            path.display()
        )))
    }

    /// What is measured, as far as options say it: files of other settings are not compared.
    fn settings(&self, architecture: &Architecture) -> serde_json::Map<String, Value> {
        let filters = (self.model == "cnn").then_some(self.filters);
        [
            ("model", json!(self.model)),
            ("replicates", json!(self.replicates)),
            ("batch", json!(self.batch)),
            ("side", json!(self.side)),
            ("hidden", json!(architecture.hidden)),
            ("bias", json!(architecture.bias)),
            ("filters", json!(filters)),
            ("threads", json!(self.device.threads)),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into_iter()
        .collect()
    }
}

pub(super) fn run(arguments: &BenchArguments) -> Result<()> {
    let sizes =
        [("--replicates", arguments.replicates as usize), ("--batch", arguments.batch), ("--side", arguments.side)];
    for (option, value) in sizes {
        if value == 0 {
            return Err(Error::Usage(format!("{option} 0 is not possible; use 1 or more")));
        }
    }
    if arguments.fail_over.is_some() && arguments.against.is_none() && arguments.against_program.is_none() {
        return Err(Error::Usage(
            "--fail-over compares; name a file with --against, or a program with --against-program".into(),
        ));
    }
    if arguments.sparse {
        return sparse::run(arguments);
    }
    if let Some(axes) = &arguments.growth {
        return growth::run(arguments, axes);
    }
    let BenchArguments { side, filters, .. } = *arguments;
    let architecture = arguments.architecture(&arguments.model)?;
    architecture.validate()?;
    check_memory(&architecture, arguments.replicates, HISTORY_EPOCHS as u32, TRAINING_IMAGES + TEST_IMAGES)?;
    if arguments.roofline.asked() {
        return roofline::run(arguments, &architecture);
    }
    if let Some(program) = &arguments.against_program {
        return two_programs::compare(arguments, program);
    }
    let seconds = arguments.seconds(SECONDS)?;
    // What cannot be read, compared or written is said before anything is measured.
    let settings = arguments.settings(&architecture);
    let there = arguments.against.as_deref().map(|path| arguments.comparable(path, &settings)).transpose()?;
    arguments.save.as_deref().map(BenchFile::check_place).transpose()?;
    let say = &arguments.output;
    let mut engine = open_engine(&arguments.device, say.quiet)?;
    let mut fingerprint = Fingerprint::now(&engine.description().driver);
    say.notices(&Vec::from_iter(busy(fingerprint.load_start, fingerprint.threads)));
    let mut bench = Bench::new(&mut engine, &architecture, arguments.replicates, arguments.batch)?;
    let measured = bench.measure(&arguments.parts(), seconds, arguments.on_cue, say.quiet)?;
    fingerprint.end();
    let step = measured.of(Measurement::Step);
    let watched = step.filter(|_| say.json || say.verbose);
    let launches = watched.map(|step| bench.launches(step.median)).transpose()?.flatten();
    let wide: Vec<String> = measured
        .quantities
        .iter()
        .map(|quantity| (&quantity.title, quantity.spread().share()))
        .filter(|(_, share)| *share > WIDE)
        .map(|(title, share)| {
            format!(
                "{title}: its range is ± {:.0} %; something else was at work, or the clock of the processor changes",
                100.0 * share
            )
        })
        .collect();
    say.notices(&wide);
    let description = engine.description().clone();
    let certificate = Certificate::of(&description).and_then(|certificate| serde_json::to_value(certificate).ok());
    let sweep_images = measured.sweep_images;
    let work = [
        (Measurement::Step, "gflops", architecture.step_flops(arguments.batch)),
        (Measurement::Sweep, "sweep_gflops", point_flops(&architecture, sweep_images.unwrap_or_default())),
    ];
    let rates = work.map(|(part, name, flops)| (name, measured.of(part).map(|spread| rate(spread, flops))));
    let file = BenchFile::new(fingerprint, description, certificate, settings, measured.quantities.clone());
    if let Some(path) = &arguments.save {
        file.write(path)?;
    }
    if let Some(there) = &there {
        return against::file(arguments, &file, there);
    }
    let BenchFile { fingerprint, device: description, .. } = &file;
    let tuning = engine.tuning();
    if say.json {
        let spread = |spread: Option<Spread>| {
            spread.map(|Spread { median, low, high, count }| {
            json!({ "median": median, "low": low, "high": high, "repetitions": count })
        })
        };
        let mut result = json!({
            "device": description,
            "fingerprint": fingerprint,
            "model": arguments.model,
            "replicates": arguments.replicates,
            "batch": arguments.batch,
            "side": side,
            "hidden": architecture.hidden,
            "bias": architecture.bias,
            "filters": (arguments.model == "cnn").then_some(filters),
            "sweep_images": sweep_images,
            "launches": launches.map(|launches| launches.json()),
            "tuning": tuning,
        });
        for part in Measurement::ALL {
            result[part.names().0] = json!(spread(measured.of(part)));
        }
        for (name, rate) in rates {
            result[name] = json!(spread(rate));
        }
        return output::json(&result);
    }
    let [inputs, units] = architecture.focus_shape();
    let replicas = format!("{} replicas", arguments.replicates);
    let turns = measured.quantities.iter().map(|quantity| quantity.samples.len()).max().unwrap_or_default();
    let mut text = format!(
        "{}, {}\n{}\n{} {side} x {side}, {replicas}, batch {}; medians of up to {} with their ranges (95 %)\n",
        description.name,
        description.variant,
        fingerprint.line(),
        arguments.model,
        arguments.batch,
        counted(turns as f64, "turn"),
    );
    for part in arguments.parts() {
        let Some(spread) = measured.of(part) else { continue };
        let (_, title, unit) = part.names();
        let rate = |place: usize| rates[place].1.map_or(0.0, |rate| rate.median);
        let of = match part {
            Measurement::Step => format!(" a replica, {:.1} GFLOP/s", rate(0)),
            Measurement::SortCount => {
                format!(" for {HISTORY_EPOCHS} epochs x {replicas} x {} weights", architecture.weight_count())
            }
            Measurement::Sweep => {
                let images = thousands(sweep_images.unwrap_or_default() as i64);
                format!(" a point on {images} images, {:.1} GFLOP/s", rate(1))
            }
            Measurement::Surgeon => {
                format!(" for the order of {} weights, {replicas} on {CALIBRATION_IMAGES} images", inputs * units)
            }
            Measurement::Masks => {
                let ([weights, sparsities], seconds) = (MASKS, spread.median / 1e3);
                let rate = significant(sparsities as f64 / seconds);
                format!(
                    " for {sparsities} masks of {} weights by one threshold, {rate} a second",
                    thousands(weights as i64)
                )
            }
            Measurement::WholeInputs => {
                let [rows, inputs, units] = WHOLE_INPUTS;
                format!(" for the order of {inputs} inputs of {units} units on {rows} rows")
            }
        };
        text += &format!("  {title:<15} {}{of}\n", spread.shown(unit));
    }
    text += &launches.map(|launches| launches.text()).unwrap_or_default();
    let tuning = tuning.filter(|_| say.verbose).map(|tuning| chosen(tuning, &architecture, arguments.replicates));
    output::result(&(text + &tuning.unwrap_or_default()))
}

/// Operations of one point of a sweep on so many images.
fn point_flops(architecture: &Architecture, images: usize) -> f64 {
    let [inputs, units] = architecture.focus_shape();
    2.0 * (images * units * (inputs + CLASSES)) as f64
}

/// GFLOP/s of work that takes so many microseconds.
fn rate(microseconds: Spread, flops: f64) -> Spread {
    let of = |microseconds: f64| flops / microseconds / 1e3;
    let Spread { median, low, high, count } = microseconds;
    Spread { median: of(median), low: of(high), high: of(low), count }
}

/// What a measurement has chosen, and how.
fn chosen(tuning: &Tuning, architecture: &Architecture, replicates: u32) -> String {
    let TuningChoice { workgroup_size, replica_step_us } = tuning.choice;
    // Behind convolutions every step is a launch of its own.
    let most = if architecture.convolutions.is_empty() { MOST_STEPS } else { 1 };
    let steps = tuning.choice.first_steps(replicates as usize).min(most);
    let mut text = format!(
        "\x20 choice          {workgroup_size} invocations a workgroup, {}: {}\n",
        if replica_step_us > 0.0 {
            format!("first launch of {steps} steps at {replica_step_us:.1} µs a replica's step")
        } else {
            "first launch of 1 step".to_string()
        },
        tuning.origin
    );
    for (candidate, time) in &tuning.measured {
        text += &format!("\x20   {candidate:<36} {time:>10.1} µs a step of one replica\n");
    }
    text
}
