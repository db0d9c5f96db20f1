//! What a session records of any layers, prunes in them, and averages over epochs, on both engines.

use crate::{data, engines, resumed};
use holdfast::engine::{Engine, Watch};
use holdfast::error::Error;
use holdfast::network::{Architecture, Convolution, Selection};
use holdfast::pruning::decay::{Rule, Schedule};
use holdfast::pruning::masks::removed_weights;
use holdfast::stability::Reading;
use holdfast::training::{CheckpointFile, Plan, Plateau, Trained, train};
use std::sync::atomic::AtomicBool;

const EPOCHS: u32 = 7;
const REPLICAS: [u32; 2] = [0, 9];

/// Without convolutions, and with one.
fn networks() -> [Architecture; 2] {
    let dnn = Architecture::dnn(4, 5, [9; 2], 3);
    [Architecture { convolutions: vec![Convolution { filters: 3, pool: true }], ..dnn.clone() }, dnn]
}

/// What a session does beside training.
#[derive(Clone, Copy, Default)]
struct Extras<'a> {
    schedules: &'a [Schedule],
    plateau: Option<Plateau>,
    checkpoints: Option<&'a CheckpointFile>,
    stop: bool,
}

/// Trains with every layer recorded and averaged.
fn run(engine: &mut Engine, architecture: &Architecture, extras: Extras<'_>) -> Result<Trained, Error> {
    let data = data();
    let selection = Selection::all(architecture);
    let training = engine.load(&data).unwrap();
    let plan = Plan::new((architecture, &selection), (training, &data), &REPLICAS, EPOCHS);
    let plan = Plan { batch: 8, seed: 5, schedules: extras.schedules, average: 3, plateau: extras.plateau, ..plan };
    let watch = Watch { stop: &AtomicBool::new(extras.stop), progress: &|_| {} };
    train(engine, &plan, extras.checkpoints, &watch, &|_| {})
}

/// The mean over the last three of seven epochs of what was recorded of a slot: added in single precision in their order,
/// then divided once.
fn mean_of_recorded(trained: &Trained, slot: usize) -> Vec<f32> {
    let shape = trained.recorded.shape();
    let row = |epoch: usize| {
        &trained.recorded.weights()[epoch * shape.columns() + slot * shape.weight_count..][..shape.weight_count]
    };
    let last = |epoch: usize| row(epoch.min(shape.epochs - 1));
    let sum = |weight: usize| (5..7).fold(last(4)[weight], |sum, epoch| sum + last(epoch)[weight]);
    (0..shape.weight_count).map(|weight| sum(weight) / 3.0).collect()
}

fn assert_mean_of_recorded(trained: &Trained, selection: &Selection) {
    assert_eq!(trained.mean.len(), REPLICAS.len());
    for (slot, mean) in trained.mean.iter().enumerate() {
        assert_eq!(selection.gather(mean), mean_of_recorded(trained, slot), "slot {slot}");
        // Biases are averaged too, and learn.
        assert!((0..mean.len()).any(|index| !selection.has(index) && mean[index] != 0.0));
    }
}

#[test]
fn every_tensor_is_recorded_with_its_name_and_the_last_epoch_is_what_was_trained() {
    for architecture in networks() {
        let selection = Selection::all(&architecture);
        for mut engine in engines() {
            let mut trained = run(&mut engine, &architecture, Extras::default()).unwrap();
            let history = trained.history().unwrap();
            assert_eq!(history.parts(), selection.parts());
            assert_eq!((history.shape().epochs, history.shape().weight_count), (7, selection.weights()));
            assert_eq!(history.reference(), trained.batch.weights(&selection).unwrap());
            let focus = Selection::focus(&architecture);
            let of_focus = history.selected(&focus).unwrap();
            assert_eq!(of_focus.reference(), trained.batch.weights(&focus).unwrap());
        }
    }
}

#[test]
fn the_mean_is_that_of_the_recorded_epochs_and_a_resumed_session_has_its_bits() {
    for architecture in networks() {
        let selection = Selection::all(&architecture);
        for mut engine in engines() {
            let trained = run(&mut engine, &architecture, Extras::default()).unwrap();
            assert_mean_of_recorded(&trained, &selection);
            let again = run(&mut engine, &architecture, Extras::default()).unwrap();
            assert!(again.mean == trained.mean, "another run");

            let (resumed, stops) = resumed(|file| {
                let stopped = Extras { checkpoints: Some(file), stop: true, ..Extras::default() };
                run(&mut engine, &architecture, stopped)
            });
            // A session that is stopped at its last step has nothing left to do when it goes on.
            assert!(stops >= EPOCHS && resumed.resumed, "{stops} stops");
            assert!(resumed.mean == trained.mean, "a resumed run");
            assert!(resumed.recorded == trained.recorded);
        }
    }
}

#[test]
fn replicas_that_stop_at_their_plateau_are_averaged_as_they_stopped() {
    // Any growth whose limit is identified will do: most replicas stop as soon as they may.
    let plateau = Plateau { share: 1.0, tolerance: 10.0, reading: Reading::default() };
    let [_, architecture] = networks();
    let selection = Selection::all(&architecture);
    for mut engine in engines() {
        let extras = Extras { plateau: Some(plateau), ..Extras::default() };
        let trained = run(&mut engine, &architecture, extras).unwrap();
        assert_mean_of_recorded(&trained, &selection);
    }
}

#[test]
fn exponential_decay_over_all_layers_ends_with_exactly_its_targets_zeros() {
    for architecture in networks() {
        let selection = Selection::all(&architecture);
        for mut engine in engines() {
            for rule in Rule::ALL {
                let schedule = |target| Schedule::new(rule, target, selection.weights(), EPOCHS, 8);
                let schedules = [schedule(0.5), schedule(0.9)];
                let extras = Extras { schedules: &schedules, ..Extras::default() };
                let mut trained = run(&mut engine, &architecture, extras).unwrap();
                for (replica, target) in trained.batch.replicas().unwrap().iter().zip([0.5, 0.9]) {
                    let weights = selection.gather(&replica.parameters);
                    let zeros = weights.iter().filter(|&&weight| weight == 0.0).count();
                    assert_eq!(zeros, removed_weights(target, selection.weights()), "{rule:?} to {target}");
                    assert!(replica.mask.iter().enumerate().all(|(index, &state)| state == 1 || selection.has(index)));
                }
            }
        }
    }
}
