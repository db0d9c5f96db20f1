//! The command line: the only module that prints, reads arguments or exits.

mod bench;
mod compact;
mod compare;
mod completions;
mod data;
mod devices;
mod doctor;
#[cfg(test)]
mod documented;
mod dry_run;
mod embedded;
mod evaluate;
mod explain;
mod export;
mod help;
mod merge;
mod options;
mod output;
mod playground;
mod progress;
mod prune;
mod puzzle;
mod report;
mod run;
mod stability;
mod stack;
mod stop;
mod study;
mod train;

pub use embedded::{Called, call, options_of};

use crate::error::Result;
use clap::{FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Prune neural networks by what holds still.
///
/// Trains small networks in replicas, remembers one layer's weights after each epoch, counts for how many last epochs
/// each weight kept its value, and prunes without retraining. Results go to standard output, everything else to standard
/// error.
#[derive(Parser)]
#[command(name = "holdfast", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job: train, count stability, sweep all operating points; exponential decay and controls beside it.
    Compare(Box<compare::CompareArguments>),
    /// The paper's study: Tables 1 to 5 and Figure 3, from networks trained here or from anyone's numbers.
    Study(Box<study::StudyArguments>),
    /// Join the shards of a study.
    Merge(merge::MergeArguments),
    /// Train replicas; keep the focus layer's history and all weights.
    Train(Box<train::TrainArguments>),
    /// Magnitude stability of any history, from a run or from another program.
    Stability(stability::StabilityArguments),
    /// Remove weights from trained networks, of a run or of another program, and say what was lost.
    Prune(Box<prune::PruneArguments>),
    /// Accuracy and loss of networks on a test set: of a run, of a file, or of another program.
    Evaluate(Box<evaluate::EvaluateArguments>),
    /// One network in a file that other programs run: ONNX, or safetensors.
    Export(Box<export::ExportArguments>),
    /// Make a trained or pruned network really smaller: units, filters and inputs taken out, not zeros stored.
    Compact(Box<compact::CompactArguments>),
    /// Finished runs on one HTML page that needs no network: Figure 4 with a slider, the layer, the ledger, the study's tables.
    Report(report::ReportArguments),
    /// One HTML page on which a network is trained and pruned in the reader's browser, by the same WGSL.
    Playground(playground::PlaygroundArguments),
    /// Speed of this machine: training step, sort and count, sweep.
    Bench(bench::BenchArguments),
    /// List, verify, export and generate data sets.
    Data(data::DataArguments),
    /// List what can run here.
    Devices(devices::DevicesArguments),
    /// Check every kernel on a device against its definition, and the engine against PyTorch and NumPy.
    Doctor(doctor::DoctorArguments),
    /// A kernel's lesson, its WGSL, and what it costs here.
    Explain(explain::ExplainArguments),
    /// Twelve exercises in WGSL, from a map to the surgeon's elimination, judged on this device.
    Puzzle(puzzle::PuzzleArguments),
    /// Print the script that makes a shell complete commands and options.
    Completions(completions::CompletionsArguments),
    /// Print the manual page, or write one for each command.
    Man(completions::ManArguments),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    ExitCode::from(run_with(std::env::args_os()))
}

/// Runs the command with these arguments, the first of which is the program's name; returns its exit code.
pub fn run_with(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let read =
        help::command().try_get_matches_from(arguments).and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match read {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, refusals to standard error. If nobody can read them, nothing is lost.
            let _ = error.print();
            return error.exit_code().try_into().unwrap_or(2);
        }
    };
    match arguments.command.run() {
        Ok(()) => 0,
        Err(error) => {
            output::note(&format!("error: {error}"));
            stop::exit_code(&error)
        }
    }
}

impl Command {
    fn run(self) -> Result<()> {
        match self {
            Self::Compare(arguments) => compare::run(&arguments),
            Self::Study(arguments) => study::run(&arguments),
            Self::Merge(arguments) => merge::run(&arguments),
            Self::Train(arguments) => train::run(&arguments),
            Self::Stability(arguments) => stability::run(&arguments),
            Self::Prune(arguments) => prune::run(&arguments),
            Self::Evaluate(arguments) => evaluate::run(&arguments),
            Self::Compact(arguments) => compact::run(&arguments),
            Self::Report(arguments) => report::run(&arguments),
            Self::Playground(arguments) => playground::run(&arguments),
            Self::Bench(arguments) => bench::run(&arguments),
            Self::Data(arguments) => data::run(&arguments),
            Self::Devices(arguments) => devices::run(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments),
            Self::Export(arguments) => export::run(&arguments),
            Self::Explain(arguments) => explain::run(&arguments),
            Self::Puzzle(arguments) => puzzle::run(&arguments),
            Self::Completions(arguments) => completions::run(&arguments),
            Self::Man(arguments) => completions::man(&arguments),
        }
    }
}
