//! A network with one parameter that is not a number says so on every engine, whatever way it is trained: no loss is a
//! number any more. The network beside it keeps its bits.

use crate::engine::begin;
use crate::*;
use holdfast::data::Dataset;
use holdfast::engine::{Batch, DataHandle, Engine, GpuBackend, Replica, Steps, SweepPoint, Variant, Watch};
use holdfast::network::{Architecture, ParameterLayout, Selection};
use holdfast::random::{Sequence, Stream};
use std::sync::Arc;

const SAMPLES: usize = 13;

fn engines() -> Vec<Engine> {
    let open = || open(false, RequestedLimits::WebGpuDefaults);
    vec![
        Engine::cpu(Some(2)).unwrap(),
        GpuBackend::with_variant(open(), Variant::Fused).into(),
        GpuBackend::with_variant(open(), Variant::Stacked).into(),
    ]
}

fn data(architecture: &Architecture) -> Arc<Dataset> {
    let mut draws = Sequence::new(8, Stream::Check, 0, 0);
    let Architecture { image_height, image_width, classes, .. } = *architecture;
    let images = (0..SAMPLES * architecture.image_len()).map(|_| 1 + draws.below(255) as u8).collect();
    let labels = (0..SAMPLES).map(|_| draws.below(classes as u32) as u8).collect();
    Arc::new(Dataset::new("random", images, labels, image_height, image_width, classes).unwrap())
}

/// What both slots come to: losses of a step, of an evaluation and of a sweep, and logits as bits.
fn found(batch: &mut Batch, data: DataHandle, architecture: &Architecture) -> [(Vec<f64>, Vec<u32>); 2] {
    let watch = Watch::nobody();
    let kept: Arc<[bool]> = (0..architecture.weight_count()).map(|weight_index| weight_index % 3 != 1).collect();
    let points = [0, 1].map(|slot| SweepPoint { slot, kept: Arc::clone(&kept) });
    let logits = batch.logits(data, 0..SAMPLES).unwrap();
    let evaluations = batch.evaluate(data, &watch).unwrap();
    let sweep = batch.sweep(data, &Selection::focus(architecture), &points, &watch).unwrap();
    let orders = vec![(0..SAMPLES as u32).collect::<Arc<[u32]>>(); 2];
    let steps = Steps { first_step: 0, orders: &orders, batches: std::slice::from_ref(&(0..SAMPLES)), decay: 1.0 };
    let trained = batch.train(&steps, &watch).unwrap();
    [0, 1].map(|slot| {
        let own = &logits[slot * logits.len() / 2..(slot + 1) * logits.len() / 2];
        let losses = vec![f64::from(trained[slot].loss), evaluations[slot].loss, sweep[slot].loss];
        (losses, own.iter().map(|logit| logit.to_bits()).collect())
    })
}

fn a_parameter_that_is_not_a_number_is_seen(architecture: &Architecture) {
    let data = data(architecture);
    let layout = ParameterLayout::new(architecture);
    for mut engine in engines() {
        let training = engine.load(&data).unwrap();
        let mut batch = begin(&mut engine, architecture, training, SAMPLES, &[4, 9]).unwrap();
        let whole: Vec<Replica<f32>> = batch.replicas().unwrap();
        let [_, expected] = found(&mut batch, training, architecture);
        assert!(expected.0.iter().all(|loss| loss.is_finite()));
        for tensor in &layout.tensors {
            let mut broken = whole.clone();
            broken[0].parameters[tensor.offset] = f32::NAN;
            batch.restore(&broken).unwrap();
            let name = &engine.description().variant;
            let [(losses, logits), other] = found(&mut batch, training, architecture);
            assert!(losses.iter().all(|loss| loss.is_nan()), "{name}, {}: {losses:?}", tensor.name);
            for logits in logits.chunks_exact(architecture.classes) {
                assert!(logits.iter().any(|&bits| f32::from_bits(bits).is_nan()), "{name}, {}", tensor.name);
            }
            assert!(other == expected, "{name}, {}: the network beside it has changed", tensor.name);
        }
    }
}

#[test]
fn a_parameter_that_is_not_a_number_is_seen_in_fully_connected_networks() {
    // Layers above a width of 32 are trained one by one.
    for width in [9, 40] {
        a_parameter_that_is_not_a_number_is_seen(&Architecture::dnn(5, 6, [width; 3], 4));
    }
}

#[test]
fn a_parameter_that_is_not_a_number_is_seen_in_convolutional_networks() {
    for (filters, width) in [(3, 9), (8, 40)] {
        a_parameter_that_is_not_a_number_is_seen(&Architecture {
            convolutions: Architecture::paper_convolutions(filters),
            ..Architecture::dnn(12, 9, [width; 2], 4)
        });
    }
}
