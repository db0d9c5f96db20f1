//! The engine on the processor: replicas side by side on all cores, each step of a replica on one core.

mod batch;
mod networks;

use super::backend::{Backend, BackendBatch};
use super::loaded::Loaded;
use super::{Counts, DeviceDescription, Envelope, Footprint, HistoryShape, Replica, Setup, SweepSize, Watch};
use crate::cpu::fast::network::{PaddedNetwork, PaddedReplica};
use crate::cpu::fast::training_step::Workspace;
use crate::cpu::fast::{self, padded};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use batch::{CpuBatch, EVALUATION_BLOCK, FOCUS_INPUT_BYTES};
use networks::sweep_bytes;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Columns of a history that one task counts: their bounds and counts stay in the second-level cache, and a row of them is
/// long enough for the processor to fetch ahead.
const COLUMNS_A_TASK: usize = 4096;

/// The CPU engine.
pub(super) struct CpuBackend {
    description: DeviceDescription,
    pool: Arc<rayon::ThreadPool>,
    /// Set to end what is done to a history.
    stop: Arc<AtomicBool>,
}

impl CpuBackend {
    /// An engine with `threads` threads, or one for each core. The number changes no bit.
    pub(super) fn new(threads: Option<usize>) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build()
            .map_err(|error| Error::Job(format!("cannot start the threads of the CPU engine: {error}")))?;
        let description = DeviceDescription {
            name: format!("CPU engine ({})", std::env::consts::ARCH),
            kind: "CPU engine".into(),
            backend: "cpu".into(),
            driver: String::new(),
            variant: format!("fast-{}", fast::instruction_set()),
        };
        Ok(Self { description, pool: Arc::new(pool), stop: Arc::default() })
    }

    /// Runs `work` on pieces of a history side by side, unless a stop was asked for.
    fn each<P: Sync, T: Send>(&self, pieces: &[P], work: impl Fn(&P) -> T + Sync) -> Result<Vec<T>> {
        let watch = Watch { stop: &self.stop, progress: &|_| {} };
        self.pool.install(|| pieces.par_iter().map(|piece| watch.check().map(|()| work(piece))).collect())
    }
}

impl CpuBackend {
    /// Fails where the system would not give so much memory: an allocation that fails would end the program. Parameters and
    /// moments of so many `replicas`, and what dense layers read and produce in a step on each thread.
    fn check_room(&self, setup: &Setup<'_>, replicas: usize) -> Result<()> {
        let parameters = ParameterLayout::new(setup.architecture).parameters();
        let Architecture { hidden, classes, .. } = setup.architecture;
        let units = hidden.iter().fold(*classes, |units, &more| units.saturating_add(more));
        let layers = setup.architecture.features().saturating_add(units);
        let at_work = self.pool.current_num_threads().saturating_mul(setup.batch).saturating_mul(layers);
        let bytes = replicas.saturating_mul(3 * parameters).saturating_add(at_work).saturating_mul(size_of::<f32>());
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| {
            Error::OutOfMemory(format!(
                "{replicas} replicas of {parameters} parameters with a batch of {} need more than {bytes} bytes, which this \
                 machine does not give",
                setup.batch
            ))
        })
    }
}

impl Backend for CpuBackend {
    fn description(&self) -> &DeviceDescription {
        &self.description
    }

    fn load(&mut self, _: &Arc<Dataset>) -> Result<()> {
        // It stays where it is.
        Ok(())
    }

    fn begin(&mut self, setup: &Setup<'_>, training: &Loaded) -> Result<Box<dyn BackendBatch>> {
        self.check_room(setup, setup.replica_ids.len())?;
        Ok(Box::new(CpuBatch::new(&self.pool, setup, training)))
    }

