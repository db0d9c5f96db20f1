//! `holdfast bench --against` and `--against-program`: what is faster or slower than at another time, on another machine, or in
//! another build, and what only chance has changed.

use super::{BenchArguments, Measurement};
use crate::cli::output;
use crate::cli::progress::Reporter;
use crate::cli::stop::stop_flag;
use crate::clock::{Fingerprint, busy};
use crate::engine::{Progress, Watch};
use crate::error::{Error, Result};
use crate::lab::bench_file::{BenchFile, Compared, Comparison, LEVEL, Quantity, compare_pairs, too_slow};
use crate::numbers::{counted, percent};
use crate::statistics::order::median;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Seconds that two programs are compared if nothing else is asked for, and that each is measured once it is started.
const SECONDS: f64 = 60.0;
const OF_A_START: f64 = 0.5;
/// Starts of each of two programs: fewer pairs tell few things apart, more take longer than they are worth.
const STARTS: (usize, usize) = (16, 60);

/// Compares what was measured now with a file.
pub(super) fn file(arguments: &BenchArguments, here: &BenchFile, there: &BenchFile) -> Result<()> {
    let found = here.compare(there)?;
    let mut differences = here.fingerprint.differences(&there.fingerprint);
    for (what, there, here) in [
        ("device", &there.device.name, &here.device.name),
        ("back end", &there.device.backend, &here.device.backend),
        ("kernels", &there.device.variant, &here.device.variant),
    ] {
        if there != here {
            differences.push(format!("{what}: {there} there, {here} here"));
        }
    }
    let left_out = here.quantities.iter().filter(|own| !found.quantities.iter().any(|one| one.name == own.name));
    let left_out: Vec<String> =
        left_out.map(|own| format!("{} ({}) is not in that file", own.title, own.unit)).collect();
    arguments.output.notices(&left_out);
    if !differences.is_empty() {
        arguments.output.notices(&[format!("not only the program may differ: {}", differences.join("; "))]);
    }
    let name = |file: &BenchFile| {
        format!("holdfast {}, commit {}, {}", file.fingerprint.version, file.fingerprint.commit, file.date)
    };
    conclude(arguments, &found, [name(there), name(here)], &differences)
}

/// Compares this program with another build of it. Each start is one sample: where a program's memory happens to lie moves its times
/// for as long as it runs.
pub(super) fn program(arguments: &BenchArguments, path: &Path) -> Result<()> {
    let seconds = arguments.seconds(SECONDS)?;
    let now = Fingerprint::now("");
    arguments.output.notices(&Vec::from_iter(busy(now.load_start, now.threads)));
    let own = std::env::current_exe()
        .map_err(|error| Error::Job(format!("the system does not say where this program lies ({error})")))?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("write in", std::env::temp_dir(), error))?;
    let saved = folder.path().join("bench.json");
    let programs = [path, &own];
    let mut samples: [Vec<Quantity>; 2] = Default::default();
    let mut names = [String::new(), String::new()];
    let reporter = Reporter::new(arguments.output.quiet);
    reporter.begin("start both alternately", STARTS.1 as u64, "starts of each");
    let watch = Watch { stop: stop_flag(), progress: &|_| {} };
    let started = Instant::now();
    for turn in 0..STARTS.1 {
        if turn >= STARTS.0 && started.elapsed() > Duration::from_secs_f64(seconds) {
            break;
        }
        // Whoever comes second finds the machine as the first has left it: that changes sides.
        let mut pair: [Vec<Quantity>; 2] = Default::default();
        for side in if turn % 2 == 0 { [0, 1] } else { [1, 0] } {
            watch.check()?;
            let found = start(arguments, programs[side], &saved)?;
            names[side] = format!(
                "{} (holdfast {}, commit {})",
                programs[side].display(),
                found.fingerprint.version,
                found.fingerprint.commit
            );
            pair[side] = found.quantities;
        }
        add(&mut samples, pair);
        reporter.advance(1);
    }
    reporter.end();
    let [there, here] = samples;
    conclude(arguments, &compare_pairs(&here, &there)?, names, &[])
}

/// Adds one sample of each quantity that both of a pair have in the unit of the samples before: a sweep may have had time for
/// another number of images.
fn add(samples: &mut [Vec<Quantity>; 2], [there, mut here]: [Vec<Quantity>; 2]) {
    let [all_there, all_here] = samples;
    for there in there {
        let same = |one: &Quantity| one.name == there.name && one.unit == there.unit;
        let Some(place) = here.iter().position(same) else { continue };
        let here = here.swap_remove(place);
        match all_there.iter().position(|known| known.name == there.name) {
            Some(known) if !same(&all_there[known]) => {}
            Some(known) => {
                all_there[known].samples.push(median(&there.samples));
                all_here[known].samples.push(median(&here.samples));
            }
            None => {
                for (all, one) in [(&mut *all_there, there), (&mut *all_here, here)] {
                    all.push(Quantity { samples: vec![median(&one.samples)], ..one });
                }
            }
        }
    }
}

