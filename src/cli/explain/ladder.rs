//! `holdfast explain FAMILY --ladder`: from the naive kernel to the fast one, on the reader's device.

use crate::cli::doctor;
use crate::cli::options::{DeviceOptions, OutputOptions};
use crate::cli::output;
use crate::error::{Error, Result};
use crate::gpu::{DeviceChoice, Gpu, RequestedLimits, adapters, why_no_adapter};
use crate::lessons::ladder::{LADDERS, Ladder, Listener, Measured, Peak, Prediction, Step, of_family};
use crate::numbers::counted;
use crate::report::layout::aligned;
use crate::statistics::spread::Spread;
use serde_json::{Value, json};

/// What to expect of a driver without a GPU.
const SOFTWARE: &str = "  This driver runs in software. What is expected is told for a GPU, whose neighbours share what they\n  \
                        fetch; here every load is a step of its own, and workgroup memory is no nearer than any other.\n";

/// How the ladder is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Markdown,
    Json,
}

/// Climbs the ladder of a family.
pub(super) fn run(family: &str, markdown: bool, device: &DeviceOptions, say: &OutputOptions) -> Result<()> {
    let ladder = of_family(family).ok_or_else(|| {
        let known: Vec<&str> = LADDERS.iter().map(|ladder| ladder.family).collect();
        Error::Usage(format!("{family} has no ladder; these have: {}", known.join(", ")))
    })?;
    let gpu = Gpu::open(&any_adapter(device)?, device.checked_shaders, RequestedLimits::Adapter)?;
    let form = match (say.json, markdown) {
        (true, _) => Form::Json,
        (false, true) => Form::Markdown,
        (false, false) => Form::Text,
    };
    let mut printer =
        Printer { form, ladder, steps: Vec::new(), sizes: String::new(), peak: Value::Null, found: Vec::new() };
    if form == Form::Text {
        output::result(&format!("{} on {}\n  {}\n", ladder.family, gpu.description().name, ladder.formula))?;
        if gpu.is_software() {
            output::result(SOFTWARE)?;
        }
    }
    ladder.climb(&gpu, &mut printer)?;
    match form {
        Form::Json => output::json(&json!({
            "family": family,
            "formula": ladder.formula,
            "device": gpu.description().name,
            "driver": gpu.description().driver,
            "sizes": printer.sizes,
            "peak": printer.peak,
            "steps": printer.steps,
        })),
        Form::Markdown => output::result(&format!("\n{}\n", conclusion(&printer.found))),
        Form::Text => output::result(&format!(
            "{}\n{}\n\nholdfast explain {family}/naive shows the text of a step.\n",
            table(&printer.found),
            conclusion(&printer.found)
        )),
    }
}

/// The adapter that the options ask for, or in the place of the CPU engine, which has no WGSL, a driver that runs in software.
pub(in crate::cli) fn any_adapter(device: &DeviceOptions) -> Result<DeviceChoice> {
    match doctor::adapter(device) {
        Some(choice) => Ok(choice),
        None if device.device.as_deref() == Some("cpu") => Err(Error::Usage(
            "the CPU engine runs no WGSL; leave --device out, or name a GPU or a software driver".into(),
        )),
        None if adapters().is_empty() => Err(Error::NoDevice(why_no_adapter())),
        None => Ok(DeviceChoice::Index(0)),
    }
}

struct Printer {
    form: Form,
    ladder: &'static Ladder,
    steps: Vec<Value>,
    sizes: String,
    peak: Value,
    found: Vec<(&'static str, Measured)>,
}

impl Listener for Printer {
    fn begins(&mut self, sizes: &str, peak: &Peak) -> Result<()> {
        self.sizes = sizes.to_string();
        self.peak = json!({
            "operations_per_second": peak.operations,
            "bytes_per_second": peak.bytes,
            "launch_us": peak.launch.as_secs_f64() * 1e6,
        });
        let (operations, bytes, launch) = (peak.operations, peak.bytes, peak.launch.as_secs_f64());
        match self.form {
            Form::Text => output::result(&format!(
                "  {sizes}\n  at most {} operations and {} a second here, {} for a launch\n",
                count(operations),
                bytes_of(bytes),
                time(launch)
            )),
            Form::Markdown => output::result(&format!(
                "### {}: {sizes}\n\nPeak {} operations a second, a copy as large as the problem {} a second, a launch {}.\n\n\
                 | step | launches | bytes of a GPU | expected | binds | measured | of the peak | times as fast as the step before |\n\
                 |---|--:|--:|--:|---|--:|--:|---|\n",
                self.ladder.family,
                count(operations),
                bytes_of(bytes),
                time(launch)
            )),
            Form::Json => Ok(()),
        }
    }

