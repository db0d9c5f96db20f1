//! How much memory a run takes at its peak, before it is made.
//!
//! What is largest is counted by the engine from the arrays that it would make; the rest are the few large things that are
//! in memory beside them. A run goes through phases; the one that takes most is its peak.

use crate::engine::{Engine, Footprint, Moments, SweepSize};
use crate::error::Result;
use crate::network::{Layer, ParameterLayout, Selection};
use crate::pruning::SweepRow;
use crate::pruning::surgeon::shares_gram;
use crate::pruning::surgery::MOST_ROWS;
use crate::run::cell::Cell;
use crate::run::configuration::Configuration;
use serde::Serialize;

/// Bytes of one row of `sweep.csv` in memory, its three short texts included.
const ROW: usize = size_of::<SweepRow>() + 3 * 24;
/// Bytes of an operating point beside its mask.
const POINT: usize = 96;
/// Bytes for each weight and window of an envelope: three extremes, as the engine gives them and as they are kept, and the
/// settling tolerance.
const WINDOW: usize = 32;
/// Bytes for each weight and tolerance: bounds and their keys, and the count.
const TOLERANCE: usize = 20;

/// Which command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Training, counting, every way of pruning, exponential decay.
    Compare,
    /// Training alone.
    Train,
    /// Training, and the tables.
    Study,
}

/// Bytes of one phase of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// What is done.
    pub name: &'static str,
    /// Parameters, moments and masks of all replicas.
    pub state: u64,
    /// Activations, gradients and all else that the engine needs at work.
    pub activations: u64,
    /// The recorded focus layers, as often as they are there.
    pub history: u64,
    /// Copies of parameters, orders of samples, numbers of weights, rows of tables.
    pub rest: u64,
}

impl Phase {
    /// What lies in the engine's memory.
    pub fn on_device(&self) -> u64 {
        self.state + self.activations
    }

    /// What lies in the machine's memory even if the engine has its own.
    pub fn beside(&self) -> u64 {
        self.history + self.rest
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.on_device() + self.beside()
    }
}

/// Bytes of what calibration images take in all networks, on last and on mean weights: images, what a layer reads and gives of
/// all of them, and what units are to give at the rows that count.
fn counted_all(cell: &Cell, configuration: &Configuration, replicas: usize) -> usize {
    let images = configuration.calibration_images.min(cell.split.training.samples());
    let layers = Layer::all(&cell.architecture);
    let widest = layers.iter().map(|layer| layer.input_len().max(layer.output_len())).max().unwrap_or(0);
    let rows = |layer: &Layer| (images * layer.rows()).min(MOST_ROWS);
    let targets: usize = layers.iter().map(|layer| rows(layer) * (layer.units() * 5 + 4)).sum();
    images * (layers[0].input_len() + 2 * widest) * 4 + 2 * replicas * targets
}

/// Bytes of the moments that the surgeon has at once.
fn moments(cell: &Cell, configuration: &Configuration) -> usize {
    let of_layer = |layer: &Layer| {
        let [inputs, units] = [layer.inputs(), layer.units()];
        Moments::most_bytes(inputs, units, configuration.inactive_weight == 1.0 || shares_gram(inputs, units))
    };
    Layer::all(&cell.architecture).iter().map(of_layer).max().unwrap_or(0)
}

/// The phases of a cell's run with so many of its replicas, data and program apart.
///
/// Fails as [`Engine::begin`] would.
pub fn phases(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicates: u32,
    job: Job,
) -> Result<Vec<Phase>> {
    let parts = configuration.parts(&cell.architecture)?;
    of_parts(engine, cell, configuration, replicates, job, parts.into_iter().map(|(_, part)| part).collect())
}

