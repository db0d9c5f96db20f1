//! Both engines on selections of any layers: what is read, pruned, held at 0 and evaluated is what the definition says.

use crate::engine::{VARIANTS, batches, data, engine_of, order, train};
use crate::*;
use holdfast::cpu::{magnitude_sort, softmax_cross_entropy, training_step};
use holdfast::data::Dataset;
use holdfast::engine::{
    Batch, DataHandle, Engine, Evaluation, MaskChange, Network, Replica, Setup, SweepPoint, Variant, Watch,
};
use holdfast::network::{Architecture, Convolution, ParameterLayout, Selection};
use holdfast::random::{Sequence, Stream};
use std::sync::Arc;

/// Fully connected; wider than the stack of dense layers takes; and with convolutions, of which one pools.
fn networks() -> [Architecture; 3] {
    let dnn = Architecture::dnn(9, 10, [7; 3], 4);
    let convolutions = [(3, true), (2, false)].map(|(filters, pool)| Convolution { filters, pool }).to_vec();
    [dnn.clone(), Architecture::dnn(9, 10, [40, 20, 33], 4), Architecture { convolutions, ..dnn }]
}

/// The CPU engine, and every way in which a GPU trains.
fn engines() -> Vec<Engine> {
    let gpus = VARIANTS.map(|variant: Variant| engine_of(variant, RequestedLimits::Adapter));
    std::iter::once(Engine::cpu(Some(2)).unwrap()).chain(gpus).collect()
}

/// Replicas that were trained for an epoch of 40 samples.
fn trained(engine: &mut Engine, architecture: &Architecture, selection: &Selection) -> (Batch, DataHandle) {
    let training = engine.load(&data(architecture, 40)).unwrap();
    let setup =
        Setup { architecture, training, batch: 16, pixel_scale: 255.0, seed: 3, replica_ids: &[5, 900, 6], selection };
    let mut batch = engine.begin(&setup).unwrap();
    train_on(&mut batch, 0);
    (batch, training)
}

fn train_on(batch: &mut Batch, first_step: u64) {
    train(batch, first_step, &[5, 900, 6].map(|replica| order(40, replica)), &batches(40, 16));
}

/// Loss and correct samples of a network by the twin in double precision.
fn expected(architecture: &Architecture, parameters: &[f32], set: &Dataset) -> (f64, u32) {
    let wide: Vec<f64> = parameters.iter().map(|&parameter| f64::from(parameter)).collect();
    let input: Vec<f64> = set.images.iter().map(|&pixel| f64::from(pixel) * f64::from(1.0f32 / 255.0)).collect();
    let activations = training_step::forward(architecture, &wide, &input);
    let logits = &activations[activations.len() - 1];
    let loss = softmax_cross_entropy::loss(architecture.classes, logits, &set.labels, &mut vec![0.0; logits.len()]);
    (loss.mean, loss.correct)
}

fn assert_near(found: &Evaluation, (loss, correct): (f64, u32), what: &str) {
    assert!((found.loss - loss).abs() < 1e-5, "{what}: {} for {loss}", found.loss);
    assert!(found.correct.abs_diff(correct) <= 1, "{what}: {} for {correct}", found.correct);
}

fn selections(architecture: &Architecture) -> Vec<Selection> {
    let names = if architecture.convolutions.is_empty() {
        &["all", "hidden", "dense1,dense3", "focus", "dense3"][..]
    } else {
        &["all", "conv", "conv1", "dense0", "conv0,focus"]
    };
    names.iter().map(|name| Selection::named(architecture, name).unwrap()).collect()
}

