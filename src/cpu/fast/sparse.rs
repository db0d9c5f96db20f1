//! Whole networks of which many weights are zero, in blocks of samples. Definition: [`crate::cpu::training_step::forward`].
//!
//! As in [`super::focus_sweep`] samples lie side by side in the registers, and a weight is a factor of all of them: one that
//! is zero costs nothing, whichever it is. What a convolution reads has a border of zeros, so that every pixel has the same
//! list of weights.

use super::focus_sweep::{Term, unit};
use super::lanes::{Grid, grids, lay};
pub use super::lanes::{Lane, Lanes, input_lanes, pixels};
use super::softmax_cross_entropy;
use super::training_step::ImageBatch;
use crate::network::{Architecture, ConvLayer, ParameterLayout, Tensor};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Inputs of a tile: what a block of samples has there stays in the first-level cache while all units read it.
const TILE: usize = 96;

/// Share of a network's multiply-adds that is done one by one in the time of all of them in blocks of registers: where fewer are
/// left, [`SparseNetwork`] is faster. `holdfast bench --sparse` measures it; on the machines that were tried it lies above.
pub const CROSSOVER: f64 = 0.5;
/// Multiply-adds in blocks of registers that take as long as laying one number of an image beside those of other samples.
const LAYOUT: f64 = 6.0;

/// Whether so many weights of a network are zero that it is evaluated faster weight by weight.
pub fn is_sparse(architecture: &Architecture, parameters: &[f32]) -> bool {
    let layout = ParameterLayout::new(architecture);
    let layers = crate::network::Layer::all(architecture);
    let (mut all, mut left) = (0.0, LAYOUT * architecture.image_len() as f64 * CROSSOVER);
    for (tensor, layer) in layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()).zip(layers) {
        let weights = &parameters[tensor.range()];
        all += (layer.rows() * weights.len()) as f64;
        left += (layer.rows() * weights.iter().filter(|&&weight| weight != 0.0).count()) as f64;
    }
    left < CROSSOVER * all
}

/// One layer: the weights of each of its units that are not zero, in the order in which the twin adds them.
#[derive(Debug)]
struct Layer {
    /// Its sizes, if it is a convolution.
    convolution: Option<ConvLayer>,
    /// Tile by tile of [`TILE`] inputs, in each unit by unit.
    terms: Vec<Term>,
    /// Where the terms of each unit end, for each tile.
    ends: Vec<usize>,
    bias: Vec<f32>,
    relu: bool,
    input: Grid,
    output: Grid,
}

