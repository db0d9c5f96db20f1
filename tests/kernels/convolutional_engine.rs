//! The GPU engine on networks with convolutions: against the twins, and bits that depend on nothing but the replica.

use crate::engine::{VARIANTS, batches, data, engine, engine_of, order, train};
use crate::*;
use holdfast::cpu::{softmax_cross_entropy, training_step};
use holdfast::engine::{Evaluation, Replica, Setup, StepLoss, SweepPoint, Variant, Watch};
use holdfast::network::{Architecture, Convolution, ParameterLayout, Selection};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

fn network(convolutions: Vec<Convolution>) -> Architecture {
    Architecture { convolutions, ..Architecture::dnn(9, 10, [7; 3], 4) }
}

/// What an epoch leaves behind.
struct Epoch {
    losses: Vec<StepLoss>,
    replicas: Vec<Replica<f32>>,
    logits: Vec<f32>,
    evaluations: Vec<Evaluation>,
}

/// Trains these replicas on 60 samples in batches of 8, the last one of 4.
fn epoch(architecture: &Architecture, variant: Variant, limits: RequestedLimits, ids: &[u32]) -> Epoch {
    let mut engine = engine_of(variant, limits);
    let data = engine.load(&data(architecture, 60)).unwrap();
    let setup = Setup {
        architecture,
        training: data,
        batch: 8,
        pixel_scale: 255.0,
        seed: 3,
        replica_ids: ids,
        selection: &Selection::focus(architecture),
    };
    let mut batch = engine.begin(&setup).unwrap();
    let orders: Vec<_> = ids.iter().map(|&id| order(60, id)).collect();
    let losses = train(&mut batch, 0, &orders, &batches(60, 8));
    let evaluations = batch.evaluate(data, &Watch { stop: &AtomicBool::new(false), progress: &|_| {} }).unwrap();
    Epoch { losses, replicas: batch.replicas().unwrap(), logits: batch.logits(data, 3..50).unwrap(), evaluations }
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
        let ids = [2, 9];
        let setup = Setup {
            architecture: &architecture,
            training,
            batch: 20,
            pixel_scale: 255.0,
            seed: 3,
            replica_ids: &ids,
            selection: &Selection::focus(&architecture),
        };
        let mut batch = engine.begin(&setup).unwrap();
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
    let architecture = network(Architecture::paper_convolutions(5));
    for variant in VARIANTS {
        let many = epoch(&architecture, variant, RequestedLimits::Adapter, &[4, 8, 6]);
        let alone = epoch(&architecture, variant, RequestedLimits::Adapter, &[8]);
        assert_eq!(many.losses[8..16], alone.losses);
        assert_eq!(many.replicas[1], alone.replicas[0]);
        assert_eq!(many.logits[47 * 4..2 * 47 * 4], alone.logits);
        assert_eq!(many.evaluations[1], alone.evaluations[0]);
    }
}

#[test]
fn waves_and_data_sets_that_do_not_fit_move_no_bits() {
    // The first layer produces 60 numbers a sample: the batches of four replicas need 7,680 bytes, 60 images 6,480.
    waves_move_no_bits(Variant::Stacked, [16_384, 8_000, 4_200]);
    // The scratch of five replicas needs 363,520 bytes.
    waves_move_no_bits(Variant::Fused, [400_000, 160_000, 80_000]);
}

