//! Criteria and controls that prune trained networks without retraining, on some of their layers.

use super::accuracy::TABLE_SPARSITIES;
use super::comparison::{CellComparison, REPETITIONS, since};
use super::ledger::LedgerRow;
use super::part::{Cost, Part, TrainedNetworks};
use crate::engine::{Batch, DataHandle, Evaluation};
use crate::error::Result;
use crate::pruning::masks::removed_weights;
use crate::pruning::operating_points::{
    CHOSEN_IN_TRAINING, FROZEN_FIRST, FROZEN_KEPT, Numbers, OperatingPoint, of_method,
};
use crate::pruning::sweep::RowContext;
use crate::pruning::{Method, Repair, SweepRow, sweep};
use std::collections::BTreeMap;
use std::time::Instant;

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
    pub(super) fn criteria(
        &mut self,
        networks: &mut TrainedNetworks,
        part: &Part<'_>,
        numbers: &Numbers<'_>,
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
            let points = || Ok(of_method(method, rule == FROZEN_FIRST, numbers));
            self.criterion(networks, part, (method, rule), &points, None)?;
        }
        Ok(())
    }

    /// Evaluates the points of one method, again and again for its time, and takes in rows and cost.
    pub(super) fn criterion(
        &mut self,
        networks: &mut TrainedNetworks,
        part: &Part<'_>,
        (method, rule): (Method, &str),
        points: &dyn Fn() -> Result<Vec<OperatingPoint>>,
        calibrate_s: Option<f64>,
    ) -> Result<()> {
        let test = networks.test;
        let before = self.engine.overheads();
        let found = points()?;
        // Warm-up: its result is kept; its time only where repeating would take too long to matter.
        let stage = format!("prune and evaluate{}: {method} {rule}", self.of(part));
        let warm_up = Instant::now();
        let swept = self.control.stage(stage.trim_end(), found.len() as u64, "points", |watch| {
            sweep::evaluate(&mut networks.trained.batch, test, part.selection, &found, watch)
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
            let points = points()?;
            sweep::evaluate(&mut networks.trained.batch, test, part.selection, &points, &self.control.silent())?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        let cost = Cost { points: found.len(), distinct: swept.distinct, calibrate_s, seconds, overheads };
        self.charge(networks, part, (method, rule, Repair::Cut), cost);
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

    /// ` of all layers`, where it is not the focus layer.
    pub(super) fn of(&self, part: &Part<'_>) -> String {
        if part.layers == crate::pruning::FOCUS { String::new() } else { format!(" of layers {}", part.layers) }
    }

    /// Charges a method what it took.
    pub(super) fn charge(
        &mut self,
        networks: &TrainedNetworks,
        part: &Part<'_>,
        (method, rule, repair): (Method, &str, Repair),
        cost: Cost,
    ) {
        let TrainedNetworks { trained, overheads: training_overheads, .. } = networks;
        let Cost { points, distinct, calibrate_s, seconds, overheads } = cost;
        let replicates = self.configuration.replicates as usize;
        let sort_count_s = match method {
            Method::Stability => part.counted.sort_s + part.counted.count_s,
            Method::Settle | Method::Hold | Method::HoldInput | Method::HoldSurgeon | Method::MagnitudeFrozenFirst => {
                part.counted.envelope_s
            }
            _ => 0.0,
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
            prune_evaluate_s: seconds.iter().sum::<f64>() / seconds.len() as f64,
            build_s: (training_overheads.build + overheads.build).as_secs_f64(),
            transfer_s: (training_overheads.transfer + overheads.transfer).as_secs_f64(),
            resumed: trained.resumed,
            ..LedgerRow::default()
        };
        self.measured.push((row, seconds.iter().map(|s| s * 1e3 / distinct as f64).collect()));
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
