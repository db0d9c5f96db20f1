//! The moments of a polishing step. Definition: [`crate::cpu::polish`].
//!
//! The derivative of a logit by a dense layer's weight is a product: of the logit's gradient g at the weight's unit, and of
//! what the weight's input x gives. So for the weights of two units u and v
//! `sum_nc J_nc,ui J_nc,vj = sum_n (sum_c g_nc,u g_nc,v) x_ni x_nj`: classes are added up before weights are paired, which
//! saves as many times the work as there are classes. A convolution's weight sums over positions, so networks with
//! convolutions pair the derivatives as they are.

use super::gram::{Half, RankUpdate, block};
use super::{AlignedBuffer, padded};
use crate::cpu::layers::{Gradient, logit_gradients};
use crate::cpu::polish::{jacobian, logits};
use crate::network::{Architecture, Layer, ParameterLayout};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Samples that are added at once.
pub const BLOCK: usize = 64;
/// Samples of a block that one thread takes.
const SHARE: usize = 8;
/// Rows of the matrix that one thread takes, where there are convolutions.
const BAND: usize = 64;

/// `J^T J` and `J^T r`, added up block by block.
pub enum Sums {
    /// Of a network without convolutions.
    ByUnit(ByUnit),
    /// Of any other, not yet divided by the number of samples.
    ByRow(Half),
}

impl Sums {
    /// Nothing added yet, for these parameters: flat places that ascend.
    pub fn new(architecture: &Architecture, chosen: &[u32]) -> Self {
        if architecture.convolutions.is_empty() {
            Self::ByUnit(ByUnit::new(architecture, chosen))
        } else {
            Self::ByRow(Half::new(chosen.len(), 1))
        }
    }

    /// Adds a block of at most [`BLOCK`] samples `[sample, feature]`, with their targets `[sample, class]`. Each sum adds
    /// samples in their order, for any number of threads.
    pub fn add(
        &mut self,
        architecture: &Architecture,
        parameters: &[f32],
        input: &[f32],
        targets: &[f32],
        chosen: &[u32],
    ) {
        match self {
            Self::ByUnit(sums) => sums.add(architecture, parameters, input, targets),
            Self::ByRow(sums) => add_rows(sums, architecture, parameters, input, targets, chosen),
        }
    }

    /// The moments of `samples` samples, in the order of the parameters.
    pub fn moments(self, samples: usize) -> Half {
        let mut moments = match self {
            Self::ByUnit(sums) => sums.in_order(),
            Self::ByRow(sums) => sums,
        };
        moments.values.iter_mut().for_each(|value| *value /= samples as f32);
        moments
    }
}

/// Adds the derivatives of all logits, row by row.
fn add_rows(
    sums: &mut Half,
    architecture: &Architecture,
    parameters: &[f32],
    input: &[f32],
    targets: &[f32],
    chosen: &[u32],
) {
    let Half { size, stride, ref mut values } = *sums;
    let mut rows = AlignedBuffer::zeros(targets.len() * stride);
    let shares = rows.par_chunks_mut(SHARE * architecture.classes * stride);
    let samples = input.par_chunks(SHARE * architecture.image_len());
    let targets = targets.par_chunks(SHARE * architecture.classes);
    shares.zip(samples).zip(targets).for_each(|((rows, input), targets)| {
        let derivatives = jacobian(architecture, parameters, input, chosen);
        let logits = logits(architecture, parameters, input);
        let own = derivatives.chunks_exact(size.max(1)).zip(targets.iter().zip(&logits));
        for (row, (derivatives, (target, logit))) in rows.chunks_exact_mut(stride).zip(own) {
            row[..size].copy_from_slice(derivatives);
            row[size] = target - logit;
        }
    });
    values[..padded(size) * stride].par_chunks_mut(BAND * stride).enumerate().for_each(|(band, c)| {
        let first = band * BAND;
        let own = first..size.min(first + BAND);
        let (a, b) = (&*rows, &*rows);
        let update = RankUpdate { subtract: false, half: true, rows: own, first, columns: stride, a, b, c, stride };
        pulp::Arch::new().dispatch(update);
    });
}

/// The chosen weights of one unit.
struct Unit {
    layer: usize,
    unit: usize,
    /// Its inputs that are weighted; behind the last of the layer the 1 that a bias weights.
    inputs: Vec<usize>,
    /// Where its columns begin: whole registers.
    first: usize,
}

/// Sums in which the weights of a unit stand side by side.
pub struct ByUnit {
    units: Vec<Unit>,
    /// Where each parameter stands.
    columns: Vec<usize>,
    stride: usize,
    /// `[column, column]`: those of a unit, and of the units behind it.
    gram: AlignedBuffer,
    /// `[column]`
    cross: Vec<f32>,
}

/// What a share of samples gives: of each sample and layer what the layer reads, of each sample, layer and class the gradient
/// of the logit by its units, and what each logit is short of its target.
struct Share {
    inputs: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    short: Vec<f32>,
}

