//! What the front asks of a device. Arguments have been checked when they come here, so a back end states no check of its
//! own; it fails only where the device does, or where the work does not fit it.

use super::importance;
use super::loaded::Loaded;
use super::surgeon::{self, Moments, PathStep};
use super::surgeon_layer::{ChainLayer, Refit, SurgeonLayer};
use super::{
    Counts, DeviceDescription, Envelope, Evaluation, Footprint, HistoryShape, MaskChange, Overheads, Replica, Setup,
    StepLoss, Steps, SweepSize, Watch,
};
use crate::data::Dataset;
use crate::error::Result;
#[cfg(feature = "gpu")]
use crate::gpu::Gpu;
use crate::network::{Architecture, Selection};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A device behind [`super::Engine`], whose methods say what these do.
pub(super) trait Backend: Send {
    fn description(&self) -> &DeviceDescription;

    /// Takes in the data set of the next place, counted from 0.
    fn load(&mut self, set: &Arc<Dataset>) -> Result<()>;

    /// `training` is what the handle in `setup` stands for; a batch is not larger than it.
    fn begin(&mut self, setup: &Setup<'_>, training: &Loaded) -> Result<Box<dyn BackendBatch>>;

    fn footprint(&self, setup: &Setup<'_>, training: &Loaded, sweep: SweepSize) -> Result<Footprint>;

    /// Ranks, counts and envelopes end with [`crate::error::Error::Interrupted`] once `stop` is set.
    fn stop_by(&mut self, _: Arc<AtomicBool>) {}

    /// The history is not empty.
    fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>>;

    /// Neither history nor bounds are empty.
    fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts>;

    /// Neither history nor windows are empty.
    fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope>;

    /// The threads that the user gives the engine for work of the host; without, those of the system.
    fn pool(&self) -> Option<&rayon::ThreadPool> {
        None
    }

    // The surgeon is the host's, unless a device has one of its own.

    fn moments(&self, layer: &SurgeonLayer<'_>, watch: &Watch<'_>) -> Result<Moments> {
        on_threads(self.pool(), || surgeon::moments(layer, watch))
    }

    fn paths(
        &self,
        layer: &SurgeonLayer<'_>,
        known: Option<&Moments>,
        ratios: Option<&[f32]>,
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<PathStep<f32>>>> {
        on_threads(self.pool(), || surgeon::paths(layer, known, ratios, watch))
    }

    /// Each of `cuts` keeps no more than the layer has.
    fn refit(
        &self,
        layer: &SurgeonLayer<'_>,
        known: Option<&Moments>,
        cuts: &[&[bool]],
        watch: &Watch<'_>,
    ) -> Result<Vec<Refit>> {
        on_threads(self.pool(), || surgeon::refit(layer, known, cuts, watch))
    }

    /// The layers after the first of a chain, of each cut what the first was solved for.
    fn refit_behind(
        &self,
        layers: &[ChainLayer<'_>],
        first: Vec<Refit>,
        cuts: &[Vec<&[bool]>],
        watch: &Watch<'_>,
    ) -> Result<Vec<Vec<Refit>>> {
        on_threads(self.pool(), || surgeon::refit_behind(layers, first, cuts, watch))
    }

    /// There is an image, and the lengths fit.
    fn importance(&self, architecture: &Architecture, parameters: &[f32], images: &[f32]) -> Result<Vec<Vec<f64>>> {
        Ok(on_threads(self.pool(), || importance::on_host(architecture, parameters, images)))
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

/// Runs work of the host on these threads.
pub(super) fn on_threads<R: Send>(pool: Option<&rayon::ThreadPool>, work: impl FnOnce() -> R + Send) -> R {
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// A [`super::SweepPoint`] of the focus layer as it goes to a device.
pub(super) struct PackedPoint {
    pub(super) slot: usize,
    /// See [`crate::cpu::focus_sweep::pack`].
    pub(super) mask: Vec<u32>,
}

/// A network of a sweep over any layers.
pub(super) struct PrunedNetwork {
    pub(super) slot: usize,
    pub(super) content: Content,
}

/// How a network differs from its slot's.
pub(super) enum Content {
    /// A bit for each parameter: those that are not kept are 0. See [`crate::cpu::mask::pack`].
    Kept(Vec<u32>),
    /// All parameters are its own.
    Parameters(Arc<[f32]>),
}

/// What replicas behind [`super::Batch`] have become; its methods say what these do.
pub(super) trait BackendState {
    fn accumulate(&mut self) -> Result<()>;

    fn weights(&mut self, selection: &Selection) -> Result<Vec<f32>>;

    fn set_weights(&mut self, selection: &Selection, weights: &[f32]) -> Result<()>;

    fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()>;

    fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()>;
}

/// What evaluates networks on the replicas behind [`super::Batch`].
pub(super) trait BackendNetworks {
    /// Networks that have the layers before `first_layer` of their slots.
    fn sweep_networks(
        &mut self,
        data: &Loaded,
        first_layer: usize,
        networks: &[PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>>;
}

/// Replicas behind [`super::Batch`], whose methods say what these do.
pub(super) trait BackendBatch: BackendState + BackendNetworks {
    /// `rates` has Adam's bias-corrected learning rate of each step.
    fn train(&mut self, steps: &Steps<'_>, rates: &[f32], watch: &Watch<'_>) -> Result<Vec<StepLoss>>;

    fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()>;

    fn logits(&mut self, data: &Loaded, samples: Range<usize>) -> Result<Vec<f32>>;

    fn evaluate(&mut self, data: &Loaded, watch: &Watch<'_>) -> Result<Vec<Evaluation>>;

    /// Points of the focus layer.
    fn sweep_focus(&mut self, data: &Loaded, points: &[PackedPoint], watch: &Watch<'_>) -> Result<Vec<Evaluation>>;
}