    fn footprint(&self, setup: &Setup<'_>, _: &Loaded, sweep: SweepSize) -> Result<Footprint> {
        self.check_room(setup, 1)?;
        let network = PaddedNetwork::new(setup.architecture, setup.selection);
        // One of each is made and weighed: they are all alike.
        let plain = Replica::new(vec![0.0; ParameterLayout::new(setup.architecture).parameters()]);
        let replica = PaddedReplica::new(&network, &plain).bytes();
        let workspace = Workspace::new(&network, setup.batch, EVALUATION_BLOCK).bytes();
        let [focus_inputs, _] = setup.architecture.focus_shape();
        let focus_input = size_of::<f32>() * sweep.samples * padded(focus_inputs);
        let kept = match sweep.first_layer {
            None => FOCUS_INPUT_BYTES.max(focus_input).min(setup.replica_ids.len() * focus_input),
            Some(first) => {
                let counts = [setup.replica_ids.len(), self.pool.current_num_threads()];
                sweep_bytes(setup.architecture, first, sweep.samples, counts)
                    + plain.parameters.len().div_ceil(8) * sweep.points
            }
        };
        Ok(Footprint {
            state: (setup.replica_ids.len() * replica) as u64,
            activations: (self.pool.current_num_threads() * workspace) as u64,
            sweep: kept as u64,
        })
    }

    fn stop_by(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    fn rank(&mut self, shape: HistoryShape, history: &[f32]) -> Result<Vec<u32>> {
        let mut rank = vec![0; shape.len()];
        let segments = rank.par_chunks_mut(shape.weight_count).zip(history.par_chunks(shape.weight_count));
        let watch = Watch { stop: &self.stop, progress: &|_| {} };
        self.pool.install(|| {
            segments.try_for_each_init(Vec::new, |scratch, (rank, weights)| {
                fast::stability::rank_while(weights, scratch, rank, || watch.check())
            })
        })?;
        Ok(rank)
    }

    fn count(&mut self, shape: HistoryShape, history: &[f32], lower: &[f32], upper: &[f32]) -> Result<Counts> {
        let columns = shape.columns();
        let tolerances = lower.len() / columns;
        let mut counts = Counts {
            stability: vec![0; tolerances * columns],
            stable_weights: vec![0; tolerances * shape.epochs * shape.replicas],
        };
        let pieces = pieces(shape);
        let count = |piece: &Range<usize>| fast::stability::count(history, columns, piece.clone(), lower, upper);
        let counted = self.each(&pieces, count)?;
        for (piece, counted) in pieces.iter().zip(counted) {
            let replica = piece.start / shape.weight_count;
            for (tolerance, stability) in counted.stability.chunks_exact(piece.len()).enumerate() {
                counts.stability[tolerance * columns..][piece.clone()].copy_from_slice(stability);
            }
            for (row, stable) in counted.stable_weights.iter().enumerate() {
                counts.stable_weights[row * shape.replicas + replica] += stable;
            }
        }
        Ok(counts)
    }

    fn envelope(&mut self, shape: HistoryShape, history: &[f32], windows: &[u32]) -> Result<Envelope> {
        let columns = shape.columns();
        let empty = vec![0.0f32; windows.len() * columns];
        let mut envelope = Envelope { minimum: empty.clone(), maximum: empty.clone(), smallest_magnitude: empty };
        let pieces = pieces(shape);
        let extremes = |piece: &Range<usize>| fast::stability::envelope(history, columns, piece.clone(), windows);
        let found = self.each(&pieces, extremes)?;
        for (piece, found) in pieces.iter().zip(&found) {
            for window in 0..windows.len() {
                let own = window * piece.len()..(window + 1) * piece.len();
                let place = window * columns + piece.start..window * columns + piece.end;
                envelope.minimum[place.clone()].copy_from_slice(&found.minimum[own.clone()]);
                envelope.maximum[place.clone()].copy_from_slice(&found.maximum[own.clone()]);
                envelope.smallest_magnitude[place].copy_from_slice(&found.smallest_magnitude[own]);
            }
        }
        Ok(envelope)
    }

    fn pool(&self) -> Option<&rayon::ThreadPool> {
        Some(&self.pool)
    }
}

/// Cuts the columns of a history into pieces that lie within one replica.
fn pieces(shape: HistoryShape) -> Vec<Range<usize>> {
    (0..shape.replicas)
        .flat_map(|replica| {
            let end = (replica + 1) * shape.weight_count;
            (replica * shape.weight_count..end)
                .step_by(COLUMNS_A_TASK)
                .map(move |start| start..(start + COLUMNS_A_TASK).min(end))
        })
        .collect()
}
