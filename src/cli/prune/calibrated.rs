//! Pruning a run with its calibration images: scores that know the inputs, surgeons, and weights that are solved anew.

use super::settings::{Choice, Point};
use super::subjects::{Basis, Subject, Subjects};
use super::{Chosen, by_scores};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::network::{Part, Selection};
use crate::pruning::allocation::Scope;
use crate::pruning::masks::{Mask, removed_weights};
use crate::pruning::score::{Score, Scores};
use crate::pruning::surgeon::holding_ratios;
use crate::pruning::surgery::PrunedNetwork;
use crate::stability::WindowedEnvelope;
use crate::study::Control;
use crate::study::calibrated::{CalibratedNetworks, Ratios};
use crate::study::pruned::PrunedTensor;
use crate::study::recorded::Base;

/// What is asked.
pub(super) struct Asked<'a> {
    pub(super) choice: Choice,
    pub(super) scope: Scope,
    pub(super) points: &'a [Point],
    /// Whether what stays is solved anew.
    pub(super) repairs: bool,
}

/// Chooses the weights of each subject at each point, and solves what stays anew if that is asked.
pub(super) fn choose(
    engine: &mut Engine,
    asked: &Asked<'_>,
    base: Option<Base>,
    subjects: &Subjects,
    control: Control<'_>,
) -> Result<Chosen> {
    let Basis { architecture, parameters, features, configuration, parts } = subjects.basis(base)?;
    let selection = Selection::named(&architecture, &parts.join(","))?;
    let networks =
        CalibratedNetworks::new(engine, &architecture, &selection, &parameters, &features, configuration.surgery())?;
    let names: Vec<&str> = subjects.list.iter().map(|subject| subject.name.as_str()).collect();
    // Subjects stand in the order of the file, parts of the selection in that of the network.
    let subject_of = |part: &Part| parts.iter().position(|own| *own == part.name);
    let part_of = |name: &str| {
        let subject = names.iter().position(|own| *own == name)?;
        selection.parts().iter().position(|part| part.name == parts[subject])
    };
    let solved = match asked.choice {
        Choice::Surgeon(window) => {
            let kept =
                asked.points.iter().map(|point| kept(point, &selection, &networks)).collect::<Result<Vec<_>>>()?;
            let sizes = configuration.stages.iter();
            // Sizes that these layers cannot reach are none to stop at.
            let stages: Vec<usize> = sizes.filter_map(|&size| networks.kept_at(size).ok()).collect();
            let followed: Vec<Option<&Subject>> =
                selection.parts().iter().map(|part| subject_of(part).map(|place| &subjects.list[place])).collect();
            let ratios = window.map(|window| ratios(engine, &followed, &selection, window)).transpose()?;
            Some(networks.surgeon(engine, &kept, &stages, ratios.as_ref(), control)?)
        }
        Choice::Scored(score) => {
            let scores = |subject: &Subject, engine: &mut Engine| -> Result<Scores> {
                let part = part_of(&subject.name).unwrap_or(0);
                let norms = match score {
                    Score::Wanda | Score::HoldInput { .. } => Some(networks.norms(engine, part)?),
                    _ => None,
                };
                subject.scores(engine, score, norms.as_deref())
            };
            let scores = subjects.list.iter().map(|subject| scores(subject, engine)).collect::<Result<Vec<_>>>()?;
            let tensors = by_scores(&scores, asked.scope, asked.points, subjects)?;
            if !asked.repairs {
                return Ok(Chosen { tensors, state: None });
            }
            let of_part = |tensors: &Vec<PrunedTensor>, part: &Part| -> Vec<Mask> {
                subject_of(part).map_or_else(Vec::new, |subject| tensors[subject].masks.clone())
            };
            let masks =
                |tensors: &Vec<PrunedTensor>| selection.parts().iter().map(|part| of_part(tensors, part)).collect();
            let masks: Vec<Vec<Vec<Mask>>> = tensors.iter().map(masks).collect();
            Some(networks.refit(engine, &masks, control)?)
        }
        Choice::Threshold { .. } => {
            return Err(Error::Usage(
                "--repair refit is of criteria with a --sparsity or --smaller, not of a threshold of stability; use \
                 settle, whose masks are the same at every tolerance"
                    .into(),
            ));
        }
    };
    let points: Vec<Vec<PrunedNetwork>> = solved.unwrap_or_default();
    let tensor = |point: &Vec<PrunedNetwork>, name: &str| {
        let part = part_of(name).unwrap_or(0);
        let masks = point.iter().map(|network| networks.masks(network).swap_remove(part)).collect();
        PrunedTensor { name: name.into(), masks, frozen: None }
    };
    let tensors = points.iter().map(|point| names.iter().map(|name| tensor(point, name)).collect()).collect();
    Ok(Chosen { tensors, state: Some(points) })
}

/// How many weights of the selection stay at a point.
fn kept(point: &Point, selection: &Selection, networks: &CalibratedNetworks<'_>) -> Result<usize> {
    match *point {
        Point::Smaller(times) => networks.kept_at(times),
        Point::Sparsity(share) => Ok(selection.weights() - removed_weights(share, selection.weights())),
        Point::Threshold => Ok(selection.weights()),
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
