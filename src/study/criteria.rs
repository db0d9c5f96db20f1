//! Criteria and controls that prune trained networks without retraining, on some of their layers.

use super::comparison::{CellComparison, REPETITIONS, since};
use super::part::{Again, Blocks, Cost, Part, Repeated};
use crate::clock::{Turns, by_turns, seconds};
use crate::engine::{Batch, DataHandle, Evaluation, Overheads, Watch};
use crate::error::Result;
use crate::pruning::masks::removed_weights;
use crate::pruning::operating_points::{
    CHOSEN_IN_TRAINING, FROZEN_FIRST, FROZEN_KEPT, Numbers, OperatingPoint, of_method,
};
use crate::pruning::sweep::RowContext;
use crate::pruning::{Method, Repair, SweepRow, sweep};
use crate::results::accuracy::TABLE_SPARSITIES;
use crate::results::ledger::LedgerRow;
use crate::statistics::mean;
use crate::statistics::spread::Spread;
use crate::training::Trained;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long all blocks of a part may take together, in units of what is waited for one method.
const METHODS: u32 = 6;
/// Turns of a method that takes too long to have its turn with the others.
const SLOW_REPETITIONS: usize = 3;

impl CellComparison<'_> {
    /// What rows of a part have in common.
    pub(super) fn context<'b>(&'b self, part: &'b Part<'_>, epochs: u32) -> RowContext<'b> {
        RowContext {
            architecture: &self.cell.architecture,
            data_set: &self.cell.data_set,
            epochs,
            layers: part.layers,
            selection: part.selection,
            scope: part.scope,
        }
    }

    /// The nets as trained; `rule` tells which weights of the training these are.
    pub(super) fn dense(&mut self, part: &Part<'_>, rule: &str, evaluations: &[Evaluation]) {
        let context = self.context(part, self.configuration.epochs);
        let row = |(replica, &evaluation): (u32, &Evaluation)| {
            context.counted(Method::Dense, rule, replica, 0, 0, part.frozen(replica as usize), evaluation)
        };
        let rows: Vec<SweepRow> = (0..).zip(evaluations).map(row).collect();
        self.rows.extend(rows);
    }

    /// Evaluates the networks of a batch on the test set.
    pub(super) fn evaluate_dense(&mut self, batch: &mut Batch, test: DataHandle) -> Result<Vec<Evaluation>> {
        let images = self.cell.split.test.samples() as u64 * u64::from(self.configuration.replicates);
        self.control.stage("evaluate the dense nets", images, "images", |watch| batch.evaluate(test, watch))
    }

    /// Every criterion and control of one layer that needs nothing but what was recorded, at every setting.
    pub(super) fn criteria<'p>(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &'p Part<'p>,
        numbers: &'p Numbers<'p>,
        training_overheads: Overheads,
        blocks: &mut Blocks<'p, Self>,
    ) -> Result<()> {
        let headline = self.configuration.headline_rule();
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
        for (method, rule) in methods {
            let points = Box::new(move || Ok(of_method(method, rule == FROZEN_FIRST, numbers)));
            self.criterion(trained, test, part, (method, rule), points, training_overheads, None, blocks)?;
        }
        Ok(())
    }

    /// Evaluates the points of one method, and takes in rows and cost; its work is repeated with the other `blocks`.
    pub(super) fn criterion<'p>(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &'p Part<'p>,
        (method, rule): (Method, &str),
        points: Box<dyn Fn() -> Result<Vec<OperatingPoint>> + 'p>,
        training_overheads: Overheads,
        calibrate_s: Option<f64>,
        blocks: &mut Blocks<'p, Self>,
    ) -> Result<()> {
        let before = self.engine.overheads();
        let found = points()?;
        let stage = format!("prune and evaluate{}: {method} {rule}", self.of(part));
        let start = Instant::now();
        let swept = self.control.stage(stage.trim_end(), found.len() as u64, "points", |watch| {
            sweep::evaluate(&mut trained.batch, test, part.selection, &found, watch)
        })?;
        let once = start.elapsed();
        let overheads = since(before, self.engine.overheads());
        let cost = Cost { points: found.len(), distinct: swept.distinct, calibrate_s, once, overheads };
        self.charge(trained, part, (method, rule, Repair::Cut), cost, training_overheads);
        let again = move |comparison: &mut Self, batch: &mut Batch| {
            let silent = comparison.control.silent();
            Ok(seconds(|| sweep::evaluate(batch, test, part.selection, &points()?, &silent))?.1)
        };
        self.repeat(blocks, swept.distinct, once, Box::new(again));
        let images = calibrate_s.map(|_| self.calibration_images() as u32);
        let context = self.context(part, self.configuration.epochs);
        let rows: Vec<SweepRow> = found
            .iter()
            .zip(swept.evaluations)
            .map(|(point, evaluation)| SweepRow {
                calibration_images: images,
                ..context.point_row(method, rule, point, part.frozen(point.replica), evaluation)
            })
            .collect();
        self.rows.extend(rows);
        Ok(())
    }

    /// Takes in the method that was charged last, with so many points that differ and a first turn that took `once`.
    pub(super) fn repeat<'p>(
        &self,
        blocks: &mut Blocks<'p, Self>,
        distinct: usize,
        once: Duration,
        again: Again<'p, Self>,
    ) {
        if distinct > 0 {
            blocks.push(Repeated { place: self.measured.len() - 1, distinct, once, again });
        }
    }

    /// Measures what a point of each of these methods costs, in place of what its first turn took: quick methods in turn, then each
    /// slow one, which has few turns, beside magnitude stability.
    pub(super) fn in_turn(&mut self, batch: &mut Batch, blocks: Blocks<'_, Self>) -> Result<()> {
        let is_quick = |method: &Repeated<'_, Self>| method.once * REPETITIONS as u32 <= self.scope.repeat_within;
        let (mut quick, slow): (Blocks<'_, Self>, _) = blocks.into_iter().partition(is_quick);
        let within = self.scope.repeat_within * METHODS;
        let control = self.control;
        let total = quick.len() * (1 + REPETITIONS) + slow.len() * SLOW_REPETITIONS;
        control.stage("what a point costs, methods in turn", total as u64, "turns", |watch| {
            let turns = Turns { rounds: REPETITIONS, within, enough: 0.0 };
            let taken = by_turns(quick.len(), turns, |which| {
                watch.check()?;
                let taken = (quick[which].again)(self, batch);
                (watch.progress)(1);
                taken
            })?;
            for (method, seconds) in quick.iter().zip(taken) {
                self.take_turns(method, &seconds);
            }
            let is_stability =
                |method: &&mut Repeated<'_, Self>| self.measured[method.place].0.method == Method::Stability;
            let mut stability = quick.iter_mut().find(is_stability);
            let until = Instant::now() + within;
            for method in slow {
                self.turns_of_slow(batch, method, stability.as_deref_mut(), until, watch)?;
            }
            Ok(())
        })
    }

    /// The few turns of a slow method, each followed by one of magnitude stability if that is a quick one. They count if none would
    /// end after `until`.
    fn turns_of_slow(
        &mut self,
        batch: &mut Batch,
        mut method: Repeated<'_, Self>,
        mut stability: Option<&mut Repeated<'_, Self>>,
        until: Instant,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let (mut own, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..SLOW_REPETITIONS {
            if Instant::now() + method.once > until {
                return Ok(());
            }
            watch.check()?;
            let seconds = (method.again)(self, batch)?;
            own.push(seconds);
            if let Some(stability) = stability.as_deref_mut() {
                // What the slow method has driven out of the caches is read again first.
                (stability.again)(self, batch)?;
                let beside = (stability.again)(self, batch)? / stability.distinct as f64;
                ratios.push(seconds / method.distinct as f64 / beside);
            }
            (watch.progress)(1);
        }
        self.take_turns(&method, &own);
        self.measured[method.place].0.beside_stability(Spread::of(&ratios));
        Ok(())
    }

    fn take_turns(&mut self, method: &Repeated<'_, Self>, seconds: &[f64]) {
        let (row, blocks_ms) = &mut self.measured[method.place];
        row.prune_evaluate_s = mean(seconds);
        *blocks_ms = seconds.iter().map(|seconds| seconds * 1e3 / method.distinct as f64).collect();
    }

    /// ` of all layers`, where it is not the focus layer.
    pub(super) fn of(&self, part: &Part<'_>) -> String {
        if part.layers == crate::pruning::FOCUS { String::new() } else { format!(" of layers {}", part.layers) }
    }

    /// Charges a method what it took once.
    pub(super) fn charge(
        &mut self,
        trained: &Trained,
        part: &Part<'_>,
        (method, rule, repair): (Method, &str, Repair),
        cost: Cost,
        training_overheads: Overheads,
    ) {
        let Cost { points, distinct, calibrate_s, once, overheads } = cost;
        let seconds = once.saturating_sub(overheads.build + overheads.transfer).as_secs_f64();
        let replicates = self.configuration.replicates as usize;
        let counted = part.counted;
        let sort_count_s = if method == Method::Stability {
            counted.sort_s + counted.count_s
        } else if method.reads_history() {
            counted.envelope_s
        } else {
            0.0
        };
        let row = LedgerRow {
            method,
            rule: rule.into(),
            layers: part.layers.into(),
            repair,
            operating_points: (points / replicates) as u32,
            distinct_points: distinct as f64 / replicates as f64,
            train_s: trained.times.train.as_secs_f64()
                - (training_overheads.build + training_overheads.transfer).as_secs_f64(),
            record_s: Some(trained.times.record.as_secs_f64()),
            sort_count_s: Some(sort_count_s),
            calibrate_s,
            prune_evaluate_s: seconds,
            build_s: (training_overheads.build + overheads.build).as_secs_f64(),
            transfer_s: (training_overheads.transfer + overheads.transfer).as_secs_f64(),
            resumed: trained.resumed,
            ..LedgerRow::default()
        };
        self.measured.push((row, vec![seconds * 1e3 / distinct as f64]));
    }

    /// Chooses a window for settle and for hold by mean accuracy on the training set at the sparsities of the accuracy
    /// table, and repeats the rows of that window under the rule [`CHOSEN_IN_TRAINING`].
    pub(super) fn chosen_windows(
        &mut self,
        batch: &mut Batch,
        training: DataHandle,
        part: &Part<'_>,
        numbers: &Numbers<'_>,
    ) -> Result<()> {
        let weight_count = part.selection.weights();
        let left = TABLE_SPARSITIES.map(|sparsity| weight_count - removed_weights(sparsity, weight_count));
        let rule = self.configuration.headline_rule();
        for method in [Method::Settle, Method::Hold] {
            let mut points = of_method(method, rule == FROZEN_FIRST, numbers);
            points.retain(|point| left.contains(&point.kept.iter().filter(|&&kept| kept).count()));
            let stage = format!("choose a window for {method} in training");
            let swept = self.control.stage(&stage, points.len() as u64, "points", |watch| {
                sweep::evaluate(batch, training, part.selection, &points, watch)
            })?;
            let mut correct: BTreeMap<u32, u64> = BTreeMap::new();
            for (point, evaluation) in points.iter().zip(&swept.evaluations) {
                *correct.entry(point.window.unwrap_or_default()).or_default() += u64::from(evaluation.correct);
            }
            // Of equals the longest window.
            let chosen = correct.iter().max_by_key(|&(_, &correct)| correct).map(|(&window, _)| window);
            let own = |row: &&SweepRow| {
                row.method == method && row.rule == rule && row.window == chosen && *row.layers == *part.layers
            };
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
}
