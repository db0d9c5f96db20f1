//! `holdfast doctor`: is this device right?

use super::options::{DeviceOptions, OutputOptions};
use super::output;
use crate::check::{Certificate, Examination};
use crate::engine::{Choice, Engine, GpuBackend, automatic_adapter};
use crate::error::{Error, Result};
use crate::gpu::{self, DeviceChoice, RequestedLimits};
use crate::lab::tape;
use crate::lessons::ladder;
use crate::numbers::thousands;
use crate::run_folder::{FolderKind, OutputFolder};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Arguments of `doctor`.
#[derive(Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Write all arrays and launches of the checks into this folder, for another WebGPU to play
    #[arg(long, value_name = "FOLDER")]
    tape: Option<PathBuf>,
    /// Judge, in the place of this device, another WebGPU by the answers that it gave when it played the tape of this device
    #[arg(long, value_name = "FILE", conflicts_with = "tape")]
    answers: Option<PathBuf>,
}

pub(super) fn run(arguments: &DoctorArguments) -> Result<()> {
    let DoctorArguments { device, output: say, tape, answers } = arguments;
    device.validate()?;
    let progress = |group: &str| say.note(&format!("checking {group}"));
    let examination = match adapter(device) {
        None if tape.is_some() || answers.is_some() => {
            let advice = "the CPU engine has no launches; name a GPU or a software driver with --device";
            return Err(Error::Usage(format!("--tape and --answers are about launches of WGSL, and {advice}")));
        }
        None => Examination::of(&mut Engine::cpu(device.threads(say.quiet))?, &progress)?,
        Some(choice) => {
            let backend = GpuBackend::open(&choice, device.checked_shaders, RequestedLimits::Adapter)?;
            let gpu = Arc::clone(backend.device());
            let examine = || {
                let mut examination = Examination::of(&mut backend.into(), &progress)?;
                progress("ladders");
                examination.group("ladders", || ladder::check(&gpu))?;
                Ok(examination)
            };
            match (tape, answers) {
                (Some(folder), _) => {
                    let folder = OutputFolder::open(folder, FolderKind::Tape)?;
                    tape::TAPE_FILES.iter().try_for_each(|name| folder.file(name).map(drop))?;
                    tape::write(&gpu, folder.path(), examine)?
                }
                (None, Some(file)) => tape::answer(&gpu, file, examine)?,
                (None, None) => examine()?,
            }
        }
    };
    let certificate = Certificate::new(&examination);
    // Answers of another device certify nothing about this one.
    let stored = if answers.is_none() { keep(&certificate) } else { None };
    if say.json {
        output::json(&as_json(&examination, &certificate, stored))?;
    } else {
        output::result(&as_text(&examination, &certificate, stored))?;
    }
    examination.verdict()
}

fn keep(certificate: &Certificate) -> Option<PathBuf> {
    let stored = certificate.store();
    if let Err(error) = &stored {
        output::note(&format!("notice: the certificate is not kept: {error}"));
    }
    stored.ok()
}

/// The adapter that the options ask for; `None` for the CPU engine.
pub(super) fn adapter(device: &DeviceOptions) -> Option<DeviceChoice> {
    match device.choice() {
        Choice::Cpu => None,
        Choice::Adapter(choice) => Some(choice),
        Choice::Auto => automatic_adapter(&gpu::adapters()).map(DeviceChoice::Index),
    }
}

fn as_json(examination: &Examination, certificate: &Certificate, stored: Option<PathBuf>) -> Value {
    let kernels: Vec<Value> = examination
        .kernels()
        .into_iter()
        .map(|kernel| {
            json!({
                "kernel": kernel.kernel,
                "cases": kernel.cases,
                "failed": kernel.failed,
                "share": kernel.worst.share.is_finite().then_some(kernel.worst.share),
                "worst_case": kernel.worst.case,
                "failure": kernel.worst.failure,
                "launch_ms": examination.launches.get(kernel.kernel).map(milliseconds),
            })
        })
        .collect();
    let groups: Vec<Value> =
        examination.groups.iter().map(|(name, time)| json!({ "group": name, "seconds": time.as_secs_f64() })).collect();
    let broken: Vec<Value> =
        examination.broken.iter().map(|(group, error)| json!({ "group": group, "error": error })).collect();
    let pipelines: Vec<Value> = examination
        .pipelines
        .iter()
        .map(|(kernel, constants)| {
            let constants: BTreeMap<&str, u32> = constants.iter().copied().collect();
            json!({ "kernel": kernel, "constants": constants })
        })
        .collect();
    json!({
        "device": examination.device,
        "passed": examination.passed(),
        "loop_limit": examination.loop_limit,
        "kernels": kernels,
        "pipelines": pipelines,
        "broken": broken,
        "groups": groups,
        "certificate": certificate,
        "certificate_file": stored.map(|path| path.display().to_string()),
    })
}

fn milliseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn as_text(examination: &Examination, certificate: &Certificate, stored: Option<PathBuf>) -> String {
    let device = &examination.device;
    let mut text = format!("{}, {}", device.name, device.variant);
    if !device.driver.is_empty() {
        text += &format!("; {}", device.driver);
    }
    text += &format!("\n{:<38} {:>5} {:>9} {:>10}  {}\n", "kernel", "cases", "tolerance", "launch", "worst case");
    for kernel in examination.kernels() {
        let used = match kernel.worst.share {
            share if share.is_infinite() => "wrong".into(),
            0.0 => "exact".into(),
            share => format!("{:.1} %", 100.0 * share),
        };
        let launch = examination.launches.get(kernel.kernel).map(|time| format!("{:.2} ms", milliseconds(time)));
        let worst = if kernel.failed > 0 {
            format!("{} of {} FAIL: {}: {}", kernel.failed, kernel.cases, kernel.worst.case, kernel.worst.failure)
        } else {
            kernel.worst.case
        };
        text += &format!(
            "{:<38} {:>5} {used:>9} {:>10}  {worst}\n",
            kernel.kernel,
            kernel.cases,
            launch.unwrap_or_default()
        );
    }
    for (group, error) in &examination.broken {
        text += &format!("{group}: cannot run: {error}\n");
    }
    text += &match examination.loop_limit {
        Some(limit) => format!(
            "The driver cuts loops short after 65,535 iterations: work of more than {} is refused.\n",
            thousands(i64::from(limit))
        ),
        None if device.backend == "cpu" => String::new(),
        None => "Loops of 70,000 iterations arrive.\n".into(),
    };
    let seconds: f64 = examination.groups.iter().map(|(_, time)| time.as_secs_f64()).sum();
    let verdict = if certificate.passed { "right" } else { "WRONG" };
    text += &format!("This device is {verdict}: {} cases in {seconds:.0} s.", certificate.cases);
    if let Some(path) = stored {
        text += &format!(" Certificate: {}", path.display());
    }
    text + "\n"
}
