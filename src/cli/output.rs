//! Printing: results to standard output, everything else to standard error.

use super::embedded::{Printed, keeps};
use crate::error::{Error, Result};
use std::io::{ErrorKind, Write};

/// Prints a result. A reader that has gone away (`| head`) is no failure.
pub(super) fn result(text: &str) -> Result<()> {
    if keeps(Printed::Result(text)) {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("write to", "standard output", error)),
        _ => Ok(()),
    }
}

/// Prints a result as JSON, ending with a line break.
pub(super) fn json(value: &serde_json::Value) -> Result<()> {
    result(&format!("{value:#}\n"))
}

/// Prints a line that is no result. If nobody can read it, nothing is lost.
pub(super) fn note(text: &str) {
    if keeps(Printed::Note(text)) {
        return;
    }
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