impl ByUnit {
    fn new(architecture: &Architecture, chosen: &[u32]) -> Self {
        let layout = ParameterLayout::new(architecture);
        let mut places: Vec<(usize, usize, usize, usize)> = Vec::with_capacity(chosen.len());
        for (layer, own) in Layer::all(architecture).iter().enumerate() {
            let [weights, bias] = Layer::tensors(&layout, layer).map(|tensor| tensor.range());
            let within = |&(_, &place): &(usize, &u32)| (weights.start..bias.end).contains(&(place as usize));
            // The bias lies behind the weights, as if it weighted one input more.
            places.extend(chosen.iter().enumerate().filter(within).map(|(index, &place)| {
                let place = place as usize - weights.start;
                (layer, place % own.units(), place / own.units(), index)
            }));
        }
        places.sort_unstable();
        let (mut units, mut columns): (Vec<Unit>, _) = (Vec::new(), vec![0; chosen.len()]);
        for (layer, unit, input, index) in places {
            if units.last().is_none_or(|last| (last.layer, last.unit) != (layer, unit)) {
                let first = units.last().map_or(0, |last| last.first + padded(last.inputs.len()));
                units.push(Unit { layer, unit, inputs: Vec::new(), first });
            }
            if let Some(last) = units.last_mut() {
                columns[index] = last.first + last.inputs.len();
                last.inputs.push(input);
            }
        }
        let stride = units.last().map_or(0, |last| last.first + padded(last.inputs.len()));
        Self { units, columns, stride, gram: AlignedBuffer::zeros(stride * stride), cross: vec![0.0; stride] }
    }

    fn add(&mut self, architecture: &Architecture, parameters: &[f32], input: &[f32], targets: &[f32]) {
        let (classes, stride) = (architecture.classes, self.stride);
        let layers = Layer::all(architecture);
        let samples = targets.len() / classes;
        let share = |(input, targets): (&[f32], &[f32])| {
            let count = targets.len() / classes;
            let mut inputs: Vec<Vec<f32>> = vec![Vec::new(); layers.len()];
            let mut gradients: Vec<Vec<f32>> =
                layers.iter().map(|layer| vec![0.0; count * classes * layer.units()]).collect();
            logit_gradients(architecture, parameters, input, &mut |Gradient { class, layer, input, values }| {
                if class == 0 {
                    inputs[layer] = input.to_vec();
                }
                let units = layers[layer].units();
                for (sample, values) in values.chunks_exact(units).enumerate() {
                    gradients[layer][(sample * classes + class) * units..][..units].copy_from_slice(values);
                }
            });
            let logits = logits(architecture, parameters, input);
            Share {
                inputs,
                gradients,
                short: targets.iter().zip(&logits).map(|(target, logit)| target - logit).collect(),
            }
        };
        let pairs = input.par_chunks(SHARE * architecture.image_len()).zip(targets.par_chunks(SHARE * classes));
        let shares: Vec<Share> = pairs.map(share).collect();
        // Of each unit the gradients `[sample, class]`, and of each column what it weights.
        let gradient = |Unit { layer, unit, .. }: &Unit| -> Vec<f32> {
            let units = layers[*layer].units();
            shares.iter().flat_map(|share| share.gradients[*layer].iter().skip(*unit).step_by(units)).copied().collect()
        };
        let gradients: Vec<Vec<f32>> = self.units.iter().map(gradient).collect();
        let mut x = AlignedBuffer::zeros(samples * stride);
        for (sample, row) in x.chunks_exact_mut(stride.max(1)).enumerate() {
            let share = &shares[sample / SHARE];
            for Unit { layer, inputs, first, .. } in &self.units {
                let length = layers[*layer].inputs();
                let read = &share.inputs[*layer][sample % SHARE * length..][..length];
                let values = inputs.iter().map(|&input| read.get(input).copied().unwrap_or(1.0));
                row[*first..].iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
            }
        }
        let short: Vec<f32> = shares.iter().flat_map(|share| &share.short).copied().collect();
        // Of two arrays `[sample, class]` the sum over classes of their products.
        let over_classes = |one: &[f32], other: &[f32]| -> Vec<f32> {
            let rows = one.chunks_exact(classes).zip(other.chunks_exact(classes));
            rows.map(|(one, other)| one.iter().zip(other).map(|(a, b)| a * b).sum()).collect()
        };
        let (mut gram, mut cross) = (&mut *self.gram, &mut *self.cross);
        let mut slabs = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            let columns = padded(unit.inputs.len());
            let (own, behind) = gram.split_at_mut(columns * stride);
            let (own_cross, cross_behind) = cross.split_at_mut(columns);
            slabs.push((own, own_cross));
            (gram, cross) = (behind, cross_behind);
        }
        let units = &self.units;
        slabs.into_par_iter().enumerate().for_each(|(index, (c, cross))| {
            let Unit { inputs, first, .. } = &units[index];
            let columns = padded(inputs.len());
            let mut a = AlignedBuffer::zeros(samples * columns);
            // The unit's columns, each sample weighted.
            let weigh = |weights: &[f32], a: &mut AlignedBuffer| {
                let rows = a.chunks_exact_mut(columns).zip(x.chunks_exact(stride));
                for ((a, x), &weight) in rows.zip(weights) {
                    a.iter_mut().zip(&x[*first..]).for_each(|(a, &x)| *a = weight * x);
                }
            };
            weigh(&over_classes(&gradients[index], &short), &mut a);
            for row in a.chunks_exact(columns) {
                cross.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
            }
            for (other, behind) in units.iter().enumerate().skip(index) {
                let weights = over_classes(&gradients[index], &gradients[other]);
                if weights.iter().all(|&weight| weight == 0.0) {
                    continue;
                }
                weigh(&weights, &mut a);
                let width = padded(behind.inputs.len());
                let columns = behind.first..behind.first + width;
                pulp::Arch::new().dispatch(UnitUpdate { rows: inputs.len(), columns, a: &a, b: &x, c, stride });
            }
        });
    }

    fn in_order(&self) -> Half {
        let size = self.columns.len();
        let mut moments = Half::new(size, 1);
        let stride = moments.stride;
        moments.values.par_chunks_mut(stride).zip(&self.columns).enumerate().for_each(|(i, (row, &own))| {
            for (value, &other) in row[i..size].iter_mut().zip(&self.columns[i..]) {
                // Of two units the first has them.
                *value = self.gram[own.min(other) * self.stride + own.max(other)];
            }
            row[size] = self.cross[own];
        });
        moments
    }
}

