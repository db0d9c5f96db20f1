use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::dense_stack::{Gradient, GradientArguments, Shape};

/// The layers behind the first of the paper's network.
pub(crate) fn gradient(criterion: &mut Criterion) {
    let gpu = gpu();
    let shape = Shape { replicas: REPLICAS, capacity: 32, units: 30, classes: 10, depth: 6 };
    let parameters_per_replica = 31 * (5 * 30 + 10);
    let arguments = GradientArguments {
        shape,
        parameters_per_replica,
        first: 0,
        steps: &upload(&gpu, &[StepRecord::new(0, 32, 32, 0, 0.0)]),
        order: &below(&gpu, REPLICAS * 32, 1000),
        labels: &below(&gpu, 1000, 10),
        parameters: &numbers(&gpu, REPLICAS * parameters_per_replica),
        activations: &numbers(&gpu, shape.activations()),
        gradient: &zeros(&gpu, REPLICAS * parameters_per_replica),
        losses: &zeros(&gpu, REPLICAS),
    };
    let bound = made(Gradient::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    // Forward, weight gradient and input gradient, two operations for each multiply-add.
    let operations = Throughput::Elements((6 * REPLICAS * 32 * 30 * (5 * 30 + 10)) as u64);
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, 32);
    measure(criterion, &gpu, "dense_stack/gradient", "r10_b32_30x5_c10", operations, record);
}
