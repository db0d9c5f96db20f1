use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::stability::{Count, CountArguments, Envelope, EnvelopeArguments, Shape};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let shape = Shape { epochs: 3, replicas: 2, weight_count: 5 };
    let [history, short] = [30, 29].map(|len| Buffer::<f32>::new(gpu, "history", len).unwrap());
    let [columns, few] = [10, 9].map(|len| Buffer::<[u32; 4]>::new(gpu, "columns", len).unwrap());
    let bind = |history, upper, stable_weights| {
        let arguments = CountArguments { shape, history, lower: &columns, upper, stability: &columns, stable_weights };
        Count::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(&history, &columns, &columns).is_ok());
    assert_refused(bind(&short, &columns, &columns), &["stability.count", "history", "29", "30"]);
    assert_refused(bind(&history, &few, &columns), &["upper", "9", "10"]);
    let results = Buffer::<f32>::new(gpu, "results", 20).unwrap();
    let bind = |windows: &[u32]| {
        let arguments = EnvelopeArguments {
            shape,
            windows: &Buffer::from_slice(gpu, "windows", windows).unwrap(),
            history: &history,
            minimum: &results,
            maximum: &results,
            smallest_magnitude: &results,
        };
        Envelope::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments).map(|_| ())
    };
    assert_refused(bind(&[]), &["stability.envelope", "windows is 0"]);
    assert_refused(bind(&[1, 2, 3]), &["minimum", "20", "30"]);
}
