//! The main job: prune trained nets by every criterion at every operating point, run exponential decay and the controls
//! beside them, and keep account of what each costs.

use super::part::{Asked, Blocks, Calibrated, Counted, CountedPart, Pace, Part, Work};
use crate::engine::{Control, DataHandle, Engine, Evaluation, HistoryShape, Network, Overheads};
use crate::error::{Error, Result};
use crate::network::{ParameterLayout, Selection};
use crate::pruning::Scope::Layer;
use crate::pruning::allocation::removed_if_smaller;
use crate::pruning::masks::removed_weights;
use crate::pruning::surgery::PrunedNetwork;
use crate::pruning::{FOCUS, Method, SweepRow};
use crate::results::accuracy::are_several;
use crate::results::comparison::{
    COMPACTED_FILE, CompactedRow, ComparedCell, CorrelationRow, InferenceRow, Results, SUBJECT_FILE, with_magnitude,
};
use crate::results::ledger::{Ledger, LedgerRow, Measured};
use crate::results::workload::Workload;
use crate::run::calibration::Calibration;
use crate::run::cell::{Cell, CellFolder, train_and_record};
use crate::run::configuration::{Configuration, Surgeons};
use crate::run::recorded::Base;
use crate::run::records::{write_calibration, write_records};
use crate::run::survival::{LAYERS_FILE, Survival};
use crate::run::ways::{self, RecordedWays, WAYS_FILE};
use crate::run_folder::csv;
use crate::stability::weight_tables::{LayerAxes, write_envelope, write_stability};
use crate::stability::{History, Stability, Tracking, WindowedEnvelope, envelope};
use crate::training::{NumberHash, Trained, hash};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the marginal work of a method is repeated, all methods in turn: as many as an interval needs that leaves out the extremes.
pub(super) const REPETITIONS: usize = 9;
/// Weights of a history that are sorted at once.
const RANKED_WEIGHTS: usize = 4 << 20;
/// What repetitions of a method may take. One that takes longer is not repeated with all others in turn.
const REPEAT_WITHIN: Duration = Duration::from_secs(5);

/// A comparison of one cell that was just made.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What was found.
    pub results: Results,
    /// SHA-256 of weights: the recorded focus layer after each epoch, all parameters at the end, those of decay at the end.
    pub weight_hashes: BTreeMap<String, String>,
    /// Seconds by what took them, beyond the ledger.
    pub wall_times: BTreeMap<String, f64>,
}

/// Runs everything for one cell and writes its files; goes on from the cell's checkpoints.
///
/// Fails as the engine does, with [`Error::Interrupted`] if it is stopped, and if a file of the cell cannot be read or written.
pub fn compare(
    engine: &mut Engine,
    cell: &Cell,
    configuration: &Configuration,
    folder: &CellFolder<'_>,
    control: Control<'_>,
) -> Result<Compared> {
    let replica_ids: Vec<u32> = (0..configuration.replicates).collect();
    let scope = Scope { repeat_within: REPEAT_WITHIN, decays_together: true };
    CellComparison::new(engine, cell, configuration, folder, control, &replica_ids, scope).run()
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// What repetitions of a method may take, so that it has its turn with all others.
    pub(super) repeat_within: Duration,
    /// Whether exponential decay also trains all targets in one batch, beside one after the other.
    pub(super) decays_together: bool,
}

/// The work in progress on one cell.
pub(super) struct CellComparison<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) cell: &'a Cell,
    pub(super) configuration: &'a Configuration,
    pub(super) folder: &'a CellFolder<'a>,
    pub(super) control: Control<'a>,
    /// What the random draws of each replica depend on.
    pub(super) replica_ids: &'a [u32],
    pub(super) scope: Scope,
    pub(super) rows: Vec<SweepRow>,
    pub(super) measured: Vec<Measured>,
    /// How long weights lasted under the best surgeon, where several layers are pruned.
    pub(super) survival: Option<Survival>,
    /// What the same surgeon made of the first replica.
    pub(super) cut: Option<CutBySize>,
    /// How the surgeons went.
    pub(super) ways: Vec<RecordedWays>,
}

