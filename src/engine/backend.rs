//! What the front asks of a device. Arguments have been checked when they come here, so a back end states no check of its
//! own; it fails only where the device does, or where the work does not fit it.

use super::loaded::Loaded;
use super::surgeon::{PathStep, Refit, SurgeonLayer};
use super::{
    Counts, DeviceDescription, Envelope, Evaluation, Footprint, HistoryShape, MaskChange, Overheads, Replica, Setup,
    StepLoss, Steps, SweepSize, Watch,
};
use crate::data::Dataset;
use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use std::ops::Range;
use std::sync::Arc;

/// A device behind [`super::Engine`], whose methods say what these do.
pub(super) trait Backend: Send {
    fn description(&self) -> &DeviceDescription;

    /// Takes in the data set of the next place, counted from 0.
    fn load(&mut self, set: &Arc<Dataset>) -> Result<()>;

    /// `training` is what the handle in `setup` stands for; a batch is not larger than it.
    fn begin(&mut self, setup: &Setup<'_>, training: &Loaded) -> Result<Box<dyn BackendBatch>>;

    fn footprint(&self, setup: &Setup<'_>, training: &Loaded, sweep: SweepSize) -> Result<Footprint>;

    /// The history is not empty.
    fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>>;

    /// Neither history nor bounds are empty.
    fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts>;

    /// Neither history nor windows are empty.
    fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope>;

    fn paths(
        &mut self,
        layer: &SurgeonLayer<'_>,
        ratios: Option<&[f32]>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<PathStep<f32>>>>;

    /// Each of `cuts` keeps no more than the layer has.
    fn refit(&mut self, layer: &SurgeonLayer<'_>, cuts: &[&[bool]], watch: &Watch<'_>) -> Result<Vec<Refit>>;

    /// Runs work of the host that uses several threads, on the threads that the user gives the engine.
    fn on_threads(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self) -> Option<&Arc<Gpu>> {
        None
    }

    fn overheads(&self) -> Overheads {
        Overheads::default()
    }

    #[cfg(feature = "gpu")]
    fn tuning(&self) -> Option<&super::Tuning> {
        None
    }
}

/// A [`super::SweepPoint`] as it goes to a device.
pub(super) struct PackedPoint {
    pub(super) slot: usize,
    /// See [`crate::cpu::focus_sweep::pack`].
    pub(super) mask: Vec<u32>,
}

/// Replicas behind [`super::Batch`], whose methods say what these do.
pub(super) trait BackendBatch {
    fn train(&mut self, steps: &Steps<'_>, watch: &Watch<'_>) -> Result<Vec<StepLoss>>;

    fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()>;

    fn focus_weights(&mut self) -> Result<Vec<f32>>;

    fn set_focus_weights(&mut self, weights: &[f32]) -> Result<()>;

    fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()>;

    fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()>;

    fn logits(&mut self, data: &Loaded, samples: Range<usize>) -> Result<Vec<f32>>;

    fn evaluate(&mut self, data: &Loaded, watch: &Watch<'_>) -> Result<Vec<Evaluation>>;

    fn sweep(&mut self, data: &Loaded, points: &[PackedPoint], watch: &Watch<'_>) -> Result<Vec<Evaluation>>;
}
