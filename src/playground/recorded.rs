//! The run that the page shows before it has one of its own, and where there is no WebGPU: made here, by the CPU engine.

use super::packed;
use super::subject::{EPOCHS, SEED, Subject, TOLERANCES, WINDOWS};
use crate::engine::{Engine, HistoryShape, Watch};
use crate::error::Result;
use crate::pruning::masks::removed_weights;
use crate::pruning::operating_points::{Numbers, OperatingPoint, of_method};
use crate::pruning::{Method, sweep};
use crate::stability::{History, Reading, Stability, WindowedEnvelope};
use serde::Serialize;

/// What the page's own run would come to. Arrays are as [`packed`] leaves them.
#[derive(Serialize)]
pub(super) struct Recorded {
    /// The engine.
    device: String,
    /// Mean cross-entropy of each step.
    losses: String,
    /// Correctly classified test images after each epoch.
    correct: Vec<u32>,
    /// All parameters at the end.
    parameters: String,
    /// `[epoch, weight]`
    history: String,
    /// `[epoch, weight]`
    rank: String,
    /// `[tolerance, weight]`
    stability: String,
    /// `[tolerance, epoch]`
    stable_weights: String,
    /// `[window, weight]`
    minimum: String,
    maximum: String,
    smallest_magnitude: String,
    curves: Vec<Curve>,
}

/// Correctly classified test images by weights removed, for one criterion with one setting.
#[derive(Serialize)]
struct Curve {
    method: Method,
    /// Index of the tolerance or of the window; 0 where there is none.
    setting: usize,
    removed: Vec<usize>,
    correct: Vec<u32>,
}

/// Shares of the layer's weights that are removed: 0 to 100 %.
fn sparsities() -> Vec<f64> {
    (0..=100).map(|percent| f64::from(percent) / 100.0).collect()
}

impl Recorded {
    /// Trains, counts and prunes on the CPU engine.
    ///
    /// Fails as the engine does.
    pub(super) fn new(engine: &mut Engine, subject: &Subject, watch: &Watch<'_>) -> Result<Self> {
        let mut begun = subject.begin(engine)?;
        let (mut losses, mut correct, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for epoch in 0..EPOCHS {
            losses.extend(subject.train(&mut begun.batch, epoch, watch)?.iter().map(|step| step.loss));
            weights.extend(begun.batch.weights(&subject.selection)?);
            correct.extend(begun.batch.evaluate(begun.test, watch)?.iter().map(|found| found.correct));
        }
        let weight_count = subject.selection.weights();
        let history = History::new(HistoryShape { epochs: EPOCHS, replicas: 1, weight_count }, weights)?;
        let rank = engine.rank(history.shape(), history.weights())?;
        let stability = Stability::count(engine, &history, &TOLERANCES, Reading::default())?;
        let envelope = WindowedEnvelope::new(engine, &history, &WINDOWS)?;
        let sparsities = sparsities();
        let numbers = Numbers {
            history: &history,
            stability: &stability,
            envelope: &envelope,
            seed: SEED,
            sparsities: &sparsities,
        };
        let mut curves = Vec::new();
        for (method, settings) in [
            (Method::Stability, TOLERANCES.len()),
            (Method::Settle, WINDOWS.len()),
            (Method::Hold, WINDOWS.len()),
            (Method::Magnitude, 1),
            (Method::Random, 1),
        ] {
            let mut points = of_method(method, true, &numbers);
            if settings == 1 {
                // Controls are asked for what magnitude stability removes besides.
                let asked = |removed| sparsities.iter().any(|&share| removed_weights(share, weight_count) == removed);
                points.retain(|point| asked(removed(point)));
            }
            let swept = sweep::evaluate(&mut begun.batch, begun.test, &subject.selection, &points, watch)?;
            let each = points.len() / settings;
            for (setting, (points, found)) in points.chunks(each).zip(swept.evaluations.chunks(each)).enumerate() {
                let correct = found.iter().map(|found| found.correct).collect();
                curves.push(Curve { method, setting, removed: points.iter().map(removed).collect(), correct });
            }
        }
        let parameters = begun.batch.parameters()?.concat();
        Ok(Self {
            device: engine.description().name.clone(),
            losses: packed(&losses),
            correct,
            parameters: packed(&parameters),
            history: packed(history.weights()),
            rank: packed(&rank),
            stability: packed(&stability.counts.stability),
            stable_weights: packed(&stability.counts.stable_weights),
            minimum: packed(&envelope.extremes.minimum),
            maximum: packed(&envelope.extremes.maximum),
            smallest_magnitude: packed(&envelope.extremes.smallest_magnitude),
            curves,
        })
    }
}

/// How many weights a point removes.
fn removed(point: &OperatingPoint) -> usize {
    point.kept.iter().filter(|&&kept| !kept).count()
}
