use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::StepRecord;
use holdfast::kernels::adam::{Step, StepArguments};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 0, 1, 0, 0.1)]).unwrap();
    let [long, short] = [20, 19].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let mask = Buffer::<u32>::new(gpu, "mask", 6).unwrap();
    let bind = |updated, gradient, v, masked| {
        let arguments = StepArguments {
            replicas: 2,
            parameters_per_replica: 10,
            updated,
            masked,
            decay: 1.0,
            steps: &steps,
            gradient,
            mask: &mask,
            parameters: &long,
            m: &long,
            v,
        };
        Step::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert_refused(bind(10, &short, &long, 0..3), &["adam.step", "gradient", "19", "20"]);
    assert_refused(bind(10, &long, &short, 0..3), &["adam.step: v"]);
    assert_refused(bind(10, &long, &long, 0..4), &["mask", "6", "8"]);
    assert_refused(bind(10, &long, &long, 9..11), &["9..11", "10"]);
    assert_refused(bind(11, &long, &long, 0..3), &["11 of 10 parameters"]);
}
