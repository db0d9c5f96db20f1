//! Who is told what a device is asked.

use super::kernel::BoundKernel;
use crate::error::Result;
use std::time::Duration;

/// Hears what a device is asked while [`super::Gpu::observed`] runs, in the order in which the device gets it. Arrays have
/// numbers. What an observer fails with ends the call that it is told of.
pub trait Observer: Send + Sync {
    /// Whether each launch runs in a pass of its own, between two timestamps: slower, and the same bits.
    fn times_launches(&self) -> bool {
        false
    }

    /// Whether launches are left out, since [`Self::read`] gives what comes of them.
    fn answers(&self) -> bool {
        false
    }

    /// An array of so many bytes was made, all of them 0.
    fn created(&self, _array: u64, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Bytes were uploaded to an array, from byte `place` on.
    fn written(&self, _array: u64, _place: u64, _bytes: &[u8]) -> Result<()> {
        Ok(())
    }

    /// A recording was submitted.
    fn submitted(&self, _label: &str, _commands: &[Command]) -> Result<()> {
        Ok(())
    }

    /// An array was read back; the caller gets what this leaves in `bytes`.
    fn read(&self, _array: u64, _bytes: &mut [u8]) -> Result<()> {
        Ok(())
    }
}

/// A part of a recording.
pub enum Command {
    /// A launch.
    Launch(Launch),
    /// A copy of bytes from one array to another.
    Copy {
        /// The array that is read.
        from: u64,
        /// The first byte there.
        first: u64,
        /// The array that is written.
        to: u64,
        /// The first byte there.
        place: u64,
        /// How many bytes.
        length: u64,
    },
}

/// One launch, which can be recorded again.
#[derive(Clone)]
pub struct Launch {
    /// The kernel with its arrays.
    pub bound: BoundKernel,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
    /// The record that it reads, if its kernel reads one.
    pub record: Option<u32>,
    /// How long it ran, if an observer asked and the device has usable timestamps.
    pub time: Option<Duration>,
}

impl Command {
    /// The launch, if it is one.
    pub fn launch(&self) -> Option<&Launch> {
        match self {
            Self::Launch(launch) => Some(launch),
            Self::Copy { .. } => None,
        }
    }
}
