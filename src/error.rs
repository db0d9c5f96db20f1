//! The one error type: every failure that a caller can meet, with the exit code it ends the program with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. Messages say the cause, what was found, and what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Impossible or contradictory settings, or an output folder that cannot be used for this run (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// The asked-for device does not exist, or cannot run the kernels (exit code 3).
    #[error("{0}")]
    NoDevice(String),
    /// A device computes something else than its twin (exit code 4).
    #[error("{0}")]
    SelfCheck(String),
    /// An input file is missing, unreadable or malformed (exit code 5).
    #[error("{0}")]
    Data(String),
    /// The device went away in the middle of the work (exit code 6).
    #[error("the device was lost: {0}; run the same command again")]
    DeviceLost(String),
    /// The device has too little memory (exit code 1).
    #[error("out of device memory: {0}; use fewer --replicates or a smaller --batch, or --device cpu")]
    OutOfMemory(String),
    /// Arrays handed to a kernel or an engine do not fit together (exit code 1).
    #[error("{0}")]
    Shape(String),
    /// A file could not be written or read for a reason outside its content (exit code 1).
    #[error("cannot {action} {}: {source}; {}", path.display(), what_to_do(source.kind()))]
    Io {
        /// What was tried, e.g. `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The job could not be finished (exit code 1).
    #[error("{0}")]
    Job(String),
    /// The user asked to stop (exit code 130; the command tells SIGTERM by 143 and SIGHUP by 129).
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An input/output failure on `path` while trying to `action` it.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.as_ref().to_path_buf(), source }
    }

    /// The process exit code that this error ends the program with (`docs/guide/commands.md`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NoDevice(_) => 3,
            Self::SelfCheck(_) => 4,
            Self::Data(_) => 5,
            Self::DeviceLost(_) => 6,
            Self::Interrupted => 130,
            Self::OutOfMemory(_) | Self::Shape(_) | Self::Io { .. } | Self::Job(_) => 1,
        }
    }
}

/// Advice for a failure that the operating system reported.
fn what_to_do(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space there or choose a folder on another disk, then run the same command again"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "choose a folder that you may write to, or change its permissions"
        }
        ErrorKind::NotFound => "check the path",
        ErrorKind::Unsupported => "the file system there lacks this; choose a folder on another one",
        _ => "check the disk and the path, then run the same command again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_and_output_failures_say_what_to_do() {
        for (kind, words) in [
            (ErrorKind::StorageFull, "free some space"),
            (ErrorKind::ReadOnlyFilesystem, "may write to"),
            (ErrorKind::PermissionDenied, "may write to"),
        ] {
            let error = Error::io("write", "runs/metrics.csv", kind.into());
            let message = error.to_string();
            assert!(message.starts_with("cannot write runs/metrics.csv: ") && message.contains(words), "{message}");
            assert_eq!(error.exit_code(), 1);
        }
    }
}
