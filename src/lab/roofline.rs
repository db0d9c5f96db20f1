//! How near each kernel comes to what its device can do at most.
//!
//! Work is counted by one rule ([`Cost`]), time is measured, and the limits come from loops that do nothing else:
//! multiply-adds in registers, a copy of as many bytes, a launch with nothing to do. What a kernel needs at least is the
//! largest of the three; its share is that time over the measured one.

mod cpu;
mod gpu;

use crate::data::Dataset;
use crate::data::batches::shuffled_order;
use crate::engine::{Batch, DeviceDescription, HistoryShape, Steps, SweepPoint, Watch};
use crate::error::Result;
use crate::gpu::Cost;
use crate::network::Architecture;
use std::sync::Arc;
use std::time::Duration;

/// One measurement lasts about this long.
const MEASUREMENT: Duration = Duration::from_millis(100);
/// Masks of a sweep.
const POINTS: usize = 8;
/// Tolerances that a history is counted at.
const TOLERANCES: usize = 3;
/// Windows that the envelope is made for.
const WINDOWS: [u32; 3] = [10, 50, 75];
/// Numbers of a long run of copies: more than any cache holds.
const LARGEST_COPY: usize = 256 << 20;

/// What is computed: the sizes that all kernels are measured at.
pub struct Work<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// What it trains on.
    pub training: &'a Arc<Dataset>,
    /// What pruned networks are evaluated on.
    pub test: &'a Arc<Dataset>,
    /// Replicas side by side.
    pub replicates: u32,
    /// Samples of a step.
    pub batch: usize,
    /// A recorded history of the focus layer.
    pub history: &'a [f32],
    /// Its sizes.
    pub shape: HistoryShape,
}

/// What something needs at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Its arithmetic.
    Arithmetic,
    /// Moving its bytes.
    Memory,
    /// Being launched at all.
    Launch,
}

impl Bound {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Memory => "memory",
            Self::Launch => "launch",
        }
    }
}

/// One kernel, or on the CPU engine one fused piece of work, at one size.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is a part of.
    pub part: &'static str,
    /// `family.kernel`; several of them joined by ` + ` where one variant fuses them.
    pub kernel: String,
    /// How often it is launched there with this size.
    pub launches: usize,
    /// Workgroups of a launch; on the CPU engine pieces of work that threads share.
    pub workgroups: usize,
    /// Time of one launch, or nothing if only the work was counted.
    pub time: Option<Duration>,
    /// Work of one launch.
    pub cost: Cost,
    /// Bytes a second of a copy that touches as many bytes.
    pub copy: f64,
}

/// All kernels of a network on one device, and the device's limits.
#[derive(Clone, Debug)]
pub struct Roofline {
    /// The device.
    pub device: DeviceDescription,
    /// Operations a second, two for each multiply-add.
    pub peak: f64,
    /// Operations a second of a bare product of matrices whose numbers must be loaded; only of GPUs.
    pub matmul: Option<f64>,
    /// What a launch takes at least; nothing on the CPU engine.
    pub launch: Duration,
    /// Bytes a second of a copy that no cache holds.
    pub copy: f64,
    /// Every kernel at every size.
    pub lines: Vec<Line>,
    /// Launches of one training step of all replicas; nothing on the CPU engine.
    pub launches_a_step: Option<f64>,
}

/// Name of the part whose lines are one training step.
pub const TRAINING: &str = "training step";

impl Roofline {
    /// The least time of a launch of `line` and what sets it.
    pub fn least(&self, line: &Line) -> (Duration, Bound) {
        let seconds = [line.cost.operations / self.peak, line.cost.bytes / line.copy, self.launch.as_secs_f64()];
        let bounds = [Bound::Arithmetic, Bound::Memory, Bound::Launch];
        let (seconds, bound) = seconds
            .into_iter()
            .zip(bounds)
            .fold((0.0, Bound::Launch), |most, next| if next.0 > most.0 { next } else { most });
        (Duration::from_secs_f64(seconds), bound)
    }

