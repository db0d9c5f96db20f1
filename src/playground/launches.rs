//! The launch program of the page: the engine does once what the page will do, and is watched.

use super::subject::{EPOCHS, POINTS, Subject, TOLERANCES, WINDOWS};
use crate::engine::{Engine, GpuBackend, HistoryShape, SweepPoint, TuningChoice, Watch};
use crate::error::{Error, Result};
use crate::lab::program::{self, Program};
use std::sync::Arc;

/// Invocations of a workgroup: what suits a GPU, whatever the device here.
const WORKGROUP_SIZE: u32 = 64;

/// Everything that the page launches. The device gives no number to it, so all devices give the same program.
///
/// Fails as the engine does.
pub(super) fn of(backend: GpuBackend, subject: &Subject, watch: &Watch<'_>) -> Result<Program> {
    let backend = backend.with_choice(TuningChoice { workgroup_size: WORKGROUP_SIZE, replica_step_us: 0.0 });
    let gpu = Arc::clone(backend.device());
    let mut engine = Engine::from(backend);
    let (_, program) = program::record(&gpu, || {
        let mut begun = subject.begin(&mut engine)?;
        subject.train(&mut begun.batch, 0, watch)?;
        begun.batch.evaluate(begun.test, watch)?;
        let weight_count = subject.selection.weights();
        let dense = SweepPoint { slot: 0, kept: vec![true; weight_count].into() };
        begun.batch.sweep(begun.test, &subject.selection, &vec![dense; POINTS], watch)?;
        let shape = HistoryShape { epochs: EPOCHS, replicas: 1, weight_count };
        let history = vec![0.0; shape.len()];
        let bounds = vec![0.0; TOLERANCES.len() * weight_count];
        engine.rank(shape, &history)?;
        engine.count(shape, &history, &bounds, &bounds)?;
        engine.envelope(shape, &history, &WINDOWS)
    })?;
    let has = |label: &&str| program.recordings.contains_key(*label);
    match RECORDINGS.iter().find(|label| !has(label)) {
        None => Ok(program),
        Some(missing) => {
            Err(Error::Job(format!("the engine recorded no {missing} for the page; this is a mistake of the program")))
        }
    }
}

/// Labels of the engine's recordings that the page launches.
const RECORDINGS: [&str; 7] = ["initial weights", "training", "evaluation", "sweep", "rank", "count", "envelope"];
