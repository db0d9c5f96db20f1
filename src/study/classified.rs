//! How well a network classifies images, and how long that takes.

use super::Control;
use super::stored_network::StoredNetwork;
use crate::data::Dataset;
use crate::engine::{Batch, DataHandle, Engine, Evaluation, Replica, Setup, Watch};
use crate::error::Result;
use crate::network::Selection;
use std::sync::Arc;
use std::time::Instant;

/// Samples that a step would have; none is taken.
const BATCH: usize = 64;
/// How often the time is taken, after a first time that is not.
const REPETITIONS: usize = 5;

/// What a network made of images.
#[derive(Clone, Copy, Debug)]
pub struct Classified {
    /// How many it classified correctly.
    pub evaluation: Evaluation,
    /// Wall time of classifying all: median of the repetitions, with network and images where the device reads them.
    pub seconds: f64,
    /// How often the time was taken.
    pub repetitions: usize,
}

/// A network and images where they are evaluated.
pub(super) struct Ready<'a> {
    network: &'a StoredNetwork,
    data: &'a Arc<Dataset>,
    on_device: Option<(Batch, DataHandle)>,
}

impl<'a> Ready<'a> {
    /// For images as [`StoredNetwork::fit`] gives them.
    ///
    /// Fails as the calls of the engine do.
    pub(super) fn new(network: &'a StoredNetwork, engine: &mut Engine, data: &'a Arc<Dataset>) -> Result<Self> {
        let StoredNetwork { architecture, parameters, input, .. } = network;
        // Engines divide pixels and do no more, and know networks of two hidden layers or more.
        if !input.is_plain() || architecture.hidden.len() < 2 {
            return Ok(Self { network, data, on_device: None });
        }
        let handle = engine.load(data)?;
        let mut batch = engine.begin(&Setup {
            architecture,
            training: handle,
            batch: BATCH,
            pixel_scale: input.divisor,
            seed: 0,
            replica_ids: &[0],
            selection: &Selection::focus(architecture),
        })?;
        batch.restore(&[Replica::new(parameters.clone())])?;
        Ok(Self { network, data, on_device: Some((batch, handle)) })
    }

    /// Classifies the images once.
    ///
    /// Fails as the calls of the engine do.
    pub(super) fn evaluate(&mut self, engine: &Engine, watch: &Watch<'_>) -> Result<Evaluation> {
        let Self { network: StoredNetwork { architecture, parameters, input, .. }, data, on_device } = self;
        match on_device {
            Some((batch, handle)) => Ok(batch.evaluate(*handle, watch)?.remove(0)),
            None => {
                let features = input.features(&data.images);
                engine.evaluate_features(architecture, parameters, &features, &data.labels, watch)
            }
        }
    }
}

impl StoredNetwork {
    /// Classifies images as [`Self::fit`] gives them, several times.
    ///
    /// Fails as the calls of the engine do.
    pub fn classify(&self, engine: &mut Engine, data: &Arc<Dataset>, control: Control<'_>) -> Result<Classified> {
        let mut ready = Ready::new(self, engine, data)?;
        control.stage("classify the test images", 1 + REPETITIONS as u64, "times", |watch| {
            let mut once = || {
                let started = Instant::now();
                let evaluation = ready.evaluate(engine, &Watch { progress: &|_| {}, ..*watch })?;
                (watch.progress)(1);
                Ok((evaluation, started.elapsed().as_secs_f64()))
            };
            let (evaluation, _) = once()?;
            let mut seconds = (0..REPETITIONS).map(|_| Ok(once()?.1)).collect::<Result<Vec<f64>>>()?;
            seconds.sort_by(f64::total_cmp);
            Ok(Classified { evaluation, seconds: seconds[REPETITIONS / 2], repetitions: REPETITIONS })
        })
    }
}