#[test]
fn weights_of_any_selection_are_read_and_replaced() {
    for architecture in networks() {
        for mut engine in engines() {
            let (mut batch, _) = trained(&mut engine, &architecture, &Selection::focus(&architecture));
            for selection in selections(&architecture) {
                let before = batch.replicas().unwrap();
                let gathered: Vec<f32> = before.iter().flat_map(|own| selection.gather(&own.parameters)).collect();
                assert_eq!(batch.weights(&selection).unwrap(), gathered);
                let doubled: Vec<f32> = gathered.iter().map(|weight| 2.0 * weight).collect();
                batch.set_weights(&selection, &doubled).unwrap();
                for (mut before, after) in before.into_iter().zip(batch.replicas().unwrap()) {
                    let all = before.parameters.iter_mut().enumerate();
                    all.filter(|(index, _)| selection.has(*index)).for_each(|(_, parameter)| *parameter *= 2.0);
                    assert!(before == after, "only the selected weights are replaced");
                }
                batch.set_weights(&selection, &gathered).unwrap();
            }
        }
    }
}

#[test]
fn pruned_networks_of_any_selection_are_evaluated_as_by_the_twin() {
    for architecture in networks() {
        for mut engine in engines() {
            let device = engine.description().variant.clone();
            let (mut batch, _) = trained(&mut engine, &architecture, &Selection::focus(&architecture));
            let set = data(&architecture, 530);
            let test = engine.load(&set).unwrap();
            let parameters = batch.parameters().unwrap();
            let dense = batch.evaluate(test, &Watch::nobody()).unwrap();
            for selection in selections(&architecture) {
                let what = format!("{device}, {:?}", selection.parts());
                let kept = |keep: u32| -> Arc<[bool]> {
                    let mut draws = Sequence::new(4, Stream::Check, keep, 0);
                    (0..selection.weights()).map(|_| draws.below(4) < keep).collect()
                };
                let points: Vec<SweepPoint> = [(0, 4), (2, 2), (1, 3), (2, 4), (0, 0)]
                    .map(|(slot, keep)| SweepPoint { slot, kept: kept(keep) })
                    .into();
                let found = batch.sweep(test, &selection, &points, &Watch::nobody()).unwrap();
                for (point, found) in points.iter().zip(&found) {
                    let mut pruned = parameters[point.slot].clone();
                    let weights = selection.gather(&pruned).into_iter().zip(point.kept.iter());
                    let weights: Vec<f32> = weights.map(|(weight, &kept)| if kept { weight } else { 0.0 }).collect();
                    selection.scatter(&weights, &mut pruned);
                    assert_near(found, expected(&architecture, &pruned, &set), &what);
                }
                assert_near(&found[0], (dense[0].loss, dense[0].correct), &what);
                assert_near(&found[3], (dense[2].loss, dense[2].correct), &what);
                // A point alone has the bits that it has among many.
                assert_eq!(
                    batch.sweep(test, &selection, &points[1..2], &Watch::nobody()).unwrap(),
                    found[1..2],
                    "{what}"
                );
            }
            assert_eq!(batch.sweep(test, &selections(&architecture)[0], &[], &Watch::nobody()).unwrap(), []);
            assert!(batch.parameters().unwrap() == parameters, "a sweep changes nothing");
        }
    }
}

#[test]
fn networks_with_parameters_of_their_own_are_evaluated_as_by_the_twin() {
    for architecture in networks() {
        let layout = ParameterLayout::new(&architecture);
        for mut engine in engines() {
            let device = engine.description().variant.clone();
            let (mut batch, _) = trained(&mut engine, &architecture, &Selection::focus(&architecture));
            let set = data(&architecture, 530);
            let test = engine.load(&set).unwrap();
            let trained = batch.parameters().unwrap();
            let starts: Vec<usize> =
                layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()).map(|tensor| tensor.offset).collect();
            for (first, &start) in starts.iter().enumerate() {
                let mut draws = Sequence::new(6, Stream::Check, first as u32, 0);
                let networks = [2, 0, 1, 2].map(|slot| {
                    let mut parameters = trained[slot].clone();
                    parameters[start..].iter_mut().for_each(|p| *p = (*p + 0.2 * (draws.unit() as f32 - 0.5)) * 0.9);
                    Network { slot, parameters: parameters.into() }
                });
                let found = batch.sweep_networks(test, first, &networks, &Watch::nobody()).unwrap();
                for (network, found) in networks.iter().zip(&found) {
                    let what = format!("{device} from layer {first}");
                    assert_near(found, expected(&architecture, &network.parameters, &set), &what);
                }
                // What comes before the first layer is that of the slot's first network, here another than the trained one's.
                let mut other = networks[0].parameters.to_vec();
                other[..start].iter_mut().for_each(|p| *p *= 0.75);
                let mut wrong = other.clone();
                wrong[..start].fill(f32::NAN);
                let own = [other, wrong].map(|parameters| Network { slot: 2, parameters: parameters.into() });
                let found = batch.sweep_networks(test, first, &own, &Watch::nobody()).unwrap();
                assert_near(&found[0], expected(&architecture, &own[0].parameters, &set), &device);
                assert_eq!(found[0], found[1], "{device}");
            }
        }
    }
}

