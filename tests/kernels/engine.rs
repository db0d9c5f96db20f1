//! The GPU engine: composed kernels against PyTorch and the twins, and bits that depend on nothing but the replica.

use crate::*;
use holdfast::cpu::stability::{count, envelope, sortable_key};
use holdfast::cpu::{magnitude_sort, softmax_cross_entropy, training_step};
use holdfast::data::Dataset;
use holdfast::engine::{
    Batch, DataHandle, Engine, Evaluation, GpuBackend, HistoryShape, MaskChange, Replica, Setup, StepLoss, Steps,
    SweepPoint, TuningChoice, Variant, Watch,
};
use holdfast::error::Error;
use holdfast::gpu::Observer;
use holdfast::network::{Architecture, ParameterLayout, Selection};
use holdfast::random::{Sequence, Stream};
use ndarray_npy::NpzReader;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn small_network() -> Architecture {
    Architecture::dnn(5, 6, [7; 3], 4)
}

/// Every way to take a step: a device takes one of them.
pub(crate) const VARIANTS: [Variant; 2] = [Variant::Stacked, Variant::Fused];

pub(crate) fn engine(limits: RequestedLimits) -> Engine {
    Engine::gpu(&DeviceChoice::Index(adapter::index()), false, limits).unwrap()
}

pub(crate) fn engine_of(variant: Variant, limits: RequestedLimits) -> Engine {
    GpuBackend::with_variant(open(false, limits), variant).into()
}

/// Random images and labels for `architecture`.
pub(crate) fn data(architecture: &Architecture, samples: usize) -> Arc<Dataset> {
    let mut draws = Sequence::new(1, Stream::Check, samples as u32, 0);
    let images = (0..samples * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
    let labels = (0..samples).map(|_| draws.below(architecture.classes as u32) as u8).collect();
    let Architecture { image_height, image_width, classes, .. } = *architecture;
    Arc::new(Dataset::new("random", images, labels, image_height, image_width, classes).unwrap())
}

/// Replicas of a network whose focus layer is pruned, with their initial weights.
pub(crate) fn begin(
    engine: &mut Engine,
    architecture: &Architecture,
    training: DataHandle,
    batch: usize,
    replica_ids: &[u32],
) -> Result<Batch> {
    let selection = &Selection::focus(architecture);
    engine.begin(&Setup { architecture, training, batch, pixel_scale: 255.0, seed: 3, replica_ids, selection })
}

pub(crate) fn order(samples: usize, replica: u32) -> Arc<[u32]> {
    let mut order: Vec<u32> = (0..samples as u32).collect();
    Sequence::new(1, Stream::Shuffle, replica, 0).shuffle(&mut order);
    order.into()
}

pub(crate) fn batches(samples: usize, batch: usize) -> Vec<Range<usize>> {
    (0..samples).step_by(batch).map(|first| first..(first + batch).min(samples)).collect()
}

pub(crate) fn train(
    batch: &mut Batch,
    first_step: u64,
    orders: &[Arc<[u32]>],
    batches: &[Range<usize>],
) -> Vec<StepLoss> {
    batch.train(&Steps { first_step, orders, batches, decay: 0.9 }, &Watch::nobody()).unwrap()
}

fn evaluate(batch: &mut Batch, data: DataHandle) -> Vec<Evaluation> {
    batch.evaluate(data, &Watch::nobody()).unwrap()
}

/// An epoch of a network: how many samples, and how many a step.
#[derive(Clone, Copy)]
pub(crate) struct Training<'a> {
    pub(crate) architecture: &'a Architecture,
    pub(crate) samples: usize,
    pub(crate) batch: usize,
}

/// What it leaves behind.
struct Epoch {
    losses: Vec<StepLoss>,
    replicas: Vec<Replica<f32>>,
    logits: Vec<f32>,
    evaluations: Vec<Evaluation>,
}