    /// What a training step of all replicas takes at least: the sum over its launches. A launch with fewer workgroups than the
    /// device has `compute_units` reaches only their share of its arithmetic.
    pub fn least_step(&self, compute_units: usize) -> Duration {
        let seconds = |line: &Line| {
            let busy = (line.workgroups as f64 / compute_units as f64).min(1.0);
            let work = (line.cost.operations / (self.peak * busy)).max(line.cost.bytes / line.copy);
            (work + self.launch.as_secs_f64()) * line.launches as f64
        };
        let steps = self.lines.iter().filter(|line| line.part == TRAINING).map(seconds);
        Duration::from_secs_f64(steps.sum())
    }
}

impl Line {
    /// Operations a second that were reached.
    pub fn operations_per_second(&self) -> Option<f64> {
        self.time.map(|time| self.cost.operations / time.as_secs_f64())
    }

    /// Bytes a second that were reached.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.time.map(|time| self.cost.bytes / time.as_secs_f64())
    }
}

/// Trains so many full steps.
fn train(batch: &mut Batch, work: &Work<'_>, steps: usize, watch: &Watch<'_>) -> Result<()> {
    let samples = work.training.samples();
    let orders: Vec<Arc<[u32]>> = (0..work.replicates).map(|id| shuffled_order(samples as u32, 1, id, 0)).collect();
    let size = work.batch.min(samples);
    let batches: Vec<_> = (0..samples / size).map(|step| step * size..(step + 1) * size).cycle().take(steps).collect();
    batch.train(&Steps { first_step: 0, orders: &orders, batches: &batches, decay: 1.0 }, watch).map(|_| ())
}
/// Masks with more and more weights pruned, all of replica 0.
fn sweep_points(weight_count: usize) -> Vec<SweepPoint> {
    (0..POINTS)
        .map(|point| SweepPoint {
            slot: 0,
            kept: (0..weight_count).map(|weight_index| weight_index % POINTS >= point).collect(),
        })
        .collect()
}

/// Bounds around the last epoch for each tolerance, and windows that the history is long enough for.
fn bounds(work: &Work<'_>) -> (Vec<f32>, Vec<f32>, Vec<u32>) {
    let columns = work.shape.columns();
    let last = &work.history[work.history.len() - columns..];
    let at = |side: f32| -> Vec<f32> {
        let tolerance = |index: usize| 0.02 * (index + 1) as f32;
        (0..TOLERANCES).flat_map(|index| last.iter().map(move |w| w + side * tolerance(index) * w.abs())).collect()
    };
    let windows = WINDOWS.into_iter().filter(|&window| window as usize <= work.shape.epochs).collect();
    (at(-1.0), at(1.0), windows)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    fn roofline(operations: f64, bytes: f64, milliseconds: u64) -> Roofline {
        let engine = Engine::cpu(Some(1)).unwrap();
        let line = Line {
            part: TRAINING,
            kernel: "a.b".into(),
            launches: 3,
            workgroups: 5,
            time: Some(Duration::from_millis(milliseconds)),
            cost: Cost { operations, bytes },
            copy: 1e9,
        };
        Roofline {
            device: engine.description().clone(),
            peak: 1e10,
            matmul: None,
            launch: Duration::from_micros(10),
            copy: 1e9,
            lines: vec![line],
            launches_a_step: None,
        }
    }

    #[test]
    fn the_largest_of_three_least_times_bounds_a_kernel() {
        let bound = |operations, bytes| {
            let roofline = roofline(operations, bytes, 1);
            roofline.least(&roofline.lines[0])
        };
        assert_eq!(bound(1e7, 1e5), (Duration::from_millis(1), Bound::Arithmetic));
        assert_eq!(bound(1e7, 1e7), (Duration::from_millis(10), Bound::Memory));
        assert_eq!(bound(1e3, 1e3), (Duration::from_micros(10), Bound::Launch));
    }

    #[test]
    fn a_step_needs_every_launch_and_few_workgroups_leave_compute_units_idle() {
        let roofline = roofline(1e7, 1e5, 1);
        assert_eq!(roofline.least_step(1), Duration::from_micros(3 * (1000 + 10)));
        assert_eq!(roofline.least_step(5), Duration::from_micros(3 * (1000 + 10)));
        assert_eq!(roofline.least_step(10), Duration::from_micros(3 * (2000 + 10)));
    }

    #[test]
    fn rates_are_work_over_time() {
        let line = &roofline(2e6, 4e6, 2).lines[0];
        assert_eq!(line.operations_per_second(), Some(1e9));
        assert_eq!(line.bytes_per_second(), Some(2e9));
    }
}
