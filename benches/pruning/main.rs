//! One more operating point by each way of pruning, and what comes before the first: `cargo bench --bench pruning`.
//!
//! `ms` and `hold` make one mask of a counted history and evaluate it on 10,000 images; `ed` trains one replica towards
//! one target for as many steps as three epochs of 2,000 images have, and evaluates it. The ratio for the paper's sizes
//! is what `holdfast compare --preset paper` prints; here training is 30 times shorter, so that the benchmark ends.

#[path = "../support/mod.rs"]
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::cpu::fast::gram::Half;
use holdfast::cpu::fast::{surgeon, whole_inputs};
use holdfast::engine::{Engine, HistoryShape, Steps, SweepPoint, Watch};
use holdfast::network::Selection;
use holdfast::pruning::decay::{Rule, Schedule};
use holdfast::pruning::masks::{RemovalOrder, by_stability, removed_weights};
use holdfast::random::{Sequence, Stream};
use holdfast::stability::{History, Reading, Stability, WindowedEnvelope};
use holdfast::training::{Plan, train};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{BATCH, begin, engines, images, paper_network};

const TEST_IMAGES: usize = 10_000;
const TRAINING_IMAGES: usize = 2000;
const EPOCHS: usize = 150;
const REPLICAS: usize = 10;
/// Steps of one measurement of training.
const STEPS: usize = 16;

/// Weights that move less and less, as in training.
fn history(replicas: usize) -> History {
    let shape = HistoryShape { epochs: EPOCHS, replicas, weight_count: paper_network().weight_count() };
    let mut noise = Sequence::new(1, Stream::Check, 9, 0);
    let mut weights: Vec<f32> = (0..shape.columns()).map(|_| noise.unit() as f32 - 0.5).collect();
    let mut history = Vec::new();
    for epoch in 0..EPOCHS {
        weights.iter_mut().for_each(|weight| *weight += 0.05 / (epoch + 1) as f32 * (noise.unit() as f32 - 0.5));
        history.extend_from_slice(&weights);
    }
    History::new(shape, history).unwrap_or_else(|error| panic!("{error}"))
}

fn operating_points(criterion: &mut Criterion) {
    let (training, test) = (images(TRAINING_IMAGES), images(TEST_IMAGES));
    let history = history(1);
    let focus = Selection::focus(&paper_network());
    let watch = Watch::nobody();
    let mut group = criterion.benchmark_group("pruning/point");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    for (name, mut engine) in engines() {
        let handle = engine.load(&training).unwrap_or_else(|error| panic!("{error}"));
        let test = engine.load(&test).unwrap_or_else(|error| panic!("{error}"));
        let mut batch = begin(&mut engine, handle, 1);
        let stability = Stability::count(&mut engine, &history, &[0.03], Reading::default());
        let stability = stability.unwrap_or_else(|error| panic!("{error}"));
        let envelope = WindowedEnvelope::new(&mut engine, &history, &[EPOCHS as u32 / 2]);
        let envelope = envelope.unwrap_or_else(|error| panic!("{error}"));
        group.bench_function(format!("ms/r1_n900_10000_images/{name}"), |bencher| {
            bencher.iter(|| {
                let kept = by_stability(stability.of_replica(0, &history, 0), EPOCHS as u32 / 2);
                let points = [SweepPoint { slot: 0, kept }];
                batch.sweep(test, &focus, &points, &watch).unwrap_or_else(|error| panic!("{error}"))
            });
        });
        group.bench_function(format!("hold/r1_n900_10000_images/{name}"), |bencher| {
            bencher.iter(|| {
                let order = RemovalOrder::smallest_first(envelope.holding_magnitude(0, 0))
                    .frozen_first(envelope.frozen_of_replica(0));
                let kept = order.mask(removed_weights(0.8, paper_network().weight_count()));
                let points = [SweepPoint { slot: 0, kept }];
                batch.sweep(test, &focus, &points, &watch).unwrap_or_else(|error| panic!("{error}"))
            });
        });
        let steps = TRAINING_IMAGES.div_ceil(BATCH) as u64;
        let schedules = [Schedule::new(Rule::Density, 0.8, paper_network().weight_count(), 3, steps)];
        let network = paper_network();
        let plan = Plan::new((&network, &focus), (handle, &training), &[0], 3);
        let plan = Plan { batch: BATCH, schedules: &schedules, record: false, ..plan };
        group.bench_function(format!("ed/r1_2000_images_3_epochs/{name}"), |bencher| {
            bencher.iter(|| {
                let trained = train(&mut engine, &plan, None, &watch, &|_| {});
                let mut trained = trained.unwrap_or_else(|error| panic!("{error}"));
                trained.batch.evaluate(test, &watch).unwrap_or_else(|error| panic!("{error}"))
            });
        });
    }
    group.finish();
}

fn sort_and_count(criterion: &mut Criterion) {
    let history = history(REPLICAS);
    let mut group = criterion.benchmark_group("pruning/history");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    let count = |engine: &mut Engine| {
        engine.rank(history.shape(), history.weights())?;
        Stability::count(engine, &history, &[0.01, 0.03, 0.05], Reading::default())
    };
    for (name, mut engine) in engines() {
        group.bench_function(format!("sort_count/e{EPOCHS}_r{REPLICAS}_n900/{name}"), |bencher| {
            bencher.iter(|| count(&mut engine).unwrap_or_else(|error| panic!("{error}")));
        });
    }
    group.finish();
}

