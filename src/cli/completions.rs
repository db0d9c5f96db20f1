//! `holdfast completions` and `holdfast man`: what a shell and a manual want to know of the command line.

use super::{Arguments, output};
use crate::error::{Error, Result};
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

/// Arguments of `completions`.
#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Args)]
pub(super) struct ManArguments {
    /// Write a page for every command into this folder instead of printing the main page.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the script that makes `shell` complete commands and options.
pub(super) fn run(arguments: &CompletionsArguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "holdfast", &mut script);
    output::result(&String::from_utf8_lossy(&script))
}

/// Prints or writes manual pages.
pub(super) fn man(arguments: &ManArguments) -> Result<()> {
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
        return clap_mangen::generate_to(Arguments::command(), folder)
            .map_err(|error| Error::io("write manual pages into", folder, error));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command())
        .render(&mut page)
        .map_err(|error| Error::Job(format!("the manual page cannot be made: {error}")))?;
    output::result(&String::from_utf8_lossy(&page))
}
