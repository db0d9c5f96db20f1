//! Training by every rule of exponential decay, on both engines.

use crate::{data, engines, resumed};
use holdfast::data::batches::{shuffled_order, step_ranges};
use holdfast::engine::{Engine, MaskChange, RateSchedule, Replica, Setup, Steps, Watch};
use holdfast::error::Error;
use holdfast::network::{Architecture, ParameterLayout, Selection};
use holdfast::pruning::decay::{Rule, Schedule};
use holdfast::pruning::masks::removed_weights;
use holdfast::training::{CheckpointFile, LearningRate, Plan, Trained, train};
use std::sync::atomic::AtomicBool;

fn network() -> Architecture {
    Architecture::dnn(4, 5, [9; 2], 3)
}
const TARGETS: [f64; 4] = [0.0, 0.35, 0.8, 1.0];
const EPOCHS: u32 = 3;

/// Two replicas for each target, slots `[target, replica]`.
fn run(
    engine: &mut Engine,
    rule: Rule,
    targets: &[f64],
    checkpoints: Option<&CheckpointFile>,
    stop: bool,
) -> Result<Trained, Error> {
    run_at(LearningRate::Constant, engine, rule, targets, checkpoints, stop)
}

fn run_at(
    learning_rate: LearningRate,
    engine: &mut Engine,
    rule: Rule,
    targets: &[f64],
    checkpoints: Option<&CheckpointFile>,
    stop: bool,
) -> Result<Trained, Error> {
    let (architecture, data) = (network(), data());
    let training = engine.load(&data).unwrap();
    let weight_count = architecture.weight_count();
    let schedules: Vec<_> =
        targets.iter().flat_map(|&target| [Schedule::new(rule, target, weight_count, EPOCHS, 8); 2]).collect();
    let replica_ids: Vec<u32> = targets.iter().flat_map(|_| [0, 1]).collect();
    let selection = Selection::focus(&architecture);
    let plan = Plan::new((&architecture, &selection), (training, &data), &replica_ids, EPOCHS);
    let plan = Plan { batch: 8, seed: 5, schedules: &schedules, record: false, learning_rate, ..plan };
    train(engine, &plan, checkpoints, &Watch { stop: &AtomicBool::new(stop), progress: &|_| {} }, &|_| {})
}

fn replicas(trained: Result<Trained, Error>) -> Vec<Replica<f32>> {
    trained.unwrap().batch.replicas().unwrap()
}

#[test]
fn every_rule_ends_with_exactly_the_targets_zeros() {
    let focus = ParameterLayout::new(&network()).focus_weight().range();
    for mut engine in engines() {
        for rule in Rule::ALL {
            let trained = replicas(run(&mut engine, rule, &TARGETS, None, false));
            for (slot, replica) in trained.iter().enumerate() {
                let zeros = replica.parameters[focus.clone()].iter().filter(|&&weight| weight == 0.0).count();
                assert_eq!(
                    zeros,
                    removed_weights(TARGETS[slot / 2], network().weight_count()),
                    "{rule:?}, slot {slot}"
                );
                assert!(replica.mask.iter().all(|&state| state < 2), "{rule:?}: a weight still decays");
            }
            assert_ne!(trained[2].mask, trained[3].mask, "{rule:?}: replicas differ");
        }
    }
}

#[test]
fn without_a_target_every_rule_trains_the_same_dense_net() {
    for mut engine in engines() {
        let nets = Rule::ALL.map(|rule| replicas(run(&mut engine, rule, &[0.0], None, false)));
        assert!(nets.iter().all(|net| *net == nets[0]));
    }
}

#[test]
fn rules_give_different_nets() {
    for mut engine in engines() {
        let nets = Rule::ALL.map(|rule| replicas(run(&mut engine, rule, &[0.8], None, false)));
        for (index, net) in nets.iter().enumerate() {
            assert!(nets[..index].iter().all(|other| other[0].parameters != net[0].parameters), "{index}");
        }
    }
}

#[test]
fn a_target_alone_has_the_bits_that_it_has_among_others() {
    for mut engine in engines() {
        for rule in Rule::ALL {
            let together = replicas(run(&mut engine, rule, &TARGETS, None, false));
            for (place, target) in TARGETS.into_iter().enumerate() {
                let alone = replicas(run(&mut engine, rule, &[target], None, false));
                assert!(together[2 * place..2 * place + 2] == alone, "{rule:?} towards {target}");
            }
        }
    }
}

