//! `holdfast bench --against-program`: this program and another build of it, beside each other.

use super::against::conclude;
use super::{BenchArguments, Measurement};
use crate::cli::progress::Reporter;
use crate::cli::stop::stop_flag;
use crate::clock::{Fingerprint, busy};
use crate::engine::{Progress, Watch};
use crate::error::{Error, Result};
use crate::lab::bench_file::{BenchFile, Pairs, Quantity, compare_pairs};
use crate::statistics::spread::median;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds that two programs are compared if nothing else is asked for.
const SECONDS: f64 = 60.0;
/// Starts of both programs: fewer tell few things apart, more take longer than they are worth.
const STARTS: (usize, usize) = (12, 40);
/// Rounds of each start behind the one that warms up, and seconds after which two are enough.
const ROUNDS: usize = 12;
const OF_A_START: f64 = 2.5;
/// Seconds by which a program chooses how long a repetition takes: some hundredths of a second each, and enough for all images of
/// a sweep on a processor, whose number must not change from start to start.
const REPETITIONS: f64 = 1.28;

/// Compares this program with another build of it. Both run beside each other and measure in turn, round by round, so that what
/// else the machine does meets both. Where a program's memory happens to lie moves its times for as long as it runs: each start of
/// both is one sample.
pub(super) fn compare(arguments: &BenchArguments, path: &Path) -> Result<()> {
    let seconds = arguments.seconds(SECONDS)?;
    let now = Fingerprint::now("");
    arguments.output.notices(&Vec::from_iter(busy(now.load_start, now.threads)));
    let own = std::env::current_exe()
        .map_err(|error| Error::Job(format!("the system does not say where this program lies ({error})")))?;
    let folder = tempfile::tempdir().map_err(|error| Error::io("write in", std::env::temp_dir(), error))?;
    let programs = [path, &own];
    let mut found: Vec<Pairs> = Vec::new();
    let mut names = [String::new(), String::new()];
    let reporter = Reporter::new(arguments.output.quiet);
    reporter.begin("measure both in turn", STARTS.1 as u64, "starts");
    let watch = Watch { stop: stop_flag(), progress: &|_| {} };
    let started = Instant::now();
    for turn in 0..STARTS.1 {
        if turn >= STARTS.0 && started.elapsed() > Duration::from_secs_f64(seconds) {
            break;
        }
        let both = start_of_both(arguments, programs, folder.path(), turn, &watch);
        // Whoever stops this program stops both of those, too.
        watch.check()?;
        let [there, here] = both?;
        for (side, file) in [&there, &here].into_iter().enumerate() {
            let (program, Fingerprint { version, commit, .. }) = (programs[side], &file.fingerprint);
            names[side] = format!("{} (holdfast {version}, commit {commit})", program.display());
        }
        add(&mut found, there.quantities, &here.quantities);
        reporter.advance(1);
    }
    reporter.end();
    conclude(arguments, &compare_pairs(&found)?, names, &[])
}

/// Starts both programs, lets them measure in turn, and gives what each saved.
fn start_of_both(
    arguments: &BenchArguments,
    programs: [&Path; 2],
    folder: &Path,
    turn: usize,
    watch: &Watch<'_>,
) -> Result<[BenchFile; 2]> {
    let [there, here] = programs;
    let mut there = Started::new(arguments, there, folder.join("there.json"))?;
    let mut here = Started::new(arguments, here, folder.join("here.json"))?;
    let started = Instant::now();
    for round in 0..=ROUNDS {
        if round > 2 && started.elapsed() > Duration::from_secs_f64(OF_A_START) {
            break;
        }
        watch.check()?;
        // Whoever comes second finds the machine as the first has left it: that changes sides.
        if (turn + round).is_multiple_of(2) {
            there.round()?;
            here.round()?;
        } else {
            here.round()?;
            there.round()?;
        }
    }
    Ok([there.end()?, here.end()?])
}

