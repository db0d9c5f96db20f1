//! A part of a comparison: some layers of trained networks, with what is known of them. What one more operating point costs is
//! measured by the work of each method again and again, in blocks in which every method has its turn, so that whatever else the
//! machine does meets all of them.

use crate::clock::seconds;
use crate::engine::{Batch, DataHandle, Engine, Overheads, Watch};
use crate::error::Result;
use crate::network::{Architecture, Selection};
use crate::pruning::calibrated::CalibratedNetworks;
use crate::pruning::operating_points::{Numbers, of_method};
use crate::pruning::{Method, Scope, sweep};
use crate::results::accuracy::are_several;
use crate::run::configuration::Configuration;
use crate::run::recorded::Base;
use crate::run::ways::Origin;
use crate::stability::{History, Stability, WindowedEnvelope};
use crate::training::Trained;
use std::time::Duration;

/// Numbers of a recorded history, and what making them took.
pub(super) struct Counted {
    pub(super) stability: Stability,
    pub(super) envelope: WindowedEnvelope,
    pub(super) sort_s: f64,
    pub(super) count_s: f64,
    pub(super) envelope_s: f64,
}

/// Some layers, with what was recorded and counted of them.
pub(super) struct CountedPart {
    pub(super) layers: String,
    pub(super) selection: Selection,
    pub(super) history: History,
    pub(super) counted: Counted,
}

/// Some layers of trained networks, and what is known of their weights.
pub(super) struct Part<'a> {
    /// What `--layers` calls them.
    pub(super) layers: &'a str,
    /// Their weights.
    pub(super) selection: &'a Selection,
    /// Among which of them those that go are chosen.
    pub(super) scope: Scope,
    /// What was recorded of them.
    pub(super) history: &'a History,
    /// What was counted.
    pub(super) counted: &'a Counted,
}

impl<'a> Part<'a> {
    /// The numbers that criteria choose by.
    pub(super) fn numbers(&self, seed: u64, sparsities: &'a [f64]) -> Numbers<'a> {
        let Counted { stability, envelope, .. } = self.counted;
        Numbers { history: self.history, stability, envelope, seed, sparsities }
    }

    /// Weights of a replica that no longer moved.
    pub(super) fn frozen(&self, replica: usize) -> usize {
        let frozen: &WindowedEnvelope = &self.counted.envelope;
        frozen.frozen_of_replica(replica).iter().filter(|&&frozen| frozen).count()
    }
}

/// What a method of a part has cost: all replicas together.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// Points of all replicas, and how many of them differ.
    pub(super) points: usize,
    pub(super) distinct: usize,
    /// Seconds before the first point: what calibrates, if anything does.
    pub(super) calibrate_s: Option<f64>,
    /// What making and evaluating all points took, building and copying included.
    pub(super) once: Duration,
    /// Building and copying meanwhile.
    pub(super) overheads: Overheads,
}

/// The networks of all replicas with what calibration images say of them.
pub(super) struct Calibrated<'a> {
    pub(super) base: Base,
    pub(super) networks: CalibratedNetworks<'a>,
    /// All parameters of each replica.
    pub(super) parameters: &'a [Vec<f32>],
    /// The images as networks read them.
    pub(super) features: &'a [f32],
    /// Seconds that this took.
    pub(super) seconds: f64,
}

impl<'a> Calibrated<'a> {
    /// What the ways of a surgeon on these networks follow from.
    pub(super) fn origin<'b>(
        &'b self,
        architecture: &'b Architecture,
        selection: &'b Selection,
        configuration: &Configuration,
        engine: &'b Engine,
    ) -> Origin<'b> {
        let variant = &engine.description().variant;
        let Self { parameters, features, .. } = *self;
        Origin { architecture, selection, parameters, features, settings: configuration.surgery(), variant }
    }
}

/// What criteria that calibration images help are asked about some layers.
#[derive(Clone, Copy)]
pub(super) struct Asked<'b> {
    pub(super) part: &'b Part<'b>,
    pub(super) numbers: &'b Numbers<'b>,
    pub(super) calibrated: &'b Calibrated<'b>,
    /// What chooses.
    pub(super) methods: &'b [Method],
    /// How many weights go, at each point.
    pub(super) removed: &'b [usize],
    /// What was spent on building and copying in training.
    pub(super) training_overheads: Overheads,
}

/// Does the work of all points of a method of a comparison `C` once more, and says how many seconds that took.
pub(super) type Again<'p, C> = Box<dyn FnMut(&mut C, &mut Batch) -> Result<f64> + 'p>;

/// A method whose work is repeated.
pub(super) struct Repeated<'p, C> {
    /// The place of its line among what was measured.
    pub(super) place: usize,
    /// Points that differ.
    pub(super) distinct: usize,
    /// What the first turn took.
    pub(super) once: Duration,
    pub(super) again: Again<'p, C>,
}

/// All methods of a part whose work is repeated.
pub(super) type Blocks<'p, C> = Vec<Repeated<'p, C>>;

/// The networks that methods of a part prune and evaluate on the test set, and the methods so far.
pub(super) struct Work<'w, 'p, C> {
    pub(super) trained: &'w mut Trained,
    pub(super) test: DataHandle,
    pub(super) blocks: Blocks<'p, C>,
}

/// What a point by magnitude stability costs, asked again and again while exponential decay trains: so each of its points is
/// compared with the same machine at the same time.
pub(super) struct Pace<'a> {
    batch: Batch,
    test: DataHandle,
    part: &'a CountedPart,
    seed: u64,
}

impl<'a> Pace<'a> {
    /// Of trained networks, on the layer among `parts` that is pruned by itself; nothing if there is none.
    pub(super) fn new(batch: Batch, test: DataHandle, parts: &'a [CountedPart], seed: u64) -> Option<Self> {
        let part = parts.iter().find(|part| !are_several(&part.layers))?;
        Some(Self { batch, test, part, seed })
    }

    /// Milliseconds of making and evaluating one more point of one replica.
    pub(super) fn milliseconds(&mut self, silent: &Watch<'_>) -> Result<f64> {
        let CountedPart { selection, history, counted, .. } = self.part;
        let Counted { stability, envelope, .. } = counted;
        let numbers = Numbers { history, stability, envelope, seed: self.seed, sparsities: &[] };
        let (swept, seconds) = seconds(|| {
            let points = of_method(Method::Stability, false, &numbers);
            sweep::evaluate(&mut self.batch, self.test, selection, &points, silent)
        })?;
        Ok(seconds * 1e3 / swept.distinct.max(1) as f64)
    }
}
