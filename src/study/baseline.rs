//! The baseline in a comparison: exponential decay, which trains anew for each target, timed in both ways.

use super::comparison::{CellComparison, since};
use super::part::Pace;
use crate::engine::{DataHandle, Evaluation, Overheads, Replica};
use crate::error::{Error, Result};
use crate::network::Selection;
use crate::numbers::percent;
use crate::pruning::decay::{Rule, Schedule};
use crate::pruning::masks::removed_weights;
use crate::pruning::sweep::RowContext;
use crate::pruning::{FOCUS, Method, Scope};
use crate::results::accuracy::are_several;
use crate::results::ledger::LedgerRow;
use crate::statistics::spread::Spread;
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
    /// For each slot which weights of the selection are not pruned.
    kept: Vec<Vec<bool>>,
}

/// What exponential decay is asked for.
struct Decayed<'a> {
    layers: &'a str,
    selection: &'a Selection,
    targets: &'a [f64],
    /// Whether targets are also trained one after the other.
    one_by_one: bool,
}

/// SHA-256 of a replica.
type Digest = [u8; 32];

fn digest(replica: &Replica<f32>, selection: &Selection) -> Digest {
    let Replica { parameters, m, v, mask, sums: _ } = replica;
    let mut digest = Sha256::new();
    [parameters, m, v].into_iter().for_each(|array| digest.update(bytemuck::cast_slice::<f32, u8>(array)));
    digest.update(bytemuck::cast_slice::<u32, u8>(&selection.gather(mask)));
    digest.finalize().into()
}

