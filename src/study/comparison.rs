//! The main job: prune trained nets by every criterion at every operating point, run exponential decay and the controls
//! beside them, and keep account of what each costs.

use super::Control;
use super::accuracy::{Summary, TABLE_SPARSITIES};
use super::configuration::Configuration;
use super::experiment::{Cell, CellFolder, train_and_record};
use super::ledger::{Ledger, LedgerRow, Measured, Workload};
use super::records::{LayerAxes, write_envelope, write_records, write_stability};
use super::results::{ComparedCell, CorrelationRow, InferenceRow, Results, SUBJECT_FILE, with_magnitude};
use crate::engine::{Batch, DataHandle, Engine, HistoryShape, Overheads};
use crate::error::Result;
use crate::network::ParameterLayout;
use crate::pruning::masks::{RemovalOrder, removed_weights};
use crate::pruning::operating_points::{CHOSEN_IN_TRAINING, FROZEN_FIRST, FROZEN_KEPT, Numbers, of_method};
use crate::pruning::sweep::RowContext;
use crate::pruning::{Method, SweepRow, sweep};
use crate::run_folder::csv;
use crate::stability::{History, Stability, Tracking, WindowedEnvelope, envelope};
use crate::training::{NumberHash, Trained};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the marginal work of a method is repeated for its mean and spread.
pub(super) const REPETITIONS: usize = 5;
/// Weights of a history that are sorted at once.
const RANKED_WEIGHTS: usize = 4 << 20;
/// No repetition begins that would end later than this. A sweep that takes longer is measured once.
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
    /// No repetition of a measurement begins that would end later than this.
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
}

