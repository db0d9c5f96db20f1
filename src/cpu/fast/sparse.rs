//! Whole networks of which many weights are zero, in blocks of samples. Definition: [`crate::cpu::training_step::forward`].
//!
//! As in [`super::focus_sweep`] samples lie side by side in the registers, and a weight is a factor of all of them: one that
//! is zero costs nothing, whichever it is. A layer of which few weights are zero is computed with all of them, several units at a
//! time, which needs fewer loads: the share from which on this pays is measured, and chosen for each layer.

mod layer;

use super::lanes::{Grid, grids, lay};
pub use super::lanes::{Lane, Lanes, input_lanes, pixels};
use super::softmax_cross_entropy;
use super::training_step::ImageBatch;
use crate::network::{Architecture, ConvLayer, ParameterLayout};
use layer::{Layer, TILE};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Share of a layer's weights from which on multiplying by all of them, zeros too, takes no longer than by those that are not 0,
/// one by one. `holdfast bench --sparse` measures it; on the machines that were tried it lies here.
pub const CROSSOVER: f64 = 0.75;
/// Time of a multiply-add that stands by itself, and of laying one number of an image beside those of other samples, in
/// multiply-adds of the engine's way with dense networks; measured by the same command.
const TERM: f64 = 1.25;
const LAYOUT: f64 = 6.0;

/// Whether so many weights of a network are zero that it is evaluated faster by a [`SparseNetwork`].
pub fn is_sparse(architecture: &Architecture, parameters: &[f32]) -> bool {
    let layout = ParameterLayout::new(architecture);
    let layers = crate::network::Layer::all(architecture);
    let (mut dense, mut sparse) = (0.0, 0.0);
    for (index, layer) in layers.iter().enumerate() {
        let [weight, _] = crate::network::Layer::tensors(&layout, index);
        let weights = &parameters[weight.range()];
        let left = weights.iter().filter(|&&weight| weight != 0.0).count() as f64;
        let (rows, all) = (layer.rows() as f64, weights.len() as f64);
        dense += rows * all;
        // A layer with all its weights gains nothing here.
        sparse += rows * if left < CROSSOVER * all { TERM * left } else { all };
        if index == 0 {
            let read = weights.chunks_exact(layer.units()).filter(|row| is_read(row)).count();
            let read = if architecture.convolutions.is_empty() { read } else { architecture.image_len() };
            sparse += LAYOUT * read as f64;
        }
    }
    sparse < dense
}

/// Whether an input has a weight that is not 0.
fn is_read(weights: &[f32]) -> bool {
    weights.iter().any(|&weight| weight != 0.0)
}

/// Some consecutive layers of a network, each as a list of its weights that are not zero, or with all of them where few are zero.
#[derive(Debug)]
pub struct SparseNetwork {
    layers: Vec<Layer>,
    /// Which numbers of an image have a weight that is not 0 in the first layer; empty if it has all of them, is a convolution, or
    /// reads no image.
    is_read: Vec<bool>,
}

/// What the layers of a [`SparseNetwork`] produce for a block of samples.
#[derive(Debug)]
pub struct Scratch(Vec<Lanes>);

impl Scratch {
    /// Lanes of all of them.
    pub fn lanes(&self) -> usize {
        self.0.iter().map(|lanes| lanes.len()).sum()
    }
}

impl SparseNetwork {
    /// The layers `range`, counted from the image, with all parameters of the network.
    pub fn new(architecture: &Architecture, parameters: &[f32], range: Range<usize>) -> Self {
        Self::with_crossover(architecture, parameters, range, CROSSOVER)
    }

    /// The same with all weights of each layer of which at least the share `crossover` is not 0. It changes no bit.
    pub fn with_crossover(
        architecture: &Architecture,
        parameters: &[f32],
        range: Range<usize>,
        crossover: f64,
    ) -> Self {
        let (layout, grids) = (ParameterLayout::new(architecture), grids(architecture));
        let (convolutions, dense) = (architecture.conv_layers(), architecture.dense_layers());
        let layer = |index: usize| {
            let [input, output] = [grids[index], grids[index + 1]];
            match index.checked_sub(convolutions.len()) {
                None => {
                    let convolution = convolutions[index];
                    let weights = layout.conv_weight(index);
                    let grids = [input, Grid { channels: convolution.outputs, ..grid_of(&convolution, output) }];
                    let layer = Layer::new(parameters, weights, Some(layout.conv_bias(index)), true, grids, crossover);
                    layer.convolving(convolution)
                }
                Some(index) => Layer::new(
                    parameters,
                    layout.dense_weight(index),
                    Some(layout.dense_bias(index)),
                    dense[index].relu,
                    [input, output],
                    crossover,
                ),
            }
        };
        let layers: Vec<Layer> = range.clone().map(layer).collect();
        let is_read = match layers.first() {
            Some(layer) if range.start == 0 && layer.convolution.is_none() && layer.is_listed() => {
                let weight = layout.dense_weight(0);
                let rows = parameters[weight.range()].chunks_exact(weight.shape[1]);
                rows.map(is_read).collect()
            }
            _ => Vec::new(),
        };
        Self { layers, is_read }
    }