/// `c[i, j] += sum_n a[n, i] b[n, j]` for the first `rows` i and the `columns` j, whole registers.
struct UnitUpdate<'a> {
    rows: usize,
    columns: std::ops::Range<usize>,
    a: &'a [f32],
    b: &'a [f32],
    c: &'a mut [f32],
    stride: usize,
}

impl WithSimd for UnitUpdate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F32_LANES == 16 { self.blocks::<S, 8>(simd) } else { self.blocks::<S, 4>(simd) }
    }
}

impl UnitUpdate<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const R: usize>(self, simd: S) {
        let Self { rows, columns, a, b, c, stride } = self;
        let of_a = padded(rows);
        let end = columns.end / S::F32_LANES;
        for row in (0..rows).step_by(R) {
            let c = &mut c[row * stride..];
            let mut register = columns.start / S::F32_LANES;
            while register + 2 <= end {
                block::<S, R, 2>(simd, false, [row, register], [a, b], c, [of_a, stride]);
                register += 2;
            }
            if register < end {
                block::<S, R, 1>(simd, false, [row, register], [a, b], c, [of_a, stride]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::polish::moments;
    use crate::random::{Sequence, Stream};

    #[test]
    fn sums_in_blocks_are_those_of_the_definition() {
        let numbers = |first: u32, count: usize| -> Vec<f32> {
            let mut sequence = Sequence::new(3, Stream::Check, first, 12);
            (0..count).map(|_| sequence.between(-0.8, 0.8) as f32).collect()
        };
        let dnn = Architecture::dnn(8, 8, [7; 2], 3);
        let cnn = Architecture { convolutions: Architecture::paper_convolutions(2), ..dnn.clone() };
        for architecture in [dnn.clone(), Architecture { bias: false, ..dnn }, cnn] {
            let parameters = numbers(1, ParameterLayout::new(&architecture).parameters());
            let samples = 2 * BLOCK + 5;
            let (input, targets) = (numbers(2, samples * architecture.image_len()), numbers(3, samples * 3));
            // More than a band, and neither whole bands nor whole registers.
            let chosen: Vec<u32> = (0..parameters.len() as u32).filter(|place| place % 7 != 0).collect();
            let mut sums = Sums::new(&architecture, &chosen);
            let blocks = input.chunks(BLOCK * architecture.image_len()).zip(targets.chunks(BLOCK * 3));
            blocks.for_each(|(input, targets)| sums.add(&architecture, &parameters, input, targets, &chosen));
            let found = sums.moments(samples);
            let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&value| value.into()).collect() };
            let expected = moments(&architecture, &wide(&parameters), &wide(&input), &wide(&targets), &chosen);
            let size = chosen.len();
            let diagonal = |i: usize| expected.gram[i * size + i];
            let residual: f64 = {
                let logits = logits(&architecture, &wide(&parameters), &wide(&input));
                logits.iter().zip(&targets).map(|(z, &t)| (f64::from(t) - z).powi(2)).sum::<f64>() / samples as f64
            };
            // Sums of products: as many roundings as terms, and those of a pass back and forth through the network.
            let terms = (samples * 3 + 2 * (architecture.image_len() + 100)) as f64;
            let bound = |a: f64, b: f64| 4.0 * terms * f64::from(f32::EPSILON) * ((a * b).sqrt() + 1e-3);
            for i in 0..size {
                for j in i..size {
                    let (found, expected) = (f64::from(found.at(i, j)), expected.gram[i * size + j]);
                    assert!(
                        (found - expected).abs() <= bound(diagonal(i), diagonal(j)),
                        "{i}, {j}: {found}, {expected}"
                    );
                }
                let (found, expected) = (f64::from(found.at(i, size)), expected.cross[i]);
                assert!((found - expected).abs() <= bound(diagonal(i), residual), "cross {i}: {found}, {expected}");
            }
        }
    }
}
