//! Pruning a run with its calibration images: scores that know the inputs, surgeons, and weights that are solved anew.

use super::settings::{Base, Choice, Point};
use super::subjects::{Subject, Subjects};
use super::{Chosen, by_scores};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Selection};
use crate::pruning::allocation::Scope;
use crate::pruning::masks::{Mask, removed_weights};
use crate::pruning::score::{Score, Scores};
use crate::pruning::surgeon::holding_ratios;
use crate::pruning::surgery::PrunedNetwork;
use crate::stability::WindowedEnvelope;
use crate::study::Control;
use crate::study::calibrated::{CalibratedNetworks, Ratios};
use crate::study::calibration::{CALIBRATION_FILE, Calibration};
use crate::study::pruned::PrunedTensor;

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
    let (run, trained) = subjects.run()?;
    let path = run.folder.join(CALIBRATION_FILE);
    let calibration = Calibration::read(&path)?;
    let [image_height, image_width, channels] = calibration.sizes;
    let architecture = Architecture { image_height, image_width, channels, ..run.network()? };
    let parameters = ParameterLayout::new(&architecture).parameters();
    if trained.iter().any(|replica| replica.parameters.len() != parameters) {
        return Err(Error::Data(format!(
            "{} has images of {:?} (rows, columns, channels), which the run's networks do not read; the folder is damaged, run it \
             again",
            path.display(),
            calibration.sizes
        )));
    }
    let names: Vec<&str> = subjects.list.iter().map(|subject| subject.name.as_str()).collect();
    let selection = Selection::named(&architecture, &names.join(","))?;
    let features = calibration.features(run.configuration.pixel_scale);
    let parameters: Vec<Vec<f32>> = match base {
        Some(Base::Mean) => run.averaged(&architecture)?.into_iter().map(|replica| replica.parameters).collect(),
        _ => trained.iter().map(|replica| replica.parameters.clone()).collect(),
    };
    let networks = CalibratedNetworks::new(
        engine,
        &architecture,
        &selection,
        &parameters,
        &features,
        run.configuration.surgery(),
    )?;
    // Subjects stand in the order of the file, parts of the selection in that of the network.
    let part_of = |name: &str| selection.parts().iter().position(|part| part.name == name);
    let solved = match asked.choice {
        Choice::Surgeon(window) => {
            let kept =
                asked.points.iter().map(|point| kept(point, &selection, &networks)).collect::<Result<Vec<_>>>()?;
            let sizes = run.configuration.stages.iter();
            // Sizes that these layers cannot reach are none to stop at.
            let stages: Vec<usize> = sizes.filter_map(|&size| networks.kept_at(size).ok()).collect();
            let ratios = window.map(|window| ratios(engine, subjects, &selection, window)).transpose()?;
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
            let of_part = |tensors: &Vec<PrunedTensor>, name: &str| -> Vec<Mask> {
                tensors.iter().find(|tensor| tensor.name == name).map_or_else(Vec::new, |tensor| tensor.masks.clone())
            };
            let masks = |tensors: &Vec<PrunedTensor>| {
                selection.parts().iter().map(|part| of_part(tensors, &part.name)).collect()
            };
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
fn ratios(engine: &mut Engine, subjects: &Subjects, selection: &Selection, window: u32) -> Result<Ratios> {
    let mut of_parts: Vec<Vec<Vec<f32>>> = Vec::new();
    for part in selection.parts() {
        let subject = subjects.list.iter().find(|subject| subject.name == part.name);
        let history = subject.map_or_else(
            || Err(Error::Data(format!("{} has no history in this run; train it again", part.name))),
            Subject::followed,
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
