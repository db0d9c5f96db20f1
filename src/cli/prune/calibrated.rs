//! Pruning networks with calibration images: scores that know the inputs, surgeons, and weights that are solved anew.

use super::settings::{Choice, Point};
use super::subjects::{Basis, Subject, Subjects};
use super::{Chosen, Solved, Used, by_scores};
use crate::engine::{Control, Engine, MOST_POLISHED};
use crate::error::{Error, Result};
use crate::network::{Part, Selection};
use crate::pruning::Method;
use crate::pruning::allocation::Scope;
use crate::pruning::calibrated::{CalibratedNetworks, Ratios};
use crate::pruning::masks::{Mask, removed_weights};
use crate::pruning::score::Scores;
use crate::pruning::surgeon::holding_ratios;
use crate::pruning::surgery::{PrunedNetwork, Way};
use crate::run::recorded::Base;
use crate::run::ways::{self, Found, Origin, WAYS_FILE};
use crate::stability::WindowedEnvelope;
use crate::study::pruned::PrunedTensor;
use std::path::Path;

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) choice: Choice,
    pub(super) scope: Scope,
    pub(super) points: &'a [Point],
    /// Whether what stays is solved anew.
    pub(super) repairs: bool,
    /// Steps of polishing after each cut.
    pub(super) polish: u32,
}

/// Chooses the weights of each subject at each point, and solves what stays anew if that is asked.
pub(super) fn choose(
    engine: &mut Engine,
    asked: &Asked<'_>,
    base: Option<Base>,
    subjects: &Subjects,
    control: Control<'_>,
) -> Result<Chosen> {
    let Basis { architecture, parameters, features, configuration, parts, folder, mut used } = subjects.basis(base)?;
    let selection = Selection::named(&architecture, &parts.join(","))?;
    let settings = configuration.surgery();
    let networks = CalibratedNetworks::new(engine, &architecture, &parameters, &features, settings)?;
    let names: Vec<&str> = subjects.list.iter().map(|subject| subject.name.as_str()).collect();
    // Subjects stand in the order of the file, parts of the selection in that of the network.
    let subject_of = |part: &Part| parts.iter().position(|own| *own == part.name);
    let part_of = |name: &str| {
        let subject = names.iter().position(|own| *own == name)?;
        selection.parts().iter().position(|part| part.name == parts[subject])
    };
    let by_replica = match asked.choice {
        Choice::Surgeon(window) => {
            networks.check_work(&selection)?;
            let kept =
                asked.points.iter().map(|point| kept(point, &selection, &networks)).collect::<Result<Vec<_>>>()?;
            // Sizes that these layers cannot reach are none to stop at.
            let stages = networks.stages(&selection, &configuration.stages);
            let followed: Vec<Option<&Subject>> =
                selection.parts().iter().map(|part| subject_of(part).map(|place| &subjects.list[place])).collect();
            let ratios = window.map(|window| ratios(engine, &followed, &selection, window)).transpose()?;
            let origin = Origin {
                architecture: &architecture,
                selection: &selection,
                parameters: &parameters,
                features: &features,
                settings,
                variant: &engine.description().variant,
            };
            // Polishing leads another way.
            let known = match &folder {
                Some(folder) if asked.polish == 0 => {
                    let known = known_ways(folder, &origin, ratios.as_ref(), base.unwrap_or_default(), control)?;
                    used.extend(known.is_some().then(|| Used { file: folder.join(WAYS_FILE), decides: false }));
                    known
                }
                _ => None,
            };
            let counts = [&stages[..], &kept];
            let total = (kept.len() * parameters.len()) as u64;
            let operated = control.stage("cut by the surgeon", total, "networks", |watch| {
                let (ratios, known) = (ratios.as_ref(), known.as_deref());
                networks.operate(engine, &selection, counts, ratios, known, asked.polish, watch)
            })?;
            operated.networks
        }
        Choice::Scored(score) => {
            let norms = if score.needs_norms() { networks.norms(engine, &selection)? } else { Vec::new() };
            let scores = |subject: &Subject, engine: &mut Engine| -> Result<Scores> {
                let part = part_of(&subject.name).unwrap_or(0);
                // Replicas one after the other.
                let norms: Vec<f32> = norms.iter().flat_map(|norms| &norms[part]).copied().collect();
                subject.scores(engine, score, (!norms.is_empty()).then_some(&norms))
            };
            let scores = subjects.list.iter().map(|subject| scores(subject, engine)).collect::<Result<Vec<_>>>()?;
            let tensors = by_scores(&scores, asked.scope, asked.points, subjects)?;
            if !asked.repairs {
                return Ok(Chosen { tensors, state: None, used });
            }
            networks.check_work(&selection)?;
            let mask = |tensors: &Vec<PrunedTensor>, replica: usize| -> Mask {
                let own = selection.parts().iter().filter_map(subject_of).map(|subject| &tensors[subject]);
                own.flat_map(|tensor| tensor.masks[replica].iter().copied()).collect()
            };
            let of_replica = |replica| tensors.iter().map(|tensors| mask(tensors, replica)).collect();
            let cuts: Vec<Vec<Mask>> = (0..parameters.len()).map(of_replica).collect();
            control.stage("solve what stays anew", parameters.len() as u64, "networks", |watch| {
                networks.refit(engine, &selection, &cuts, asked.polish, watch)
            })?
        }
        Choice::Threshold { .. } => {
            return Err(Error::Usage(
                "--repair refit is of criteria with a --sparsity or --smaller, not of a threshold of stability; use \
                 settle, whose masks are the same at every tolerance"
                    .into(),
            ));
        }
    };
    let mut points: Vec<Vec<PrunedNetwork>> = vec![Vec::new(); asked.points.len()];
    for networks in by_replica {
        points.iter_mut().zip(networks).for_each(|(point, network)| point.push(network));
    }
    for (point, own) in asked.points.iter().zip(&points).filter(|_| asked.polish > 0) {
        let moving = networks.moving(own);
        if moving > MOST_POLISHED {
            control.progress.notice(&format!(
                "{}: not polished, since {moving} weights and biases are more than the {MOST_POLISHED} that can move together",
                point.heading()
            ));
        }
    }
    let tensor = |point: &Vec<PrunedNetwork>, name: &str| {
        let part = part_of(name).unwrap_or(0);
        let masks = point.iter().map(|network| networks.masks(&selection, network).swap_remove(part)).collect();
        PrunedTensor { name: name.into(), masks, frozen: None }
    };
    let tensors = points.iter().map(|point| names.iter().map(|name| tensor(point, name)).collect()).collect();
    let first = selection.first_layer();
    Ok(Chosen { tensors, state: Some(Solved { first, points }), used })
}

