use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::focus_sweep::{Evaluate, EvaluateArguments, ParameterOffsets};

pub(crate) fn evaluate(criterion: &mut Criterion) {
    let gpu = gpu();
    let (points, samples, width, classes) = (20, 512, 30, 10);
    let place = ParameterOffsets {
        parameters: 1240,
        focus_weights: 0,
        focus_bias: 900,
        output_weights: 930,
        output_bias: 1230,
    };
    let kernel = made(Evaluate::new(&gpu, width));
    let blocks = samples / kernel.block();
    let arguments = EvaluateArguments {
        replicas: REPLICAS,
        capacity: samples,
        classes,
        place,
        blocks,
        steps: &upload(&gpu, &[StepRecord::new(0, 0, samples, 0, 0.0)]),
        labels: &below(&gpu, samples, classes as u32),
        input: &numbers(&gpu, REPLICAS * samples * width),
        parameters: &numbers(&gpu, REPLICAS * place.parameters),
        masks: &below(&gpu, points * width, u32::MAX),
        point_replica: &below(&gpu, points, REPLICAS as u32),
        losses: &zeros(&gpu, points * blocks),
    };
    let bound = made(kernel.bind(&gpu, &arguments));
    let operations = Throughput::Elements((2 * points * samples * (width * width + width * classes)) as u64);
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, samples);
    measure(criterion, &gpu, "focus_sweep/evaluate", "p20_n512_30x10", operations, record);
}
