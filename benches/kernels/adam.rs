use crate::{REPLICAS, gpu, made, measure, numbers, upload, zeros};
use criterion::{Criterion, Throughput};
use holdfast::kernels::StepRecord;
use holdfast::kernels::adam::{Step, StepArguments};

pub(crate) fn step(criterion: &mut Criterion) {
    let gpu = gpu();
    let parameters = 28_510;
    let all = REPLICAS * parameters;
    let arguments = StepArguments {
        replicas: REPLICAS,
        parameters_per_replica: parameters,
        updated: parameters,
        focus: 27_270..28_170,
        decay: 1.0,
        steps: &upload(&gpu, &[StepRecord::new(0, 0, 0, 0, 1e-3)]),
        gradient: &numbers(&gpu, all),
        mask: &upload(&gpu, &vec![1; REPLICAS * 900]),
        parameters: &numbers(&gpu, all),
        m: &zeros(&gpu, all),
        v: &zeros(&gpu, all),
    };
    let bound = made(Step::new(&gpu, gpu.usual_workgroup_size()).and_then(|kernel| kernel.bind(&gpu, &arguments)));
    let bytes = Throughput::Bytes(28 * all as u64);
    measure(criterion, &gpu, "adam/step", "r10_n28510", bytes, |recorder| bound.record(recorder, 0, 0));
}