/// Numbers of a recorded history, and what making them took.
struct Counted {
    stability: Stability,
    envelope: WindowedEnvelope,
    sort_s: f64,
    count_s: f64,
    envelope_s: f64,
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
        let (rows, measured) = (Vec::new(), Vec::new());
        Self { engine, cell, configuration, folder, control, replica_ids, scope, rows, measured }
    }

    fn run(&mut self) -> Result<Compared> {
        let folder = self.folder;
        let before = self.engine.overheads();
        let mut trained = train_and_record(self.engine, self.cell, self.configuration, folder, self.control)?;
        let training_overheads = since(before, self.engine.overheads());
        let parameters = trained.batch.parameters()?;
        write_records(folder, self.cell, &trained, &parameters, false)?;
        let mut weight_hashes: BTreeMap<String, String> = (1..)
            .zip(&trained.focus_hashes)
            .map(|(epoch, hash): (u32, _)| (format!("focus layer, epoch {epoch:04}"), hash.clone()))
            .collect();
        weight_hashes.insert("all parameters".into(), hash_parameters(&parameters));
        drop(parameters);
        let history = trained.history()?;
        let counted = self.count(&history)?;
        let focus = ParameterLayout::new(&self.cell.architecture).focus_weight().clone();
        let axes = LayerAxes { layer: focus.layer(), sizes: &focus.shape, names: &[] };
        let path = |name: &str| folder.file(name);
        write_stability(&path, axes, &history, &counted.stability)?;
        write_envelope(&path, axes, &history, &counted.envelope)?;
        let wall_times = [
            ("train", trained.times.train.as_secs_f64()),
            ("record history", trained.times.record.as_secs_f64()),
            ("sort", counted.sort_s),
            ("count", counted.count_s),
            ("envelope", counted.envelope_s),
        ];
        let (results, decay) = self.prune_and_evaluate(trained, history, counted, training_overheads)?;
        weight_hashes.insert("all parameters, exponential decay".into(), decay);
        Ok(Compared {
            results,
            weight_hashes,
            wall_times: wall_times
                .map(|(name, seconds)| (format!("{}: {name}", self.cell.label(self.configuration)), seconds))
                .into(),
        })
    }

    /// The same of networks that another command has trained. Their training cost what `trained` says.
    pub(super) fn run_trained(&mut self, trained: Trained) -> Result<Results> {
        let history = trained.history()?;
        let counted = self.count(&history)?;
        Ok(self.prune_and_evaluate(trained, history, counted, Overheads::default())?.0)
    }

    /// Prunes trained networks by every criterion and runs the baseline beside them; writes all tables. Returns also the hash
    /// of the parameters that exponential decay ended with.
    fn prune_and_evaluate(
        &mut self,
        mut trained: Trained,
        history: History,
        counted: Counted,
        training_overheads: Overheads,
    ) -> Result<(Results, String)> {
        let folder = self.folder;
        let (training, test) = self.cell.upload(self.engine)?;
        self.dense(&mut trained.batch, test, &counted)?;
        let sparsities = self.configuration.sparsities();
        let numbers = Numbers {
            history: &history,
            stability: &counted.stability,
            envelope: &counted.envelope,
            seed: self.configuration.seed,
            sparsities: &sparsities,
        };
        self.criteria(&mut trained, test, &numbers, &counted, training_overheads)?;
        self.chosen_windows(&mut trained.batch, training, &numbers)?;
        let correlations = with_magnitude(&numbers, self.cell.model(), &self.cell.data_set);
        csv::write::<CorrelationRow>(&folder.file("correlations.csv")?, &correlations)?;
        let inference = self.inference(&mut trained.batch, test)?;
        csv::write::<InferenceRow>(&folder.file("inference.csv")?, &inference)?;
        // Exponential decay trains networks of its own: these are not needed beside them.
        drop((trained, history, counted));
        let decay = self.exponential_decay(test)?;
        csv::write::<SweepRow>(&folder.file("sweep.csv")?, &self.rows)?;
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
        };
        Ok((results, decay))
    }

    pub(super) fn context(&self, epochs: u32) -> RowContext<'_> {
        RowContext {
            architecture: &self.cell.architecture,
            model: self.cell.model(),
            data_set: &self.cell.data_set,
            epochs,
        }
    }

    /// Sorts, counts and measures the extremes of the history.
    fn count(&mut self, history: &History) -> Result<Counted> {
        let configuration = self.configuration;
        let windows = configuration.windows()?;
        let engine = &mut *self.engine;
        self.control.stage("sort and count", 3, "passes", |watch| {
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

    /// The nets as trained.
    fn dense(&mut self, batch: &mut Batch, test: DataHandle, counted: &Counted) -> Result<()> {
        let images = self.cell.split.test.samples() as u64 * u64::from(self.configuration.replicates);
        let evaluations =
            self.control.stage("evaluate the dense nets", images, "images", |watch| batch.evaluate(test, watch))?;
        let weight_count = self.cell.architecture.weight_count();
        let context = self.context(self.configuration.epochs);
        let row = |(replica, evaluation)| {
            let frozen = frozen_weights(&counted.envelope, replica as usize);
            context.row(Method::Dense, "", replica, weight_count, frozen, evaluation)
        };
        let rows: Vec<SweepRow> = (0..).zip(evaluations).map(row).collect();
        self.rows.extend(rows);
        Ok(())
    }

    /// Every criterion and control that prunes the trained nets without retraining.
    fn criteria(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        numbers: &Numbers<'_>,
        counted: &Counted,
        training_overheads: Overheads,
    ) -> Result<()> {
        let configuration = self.configuration;
        let headline = configuration.headline_rule();
        let other = if headline == FROZEN_FIRST { FROZEN_KEPT } else { FROZEN_FIRST };
        let methods = [
            (Method::Stability, ""),
            (Method::Settle, headline),
            (Method::Settle, other),
            (Method::Hold, headline),
            (Method::Hold, other),
            (Method::Magnitude, ""),
            (Method::MagnitudeFrozenFirst, ""),
            (Method::Random, ""),
        ];
        let replicates = configuration.replicates as usize;
        for (method, rule) in methods {
            let before = self.engine.overheads();
            let points = of_method(method, rule == FROZEN_FIRST, numbers);
            // Warm-up: its result is kept; its time only where repeating would take too long to matter.
            let stage = format!("prune and evaluate: {method} {rule}");
            let warm_up = Instant::now();
            let swept = self.control.stage(stage.trim_end(), points.len() as u64, "points", |watch| {
                sweep::evaluate(&mut trained.batch, test, &self.cell.selection, &points, watch)
            })?;
            let warm_up = warm_up.elapsed();
            let overheads = since(before, self.engine.overheads());
            let mut seconds = Vec::new();
            if warm_up > self.scope.repeat_within {
                seconds.push((warm_up.saturating_sub(overheads.build + overheads.transfer)).as_secs_f64());
            }
            let started = Instant::now();
            while seconds.is_empty()
                || (seconds.len() < REPETITIONS && started.elapsed() + warm_up <= self.scope.repeat_within)
            {
                let start = Instant::now();
                let points = of_method(method, rule == FROZEN_FIRST, numbers);
                sweep::evaluate(&mut trained.batch, test, &self.cell.selection, &points, &self.control.silent())?;
                seconds.push(start.elapsed().as_secs_f64());
            }
            let sort_count_s = match method {
                Method::Stability => counted.sort_s + counted.count_s,
                Method::Settle | Method::Hold | Method::MagnitudeFrozenFirst => counted.envelope_s,
                _ => 0.0,
            };
            let row = LedgerRow {
                method,
                rule: rule.into(),
                operating_points: (points.len() / replicates) as u32,
                distinct_points: swept.distinct as f64 / replicates as f64,
                train_s: trained.times.train.as_secs_f64()
                    - (training_overheads.build + training_overheads.transfer).as_secs_f64(),
                record_s: Some(trained.times.record.as_secs_f64()),
                sort_count_s: Some(sort_count_s),
                prune_evaluate_s: seconds.iter().sum::<f64>() / seconds.len() as f64,
                build_s: (training_overheads.build + overheads.build).as_secs_f64(),
                transfer_s: (training_overheads.transfer + overheads.transfer).as_secs_f64(),
                resumed: trained.resumed,
                ..LedgerRow::default()
            };
            self.measured.push((row, seconds.iter().map(|s| s * 1e3 / swept.distinct as f64).collect()));
            let context = self.context(configuration.epochs);
            let rows: Vec<SweepRow> = points
                .iter()
                .zip(swept.evaluations)
                .map(|(point, evaluation)| {
                    let frozen = frozen_weights(&counted.envelope, point.replica);
                    context.point_row(method, rule, point, frozen, evaluation)
                })
                .collect();
            self.rows.extend(rows);
        }
        Ok(())
    }

    /// Chooses a window for settle and for hold by mean accuracy on the training set at the sparsities of the accuracy
    /// table, and repeats the rows of that window under the rule [`CHOSEN_IN_TRAINING`].
    fn chosen_windows(&mut self, batch: &mut Batch, training: DataHandle, numbers: &Numbers<'_>) -> Result<()> {
        let weight_count = self.cell.architecture.weight_count();
        let left = TABLE_SPARSITIES.map(|sparsity| weight_count - removed_weights(sparsity, weight_count));
        let rule = self.configuration.headline_rule();
        for method in [Method::Settle, Method::Hold] {
            let mut points = of_method(method, rule == FROZEN_FIRST, numbers);
            points.retain(|point| left.contains(&point.kept.iter().filter(|&&kept| kept).count()));
            let stage = format!("choose a window for {method} in training");
            let swept = self.control.stage(&stage, points.len() as u64, "points", |watch| {
                sweep::evaluate(batch, training, &self.cell.selection, &points, watch)
            })?;
            let mut correct: BTreeMap<u32, u64> = BTreeMap::new();
            for (point, evaluation) in points.iter().zip(&swept.evaluations) {
                *correct.entry(point.window.unwrap_or_default()).or_default() += u64::from(evaluation.correct);
            }
            // Of equals the longest window.
            let chosen = correct.iter().max_by_key(|&(_, &correct)| correct).map(|(&window, _)| window);
            let own = |row: &&SweepRow| row.method == method && row.rule == rule && row.window == chosen;
            let repeated: Vec<SweepRow> = self
                .rows
                .iter()
                .filter(own)
                .map(|row| SweepRow { rule: CHOSEN_IN_TRAINING.into(), ..row.clone() })
                .collect();
            self.rows.extend(repeated);
        }
        Ok(())
    }

    /// Times the evaluation of the dense networks and of the same with the smallest weights set to zero, alternating, so that
    /// whatever else the machine does meets all alike. The networks of `batch` are afterwards as they were.
    fn inference(&mut self, batch: &mut Batch, test: DataHandle) -> Result<Vec<InferenceRow>> {
        let weight_count = self.cell.architecture.weight_count();
        let trained = batch.weights(&self.cell.selection)?;
        let removed: Vec<usize> =
            [0.0].into_iter().chain(TABLE_SPARSITIES).map(|sparsity| removed_weights(sparsity, weight_count)).collect();
        let networks: Vec<Vec<f32>> = removed
            .iter()
            .map(|&removed| trained.chunks_exact(weight_count).flat_map(|weights| pruned(weights, removed)).collect())
            .collect();
        let replicates = f64::from(self.configuration.replicates);
        let mut times = vec![Vec::new(); networks.len()];
        let started = Instant::now();
        for _ in 0..REPETITIONS {
            for (networks, times) in networks.iter().zip(&mut times) {
                batch.set_weights(&self.cell.selection, networks)?;
                let start = Instant::now();
                batch.evaluate(test, &self.control.silent())?;
                times.push(start.elapsed().as_secs_f64() * 1e3 / replicates);
            }
            if started.elapsed() > self.scope.repeat_within {
                break;
            }
        }
        batch.set_weights(&self.cell.selection, &trained)?;
        let summaries: Vec<Summary> = times.iter().filter_map(|times| Summary::of(times)).collect();
        let rows = removed.into_iter().zip(&summaries).map(|(removed, summary)| InferenceRow {
            method: if removed == 0 { Method::Dense } else { Method::Magnitude },
            model: self.cell.model().into(),
            data_set: self.cell.data_set.clone(),
            replicates: self.configuration.replicates,
            sparsity: removed as f64 / weight_count as f64,
            images: self.cell.split.test.samples(),
            milliseconds: summary.mean,
            milliseconds_sd: summary.sd,
            ratio_to_dense: summary.mean / summaries[0].mean,
        });
        Ok(rows.collect())
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

fn frozen_weights(envelope: &WindowedEnvelope, replica: usize) -> usize {
    envelope.frozen_of_replica(replica).iter().filter(|&&frozen| frozen).count()
}

/// SHA-256 of the parameters of all replicas.
pub fn hash_parameters(replicas: impl IntoIterator<Item = impl AsRef<[f32]>>) -> String {
    let mut hash = NumberHash::default();
    replicas.into_iter().for_each(|parameters| hash.add(parameters.as_ref()));
    hash.finish()
}

/// The weights of a focus layer without the `removed` smallest.
fn pruned(weights: &[f32], removed: usize) -> Vec<f32> {
    let magnitudes: Vec<f32> = weights.iter().map(|weight| weight.abs()).collect();
    let mask = RemovalOrder::smallest_first(&magnitudes).mask(removed);
    weights.iter().zip(mask.iter()).map(|(&weight, &kept)| if kept { weight } else { 0.0 }).collect()
}
