//! `holdfast completions` and `holdfast man`: what a shell and a manual want to know of the command line.

use super::{help, output};
use crate::error::{Error, Result};
use crate::run_folder::{self, FolderKind, OutputFolder};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::Write;
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
    output::result(&help::script(arguments.shell))
}

/// Prints or writes manual pages.
pub(super) fn man(arguments: &ManArguments) -> Result<()> {
    if let Some(folder) = &arguments.out {
        let folder = OutputFolder::open(folder, FolderKind::Manual)?;
        let mut command = help::command().disable_help_subcommand(true);
        command.build();
        return write_pages(&command, &folder);
    }
    output::result(&String::from_utf8_lossy(&page(&Man::new(help::command()))?))
}

/// Writes the pages of a command and of those within it.
fn write_pages(command: &Command, folder: &OutputFolder) -> Result<()> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write_pages(command, folder)?;
    }
    let man = Man::new(command.clone());
    let page = page(&man)?;
    run_folder::write(&folder.file(&man.get_filename())?, |file| file.write_all(&page))
}

fn page(man: &Man) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| Error::Job(format!("the manual page cannot be made: {error}")))?;
    Ok(page)
}
