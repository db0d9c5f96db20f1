//! Backward twins are the derivatives of forward twins: central differences in double precision.

use holdfast::cpu::conv2d::{self, ConvShape};
use holdfast::cpu::dense::{self, DenseShape};
use holdfast::cpu::max_pool2d::{self, PoolShape};
use holdfast::cpu::{softmax_cross_entropy, training_step};
use holdfast::network::{Architecture, Convolution, ParameterLayout};
use holdfast::random::{Sequence, Stream};

const STEP: f64 = 1e-6;

fn numbers(len: usize, array: u32) -> Vec<f64> {
    let mut draws = Sequence::new(4, Stream::Check, array, 0);
    (0..len).map(|_| 2.0 * draws.unit() - 1.0).collect()
}

/// Compares `gradient` with central differences of `function` in each component of `at`.
fn assert_derivative(at: &[f64], gradient: &[f64], mut function: impl FnMut(&[f64]) -> f64) {
    assert_eq!(at.len(), gradient.len());
    for index in 0..at.len() {
        let mut moved = at.to_vec();
        moved[index] = at[index] + STEP;
        let above = function(&moved);
        moved[index] = at[index] - STEP;
        let slope = (above - function(&moved)) / (2.0 * STEP);
        let bound = 1e-7 * (1.0 + slope.abs());
        assert!((slope - gradient[index]).abs() < bound, "{index}: slope {slope}, gradient {}", gradient[index]);
    }
}

#[test]
fn dense_backward_is_the_derivative_of_forward() {
    let shape = DenseShape { samples: 3, inputs: 4, outputs: 5 };
    // What the layer reads is a ReLU's output: `raw` where it is positive. No value lies within a step of 0.
    let (raw, weights, bias) = (numbers(12, 1), numbers(20, 2), numbers(5, 3));
    assert!(raw.iter().all(|x| x.abs() > 10.0 * STEP));
    let relu = |raw: &[f64]| raw.iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
    let seed = numbers(15, 4);
    let weigh = |input: &[f64], weights: &[f64], bias: &[f64]| {
        let mut output = vec![0.0; 15];
        dense::forward(shape, input, weights, bias, false, &mut output);
        output.iter().zip(&seed).map(|(y, s)| y * s).sum::<f64>()
    };
    let input = relu(&raw);
    let mut input_gradient = vec![0.0; 12];
    dense::backward_input(shape, &seed, &weights, &input, &mut input_gradient);
    assert_derivative(&raw, &input_gradient, |raw| weigh(&relu(raw), &weights, &bias));
    let (mut weight_gradient, mut bias_gradient) = (vec![0.0; 20], vec![0.0; 5]);
    dense::backward_weights(shape, &input, &seed, &mut weight_gradient, &mut bias_gradient);
    assert_derivative(&weights, &weight_gradient, |weights| weigh(&input, weights, &bias));
    assert_derivative(&bias, &bias_gradient, |bias| weigh(&input, &weights, bias));
}

#[test]
fn convolution_backward_is_the_derivative_of_forward() {
    let shapes = [(1, 1, 1, 1), (1, 5, 1, 3), (4, 3, 3, 5), (5, 6, 2, 1)];
    for (height, width, inputs, outputs) in shapes {
        let shape = ConvShape { samples: 2, height, width, inputs, outputs };
        let pixels = 2 * height * width;
        let (raw, weights, bias) =
            (numbers(pixels * inputs, 11), numbers(9 * inputs * outputs, 12), numbers(outputs, 13));
        let relu = |raw: &[f64]| raw.iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
        let seed = numbers(pixels * outputs, 14);
        let forward = |input: &[f64], weights: &[f64], bias: &[f64]| {
            let mut output = vec![0.0; seed.len()];
            conv2d::forward(shape, input, weights, bias, &mut output);
            output
        };
        let input = relu(&raw);
        let output = forward(&input, &weights, &bias);
        assert!(raw.iter().all(|x| x.abs() > 10.0 * STEP) && output.iter().all(|&y| y == 0.0 || y > 100.0 * STEP));
        // The derivative of the layer's own ReLU.
        let output_gradient: Vec<f64> =
            output.iter().zip(&seed).map(|(&y, &s)| if y > 0.0 { s } else { 0.0 }).collect();
        let weigh = |input: &[f64], weights: &[f64], bias: &[f64]| {
            forward(input, weights, bias).iter().zip(&seed).map(|(y, s)| y * s).sum::<f64>()
        };
        let mut input_gradient = vec![0.0; input.len()];
        conv2d::backward_input(shape, &output_gradient, &weights, &input, &mut input_gradient);
        assert_derivative(&raw, &input_gradient, |raw| weigh(&relu(raw), &weights, &bias));
        let (mut weight_gradient, mut bias_gradient) = (vec![0.0; weights.len()], vec![0.0; outputs]);
        conv2d::backward_weights(shape, &input, &output_gradient, &mut weight_gradient, &mut bias_gradient);
        assert_derivative(&weights, &weight_gradient, |weights| weigh(&input, weights, &bias));
        assert_derivative(&bias, &bias_gradient, |bias| weigh(&input, &weights, bias));
    }
}

#[test]
fn a_convolution_equals_one_written_out_by_hand() {
    // One image of 2 x 3, one channel, all weights different: the corner reads four pixels, the middle six.
    let shape = ConvShape { samples: 1, height: 2, width: 3, inputs: 1, outputs: 1 };
    let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let mut output = [0.0; 6];
    conv2d::forward(shape, &[1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0], &weights, &[0.5], &mut output);
    assert_eq!(output[0], 0.5 + 5.0 + 60.0 + 8000.0 + 90_000.0);
    assert_eq!(output[4], 0.5 + 1.0 + 20.0 + 300.0 + 4000.0 + 50_000.0 + 600_000.0);
}

