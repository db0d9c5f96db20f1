//! Both engines follow PyTorch's losses in single precision, step by step.

use crate::adapter;
use crate::fixture::{self, Fixture};
use holdfast::cpu::training_step::{self, Replica};
use holdfast::cpu::{adam, dense, mask};
use holdfast::data::Dataset;
use holdfast::engine::{Batch, Engine, GpuBackend, MaskChange, Setup, Steps, Variant, Watch};
use holdfast::gpu::{DeviceChoice, Gpu, RequestedLimits};
use holdfast::network::{Architecture, ParameterLayout, Selection};
use holdfast::random::{Sequence, Stream};
use std::sync::Arc;

/// Relative difference of a step's mean loss to PyTorch's in double precision.
const LOSS_TOLERANCE: f64 = 1e-5;

/// The CPU engine, and the first adapter with every variant of a step, with trusted and with checked shaders; no adapter is
/// a failure.
fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::cpu(Some(2)).unwrap()];
    for variant in [Variant::Stacked, Variant::Fused] {
        for checked in [false, true] {
            let gpu = Gpu::open(&DeviceChoice::Index(adapter::index()), checked, RequestedLimits::Adapter).unwrap();
            engines.push(GpuBackend::with_variant(gpu, variant).into());
        }
    }
    engines
}

/// Trains `copies` replicas of a recorded run side by side and returns `[replica][step]`.
fn losses(engine: &mut Engine, fixture: &Fixture, copies: usize) -> (Vec<Vec<f32>>, Vec<f32>) {
    let training = engine.load(&Arc::new(fixture.data.clone())).unwrap();
    let ids: Vec<u32> = (0..copies as u32).collect();
    let setup = Setup {
        architecture: &fixture.architecture,
        training,
        batch: fixture.batch,
        pixel_scale: 255.0,
        seed: 0,
        replica_ids: &ids,
        selection: &fixture.selection,
    };
    let mut batch = engine.begin(&setup).unwrap();
    batch.follow(fixture.rates);
    let mut replicas = vec![fixture.replica::<f32>(); copies];
    batch.restore(&replicas).unwrap();
    let watch = Watch::nobody();
    let mut losses = vec![Vec::new(); copies];
    for (index, order) in fixture.orders.iter().enumerate() {
        if fixture.mask.as_ref().is_some_and(|(first, _)| *first == index) {
            replicas = batch.replicas().unwrap();
            for replica in &mut replicas {
                fixture.mask_at(index, replica);
            }
            batch.restore(&replicas).unwrap();
        }
        let order: Arc<[u32]> = order.as_slice().into();
        let orders = vec![order; copies];
        let whole = 0..orders[0].len();
        let steps =
            Steps { first_step: index as u64, orders: &orders, batches: std::slice::from_ref(&whole), decay: 1.0 };
        for (losses, loss) in losses.iter_mut().zip(batch.train(&steps, &watch).unwrap()) {
            losses.push(loss.loss);
        }
    }
    let logits = batch.logits(training, 0..fixture.data.samples()).unwrap();
    (losses, logits)
}

#[test]
fn engines_follow_pytorchs_losses() {
    for mut engine in engines() {
        for fixture in fixture::all() {
            let device = engine.description().name.clone();
            let (losses, logits) = losses(&mut engine, &fixture, 3);
            let mut worst = 0.0f64;
            for losses in &losses {
                for (step, (&loss, &expected)) in losses.iter().zip(&fixture.losses).enumerate() {
                    let difference = ((f64::from(loss) - expected) / expected).abs();
                    worst = worst.max(difference);
                    assert!(
                        difference <= LOSS_TOLERANCE,
                        "{device}, {}: loss of step {step} is {loss}, PyTorch has {expected}",
                        fixture.name
                    );
                }
            }
            let largest = fixture.final_logits.iter().fold(0.0f64, |largest, logit| largest.max(logit.abs()));
            for (&logit, expected) in logits.iter().zip(&fixture.final_logits) {
                assert!(
                    (f64::from(logit) - expected).abs() < 1e-4 * largest,
                    "{device}, {}: {logit}, {expected}",
                    fixture.name
                );
            }
            println!("{device}, {}: worst relative loss difference {worst:.1e}", fixture.name);
        }
    }
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    for mut engine in engines() {
        for fixture in fixture::all() {
            let (alone, alone_logits) = losses(&mut engine, &fixture, 1);
            let (many, many_logits) = losses(&mut engine, &fixture, 7);
            for (replica, losses) in many.iter().enumerate() {
                assert_eq!(losses, &alone[0], "{}: replica {replica}", fixture.name);
            }
            for logits in many_logits.chunks_exact(alone_logits.len()) {
                assert_eq!(logits, alone_logits, "{}", fixture.name);
            }
        }
    }
}

/// Steps of a network on images of noise, by the twins in double precision: the mean loss of each.
fn expected_losses(
    architecture: &Architecture,
    data: &Dataset,
    start: &Replica<f32>,
    orders: &[Arc<[u32]>],
) -> Vec<f64> {
    let wide = |list: &[f32]| list.iter().map(|&value| f64::from(value)).collect();
    let mut replica = Replica::<f64>::new(wide(&start.parameters));
    let step = |(index, order): (usize, &Arc<[u32]>)| {
        let mut input = vec![0.0; order.len() * architecture.image_len()];
        dense::gather(architecture.image_len(), &data.images, order, f64::from(1.0f32 / 255.0), &mut input);
        let labels: Vec<u8> = order.iter().map(|&sample| data.labels[sample as usize]).collect();
        let rate = adam::corrected_rate(index as u64 + 1);
        training_step::step(architecture, &mut replica, &input, &labels, rate, 1.0).mean
    };
    orders.iter().enumerate().map(step).collect()
}

