//! A batch of replicas of one network on one device, and the kernels over a recorded history.
//!
//! Modules above say what is to be computed and never know where: [`Engine`] and [`Batch`] check what they are handed, and
//! pass it on to a back end, on the GPU or on the CPU. What does not fit a device at once is cut into waves of replicas in
//! here.

mod backend;
mod batch;
#[cfg(feature = "gpu")]
mod choice;
mod control;
mod cpu;
mod front;
#[cfg(feature = "gpu")]
mod gpu;
mod importance;
mod layers;
mod loaded;
mod polish;
mod surgeon;
mod surgeon_layer;
mod whole_inputs;

pub use crate::cpu::adam::RateSchedule;
pub use crate::cpu::stability::{Counts, Envelope, HistoryShape};
pub use crate::cpu::training_step::Replica;
pub use batch::Batch;
#[cfg(feature = "gpu")]
pub use choice::{Choice, automatic_adapter, open};
pub use control::{Control, Progress};
pub use front::Engine;
#[cfg(feature = "gpu")]
pub use gpu::{GpuBackend, Tuning, TuningChoice, TuningStore, Variant};
pub use layers::LayerOutput;
pub use loaded::DataHandle;
pub use polish::{MOST_POLISHED, Polished};
pub use surgeon::{Moments, PathStep};
pub use surgeon_layer::{ActiveRows, ChainLayer, Refit, Rows, SurgeonLayer, winners};
pub use whole_inputs::GroupStep;

use crate::error::{Error, Result};
use crate::network::{Architecture, Selection};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a device is, for manifests, reports and the configuration hash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeviceDescription {
    /// Name as the driver gives it.
    pub name: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` (a Vulkan driver without a GPU) or `CPU engine`.
    pub kind: String,
    /// `vulkan`, `metal`, `dx12`, or `cpu` for our own engine.
    pub backend: String,
    /// Driver and its version; empty for the CPU engine.
    pub driver: String,
    /// Which variants of the kernels run there; the same variant gives the same bits.
    pub variant: String,
}

/// What to train: one replica for each entry of `replica_ids`, side by side.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// The network, the same for all replicas.
    pub architecture: &'a Architecture,
    /// The training set.
    pub training: DataHandle,
    /// The most samples that a step will have; no more than the training set has are needed.
    pub batch: usize,
    /// Pixels are divided by this, a finite number above 0.
    pub pixel_scale: f64,
    /// Key of every random draw.
    pub seed: u64,
    /// The slot table: which replica each device slot holds. Two slots may hold the same replica (targets of a sweep).
    pub replica_ids: &'a [u32],
    /// The weights that a [`MaskChange`] is about.
    pub selection: &'a Selection,
}

/// Consecutive training steps for all slots.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    /// Adam steps that were taken before these.
    pub first_step: u64,
    /// For each slot the sample indices of an epoch; slots of one replica share one array.
    pub orders: &'a [Arc<[u32]>],
    /// Which part of the order each step takes; the mean loss of a step is over its own size.
    pub batches: &'a [Range<usize>],
    /// What the weights of decaying weights are multiplied by after each step, from 0 to 1; see
    /// [`MaskChange::DecaySmallest`].
    pub decay: f32,
}

/// What happens to the masks of all slots between two steps. For each slot it is told how many weights of [`Setup::selection`]
/// it is about: they are ranked together, whatever their layers, and of equals the one with the lower index comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskChange {
    /// The smallest magnitudes are pruned for good, and no weight decays any more: weight and moments of pruned weights stay
    /// exactly 0. The number includes weights that were pruned before.
    PruneSmallest,
    /// The smallest magnitudes decay from now on, and the others no longer.
    DecaySmallest,
    /// Kept weights, drawn at random, are pruned. The number includes weights that were pruned before.
    PruneRandom {
        /// Tells the draws of a replica apart.
        update: u32,
    },
    /// Pruned weights, drawn at random, are kept again: with new weights from the initial distribution and moments 0.
    RegrowRandom {
        /// Tells the draws of a replica apart.
        update: u32,
    },
}

/// Result of one step of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepLoss {
    /// Mean cross-entropy over the batch before the update.
    pub loss: f32,
    /// Samples that were classified correctly before the update.
    pub correct: u32,
}

/// How well one network classifies a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Correctly classified samples.
    pub correct: u32,
    /// Samples of the data set.
    pub samples: u32,
}

impl Evaluation {
    /// Share of samples that were classified correctly.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.correct) / f64::from(self.samples)
    }
}

/// One pruned network of a sweep: a slot with some weights of a selection set to zero.
#[derive(Clone, Debug)]
pub struct SweepPoint {
    /// Which slot's weights.
    pub slot: usize,
    /// For each weight of the selection whether it is kept.
    pub kept: Arc<[bool]>,
}

/// One network of a sweep that differs from a slot's by more than weights set to zero: a repair changes biases and the layers
/// after them too.
#[derive(Clone, Debug)]
pub struct Network {
    /// The slot whose first layers it has.
    pub slot: usize,
    /// All its parameters; those of the first layers are not looked at.
    pub parameters: Arc<[f32]>,
}

/// Time that an engine spent on other things than computing, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overheads {
    /// Compiling shaders and building pipelines.
    pub build: Duration,
    /// Copying data sets, orders and results between host and device.
    pub transfer: Duration,
}

/// How large the largest sweep of a batch will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepSize {
    /// Images of the data set.
    pub samples: usize,
    /// Points of all slots.
    pub points: usize,
    /// The first layer that points differ in, counted from the image; nothing for points of the focus layer.
    pub first_layer: Option<usize>,
}

/// Bytes of a batch on its device: the machine's memory, for the CPU engine and for drivers that run in software.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Parameters, moments and masks of all slots.
    pub state: u64,
    /// Activations, gradients and all else that is there while training and evaluating.
    pub activations: u64,
    /// What a sweep adds.
    pub sweep: u64,
}

/// How the caller follows long work and stops it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set to ask for a stop; the engine then returns [`Error::Interrupted`] at the next step boundary.
    pub stop: &'a AtomicBool,
    /// Called with the number of replica-steps, images or points finished since the last call.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Watch<'_> {
    /// Nobody asks for a stop, and nobody hears of progress.
    pub fn nobody() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self { stop: &NEVER, progress: &|_| {} }
    }

    /// The same stop, but nobody hears of progress.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self { stop: self.stop, progress: &|_| {} }
    }

    /// Fails if a stop was asked for.
    pub fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
