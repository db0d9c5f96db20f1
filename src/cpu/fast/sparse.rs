//! Whole networks of which many weights are zero, in blocks of samples. Definition: [`crate::cpu::training_step::forward`].
//!
//! As in [`super::focus_sweep`] samples lie side by side in the registers, and a weight is a factor of all of them: one that
//! is zero costs nothing, whichever it is. A layer of which few weights are zero is computed with all of them, several units at a
//! time, which needs fewer loads: the share from which on this pays is measured, and chosen for each layer. What a convolution
//! reads has a border of zeros, so that every pixel has the same list of weights.

use super::focus_sweep::{Term, unit};
use super::lanes::{BLOCK, Grid, grids, lay};
pub use super::lanes::{Lane, Lanes, input_lanes, pixels};
use super::softmax_cross_entropy;
use super::training_step::ImageBatch;
use crate::network::{Architecture, ConvLayer, ParameterLayout, Tensor};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Inputs of a tile: what a block of samples has there stays in the first-level cache while all units read it.
const TILE: usize = 96;

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

/// How a layer is computed.
#[derive(Debug)]
enum Weights {
    /// The weights of each of its units that are not zero, in the order in which the twin adds them.
    Some {
        /// Tile by tile of [`TILE`] inputs, in each unit by unit.
        terms: Vec<Term>,
        /// Where the terms of each unit end, for each tile.
        ends: Vec<usize>,
    },
    /// All of them, in the same order.
    All {
        /// `[input, unit]`
        weights: Vec<f32>,
        /// Where each input lies, counted from its tile.
        places: Vec<u32>,
    },
}

/// One layer.
#[derive(Debug)]
struct Layer {
    /// Its sizes, if it is a convolution.
    convolution: Option<ConvLayer>,
    weights: Weights,
    bias: Vec<f32>,
    relu: bool,
    input: Grid,
    output: Grid,
}

impl Layer {
    /// From weights `[.., in, out]` of the flat `parameters`; all of them are kept where at least `crossover` of them are not 0.
    fn new(
        parameters: &[f32],
        weight: &Tensor,
        bias: Option<&Tensor>,
        relu: bool,
        [input, output]: [Grid; 2],
        crossover: f64,
    ) -> Self {
        let units = weight.shape.last().copied().unwrap_or(0);
        let weights = &parameters[weight.range()];
        let bias = bias.map_or_else(|| vec![0.0; units], |bias| parameters[bias.range()].to_vec());
        // A row is an input of a dense layer, counted from its tile, or a tap and a channel of a convolution.
        let place = |row: usize| match input.border {
            0 => (row % TILE) as u32,
            _ => {
                let tap = row / input.channels;
                (tap / 3 * input.row() + tap % 3 * input.channels + row % input.channels) as u32
            }
        };
        let rows = weights.len() / units;
        let tiles = rows.div_ceil(TILE);
        let mut counts = vec![0usize; tiles * units];
        for (row, weights) in weights.chunks_exact(units).enumerate() {
            for (count, &weight) in counts[row / TILE * units..].iter_mut().zip(weights) {
                *count += usize::from(weight != 0.0);
            }
        }
        if counts.iter().sum::<usize>() as f64 >= crossover * weights.len() as f64 {
            let weights = Weights::All { weights: weights.to_vec(), places: (0..rows).map(place).collect() };
            return Self { convolution: None, weights, bias, relu, input, output };
        }
        let mut end = 0;
        let begin = |count: usize| {
            end += count;
            end - count
        };
        let mut next: Vec<usize> = counts.into_iter().map(begin).collect();
        let mut terms = vec![Term { input: 0, weight: 0.0 }; end];
        for (row, weights) in weights.chunks_exact(units).enumerate() {
            for (next, &weight) in next[row / TILE * units..].iter_mut().zip(weights) {
                if weight != 0.0 {
                    terms[*next] = Term { input: place(row), weight };
                    *next += 1;
                }
            }
        }
        Self { convolution: None, weights: Weights::Some { terms, ends: next }, bias, relu, input, output }
    }

