//! What calibration images add to a comparison: scores that know the inputs, weights solved anew, and the surgeons.

use super::comparison::{CellComparison, CutBySize, since};
use super::part::{Asked, Calibrated, Cost, Part, Work};
use crate::clock::seconds;
use crate::engine::{Batch, DataHandle, Evaluation, Network, Watch};
use crate::error::{Error, Result};
use crate::network::{self, Layer, ParameterLayout};
use crate::pruning::calibrated::{CalibratedNetworks, Operated, Ratios};
use crate::pruning::masks::Mask;
use crate::pruning::operating_points::OperatingPoint;
use crate::pruning::score::Score;
use crate::pruning::several_layers::{self, Request};
use crate::pruning::surgeon::holding_ratios;
use crate::pruning::surgery::PrunedNetwork;
use crate::pruning::sweep::RowContext;
use crate::pruning::{Method, Repair, Scope, SweepRow};
use crate::run::configuration::PAPER_TOLERANCE;
use crate::run::recorded::Base;
use crate::run::survival::Survival;
use crate::run::ways::RecordedWays;
use crate::stability::envelope;
use std::rc::Rc;
use std::time::Instant;

/// A network that was cut and solved anew, and the point that it stands for.
struct Solved {
    point: OperatingPoint,
    network: PrunedNetwork,
}

impl<'c> CellComparison<'c> {
    /// How many images calibrate.
    pub(super) fn calibration_images(&self) -> usize {
        self.configuration.calibration_images.min(self.cell.split.training.samples())
    }

