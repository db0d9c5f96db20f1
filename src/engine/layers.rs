//! Calibration images on their way through a network, layer by layer. Both engines compute this on the host, on all threads:
//! it is a small part of what the surgeon does, and its parts are needed there.

use super::Engine;
use super::surgeon::{BLOCK, winners};
use crate::cpu::fast::layers::{Importance, PaddedParameters};
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
        let mut parts: Vec<LayerOutput> = Vec::new();
        self.on_threads(&mut || {
            parts = input.par_chunks(BLOCK * length).enumerate().map(block).collect();
        });
        let mut whole = LayerOutput::default();
        for part in parts {
            whole.pre_activations.extend(part.pre_activations);
            whole.winners.extend(part.winners);
            whole.values.extend(part.values);
        }
        Ok(whole)
    }

    /// For each layer and unit k the mean over `images` `[image, feature]` of the sum over classes, and over the positions of
    /// a convolution, of `(d logit / d z_k)^2`, z before the ReLU: how much an error of z matters to the logits.
    ///
    /// Fails with [`Error::Shape`] if lengths do not fit the network.
    pub fn importance(&self, architecture: &Architecture, parameters: &[f32], images: &[f32]) -> Result<Vec<Vec<f64>>> {
        let (length, expected) = (architecture.image_len(), ParameterLayout::new(architecture).parameters());
        if parameters.len() != expected || images.is_empty() || !images.len().is_multiple_of(length) {
            return Err(Error::Shape(format!(
                "{} parameters and images of {} pixels in all; the network has {expected} and takes {length} of each",
                parameters.len(),
                images.len()
            )));
        }
        let layout = ParameterLayout::new(architecture);
        let padded = |(index, layer): (usize, Layer)| {
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
            PaddedParameters::new(layer, weights, bias)
        };
        let importance = Importance::new(Layer::all(architecture).into_iter().enumerate().map(padded).collect());
        let mut parts = Vec::new();
        self.on_threads(&mut || {
            parts = images.par_chunks(BLOCK * length).map(|images| importance.of(images)).collect();
        });
        let count = (images.len() / length) as f64;
        // Blocks are added in their order, whatever the number of threads.
        let mut sums: Vec<Vec<f64>> = Layer::all(architecture).iter().map(|layer| vec![0.0; layer.units()]).collect();
        for part in parts {
            for (sums, part) in sums.iter_mut().zip(part) {
                sums.iter_mut().zip(part).for_each(|(sum, one)| *sum += f64::from(one) / count);
            }
        }
        Ok(sums)
    }
}
