use crate::{REPLICAS, gpu, made, measure, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::engine::{ActiveRows, Engine, Rows, SurgeonLayer, Watch};
use holdfast::kernels::surgeon::{Path, PathArguments, Shape};
use holdfast::random::{Sequence, Stream};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The paths of the paper's focus layer in ten networks, in weights removed.
pub(crate) fn path(criterion: &mut Criterion) {
    let gpu = gpu();
    let shape = Shape { units: 30 * REPLICAS, columns: 31 };
    // Well-conditioned: 1 on the diagonal, little beside it.
    let moment = |place: usize| if place % 32 == place / 32 % 31 { 1.0 } else { 0.01 };
    let moments: Vec<f32> = (0..shape.units * 31 * 32).map(moment).collect();
    let arguments = PathArguments {
        shape,
        ratios: &upload(&gpu, &vec![1.0; shape.units * 31]),
        moments: &upload(&gpu, &moments),
        removals: &zeros(&gpu, shape.units * 31),
    };
    let bound = made(Path::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let removed = Throughput::Elements((shape.units * 31) as u64);
    measure(criterion, &gpu, "surgeon/path", "k300_d31", removed, |recorder| bound.record_once(recorder));
}

/// Moments and paths by the CPU engine: the paper's focus layer, and its first layer, on 4,096 images.
pub(crate) fn processor(criterion: &mut Criterion) {
    let mut engine = made(Engine::cpu(None));
    let mut group = criterion.benchmark_group("surgeon/layer");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(300));
    let units = 30;
    for inputs in [30, 784] {
        let mut draws = Sequence::new(1, Stream::Check, inputs as u32, 4);
        let mut numbers = |len: usize| (0..len).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect::<Vec<_>>();
        let (values, pre_activations, weights) =
            (numbers(4096 * inputs), numbers(4096 * units), numbers(inputs * units));
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
        let watch = Watch { stop: &AtomicBool::new(false), progress: &|_| {} };
        group.throughput(Throughput::Elements((inputs * units) as u64));
        group.bench_function(format!("n4096_{inputs}x{units}/cpu"), |bencher| {
            bencher.iter(|| made(engine.paths(&layer, None, &watch)));
        });
    }
    group.finish();
}
