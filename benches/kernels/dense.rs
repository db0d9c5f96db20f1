use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::dense::{
    BackwardInput, BackwardInputArguments, BackwardWeights, BackwardWeightsArguments, BackwardWeightsImages,
    BackwardWeightsImagesArguments, Forward, ForwardArguments, ForwardImages, ForwardImagesArguments, ImageShape,
    Images, Shape,
};
use holdfast::kernels::{ParameterOffsets, StepRecord};

const BATCH: usize = 32;
const SAMPLES: u32 = 1000;

/// All five kernels on the layers of the paper's network.
pub(crate) fn all(criterion: &mut Criterion) {
    let gpu = gpu();
    for (inputs, outputs) in [(784, 30), (30, 30), (30, 10)] {
        let shape = Shape { replicas: REPLICAS, capacity: BATCH, inputs, outputs };
        let place = ParameterOffsets { parameters: (inputs + 1) * outputs, weights: 0, bias: inputs * outputs };
        let steps = upload(&gpu, &[StepRecord::new(0, BATCH, BATCH, 0, 0.0)]);
        let rows = REPLICAS * BATCH;
        let [input, input_gradient] = [numbers(&gpu, rows * inputs), zeros(&gpu, rows * inputs)];
        let [output, output_gradient] = [zeros(&gpu, rows * outputs), numbers(&gpu, rows * outputs)];
        let [parameters, gradient] =
            [numbers(&gpu, REPLICAS * place.parameters), zeros(&gpu, REPLICAS * place.parameters)];
        let sizes = format!("r{REPLICAS}_b{BATCH}_{inputs}x{outputs}");
        let operations = Throughput::Elements((2 * rows * inputs * outputs) as u64);

        let arguments = ForwardArguments {
            shape,
            place,
            relu: true,
            steps: &steps,
            input: &input,
            parameters: &parameters,
            output: &output,
        };
        let bound =
            made(Forward::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
        let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
        measure(criterion, &gpu, "dense/forward", &sizes, operations.clone(), record);

        let arguments = BackwardInputArguments {
            shape,
            place,
            steps: &steps,
            output_gradient: &output_gradient,
            parameters: &parameters,
            input: &input,
            input_gradient: &input_gradient,
        };
        let bound =
            made(BackwardInput::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
        let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
        measure(criterion, &gpu, "dense/backward_input", &sizes, operations.clone(), record);

        let arguments = BackwardWeightsArguments {
            shape,
            place,
            steps: &steps,
            input: &input,
            output_gradient: &output_gradient,
            gradient: &gradient,
        };
        let bound = made(
            BackwardWeights::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)),
        );
        let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
        measure(criterion, &gpu, "dense/backward_weights", &sizes, operations.clone(), record);

        if inputs == 784 {
            let image = ImageShape { height: 28, width: 28 };
            let order = below(&gpu, rows, SAMPLES);
            let pixels = below(&gpu, SAMPLES as usize * image.words(), u32::MAX);
            let images = || Images { shape: image, scale: 1.0 / 255.0, order: &order, images: &pixels };
            let arguments = ForwardImagesArguments {
                shape,
                place,
                relu: true,
                steps: &steps,
                images: images(),
                parameters: &parameters,
                output: &output,
            };
            let bound = made(
                ForwardImages::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)),
            );
            let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
            measure(criterion, &gpu, "dense/forward_images", &sizes, operations.clone(), record);

            let arguments = BackwardWeightsImagesArguments {
                shape,
                place,
                steps: &steps,
                images: images(),
                output_gradient: &output_gradient,
                gradient: &gradient,
            };
            let bound = made(
                BackwardWeightsImages::new(&gpu, gpu.usual_workgroup_size())
                    .and_then(|kernel| kernel.bind(&gpu, &arguments)),
            );
            let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, BATCH);
            measure(criterion, &gpu, "dense/backward_weights_images", &sizes, operations, record);
        }
    }
}