fn waves_move_no_bits(variant: Variant, limits: [u64; 3]) {
    let architecture = network(Architecture::paper_convolutions(3));
    let ids = [0, 1, 2, 3, 4];
    let plain = epoch(&architecture, variant, RequestedLimits::Adapter, &ids);
    for bytes in limits {
        let cut = epoch(&architecture, variant, RequestedLimits::ArrayBytes(bytes), &ids);
        assert_eq!(cut.losses, plain.losses, "{bytes} bytes: losses");
        assert_eq!(cut.replicas, plain.replicas, "{bytes} bytes: replicas");
        assert_eq!(cut.logits, plain.logits, "{bytes} bytes: logits");
        // The steps of an evaluation depend on the limits, so only its rounding may differ.
        for (found, expected) in cut.evaluations.iter().zip(&plain.evaluations) {
            assert_eq!(found.correct, expected.correct);
            assert!((found.loss - expected.loss).abs() < 1e-6);
        }
    }
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_one_that_does() {
    let architecture = network(Architecture::paper_convolutions(3));
    let mut engine = engine(RequestedLimits::ArrayBytes(4096));
    let training = engine.load(&data(&architecture, 60)).unwrap();
    let setup = Setup {
        architecture: &architecture,
        training,
        batch: 18,
        pixel_scale: 255.0,
        seed: 3,
        replica_ids: &[0],
        selection: &Selection::focus(&architecture),
    };
    assert_refused(engine.begin(&setup), &["batch of 18", "batch of 17"]);
    assert!(engine.begin(&Setup { batch: 17, ..setup }).is_ok());
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
    let ids = [0, 1, 2];
    let setup = Setup {
        architecture: &architecture,
        training,
        batch: 10,
        pixel_scale: 255.0,
        seed: 3,
        replica_ids: &ids,
        selection: &Selection::focus(&architecture),
    };
    let mut batch = engine.begin(&setup).unwrap();
    let before = engine.device().unwrap().dispatches();
    train(&mut batch, 0, &vec![order(60, 0); 3], &batches(60, 10));
    (engine.device().unwrap().dispatches() - before) / 6
}

#[test]
fn evaluation_and_sweep_agree_with_the_twins() {
    let architecture = network(Architecture::paper_convolutions(6));
    let mut engine = engine(RequestedLimits::Adapter);
    let set = data(&architecture, 530);
    let handle = engine.load(&set).unwrap();
    let ids = [5, 6];
    let setup = Setup {
        architecture: &architecture,
        training: handle,
        batch: 10,
        pixel_scale: 255.0,
        seed: 3,
        replica_ids: &ids,
        selection: &Selection::focus(&architecture),
    };
    let mut batch = engine.begin(&setup).unwrap();
    let focus = ParameterLayout::new(&architecture).focus_weight().range();
    let masks: Vec<Arc<[bool]>> = (0..3).map(|m| (0..49).map(|weight_index| weight_index % 6 >= m).collect()).collect();
    let points: Vec<_> = (0..6).map(|i| SweepPoint { slot: i % 2, kept: Arc::clone(&masks[i / 2]) }).collect();
    let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
    let swept = batch.sweep(handle, &Selection::focus(&architecture), &points, &watch).unwrap();
    let evaluated = batch.evaluate(handle, &watch).unwrap();
    let replicas = batch.replicas().unwrap();
    let input: Vec<f64> = set.images.iter().map(|&pixel| f64::from(pixel) * f64::from(1.0f32 / 255.0)).collect();
    let mut expected = Vec::new();
    for point in &points {
        let mut parameters: Vec<f64> = replicas[point.slot].parameters.iter().map(|&p| f64::from(p)).collect();
        for (parameter, &kept) in parameters[focus.clone()].iter_mut().zip(&*point.kept) {
            *parameter = if kept { *parameter } else { 0.0 };
        }
        let activations = training_step::forward(&architecture, &parameters, &input);
        let logits = activations.last().unwrap();
        expected.push(softmax_cross_entropy::loss(4, logits, &set.labels, &mut vec![0.0; logits.len()]));
    }
    for (found, expected) in swept.iter().zip(&expected).chain(evaluated.iter().zip(&expected[..2])) {
        assert!((found.loss - expected.mean).abs() < 1e-5, "{} for {}", found.loss, expected.mean);
        assert!(found.correct.abs_diff(expected.correct) <= 1, "{} for {}", found.correct, expected.correct);
    }
}
