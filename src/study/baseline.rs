//! The baseline in a comparison: exponential decay, which trains anew for each target, timed in both ways.

use super::comparison::{CellComparison, since};
use super::ledger::LedgerRow;
use super::numbers::percent;
use crate::engine::{DataHandle, Evaluation, Overheads, Replica};
use crate::error::{Error, Result};
use crate::pruning::Method;
use crate::pruning::decay::{Rule, Schedule};
use crate::pruning::masks::removed_weights;
use crate::training::{NumberHash, Plan, train};
use sha2::{Digest as _, Sha256};
use std::time::Instant;

/// One run of exponential decay by one rule towards one or more targets.
struct DecayRun {
    train_s: f64,
    evaluate_s: f64,
    overheads: Overheads,
    resumed: bool,
    evaluations: Vec<Evaluation>,
    /// Of everything that training has changed, for each slot: of large networks the replicas of all targets would be more
    /// than all else together.
    digests: Vec<Digest>,
}

/// SHA-256 of a replica.
type Digest = [u8; 32];

fn digest(replica: &Replica<f32>) -> Digest {
    let Replica { parameters, m, v, mask, sums: _ } = replica;
    let mut digest = Sha256::new();
    [parameters, m, v].into_iter().for_each(|array| digest.update(bytemuck::cast_slice::<f32, u8>(array)));
    digest.update(bytemuck::cast_slice::<u32, u8>(mask));
    digest.finalize().into()
}

