//! `holdfast playground`: a page on which a network is trained and pruned in the reader's browser.

use super::options::OutputOptions;
use super::output;
use super::report::place_of_page;
use super::stop::stop_flag;
use crate::engine::{Choice, Engine, GpuBackend, Variant, Watch, automatic_adapter};
use crate::error::{Error, Result};
use crate::gpu::{self, DeviceChoice, Gpu, RequestedLimits};
use crate::playground;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `playground`.
#[derive(Args)]
#[command(after_help = "Example, to open in a browser:
  holdfast playground playground.html")]
pub(super) struct PlaygroundArguments {
    /// The page: one file, which needs no network.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The GPU or software driver whose launches are watched, by its index or a part of its name as `holdfast devices` lists
    /// them; any if not given. None of its numbers are kept.
    #[arg(long, value_name = "INDEX|NAME", allow_negative_numbers = true)]
    device: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &PlaygroundArguments) -> Result<()> {
    let PlaygroundArguments { file, device, output: say } = arguments;
    let place = place_of_page(file.clone(), "name another file")?;
    let choice = watched(device.as_deref().unwrap_or("auto"))?;
    let mut cpu = Engine::cpu(None)?;
    say.note("reading MNIST, watching the launches, and recording a run");
    // Limits that every WebGPU has, and the kernels that suit most GPUs: the program must not depend on the device here.
    let gpu = Gpu::open(&choice, false, RequestedLimits::WebGpuDefaults)?;
    let backend = GpuBackend::with_variant(gpu, Variant::Stacked);
    playground::write(backend, &mut cpu, &place, &Watch { stop: stop_flag(), progress: &|_| {} })?;
    let bytes = std::fs::metadata(&place).map_err(|error| Error::io("read", &place, error))?.len();
    if say.json {
        return output::json(&json!({ "file": file.display().to_string(), "bytes": bytes }));
    }
    let megabytes = bytes as f64 / 1e6;
    output::result(&format!("The page is {} ({megabytes:.1} MB). Open it in a browser.\n", file.display()))
}

/// The device whose launches are watched: the one that is asked for, else a GPU, else a software driver.
fn watched(device: &str) -> Result<DeviceChoice> {
    match Choice::parse(device) {
        Choice::Adapter(choice) => return Ok(choice),
        Choice::Auto => {}
        Choice::Cpu => {
            return Err(Error::Usage(
                "the CPU engine launches no WGSL, and a page is made of launches; leave --device out, or name a GPU or a \
                 software driver"
                    .into(),
            ));
        }
    }
    let adapters = gpu::adapters();
    if adapters.is_empty() {
        return Err(Error::NoDevice(format!(
            "a page is written while a GPU or a software driver is watched: {}; or make the page on another machine",
            gpu::why_no_adapter()
        )));
    }
    Ok(DeviceChoice::Index(automatic_adapter(&adapters).unwrap_or(0)))
}