    /// Runs the calibration images through the networks of all replicas.
    pub(super) fn calibrate<'b>(
        &mut self,
        base: Base,
        parameters: &'b [Vec<f32>],
        features: &'b [f32],
    ) -> Result<Calibrated<'b>>
    where
        Self: 'b,
    {
        let start = Instant::now();
        let (architecture, settings) = (&self.cell.architecture, self.configuration.surgery());
        let networks = CalibratedNetworks::new(self.engine, architecture, parameters, features, settings)?;
        Ok(Calibrated { base, networks, parameters, features, seconds: start.elapsed().as_secs_f64() })
    }

    /// Whether the weights of a part can be solved anew in a time worth waiting for; says so if not.
    pub(super) fn can_solve(&self, part: &Part<'_>, calibrated: &Calibrated<'_>) -> bool {
        let found = calibrated.networks.check_work(part.selection);
        if let Err(error) = &found {
            let name = self.cell.name();
            self.control.progress.notice(&format!("{name}, layers {}: no surgeon and no refit: {error}", part.layers));
        }
        found.is_ok()
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
    pub(super) fn cut_at<'p>(&mut self, work: &mut Work<'_, 'p, Self>, asked: Asked<'p>) -> Result<()>
    where
        'c: 'p,
    {
        let Asked { part, numbers, calibrated, methods, removed, training_overheads } = asked;
        let start = Instant::now();
        let norms = Rc::new(calibrated.networks.norms(self.engine, part.selection)?);
        let calibrate_s = calibrated.seconds + start.elapsed().as_secs_f64();
        for &method in methods {
            let request = self.request(method, part, removed);
            let score = Score::of_method(method, request.window, false);
            let is_windowed = score.is_some_and(Score::needs_history);
            let rule = if is_windowed { self.configuration.headline_rule() } else { "" };
            let norms = Rc::clone(&norms);
            let points = Box::new(move || several_layers::points(&request, numbers, part.selection, &norms));
            let calibrate_s = score.is_some_and(Score::needs_norms).then_some(calibrate_s);
            let Work { ref mut trained, test, ref mut blocks } = *work;
            self.criterion(trained, test, part, (method, rule), points, training_overheads, calibrate_s, blocks)?;
        }
        Ok(())
    }

    /// The same with what is left solved anew.
    pub(super) fn refit_at<'p>(&mut self, work: &mut Work<'_, 'p, Self>, asked: Asked<'p>) -> Result<()>
    where
        'c: 'p,
    {
        let Asked { part, numbers, calibrated, methods, removed, .. } = asked;
        let norms = calibrated.networks.norms(self.engine, part.selection)?;
        for &method in methods {
            let request = self.request(method, part, removed);
            let points = several_layers::points(&request, numbers, part.selection, &norms)?;
            let mut cuts: Vec<Vec<Mask>> = vec![Vec::new(); self.configuration.replicates as usize];
            points.iter().for_each(|point| cuts[point.replica].push(point.kept.clone()));
            let solve = move |comparison: &mut Self, watch: &Watch<'_>| {
                let networks = calibrated.networks.refit(comparison.engine, part.selection, &cuts, 0, watch)?;
                // Points stand replica by replica.
                let solved = points.iter().zip(networks.into_iter().flatten());
                Ok(solved.map(|(point, network)| Solved { point: point.clone(), network }).collect())
            };
            self.solved(work, asked, (method, ""), calibrated.seconds, Box::new(solve))?;
        }
        Ok(())
    }

    /// The surgeons on one layer: a way for each replica, cut at these numbers of removed weights.
    pub(super) fn surgeons_of_layer<'p>(&mut self, work: &mut Work<'_, 'p, Self>, asked: Asked<'p>) -> Result<()>
    where
        'c: 'p,
    {
        let Asked { part, calibrated, methods, removed, .. } = asked;
        let (networks, base) = (&calibrated.networks, calibrated.base);
        for &method in methods {
            let start = Instant::now();
            let stage = format!("paths{}: {method}, {base} weights", self.of(part));
            let ratios = self.holding(part, method);
            let (layer, units) = (part.selection.first_layer(), networks.units(part.selection) as u64);
            let ways = self.control.stage(&stage, units, "units", |watch| {
                networks.ways_of_layer(self.engine, layer, ratios.as_ref(), watch)
            })?;
            let calibrate_s = calibrated.seconds + start.elapsed().as_secs_f64();
            let points: Vec<usize> = removed.iter().map(|&removed| part.selection.weights() - removed).collect();
            let known = ways.clone();
            let solve = move |comparison: &mut Self, watch: &Watch<'_>| {
                let counts = [&[0][..], &points];
                let silent = watch.silent();
                let operated =
                    networks.operate(comparison.engine, part.selection, counts, None, Some(&known), 0, &silent)?;
                (watch.progress)(u64::from(comparison.configuration.replicates));
                Ok(comparison.operated(method, operated))
            };
            self.solved(work, asked, (method, &base.to_string()), calibrate_s, Box::new(solve))?;
            let name = RecordedWays::name(part.layers, method, base);
            let origin = calibrated.origin(&self.cell.architecture, part.selection, self.configuration, self.engine);
            self.ways.push(RecordedWays::new(name, &origin, ratios.as_ref(), ways));
        }
        Ok(())
    }

    /// The surgeons on several layers, one size after the other.
    pub(super) fn surgeons_in_stages(
        &mut self,
        work: &mut Work<'_, '_, Self>,
        asked: Asked<'_>,
        sizes: &[f64],
    ) -> Result<()> {
        let Asked { part, calibrated, methods, training_overheads, .. } = asked;
        let (networks, base, replicas) = (&calibrated.networks, calibrated.base, self.configuration.replicates);
        let kept = sizes.iter().map(|&size| networks.kept_at(part.selection, size)).collect::<Result<Vec<_>>>()?;
        // Without polishing, and with it where that is asked for: a row of its own, and a line of the ledger.
        let polishes = [0, self.configuration.polish];
        let polishes = &polishes[..if self.configuration.polish == 0 { 1 } else { 2 }];
        for (&method, &polish) in methods.iter().flat_map(|method| polishes.iter().map(move |steps| (method, steps))) {
            let rule = if polish == 0 { base.to_string() } else { format!("{base} polished") };
            let stage = format!("cut in stages{}: {method}, {rule} weights", self.of(part));
            let before = self.engine.overheads();
            let ratios = self.holding(part, method);
            let total = u64::from(replicas) * sizes.len() as u64;
            let mut operated = self.control.stage(&stage, total, "sizes", |watch| {
                networks.operate(self.engine, part.selection, [&kept, &kept], ratios.as_ref(), None, polish, watch)
            })?;
            let mut agreement = Vec::new();
            if method == Method::HoldSurgeon && polish == 0 {
                agreement = self.agreement(work.trained, calibrated.parameters, &operated.networks)?;
                // Mean weights, which come last where there are any, take the place of the last ones.
                let mut survival = Survival::new(&self.cell.architecture, operated.networks.len(), sizes);
                for (replica, networks) in operated.networks.iter().enumerate() {
                    networks.iter().for_each(|network| survival.add(replica, &network.kept));
                }
                self.survival = Some(survival);
                let reported = self.configuration.sizes();
                let of_first = operated.networks.first().into_iter().flatten();
                let by_size = sizes.iter().copied().zip(of_first.cloned()).filter(|(size, _)| reported.contains(size));
                let dense = calibrated.parameters[0].clone();
                self.cut = Some(CutBySize { dense, networks: by_size.collect() });
            }
            let (times, ways) = (operated.times, std::mem::take(&mut operated.ways));
            let solved = self.operated(method, operated);
            let start = Instant::now();
            let evaluations =
                evaluate_solved(&mut work.trained.batch, work.test, part, &solved, &self.control.silent())?;
            let overheads = since(before, self.engine.overheads());
            let cost = Cost {
                points: solved.len(),
                distinct: solved.len(),
                calibrate_s: Some(calibrated.seconds + times.paths.as_secs_f64()),
                // Building and copying was for the paths, which are charged apart.
                once: times.refit + start.elapsed() + overheads.build + overheads.transfer,
                overheads,
            };
            self.charge(work.trained, part, (method, &rule, Repair::Refit), cost, training_overheads);
            let first = self.rows.len();
            self.solved_rows(part, (method, &rule), &solved, &evaluations);
            // Both stand replica by replica, sizes in their order.
            let shares = agreement.into_iter().flatten();
            self.rows[first..].iter_mut().zip(shares).for_each(|(row, share)| row.agreement = Some(share));
            if polish == 0 {
                let name = RecordedWays::name(part.layers, method, base);
                let origin =
                    calibrated.origin(&self.cell.architecture, part.selection, self.configuration, self.engine);
                self.ways.push(RecordedWays::new(name, &origin, ratios.as_ref(), ways));
            }
        }
        Ok(())
    }

    /// The points that a surgeon's networks stand for.
    fn operated(&self, method: Method, operated: Operated) -> Vec<Solved> {
        let window = (method == Method::HoldSurgeon).then(|| envelope::headline_window(self.configuration.epochs));
        let point = |replica| OperatingPoint { replica, window, ..OperatingPoint::default() };
        let networks = operated.networks.into_iter().enumerate();
        networks
            .flat_map(|(replica, networks)| {
                networks.into_iter().map(move |network| Solved { point: point(replica), network })
            })
            .collect()
    }

    /// What the holding surgeon multiplies weights by; nothing for the plain one.
    fn holding(&self, part: &Part<'_>, method: Method) -> Option<Ratios> {
        let found = &part.counted.envelope;
        let headline = envelope::headline_window(self.configuration.epochs);
        let window = found.windows.iter().position(|&window| window == headline).unwrap_or(0);
        let weight_count = part.selection.weights();
        let of_replica = |replica: usize| {
            let last = &part.history.reference()[replica * weight_count..][..weight_count];
            let all = holding_ratios(found.holding_magnitude(window, replica), last);
            let own = |own: &network::Part| all[own.start..own.start + own.weights()].to_vec();
            part.selection.parts().iter().map(own).collect()
        };
        let replicas = 0..self.configuration.replicates as usize;
        (method == Method::HoldSurgeon).then(|| replicas.map(of_replica).collect())
    }

    /// Evaluates what `solve` gives, and takes in rows and cost; its work is repeated with the other `blocks`.
    fn solved<'p>(
        &mut self,
        work: &mut Work<'_, 'p, Self>,
        asked: Asked<'p>,
        (method, rule): (Method, &str),
        calibrate_s: f64,
        mut solve: Solve<'p, Self>,
    ) -> Result<()>
    where
        'c: 'p,
    {
        let (part, base, test) = (asked.part, asked.calibrated.base, work.test);
        let before = self.engine.overheads();
        let control = self.control;
        let stage = format!("solve anew and evaluate{}: {method}, {base} weights", self.of(part));
        let start = Instant::now();
        let replicas = u64::from(self.configuration.replicates);
        let (solved, evaluations) = control.stage(&stage, 2 * replicas, "networks", |watch| {
            let solved = solve(self, watch)?;
            let evaluations = evaluate_solved(&mut work.trained.batch, test, part, &solved, &watch.silent())?;
            (watch.progress)(replicas);
            Ok::<_, Error>((solved, evaluations))
        })?;
        let once = start.elapsed();
        let overheads = since(before, self.engine.overheads());
        let (points, distinct) = (solved.len(), solved.len());
        let cost = Cost { points, distinct, calibrate_s: Some(calibrate_s), once, overheads };
        self.charge(work.trained, part, (method, rule, Repair::Refit), cost, asked.training_overheads);
        let again = move |comparison: &mut Self, batch: &mut Batch| {
            let silent = comparison.control.silent();
            let work = || {
                let solved = solve(comparison, &silent)?;
                evaluate_solved(batch, test, part, &solved, &silent)
            };
            Ok(seconds(work)?.1)
        };
        self.repeat(&mut work.blocks, distinct, once, Box::new(again));
        self.solved_rows(part, (method, rule), &solved, &evaluations);
        Ok(())
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

/// Solves the points of a method of a comparison `C`.
type Solve<'p, C> = Box<dyn FnMut(&mut C, &Watch<'_>) -> Result<Vec<Solved>> + 'p>;

fn evaluate_solved(
    batch: &mut Batch,
    test: DataHandle,
    part: &Part<'_>,
    solved: &[Solved],
    watch: &Watch<'_>,
) -> Result<Vec<Evaluation>> {
    // Before the first layer that was cut the networks of a replica are alike.
    let first = part.selection.first_layer();
    let network = |solved: &Solved| Network {
        slot: solved.point.replica,
        parameters: solved.network.parameters.as_slice().into(),
    };
    batch.sweep_networks(test, first, &solved.iter().map(network).collect::<Vec<_>>(), watch)
}