    /// Room for what they produce, borders zero.
    pub fn scratch(&self) -> Scratch {
        Scratch(self.layers.iter().map(|layer| Lanes::zeros(layer.output.len())).collect())
    }

    /// What the last layer produces from what the first one reads.
    pub fn run<'a>(&self, input: &'a [Lane], scratch: &'a mut Scratch) -> &'a [Lane] {
        pulp::Arch::new().dispatch(Run { network: self, input, scratch })
    }

    /// Sum of losses and number of correct samples of up to [`super::lanes::BLOCK`] images; the layers are all of a network. `lanes` is room for
    /// what the first one reads.
    pub fn evaluate_images(&self, batch: ImageBatch<'_>, lanes: &mut [Lane], scratch: &mut Scratch) -> (f64, u32) {
        pulp::Arch::new().dispatch(EvaluateImages { network: self, batch, lanes, scratch })
    }

    /// Sum of losses and number of correct samples of a block, as many as it has labels; the last layer is the output.
    pub fn evaluate(&self, input: &[Lane], labels: &[u8], scratch: &mut Scratch) -> (f64, u32) {
        pulp::Arch::new().dispatch(Evaluate { run: Run { network: self, input, scratch }, labels })
    }
}

/// See [`SparseNetwork::evaluate_images`].
struct EvaluateImages<'a, 'b> {
    network: &'b SparseNetwork,
    batch: ImageBatch<'b>,
    lanes: &'a mut [Lane],
    scratch: &'a mut Scratch,
}

impl WithSimd for EvaluateImages<'_, '_> {
    type Output = (f64, u32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, u32) {
        let Self { network, batch, lanes, scratch } = self;
        let [first, others @ ..] = &network.layers[..] else { return (0.0, 0) };
        let Scratch(outputs) = scratch;
        if first.convolution.is_some() {
            lay(first.input, batch, 0..first.input.numbers(), &[], lanes);
            first.apply(simd, lanes, &mut outputs[0]);
        } else {
            // Pixels are read where they were laid, in the first-level cache.
            let inputs = first.input.numbers();
            for tile in 0..first.tiles() {
                lay(first.input, batch, tile * TILE..((tile + 1) * TILE).min(inputs), &network.is_read, lanes);
                first.tile(simd, tile, lanes, &mut outputs[0]);
            }
        }
        let (input, outputs) = outputs.split_at_mut(1);
        softmax_cross_entropy::evaluate_block(run(simd, others, &input[0], outputs), batch.labels)
    }
}

/// How what a convolution produces lies where the next layer reads it: a dense layer reads the same pixels in one row.
fn grid_of(layer: &ConvLayer, read: Grid) -> Grid {
    Grid { height: layer.output_height(), width: layer.output_width(), channels: layer.outputs, border: read.border }
}

/// See [`SparseNetwork::run`].
struct Run<'a, 'b> {
    network: &'b SparseNetwork,
    input: &'a [Lane],
    scratch: &'a mut Scratch,
}

impl<'a> WithSimd for Run<'a, '_> {
    type Output = &'a [Lane];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> &'a [Lane] {
        let Self { network, input, scratch: Scratch(outputs) } = self;
        run(simd, &network.layers, input, outputs)
    }
}

/// Layer by layer.
#[inline(always)]
fn run<'a, S: Simd>(simd: S, layers: &[Layer], input: &'a [Lane], outputs: &'a mut [Lanes]) -> &'a [Lane] {
    for (index, layer) in layers.iter().enumerate() {
        let (before, after) = outputs.split_at_mut(index);
        layer.apply(simd, before.last().map_or(input, |previous| previous), &mut after[0]);
    }
    outputs.last().map_or(input, |last| last)
}

/// See [`SparseNetwork::evaluate`].
struct Evaluate<'a, 'b> {
    run: Run<'a, 'b>,
    labels: &'b [u8],
}

impl WithSimd for Evaluate<'_, '_> {
    type Output = (f64, u32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f64, u32) {
        softmax_cross_entropy::evaluate_block(self.run.with_simd(simd), self.labels)
    }
}

#[cfg(test)]
mod tests;
