//! The GPU engine on networks with convolutions: against the twins, and bits that depend on nothing but the replica.

use crate::engine::{Training, VARIANTS, batches, begin, data, engine, engine_of, order, train};
use crate::*;
use holdfast::cpu::training_step;
use holdfast::engine::Variant;
use holdfast::network::{Architecture, Convolution};

fn network(convolutions: Vec<Convolution>) -> Architecture {
    Architecture { convolutions, ..Architecture::dnn(9, 10, [7; 3], 4) }
}

#[test]
fn a_training_step_follows_the_twins() {
    // Convolutions may pool or not in any order, the first one too.
    let pools = [vec![true, true, true, false], vec![false, true], vec![true], vec![false]];
    for (variant, pools) in VARIANTS.into_iter().flat_map(|variant| pools.clone().map(|pools| (variant, pools))) {
        let convolutions = pools.iter().zip([3, 5, 2, 4]).map(|(&pool, filters)| Convolution { filters, pool });
        let architecture = network(convolutions.collect());
        let mut engine = engine_of(variant, RequestedLimits::Adapter);
        let set = data(&architecture, 20);
        let training = engine.load(&set).unwrap();
        let mut batch = begin(&mut engine, &architecture, training, 20, &[2, 9]).unwrap();
        let start = batch.replicas().unwrap();
        let orders = [order(20, 0), order(20, 0)];
        let losses = train(&mut batch, 0, &orders, std::slice::from_ref(&(0..20)));
        let input: Vec<f64> = (orders[0].iter())
            .flat_map(|&image| &set.images[image as usize * 90..(image as usize + 1) * 90])
            .map(|&pixel| f64::from(pixel) * f64::from(1.0f32 / 255.0))
            .collect();
        let labels: Vec<u8> = orders[0].iter().map(|&image| set.labels[image as usize]).collect();
        for (slot, replica) in batch.replicas().unwrap().iter().enumerate() {
            let before: Vec<f64> = start[slot].parameters.iter().map(|&p| f64::from(p)).collect();
            let (loss, gradient) = training_step::gradient(&architecture, &before, &input, &labels);
            assert!((f64::from(losses[slot].loss) - loss.mean).abs() < 1e-5, "{pools:?}");
            let largest = gradient.iter().fold(0.0, |largest: f64, g| largest.max(g.abs()));
            assert!(largest > 1e-3, "{pools:?}: the gradient must be there");
            // The first mean of gradients after one step is a tenth of the gradient.
            for (index, (&m, g)) in replica.m.iter().zip(&gradient).enumerate() {
                let difference = (10.0 * f64::from(m) - g).abs();
                assert!(difference < 1e-5 * largest, "{pools:?}: gradient {index} is off by {difference}");
            }
        }
    }
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    let training = Training { architecture: &network(Architecture::paper_convolutions(5)), samples: 60, batch: 8 };
    VARIANTS.into_iter().for_each(|variant| training.assert_alone_as_among_many(variant));
}

#[test]
fn waves_and_data_sets_that_do_not_fit_move_no_bits() {
    let training = Training { architecture: &network(Architecture::paper_convolutions(3)), samples: 60, batch: 8 };
    // The first layer produces 60 numbers a sample: the batches of four replicas need 7,680 bytes, 60 images 6,480.
    training.assert_waves_move_no_bits(Variant::Stacked, [16_384, 8_000, 4_200]);
    // The scratch of five replicas needs 363,520 bytes.
    training.assert_waves_move_no_bits(Variant::Fused, [400_000, 160_000, 80_000]);
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_one_that_does() {
    let architecture = network(Architecture::paper_convolutions(3));
    let mut engine = engine(RequestedLimits::ArrayBytes(4096));
    let training = engine.load(&data(&architecture, 60)).unwrap();
    assert_refused(begin(&mut engine, &architecture, training, 18, &[0]), &["batch of 18", "batch of 17"]);
    assert!(begin(&mut engine, &architecture, training, 17, &[0]).is_ok());
}

#[test]
fn a_step_is_one_launch_for_each_kernel_and_layer() {
    // Convolutions: four forward, four weight gradients, three input gradients. Dense part: the first layer forward, all
    // others forward and backward, the first layer's two gradients. The update.
    assert_eq!(launches_of_a_step(Variant::Stacked), 11 + 4 + 1);
    // The dense part and its update together; the update of the convolutions.
    assert_eq!(launches_of_a_step(Variant::Fused), 11 + 1 + 1);
}

fn launches_of_a_step(variant: Variant) -> u64 {
    let architecture = network(Architecture::paper_convolutions(3));
    let mut engine = engine_of(variant, RequestedLimits::Adapter);
    let training = engine.load(&data(&architecture, 60)).unwrap();
    let mut batch = begin(&mut engine, &architecture, training, 10, &[0, 1, 2]).unwrap();
    let before = engine.device().unwrap().dispatches();
    train(&mut batch, 0, &vec![order(60, 0); 3], &batches(60, 10));
    (engine.device().unwrap().dispatches() - before) / 6
}
