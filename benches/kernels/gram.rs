use crate::{REPLICAS, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::gram::{Accumulate, AccumulateArguments, Shape};

/// The paper's focus layer on 4,096 images, in operations.
pub(crate) fn accumulate(criterion: &mut Criterion) {
    let gpu = gpu();
    let (rows, units, inputs) = (4096, 30, 30);
    let columns = inputs + 1;
    let shape = Shape { replicas: REPLICAS, rows, units, inputs, columns, patches: None };
    let all: Vec<u32> = (0..REPLICAS * units).flat_map(|_| 0..columns as u32).collect();
    let arguments = AccumulateArguments {
        shape,
        step: &upload(&gpu, &[StepRecord::new(0, 0, rows, 0, 0.0)]),
        values: &numbers(&gpu, REPLICAS * rows * inputs),
        positions: &zeros(&gpu, 1),
        columns: &upload(&gpu, &all),
        row_weights: &numbers(&gpu, REPLICAS * rows * units),
        targets: &numbers(&gpu, REPLICAS * rows * units),
        moments: &zeros(&gpu, REPLICAS * units * columns * (columns + 1)),
    };
    let bound = made(Accumulate::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let operations = Throughput::Elements((REPLICAS * units * columns * (columns + 1) * rows) as u64);
    measure(criterion, &gpu, "gram/accumulate", "r10_n4096_30x30", operations, |recorder| {
        bound.record(recorder, 0, rows)
    });
}
