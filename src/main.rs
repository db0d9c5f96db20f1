//! The `holdfast` command: prune neural networks by what holds still.

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast::cli::run()
}