/// What a surgeon made of one replica.
pub(super) struct CutBySize {
    /// All parameters that it began with.
    pub(super) dense: Vec<f32>,
    /// How many times smaller the network became, and what is left of it.
    pub(super) networks: Vec<(f64, PrunedNetwork)>,
}

impl<'a> CellComparison<'a> {
    /// Nothing done yet. `configuration` has as many replicates as there are ids.
    pub(super) fn new(
        engine: &'a mut Engine,
        cell: &'a Cell,
        configuration: &'a Configuration,
        folder: &'a CellFolder<'a>,
        control: Control<'a>,
        replica_ids: &'a [u32],
        scope: Scope,
    ) -> Self {
        let (rows, measured, survival, cut, ways) = (Vec::new(), Vec::new(), None, None, Vec::new());
        Self { engine, cell, configuration, folder, control, replica_ids, scope, rows, measured, survival, cut, ways }
    }

    fn run(&mut self) -> Result<Compared> {
        let folder = self.folder;
        let before = self.engine.overheads();
        let mut trained = train_and_record(self.engine, self.cell, self.configuration, folder, self.control)?;
        let training_overheads = since(before, self.engine.overheads());
        let parameters = trained.batch.parameters()?;
        write_records(folder, self.cell, &trained, &parameters, false)?;
        write_calibration(folder, self.cell, self.configuration)?;
        let mut weight_hashes = BTreeMap::from([("all parameters".to_string(), hash_parameters(&parameters))]);
        weight_hashes.insert("mean of all parameters".into(), hash_parameters(&trained.mean));
        drop(parameters);
        let history = trained.history()?;
        let mut wall_times = vec![
            ("train".to_string(), trained.times.train.as_secs_f64()),
            ("record history".to_string(), trained.times.record.as_secs_f64()),
        ];
        let mut parts = Vec::new();
        for (layers, selection) in self.configuration.parts(&self.cell.architecture)? {
            let history = history.selected(&selection)?;
            let counted = self.count(&layers, &history)?;
            let of = if parts.is_empty() { String::new() } else { format!(", layers {layers}") };
            for (what, seconds) in
                [("sort", counted.sort_s), ("count", counted.count_s), ("envelope", counted.envelope_s)]
            {
                wall_times.push((format!("{what}{of}"), seconds));
            }
            if let ([part], true) = (selection.parts(), parts.is_empty()) {
                let epochs = history.weights().chunks_exact(history.shape().columns()).map(hash);
                let hashes = (1..).zip(epochs).map(|(epoch, hash): (u32, _)| (epoch_label(&layers, epoch), hash));
                weight_hashes.extend(hashes);
                let layer = part.name.split('.').next().unwrap_or(&part.name);
                let axes = LayerAxes { layer, sizes: &part.shape, names: &[] };
                let path = |name: &str| folder.file(name);
                write_stability(&path, axes, &history, &counted.stability)?;
                write_envelope(&path, axes, &history, &counted.envelope)?;
            }
            parts.push(CountedPart { layers, selection, history, counted });
        }
        drop(history);
        let (results, decay) = self.prune_and_evaluate(trained, &parts, training_overheads)?;
        weight_hashes.extend(decay);
        let label = self.cell.label(self.configuration);
        let wall_times = wall_times.into_iter().map(|(name, seconds)| (format!("{label}: {name}"), seconds)).collect();
        Ok(Compared { results, weight_hashes, wall_times })
    }

    /// The same of networks that another command has trained, on the focus layer alone. Their training cost what `trained` says.
    pub(super) fn run_trained(&mut self, trained: Trained) -> Result<Results> {
        let selection = Selection::focus(&self.cell.architecture);
        let history = trained.history()?.selected(&selection)?;
        let counted = self.count(FOCUS, &history)?;
        let part = CountedPart { layers: FOCUS.into(), selection, history, counted };
        Ok(self.prune_and_evaluate(trained, &[part], Overheads::default())?.0)
    }

