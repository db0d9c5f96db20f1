use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::gpu::{Buffer, Gpu};
use holdfast::kernels::conv2d::{
    BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, Forward, ForwardArguments, Input,
    Shape,
};
use holdfast::kernels::dense::{ImageShape, Images};
use holdfast::kernels::max_pool2d::{self, argmax_len};
use holdfast::kernels::{ParameterOffsets, StepRecord};

const BATCH: usize = 32;
const SAMPLES: u32 = 1000;

/// The layers of the paper's network on images of 28 x 28.
pub(crate) fn all(criterion: &mut Criterion) {
    let gpu = gpu();
    for filters in [8, 32] {
        for (side, inputs, pools) in [(28, 1, true), (14, filters, true), (7, filters, true), (3, filters, false)] {
            let shape =
                Shape { replicas: REPLICAS, capacity: BATCH, height: side, width: side, inputs, outputs: filters };
            layer(criterion, &gpu, shape, pools);
        }
    }
}

fn layer(criterion: &mut Criterion, gpu: &Gpu, shape: Shape, pools: bool) {
    let Shape { height, width, inputs, outputs, .. } = shape;
    let (first, rows) = (inputs == 1, REPLICAS * BATCH);
    let weights = 9 * inputs * outputs;
    let place = ParameterOffsets { parameters: weights + outputs, weights: 0, bias: weights };
    let steps = upload(gpu, &[StepRecord::new(0, BATCH, BATCH, 0, 0.0)]);
    let values = height * width * inputs;
    let [input, input_gradient] = [numbers(gpu, rows * values), zeros(gpu, rows * values)];
    let image = ImageShape { height, width };
    let order = below(gpu, rows, SAMPLES);
    let images = below(gpu, SAMPLES as usize * image.words(), u32::MAX);
    let read = || {
        if first {
            Input::Images(Images { shape: image, scale: 1.0 / 255.0, order: &order, images: &images })
        } else {
            Input::Features(&input)
        }
    };
    let pooled = if pools { height / 2 * (width / 2) } else { height * width } * outputs;
    let [output, output_gradient] = [zeros(gpu, rows * pooled), numbers(gpu, rows * pooled)];
    let [parameters, gradient] = [numbers(gpu, REPLICAS * place.parameters), zeros(gpu, REPLICAS * place.parameters)];
    let argmax: Option<Buffer<u32>> = pools.then(|| {
        let shape = max_pool2d::Shape { replicas: REPLICAS, capacity: BATCH, height, width, channels: outputs };
        below(gpu, argmax_len(shape), u32::MAX)
    });
    let argmax = argmax.as_ref();
    let sizes = format!("r{REPLICAS}_b{BATCH}_c{inputs}_k{outputs}_{height}x{width}");
    let operations = Throughput::Elements((2 * rows * height * width * weights) as u64);
    let suffix = format!("{}{}", if pools { "_pool" } else { "" }, if first { "_images" } else { "" });

    let arguments = ForwardArguments {
        shape,
        place,
        steps: &steps,
        input: read(),
        parameters: &parameters,
        output: &output,
        argmax,
    };
    let bound = made(Forward::new(gpu.usual_workgroup_size()).bind(gpu, &arguments));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
    measure(criterion, gpu, &format!("conv2d/forward{suffix}"), &sizes, operations.clone(), record);

    let arguments = BackwardWeightsArguments {
        shape,
        place,
        steps: &steps,
        input: read(),
        output_gradient: &output_gradient,
        argmax,
        gradient: &gradient,
    };
    let bound = made(BackwardWeights::default().bind(gpu, &arguments));
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
    measure(criterion, gpu, &format!("conv2d/backward_weights{suffix}"), &sizes, operations.clone(), record);

    if !first {
        let arguments = BackwardInputArguments {
            shape,
            place,
            steps: &steps,
            output_gradient: &output_gradient,
            argmax,
            parameters: &parameters,
            input: &input,
            input_gradient: &input_gradient,
        };
        let bound = made(BackwardInput::new(gpu.usual_workgroup_size()).bind(gpu, &arguments));
        let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
        measure(criterion, gpu, &format!("conv2d/backward_input{suffix}"), &sizes, operations, record);
    }
}
