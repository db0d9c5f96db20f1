//! What calibration images add to a comparison: scores that know the inputs, weights solved anew, and the surgeons.

use super::comparison::{CellComparison, REPETITIONS, since};
use super::configuration::PAPER_TOLERANCE;
use super::part::{Base, Calibrated, Cost, Part};
use super::survival::Survival;
use crate::engine::{DataHandle, Evaluation, Network, Overheads, Watch};
use crate::error::{Error, Result};
use crate::network::{self, Layer, ParameterLayout, Selection};
use crate::pruning::operating_points::{Numbers, OperatingPoint};
use crate::pruning::several_layers::{self, Request};
use crate::pruning::surgeon::holding_ratios;
use crate::pruning::surgery::{PrunedNetwork, StageTimes, Surgery};
use crate::pruning::sweep::RowContext;
use crate::pruning::{Method, Repair, Scope, SweepRow};
use crate::stability::envelope;
use crate::training::Trained;
use std::time::{Duration, Instant};

/// A network that was cut and solved anew, and the point that it stands for.
struct Solved {
    point: OperatingPoint,
    network: PrunedNetwork,
}

/// No measurement of calibrated points is repeated that would end later than this: solving takes long.
const REPEAT_WITHIN: Duration = Duration::from_secs(1);

impl CellComparison<'_> {
    /// How many images calibrate.
    pub(super) fn calibration_images(&self) -> usize {
        self.configuration.calibration_images.min(self.cell.split.training.samples())
    }

    /// Runs the calibration images through the networks of all replicas.
    pub(super) fn calibrate<'b>(
        &mut self,
        base: Base,
        parameters: &[Vec<f32>],
        features: &'b [f32],
    ) -> Result<Calibrated<'b>>
    where
        Self: 'b,
    {
        let start = Instant::now();
        let settings = self.configuration.surgery();
        let architecture = &self.cell.architecture;
        let engine = &*self.engine;
        let surgery = |parameters: &Vec<f32>| Surgery::new(engine, architecture, parameters, features, settings);
        let surgeries = parameters.iter().map(surgery).collect::<Result<_>>()?;
        Ok(Calibrated { base, surgeries, seconds: start.elapsed().as_secs_f64() })
    }

    /// Whether the weights of a part can be solved anew in a time worth waiting for; says so if not.
    pub(super) fn can_solve(&self, part: &Part<'_>, calibrated: &Calibrated<'_>) -> bool {
        let layout = ParameterLayout::new(&self.cell.architecture);
        let layers: Vec<usize> = part.selection.parts().iter().map(|own| Layer::of_part(&layout, own)).collect();
        let found = calibrated.surgeries.first().map_or(Ok(()), |surgery| surgery.check_work(&layers));
        if let Err(error) = &found {
            let name = self.cell.name();
            self.control.progress.notice(&format!("{name}, layers {}: no surgeon and no refit: {error}", part.layers));
        }
        found.is_ok()
    }

    /// For each replica and part of a selection the norms of its inputs.
    fn input_norms(&self, calibrated: &Calibrated<'_>, part: &Part<'_>) -> Result<Vec<Vec<Vec<f32>>>> {
        let layout = ParameterLayout::new(&self.cell.architecture);
        let layers = || part.selection.parts().iter().map(|own| Layer::of_part(&layout, own));
        let of_replica =
            |surgery: &Surgery<'_>| layers().map(|layer| surgery.input_norms(self.engine, layer)).collect();
        calibrated.surgeries.iter().map(of_replica).collect()
    }

    /// What is asked of a score at these numbers of removed weights.
    fn request<'b>(&self, method: Method, part: &Part<'_>, removed: &'b [usize]) -> Request<'b> {
        let tolerances = &self.configuration.tolerance;
        let papers = tolerances.iter().find(|&&tolerance| tolerance == PAPER_TOLERANCE);
        Request {
            method,
            scope: part.scope,
            window: envelope::headline_window(self.configuration.epochs),
            tolerance: papers.or(tolerances.first()).copied().unwrap_or(PAPER_TOLERANCE),
            frozen_first: !self.configuration.keep_frozen,
            removed,
        }
    }

    /// Criteria at these numbers of removed weights, cut and nothing else.
    pub(super) fn cut_at(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        numbers: &Numbers<'_>,
        (methods, calibrated): (&[Method], &Calibrated<'_>),
        removed: &[usize],
        training_overheads: Overheads,
    ) -> Result<()> {
        let start = Instant::now();
        let norms = self.input_norms(calibrated, part)?;
        let calibrate_s = calibrated.seconds + start.elapsed().as_secs_f64();
        for &method in methods {
            let request = self.request(method, part, removed);
            let reads_inputs = matches!(method, Method::Wanda | Method::HoldInput);
            let rule = if matches!(method, Method::Settle | Method::Hold | Method::HoldInput) {
                self.configuration.headline_rule()
            } else {
                ""
            };
            let points = || several_layers::points(&request, numbers, part.selection, &norms);
            let calibrate_s = reads_inputs.then_some(calibrate_s);
            self.criterion(trained, test, part, (method, rule), &points, training_overheads, calibrate_s)?;
        }
        Ok(())
    }

    /// The same with what is left solved anew.
    pub(super) fn refit_at(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        numbers: &Numbers<'_>,
        (methods, calibrated): (&[Method], &Calibrated<'_>),
        removed: &[usize],
        training_overheads: Overheads,
    ) -> Result<()> {
        let norms = self.input_norms(calibrated, part)?;
        for &method in methods {
            let request = self.request(method, part, removed);
            let points = several_layers::points(&request, numbers, part.selection, &norms)?;
            let mut solve = |comparison: &mut Self, watch: &Watch<'_>| {
                let mut solved = Vec::with_capacity(points.len());
                for (replica, surgery) in calibrated.surgeries.iter().enumerate() {
                    let own: Vec<&OperatingPoint> = points.iter().filter(|point| point.replica == replica).collect();
                    let cuts = own.iter().map(|point| kept_by_layer(surgery, part.selection, &point.kept)).collect();
                    let first = part.selection.first_layer();
                    let networks = surgery.refit_cuts(comparison.engine, first, cuts, &silenced(watch))?;
                    let pairs = own.into_iter().zip(networks);
                    solved.extend(pairs.map(|(point, network)| Solved { point: point.clone(), network }));
                    (watch.progress)(1);
                }
                Ok(solved)
            };
            let what = (method, "", calibrated.base);
            self.solved(trained, test, part, what, calibrated.seconds, &mut solve, training_overheads)?;
        }
        Ok(())
    }

    /// The surgeons on one layer: an order for each replica, cut at these numbers of removed weights.
    pub(super) fn surgeons_of_layer(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        calibrated: &Calibrated<'_>,
        removed: &[usize],
        training_overheads: Overheads,
    ) -> Result<()> {
        let layer = part.selection.first_layer();
        for method in [Method::HoldSurgeon, Method::Surgeon] {
            let start = Instant::now();
            let stage = format!("paths{}: {method}, {} weights", self.of(part), calibrated.base.name());
            let units: u64 = calibrated.surgeries.iter().map(|surgery| surgery.units(&[layer]) as u64).sum();
            let control = self.control;
            let orders = control.stage(&stage, units, "units", |watch| {
                let order = |(replica, surgery): (usize, &Surgery<'_>)| {
                    let ratios = self.holding(part, replica, method);
                    surgery.order(self.engine, surgery.dense(), &[layer], ratios.as_deref(), watch)
                };
                calibrated.surgeries.iter().enumerate().map(order).collect::<Result<Vec<_>>>()
            })?;
            let calibrate_s = calibrated.seconds + start.elapsed().as_secs_f64();
            let window = (method == Method::HoldSurgeon).then(|| envelope::headline_window(self.configuration.epochs));
            let mut solve = |comparison: &mut Self, watch: &Watch<'_>| {
                let mut solved = Vec::new();
                for (replica, (surgery, order)) in calibrated.surgeries.iter().zip(&orders).enumerate() {
                    let cut = |&removed: &usize| {
                        let mut network = surgery.dense().clone();
                        surgery.cut(&mut network, &[layer], order, part.selection.weights() - removed);
                        network.kept
                    };
                    let cuts: Vec<_> = removed.iter().map(cut).collect();
                    let networks = surgery.refit_cuts(comparison.engine, layer, cuts, &silenced(watch))?;
                    solved.extend(networks.into_iter().map(|network| Solved {
                        point: OperatingPoint { replica, window, ..OperatingPoint::default() },
                        network,
                    }));
                    (watch.progress)(1);
                }
                Ok(solved)
            };
            let what = (method, calibrated.base.name(), calibrated.base);
            self.solved(trained, test, part, what, calibrate_s, &mut solve, training_overheads)?;
        }
        Ok(())
    }

    /// The surgeons on several layers, one size after the other.
    pub(super) fn surgeons_in_stages(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        (methods, calibrated): (&[Method], &Calibrated<'_>),
        sizes: &[f64],
        training_overheads: Overheads,
    ) -> Result<()> {
        let layout = ParameterLayout::new(&self.cell.architecture);
        let layers: Vec<usize> = part.selection.parts().iter().map(|own| Layer::of_part(&layout, own)).collect();
        for &method in methods {
            let stage = format!("cut in stages{}: {method}, {} weights", self.of(part), calibrated.base.name());
            let window = (method == Method::HoldSurgeon).then(|| envelope::headline_window(self.configuration.epochs));
            let control = self.control;
            let total = (calibrated.surgeries.len() * sizes.len()) as u64;
            let before = self.engine.overheads();
            let (mut solved, mut times) = (Vec::new(), StageTimes::default());
            let mut survival = Survival::new(&self.cell.architecture, calibrated.surgeries.len(), sizes);
            control.stage(&stage, total, "sizes", |watch| {
                for (replica, surgery) in calibrated.surgeries.iter().enumerate() {
                    let ratios = self.holding(part, replica, method);
                    let mut take = |network: &PrunedNetwork| {
                        let point = OperatingPoint { replica, window, ..OperatingPoint::default() };
                        survival.add(replica, &network.kept);
                        solved.push(Solved { point, network: network.clone() });
                        (watch.progress)(1);
                        Ok(())
                    };
                    let silent = silenced(watch);
                    let kept = sizes.iter().map(|&size| surgery.kept_at(&layers, size)).collect::<Result<Vec<_>>>()?;
                    let own = surgery.in_stages(self.engine, &layers, &kept, ratios.as_deref(), &silent, &mut take)?;
                    times.paths += own.paths;
                    times.refit += own.refit;
                }
                Ok::<(), Error>(())
            })?;
            if method == Method::HoldSurgeon {
                // Mean weights, which come last where there are any, take the place of the last ones.
                self.survival = Some(survival);
            }
            let start = Instant::now();
            let evaluations = self.evaluate_solved(trained, test, part, calibrated.base, &solved, &control.silent())?;
            let cost = Cost {
                points: solved.len(),
                distinct: solved.len(),
                calibrate_s: Some(calibrated.seconds + times.paths.as_secs_f64()),
                seconds: vec![times.refit.as_secs_f64() + start.elapsed().as_secs_f64()],
                overheads: since(before, self.engine.overheads()),
            };
            let rule = calibrated.base.name();
            self.charge(trained, part, (method, rule, Repair::Refit), cost, training_overheads);
            self.solved_rows(part, (method, rule), &solved, &evaluations);
        }
        Ok(())
    }

    /// What the holding surgeon multiplies the weights of each layer by; nothing for the plain one.
    fn holding(&self, part: &Part<'_>, replica: usize, method: Method) -> Option<Vec<Vec<f32>>> {
        let found = &part.counted.envelope;
        let headline = envelope::headline_window(self.configuration.epochs);
        let window = found.windows.iter().position(|&window| window == headline).unwrap_or(0);
        let weight_count = part.selection.weights();
        let last = &part.history.reference()[replica * weight_count..][..weight_count];
        let all = holding_ratios(found.holding_magnitude(window, replica), last);
        let own = |own: &network::Part| all[own.start..own.start + own.weights()].to_vec();
        (method == Method::HoldSurgeon).then(|| part.selection.parts().iter().map(own).collect())
    }

    /// Evaluates what `solve` gives, again and again for its time, and takes in rows and cost.
    fn solved(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        (method, rule, base): (Method, &str, Base),
        calibrate_s: f64,
        solve: &mut dyn FnMut(&mut Self, &Watch<'_>) -> Result<Vec<Solved>>,
        training_overheads: Overheads,
    ) -> Result<()> {
        let before = self.engine.overheads();
        let control = self.control;
        let stage = format!("solve anew and evaluate{}: {method}, {} weights", self.of(part), base.name());
        let warm_up = Instant::now();
        let replicas = u64::from(self.configuration.replicates);
        let (solved, evaluations) = control.stage(&stage, 2 * replicas, "networks", |watch| {
            let solved = solve(self, watch)?;
            let evaluations = self.evaluate_solved(trained, test, part, base, &solved, &silenced(watch))?;
            (watch.progress)(replicas);
            Ok::<_, Error>((solved, evaluations))
        })?;
        let warm_up = warm_up.elapsed();
        let overheads = since(before, self.engine.overheads());
        let mut seconds = vec![warm_up.saturating_sub(overheads.build + overheads.transfer).as_secs_f64()];
        let started = Instant::now();
        let within = REPEAT_WITHIN.min(self.scope.repeat_within);
        while seconds.len() < REPETITIONS && started.elapsed() + warm_up <= within {
            let start = Instant::now();
            let again = solve(self, &control.silent())?;
            self.evaluate_solved(trained, test, part, base, &again, &control.silent())?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        if seconds.len() > 1 {
            // The first turn warmed up.
            seconds.remove(0);
        }
        let (points, distinct) = (solved.len(), solved.len());
        let cost = Cost { points, distinct, calibrate_s: Some(calibrate_s), seconds, overheads };
        self.charge(trained, part, (method, rule, Repair::Refit), cost, training_overheads);
        self.solved_rows(part, (method, rule), &solved, &evaluations);
        Ok(())
    }

    fn evaluate_solved(
        &mut self,
        trained: &mut Trained,
        test: DataHandle,
        part: &Part<'_>,
        base: Base,
        solved: &[Solved],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        // Before the first layer that was cut the networks of the last weights are those of the batch.
        let first = if base == Base::Last { part.selection.first_layer() } else { 0 };
        let network = |solved: &Solved| Network {
            slot: solved.point.replica,
            parameters: solved.network.parameters.as_slice().into(),
        };
        trained.batch.sweep_networks(test, first, &solved.iter().map(network).collect::<Vec<_>>(), watch)
    }

    fn solved_rows(
        &mut self,
        part: &Part<'_>,
        (method, rule): (Method, &str),
        solved: &[Solved],
        evaluations: &[Evaluation],
    ) {
        let images = Some(self.calibration_images() as u32);
        let layout = ParameterLayout::new(&self.cell.architecture);
        // The surgeons choose among all weights that take part.
        let scope = if part.selection.parts().len() > 1 { Scope::Global } else { part.scope };
        let context = RowContext { scope, ..self.context(part, self.configuration.epochs) };
        let row = |(solved, &evaluation): (&Solved, &Evaluation)| {
            let Solved { point, network } = solved;
            let parts = part.selection.parts().iter();
            let kept: Vec<bool> = parts.flat_map(|own| &network.kept[Layer::of_part(&layout, own)]).copied().collect();
            let point = OperatingPoint { kept: kept.into(), ..point.clone() };
            let frozen = part.frozen(point.replica);
            SweepRow {
                repair: Repair::Refit,
                calibration_images: images,
                ..context.point_row(method, rule, &point, frozen, evaluation)
            }
        };
        let rows: Vec<SweepRow> = solved.iter().zip(evaluations).map(row).collect();
        self.rows.extend(rows);
    }
}

/// The same stop, told to nobody: parts of a unit are not counted.
fn silenced<'a>(watch: &Watch<'a>) -> Watch<'a> {
    Watch { stop: watch.stop, progress: &|_| {} }
}

/// For every layer which weights stay: of the selection as `kept` says, of the others all.
fn kept_by_layer(surgery: &Surgery<'_>, selection: &Selection, kept: &[bool]) -> Vec<Vec<bool>> {
    let mut by_layer = surgery.dense().kept.clone();
    for part in selection.parts() {
        by_layer[surgery.layer_of(part)].copy_from_slice(&kept[part.start..part.start + part.weights()]);
    }
    by_layer
}
