//! Polishing: all weights that a network still has move together, so that its logits come nearer to given ones.
//!
//! A step of Gauss and Newton with the damping of Levenberg (1944) and Marquardt (1963): with J the derivatives of all logits
//! of all samples by the weights, and r what the logits should be less what they are, the step d solves
//! `(J^T J / N + m I) d = J^T r / N` for N samples. Near the given logits the network is as good as linear, and d is the best
//! step that there is.

use super::Real;
use super::gram::Moments;
use super::layers;
use super::layers::{Gradient, logit_gradients};
use crate::network::{Architecture, Layer, ParameterLayout};

/// The derivatives of each logit by the `chosen` parameters, flat places that ascend: `[sample, class, chosen]`. `input` is
/// `[sample, feature]`.
pub fn jacobian<T: Real>(architecture: &Architecture, parameters: &[T], input: &[T], chosen: &[u32]) -> Vec<T> {
    let layout = ParameterLayout::new(architecture);
    let layers = Layer::all(architecture);
    let samples = input.len() / architecture.image_len();
    let size = chosen.len();
    let mut jacobian = vec![T::zero(); samples * architecture.classes * size];
    let within = |range: std::ops::Range<usize>| {
        let place = |end: usize| chosen.partition_point(|&parameter| (parameter as usize) < end);
        place(range.start)..place(range.end)
    };
    logit_gradients(architecture, parameters, input, &mut |Gradient { class, layer, input, values }| {
        let [weights, bias] = Layer::tensors(&layout, layer).map(|tensor| tensor.range());
        let (layer, units) = (&layers[layer], layers[layer].units());
        let columns = within(weights.start..bias.end);
        // Of each chosen parameter the input that it weights, one behind the last for the bias, and the unit.
        let inputs = layer.inputs();
        let places: Vec<(usize, usize)> = chosen[columns.clone()]
            .iter()
            .map(|&parameter| parameter as usize - weights.start)
            .map(|own| (own / units, own % units))
            .collect();
        for sample in 0..samples {
            let values = &values[sample * layer.rows() * units..][..layer.rows() * units];
            let input = &input[sample * layer.input_len()..][..layer.input_len()];
            let row = &mut jacobian[(sample * architecture.classes + class) * size..][..size][columns.clone()];
            match layer {
                Layer::Dense(_) => {
                    for (slot, &(i, unit)) in row.iter_mut().zip(&places) {
                        *slot = if i < inputs { input[i] * values[unit] } else { values[unit] };
                    }
                }
                Layer::Convolution(conv) => {
                    let (height, width, channels) = (conv.height, conv.width, conv.inputs);
                    for (slot, &(i, unit)) in row.iter_mut().zip(&places) {
                        let gradient = |y: usize, x: usize| values[(y * width + x) * units + unit];
                        let (tap, channel) = (i / channels, i % channels);
                        let (ky, kx) = (tap / 3, tap % 3);
                        // The taps reach one pixel beyond the border, where all is 0; the bias reads a 1 everywhere.
                        let read = |y: usize, x: usize| {
                            let (y, x) = ((y + ky).checked_sub(1)?, (x + kx).checked_sub(1)?);
                            (y < height && x < width).then(|| input[(y * width + x) * channels + channel])
                        };
                        let mut sum = T::zero();
                        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                            let read = if i < inputs { read(y, x) } else { Some(T::one()) };
                            sum += read.map_or(T::zero(), |read| read * gradient(y, x));
                        }
                        *slot = sum;
                    }
                }
            }
        }
    });
    jacobian
}

/// What the logits of a network are `[sample, class]`.
pub fn logits<T: Real>(architecture: &Architecture, parameters: &[T], input: &[T]) -> Vec<T> {
    let layout = ParameterLayout::new(architecture);
    Layer::all(architecture).iter().enumerate().fold(input.to_vec(), |input, (index, layer)| {
        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &parameters[tensor.range()]);
        layers::forward(layer, weights, bias, &input).values
    })
}

