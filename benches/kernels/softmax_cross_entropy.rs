use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::softmax_cross_entropy::{Loss, LossArguments};

pub(crate) fn loss(criterion: &mut Criterion) {
    let gpu = gpu();
    let (samples, classes) = (32, 10);
    let logits = REPLICAS * samples * classes;
    let arguments = LossArguments {
        replicas: REPLICAS,
        capacity: samples,
        classes,
        steps: &upload(&gpu, &[StepRecord::new(0, samples, samples, 0, 0.0)]),
        order: &below(&gpu, REPLICAS * samples, 1000),
        labels: &below(&gpu, 1000, classes as u32),
        logits: &numbers(&gpu, logits),
        gradient: &zeros(&gpu, logits),
        losses: &zeros(&gpu, REPLICAS),
    };
    let bound = made(Loss::new(&gpu).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(8 * logits as u64);
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, samples);
    measure(criterion, &gpu, "softmax_cross_entropy/loss", "r10_b32_c10", bytes, record);
}
