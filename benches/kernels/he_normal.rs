use crate::{REPLICAS, gpu, made, measure, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::he_normal::{Fill, FillArguments};

pub(crate) fn fill(criterion: &mut Criterion) {
    let gpu = gpu();
    let weights = 784 * 30;
    let parameters = zeros(&gpu, REPLICAS * weights);
    let arguments = FillArguments {
        parameters_per_replica: weights,
        offset: 0,
        weights,
        tensor: 0,
        seed: 1,
        scale: 0.05,
        replica_ids: &upload(&gpu, &(0..REPLICAS as u32).collect::<Vec<_>>()),
        parameters: &parameters,
    };
    let bound = made(Fill::new(&gpu, gpu.usual_workgroup_size()).and_then(|fill| fill.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(4 * (REPLICAS * weights) as u64);
    measure(criterion, &gpu, "he_normal/fill", "r10_784x30", bytes, |recorder| bound.record_once(recorder));
}