/// The moments `J^T J / N` and `J^T r / N` of the `chosen` parameters, `targets` `[sample, class]` being what the logits
/// should be. The step that they stand for is [`super::surgeon::refit`] of them, damped.
pub fn moments<T: Real>(
    architecture: &Architecture,
    parameters: &[T],
    input: &[T],
    targets: &[T],
    chosen: &[u32],
) -> Moments<T> {
    let size = chosen.len();
    let samples = T::of((targets.len() / architecture.classes) as f64);
    let mut moments = Moments { size, gram: vec![T::zero(); size * size], cross: vec![T::zero(); size] };
    let rows = jacobian(architecture, parameters, input, chosen);
    let logits = logits(architecture, parameters, input);
    for (row, (&target, &logit)) in rows.chunks_exact(size.max(1)).zip(targets.iter().zip(&logits)) {
        for i in 0..size {
            for j in 0..size {
                moments.gram[i * size + j] += row[i] * row[j] / samples;
            }
            moments.cross[i] += row[i] * (target - logit) / samples;
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::surgeon::refit;
    use crate::random::{Sequence, Stream};

    fn numbers(first: u32, count: usize) -> Vec<f64> {
        let mut sequence = Sequence::new(3, Stream::Check, first, 11);
        (0..count).map(|_| sequence.between(-0.8, 0.8)).collect()
    }

    fn networks() -> [Architecture; 2] {
        let dnn = Architecture::dnn(8, 8, [5; 2], 3);
        [Architecture { convolutions: Architecture::paper_convolutions(2), ..dnn.clone() }, dnn]
    }

    #[test]
    fn derivatives_are_those_of_central_differences() {
        for architecture in networks() {
            let parameters = numbers(1, ParameterLayout::new(&architecture).parameters());
            let input = numbers(2, 2 * architecture.image_len());
            let chosen: Vec<u32> = (0..parameters.len() as u32).step_by(3).collect();
            let found = jacobian(&architecture, &parameters, &input, &chosen);
            let step = 1e-6;
            for (column, &parameter) in chosen.iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = parameters.clone();
                    moved[parameter as usize] += by;
                    logits(&architecture, &moved, &input)
                };
                for (row, (above, below)) in moved(step).iter().zip(moved(-step)).enumerate() {
                    let expected = (above - below) / (2.0 * step);
                    let found = found[row * chosen.len() + column];
                    assert!((found - expected).abs() < 1e-7, "parameter {parameter}, logit {row}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn a_network_that_is_linear_in_the_chosen_weights_reaches_its_targets_in_one_step() {
        for architecture in networks() {
            let parameters = numbers(1, ParameterLayout::new(&architecture).parameters());
            let input = numbers(2, 40 * architecture.image_len());
            let layout = ParameterLayout::new(&architecture);
            // The output layer's weights and biases, the last tensors.
            let last = layout.tensors.len() - 2;
            let chosen: Vec<u32> = (layout.tensors[last].offset as u32..parameters.len() as u32).collect();
            let mut other = parameters.clone();
            other.iter_mut().skip(chosen[0] as usize).zip(numbers(4, chosen.len())).for_each(|(w, add)| *w += add);
            let targets = logits(&architecture, &other, &input);
            let mut moments = moments(&architecture, &parameters, &input, &targets, &chosen);
            // Units that never fire leave their weights undetermined.
            // Directions that move no logit are left undetermined without a ridge; one far below the others changes nothing else.
            (0..moments.size).for_each(|i| moments.gram[i * moments.size + i] += 1e-12);
            let step = refit(&moments).unwrap();
            let mut moved = parameters.clone();
            chosen.iter().zip(&step).for_each(|(&place, step)| moved[place as usize] += step);
            let distance = |parameters: &[f64]| -> f64 {
                let logits = logits(&architecture, parameters, &input);
                logits.iter().zip(&targets).map(|(logit, target)| (logit - target).powi(2)).sum()
            };
            let (before, after) = (distance(&parameters), distance(&moved));
            assert!(after < 1e-8 * before, "{before} before, {after} after");
        }
    }
}
