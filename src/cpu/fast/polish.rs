//! The moments of a polishing step, in bands of rows side by side. Definition: [`crate::cpu::polish`].

use super::gram::{Half, RankUpdate};
use super::{AlignedBuffer, padded};
use crate::cpu::polish::{jacobian, logits};
use crate::network::Architecture;
use rayon::prelude::*;

/// Samples whose derivatives are held at once.
pub const BLOCK: usize = 32;
/// Samples of a block that one thread takes.
const SHARE: usize = 4;
/// Rows of the matrix that one thread takes.
const BAND: usize = 64;

/// `J^T J` and `J^T r`, added up block by block; not yet divided by the number of samples.
pub struct Sums(Half);

impl Sums {
    /// Nothing added yet, for this many parameters.
    pub fn new(size: usize) -> Self {
        Self(Half::new(size, 1))
    }

    /// Adds a block of at most [`BLOCK`] samples `[sample, feature]`, with their targets `[sample, class]`. Each sum adds
    /// samples and classes in their order, for any number of threads.
    pub fn add(
        &mut self,
        architecture: &Architecture,
        parameters: &[f32],
        input: &[f32],
        targets: &[f32],
        chosen: &[u32],
    ) {
        let Half { size, stride, ref mut values } = self.0;
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

    /// The moments of `samples` samples.
    pub fn moments(mut self, samples: usize) -> Half {
        self.0.values.iter_mut().for_each(|value| *value /= samples as f32);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::polish::moments;
    use crate::network::ParameterLayout;
    use crate::random::{Sequence, Stream};

    #[test]
    fn sums_in_blocks_are_those_of_the_definition() {
        let numbers = |first: u32, count: usize| -> Vec<f32> {
            let mut sequence = Sequence::new(3, Stream::Check, first, 12);
            (0..count).map(|_| sequence.between(-0.8, 0.8) as f32).collect()
        };
        let dnn = Architecture::dnn(8, 8, [7; 2], 3);
        let cnn = Architecture { convolutions: Architecture::paper_convolutions(2), ..dnn.clone() };
        for architecture in [dnn, cnn] {
            let parameters = numbers(1, ParameterLayout::new(&architecture).parameters());
            let samples = 2 * BLOCK + 5;
            let (input, targets) = (numbers(2, samples * architecture.image_len()), numbers(3, samples * 3));
            // All of them: more than a band, and not a whole number of bands.
            let chosen: Vec<u32> = (0..parameters.len() as u32).filter(|place| place % 7 != 0).collect();
            let mut sums = Sums::new(chosen.len());
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