/// The same where these parts of the network are pruned.
fn of_parts(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    replicates: u32,
    job: Job,
    parts: Vec<Selection>,
) -> Result<Vec<Phase>> {
    let training = cell.upload(engine)?.0;
    let samples = [cell.split.training.samples(), cell.split.test.samples()];
    let replicas = replicates as usize;
    let epochs = configuration.epochs as usize;
    let weight_count = cell.selection.weights();
    let columns = replicas * weight_count;
    let layout = ParameterLayout::new(&cell.architecture);
    let parameters = layout.parameters() * 4;
    let history = (epochs * columns * 4) as u64;
    let footprint =
        |engine: &Engine, ids: &[u32], sweep| engine.footprint(&cell.setup(training, configuration, ids), sweep);
    // Orders of samples, and what the steps of an epoch came to: as the engine gives it and as it is kept.
    let steps = cell.steps(configuration) as usize;
    let fed = |slots: usize| replicas * samples[0] * 4 + slots * steps * 2 * 8;
    let ids: Vec<u32> = (0..replicates).collect();
    let at_work = footprint(engine, &ids, SweepSize::default())?;
    let phase = |name, Footprint { state, activations, sweep }: Footprint, history, rest: usize| Phase {
        name,
        state,
        activations: activations + sweep,
        history,
        rest: rest as u64,
    };
    // A replica that is copied out, plain and as bytes, for a checkpoint.
    let one = 6 * parameters;
    // Sums over epochs, and then the means of them.
    let averaged = if job == Job::Study { 0 } else { replicas * parameters };
    let mut phases = vec![
        phase("training", at_work, history, fed(replicas) + one + averaged),
        phase("writing the networks", at_work, history, replicas * parameters + one + 2 * averaged),
    ];
    if job != Job::Study {
        // Averaged networks are evaluated from the first layer on: their parameters as they are kept, as they are handed over,
        // and those of the last epoch.
        let sweep = SweepSize { samples: samples[1], points: replicas, first_layer: Some(0) };
        let judged = footprint(engine, &ids, sweep)?;
        phases.push(phase("judging the averages", judged, history, replicas * parameters + 2 * averaged));
    }
    match job {
        Job::Train => {}
        Job::Study => {
            let networks = replicas * parameters;
            phases.push(phase("writing the runs", Footprint::default(), 2 * history, networks));
            // Every run's history and all of them as one; sorted, and compared with the epoch after.
            let counted = columns * configuration.tolerance.len() * TOLERANCE;
            phases.push(phase("counting", Footprint::default(), 4 * history, networks + counted));
            // Figure 4 is a comparison of the first networks' focus layers.
            let shown = configuration.figure_4_replicates.unwrap_or(0).min(replicates);
            if shown > 0 {
                let focus = vec![Selection::focus(&cell.architecture)];
                phases.extend(of_parts(engine, cell, configuration, shown, Job::Compare, focus)?);
            }
        }
        Job::Compare => {
            let windows = configuration.windows()?.len();
            let sparsities = configuration.sparsities().len();
            let tolerances = configuration.tolerance.len();
            let of_thresholds = replicas * tolerances * epochs;
            let of_windows = replicas * windows * sparsities;
            let points = of_thresholds.max(of_windows);
            let rules = configuration.ed_rule.rules().len();
            let targets = configuration.ed_targets.len();
            let rows = of_thresholds + 4 * of_windows + 3 * of_thresholds.max(replicas * sparsities);
            let rows = (rows + 2 * rules * targets * replicas) * ROW;
            let of_weight = windows * WINDOW + tolerances * TOLERANCE;
            let counted: usize = parts.iter().map(|part| replicas * part.weights() * of_weight).sum();
            let calibrated = counted_all(cell, configuration, replicas) + 4 * averaged;
            let on_processor = engine.description().backend == "cpu";
            // An allocator gives back little of what it lent in pieces: on the processor most of this stays.
            let mut kept = 0;
            for part in &parts {
                // Networks are solved anew: which weights each keeps, and its parameters as found and as handed over.
                let solved = |points: usize| points * (2 * parameters + layout.weights());
                if part.parts().len() > 1 {
                    let points = replicas * configuration.stages.len();
                    let size = SweepSize { samples: samples[1], points, first_layer: Some(part.first_layer()) };
                    let swept = footprint(engine, &ids, size)?;
                    let moments = if on_processor { moments(cell, configuration) } else { 0 };
                    let beside = counted + calibrated + solved(points) + rows + kept;
                    phases.push(phase("cutting several layers", swept, history, beside + moments));
                    // The smaller networks classify all test images, whose pixels lie beside what evaluating them took.
                    let pixels = samples[1] * cell.architecture.image_len() * size_of::<f32>();
                    phases.push(phase("classifying by smaller networks", swept, history, beside + pixels));
                    continue;
                }
                let masks = points * (part.weights() + POINT);
                for (name, samples) in [("pruning", samples[1]), ("choosing windows", samples[0])] {
                    let swept = footprint(engine, &ids, SweepSize { samples, points, first_layer: None })?;
                    phases.push(phase(name, swept, history, counted + calibrated + masks + rows));
                    if on_processor {
                        kept = kept.max((swept.state + swept.activations + swept.sweep) as usize + masks);
                    }
                }
                let points = replicas * sparsities;
                let swept = footprint(engine, &ids, SweepSize { samples: samples[1], points, first_layer: None })?;
                let rest = counted + calibrated + solved(points) + rows + kept;
                phases.push(phase("solving one layer anew", swept, history, rest));
                if on_processor {
                    kept += solved(points);
                }
            }
            if targets > 0 {
                let slots: Vec<u32> = (0..targets).flat_map(|_| ids.iter().copied()).collect();
                let decaying = footprint(engine, &slots, SweepSize::default())?;
                phases.push(phase("exponential decay", decaying, 0, counted + kept + fed(slots.len()) + one + rows));
            }
            // The rows of the results and of what is drawn of them.
            phases.push(phase("reporting", Footprint::default(), history, 2 * rows));
        }
    }
    Ok(phases)
}