#[test]
fn the_smallest_weights_of_all_selected_layers_are_pruned_together_and_stay_zero() {
    for architecture in networks() {
        for selection in selections(&architecture) {
            for mut engine in engines() {
                let what = format!("{}, {:?}", engine.description().variant, selection.parts());
                let (mut batch, _) = trained(&mut engine, &architecture, &selection);
                let all = selection.weights();
                let before = batch.weights(&selection).unwrap();
                let removed = [0, all as u32 / 2, all as u32];
                batch.change_masks(MaskChange::PruneSmallest, &removed).unwrap();
                train_on(&mut batch, 3);
                for (slot, replica) in batch.replicas().unwrap().iter().enumerate() {
                    let order = magnitude_sort::order(&before[slot * all..(slot + 1) * all]);
                    let mut states = vec![1; all];
                    order[all - removed[slot] as usize..].iter().for_each(|&weight| states[weight as usize] = 0);
                    let mut mask = vec![1; replica.parameters.len()];
                    selection.scatter(&states, &mut mask);
                    assert!(replica.mask == mask, "{what}: masks of slot {slot}");
                    let Replica { parameters, m, v, mask, .. } = replica;
                    for (array, name) in [(parameters, "parameter"), (m, "first moment"), (v, "second moment")] {
                        let lost = (0..mask.len()).find(|&index| mask[index] == 0 && array[index].to_bits() != 0);
                        assert_eq!(lost, None, "{what}: the {name} of a pruned weight of slot {slot}");
                    }
                    // Biases, and weights of other layers, go on learning.
                    assert!(slot == 2 || m.iter().filter(|&&m| m != 0.0).count() > mask.len() / 8, "{what}");
                }
            }
        }
    }
}

