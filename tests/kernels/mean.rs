use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::mean::{Accumulate, AccumulateArguments};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let [long, short] = [20, 19].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let bind = |replicas, parameters_per_replica, values, sums| {
        let arguments = AccumulateArguments { replicas, parameters_per_replica, values, sums };
        Accumulate::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(2, 10, &long, &long).is_ok());
    assert_refused(bind(2, 10, &short, &long), &["mean.accumulate: values", "19", "20"]);
    assert_refused(bind(2, 10, &long, &short), &["mean.accumulate: sums", "19", "20"]);
    assert_refused(bind(0, 10, &long, &long), &["replicas is 0"]);
    assert_refused(bind(2, 0, &long, &long), &["parameters is 0"]);
}