impl Training<'_> {
    fn epoch(self, variant: Variant, limits: RequestedLimits, ids: &[u32]) -> Epoch {
        let Self { architecture, samples, batch: size } = self;
        let mut engine = engine_of(variant, limits);
        let data = engine.load(&data(architecture, samples)).unwrap();
        let mut batch = begin(&mut engine, architecture, data, size, ids).unwrap();
        let orders: Vec<_> = ids.iter().map(|&id| order(samples, id)).collect();
        let losses = train(&mut batch, 0, &orders, &batches(samples, size));
        let logits = batch.logits(data, 3..samples - 10).unwrap();
        Epoch { losses, replicas: batch.replicas().unwrap(), logits, evaluations: evaluate(&mut batch, data) }
    }

    pub(crate) fn assert_alone_as_among_many(self, variant: Variant) {
        let many = self.epoch(variant, RequestedLimits::Adapter, &[4, 8, 6]);
        let alone = self.epoch(variant, RequestedLimits::Adapter, &[8]);
        let (steps, logits) = (alone.losses.len(), alone.logits.len());
        assert_eq!(many.losses[steps..2 * steps], alone.losses);
        assert_eq!(many.replicas[1], alone.replicas[0]);
        assert_eq!(many.logits[logits..2 * logits], alone.logits);
        assert_eq!(many.evaluations[1], alone.evaluations[0]);
    }

    pub(crate) fn assert_waves_move_no_bits(self, variant: Variant, limits: [u64; 3]) {
        let ids = [0, 1, 2, 3, 4];
        let plain = self.epoch(variant, RequestedLimits::Adapter, &ids);
        for bytes in limits {
            let cut = self.epoch(variant, RequestedLimits::ArrayBytes(bytes), &ids);
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
}

#[test]
fn a_network_trains_as_in_pytorch() {
    let runs = [&["dnn_12px_w30_d6_a", "dnn_12px_w30_d6_b"][..], &["dnn_7px_w5_d2_short"], &["dnn_10px_w30_d6_mask"]];
    for (variant, names) in VARIANTS.into_iter().flat_map(|variant| runs.map(|names| (variant, names))) {
        let mut files: Vec<_> = names
            .iter()
            .map(|name| NpzReader::new(File::open(format!("tests/fixtures/training/{name}.npz")).unwrap()).unwrap())
            .collect();
        let size = |file: &mut NpzReader<File>, name: &str| {
            file.by_name::<ndarray::OwnedRepr<i64>, ndarray::Ix0>(name).unwrap().into_scalar() as usize
        };
        let file = &mut files[0];
        let side = size(file, "side");
        let hidden = vec![size(file, "width"); size(file, "depth")];
        let architecture = Architecture::dnn(side, side, hidden, size(file, "classes"));
        let parameters = |file: &mut NpzReader<File>, set: &str| -> Vec<f64> {
            let layout = ParameterLayout::new(&architecture);
            let tensor = |tensor: &holdfast::network::Tensor| {
                let name = format!("{set}.{}", tensor.name);
                file.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(&name).unwrap().into_raw_vec_and_offset().0
            };
            layout.tensors.iter().flat_map(tensor).collect()
        };
        // Replicas with images of their own: one data set holds all of them, one after the other.
        let (mut images, mut labels, mut orders) = (Vec::new(), Vec::new(), Vec::<Arc<[u32]>>::new());
        for file in &mut files {
            let order = file.by_name::<ndarray::OwnedRepr<u32>, ndarray::Ix2>("order").unwrap();
            let first = labels.len() as u32;
            // Places beyond a short batch hold no sample.
            orders.push(order.iter().map(|&index| if index == u32::MAX { 0 } else { first + index }).collect());
            images.extend(file.by_name::<ndarray::OwnedRepr<u8>, ndarray::Ix3>("images").unwrap());
            labels.extend(file.by_name::<ndarray::OwnedRepr<u8>, ndarray::Ix1>("labels").unwrap());
        }
        let data = Dataset::new("fixture", images, labels, side, side, architecture.classes);
        let mut engine = engine_of(variant, RequestedLimits::Adapter);
        let handle = engine.load(&Arc::new(data.unwrap())).unwrap();
        let file = &mut files[0];
        let sizes = file.by_name::<ndarray::OwnedRepr<u32>, ndarray::Ix1>("batch_sizes").unwrap();
        let batch_size = size(file, "batch");
        let replica_ids: Vec<u32> = (0..names.len() as u32).collect();
        let mut batch = begin(&mut engine, &architecture, handle, batch_size, &replica_ids).unwrap();
        let start: Vec<_> = files
            .iter_mut()
            .map(|file| {
                let initial = parameters(file, "init").into_iter().map(|p| p as f32).collect();
                Replica::new(initial)
            })
            .collect();
        batch.restore(&start).unwrap();
        let steps: Vec<_> = (0..sizes.len()).map(|s| s * batch_size..s * batch_size + sizes[s] as usize).collect();
        let mask = files[0].by_name::<ndarray::OwnedRepr<u8>, ndarray::Ix2>("focus_mask").ok();
        let masked_from = mask.as_ref().map_or(steps.len(), |_| size(&mut files[0], "mask_from_step"));
        let mut losses = vec![Vec::new(); names.len()];
        for range in [0..masked_from, masked_from..steps.len()] {
            if let (Some(mask), true) = (&mask, range.start == masked_from) {
                let mut replicas = batch.replicas().unwrap();
                let focus = ParameterLayout::new(&architecture).focus_weight().range();
                for replica in &mut replicas {
                    for (parameter, &kept) in focus.clone().zip(mask) {
                        replica.mask[parameter] = u32::from(kept);
                        if kept == 0 {
                            (replica.parameters[parameter], replica.m[parameter], replica.v[parameter]) =
                                (0.0, 0.0, 0.0);
                        }
                    }
                }
                batch.restore(&replicas).unwrap();
            }
            let found = train(&mut batch, range.start as u64, &orders, &steps[range.clone()]);
            for (losses, found) in losses.iter_mut().zip(found.chunks(range.len().max(1))) {
                losses.extend(found.iter().map(|step| step.loss));
            }
        }
        let last = batch.replicas().unwrap();
        for ((file, found), (name, losses)) in files.iter_mut().zip(&last).zip(names.iter().zip(&losses)) {
            let expected = parameters(file, "final");
            let distance = found.parameters.iter().zip(&expected).map(|(&p, &e)| (f64::from(p) - e).abs());
            let worst = distance.fold(0.0, f64::max);
            // A step moves a parameter by about 1e-3; rounding in single precision by far less.
            assert!(worst < 2e-5, "{name}: a parameter is off by {worst}");
            let expected = file.by_name::<ndarray::OwnedRepr<f64>, ndarray::Ix1>("losses").unwrap();
            assert_eq!(expected.len(), losses.len());
            for (step, (&found, &expected)) in losses.iter().zip(&expected).enumerate() {
                assert!((f64::from(found) - expected).abs() < 1e-4, "{name} step {step}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    let training = Training { architecture: &small_network(), samples: 100, batch: 16 };
    VARIANTS.into_iter().for_each(|variant| training.assert_alone_as_among_many(variant));
}

#[test]
fn waves_and_data_sets_that_do_not_fit_move_no_bits() {
    let training = Training { architecture: &small_network(), samples: 100, batch: 16 };
    // 396 parameters: five replicas need 7,920 bytes; 100 images of 40 bytes 4,000.
    training.assert_waves_move_no_bits(Variant::Stacked, [16_384, 8_000, 3_800]);
    // Five replicas need 432,640 bytes of scratch; 2,400 images 96,000.
    let many = Training { samples: 2400, ..training };
    many.assert_waves_move_no_bits(Variant::Fused, [500_000, 200_000, 90_000]);
}

#[test]
fn steps_in_one_call_and_one_by_one_give_equal_bits() {
    VARIANTS.into_iter().for_each(steps_give_equal_bits);
}

fn steps_give_equal_bits(variant: Variant) {
    let mut engine = engine_of(variant, RequestedLimits::Adapter);
    let data = engine.load(&data(&small_network(), 500)).unwrap();
    let orders = [order(500, 1), order(500, 2)];
    let steps = batches(500, 10);
    let mut together = begin(&mut engine, &small_network(), data, 10, &[1, 2]).unwrap();
    let losses = train(&mut together, 0, &orders, &steps);
    let mut one_by_one = begin(&mut engine, &small_network(), data, 10, &[1, 2]).unwrap();
    for (step, batch) in steps.iter().enumerate() {
        let found = train(&mut one_by_one, step as u64, &orders, std::slice::from_ref(batch));
        assert_eq!(found, [losses[step], losses[steps.len() + step]]);
    }
    assert_eq!(together.replicas().unwrap(), one_by_one.replicas().unwrap());
}

#[test]
fn a_step_is_a_few_launches_for_all_replicas_and_a_submission_holds_many_steps() {
    // The first layer forward, all others forward and backward, the first layer's weight gradient, the update.
    assert_eq!(launches_of_200_steps(Variant::Stacked), 200 * 4);
    // Few launches have one step, to see how long it takes.
    let fused = launches_of_200_steps(Variant::Fused);
    assert!(fused < 100, "{fused} launches");
}

fn launches_of_200_steps(variant: Variant) -> u64 {
    let gpu = open(false, RequestedLimits::Adapter);
    // As if a step had been measured: a clock on a busy machine might else start, and stay, with single steps.
    let workgroup_size = gpu.usual_workgroup_size();
    let choice = TuningChoice { workgroup_size, replica_step_us: 1.0 };
    let mut engine = Engine::from(GpuBackend::with_variant(gpu, variant).with_choice(choice));
    let gpu = Arc::clone(engine.device().unwrap());
    let data = engine.load(&data(&small_network(), 2000)).unwrap();
    let ids: Vec<u32> = (0..9).collect();
    let mut batch = begin(&mut engine, &small_network(), data, 10, &ids).unwrap();
    let orders = vec![order(2000, 0); 9];
    let (dispatches, submits) = (gpu.dispatches(), gpu.submits());
    train(&mut batch, 0, &orders, &batches(2000, 10));
    assert!(gpu.submits() - submits < 100, "{} submissions", gpu.submits() - submits);
    gpu.dispatches() - dispatches
}

#[derive(Default)]
struct Traffic {
    arrays: AtomicU64,
    bytes: AtomicU64,
}

impl Observer for Traffic {
    fn created(&self, _: u64, _: u64) -> Result<()> {
        self.arrays.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn written(&self, _: u64, _: u64, bytes: &[u8]) -> Result<()> {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// What some work needs of the device: arrays that it makes (at least one for each kernel that is bound), and bytes that go up.
fn traffic(gpu: &Gpu, work: impl FnOnce()) -> (u64, u64) {
    let traffic = Arc::new(Traffic::default());
    gpu.observed(traffic.clone(), work);
    (traffic.arrays.load(Ordering::Relaxed), traffic.bytes.load(Ordering::Relaxed))
}

/// A sweep that holds `count` points, each of them on slot 0 or 1 with one more weight pruned.
fn sweep_points(count: usize) -> Vec<SweepPoint> {
    let kept = |point| (0..49).map(|weight_index| weight_index >= point).collect();
    (0..count).map(|point| SweepPoint { slot: point % 2, kept: kept(point) }).collect()
}

#[test]
fn masks_go_up_as_bits_and_change_where_they_are() {
    for variant in VARIANTS {
        let mut engine = engine_of(variant, RequestedLimits::Adapter);
        let gpu = Arc::clone(engine.device().unwrap());
        let data = engine.load(&data(&small_network(), 200)).unwrap();
        let mut batch = begin(&mut engine, &small_network(), data, 10, &[5, 6]).unwrap();
        // A change tells id, update and number of weights of each replica, and makes nothing after the first one.
        batch.change_masks(MaskChange::PruneSmallest, &[3, 4]).unwrap();
        for (update, change) in (1..).zip([
            MaskChange::PruneSmallest,
            MaskChange::DecaySmallest,
            MaskChange::PruneRandom { update: 1 },
            MaskChange::RegrowRandom { update: 2 },
        ]) {
            let counts = [5 * update, 6 * update];
            assert_eq!(traffic(&gpu, || batch.change_masks(change, &counts).unwrap()), (0, 2 * 12), "{change:?}");
        }
        // A point is 7 rows of a word, and the number of its replica; no weight goes down or up.
        let watch = Watch::nobody();
        let mut sweep = |points: usize| {
            let points = sweep_points(points);
            traffic(&gpu, || {
                batch.sweep(data, &Selection::focus(&small_network()), &points, &watch).map(|_| ()).unwrap();
            })
        };
        let (few, many) = (sweep(6), sweep(36));
        assert_eq!(many.0, few.0);
        assert_eq!(many.1 - few.1, 30 * (7 + 1) * 4);
    }
}

#[test]
fn samples_go_up_once() {
    for variant in VARIANTS {
        // As if a step had been measured: all steps are one submission.
        let gpu = open(false, RequestedLimits::Adapter);
        let choice = TuningChoice { workgroup_size: gpu.usual_workgroup_size(), replica_step_us: 1.0 };
        let mut engine = Engine::from(GpuBackend::with_variant(gpu, variant).with_choice(choice));
        let gpu = Arc::clone(engine.device().unwrap());
        let set = data(&small_network(), 64);
        // Five rows of two words, and a label.
        let (_, loaded) = traffic(&gpu, || assert!(engine.load(&set).is_ok()));
        assert_eq!(loaded, 64 * (10 + 1) * 4);
        let data = engine.load(&set).unwrap();
        let mut batch = begin(&mut engine, &small_network(), data, 8, &[5, 6]).unwrap();
        let orders = [order(64, 5), order(64, 6)];
        let mut steps = |count: usize| {
            let batches = batches(64, 8);
            traffic(&gpu, || drop(train(&mut batch, 0, &orders, &batches[..count])))
        };
        let (few, many) = (steps(2), steps(6));
        assert_eq!(many.0, few.0, "{variant:?}: arrays");
        // Four steps of 8 samples of 2 replicas: an index each and a record a step, or index and label and nothing else.
        let samples = 4 * 8 * 2;
        let expected = if variant == Variant::Fused { 8 * samples } else { 4 * samples + 4 * 256 };
        assert_eq!(many.1 - few.1, expected, "{variant:?}");
    }
}

#[test]
fn evaluation_and_sweep_agree_with_the_twins() {
    let convolutions = Architecture::paper_convolutions(6);
    let convolutional = Architecture { convolutions, ..Architecture::dnn(9, 10, [7; 3], 4) };
    // The second network's focus layer has more inputs than units.
    for architecture in [small_network(), Architecture::dnn(5, 6, [9, 40, 20], 4), convolutional] {
        let mut engine = engine(RequestedLimits::Adapter);
        let set = data(&architecture, 1100);
        let handle = engine.load(&set).unwrap();
        let mut batch = begin(&mut engine, &architecture, handle, 10, &[5, 6]).unwrap();
        let focus = ParameterLayout::new(&architecture).focus_weight().range();
        let mask = |m| (0..focus.len()).map(|weight_index| weight_index % 6 >= m).collect();
        let masks: Vec<Arc<[bool]>> = (0..6).map(mask).collect();
        let points: Vec<_> = (0..12).map(|i| SweepPoint { slot: i % 2, kept: Arc::clone(&masks[i / 2]) }).collect();
        let watch = Watch::nobody();
        let swept = batch.sweep(handle, &Selection::focus(&architecture), &points, &watch).unwrap();
        let evaluated = evaluate(&mut batch, handle);
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
            assert_eq!(found.samples, 1100);
        }
        // A point alone has the bits that it has among many.
        assert_eq!(batch.sweep(handle, &Selection::focus(&architecture), &points[7..8], &watch).unwrap()[0], swept[7]);
    }
}

#[test]
fn pruned_weights_are_the_smallest_and_stay_zero() {
    // 49 and 800 weights are ranked by counting, 2,116 by the radix sort.
    for hidden in [vec![7; 3], vec![46; 3], vec![40, 20]] {
        let architecture = Architecture { hidden, ..small_network() };
        let weight_count = architecture.weight_count();
        let selection = Selection::focus(&architecture);
        let mut engine = engine(RequestedLimits::Adapter);
        let data = engine.load(&data(&architecture, 60)).unwrap();
        let mut batch = begin(&mut engine, &architecture, data, 20, &[1, 2, 3]).unwrap();
        let orders = [order(60, 1), order(60, 2), order(60, 3)];
        train(&mut batch, 0, &orders, &batches(60, 20));
        let before = batch.weights(&selection).unwrap();
        let remove = [0, weight_count as u32 / 2, weight_count as u32];
        batch.change_masks(MaskChange::PruneSmallest, &remove).unwrap();
        train(&mut batch, 3, &orders, &batches(60, 20));
        let after = batch.weights(&selection).unwrap();
        let focus = ParameterLayout::new(&architecture).focus_weight().range();
        for (slot, replica) in batch.replicas().unwrap().iter().enumerate() {
            let place = slot * weight_count..(slot + 1) * weight_count;
            let order = magnitude_sort::order(&before[place.clone()]);
            let (kept, pruned) = order.split_at(weight_count - remove[slot] as usize);
            for &weight_index in pruned {
                let parameter = focus.start + weight_index as usize;
                assert_eq!(after[place.start + weight_index as usize].to_bits(), 0);
                assert_eq!((replica.m[parameter].to_bits(), replica.v[parameter].to_bits()), (0, 0));
                assert_eq!(replica.mask[parameter], 0);
            }
            assert!(kept.iter().all(|&weight_index| replica.mask[focus.start + weight_index as usize] == 1));
        }
    }
}

#[test]
fn what_was_saved_is_restored() {
    let mut engine = engine(RequestedLimits::Adapter);
    let data = engine.load(&data(&small_network(), 60)).unwrap();
    let orders = [order(60, 1), order(60, 2)];
    let mut batch = begin(&mut engine, &small_network(), data, 20, &[1, 2]).unwrap();
    train(&mut batch, 0, &orders, &batches(60, 20));
    batch.change_masks(MaskChange::PruneSmallest, &[10, 20]).unwrap();
    let saved = batch.replicas().unwrap();
    let losses = train(&mut batch, 3, &orders, &batches(60, 20));
    let mut other = begin(&mut engine, &small_network(), data, 20, &[7, 8]).unwrap();
    other.restore(&saved).unwrap();
    assert_eq!(other.replicas().unwrap(), saved);
    assert_eq!(train(&mut other, 3, &orders, &batches(60, 20)), losses);
}

#[test]
fn histories_larger_than_an_array_are_processed_in_pieces() {
    for (shape, bytes) in [((9, 4, 33), 4096), ((9, 2, 300), 4096), ((70, 3, 5), 8192), ((5, 3, 2100), 65_536)] {
        let shape = HistoryShape { epochs: shape.0, replicas: shape.1, weight_count: shape.2 };
        let mut draws = Sequence::new(9, Stream::Check, shape.weight_count as u32, 0);
        let history: Vec<f32> = (0..shape.len()).map(|_| (draws.below(41) as f32 - 20.0) / 10.0).collect();
        let reference = &history[(shape.epochs - 1) * shape.columns()..];
        let tolerances = [0.0, 0.1, 0.2, 0.5, 1.0];
        let bounds = |sign: f32| -> Vec<f32> {
            tolerances.iter().flat_map(|t| reference.iter().map(move |w| w + sign * t * w.abs())).collect()
        };
        let (lower, upper) = (bounds(-1.0), bounds(1.0));
        let mut engine = engine(RequestedLimits::ArrayBytes(bytes));

        let rank = engine.rank(shape, &history).unwrap();
        let mut expected = vec![0; shape.len()];
        for (weights, rank) in history.chunks(shape.weight_count).zip(expected.chunks_mut(shape.weight_count)) {
            magnitude_sort::rank(weights, rank);
        }
        assert!(rank == expected, "{shape:?}: ranks");

        let counts = engine.count(shape, &history, &lower, &upper).unwrap();
        let keys = |bounds: &[f32]| bounds.iter().map(|&bound| sortable_key(bound)).collect::<Vec<_>>();
        let (mut stability, mut stable) = (vec![0; lower.len()], vec![0; 5 * shape.epochs * shape.replicas]);
        count(shape, &history, &keys(&lower), &keys(&upper), &mut stability, &mut stable);
        assert!(counts.stability == stability, "{shape:?}: stability");
        assert!(counts.stable_weights == stable, "{shape:?}: stable weights");

        let windows = [1, 2, shape.epochs as u32];
        let found = engine.envelope(shape, &history, &windows).unwrap();
        let mut expected = [(); 3].map(|()| vec![0.0; 3 * shape.columns()]);
        let [minimum, maximum, smallest] = &mut expected;
        envelope(shape, &history, &windows, minimum, maximum, smallest);
        assert!([found.minimum, found.maximum, found.smallest_magnitude] == expected, "{shape:?}: envelope");
    }
}

#[test]
fn a_stop_is_heard_and_progress_reported_by_both_engines() {
    for mut engine in [Engine::cpu(Some(2)).unwrap(), engine(RequestedLimits::Adapter)] {
        let data = engine.load(&data(&small_network(), 100)).unwrap();
        let mut batch = begin(&mut engine, &small_network(), data, 10, &[1, 2]).unwrap();
        let orders = [order(100, 1), order(100, 2)];
        let steps = batches(100, 10);
        let steps = Steps { first_step: 0, orders: &orders, batches: &steps, decay: 1.0 };
        let done = AtomicU64::new(0);
        let progress = |units| {
            done.fetch_add(units, Ordering::Relaxed);
        };
        batch.train(&steps, &Watch { stop: &AtomicBool::new(false), progress: &progress }).unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 20);
        let stopped = Watch { stop: &AtomicBool::new(true), progress: &progress };
        assert!(matches!(batch.train(&steps, &stopped), Err(Error::Interrupted)));
        assert!(matches!(batch.evaluate(data, &stopped), Err(Error::Interrupted)));
        let point = SweepPoint { slot: 1, kept: vec![true; 49].into() };
        assert!(matches!(
            batch.sweep(data, &Selection::focus(&small_network()), &[point], &stopped),
            Err(Error::Interrupted)
        ));
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let mut engine = engine(RequestedLimits::ArrayBytes(4096));
    let set = data(&small_network(), 400);
    let training = engine.load(&set).unwrap();
    assert_eq!(engine.load(&set).unwrap(), training, "the same data set is uploaded once");
    // 100 images of 10 words fit 4,096 bytes, which is what a step of a data set this large takes.
    assert_refused(begin(&mut engine, &small_network(), training, 200, &[0]), &["batch of 200", "batch of 102"]);
    assert!(begin(&mut engine, &small_network(), training, 102, &[0]).is_ok());
    let wide = Architecture { hidden: vec![40; 3], ..small_network() };
    assert_refused(begin(&mut engine, &wide, training, 1, &[0]), &["parameters"]);
}
