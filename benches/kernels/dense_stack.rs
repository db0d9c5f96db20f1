use crate::{REPLICAS, Recorder, below, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::gpu::Gpu;
use holdfast::kernels::StepRecord;
use holdfast::kernels::dense::ImageShape;
use holdfast::kernels::dense_stack::{
    Gradient, GradientArguments, LaunchStep, Launches, Reads, Residency, Sample, Shape, Step, StepArguments, StepInput,
    StepShape,
};

/// The layers after the first of the paper's network.
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
    let bound = made(Gradient::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    // Forward, weight gradient and input gradient, two operations for each multiply-add.
    let operations = Throughput::Elements((6 * REPLICAS * 32 * 30 * (5 * 30 + 10)) as u64);
    let record = |recorder: &mut Recorder<'_>| bound.record(recorder, 0, 32);
    measure(criterion, &gpu, "dense_stack/gradient", "r10_b32_30x5_c10", operations, record);
}

/// Steps of a launch.
const STEPS: usize = 4;

/// Whole steps of the paper's networks: on images of 28 x 28, several in a launch, and on the features of its convolutions.
pub(crate) fn step(criterion: &mut Criterion) {
    let gpu = gpu();
    steps(criterion, &gpu, Reads::Images, ImageShape { height: 28, width: 28 }, STEPS, "dense_stack/step");
    steps(criterion, &gpu, Reads::Features, ImageShape { height: 1, width: 72 }, 1, "dense_stack/step_features");
}

fn steps(criterion: &mut Criterion, gpu: &Gpu, reads: Reads, input: ImageShape, steps: usize, kernel: &str) {
    let inputs = input.height * input.width;
    let parameters = (inputs + 1) * 30 + 31 * (5 * 30 + 10);
    let shape = StepShape {
        replicas: REPLICAS,
        capacity: 32,
        reads,
        input,
        scale: if reads == Reads::Images { 1.0 / 255.0 } else { 1.0 },
        units: 30,
        classes: 10,
        depth: 6,
        parameters,
        first: 0,
    };
    let mut launches = made(Launches::new(gpu, &shape, 1.0, steps, 1));
    let each: Vec<LaunchStep> = (0..steps).map(|step| LaunchStep::new(32 * step, 32, step, 1e-4)).collect();
    let samples = (0..REPLICAS * steps * 32).map(|i| Sample::new((i * 37 % 1000) as u32, (i % 10) as u32));
    // As in the middle of a training: weights and moments are there.
    let moves = Residency { enters: false, leaves: false };
    made(launches.push(gpu, moves, &each, samples));
    let all = REPLICAS * parameters;
    let (images, features) = (below(gpu, 1000 * input.words(), u32::MAX), numbers(gpu, REPLICAS * 32 * inputs));
    let arguments = StepArguments {
        launches: &launches,
        input: match reads {
            Reads::Images => StepInput::Images(&images),
            Reads::Features => StepInput::Features(&features),
        },
        mask: &upload(gpu, &vec![1; REPLICAS * 900]),
        parameters: &numbers(gpu, all),
        m: &zeros(gpu, all),
        v: &zeros(gpu, all),
        scratch: &zeros(gpu, shape.scratch()),
        losses: &zeros(gpu, steps * REPLICAS),
    };
    let bound = made(Step::new(gpu, gpu.usual_workgroup_size(), reads).and_then(|kernel| kernel.bind(gpu, &arguments)));
    // Forward and weight gradient of all layers, input gradient of all behind images, two operations for each multiply-add;
    // Adam apart.
    let behind = 30 * (5 * 30 + 10);
    let products = 2 * (inputs * 30 + behind) + behind + if reads == Reads::Features { inputs * 30 } else { 0 };
    let operations = Throughput::Elements((2 * REPLICAS * steps * 32 * products) as u64);
    let sizes = format!("r{REPLICAS}_b32_k{steps}_{inputs}x30x6_c10");
    measure(criterion, gpu, kernel, &sizes, operations, |recorder| bound.record(recorder, &launches, 0));
}