impl CellComparison<'_> {
    /// Exponential decay by every rule asked for. Returns the hash of all final parameters.
    pub(super) fn exponential_decay(&mut self, test: DataHandle) -> Result<String> {
        let mut parameters = NumberHash::default();
        if !self.configuration.ed_targets.is_empty() {
            for &rule in self.configuration.ed_rule.rules() {
                self.decay_by_rule(rule, test, &mut parameters)?;
            }
        }
        Ok(parameters.finish())
    }

    /// One target after the other, then, if asked for, all targets and replicas in one batch; both give equal bits, or this
    /// fails. The final parameters `[target, replica]` are added to `parameters`.
    fn decay_by_rule(&mut self, rule: Rule, test: DataHandle, parameters: &mut NumberHash) -> Result<()> {
        let targets = self.configuration.ed_targets.clone();
        let one_by_one: Vec<DecayRun> = targets
            .iter()
            .map(|&target| {
                let stage = format!("exponential decay, {}, to {}", rule.name(), percent(target));
                let session = format!("ed-{}-{target}", rule.name());
                self.decay(rule, &[target], test, [&session, &stage], &mut |own| parameters.add(own))
            })
            .collect::<Result<_>>()?;
        let session = format!("ed-{}-batched", rule.name());
        let stage = format!("exponential decay, {}, all targets in one batch", rule.name());
        let together = match self.scope.decays_together {
            true => Some(self.decay(rule, &targets, test, [&session, &stage], &mut |_| {})?),
            false => None,
        };
        let sequential: Vec<Evaluation> = one_by_one.iter().flat_map(|run| run.evaluations.clone()).collect();
        let digests: Vec<Digest> = one_by_one.iter().flat_map(|run| run.digests.clone()).collect();
        let differs = |run: &DecayRun| sequential != run.evaluations || digests != run.digests;
        if together.as_ref().is_some_and(differs) {
            return Err(Error::Job(
                "exponential decay gave other weights in one batch than one target after the other; this is a defect, \
                 please report it"
                    .into(),
            ));
        }
        let replicates = self.configuration.replicates as usize;
        let weight_count = self.cell.architecture.weight_count();
        let context = self.context(self.configuration.ed_epochs);
        let first_rule = self.configuration.ed_rule.rules()[0] == rule;
        let mut rows = Vec::new();
        let methods = [Some(Method::DecaySequential), together.as_ref().map(|_| Method::DecayBatched)];
        for method in methods.into_iter().flatten() {
            for (slot, &evaluation) in sequential.iter().enumerate() {
                let removed = removed_weights(targets[slot / replicates], weight_count);
                let replica = (slot % replicates) as u32;
                rows.push(context.row(method, rule.name(), replica, weight_count - removed, 0, evaluation));
                // The target 0 is the dense net of as many epochs, the same by every rule.
                if removed == 0 && method == Method::DecaySequential && first_rule {
                    rows.push(context.row(Method::Dense, "", replica, weight_count, 0, evaluation));
                }
            }
        }
        self.rows.extend(rows);
        let per_point = |run: &DecayRun| (run.train_s + run.evaluate_s) * 1e3 / replicates as f64;
        let marginals = one_by_one.iter().map(per_point).collect();
        self.measure_decay(rule, Method::DecaySequential, &one_by_one, marginals);
        if let Some(together) = together {
            self.measure_decay(rule, Method::DecayBatched, &[together], Vec::new());
        }
        Ok(())
    }

    fn measure_decay(&mut self, rule: Rule, method: Method, runs: &[DecayRun], repetitions_ms: Vec<f64>) {
        let sum = |part: fn(&DecayRun) -> f64| runs.iter().map(part).sum::<f64>();
        let points = self.configuration.ed_targets.len();
        let row = LedgerRow {
            method,
            rule: rule.name().into(),
            operating_points: points as u32,
            distinct_points: points as f64,
            train_s: sum(|run| run.train_s),
            prune_evaluate_s: sum(|run| run.evaluate_s),
            build_s: sum(|run| run.overheads.build.as_secs_f64()),
            transfer_s: sum(|run| run.overheads.transfer.as_secs_f64()),
            resumed: runs.iter().any(|run| run.resumed),
            ..LedgerRow::default()
        };
        self.measured.push((row, repetitions_ms));
    }

    /// Trains all replicas towards some targets, side by side: slots are `[target, replica]`. The checkpoint is called
    /// `session`, the work `stage`; `take` gets the parameters of each slot.
    fn decay(
        &mut self,
        rule: Rule,
        targets: &[f64],
        test: DataHandle,
        [session, stage]: [&str; 2],
        take: &mut dyn FnMut(&[f32]),
    ) -> Result<DecayRun> {
        let before = self.engine.overheads();
        let configuration = self.configuration;
        let training = self.engine.load(&self.cell.split.training)?;
        let steps = self.cell.steps(configuration);
        let weight_count = self.cell.architecture.weight_count();
        let schedule = |target: f64| Schedule::new(rule, target, weight_count, configuration.ed_epochs, steps);
        let ids = self.replica_ids;
        let slots = || targets.iter().flat_map(|&target| ids.iter().map(move |&id| (target, id)));
        let schedules: Vec<_> = slots().map(|(target, _)| schedule(target)).collect();
        let replica_ids: Vec<u32> = slots().map(|(_, id)| id).collect();
        let plan = Plan {
            epochs: configuration.ed_epochs,
            schedules: &schedules,
            record: false,
            ..self.cell.plan(training, configuration, &replica_ids)
        };
        let total = steps * u64::from(configuration.ed_epochs) * replica_ids.len() as u64;
        let engine = &mut *self.engine;
        let checkpoints = self.folder.checkpoints(session)?;
        let control = self.control;
        let mut trained = control.stage(stage, total, "replica-steps", |watch| {
            train(engine, &plan, Some(&checkpoints), watch, &|text| control.progress.notice(text))
        })?;
        let start = Instant::now();
        let evaluations = trained.batch.evaluate(test, &control.silent())?;
        let evaluate_s = start.elapsed().as_secs_f64();
        let mut digests = Vec::new();
        trained.batch.visit_replicas(&mut |replica| {
            take(&replica.parameters);
            digests.push(digest(&replica));
            Ok(())
        })?;
        let overheads = since(before, self.engine.overheads());
        Ok(DecayRun {
            train_s: (trained.times.train.as_secs_f64() - (overheads.build + overheads.transfer).as_secs_f64())
                .max(0.0),
            evaluate_s,
            overheads,
            resumed: trained.resumed,
            evaluations,
            digests,
        })
    }
}
