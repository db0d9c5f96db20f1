//! `holdfast bench --kernels`: what each kernel reaches of what the device can do at most, and what a device of other limits
//! should reach.

use super::BenchArguments;
use super::measure::{CLASSES, HISTORY_EPOCHS, SEED, TRAINING_IMAGES, images, random_walk};
use crate::cli::options::OutputOptions;
use crate::cli::stop::stop_flag;
use crate::cli::{doctor, output};
use crate::engine::{Engine, GpuBackend, HistoryShape, Variant, Watch};
use crate::error::{Error, Result};
use crate::gpu::{DeviceChoice, Gpu, RequestedLimits, adapters};
use crate::lab::roofline::{Roofline, TRAINING, Work};
use crate::network::Architecture;
use clap::Args;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Images that a trained network classifies here: as many as the GPU engine takes at once.
const TEST_IMAGES: usize = 512;

/// What `--kernels` needs to know.
#[derive(Args)]
pub(super) struct RooflineOptions {
    /// Each kernel instead: its arithmetic, its bytes, its time, and its share of what the device can do at most.
    #[arg(long)]
    kernels: bool,
    /// Count only, and say what a training step would take at best on a GPU with so many GFLOP/s; with --bandwidth.
    #[arg(long, value_name = "GFLOP/s", requires = "kernels", requires = "bandwidth")]
    peak: Option<f64>,
    /// Memory bandwidth of that GPU.
    #[arg(long, value_name = "GB/s", requires = "peak")]
    bandwidth: Option<f64>,
    /// Compute units of that GPU: a launch of fewer workgroups leaves some of them idle.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "peak")]
    compute_units: usize,
    /// What a launch takes on that GPU.
    #[arg(long, value_name = "µs", default_value_t = 5.0, requires = "peak")]
    launch: f64,
}

impl RooflineOptions {
    /// Whether kernels are asked for.
    pub(super) fn asked(&self) -> bool {
        self.kernels
    }

    /// Operations a second, bytes a second and time of a launch of the GPU that is asked about.
    fn other_device(&self) -> Result<Option<(f64, f64, Duration)>> {
        let (Some(peak), Some(bandwidth)) = (self.peak, self.bandwidth) else { return Ok(None) };
        for (option, value) in [("--peak", peak), ("--bandwidth", bandwidth)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Usage(format!("{option} {value} is not possible; use a number above 0")));
            }
        }
        if !(0.0..1e6).contains(&self.launch) || self.compute_units == 0 {
            return Err(Error::Usage(
                "--launch takes microseconds from 0 to a million, --compute-units 1 or more".into(),
            ));
        }
        Ok(Some((peak * 1e9, bandwidth * 1e9, Duration::from_secs_f64(self.launch * 1e-6))))
    }
}

/// Measures or counts, and prints.
pub(super) fn run(arguments: &BenchArguments, architecture: &Architecture) -> Result<()> {
    let (options, say) = (&arguments.roofline, &arguments.output);
    let other = options.other_device()?;
    let training = Arc::new(images(architecture, 0, TRAINING_IMAGES)?);
    let test = Arc::new(images(architecture, 1, TEST_IMAGES)?);
    let replicas = arguments.replicates as usize;
    let shape = HistoryShape { epochs: HISTORY_EPOCHS, replicas, weight_count: architecture.weight_count() };
    let history = if other.is_some() { Vec::new() } else { random_walk(shape) };
    let work = Work {
        architecture,
        training: &training,
        test: &test,
        replicates: arguments.replicates,
        batch: arguments.batch,
        history: &history,
        shape,
    };
    let watch = Watch { stop: stop_flag(), progress: &|_| {} };
    let progress = |what: &str| say.note(what);
    arguments.device.validate()?;
    let adapter = doctor::adapter(&arguments.device);
    let roofline = match (adapter, other) {
        (adapter, Some(limits)) => {
            // A discrete GPU takes the variant that fills it, whatever the device here would take.
            let gpu = Gpu::open(&adapter.map_or_else(any_adapter, Ok)?, false, RequestedLimits::Adapter)?;
            let mut engine = Engine::from(GpuBackend::with_variant(gpu, Variant::Stacked));
            Roofline::counted(&mut engine, &work, &watch, limits)?
        }
        (Some(choice), None) => {
            let mut engine = open(&choice)?;
            Roofline::of_gpu(&mut engine, &work, &watch, &progress)?
        }
        (None, None) => {
            let threads = arguments.device.threads(arguments.output.quiet);
            Roofline::of_cpu(&mut Engine::cpu(threads)?, threads, &work, &watch, &progress)?
        }
    };
    print(arguments, &roofline, say)
}

fn open(choice: &DeviceChoice) -> Result<Engine> {
    Engine::gpu(choice, false, RequestedLimits::Adapter)
}

