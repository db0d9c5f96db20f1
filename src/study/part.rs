//! A part of a comparison: some layers of trained networks, with what is known of them.

use super::calibrated::CalibratedNetworks;
use super::configuration::Configuration;
pub(super) use super::recorded::Base;
use super::ways::Origin;
use crate::engine::{Engine, Overheads};
use crate::network::{Architecture, Selection};
use crate::pruning::Method;
use crate::pruning::Scope;
use crate::pruning::operating_points::Numbers;
use crate::stability::{History, Stability, WindowedEnvelope};
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