/// Starts a program that measures what is asked for, and reads what it saved.
fn start(arguments: &BenchArguments, program: &Path, saved: &Path) -> Result<BenchFile> {
    let BenchArguments { replicates, batch, side, width, depth, hidden, no_bias, model, filters, device, .. } =
        arguments;
    let mut command = Command::new(program);
    command.args(["bench", "--quiet", "--json", "--seconds", &OF_A_START.to_string(), "--model", model]);
    let list = |sizes: &Vec<usize>| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let hidden = hidden.as_ref().map_or(vec![], |sizes| vec![("--hidden", list(sizes))]);
    let sizes = match hidden.is_empty() {
        true => vec![("--width", width.to_string()), ("--depth", depth.to_string())],
        false => hidden,
    };
    let numbers = [
        ("--replicates", replicates.to_string()),
        ("--batch", batch.to_string()),
        ("--side", side.to_string()),
        ("--filters", filters.to_string()),
        ("--only", arguments.parts().into_iter().map(Measurement::option).collect::<Vec<_>>().join(",")),
    ];
    numbers.iter().chain(&sizes).for_each(|(option, value)| {
        command.args([option, &value.as_str()]);
    });
    device.device.iter().for_each(|name| {
        command.args(["--device", name]);
    });
    device.threads.iter().for_each(|threads| {
        command.args(["--threads", &threads.to_string()]);
    });
    for (option, is_given) in [("--no-bias", *no_bias), ("--checked-shaders", device.checked_shaders)] {
        if is_given {
            command.arg(option);
        }
    }
    // A program that fails leaves none of an earlier one to be read.
    let _ = std::fs::remove_file(saved);
    let shown = program.display();
    let ended = command.arg("--save").arg(saved).output().map_err(|error| {
        Error::Usage(format!(
            "cannot start {shown} ({error}); name another build of holdfast, e.g. ../old/target/release/holdfast"
        ))
    })?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(Error::Job(format!(
            "{shown} bench --save has failed: {}; both must be builds of holdfast that know bench --save",
            said.trim().lines().last().unwrap_or("it said nothing")
        )));
    }
    BenchFile::read(saved)
}

/// Prints, and fails where something is too slow.
fn conclude(
    arguments: &BenchArguments,
    found: &Comparison,
    [there, here]: [String; 2],
    differences: &[String],
) -> Result<()> {
    if arguments.output.json {
        output::json(&json!({
            "there": there,
            "here": here,
            "quantities": found.quantities.iter().map(as_json).collect::<Vec<_>>(),
            "geometric_mean": found.mean,
            "test": found.test,
            "level": LEVEL,
            "differences": differences,
        }))?;
    } else {
        output::result(&text(found, &there, &here))?;
    }
    let Some(share) = arguments.fail_over.map(f64::from) else { return Ok(()) };
    let slow = too_slow(&found.quantities, share);
    let slow: Vec<String> = slow.iter().map(|one| format!("{} {}", one.title, one.ratio.shown("times"))).collect();
    if slow.is_empty() {
        return Ok(());
    }
    Err(Error::Job(format!(
        "slower than --fail-over {} allows: {}; measure again to be sure, or allow more",
        percent(share),
        slow.join(", ")
    )))
}

fn as_json(one: &Compared) -> Value {
    let mut value = json!(one);
    value["verdict"] = verdict(one).into();
    value
}

/// `faster` or `slower` than there, or `~` where the two are not told apart.
fn verdict(one: &Compared) -> &'static str {
    match one.differs() {
        false => "~",
        true if one.ratio.median > 1.0 => "slower",
        true => "faster",
    }
}

fn text(found: &Comparison, there: &str, here: &str) -> String {
    let Comparison { quantities: all, mean, test } = found;
    let mut text = format!("there: {there}\nhere:  {here}\n");
    let head = ["", "there", "here", "here / there", ""].map(String::from);
    let row = |one: &Compared| {
        let chance = if one.differs() { format!("{}, p = {:.1e}", verdict(one), one.probability) } else { "~".into() };
        [one.title.clone(), one.there.shown(&one.unit), one.here.shown(&one.unit), one.ratio.shown(""), chance]
    };
    let rows: Vec<[String; 5]> = [head].into_iter().chain(all.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        text += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let samples = all.iter().map(|one| one.here.count.min(one.there.count)).min().unwrap_or_default();
    text += &format!(
        "Geometric mean of the ratios: {}. Ranges are of 95 %.\n\
         ~: chance alone makes such a difference ({test} on {} or more, Holm's correction, p >= {LEVEL});\n\
         of the mean: 1 lies in its range.\n",
        mean.shown_ratio(""),
        counted(samples as f64, "sample")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(unit: &str, samples: &[f64]) -> Quantity {
        Quantity { name: "sweep".into(), title: "sweep".into(), unit: unit.into(), samples: samples.into() }
    }

    #[test]
    fn a_pair_is_one_sample_of_each_side_and_other_units_are_left_out() {
        let mut samples: [Vec<Quantity>; 2] = Default::default();
        for [there, here] in [["ms", "ms"], ["s", "ms"], ["ms", "ms"], ["s", "s"]] {
            add(&mut samples, [vec![quantity(there, &[1.0, 2.0, 9.0])], vec![quantity(here, &[3.0])]]);
        }
        assert_eq!(samples, [vec![quantity("ms", &[2.0; 2])], vec![quantity("ms", &[3.0; 2])]]);
    }
}
