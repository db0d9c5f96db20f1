use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::max_pool2d::{Backward, BackwardArguments, Forward, ForwardArguments, Shape, argmax_len};

const BATCH: usize = 32;

/// Both stand-alone kernels on the first layer of the paper's network, in bytes read and written.
pub(crate) fn all(criterion: &mut Criterion) {
    let gpu = gpu();
    let shape = Shape { replicas: REPLICAS, capacity: BATCH, height: 28, width: 28, channels: 8 };
    let samples = REPLICAS * BATCH;
    let steps = upload(&gpu, &[StepRecord::new(0, 0, BATCH, 0, 0.0)]);
    let (before, after, words) = (samples * 28 * 28 * 8, samples * 14 * 14 * 8, argmax_len(shape));
    let [input, input_gradient] = [numbers(&gpu, before), zeros(&gpu, before)];
    let [output, output_gradient] = [zeros(&gpu, after), numbers(&gpu, after)];
    let argmax = below(&gpu, words, u32::MAX);
    let sizes = format!("r{REPLICAS}_b{BATCH}_c8_28x28");
    let bytes = Throughput::Bytes((4 * (before + after + words)) as u64);

    let arguments = ForwardArguments { shape, steps: &steps, input: &input, output: &output, argmax: &argmax };
    let bound = made(Forward { workgroup_size: gpu.usual_workgroup_size(), naive: false }.bind(&gpu, &arguments));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
    measure(criterion, &gpu, "max_pool2d/forward", &sizes, bytes.clone(), record);

    let arguments = BackwardArguments {
        shape,
        steps: &steps,
        output_gradient: &output_gradient,
        argmax: &argmax,
        input_gradient: &input_gradient,
    };
    let bound = made(Backward { workgroup_size: gpu.usual_workgroup_size() }.bind(&gpu, &arguments));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
    measure(criterion, &gpu, "max_pool2d/backward", &sizes, bytes, record);
}
