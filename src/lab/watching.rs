//! Which launches there are, and how long they take.

use crate::error::Result;
use crate::gpu::{Command, Gpu, Launch, Observer, Recorder};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most launches of one measurement.
const MOST_REPETITIONS: u32 = 200;

/// What the launches of one kernel took on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaunchTimes {
    /// Launches that were timed.
    pub launches: u64,
    /// Their time together.
    pub time: Duration,
    /// The time of the slowest.
    pub slowest: Duration,
}

#[derive(Default)]
struct Profile(Mutex<BTreeMap<&'static str, LaunchTimes>>);

impl Observer for Profile {
    fn times_launches(&self) -> bool {
        true
    }

    fn submitted(&self, _: &str, commands: &[Command]) -> Result<()> {
        for launch in commands.iter().filter_map(Command::launch) {
            if let Some(time) = launch.time {
                let mut times = self.0.lock();
                let times = times.entry(launch.bound.name()).or_default();
                times.launches += 1;
                times.time += time;
                times.slowest = times.slowest.max(time);
            }
        }
        Ok(())
    }
}

/// What each kernel takes while `work` runs, by its name: nothing on a device without usable timestamps. Every launch has a
/// pass of its own: slower than without, and the same bits.
///
/// Fails as `work` does.
pub fn profile<R>(gpu: &Gpu, work: impl FnOnce() -> Result<R>) -> Result<(R, BTreeMap<&'static str, LaunchTimes>)> {
    let profile = Arc::new(Profile::default());
    let result = gpu.observed(profile.clone(), work)?;
    let times = std::mem::take(&mut *profile.0.lock());
    Ok((result, times))
}

#[derive(Default)]
struct Launches(Mutex<Vec<(String, Launch)>>);

impl Observer for Launches {
    fn submitted(&self, label: &str, commands: &[Command]) -> Result<()> {
        let launches = commands.iter().filter_map(Command::launch);
        self.0.lock().extend(launches.map(|launch| (label.to_string(), launch.clone())));
        Ok(())
    }
}

/// What is launched while `work` runs, in order, with the labels of the recordings.
///
/// Fails as `work` does.
pub fn launches<R>(gpu: &Gpu, work: impl FnOnce() -> Result<R>) -> Result<(R, Vec<(String, Launch)>)> {
    let launches = Arc::new(Launches::default());
    let result = gpu.observed(launches.clone(), work)?;
    let list = std::mem::take(&mut *launches.0.lock());
    Ok((result, list))
}

/// How long a launch takes: it is repeated in one recording for about `time`, after one launch as warm-up. Arrays keep what
/// the last of them wrote. By the clock where the device has no usable timestamps.
///
/// Fails as [`Recorder::submit`] does.
pub fn measure(gpu: &Gpu, launch: &Launch, time: Duration) -> Result<Duration> {
    let run = |repetitions: u32| -> Result<Duration> {
        let mut recorder = Recorder::timed(gpu, launch.bound.name());
        for _ in 0..repetitions {
            recorder.dispatch(&launch.bound, launch.workgroups, launch.record)?;
        }
        let start = Instant::now();
        let on_device = recorder.submit_timed()?;
        Ok(on_device.unwrap_or_else(|| start.elapsed()) / repetitions)
    };
    let once = run(1)?.max(Duration::from_micros(1));
    run(((time.as_secs_f64() / once.as_secs_f64()) as u32).clamp(1, MOST_REPETITIONS))
}
