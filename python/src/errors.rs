//! Errors of the library as exceptions of `holdfast/_errors.py`, with their sentences.

use holdfast::error::Error;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

/// The exception that an error of the library is.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let class = match error {
        Error::Usage(_) | Error::Shape(_) => "UsageError",
        Error::NoDevice(_) => "DeviceError",
        Error::SelfCheck(_) => "SelfCheckError",
        Error::Data(_) => "DataError",
        Error::DeviceLost(_) => "DeviceLostError",
        Error::OutOfMemory(_) => "OutOfMemoryError",
        Error::Io { .. } => "FileError",
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
        _ => "Error",
    };
    of_class(py, class, &in_python_words(&error.to_string()))
}

/// An exception of `holdfast/_errors.py`.
pub(crate) fn of_class(py: Python<'_>, class: &str, message: &str) -> PyErr {
    let made = || py.import("holdfast._errors")?.getattr(class)?.call1((message,));
    match made() {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}

/// What a caller can mend, such as a shape that does not fit.
pub(crate) fn usage(py: Python<'_>, message: &str) -> PyErr {
    of_class(py, "UsageError", message)
}

/// A sentence about the command's options, as one about arguments: `--ed-epochs` is `ed_epochs`.
pub(crate) fn in_python_words(sentence: &str) -> String {
    let mut words = sentence.split("--");
    let mut text: String = words.next().unwrap_or_default().into();
    for word in words {
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(word.len());
        let (name, rest) = word.split_at(end);
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            text += &name.replace('-', "_");
        } else {
            text += "--";
            text += name;
        }
        text += rest;
    }
    text
}
