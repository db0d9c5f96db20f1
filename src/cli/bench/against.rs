//! `holdfast bench --against`: what is faster or slower than at another time, on another machine, or in another build, and what
//! only chance has changed.

use super::BenchArguments;
use crate::cli::output;
use crate::error::{Error, Result};
use crate::lab::bench_file::{BenchFile, Compared, Comparison, LEVEL, too_slow};
use crate::numbers::{counted, percent};
use crate::report::layout::aligned;
use serde_json::{Value, json};

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

/// Prints, and fails where something is too slow.
pub(super) fn conclude(
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
    text += &aligned([head].into_iter().chain(all.iter().map(row)), ..0);
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
