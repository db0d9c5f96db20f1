//! `holdfast bench`: how fast this machine is at the three things that a study is made of.

mod growth;
mod measure;

use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::run::open_engine;
use crate::error::{Error, Result};
use crate::study::experiment::check_memory;
use clap::Args;
use growth::Axis;
use measure::{Bench, HISTORY_EPOCHS, REPETITIONS, TEST_IMAGES, TRAINING_IMAGES};
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
        default_missing_values = ["replicas", "width", "side", "nodes", "epochs"]
    )]
    growth: Option<Vec<Axis>>,
    /// Folder for what --growth found; `runs/bench-<hash>` if not given.
    #[arg(long, value_name = "DIR", requires = "growth")]
    out: Option<PathBuf>,
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
    if let Some(axes) = &arguments.growth {
        return growth::run(arguments, axes);
    }
    let BenchArguments { side, width, depth, filters, .. } = *arguments;
    let architecture = arguments.architecture(&arguments.model);
    architecture.validate()?;
    check_memory(&architecture, arguments.replicates, HISTORY_EPOCHS as u32, TRAINING_IMAGES + TEST_IMAGES)?;
    let mut engine = open_engine(&arguments.device, arguments.output.quiet)?;
    let mut bench = Bench::new(&mut *engine, &architecture, arguments.replicates, arguments.batch)?;
    let step = bench.step()?;
    let sweep = bench.sweep()?;
    let sort_count = bench.sort_count()?;
    let launches = bench.launches()?;
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
            "launches": launches.map(|launches| launches.json()),
        }));
    }
    let details = launches.filter(|_| arguments.output.verbose).map(|launches| launches.text()).unwrap_or_default();
    output::result(&format!(
        "{}, {}\n\
         {} {side} x {side}, {} replicas, batch {}; median ± sd of {} repetitions\n\
         \x20 training step   {} µs a replica, {:.1} GFLOP/s\n\
         \x20 sort + count    {} ms for {HISTORY_EPOCHS} epochs x {} replicas x {} nodes\n\
         \x20 sweep           {} µs a point on {TEST_IMAGES} images\n{details}",
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