/// To count launches any driver will do.
fn any_adapter() -> Result<DeviceChoice> {
    let first = adapters().into_iter().next();
    first.map(|adapter| DeviceChoice::Index(adapter.index)).ok_or_else(|| {
        Error::NoDevice(
            "launches are counted on a Vulkan, Metal or DX12 driver, a software one will do; none is installed".into(),
        )
    })
}

/// Microseconds.
fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn print(arguments: &BenchArguments, roofline: &Roofline, say: &OutputOptions) -> Result<()> {
    let least_step = arguments.roofline.peak.map(|_| roofline.least_step(arguments.roofline.compute_units));
    if say.json {
        return output::json(&as_json(arguments, roofline, least_step));
    }
    output::result(&text(arguments, roofline, least_step))
}

fn as_json(arguments: &BenchArguments, roofline: &Roofline, least_step: Option<Duration>) -> Value {
    let lines: Vec<Value> = roofline
        .lines
        .iter()
        .map(|line| {
            let (least, bound) = roofline.least(line);
            json!({
                "part": line.part,
                "kernel": line.kernel,
                "launches": line.launches,
                "workgroups": line.workgroups,
                "operations": line.cost.operations,
                "bytes": line.cost.bytes,
                "time_us": line.time.map(microseconds),
                "gflops": line.operations_per_second().map(|rate| rate / 1e9),
                "gbs": line.bytes_per_second().map(|rate| rate / 1e9),
                "copy_gbs": line.copy / 1e9,
                "least_us": microseconds(least),
                "share": line.time.map(|time| least.as_secs_f64() / time.as_secs_f64()),
                "bound": bound,
            })
        })
        .collect();
    json!({
        "device": roofline.device,
        "model": arguments.model,
        "filters": (arguments.model == "cnn").then_some(arguments.filters),
        "replicates": arguments.replicates,
        "batch": arguments.batch,
        "peak_gflops": roofline.peak / 1e9,
        "matmul_gflops": roofline.matmul.map(|rate| rate / 1e9),
        "copy_gbs": roofline.copy / 1e9,
        "launch_us": microseconds(roofline.launch),
        "launches_a_step": roofline.launches_a_step,
        "least_step_us": least_step.map(microseconds),
        "kernels": lines,
    })
}

fn text(arguments: &BenchArguments, roofline: &Roofline, least_step: Option<Duration>) -> String {
    let mut text = String::new();
    if let Some(step) = least_step {
        text += &format!(
            "At {:.0} GFLOP/s, {:.0} GB/s and {:.1} µs a launch, counted with {} x {CLASSES}-class images, seed {SEED}:\n",
            roofline.peak / 1e9,
            roofline.copy / 1e9,
            microseconds(roofline.launch),
            arguments.batch,
        );
        text += &format!(
            "a training step of {} replicas takes at least {:.1} µs, {:.2} µs a replica\n\n",
            arguments.replicates,
            microseconds(step),
            microseconds(step) / f64::from(arguments.replicates),
        );
    } else {
        text += &format!(
            "{}, {}\nat most {:.1} GFLOP/s, {:.1} GB/s",
            roofline.device.name,
            roofline.device.variant,
            roofline.peak / 1e9,
            roofline.copy / 1e9,
        );
        if let Some(matmul) = roofline.matmul {
            text += &format!(
                ", {:.1} GFLOP/s in a bare product of matrices, {:.1} µs a launch",
                matmul / 1e9,
                microseconds(roofline.launch)
            );
        }
        text += "\n\n";
    }
    if let Some(launches) = roofline.launches_a_step {
        text += &format!("{launches:.2} launches a training step of all replicas\n\n");
    }
    text += &format!(
        "{:<36} {:>8} {:>10} {:>10} {:>11} {:>8} {:>7}  {:>9}  bound by\n",
        "kernel", "launches", "MFLOP", "MB", "µs", "GFLOP/s", "GB/s", "of limit"
    );
    let mut part = "";
    for line in &roofline.lines {
        if line.part != part {
            part = line.part;
            text += &format!("{part}\n");
        }
        let (least, bound) = roofline.least(line);
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
        let kernels: Vec<&str> = line.kernel.split(" + ").collect();
        let last = kernels.len() - 1;
        kernels[..last].iter().for_each(|kernel| text += &format!("  {kernel} +\n"));
        text += &format!(
            "  {:<34} {:>8} {:>10.3} {:>10.3} {:>11} {:>8} {:>7}  {:>8} %  {}\n",
            kernels[last],
            line.launches,
            line.cost.operations / 1e6,
            line.cost.bytes / 1e6,
            number(line.time.map(microseconds), 1),
            number(line.operations_per_second().map(|rate| rate / 1e9), 2),
            number(line.bytes_per_second().map(|rate| rate / 1e9), 2),
            number(line.time.map(|time| 100.0 * least.as_secs_f64() / time.as_secs_f64()), 0),
            bound.name(),
        );
    }
    if part == TRAINING && roofline.lines.iter().all(|line| line.time.is_none()) {
        text += "\nCounted, not measured.\n";
    }
    text
}