    /// `output` from `input`, both with the borders that their grids have.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, input: &[Lane], output: &mut [Lane]) {
        let Some(convolution) = self.convolution else {
            self.pixel(simd, input, output);
            return;
        };
        let units = self.bias.len();
        let mut pixels = Lanes::zeros(4 * units);
        for y in 0..convolution.output_height() {
            for x in 0..convolution.output_width() {
                let target = self.output.place(y, x);
                let target = &mut output[target..target + units];
                if !convolution.pool {
                    self.pixel(simd, &input[self.corner(y, x)..], target);
                    continue;
                }
                for (code, pixel) in pixels.chunks_exact_mut(units).enumerate() {
                    self.pixel(simd, &input[self.corner(2 * y + code / 2, 2 * x + code % 2)..], pixel);
                }
                largest(&pixels, target);
            }
        }
    }

    /// The first number that the weights of a pixel meet: its neighbour above and to the left.
    fn corner(&self, y: usize, x: usize) -> usize {
        y * self.input.row() + x * self.input.channels
    }

    /// All units, at one pixel.
    #[inline(always)]
    fn pixel<S: Simd>(&self, simd: S, input: &[Lane], output: &mut [Lane]) {
        let first = |tile| if self.convolution.is_some() { 0 } else { tile * TILE };
        for tile in 0..self.tiles() {
            self.tile(simd, tile, &input[first(tile)..], output);
        }
    }

    /// Tiles of inputs.
    fn tiles(&self) -> usize {
        match &self.weights {
            Weights::Some { ends, .. } => ends.len() / self.bias.len(),
            Weights::All { places, .. } => places.len().div_ceil(TILE),
        }
    }

    /// What the inputs of one tile add to all units; of a dense layer `input` begins at the tile.
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, tile: usize, input: &[Lane], output: &mut [Lane]) {
        let units = self.bias.len();
        let relu = self.relu && tile + 1 == self.tiles();
        let (terms, ends) = match &self.weights {
            Weights::Some { terms, ends } => (terms, ends),
            Weights::All { weights, places } => {
                let places = &places[tile * TILE..places.len().min((tile + 1) * TILE)];
                let weights = &weights[tile * TILE * units..][..places.len() * units];
                let bias = (tile == 0).then_some(&self.bias[..]);
                all_units(simd, Tile { weights, places, bias, relu }, input, &mut output[..units]);
                return;
            }
        };
        let mut start = (tile * units).checked_sub(1).map_or(0, |before| ends[before]);
        let ends = &ends[tile * units..(tile + 1) * units];
        for ((&end, &bias), output) in ends.iter().zip(&self.bias).zip(output) {
            let bias = (tile == 0).then_some(bias);
            if end > start || bias.is_some() || relu {
                unit(simd, &terms[start..end], bias, input, relu, output);
            }
            start = end;
        }
    }
}

/// All weights of a tile of inputs.
#[derive(Clone, Copy)]
struct Tile<'a> {
    /// `[input, unit]`
    weights: &'a [f32],
    places: &'a [u32],
    /// Of each unit; without one, sums go on from what there is.
    bias: Option<&'a [f32]>,
    relu: bool,
}

/// Adds to all units what a tile of inputs gives, some units at a time: each loaded number is used for all of these.
#[inline(always)]
fn all_units<S: Simd>(simd: S, tile: Tile<'_>, input: &[Lane], output: &mut [Lane]) {
    let units = output.len();
    let mut first = 0;
    while first < units {
        // Four registers of samples and sixteen of sums fit into thirty-two, half of the sums into sixteen.
        let width = match units - first {
            4.. if S::F32_LANES != 8 => 4,
            2.. => 2,
            _ => 1,
        };
        let output = &mut output[first..first + width];
        match width {
            4 => some_units::<S, 4>(simd, tile, units, first, input, output),
            2 => some_units::<S, 2>(simd, tile, units, first, input, output),
            _ => some_units::<S, 1>(simd, tile, units, first, input, output),
        }
        first += width;
    }
}

/// The same for `U` units from `first` on, of so many.
#[inline(always)]
fn some_units<S: Simd, const U: usize>(
    simd: S,
    tile: Tile<'_>,
    units: usize,
    first: usize,
    input: &[Lane],
    output: &mut [Lane],
) {
    /// Registers of samples that are computed together.
    const C: usize = 4;
    let Tile { weights, places, bias, relu } = tile;
    for part in 0..BLOCK / S::F32_LANES / C {
        let own = part * C..(part + 1) * C;
        // Plain loops: what a closure does is not always compiled for the registers of `S`.
        let mut sums = [[simd.splat_f32s(0.0); C]; U];
        for (unit, sums) in sums.iter_mut().enumerate() {
            match bias {
                Some(bias) => *sums = [simd.splat_f32s(bias[first + unit]); C],
                None => sums.copy_from_slice(&S::as_simd_f32s(&output[unit]).0[own.clone()]),
            }
        }
        for (row, &place) in weights.chunks_exact(units).zip(places) {
            let Some(row) = row[first..].first_chunk::<U>() else { continue };
            let Some(&values) = S::as_simd_f32s(&input[place as usize]).0[own.clone()].first_chunk::<C>() else {
                continue;
            };
            for (sums, &weight) in sums.iter_mut().zip(row) {
                let weight = simd.splat_f32s(weight);
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = simd.mul_add_e_f32s(weight, value, *sum);
                }
            }
        }
        for (output, sums) in output.iter_mut().zip(sums) {
            for (output, sum) in S::as_mut_simd_f32s(output).0[own.clone()].iter_mut().zip(sums) {
                *output = if relu { super::relu(simd, sum) } else { sum };
            }
        }
    }
}

/// The largest of four pixels, for each unit; NaN is larger than any number.
#[inline(always)]
fn largest(pixels: &[Lane], output: &mut [Lane]) {
    let units = output.len();
    output.copy_from_slice(&pixels[..units]);
    for pixel in pixels[units..].chunks_exact(units) {
        for (best, values) in output.iter_mut().zip(pixel) {
            for (best, &value) in best.iter_mut().zip(values) {
                *best = if value > *best || value.is_nan() { value } else { *best };
            }
        }
    }
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
                None => Layer {
                    convolution: Some(convolutions[index]),
                    ..Layer::new(
                        parameters,
                        layout.conv_weight(index),
                        Some(layout.conv_bias(index)),
                        true,
                        [
                            input,
                            Grid { channels: convolutions[index].outputs, ..grid_of(&convolutions[index], output) },
                        ],
                        crossover,
                    )
                },
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
            Some(Layer { weights: Weights::Some { .. }, convolution: None, .. }) if range.start == 0 => {
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