/// How many weights of the selection stay at a point.
fn kept(point: &Point, selection: &Selection, networks: &CalibratedNetworks<'_>) -> Result<usize> {
    match *point {
        Point::Smaller(times) => networks.kept_at(selection, times),
        Point::Sparsity(share) => Ok(selection.weights() - removed_weights(share, selection.weights())),
        Point::Threshold => Ok(selection.weights()),
    }
}

/// The ways that the run has kept, if they follow from the same numbers.
fn known_ways(
    folder: &Path,
    origin: &Origin<'_>,
    ratios: Option<&Ratios>,
    base: Base,
    control: Control<'_>,
) -> Result<Option<Vec<Way>>> {
    let method = if ratios.is_some() { Method::HoldSurgeon } else { Method::Surgeon };
    let file = folder.join(WAYS_FILE);
    let fingerprint = origin.fingerprint(ratios);
    match ways::find(&file, &format!("{method}.{base}"), origin.architecture, origin.selection, fingerprint)? {
        Found::Known(ways) => Ok(Some(ways)),
        Found::Nothing => Ok(None),
        Found::Other => {
            control.progress.notice(&format!(
                "{} holds ways of other weights, images or settings, or of another device: they are found anew",
                file.display()
            ));
            Ok(None)
        }
    }
}

/// What the holding surgeon multiplies weights by: `[replica][part]`.
fn ratios(engine: &mut Engine, followed: &[Option<&Subject>], selection: &Selection, window: u32) -> Result<Ratios> {
    let mut of_parts: Vec<Vec<Vec<f32>>> = Vec::new();
    for (part, subject) in selection.parts().iter().zip(followed) {
        let history = subject.map_or_else(
            || Err(Error::Data(format!("{} has no history in this run; train it again", part.name))),
            |subject| subject.followed(),
        )?;
        let history = history.whole()?;
        let envelope = WindowedEnvelope::new(engine, &history, &[window])?;
        let last = |replica: usize| &history.reference()[replica * part.weights()..][..part.weights()];
        let ratios = |replica| holding_ratios(envelope.holding_magnitude(0, replica), last(replica));
        of_parts.push((0..history.shape().replicas).map(ratios).collect());
    }
    let replicas = of_parts.first().map_or(0, Vec::len);
    Ok((0..replicas).map(|replica| of_parts.iter().map(|part| part[replica].clone()).collect()).collect())
}
