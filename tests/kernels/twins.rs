//! Backward twins are the derivatives of forward twins: central differences in double precision.

use holdfast::cpu::dense::{self, DenseShape};
use holdfast::cpu::{softmax_cross_entropy, training_step};
use holdfast::network::Architecture;
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
    let architecture = Architecture { image_height: 3, image_width: 4, width: 5, depth: 3, classes: 4 };
    // Leaning to the positive side, so that most units are alive.
    let parameters: Vec<f64> = numbers(12 * 5 + 5 + 2 * 30 + 24, 6).iter().map(|p| p + 0.3).collect();
    let (input, labels) = (numbers(6 * 12, 7).iter().map(|x| x.abs()).collect::<Vec<_>>(), [0, 1, 2, 3, 1, 0]);
    // Away from the kinks: no unit is within reach of a step.
    for layer in &training_step::forward(&architecture, &parameters, &input)[..3] {
        assert!(layer.iter().all(|&y| y == 0.0 || y > 100.0 * STEP));
    }
    let (_, gradient) = training_step::gradient(&architecture, &parameters, &input, &labels);
    assert!(gradient.iter().filter(|g| **g != 0.0).count() > gradient.len() / 2, "most units must be alive");
    assert_derivative(&parameters, &gradient, |parameters| {
        training_step::gradient(&architecture, parameters, &input, &labels).0.mean
    });
}