impl Layer {
    /// From weights `[.., in, out]` of the flat `parameters`.
    fn new(parameters: &[f32], weight: &Tensor, bias: Option<&Tensor>, relu: bool, input: Grid, output: Grid) -> Self {
        let units = weight.shape.last().copied().unwrap_or(0);
        let weights = &parameters[weight.range()];
        let bias = bias.map_or_else(|| vec![0.0; units], |bias| parameters[bias.range()].to_vec());
        // A row is an input of a dense layer, counted from its tile, or a tap and a channel of a convolution.
        let place = |row: usize| match input.border {
            0 => row % TILE,
            _ => {
                (row / input.channels / 3) * input.row()
                    + row / input.channels % 3 * input.channels
                    + row % input.channels
            }
        };
        let tiles = (weights.len() / units).div_ceil(TILE);
        let mut counts = vec![0usize; tiles * units];
        for (row, weights) in weights.chunks_exact(units).enumerate() {
            for (count, &weight) in counts[row / TILE * units..].iter_mut().zip(weights) {
                *count += usize::from(weight != 0.0);
            }
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
                    terms[*next] = Term { input: place(row) as u32, weight };
                    *next += 1;
                }
            }
        }
        Self { convolution: None, terms, ends: next, bias, relu, input, output }
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
        self.ends.len() / self.bias.len()
    }

    /// What the inputs of one tile add to all units; of a dense layer `input` begins at the tile.
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, tile: usize, input: &[Lane], output: &mut [Lane]) {
        let units = self.bias.len();
        let mut start = (tile * units).checked_sub(1).map_or(0, |before| self.ends[before]);
        let relu = self.relu && tile + 1 == self.tiles();
        let ends = &self.ends[tile * units..(tile + 1) * units];
        for ((&end, &bias), output) in ends.iter().zip(&self.bias).zip(output) {
            let bias = (tile == 0).then_some(bias);
            if end > start || bias.is_some() || relu {
                unit(simd, &self.terms[start..end], bias, input, relu, output);
            }
            start = end;
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

/// Some consecutive layers of a network, as lists of their weights that are not zero.
#[derive(Debug)]
pub struct SparseNetwork {
    layers: Vec<Layer>,
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
                        input,
                        Grid { channels: convolutions[index].outputs, ..grid_of(&convolutions[index], output) },
                    )
                },
                Some(index) => Layer::new(
                    parameters,
                    layout.dense_weight(index),
                    Some(layout.dense_bias(index)),
                    dense[index].relu,
                    input,
                    output,
                ),
            }
        };
        Self { layers: range.map(layer).collect() }
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
            lay(first.input, batch, 0..first.input.numbers(), lanes);
            first.apply(simd, lanes, &mut outputs[0]);
        } else {
            // Pixels are read where they were laid, in the first-level cache.
            let inputs = first.input.numbers();
            for tile in 0..first.tiles() {
                lay(first.input, batch, tile * TILE..((tile + 1) * TILE).min(inputs), lanes);
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
mod tests {
    use super::*;
    use crate::cpu::fast::lanes::BLOCK;
    use crate::cpu::{dense, softmax_cross_entropy as twin_loss, training_step};
    use crate::network::Convolution;
    use crate::random::{Sequence, Stream};

    /// Any network, from any layer on, with any share of its weights: as the twin in double precision.
    #[test]
    fn sparse_networks_are_evaluated_as_by_the_twin() {
        let network = |list: &[(usize, bool)], width, depth, classes| Architecture {
            convolutions: list.iter().map(|&(filters, pool)| Convolution { filters, pool }).collect(),
            ..Architecture::dnn(7, 6, vec![width; depth], classes)
        };
        let cases = [
            (network(&[], 30, 3, 10), 0.3),
            (network(&[], 5, 2, 3), 1.0),
            (network(&[(3, true), (2, false)], 7, 2, 4), 0.5),
            (network(&[(2, false), (9, true)], 4, 2, 2), 0.1),
            (network(&[(1, true), (1, true)], 33, 2, 17), 1.0),
            (Architecture { channels: 3, ..network(&[(3, true), (2, false)], 7, 2, 4) }, 0.5),
            (Architecture { channels: 3, ..network(&[], 30, 2, 5) }, 0.4),
        ];
        for (case, (architecture, share)) in (0..).zip(&cases) {
            let mut draws = Sequence::new(5, Stream::Check, case, 0);
            let layout = ParameterLayout::new(architecture);
            let mut drawn = |share: f64| if draws.unit() < share { (2.0 * draws.unit() - 1.0) as f32 } else { 0.0 };
            let parameters: Vec<f32> = (0..layout.parameters()).map(|_| drawn(*share)).collect();
            let samples = 65;
            let images: Vec<u8> = (0..samples * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
            let labels: Vec<u8> = (0..samples).map(|_| draws.below(architecture.classes as u32) as u8).collect();
            let (order, scale): (Vec<u32>, f32) = ((0..samples as u32).collect(), 1.0 / 255.0);
            let mut input = vec![0.0; images.len()];
            dense::gather(architecture.image_len(), &images, &order, f64::from(scale), &mut input);
            let wide: Vec<f64> = parameters.iter().map(|&parameter| f64::from(parameter)).collect();
            let expected = training_step::forward(architecture, &wide, &input);
            let logits = &expected[expected.len() - 1];
            let expected = twin_loss::loss(architecture.classes, logits, &labels, &mut vec![0.0; logits.len()]);
            let layers = architecture.convolutions.len() + architecture.dense_layers().len();
            let mut losses = Vec::new();
            for first in 0..layers {
                let before = SparseNetwork::new(architecture, &parameters, 0..first);
                let after = SparseNetwork::new(architecture, &parameters, first..layers);
                let (mut total, mut correct) = (0.0, 0);
                for (order, labels) in order.chunks(BLOCK).zip(labels.chunks(BLOCK)) {
                    let mut lanes = vec![[7.0; BLOCK]; input_lanes(architecture, 0)];
                    pixels(architecture, ImageBatch { images: &images, labels, order, scale }, &mut lanes);
                    let (mut early, mut late) = (before.scratch(), after.scratch());
                    let input = before.run(&lanes, &mut early);
                    assert_eq!(input.len(), input_lanes(architecture, first));
                    let found = after.evaluate(input, labels, &mut late);
                    (total, correct) = (total + found.0, correct + found.1);
                }
                losses.push(total);
                assert_eq!(correct, expected.correct, "case {case} from layer {first}");
                let mean = total / samples as f64;
                assert!((mean - expected.mean).abs() < 1e-5 * expected.mean, "case {case}: {mean} for {expected:?}");
            }
            assert!(losses.iter().all(|&loss| loss == losses[0]), "case {case}: where it is cut changes no bit");
        }
    }
}