#[test]
fn a_run_that_is_stopped_after_every_call_ends_with_the_same_bits() {
    for mut engine in engines() {
        for rule in Rule::ALL {
            let (resumed, stops) = resumed(|file| run(&mut engine, rule, &TARGETS, Some(file), true));
            assert!(stops >= 6, "{rule:?}: {stops} stops");
            assert!(replicas(Ok(resumed)) == replicas(run(&mut engine, rule, &TARGETS, None, false)), "{rule:?}");
        }
    }
}

#[test]
fn both_engines_draw_the_same_weights_and_nearly_the_same_weights() {
    let weight_count = network().weight_count() as u32;
    let focus = ParameterLayout::new(&network()).focus_weight().range();
    let results: Vec<Vec<Replica<f32>>> = engines()
        .into_iter()
        .map(|mut engine| {
            let training = engine.load(&data()).unwrap();
            let setup = Setup {
                architecture: &network(),
                training,
                batch: 8,
                pixel_scale: 255.0,
                seed: u64::MAX - 4,
                replica_ids: &[3, 900],
                selection: &Selection::focus(&network()),
            };
            let mut batch = engine.begin(&setup).unwrap();
            batch.change_masks(MaskChange::PruneRandom { update: 0 }, &[weight_count / 2, weight_count]).unwrap();
            batch.change_masks(MaskChange::RegrowRandom { update: 1 }, &[10, 20]).unwrap();
            batch.change_masks(MaskChange::DecaySmallest, &[weight_count - 5, weight_count - 15]).unwrap();
            batch.replicas().unwrap()
        })
        .collect();
    let [cpu, gpu] = &results[..] else { panic!("two engines") };
    let kept = [weight_count - weight_count / 2 + 10, 20];
    for ((cpu, gpu), kept) in cpu.iter().zip(gpu).zip(kept) {
        assert_eq!(cpu.mask, gpu.mask);
        assert_eq!(cpu.mask[focus.clone()].iter().filter(|&&state| state != 0).count() as u32, kept);
        for (a, b) in cpu.parameters[focus.clone()].iter().zip(&gpu.parameters[focus.clone()]) {
            // Both lie within 24 units in the last place of the double-precision twin.
            assert!((a - b).abs() <= 48.0 * f32::EPSILON * a.abs(), "{a} and {b}");
            assert_eq!(*a == 0.0, *b == 0.0);
        }
    }
}

#[test]
fn a_falling_learning_rate_goes_by_the_step_over_all_planned_epochs_also_behind_a_stop() {
    for mut engine in engines() {
        let cosine = LearningRate::Cosine;
        let trained = replicas(run_at(cosine, &mut engine, Rule::Density, &[0.0], None, false));
        let constant = replicas(run(&mut engine, Rule::Density, &[0.0], None, false));
        assert!(trained[0].parameters != constant[0].parameters);

        let stopped = |file: &CheckpointFile| run_at(cosine, &mut engine, Rule::Density, &[0.0], Some(file), true);
        let (resumed, _) = resumed(stopped);
        assert!(replicas(Ok(resumed)) == trained, "a training that goes on has the same bits");

        // The same by hand: three epochs of eight steps.
        let data = data();
        let training = engine.load(&data).unwrap();
        let setup = Setup {
            architecture: &network(),
            training,
            batch: 8,
            pixel_scale: 255.0,
            seed: 5,
            replica_ids: &[0, 1],
            selection: &Selection::focus(&network()),
        };
        let mut batch = engine.begin(&setup).unwrap();
        batch.follow(RateSchedule::Cosine { steps: 24 });
        let batches = step_ranges(60, 8).unwrap();
        for epoch in 0..EPOCHS {
            let orders = [0, 1].map(|id| shuffled_order(60, 5, id, epoch));
            let steps = Steps { first_step: u64::from(8 * epoch), orders: &orders, batches: &batches, decay: 1.0 };
            batch.train(&steps, &Watch::nobody()).unwrap();
        }
        assert!(batch.replicas().unwrap() == trained);
    }
}
