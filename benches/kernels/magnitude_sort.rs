use crate::{REPLICAS, gpu, made, measure, numbers, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::magnitude_sort::{Rank, RankArguments};

pub(crate) fn rank(criterion: &mut Criterion) {
    let gpu = gpu();
    for (epochs, nodes) in [(5, 900), (1, 2048)] {
        let all = epochs * REPLICAS * nodes;
        let arguments = RankArguments {
            epochs,
            replicas: REPLICAS,
            nodes,
            offset: 0,
            epoch_stride: REPLICAS * nodes,
            replica_stride: nodes,
            weights: &numbers(&gpu, all),
            rank: &zeros(&gpu, all),
        };
        let bound = made(Rank::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
        let bytes = Throughput::Bytes(8 * all as u64);
        let sizes = format!("e{epochs}_r10_n{nodes}");
        measure(criterion, &gpu, "magnitude_sort/rank", &sizes, bytes, |recorder| bound.record(recorder));
    }
}