    /// Prunes trained networks by every criterion and runs the baseline beside them; writes all tables. Returns also the hashes
    /// of the parameters that exponential decay ended with.
    fn prune_and_evaluate(
        &mut self,
        mut trained: Trained,
        parts: &[CountedPart],
        training_overheads: Overheads,
    ) -> Result<(Results, Vec<(String, String)>)> {
        let folder = self.folder;
        let (training, test) = self.cell.upload(self.engine)?;
        let dense = self.evaluate_dense(&mut trained.batch, test)?;
        let sparsities = self.configuration.sparsities();
        let features = Calibration::of_cell(self.cell, self.configuration).features(self.configuration.pixel_scale);
        let parameters = trained.batch.parameters()?;
        let mut calibrated = vec![self.calibrate(Base::Last, &parameters, &features)?];
        let mean = std::mem::take(&mut trained.mean);
        if !mean.is_empty() {
            calibrated.push(self.calibrate(Base::Mean, &mean, &features)?);
        }
        let averaged = self.evaluate_mean(&mut trained, test, &mean)?;
        let (mut correlations, mut inference) = (Vec::new(), Vec::new());
        for counted in parts {
            let by_size = are_several(&counted.layers);
            let scope = if by_size { self.configuration.scope } else { Layer };
            let part = Part {
                layers: &counted.layers,
                selection: &counted.selection,
                scope,
                history: &counted.history,
                counted: &counted.counted,
            };
            self.dense(&part, "", &dense);
            self.dense(&part, &Base::Mean.to_string(), &averaged);
            let numbers = part.numbers(self.configuration.seed, &sparsities);
            inference.extend(self.inference(&mut trained.batch, test, &part)?);
            let removed = match by_size {
                true => self.removed_at_sizes(part.selection)?,
                false => removed_at(&sparsities, part.selection.weights()),
            };
            let asked = Asked {
                part: &part,
                numbers: &numbers,
                calibrated: &calibrated[0],
                methods: &[],
                removed: &removed,
                training_overheads,
            };
            let mut work = Work { trained: &mut trained, test, blocks: Blocks::new() };
            if by_size {
                self.by_size(&mut work, asked, &calibrated)?;
                self.in_turn(&mut work.trained.batch, work.blocks)?;
                continue;
            }
            self.criteria(work.trained, test, &part, &numbers, training_overheads, &mut work.blocks)?;
            self.chosen_windows(&mut work.trained.batch, training, &part, &numbers)?;
            self.repairs(&mut work, asked, &calibrated)?;
            self.in_turn(&mut work.trained.batch, work.blocks)?;
            if correlations.is_empty() {
                correlations = with_magnitude(&numbers, self.cell.model(), &self.cell.data_set);
            }
        }
        let compacted = match self.cut.take() {
            Some(cut) => self.compacted(&cut)?,
            None => Vec::new(),
        };
        if !compacted.is_empty() {
            csv::write::<CompactedRow>(&folder.file(COMPACTED_FILE)?, &compacted)?;
        }
        csv::write::<CorrelationRow>(&folder.file("correlations.csv")?, &correlations)?;
        csv::write::<InferenceRow>(&folder.file("inference.csv")?, &inference)?;
        // Exponential decay trains networks of its own. Beside them nothing is needed of these but what one point costs.
        drop(calibrated);
        drop((parameters, mean));
        let mut pace = Pace::new(trained.batch, test, parts, self.configuration.seed);
        if !self.ways.is_empty() {
            ways::write(&folder.file(WAYS_FILE)?, &self.ways)?;
            self.ways.clear();
        }
        let mut decay = Vec::new();
        for part in parts {
            let of = if part.layers == FOCUS { String::new() } else { format!(", layers {}", part.layers) };
            let hash = self.exponential_decay(&part.layers, &part.selection, test, &mut pace)?;
            decay.push((format!("all parameters, exponential decay{of}"), hash));
        }
        csv::write::<SweepRow>(&folder.file("sweep.csv")?, &self.rows)?;
        if let Some(survival) = &self.survival {
            survival.write(&folder.file(LAYERS_FILE)?)?;
        }
        let ledger = Ledger::new(workload(self.cell, self.configuration), std::mem::take(&mut self.measured));
        csv::write::<LedgerRow>(&folder.file("ledger.csv")?, &ledger.rows)?;
        let subject = ComparedCell::new(ledger.workload.clone(), &self.cell.split);
        subject.write(&folder.file(SUBJECT_FILE)?)?;
        let results = Results {
            sweep: std::mem::take(&mut self.rows),
            ledger,
            correlations,
            inference,
            headline_window: envelope::headline_window(self.configuration.epochs),
            headline_rule: self.configuration.headline_rule(),
            chance: subject.chance,
            judged_in_training: subject.judged_in_training,
            survival: self.survival.take(),
            compacted,
        };
        Ok((results, decay))
    }

