//! How well a network classifies images, and how long that takes.

use super::Control;
use super::stored_network::StoredNetwork;
use crate::data::Dataset;
use crate::engine::{Engine, Evaluation, Watch};
use crate::error::Result;
use std::sync::Arc;
use std::time::Instant;

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

impl StoredNetwork {
    /// Classifies images as [`Self::fit`] gives them, several times.
    ///
    /// Fails as the calls of the engine do.
    pub fn classify(&self, engine: &mut Engine, data: &Arc<Dataset>, control: Control<'_>) -> Result<Classified> {
        let mut on_device = self.on_device(engine, data)?;
        let features = if on_device.is_none() { self.input.features(&data.images) } else { Vec::new() };
        control.stage("classify the test images", 1 + REPETITIONS as u64, "times", |watch| {
            let mut once = || {
                let started = Instant::now();
                let silent = Watch { progress: &|_| {}, ..*watch };
                let evaluation = match &mut on_device {
                    Some((batch, handle)) => batch.evaluate(*handle, &silent)?.remove(0),
                    None => {
                        let StoredNetwork { architecture, parameters, .. } = self;
                        engine.evaluate_features(architecture, parameters, &features, &data.labels, &silent)?
                    }
                };
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
