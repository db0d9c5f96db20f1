//! A launch that was listed, and can be repeated to be measured.

use super::{BoundKernel, Cost, Gpu, Recorder};
use crate::error::Result;
use std::time::{Duration, Instant};

/// The most launches of one measurement.
const MOST_REPETITIONS: u32 = 200;

/// One launch on a list: it can be repeated.
#[derive(Clone)]
pub struct Launch {
    pub(super) bound: BoundKernel,
    pub(super) workgroups: [u32; 3],
    pub(super) record: Option<u32>,
}

impl Launch {
    /// `family.kernel`.
    pub fn kernel(&self) -> &'static str {
        self.bound.shader.name
    }

    /// Workgroups in each dimension.
    pub fn workgroups(&self) -> [u32; 3] {
        self.workgroups
    }

    /// What the wrapper counted.
    pub fn cost(&self) -> Cost {
        self.bound.cost
    }

    /// How long it takes: it is repeated in one recording for about `time`, after one launch as warm-up. Arrays keep what
    /// the last of them wrote.
    ///
    /// Fails as a recording does, see [`Recorder`].
    pub fn measure(&self, gpu: &Gpu, time: Duration) -> Result<Duration> {
        let run = |repetitions: u32| -> Result<Duration> {
            let mut recorder = Recorder::timed(gpu, self.bound.shader.name)?;
            for _ in 0..repetitions {
                recorder.dispatch(&self.bound, self.workgroups, self.record)?;
            }
            let start = Instant::now();
            let on_device = recorder.submit_timed()?;
            Ok(on_device.unwrap_or_else(|| start.elapsed()) / repetitions)
        };
        let once = run(1)?.max(Duration::from_micros(1));
        run(((time.as_secs_f64() / once.as_secs_f64()) as u32).clamp(1, MOST_REPETITIONS))
    }
}