/// Training and the sweep of the CPU engine, in floating-point operations: the sweep's goal is half of training's rate. The
/// masks remove next to nothing, since removed weights cost nothing.
fn arithmetic(criterion: &mut Criterion) {
    let mut engine = Engine::cpu(None).unwrap_or_else(|error| panic!("{error}"));
    let (data, test) = (images(STEPS * BATCH), images(TEST_IMAGES));
    let training = engine.load(&data).unwrap_or_else(|error| panic!("{error}"));
    let test = engine.load(&test).unwrap_or_else(|error| panic!("{error}"));
    let mut batch = begin(&mut engine, training, REPLICAS as u32);
    let order: Arc<[u32]> = (0..data.samples() as u32).collect();
    let batches: Vec<_> = (0..STEPS).map(|step| step * BATCH..(step + 1) * BATCH).collect();
    let orders = vec![order; REPLICAS];
    let focus = Selection::focus(&paper_network());
    let watch = Watch::nobody();
    let weight_count = paper_network().weight_count();
    let mask = |removed: usize| (0..weight_count).map(|weight_index| weight_index >= removed).collect::<Arc<[bool]>>();
    let point = |slot| (0..4).map(move |removed| SweepPoint { slot, kept: mask(removed) });
    let points: Vec<SweepPoint> = (0..REPLICAS).flat_map(point).collect();
    let mut group = criterion.benchmark_group("pruning/arithmetic");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    let flops = paper_network().step_flops(BATCH) * (REPLICAS * STEPS) as f64;
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function(format!("training/r{REPLICAS}_b{BATCH}_k{STEPS}/cpu"), |bencher| {
        bencher.iter(|| {
            let steps = Steps { first_step: 1000, orders: &orders, batches: &batches, decay: 1.0 };
            batch.train(&steps, &watch).unwrap_or_else(|error| panic!("{error}"))
        });
    });
    let multiply_adds = weight_count + paper_network().hidden[5] * paper_network().classes;
    group.throughput(Throughput::Elements((2 * multiply_adds * TEST_IMAGES * points.len()) as u64));
    group.bench_function(format!("sweep/p{}_n{TEST_IMAGES}/cpu", points.len()), |bencher| {
        bencher.iter(|| batch.sweep(test, &focus, &points, &watch).unwrap_or_else(|error| panic!("{error}")));
    });
    group.finish();
}

/// Whole pruned networks, on the test set: of every ten weights of all layers one is left.
fn whole_networks(criterion: &mut Criterion) {
    let (data, test) = (images(STEPS * BATCH), images(TEST_IMAGES));
    let all = Selection::all(&paper_network());
    let watch = Watch::nobody();
    let mut group = criterion.benchmark_group("pruning/networks");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    for (name, mut engine) in engines() {
        let training = engine.load(&data).unwrap_or_else(|error| panic!("{error}"));
        let test = engine.load(&test).unwrap_or_else(|error| panic!("{error}"));
        let mut batch = begin(&mut engine, training, REPLICAS as u32);
        let kept = |point: usize| (0..all.weights()).map(|weight| (weight + point).is_multiple_of(10)).collect();
        let points: Vec<SweepPoint> =
            (0..REPLICAS).map(|point| SweepPoint { slot: point, kept: kept(point) }).collect();
        group.throughput(Throughput::Elements(points.len() as u64));
        group.bench_function(format!("sweep/p{}_n{TEST_IMAGES}/{name}", points.len()), |bencher| {
            bencher.iter(|| batch.sweep(test, &all, &points, &watch).unwrap_or_else(|error| panic!("{error}")));
        });
    }
    group.finish();
}

/// Whole inputs taken out of a layer of 1,024 inputs and 256 units, one after the other, all by one matrix. Step by step each
/// removal would read and write half of what is left of the matrix, and what is left of the weights: these are the bytes of the
/// throughput. `copy` moves as many.
fn elimination(criterion: &mut Criterion) {
    let (inputs, units) = (1024, 256);
    let mut noise = Sequence::new(1, Stream::Check, 8, 0);
    let mut matrix = Half::new(inputs, 0);
    for row in 0..inputs {
        matrix.values[row * matrix.stride + row] = 1.0;
        (row + 1..inputs).for_each(|column| matrix.values[row * matrix.stride + column] = 0.01 * noise.unit() as f32);
    }
    let weights: Vec<f32> = (0..inputs * units).map(|_| noise.unit() as f32 - 0.5).collect();
    let groups: Vec<Vec<u32>> = (0..inputs as u32).map(|input| vec![input]).collect();
    let inverse = surgeon::invert(matrix).unwrap_or_else(|| panic!("the matrix is singular"));
    let bytes: u64 = (1..=inputs as u64).map(|left| 2 * 4 * (left * left / 2 + left * units as u64)).sum();
    let mut group = criterion.benchmark_group("pruning/whole_inputs");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("path/1024x256/cpu", |bencher| {
        let importance = vec![1.0; units];
        bencher.iter_batched(
            || inverse.clone(),
            |inverse| whole_inputs::path(inverse, &weights, &importance, &groups),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("copy/1024x256/cpu", |bencher| {
        // Larger than any cache; read and written once is two bytes moved for each of its bytes.
        let (from, mut to) = (vec![1.0f32; 1 << 25], vec![0.0f32; 1 << 25]);
        let times = bytes as f64 / (2.0 * 4.0 * from.len() as f64);
        bencher.iter_custom(|turns| {
            let start = Instant::now();
            (0..turns).for_each(|_| to.copy_from_slice(std::hint::black_box(&from)));
            start.elapsed().mul_f64(times)
        });
    });
    group.finish();
}

criterion_group!(benches, operating_points, sort_and_count, arithmetic, whole_networks, elimination);
criterion_main!(benches);
