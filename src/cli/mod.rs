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
mod evaluate;
mod explain;
mod export;
mod merge;
mod options;
mod output;
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

use clap::{Parser, Subcommand};
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
    Compare(Box<options::RunArguments>),
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
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Study(arguments) => study::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Stability(arguments) => stability::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Compact(arguments) => compact::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Puzzle(arguments) => puzzle::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {error}"));
            ExitCode::from(stop::exit_code(&error))
        }
    }
}
