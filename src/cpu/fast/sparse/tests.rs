//! Networks of lists of weights against the twin.

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
        for crossover in [0.0, CROSSOVER, 2.0] {
            let network = SparseNetwork::with_crossover(architecture, &parameters, 0..layers, crossover);
            let (mut lanes, mut scratch) = (Lanes::zeros(input_lanes(architecture, 0)), network.scratch());
            let blocks = order.chunks(BLOCK).zip(labels.chunks(BLOCK)).map(|(order, labels)| {
                let batch = ImageBatch { images: &images, labels, order, scale };
                network.evaluate_images(batch, &mut lanes, &mut scratch).0
            });
            assert_eq!(blocks.sum::<f64>(), losses[0], "case {case}: how a layer is computed changes no bit");
        }
    }
}
