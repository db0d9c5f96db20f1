//! `holdfast bench`: how fast this machine is at the three things that a study is made of.

mod growth;
mod measure;
mod roofline;
mod sparse;

use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::run::open_engine;
use crate::engine::{Tuning, TuningChoice};
use crate::error::{Error, Result};
use crate::kernels::dense_stack::MOST_STEPS;
use crate::network::Architecture;
use crate::study::experiment::check_memory;
use clap::{Args, ValueEnum};
use growth::Axis;
use measure::{
    Bench, CALIBRATION_IMAGES, CLASSES, HISTORY_EPOCHS, Measurements, REPETITIONS, TEST_IMAGES, TRAINING_IMAGES,
};
use roofline::RooflineOptions;
use serde_json::json;
use std::path::PathBuf;

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
}

impl BenchArguments {
    /// Whether a part is asked for; all are if none is named.
    fn wants(&self, part: Measurement) -> bool {
        self.only.is_empty() || self.only.contains(&part)
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
    let say = &arguments.output;
    let mut engine = open_engine(&arguments.device, say.quiet)?;
    let mut bench = Bench::new(&mut engine, &architecture, arguments.replicates, arguments.batch, say.quiet)?;
    let step = if arguments.wants(Measurement::Step) { Some(bench.step()?) } else { None };
    let sweep = if arguments.wants(Measurement::Sweep) { Some(bench.sweep()?) } else { None };
    let (sweep, sweep_images) = sweep.unzip();
    let sort_count = if arguments.wants(Measurement::SortCount) { Some(bench.sort_count()?) } else { None };
    let surgeon = if arguments.only.contains(&Measurement::Surgeon) { Some(bench.surgeon()?) } else { None };
    let watched = step.as_ref().filter(|_| say.json || say.verbose);
    let launches = watched.map(|step| bench.launches(step.median())).transpose()?.flatten();
    let flops = architecture.step_flops(arguments.batch);
    let gflops = step.as_ref().map(|step| step.map(|microseconds| flops / microseconds / 1e3));
    let [inputs, units] = architecture.focus_shape();
    let point_flops = 2.0 * (sweep_images.unwrap_or_default() * units * (inputs + CLASSES)) as f64;
    let sweep_gflops = sweep.as_ref().map(|sweep| sweep.map(|microseconds| point_flops / microseconds / 1e3));
    let description = engine.description();
    let tuning = engine.tuning();
    if say.json {
        return output::json(&json!({
            "device": description,
            "model": arguments.model,
            "replicates": arguments.replicates,
            "batch": arguments.batch,
            "side": side,
            "hidden": architecture.hidden,
            "bias": architecture.bias,
            "filters": (arguments.model == "cnn").then_some(filters),
            "step_us": step.map(|step| step.json()),
            "gflops": gflops.map(|gflops| gflops.json()),
            "sort_count_ms": sort_count.map(|sort_count| sort_count.json()),
            "surgeon_ms": surgeon.map(|surgeon| surgeon.json()),
            "sweep_us_per_point": sweep.map(|sweep| sweep.json()),
            "sweep_images": sweep_images,
            "sweep_gflops": sweep_gflops.map(|gflops| gflops.json()),
            "launches": launches.map(|launches| launches.json()),
            "tuning": tuning,
        }));
    }
    let short = [&step, &sweep, &sort_count, &surgeon].into_iter().flatten().any(Measurements::is_short);
    let details = launches.map(|launches| launches.text());
    let tuning = tuning.filter(|_| say.verbose).map(|tuning| chosen(tuning, &architecture, arguments.replicates));
    let lines = [
        step.zip(gflops).map(|(step, gflops)| {
            format!("  training step   {} µs a replica, {:.1} GFLOP/s\n", step.text(), gflops.median())
        }),
        sort_count.map(|sort_count| {
            let sizes = format!("{} replicas x {} weights", arguments.replicates, architecture.weight_count());
            format!("  sort + count    {} ms for {HISTORY_EPOCHS} epochs x {sizes}\n", sort_count.text())
        }),
        sweep.zip(sweep_gflops).zip(sweep_images).map(|((sweep, gflops), images)| {
            let (time, rate) = (sweep.text(), gflops.median());
            format!("  sweep           {time} µs a point on {images} images, {rate:.1} GFLOP/s\n")
        }),
        surgeon.map(|surgeon| {
            let sizes = format!("{} replicas on {CALIBRATION_IMAGES} images", arguments.replicates);
            format!("  surgeon         {} ms for the order of {} weights, {sizes}\n", surgeon.text(), inputs * units)
        }),
        details,
        tuning,
    ]
    .map(Option::unwrap_or_default);
    output::result(&format!(
        "{}, {}\n\
         {} {side} x {side}, {} replicas, batch {}; median ± sd of {} repetitions{}\n{}",
        description.name,
        description.variant,
        arguments.model,
        arguments.replicates,
        arguments.batch,
        REPETITIONS,
        if short { ", or of [so many] where they take long" } else { "" },
        lines.concat(),
    ))
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