impl CellComparison<'_> {
    /// Exponential decay of a selection, called `layers`, by every rule asked for. Returns the hash of all final parameters.
    ///
    /// Targets of one layer are those of the configuration; of several layers those that make the whole network as small as
    /// the sizes of the table, all in one batch. `pace` is asked beside each target that is trained by itself, and given up before
    /// several are trained in one batch by the last rule.
    pub(super) fn exponential_decay(
        &mut self,
        layers: &str,
        selection: &Selection,
        test: DataHandle,
        pace: &mut Option<Pace<'_>>,
    ) -> Result<String> {
        let mut parameters = NumberHash::default();
        let configuration = self.configuration;
        let is_one = !are_several(layers);
        let targets = match is_one {
            _ if configuration.ed_targets.is_empty() => Vec::new(),
            true => configuration.ed_targets.clone(),
            false => {
                let share = |removed: usize| removed as f64 / selection.weights() as f64;
                self.removed_at_sizes(selection)?.into_iter().map(share).collect()
            }
        };
        let asked = Decayed { layers, selection, targets: &targets, one_by_one: is_one };
        if !targets.is_empty() {
            let rules = configuration.ed_rule.rules();
            for (left, &rule) in (0..rules.len()).rev().zip(rules) {
                self.decay_by_rule(rule, &asked, test, &mut parameters, (pace, left == 0))?;
            }
        }
        Ok(parameters.finish())
    }

    /// One target after the other, then, if asked for, all targets and replicas in one batch; both give equal bits, or this
    /// fails. The final parameters `[target, replica]` are added to `parameters`.
    fn decay_by_rule(
        &mut self,
        rule: Rule,
        asked: &Decayed<'_>,
        test: DataHandle,
        parameters: &mut NumberHash,
        (pace, is_last): (&mut Option<Pace<'_>>, bool),
    ) -> Result<()> {
        let &Decayed { layers, selection, targets, one_by_one } = asked;
        let (of, place) = match layers {
            FOCUS => (String::new(), String::new()),
            other => (format!(" of layers {other}"), format!("{}-", other.replace(',', "-"))),
        };
        let session = format!("ed-{place}{rule}-batched");
        let stage = format!("exponential decay{of}, {rule}, all targets in one batch");
        if !one_by_one {
            *pace = None;
            let names = [session.as_str(), stage.as_str()];
            let together = self.decay(rule, selection, targets, test, names, &mut |own| parameters.add(own))?;
            self.decay_rows(rule, asked, Method::DecayBatched, &together.evaluations, &together.kept);
            self.measure_decay(rule, asked, Method::DecayBatched, &[together], Vec::new(), &[]);
            return Ok(());
        }
        let (mut one_by_one, mut beside) = (Vec::new(), Vec::new());
        for &target in targets {
            let stage = format!("exponential decay{of}, {rule}, to {}", percent(target));
            let session = format!("ed-{place}{rule}-{target}");
            let take = &mut |own: &[f32]| parameters.add(own);
            one_by_one.push(self.decay(rule, selection, &[target], test, [&session, &stage], take)?);
            if let Some(pace) = pace {
                // What training has driven out of the caches is read again first.
                pace.milliseconds(&self.control.silent())?;
                beside.push(pace.milliseconds(&self.control.silent())?);
            }
        }
        if is_last {
            *pace = None;
        }
        let together = match self.scope.decays_together {
            true => Some(self.decay(rule, selection, targets, test, [&session, &stage], &mut |_| {})?),
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
        let kept: Vec<Vec<bool>> = one_by_one.iter().flat_map(|run| run.kept.clone()).collect();
        self.decay_rows(rule, asked, Method::DecaySequential, &sequential, &kept);
        if together.is_some() {
            self.decay_rows(rule, asked, Method::DecayBatched, &sequential, &kept);
        }
        let replicates = self.configuration.replicates as usize;
        let per_point = |run: &DecayRun| (run.train_s + run.evaluate_s) * 1e3 / replicates as f64;
        let marginals = one_by_one.iter().map(per_point).collect();
        self.measure_decay(rule, asked, Method::DecaySequential, &one_by_one, marginals, &beside);
        if let Some(together) = together {
            self.measure_decay(rule, asked, Method::DecayBatched, &[together], Vec::new(), &[]);
        }
        Ok(())
    }

    /// Rows of networks `[target, replica]`.
    fn decay_rows(
        &mut self,
        rule: Rule,
        asked: &Decayed<'_>,
        method: Method,
        evaluations: &[Evaluation],
        kept: &[Vec<bool>],
    ) {
        let &Decayed { layers, selection, targets, .. } = asked;
        let replicates = self.configuration.replicates as usize;
        let scope = if are_several(layers) { Scope::Global } else { Scope::Layer };
        let context = RowContext {
            architecture: &self.cell.architecture,
            data_set: &self.cell.data_set,
            epochs: self.configuration.ed_epochs,
            layers,
            selection,
            scope,
        };
        let first_rule = self.configuration.ed_rule.rules()[0] == rule;
        let mut rows = Vec::new();
        for (slot, (&evaluation, kept)) in evaluations.iter().zip(kept).enumerate() {
            let replica = (slot % replicates) as u32;
            rows.push(context.row(method, &rule.to_string(), replica, kept, 0, evaluation));
            // The target 0 is the dense net of as many epochs, the same by every rule.
            let is_dense = removed_weights(targets[slot / replicates], selection.weights()) == 0;
            if is_dense && method == Method::DecaySequential && first_rule {
                rows.push(context.row(Method::Dense, "", replica, kept, 0, evaluation));
            }
        }
        self.rows.extend(rows);
    }

    /// Takes in what runs have cost. `blocks_ms` is what a point of a replica has cost in each of them, `stability_ms` what one by
    /// magnitude stability has cost beside it.
    fn measure_decay(
        &mut self,
        rule: Rule,
        asked: &Decayed<'_>,
        method: Method,
        runs: &[DecayRun],
        blocks_ms: Vec<f64>,
        stability_ms: &[f64],
    ) {
        let sum = |part: fn(&DecayRun) -> f64| runs.iter().map(part).sum::<f64>();
        let points = asked.targets.len();
        let mut row = LedgerRow {
            method,
            rule: rule.to_string(),
            layers: asked.layers.into(),
            operating_points: points as u32,
            distinct_points: points as f64,
            train_s: sum(|run| run.train_s),
            prune_evaluate_s: sum(|run| run.evaluate_s),
            build_s: sum(|run| run.overheads.build.as_secs_f64()),
            transfer_s: sum(|run| run.overheads.transfer.as_secs_f64()),
            resumed: runs.iter().any(|run| run.resumed),
            ..LedgerRow::default()
        };
        row.beside_stability(Spread::of_ratios(&blocks_ms, stability_ms));
        self.measured.push((row, blocks_ms));
    }

    /// Trains all replicas towards some targets, side by side: slots are `[target, replica]`. The checkpoint is called
    /// `session`, the work `stage`; `take` gets the parameters of each slot.
    fn decay(
        &mut self,
        rule: Rule,
        selection: &Selection,
        targets: &[f64],
        test: DataHandle,
        [session, stage]: [&str; 2],
        take: &mut dyn FnMut(&[f32]),
    ) -> Result<DecayRun> {
        let before = self.engine.overheads();
        let configuration = self.configuration;
        let training = self.engine.load(&self.cell.split.training)?;
        let steps = self.cell.steps(configuration);
        let weight_count = selection.weights();
        let schedule = |target: f64| Schedule::new(rule, target, weight_count, configuration.ed_epochs, steps);
        let ids = self.replica_ids;
        let slots = || targets.iter().flat_map(|&target| ids.iter().map(move |&id| (target, id)));
        let schedules: Vec<_> = slots().map(|(target, _)| schedule(target)).collect();
        let replica_ids: Vec<u32> = slots().map(|(_, id)| id).collect();
        let plan = Plan {
            epochs: configuration.ed_epochs,
            schedules: &schedules,
            selection,
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
        let (mut digests, mut kept) = (Vec::new(), Vec::new());
        trained.batch.visit_replicas(&mut |replica| {
            take(&replica.parameters);
            digests.push(digest(&replica, selection));
            kept.push(selection.gather(&replica.mask).into_iter().map(|state| state != 0).collect());
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
            kept,
        })
    }
}
