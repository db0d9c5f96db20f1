//! `holdfast playground`: a page on which a network is trained and pruned in the reader's browser.

use super::doctor::adapter;
use super::options::{DeviceOptions, OutputOptions};
use super::output;
use super::report::place_of_page;
use super::stop::stop_flag;
use crate::engine::{Engine, GpuBackend, Variant, Watch};
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
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(arguments: &PlaygroundArguments) -> Result<()> {
    let PlaygroundArguments { file, device, output: say } = arguments;
    device.validate()?;
    let place = place_of_page(file.clone(), "name another file")?;
    let choice = watched(device)?;
    let mut cpu = Engine::cpu(device.threads(say.quiet))?;
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

/// The device whose launches are watched: the one that is asked for, or any, since none of its numbers are kept.
fn watched(device: &DeviceOptions) -> Result<DeviceChoice> {
    if let Some(choice) = adapter(device) {
        return Ok(choice);
    }
    let asked = device.device.as_deref().is_some_and(|name| name != "auto");
    if asked {
        return Err(Error::Usage(
            "the CPU engine launches no WGSL, and a page is made of launches; leave --device out, or name a GPU or a software \
             driver"
                .into(),
        ));
    }
    if gpu::adapters().is_empty() {
        return Err(Error::NoDevice(format!(
            "a page is written while a GPU or a software driver is watched: {}; or make the page on another machine",
            gpu::why_no_adapter()
        )));
    }
    Ok(DeviceChoice::Index(0))
}