    /// What calibration images add on one layer.
    fn repairs<'p>(
        &mut self,
        work: &mut Work<'_, 'p, Self>,
        asked: Asked<'p>,
        calibrated: &'p [Calibrated<'p>],
    ) -> Result<()>
    where
        'a: 'p,
    {
        let methods = &[Method::Wanda, Method::HoldInput];
        self.cut_at(work, Asked { methods, ..asked })?;
        if !self.can_solve(asked.part, asked.calibrated) {
            return Ok(());
        }
        let methods = &[Method::Magnitude, Method::Hold, Method::Wanda, Method::HoldInput, Method::Random];
        self.refit_at(work, Asked { methods, ..asked })?;
        let bases = if self.configuration.surgeons == Surgeons::All { calibrated } else { &calibrated[..1] };
        let methods = &[Method::HoldSurgeon, Method::Surgeon];
        for calibrated in bases {
            self.surgeons_of_layer(work, Asked { methods, calibrated, ..asked })?;
        }
        Ok(())
    }

    /// Everything on several layers, by how much smaller the whole network becomes.
    fn by_size<'p>(
        &mut self,
        work: &mut Work<'_, 'p, Self>,
        asked: Asked<'p>,
        calibrated: &'p [Calibrated<'p>],
    ) -> Result<()>
    where
        'a: 'p,
    {
        let methods = &[
            Method::Stability,
            Method::Settle,
            Method::Hold,
            Method::HoldInput,
            Method::Magnitude,
            Method::Wanda,
            Method::Random,
        ];
        self.cut_at(work, Asked { methods, ..asked })?;
        if !self.can_solve(asked.part, asked.calibrated) {
            return Ok(());
        }
        self.refit_at(work, Asked { methods: &[Method::Magnitude, Method::Random], ..asked })?;
        let sizes = self.configuration.stages.clone();
        let (bases, methods): (_, &[Method]) = match (self.configuration.surgeons, calibrated) {
            (Surgeons::All, all) => (all, &[Method::HoldSurgeon, Method::Surgeon]),
            (Surgeons::One, all) => (&all[all.len() - 1..], &[Method::HoldSurgeon]),
        };
        for calibrated in bases {
            self.surgeons_in_stages(work, Asked { methods, calibrated, ..asked }, &sizes)?;
        }
        Ok(())
    }

    /// How many weights of a selection go at each size of the table.
    pub(super) fn removed_at_sizes(&self, selection: &Selection) -> Result<Vec<usize>> {
        let all = ParameterLayout::new(&self.cell.architecture).weights();
        let own = selection.weights();
        let removed = |size: f64| {
            let removed = removed_if_smaller(size, all)?;
            if removed < own {
                return Ok(removed);
            }
            Err(Error::Usage(format!(
                "--stages: a network of {all} weights cannot become {size} times smaller by pruning {own} of them; choose more \
                 --layers, or smaller sizes"
            )))
        };
        self.configuration.sizes().into_iter().map(removed).collect()
    }

    /// How well the averaged networks classify the test set.
    fn evaluate_mean(&mut self, trained: &mut Trained, test: DataHandle, mean: &[Vec<f32>]) -> Result<Vec<Evaluation>> {
        let network =
            |(slot, parameters): (usize, &Vec<f32>)| Network { slot, parameters: parameters.as_slice().into() };
        let networks: Vec<Network> = mean.iter().enumerate().map(network).collect();
        let total = networks.len() as u64;
        self.control.stage("evaluate the averaged nets", total, "networks", |watch| {
            trained.batch.sweep_networks(test, 0, &networks, watch)
        })
    }

    /// Sorts, counts and measures the extremes of the history.
    fn count(&mut self, layers: &str, history: &History) -> Result<Counted> {
        let configuration = self.configuration;
        let windows = configuration.windows()?;
        let engine = &mut *self.engine;
        let stage = if layers == FOCUS { "sort and count".into() } else { format!("sort and count layers {layers}") };
        self.control.stage(&stage, 3, "passes", |watch| {
            let start = Instant::now();
            // The paper sorts each epoch. Positions need no ranks: the time is kept apart. Counting by rank sorts itself.
            if configuration.tracking == Tracking::Position {
                rank_in_parts(engine, history)?;
            }
            (watch.progress)(1);
            let sort_s = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let stability = Stability::count(engine, history, &configuration.tolerance, configuration.reading())?;
            (watch.progress)(1);
            let count_s = start.elapsed().as_secs_f64();
            let start = Instant::now();
            let envelope = WindowedEnvelope::new(engine, history, &windows)?;
            (watch.progress)(1);
            let envelope_s = start.elapsed().as_secs_f64();
            Ok(Counted { stability, envelope, sort_s, count_s, envelope_s })
        })
    }
}