/// Trains two replicas on every engine, compares each loss with the twins', and hands each batch to `then`.
fn assert_follow_the_twins(architecture: &Architecture, then: &mut dyn FnMut(&mut Batch)) {
    let mut draws = Sequence::new(7, Stream::Check, 0, 0);
    let images = (0..24 * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
    let labels = (0..24).map(|sample| (sample % architecture.classes) as u8).collect();
    let sizes = [architecture.image_height, architecture.image_width, architecture.channels];
    let data = Dataset::with_channels("noise", images, labels, sizes, architecture.classes).unwrap();
    let orders: Vec<Arc<[u32]>> = [0..8, 8..16, 16..24, 3..9].map(|samples| samples.collect()).into();
    for mut engine in engines() {
        let training = engine.load(&Arc::new(data.clone())).unwrap();
        let setup = Setup {
            architecture,
            training,
            batch: 8,
            pixel_scale: 255.0,
            seed: 4,
            replica_ids: &[1, 2],
            selection: &Selection::all(architecture),
        };
        let mut batch = engine.begin(&setup).unwrap();
        let start = batch.replicas().unwrap();
        let expected: Vec<Vec<f64>> =
            start.iter().map(|start| expected_losses(architecture, &data, start, &orders)).collect();
        let watch = Watch::nobody();
        for (step, order) in orders.iter().enumerate() {
            let (both, whole) = ([Arc::clone(order), Arc::clone(order)], 0..order.len());
            let steps =
                Steps { first_step: step as u64, orders: &both, batches: std::slice::from_ref(&whole), decay: 1.0 };
            for (loss, expected) in batch.train(&steps, &watch).unwrap().iter().zip(&expected) {
                let expected = expected[step];
                let difference = ((f64::from(loss.loss) - expected) / expected).abs();
                assert!(difference < LOSS_TOLERANCE, "{architecture:?}, step {step}: {loss:?} for {expected}");
            }
        }
        then(&mut batch);
    }
}

#[test]
fn hidden_layers_of_any_widths_and_images_in_colour_follow_the_twins() {
    let cnn =
        Architecture { convolutions: Architecture::paper_convolutions(3), ..Architecture::dnn(9, 8, [20, 40], 3) };
    let in_colour = |architecture: &Architecture| Architecture { channels: 3, ..architecture.clone() };
    let dnn = Architecture::dnn(5, 6, [40, 20], 4);
    let same_widths = in_colour(&Architecture::dnn(5, 7, [9; 3], 4));
    let architectures =
        [in_colour(&dnn), in_colour(&cnn), same_widths, dnn, Architecture::dnn(4, 4, [3, 70, 9], 3), cnn];
    for architecture in architectures {
        assert_follow_the_twins(&architecture, &mut |_| {});
    }
}

#[test]
fn a_network_without_biases_follows_the_twins_and_its_places_of_biases_stay_exactly_0() {
    let cnn = Architecture { convolutions: Architecture::paper_convolutions(3), ..Architecture::dnn(9, 8, [9, 9], 3) };
    for with in [Architecture::dnn(5, 6, [9; 3], 4), Architecture::dnn(5, 6, [40, 20], 4), cnn] {
        let architecture = Architecture { bias: false, ..with };
        let layout = ParameterLayout::new(&architecture);
        let selection = Selection::all(&architecture);
        assert_follow_the_twins(&architecture, &mut |batch| {
            let assert_no_bias = |replicas: &[Replica<f32>]| {
                for replica in replicas {
                    for place in layout.missing().flat_map(|bias| bias.range()) {
                        let numbers = [replica.parameters[place], replica.m[place], replica.v[place]];
                        assert_eq!(numbers.map(f32::to_bits), [0; 3], "{architecture:?}");
                        assert_eq!(replica.mask[place], mask::KEPT, "nobody has pruned it");
                    }
                }
            };
            let trained = batch.replicas().unwrap();
            assert_no_bias(&trained);
            assert!(layout.stored().all(|weight| trained[0].m[weight.range()].iter().any(|&m| m != 0.0)));
            // Also behind a restore, and where weights are pruned.
            batch.restore(&trained).unwrap();
            let half = selection.weights() as u32 / 2;
            batch.change_masks(MaskChange::PruneSmallest, &[half; 2]).unwrap();
            let orders: [Arc<[u32]>; 2] = std::array::from_fn(|_| (0..8).collect());
            let steps = Steps { first_step: 4, orders: &orders, batches: &[0..8, 2..6], decay: 1.0 };
            batch.train(&steps, &Watch::nobody()).unwrap();
            let pruned = batch.replicas().unwrap();
            assert_no_bias(&pruned);
            let zeros = |replica: &Replica<f32>| replica.mask.iter().filter(|&&state| state == mask::PRUNED).count();
            assert_eq!(pruned.iter().map(zeros).collect::<Vec<_>>(), [half as usize; 2]);
            // A bias is refused, since the network has none.
            let mut with_bias = trained.clone();
            with_bias[1].parameters[layout.dense_bias(1).offset] = 0.5;
            let message = batch.restore(&with_bias).unwrap_err().to_string();
            assert!(message.contains("dense1.bias") && message.contains("no biases"), "{message}");
        });
    }
}