/// Adds a start of both: the median of its rounds for each side, and of the ratios of its rounds. The first round has warmed up. A
/// quantity is left out where a sweep had time for another number of images than in the starts before.
fn add(all: &mut Vec<Pairs>, there: Vec<Quantity>, here: &[Quantity]) {
    for there in there {
        let Some(here) = here.iter().find(|here| here.is_like(&there)) else { continue };
        let rounds = there.samples.iter().zip(&here.samples).skip(1);
        let ratios: Vec<f64> = rounds.map(|(there, here)| here / there).collect();
        let middle = |quantity: &Quantity| median(&quantity.samples[1..]);
        let sample = [middle(&there), middle(here), median(&ratios)];
        let known = match all.iter().position(|known| known.there.name == there.name) {
            Some(known) => known,
            None => {
                let none = Quantity { samples: Vec::new(), ..there.clone() };
                all.push(Pairs { there: none.clone(), here: none, ratios: Vec::new() });
                all.len() - 1
            }
        };
        let known = &mut all[known];
        if known.there.is_like(&there) {
            known.there.samples.push(sample[0]);
            known.here.samples.push(sample[1]);
            known.ratios.push(sample[2]);
        }
    }
}

/// A program that measures what is asked for, round by round.
struct Started {
    shown: String,
    process: Child,
    cues: ChildStdin,
    answers: BufReader<ChildStdout>,
    saved: PathBuf,
}

impl Started {
    /// Starts it, and waits until it is ready.
    fn new(arguments: &BenchArguments, program: &Path, saved: PathBuf) -> Result<Self> {
        // A program that fails leaves none of an earlier one to be read.
        let _ = std::fs::remove_file(&saved);
        let shown = program.display().to_string();
        let unusable = |error: std::io::Error| {
            Error::Usage(format!(
                "cannot start {shown} ({error}); name another build of holdfast, e.g. ../old/target/release/holdfast"
            ))
        };
        let mut command = command(arguments, program);
        command.arg("--save").arg(&saved).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(unusable)?;
        let (Some(cues), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Error::Job(format!("the system gives no way to speak to {shown}; start it again")));
        };
        let mut started = Self { shown, process, cues, answers: BufReader::new(answers), saved };
        started.wait()?;
        Ok(started)
    }

    /// Lets it measure everything once.
    fn round(&mut self) -> Result<()> {
        // Whether it has ended is seen by its answer.
        let _ = self.cues.write_all(b"\n");
        self.wait()
    }

    /// Waits for a line.
    fn wait(&mut self) -> Result<()> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => Ok(()),
            _ => Err(failure(&self.shown, &mut self.process)),
        }
    }

    /// Ends it, and reads what it saved.
    fn end(self) -> Result<BenchFile> {
        let Self { shown, mut process, cues, mut answers, saved } = self;
        drop(cues);
        // It may print as much as it likes at its end.
        let _ = answers.read_to_end(&mut Vec::new());
        match process.wait() {
            Ok(status) if status.success() => BenchFile::read(&saved),
            _ => Err(failure(&shown, &mut process)),
        }
    }
}

/// Why a program has ended.
fn failure(shown: &str, process: &mut Child) -> Error {
    let mut said = String::new();
    if let Some(errors) = &mut process.stderr {
        let _ = errors.read_to_string(&mut said);
    }
    Error::Job(format!(
        "{shown} bench has failed: {}; both must be builds of holdfast whose bench knows --on-cue",
        said.trim().lines().last().unwrap_or("it said nothing")
    ))
}

/// The command that measures with `program` what is asked for.
fn command(arguments: &BenchArguments, program: &Path) -> Command {
    let BenchArguments { replicates, batch, side, width, depth, hidden, no_bias, model, filters, device, .. } =
        arguments;
    let mut command = Command::new(program);
    command.args(["bench", "--quiet", "--on-cue", "--seconds", &REPETITIONS.to_string(), "--model", model]);
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
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(unit: &str, samples: &[f64]) -> Quantity {
        Quantity { name: "sweep".into(), title: "sweep".into(), unit: unit.into(), samples: samples.into() }
    }

    #[test]
    fn a_start_is_one_sample_of_each_side_and_other_units_are_left_out() {
        let mut all = Vec::new();
        for [there, here] in [["ms", "ms"], ["s", "ms"], ["ms", "ms"], ["s", "s"]] {
            let there = quantity(there, &[99.0, 1.0, 2.0, 9.0]);
            add(&mut all, vec![there], &[quantity(here, &[77.0, 3.0, 8.0, 9.0])]);
        }
        let [there, here] = [2.0, 8.0].map(|middle| quantity("ms", &[middle; 2]));
        assert_eq!(all, [Pairs { there, here, ratios: vec![3.0; 2] }]);
    }
}
