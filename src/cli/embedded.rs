//! Commands for a program that has this one inside, such as Python: no signals are taken, nothing is printed, and progress goes
//! to whoever calls.

use super::Arguments;
use crate::engine::Control;
use crate::error::{Error, Result};
use clap::{CommandFactory, Parser};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;

thread_local! {
    /// Who called the command that runs on this thread, and what it has printed so far.
    static CALLER: Cell<Option<Control<'static>>> = const { Cell::new(None) };
    static PRINTED: RefCell<Called> = const { RefCell::new(Called { result: String::new(), notes: Vec::new() }) };
}

/// What a command would have printed.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// On standard output.
    pub result: String,
    /// Lines on standard error.
    pub notes: Vec<String>,
}

/// What is printed where.
pub(super) enum Printed<'a> {
    /// On standard output.
    Result(&'a str),
    /// On standard error.
    Note(&'a str),
}

/// Runs a command with these arguments, the first of which is the program's name, on this thread.
///
/// Fails as the command does, and with [`Error::Usage`] for arguments that it does not know.
pub fn call(arguments: impl IntoIterator<Item = OsString>, caller: Control<'static>) -> Result<Called> {
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| {
        let text = error.to_string();
        let sentence = text.split("\n\n").next().unwrap_or_default();
        Error::Usage(sentence.trim_start_matches("error: ").into())
    })?;
    CALLER.set(Some(caller));
    let _end = End;
    arguments.command.run()?;
    Ok(PRINTED.take())
}

/// Takes the caller away again, however the command ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        CALLER.set(None);
        PRINTED.take();
    }
}

/// Names of the options that a command has, and whether each takes a value.
pub fn options_of(command: &str) -> Vec<(String, bool)> {
    let all = Arguments::command();
    let Some(command) = all.find_subcommand(command) else { return Vec::new() };
    let option = |argument: &clap::Arg| Some((argument.get_long()?.to_string(), argument.get_action().takes_values()));
    command.get_arguments().filter_map(option).collect()
}

/// Who called the command that runs on this thread; nobody, where the process is the command.
pub(super) fn caller() -> Option<Control<'static>> {
    CALLER.get()
}

/// Keeps what a command prints for whoever called it; returns whether there is anybody.
pub(super) fn keeps(printed: Printed<'_>) -> bool {
    let is_called = CALLER.get().is_some();
    if is_called {
        PRINTED.with_borrow_mut(|kept| match printed {
            Printed::Result(text) => kept.result += text,
            Printed::Note(text) => kept.notes.push(text.into()),
        });
    }
    is_called
}
