use crate::{REPLICAS, below, gpu, made, measure, numbers, upload};
use criterion::{Criterion, Throughput};
use holdfast::kernels::mask::{Smallest, SmallestArguments};

pub(crate) fn smallest(criterion: &mut Criterion) {
    let gpu = gpu();
    let nodes = 900;
    let all = REPLICAS * nodes;
    let arguments = SmallestArguments {
        replicas: REPLICAS,
        nodes,
        parameters_per_replica: nodes,
        offset: 0,
        rank: &below(&gpu, all, nodes as u32),
        remove: &upload(&gpu, &[450; REPLICAS]),
        mask: &upload(&gpu, &vec![1; all]),
        parameters: &numbers(&gpu, all),
        m: &numbers(&gpu, all),
        v: &numbers(&gpu, all),
    };
    let bound = made(Smallest::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(12 * all as u64);
    measure(criterion, &gpu, "mask/smallest", "r10_n900", bytes, |recorder| bound.record(recorder));
}
