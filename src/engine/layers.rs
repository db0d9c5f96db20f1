//! Calibration images on their way forward through a network, layer by layer. Both engines compute this on the host, on all
//! threads: it is a small part of what the surgeon does, and its parts are needed there.

use super::surgeon::BLOCK;
use super::surgeon_layer::winners;
use super::{Engine, Evaluation, Watch};
use crate::cpu::fast::layers::PaddedParameters;
use crate::cpu::{layers, softmax_cross_entropy};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout};
use rayon::prelude::*;

/// What a layer makes of what it reads, at the rows that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerOutput {
    /// Before ReLU and pooling `[row, unit]`.
    pub pre_activations: Vec<f32>,
    /// Which of them win the window of the pooling behind the layer and are above 0 `[row, unit]`; empty without pooling.
    pub winners: Vec<bool>,
    /// What the next layer reads, of all images.
    pub values: Vec<f32>,
}

impl Engine {
    /// One layer of some images: `input` `[image, feature]`, of a convolution `[image, y, x, channel]`. `rows` are the rows
    /// whose pre-activations are kept, ascending: flat places in `[image, y, x]`; without them all are.
    ///
    /// Fails with [`Error::Shape`] if lengths do not fit the layer.
    pub fn forward_layer(
        &self,
        layer: &Layer,
        weights: &[f32],
        bias: &[f32],
        input: &[f32],
        rows: Option<&[u32]>,
    ) -> Result<LayerOutput> {
        let (units, length, own_rows) = (layer.units(), layer.input_len(), layer.rows());
        if weights.len() != layer.inputs() * units || bias.len() != units || !input.len().is_multiple_of(length) {
            return Err(Error::Shape(format!(
                "{} weights, {} biases and {} inputs do not fit a layer of {units} units with {} weights each",
                weights.len(),
                bias.len(),
                input.len(),
                layer.inputs()
            )));
        }
        let pools = matches!(layer, Layer::Convolution(layer) if layer.pool);
        let padded = PaddedParameters::new(*layer, weights, bias);
        let block = |(first, input): (usize, &[f32])| {
            let output = padded.forward(input);
            let place = first * BLOCK * own_rows;
            let end = place + input.len() / length * own_rows;
            let wins = match layer {
                Layer::Convolution(layer) if pools => {
                    winners([layer.height, layer.width], units, &output.pre_activations)
                }
                _ => Vec::new(),
            };
            let Some(rows) = rows else {
                return LayerOutput { pre_activations: output.pre_activations, winners: wins, values: output.values };
            };
            let within =
                rows.partition_point(|&row| (row as usize) < place)..rows.partition_point(|&row| (row as usize) < end);
            let ranges =
                rows[within].iter().map(|&row| (row as usize - place) * units..(row as usize - place + 1) * units);
            LayerOutput {
                pre_activations: ranges.clone().flat_map(|range| &output.pre_activations[range]).copied().collect(),
                winners: if pools { ranges.flat_map(|range| &wins[range]).copied().collect() } else { wins },
                values: output.values,
            }
        };
        let blocks = input.par_chunks(BLOCK * length).enumerate();
        let parts: Vec<LayerOutput> = self.on_threads(|| blocks.map(block).collect());
        let mut whole = LayerOutput::default();
        for part in parts {
            whole.pre_activations.extend(part.pre_activations);
            whole.winners.extend(part.winners);
            whole.values.extend(part.values);
        }
        Ok(whole)
    }

    /// How well a network of these `parameters` classifies samples of `features` `[sample, feature]` with their `labels`: what
    /// [`super::Batch::evaluate`] tells of pixels that are only divided, for features of any scale. Progress is in samples.
    ///
    /// Fails with [`Error::Shape`] if lengths do not fit the network.
    pub fn evaluate_features(
        &self,
        architecture: &Architecture,
        parameters: &[f32],
        features: &[f32],
        labels: &[u8],
        watch: &Watch<'_>,
    ) -> Result<Evaluation> {
        let (length, layout) = (architecture.image_len(), ParameterLayout::new(architecture));
        let classes = architecture.classes;
        let is_class = |&label: &u8| usize::from(label) < classes;
        if parameters.len() != layout.parameters()
            || labels.is_empty()
            || Some(features.len()) != labels.len().checked_mul(length)
            || !labels.iter().all(is_class)
        {
            return Err(Error::Shape(format!(
                "{} parameters, {} features and {} labels; the network has {} and takes {length} features a sample, of {classes} \
                 classes",
                parameters.len(),
                features.len(),
                labels.len(),
                layout.parameters()
            )));
        }
        let layers = Layer::all(architecture);
        let block = |(features, labels): (&[f32], &[u8])| {
            watch.check()?;
            let mut values = features.to_vec();
            for (index, layer) in layers.iter().enumerate() {
                let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
                values = layers::forward(layer, weights, bias, &values).values;
            }
            let mut gradient = vec![0.0; values.len()];
            let found = softmax_cross_entropy::loss(classes, &values, labels, &mut gradient);
            (watch.progress)(labels.len() as u64);
            Ok((f64::from(found.mean) * labels.len() as f64, found.correct))
        };
        let blocks = features.par_chunks(BLOCK * length).zip(labels.par_chunks(BLOCK));
        let parts: Result<Vec<(f64, u32)>> = self.on_threads(|| blocks.map(block).collect());
        // Blocks are added in their order, whatever the number of threads.
        let (loss, correct) = parts?.into_iter().fold((0.0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        Ok(Evaluation { loss: loss / labels.len() as f64, correct, samples: labels.len() as u32 })
    }
}
