//! One layer of a network of which many weights are zero: as a list of those that are not, or with all of them. What a convolution
//! reads has a border of zeros, so that every pixel has the same list of weights.

use super::super::focus_sweep::{Term, unit};
use super::super::lanes::{BLOCK, Grid, Lane, Lanes};
use crate::network::{ConvLayer, Tensor};
use pulp::Simd;

/// Inputs of a tile: what a block of samples has there stays in the first-level cache while all units read it.
pub(super) const TILE: usize = 96;

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
pub(super) struct Layer {
    /// Its sizes, if it is a convolution.
    pub(super) convolution: Option<ConvLayer>,
    weights: Weights,
    bias: Vec<f32>,
    relu: bool,
    pub(super) input: Grid,
    pub(super) output: Grid,
}

impl Layer {
    /// From weights `[.., in, out]` of the flat `parameters`; all of them are kept where at least `crossover` of them are not 0.
    pub(super) fn new(
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

    /// The same weights at each pixel.
    pub(super) fn convolving(self, convolution: ConvLayer) -> Self {
        Self { convolution: Some(convolution), ..self }
    }

    /// `output` from `input`, both with the borders that their grids have.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, input: &[Lane], output: &mut [Lane]) {
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

    /// Whether it is computed from a list of the weights that are not zero.
    pub(super) fn is_listed(&self) -> bool {
        matches!(self.weights, Weights::Some { .. })
    }

    /// Tiles of inputs.
    pub(super) fn tiles(&self) -> usize {
        match &self.weights {
            Weights::Some { ends, .. } => ends.len() / self.bias.len(),
            Weights::All { places, .. } => places.len().div_ceil(TILE),
        }
    }

    /// What the inputs of one tile add to all units; of a dense layer `input` begins at the tile.
    #[inline(always)]
    pub(super) fn tile<S: Simd>(&self, simd: S, tile: usize, input: &[Lane], output: &mut [Lane]) {
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
                *output = if relu { super::super::relu(simd, sum) } else { sum };
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