    fn expects(&mut self, step: &Step, prediction: &Prediction) -> Result<()> {
        if self.form != Form::Text {
            return Ok(());
        }
        let Prediction { operations, bytes, launches, least, binds } = *prediction;
        let launches = if launches == 1 { "1 launch".to_string() } else { format!("{launches} launches") };
        output::result(&format!(
            "\n{}: {}\n  expected  {} operations, {}, {launches}: {} binds, about {}\n",
            step.name,
            step.idea,
            count(operations),
            bytes_of(bytes),
            binds.name(),
            time(least.as_secs_f64())
        ))
    }

    fn found(&mut self, step: &Step, prediction: &Prediction, measured: &Measured) -> Result<()> {
        self.found.push((step.name, *measured));
        let Prediction { operations, bytes, launches, least, binds } = *prediction;
        match self.form {
            Form::Text => Ok(()),
            Form::Markdown => output::result(&format!(
                "| {} | {launches} | {} | {} | {} | {} | {} | {} |\n",
                step.name,
                bytes_of(bytes),
                time(least.as_secs_f64()),
                binds.name(),
                ranged_time(&measured.seconds),
                percent(measured.share),
                verdict(measured),
            )),
            Form::Json => {
                self.steps.push(json!({
                    "step": step.name,
                    "idea": step.idea,
                    "text": step.text().name,
                    "operations": operations,
                    "bytes": bytes,
                    "launches": launches,
                    "least_ms": least.as_secs_f64() * 1e3,
                    "binds": binds.name(),
                    "measured_ms": measured.seconds.scaled(1e3),
                    "share": measured.share,
                    "gain": measured.gain,
                    "over_first": measured.over_first,
                    "helped": measured.helped(),
                }));
                Ok(())
            }
        }
    }
}

/// What every step came to, below one another.
fn table(found: &[(&str, Measured)]) -> String {
    let head = ["", "measured", "of the peak", "times as fast as the step before"].map(String::from);
    let row = |(name, measured): &(&str, Measured)| {
        [name.to_string(), ranged_time(&measured.seconds), percent(measured.share), verdict(measured)]
    };
    format!("\n{}", aligned([head].into_iter().chain(found.iter().map(row)), 2..3))
}

/// What a step gained over the one before it.
fn verdict(measured: &Measured) -> String {
    match &measured.gain {
        None => "–".into(),
        Some(gain) if measured.helped() => gain.shown(""),
        Some(gain) => format!("{}, did not help here", gain.shown_ratio("")),
    }
}

/// How the numbers came to be, and which step is the fastest.
fn conclusion(found: &[(&str, Measured)]) -> String {
    let turns = found.iter().map(|(_, measured)| measured.seconds.count).min().unwrap_or_default();
    let fastest = found.iter().min_by(|(_, a), (_, b)| a.seconds.median.total_cmp(&b.seconds.median));
    let over_first = fastest.and_then(|(name, measured)| {
        let first = found.first()?.0;
        Some(format!("Fastest here is {name}: {} times as fast as {first}.", measured.over_first?.shown_ratio("")))
    });
    format!(
        "{}\nMedians of {}, in each of which every step had one turn, with ranges (95 %); ~: 1 lies in the range.",
        over_first.unwrap_or("The first step is the fastest here.".into()),
        counted(turns as f64, "round")
    )
}

/// A median of times with its range, in the unit that suits it.
fn ranged_time(seconds: &Spread) -> String {
    let (factor, unit) = match seconds.median {
        1.0.. => (1.0, "s"),
        1e-3.. => (1e3, "ms"),
        _ => (1e6, "µs"),
    };
    seconds.scaled(factor).shown(unit)
}

/// A number with three digits and a prefix.
fn count(number: f64) -> String {
    scaled(number, &[(1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")], "")
}

fn bytes_of(number: f64) -> String {
    scaled(number, &[(1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " KB")], " bytes")
}

fn time(seconds: f64) -> String {
    if seconds < 1e-3 { scaled(1e6 * seconds, &[], " µs") } else { scaled(seconds, &[(1.0, " s"), (1e-3, " ms")], "") }
}

fn scaled(number: f64, units: &[(f64, &str)], none: &str) -> String {
    let (size, unit) = units.iter().copied().find(|(size, _)| number >= *size).unwrap_or((1.0, none));
    let value = number / size;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{unit}")
}

fn percent(share: f64) -> String {
    format!("{:.*} %", usize::from(share < 0.1) + usize::from(share < 0.01), 100.0 * share)
}
