//! How well networks classify images, and how long that takes: several in turn, so that whatever else the machine does slows all
//! of them.

use crate::clock::{Turns, by_turns, seconds};
use crate::data::Dataset;
use crate::engine::{Batch, Control, DataHandle, Engine, Evaluation, Watch};
use crate::error::Result;
use crate::network::{Layer, ParameterLayout};
use crate::network_files::stored_network::StoredNetwork;
use crate::statistics::spread::{Spread, median};
use std::sync::Arc;
use std::time::Duration;

/// How often each network's time is taken: nine times, as long as they fit into half a minute.
pub const TURNS: Turns = Turns { rounds: 9, within: Duration::from_secs(30), enough: 0.0 };
/// Images whose classes are told together.
const BLOCK: usize = 4096;

/// What a network made of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// How many it classified correctly.
    pub evaluation: Evaluation,
    /// Seconds of classifying all, with network and images where the device reads them: one number for each turn.
    pub seconds: Vec<f64>,
}

impl Classified {
    /// The median of the seconds.
    pub fn median(&self) -> f64 {
        median(&self.seconds)
    }

    /// How many times as fast as another one that had its turns beside it, each turn by itself; `None` without turns.
    pub fn times_as_fast_as(&self, other: &Self) -> Option<Spread> {
        Spread::of_ratios(&other.seconds, &self.seconds)
    }
}

/// Classifies images with several networks, again and again in turn.
///
/// Fails as [`StoredNetwork::fit`] and [`StoredNetwork::evaluate`] do.
pub fn classify_by_turns(
    engine: &mut Engine,
    networks: &[&StoredNetwork],
    images: &Arc<Dataset>,
    turns: Turns,
    control: Control<'_>,
) -> Result<Vec<Classified>> {
    let mut ready =
        networks.iter().map(|network| Ready::new(engine, network, images)).collect::<Result<Vec<Ready<'_>>>>()?;
    let mut evaluations = vec![None; networks.len()];
    let total = ((1 + turns.rounds) * networks.len()) as u64;
    let taken = control.stage("classify the test images in turn", total, "times", |watch| {
        by_turns(networks.len(), turns, |which| {
            let silent = Watch { progress: &|_| {}, ..*watch };
            let (evaluation, seconds) = seconds(|| ready[which].evaluate(engine, &silent))?;
            evaluations[which] = Some(evaluation);
            (watch.progress)(1);
            Ok(seconds)
        })
    })?;
    let found = evaluations.into_iter().flatten().zip(taken);
    Ok(found.map(|(evaluation, seconds)| Classified { evaluation, seconds }).collect())
}

/// Images of which two networks say that they are of the same class.
///
/// Fails as [`StoredNetwork::fit`] and the calls of the engine do.
pub fn same_predictions(
    engine: &mut Engine,
    networks: [&StoredNetwork; 2],
    images: &Arc<Dataset>,
    control: Control<'_>,
) -> Result<usize> {
    let mut classes = Vec::new();
    for network in networks {
        classes.push(Ready::new(engine, network, images)?.classes(engine, &control.silent())?);
    }
    Ok(classes[0].iter().zip(&classes[1]).filter(|(one, other)| one == other).count())
}

/// A network and images, ready to be classified: on the engine's device, or on the host where that computes it.
struct Ready<'a> {
    network: &'a StoredNetwork,
    images: Arc<Dataset>,
    on_device: Option<(Batch, DataHandle)>,
    /// What the host reads.
    features: Vec<f32>,
}

impl<'a> Ready<'a> {
    fn new(engine: &mut Engine, network: &'a StoredNetwork, images: &Arc<Dataset>) -> Result<Self> {
        let images = network.fit(images)?;
        let on_device = network.on_device(engine, &images)?;
        let features = if on_device.is_some() { Vec::new() } else { network.input.features(&images.images) };
        Ok(Self { network, images, on_device, features })
    }

    fn evaluate(&mut self, engine: &Engine, watch: &Watch<'_>) -> Result<Evaluation> {
        let StoredNetwork { architecture, parameters, .. } = self.network;
        match &mut self.on_device {
            Some((batch, data)) => Ok(batch.evaluate(*data, watch)?.remove(0)),
            None => engine.evaluate_features(architecture, parameters, &self.features, &self.images.labels, watch),
        }
    }

    /// Which class each image is said to be of: the first of equals.
    fn classes(&mut self, engine: &Engine, watch: &Watch<'_>) -> Result<Vec<usize>> {
        let StoredNetwork { architecture, parameters, .. } = self.network;
        let (samples, layout) = (self.images.samples(), ParameterLayout::new(architecture));
        let mut classes = Vec::with_capacity(samples);
        for start in (0..samples).step_by(BLOCK) {
            watch.check()?;
            let block = start..samples.min(start + BLOCK);
            let logits = match &mut self.on_device {
                Some((batch, data)) => batch.logits(*data, block)?,
                None => {
                    let length = architecture.image_len();
                    let mut values = self.features[block.start * length..block.end * length].to_vec();
                    for (index, layer) in Layer::all(architecture).iter().enumerate() {
                        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
                        values = engine.forward_layer(layer, weights, bias, &values, Some(&[]))?.values;
                    }
                    values
                }
            };
            let largest = |logits: &[f32]| {
                (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
            };
            classes.extend(logits.chunks_exact(architecture.classes).map(largest));
        }
        Ok(classes)
    }
}