/// Sorts every epoch, some at a time: the ranks of all would be as large as the history, and nothing needs them.
fn rank_in_parts(engine: &mut Engine, history: &History) -> Result<()> {
    let shape = history.shape();
    let epochs = (RANKED_WEIGHTS / shape.columns()).max(1);
    history.weights().chunks(epochs * shape.columns()).try_for_each(|part| {
        let shape = HistoryShape { epochs: part.len() / shape.columns(), ..shape };
        engine.rank(shape, part).map(drop)
    })
}

/// How many of so many weights go at these sparsities, each number once.
fn removed_at(sparsities: &[f64], weights: usize) -> Vec<usize> {
    let mut removed: Vec<usize> = sparsities.iter().map(|&sparsity| removed_weights(sparsity, weights)).collect();
    removed.dedup();
    removed
}

/// The sizes that a comparison's costs depend on.
fn workload(cell: &Cell, configuration: &Configuration) -> Workload {
    Workload {
        model: cell.model().into(),
        data_set: cell.data_set.clone(),
        architecture: cell.architecture.clone(),
        replicates: configuration.replicates,
        epochs: configuration.epochs,
        baseline_epochs: configuration.ed_epochs,
        training_images: cell.split.training.samples(),
        test_images: cell.split.test.samples(),
    }
}

/// What was added between two readings.
pub(super) fn since(before: Overheads, after: Overheads) -> Overheads {
    Overheads { build: after.build - before.build, transfer: after.transfer - before.transfer }
}

/// What the manifest calls the hash of a recorded layer.
fn epoch_label(layers: &str, epoch: u32) -> String {
    let what = if layers == FOCUS { "focus layer".to_string() } else { format!("layers {layers}") };
    format!("{what}, epoch {epoch:04}")
}

/// SHA-256 of the parameters of all replicas.
pub fn hash_parameters(replicas: impl IntoIterator<Item = impl AsRef<[f32]>>) -> String {
    let mut hash = NumberHash::default();
    replicas.into_iter().for_each(|parameters| hash.add(parameters.as_ref()));
    hash.finish()
}
