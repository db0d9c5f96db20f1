use crate::{REPLICAS, gpu, made, measure, numbers, zeros};
use criterion::{BatchSize, Criterion, Throughput};
use holdfast::cpu::fast::stability::rank as rank_fast;
use holdfast::kernels::magnitude_sort::{Rank, RankArguments};
use holdfast::random::{Sequence, Stream};
use rayon::prelude::*;

pub(crate) fn rank(criterion: &mut Criterion) {
    let gpu = gpu();
    for (epochs, weight_count) in [(5, 900), (1, 2048), (1, 2049), (1, 100_000)] {
        let all = epochs * REPLICAS * weight_count;
        let arguments = RankArguments {
            epochs,
            replicas: REPLICAS,
            weight_count,
            offset: 0,
            epoch_stride: REPLICAS * weight_count,
            replica_stride: weight_count,
            weights: &numbers(&gpu, all),
            rank: &zeros(&gpu, all),
        };
        let bound = made(Rank::new(gpu.usual_workgroup_size()).bind(&gpu, &arguments));
        let bytes = Throughput::Bytes(8 * all as u64);
        let sizes = format!("e{epochs}_r10_n{weight_count}");
        measure(criterion, &gpu, "magnitude_sort/rank", &sizes, bytes, |recorder| bound.record(recorder));
    }
}

/// A million pairs of key and index on the processor, beside the sort of a well-known crate on all threads.
pub(crate) fn processor(criterion: &mut Criterion) {
    let weight_count = 1_000_000;
    let mut draws = Sequence::new(1, Stream::Check, weight_count, 2);
    let weights: Vec<f32> = (0..weight_count).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect();
    let pairs: Vec<u64> =
        (0u64..).zip(&weights).map(|(index, w)| (u64::from(!w.to_bits() & 0x7fff_ffff) << 32) | index).collect();
    let (mut scratch, mut ranks) = (Vec::new(), vec![0; weights.len()]);
    let mut group = criterion.benchmark_group("magnitude_sort/rank");
    group.throughput(Throughput::Elements(u64::from(weight_count))).sample_size(10);
    group.bench_function("n1000000/cpu", |bencher| bencher.iter(|| rank_fast(&weights, &mut scratch, &mut ranks)));
    group.bench_function("n1000000/rayon par_sort_unstable", |bencher| {
        bencher.iter_batched_ref(|| pairs.clone(), |pairs| pairs.par_sort_unstable(), BatchSize::LargeInput);
    });
    group.finish();
}
