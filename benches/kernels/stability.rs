use crate::{REPLICAS, Recorder, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::engine::{Engine, HistoryShape};
use holdfast::kernels::stability::{Count, CountArguments, Envelope, EnvelopeArguments, Shape};
use holdfast::random::{Sequence, Stream};
use rayon::prelude::*;
use std::time::Duration;

/// Numbers that a thread copies at a time.
const COPIED: usize = 1 << 16;

/// Both kernels' fast variants on all cores of the processor, beside a plain copy of as many bytes.
pub(crate) fn processor(criterion: &mut Criterion) {
    let mut engine = made(Engine::cpu(None));
    let windows = [2, 5, 10, 20, 50, 100];
    for (replicas, weight_count) in [(REPLICAS, 900), (1, 1_000_000)] {
        let shape = HistoryShape { epochs: 100, replicas, weight_count };
        let mut draws = Sequence::new(1, Stream::Check, weight_count as u32, 3);
        let history: Vec<f32> = (0..shape.len()).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect();
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

/// Both kernels on the history of the main job.
pub(crate) fn all(criterion: &mut Criterion) {
    let gpu = gpu();
    let shape = Shape { epochs: 100, replicas: REPLICAS, weight_count: 900 };
    let columns = REPLICAS * shape.weight_count;
    let history = numbers(&gpu, shape.epochs * columns);
    let bytes = Throughput::Bytes(4 * (shape.epochs * columns) as u64);
    let arguments = CountArguments {
        shape,
        history: &history,
        lower: &upload(&gpu, &vec![[0x4000_0000; 4]; columns]),
        upper: &upload(&gpu, &vec![[0xbf00_0000; 4]; columns]),
        stability: &zeros(&gpu, columns),
        stable_weights: &zeros(&gpu, shape.epochs * REPLICAS),
    };
    let bound = made(Count::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let record = |recorder: &mut Recorder<'_>| bound.record_once(recorder);
    measure(criterion, &gpu, "stability/count", "e100_r10_n900", bytes.clone(), record);

    let windows = [2, 5, 10, 20, 50, 100];
    let results = windows.len() * columns;
    let arguments = EnvelopeArguments {
        shape,
        windows: &upload(&gpu, &windows),
        history: &history,
        minimum: &zeros(&gpu, results),
        maximum: &zeros(&gpu, results),
        smallest_magnitude: &zeros(&gpu, results),
    };
    let bound = made(Envelope::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let record = |recorder: &mut Recorder<'_>| bound.record_once(recorder);
    measure(criterion, &gpu, "stability/envelope", "e100_r10_n900", bytes, record);
}