#[test]
fn pooling_takes_the_first_of_equal_values_and_drops_odd_edges() {
    let shape = PoolShape { samples: 1, height: 3, width: 5, channels: 1 };
    let input = [1.0, 1.0, 0.0, 2.0, 9.0, 1.0, 1.0, 3.0, 3.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0];
    let (mut output, mut argmax) = ([0.0; 2], [9; 2]);
    max_pool2d::forward(shape, &input, &mut output, &mut argmax);
    assert_eq!((output, argmax), ([1.0, 3.0], [0, 2]));
}

#[test]
fn pooling_backward_is_the_derivative_of_forward() {
    let shape = PoolShape { samples: 2, height: 5, width: 4, channels: 3 };
    let (input, seed) = (numbers(2 * 20 * 3, 15), numbers(2 * 4 * 3, 16));
    let forward = |input: &[f64]| {
        let (mut output, mut argmax) = (vec![0.0; seed.len()], vec![0; seed.len()]);
        max_pool2d::forward(shape, input, &mut output, &mut argmax);
        (output, argmax)
    };
    let mut gradient = vec![9.0; input.len()];
    max_pool2d::backward(shape, &seed, &forward(&input).1, &mut gradient);
    assert_derivative(&input, &gradient, |input| forward(input).0.iter().zip(&seed).map(|(y, s)| y * s).sum());
}

#[test]
fn the_losss_gradient_is_its_derivative() {
    let logits: Vec<f64> = numbers(5 * 7, 5).iter().map(|z| 4.0 * z).collect();
    let labels = [0, 6, 3, 3, 1];
    let mut gradient = vec![0.0; logits.len()];
    softmax_cross_entropy::loss(7, &logits, &labels, &mut gradient);
    assert_derivative(&logits, &gradient, |logits| {
        softmax_cross_entropy::loss(7, logits, &labels, &mut vec![0.0; logits.len()]).mean
    });
}

#[test]
fn the_whole_networks_gradient_is_the_derivative_of_its_loss() {
    let convolution = |filters, pool| Convolution { filters, pool };
    for convolutions in [vec![], vec![convolution(2, true), convolution(3, false)], vec![convolution(3, true)]] {
        the_gradient_is_the_derivative(&convolutions);
    }
}

fn the_gradient_is_the_derivative(convolutions: &[Convolution]) {
    let convolutions = convolutions.to_vec();
    let architecture = Architecture { convolutions, ..Architecture::dnn(3, 4, [5, 6, 4], 4) };
    // Leaning to the positive side, so that most units are alive.
    let count = ParameterLayout::new(&architecture).parameters();
    let parameters: Vec<f64> = numbers(count, 6).iter().map(|p| p + 0.3).collect();
    let (input, labels) = (numbers(6 * 12, 7).iter().map(|x| x.abs()).collect::<Vec<_>>(), [0, 1, 2, 3, 1, 0]);
    // Away from the kinks: no unit is within reach of a step.
    let activations = training_step::forward(&architecture, &parameters, &input);
    for layer in &activations[..activations.len() - 1] {
        assert!(layer.iter().all(|&y| y == 0.0 || y > 100.0 * STEP));
    }
    let (_, gradient) = training_step::gradient(&architecture, &parameters, &input, &labels);
    assert!(gradient.iter().filter(|g| **g != 0.0).count() > gradient.len() / 2, "most units must be alive");
    assert_derivative(&parameters, &gradient, |parameters| {
        training_step::gradient(&architecture, parameters, &input, &labels).0.mean
    });
}

/// The numbers of `docs/by-hand.md`, to the digits that are printed there.
#[test]
fn the_chapter_by_hand_has_the_numbers_that_the_twins_compute() {
    let shape = DenseShape { samples: 1, inputs: 2, outputs: 2 };
    let (x, first, second, bias) = ([1.0, 2.0], [0.5, -1.0, 0.25, 0.25], [1.0, 0.0, 3.0, 2.0], [0.0; 2]);
    let (mut hidden, mut logits) = ([9.0; 2], [9.0; 2]);
    dense::forward(shape, &x, &first, &bias, true, &mut hidden);
    dense::forward(shape, &hidden, &second, &bias, false, &mut logits);
    assert_eq!((hidden, logits), ([1.0, 0.0], [1.0, 0.0]));
    let mut dz = [9.0; 2];
    let loss = softmax_cross_entropy::loss(2, &logits, &[1], &mut dz);
    let (mut d_second, mut d_first, mut d_hidden, mut d_bias) = ([9.0; 4], [9.0; 4], [9.0; 2], [9.0; 2]);
    dense::backward_weights(shape, &hidden, &dz, &mut d_second, &mut d_bias);
    dense::backward_input(shape, &dz, &second, &hidden, &mut d_hidden);
    dense::backward_weights(shape, &x, &d_hidden, &mut d_first, &mut d_bias);
    let round = |values: &[f64]| values.iter().map(|value| (value * 1e4).round() / 1e4).collect::<Vec<_>>();
    assert_eq!(round(&[loss.mean]), [1.3133]);
    assert_eq!(round(&dz), [0.7311, -0.7311]);
    assert_eq!(round(&d_second), [0.7311, -0.7311, 0.0, 0.0]);
    assert_eq!(round(&d_hidden), [0.7311, 0.0]);
    assert_eq!(round(&d_first), [0.7311, 0.0, 1.4621, 0.0]);
    let page = std::fs::read_to_string("docs/by-hand.md").unwrap();
    assert!(["1.3133", "0.7311", "1.4621"].iter().all(|number| page.contains(number)));
}
