//! Speed of every kernel on the first adapter: `cargo bench --bench kernels -- dense/forward`.
//!
//! Each kernel runs the case of its check that costs most: a launch and the wait for it are measured. Ids are the kernel's
//! name, the sizes of the case and the device.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use holdfast::check::{FAMILIES, Setting};
use holdfast::cpu::fast::stability::rank as rank_fast;
use holdfast::engine::{ActiveRows, Engine, HistoryShape, Rows, SurgeonLayer, Watch};
use holdfast::error::Result;
use holdfast::gpu::{DeviceChoice, Gpu, Launch, Recorder, RequestedLimits};
use holdfast::lab::launches;
use holdfast::random::{Sequence, Stream};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a benchmark needs, or the end of it.
fn made<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}; the benchmarks need a Vulkan, Metal or DX12 driver"))
}

/// Every kernel on its largest case.
fn kernels(criterion: &mut Criterion) {
    let gpu = made(Gpu::open(&DeviceChoice::Index(0), false, RequestedLimits::Adapter));
    let device = gpu.description().name.replace('/', " ");
    let usual = Setting::usual(&gpu);
    for (_, check) in FAMILIES {
        let (_, launched) = made(launches(&gpu, || check(&[usual, Setting { naive: true, ..usual }])));
        let work = |launch: &Launch| launch.bound.cost.operations + launch.bound.cost.bytes;
        let mut largest: BTreeMap<&str, (String, Launch)> = BTreeMap::new();
        for (case, launch) in launched {
            let known = largest.get(launch.bound.name());
            if known.is_none_or(|(_, known)| work(known) < work(&launch)) {
                largest.insert(launch.bound.name(), (case, launch));
            }
        }
        for (kernel, (case, launch)) in largest {
            let mut group = criterion.benchmark_group(kernel.replace('.', "/"));
            let (elements, bytes) = (launch.bound.cost.operations as u64, launch.bound.cost.bytes as u64);
            group.throughput(Throughput::ElementsAndBytes { elements, bytes }).sample_size(10);
            group.measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(200));
            group.bench_function(format!("{case}/{device}"), |bencher| {
                bencher.iter(|| {
                    let mut recorder = Recorder::new(&gpu, kernel);
                    made(recorder.dispatch(&launch.bound, launch.workgroups, launch.record));
                    made(recorder.submit().and_then(|submission| submission.wait()));
                });
            });
            group.finish();
        }
    }
}

/// Random numbers in (-1, 1).
fn numbers(len: usize) -> Vec<f32> {
    let mut draws = Sequence::new(1, Stream::Check, len as u32, 0);
    (0..len).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect()
}

/// A million pairs of key and index on the processor, beside the sort of a well-known crate on all threads.
fn rank_on_processor(criterion: &mut Criterion) {
    let weights = numbers(1_000_000);
    let pairs: Vec<u64> =
        (0u64..).zip(&weights).map(|(index, w)| (u64::from(!w.to_bits() & 0x7fff_ffff) << 32) | index).collect();
    let (mut scratch, mut ranks) = (Vec::new(), vec![0; weights.len()]);
    let mut group = criterion.benchmark_group("magnitude_sort/rank");
    group.throughput(Throughput::Elements(weights.len() as u64)).sample_size(10);
    group.bench_function("n1000000/cpu", |bencher| bencher.iter(|| rank_fast(&weights, &mut scratch, &mut ranks)));
    group.bench_function("n1000000/rayon par_sort_unstable", |bencher| {
        bencher.iter_batched_ref(|| pairs.clone(), |pairs| pairs.par_sort_unstable(), BatchSize::LargeInput);
    });
    group.finish();
}

/// Numbers that a thread copies at a time.
const COPIED: usize = 1 << 16;

/// Counts and envelopes on all cores of the processor, beside a plain copy of as many bytes.
fn stability_on_processor(criterion: &mut Criterion) {
    let mut engine = made(Engine::cpu(None));
    let windows = [2, 5, 10, 20, 50, 100];
    for (replicas, weight_count) in [(10, 900), (1, 1_000_000)] {
        let shape = HistoryShape { epochs: 100, replicas, weight_count };
        let history = numbers(shape.len());
        let bounds = |bound: f32| vec![bound; 3 * shape.columns()];
        let (lower, upper) = (bounds(-0.75), bounds(0.75));
        let mut target = vec![0.0f32; history.len()];
        let sizes = format!("e100_r{replicas}_n{weight_count}");
        for kernel in ["count", "envelope"] {
            let mut group = criterion.benchmark_group(format!("stability/{kernel}"));
            group.throughput(Throughput::Bytes(4 * history.len() as u64)).sample_size(10);
            group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
            group.bench_function(format!("{sizes}/cpu"), |bencher| match kernel {
                "count" => bencher.iter(|| drop(made(engine.count(shape, &history, &lower, &upper)))),
                _ => bencher.iter(|| drop(made(engine.envelope(shape, &history, &windows)))),
            });
            group.bench_function(format!("{sizes}/copy"), |bencher| {
                bencher.iter(|| {
                    let pieces = target.par_chunks_mut(COPIED).zip(history.par_chunks(COPIED));
                    pieces.for_each(|(target, history)| target.copy_from_slice(history));
                });
            });
            group.finish();
        }
    }
}

/// Moments and paths of a layer by the CPU engine: the paper's focus layer, and its first one, on 4,096 images.
fn surgeon_on_processor(criterion: &mut Criterion) {
    let mut engine = made(Engine::cpu(None));
    let mut group = criterion.benchmark_group("surgeon/layer");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(300));
    let (rows, units) = (4096, 30);
    for inputs in [30, 784] {
        let (values, pre_activations, weights) =
            (numbers(rows * inputs), numbers(rows * units), numbers(inputs * units));
        let layer = SurgeonLayer {
            rows: Rows::Features { values: &values, inputs },
            units,
            pre_activations: &pre_activations,
            active_rows: ActiveRows::Positive,
            inactive_weight: 0.1,
            ridge: 1e-3,
            weights: &weights,
            bias: Some(&weights[..units]),
            kept: &vec![true; inputs * units],
            shares_gram: false,
        };
        let watch = Watch::nobody();
        group.throughput(Throughput::Elements((inputs * units) as u64));
        group.bench_function(format!("n{rows}_{inputs}x{units}/cpu"), |bencher| {
            bencher.iter(|| made(engine.paths(&layer, None, None, &watch)));
        });
    }
    group.finish();
}

criterion_group!(all, kernels, rank_on_processor, stability_on_processor, surgeon_on_processor);
criterion_main!(all);
