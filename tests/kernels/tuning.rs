//! What a measurement chooses changes no bit: whole training steps with every choice, on the fully connected and on the
//! convolutional network.

use crate::engine::{batches, begin, data};
use crate::*;
use holdfast::engine::{Engine, Evaluation, GpuBackend, Replica, StepLoss, Steps, TuningChoice, Watch};
use holdfast::network::Architecture;
use std::sync::Arc;

const SAMPLES: usize = 40;
const BATCH: usize = 16;

/// Losses, replicas and evaluation of two replicas after two epochs.
fn trained(architecture: &Architecture, choice: TuningChoice) -> (Vec<StepLoss>, Vec<Replica<f32>>, Vec<Evaluation>) {
    let backend = GpuBackend::open(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::Adapter).unwrap();
    let mut engine = Engine::from(backend.with_choice(choice));
    let training = engine.load(&data(architecture, SAMPLES)).unwrap();
    let mut batch = begin(&mut engine, architecture, training, BATCH, &[4, 9]).unwrap();
    assert_eq!(engine.tuning().unwrap().choice, choice);
    let orders = vec![(0..SAMPLES as u32).collect::<Arc<[u32]>>(); 2];
    let batches = [batches(SAMPLES, BATCH), batches(SAMPLES, BATCH)].concat();
    let watch = Watch::nobody();
    let losses = batch.train(&Steps { first_step: 0, orders: &orders, batches: &batches, decay: 1.0 }, &watch).unwrap();
    (losses, batch.replicas().unwrap(), batch.evaluate(training, &watch).unwrap())
}

fn every_choice_gives_the_same_bits(architecture: &Architecture) {
    let usual = trained(architecture, TuningChoice { workgroup_size: 8, replica_step_us: 0.0 });
    for (workgroup_size, replica_step_us) in [(8, 1.0), (32, 1e9), (64, 4000.0), (128, 9000.0)] {
        let choice = TuningChoice { workgroup_size, replica_step_us };
        let found = trained(architecture, choice);
        let model = architecture.model();
        assert!(found.0 == usual.0, "{choice:?} on a {model}: losses {:?} instead of {:?}", found.0, usual.0);
        assert!(found.1 == usual.1, "{choice:?} on a {model}: other replicas");
        assert!(found.2 == usual.2, "{choice:?} on a {model}: {:?} instead of {:?}", found.2, usual.2);
    }
}

#[test]
fn every_choice_gives_the_same_bits_of_the_fully_connected_network() {
    for hidden in [[30; 3], [40; 3], [40, 12, 20]] {
        every_choice_gives_the_same_bits(&Architecture::dnn(9, 11, hidden, 10));
    }
}

#[test]
fn every_choice_gives_the_same_bits_of_the_convolutional_network() {
    every_choice_gives_the_same_bits(&Architecture {
        convolutions: Architecture::paper_convolutions(6),
        ..Architecture::dnn(12, 10, [12; 2], 5)
    });
}