#[test]
fn decaying_weights_of_any_layer_shrink_and_random_ones_are_the_same_on_both_engines() {
    for architecture in networks() {
        let selection = &selections(&architecture)[0];
        let all = selection.weights() as u32;
        let mut of_engines = engines().into_iter().map(|mut engine| {
            let training = engine.load(&data(&architecture, 40)).unwrap();
            let setup = Setup {
                architecture: &architecture,
                training,
                batch: 16,
                pixel_scale: 255.0,
                seed: u64::MAX - 4,
                replica_ids: &[3, 900],
                selection,
            };
            let mut batch = engine.begin(&setup).unwrap();
            let initial = batch.replicas().unwrap();
            batch.change_masks(MaskChange::PruneRandom { update: 0 }, &[all / 2, all]).unwrap();
            let pruned = batch.replicas().unwrap();
            batch.change_masks(MaskChange::RegrowRandom { update: 1 }, &[all / 4, 20]).unwrap();
            batch.change_masks(MaskChange::DecaySmallest, &[all / 2, all - 15]).unwrap();
            (initial, pruned, batch.replicas().unwrap())
        });
        let (initial, pruned, cpu) = of_engines.next().unwrap();
        for (slot, replica) in cpu.iter().enumerate() {
            let grown = |&index: &usize| pruned[slot].mask[index] == 0 && replica.mask[index] != 0;
            let grown: Vec<usize> = (0..replica.mask.len()).filter(grown).collect();
            assert_eq!(grown.len() as u32, [all / 4, 20][slot]);
            for part in selection.parts() {
                // He's initial weights lie within two standard deviations of those of their own layer.
                let bound = 2.0 * (2.0 / part.fan_in() as f32).sqrt() / 0.879_626 * 1.000_01;
                let own: Vec<f32> =
                    grown.iter().filter(|index| part.range.contains(index)).map(|&i| replica.parameters[i]).collect();
                assert!(own.iter().all(|weight| weight.abs() <= bound && *weight != 0.0), "{}", part.name);
                if own.len() > 100 {
                    let largest = own.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
                    assert!(largest > 0.8 * bound, "{}: {largest} of {bound}", part.name);
                }
            }
            assert!(initial[slot].mask.iter().all(|&state| state == 1));
        }
        for (_, _, gpu) in of_engines {
            for (cpu, gpu) in cpu.iter().zip(&gpu) {
                for (index, (a, b)) in cpu.parameters.iter().zip(&gpu.parameters).enumerate() {
                    // Both lie within 24 units in the last place of the double-precision twin.
                    assert!((a - b).abs() <= 48.0 * f32::EPSILON * a.abs(), "{a} and {b}");
                    assert_eq!(*a == 0.0, *b == 0.0, "parameter {index}");
                }
                let states = |replica: &Replica<f32>| {
                    [0, 1, 2].map(|state| replica.mask.iter().filter(|&&own| own == state).count())
                };
                assert_eq!(states(cpu), states(gpu));
            }
        }
    }
}

#[test]
fn networks_that_do_not_fit_side_by_side_are_evaluated_in_groups() {
    let [architecture, _, convolutional] = networks();
    for (architecture, bytes) in [(architecture, 4200), (convolutional, 8000)] {
        let selection = Selection::all(&architecture);
        let mut plain = None;
        for limits in [RequestedLimits::Adapter, RequestedLimits::ArrayBytes(bytes)] {
            let mut engine = engine_of(Variant::Stacked, limits);
            let (mut batch, training) = trained(&mut engine, &architecture, &selection);
            let kept = |point: usize| (0..selection.weights()).map(|weight| weight % 7 != point % 7).collect();
            let points: Vec<SweepPoint> =
                (0..9).map(|point| SweepPoint { slot: point % 3, kept: kept(point) }).collect();
            let found = batch.sweep(training, &selection, &points, &Watch::nobody()).unwrap();
            let plain = plain.get_or_insert_with(|| found.clone());
            // The steps of an evaluation depend on the limits, so only its rounding may differ.
            for (found, plain) in found.iter().zip(plain.iter()) {
                assert_eq!(found.correct, plain.correct);
                assert!((found.loss - plain.loss).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn sums_over_epochs_add_up_in_their_order_and_are_restored() {
    for architecture in networks() {
        let selection = Selection::all(&architecture);
        for mut engine in engines() {
            let (mut batch, _) = trained(&mut engine, &architecture, &selection);
            let mut sums = batch.parameters().unwrap();
            batch.accumulate().unwrap();
            for epoch in 1..4 {
                train_on(&mut batch, 3 * epoch);
                batch.accumulate().unwrap();
                for (sums, own) in sums.iter_mut().zip(batch.parameters().unwrap()) {
                    sums.iter_mut().zip(own).for_each(|(sum, parameter)| *sum += parameter);
                }
                if epoch == 2 {
                    // Whatever was there before is replaced, in a batch that has no sums yet too.
                    let saved = batch.replicas().unwrap();
                    (batch, _) = trained(&mut engine, &architecture, &selection);
                    batch.restore(&saved).unwrap();
                    assert!(batch.replicas().unwrap() == saved);
                }
            }
            let found: Vec<Vec<f32>> = batch.replicas().unwrap().into_iter().map(|replica| replica.sums).collect();
            assert!(found == sums, "{}", engine.description().variant);
        }
    }
}
