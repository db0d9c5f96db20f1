use crate::*;
use holdfast::check::max_pool2d::{Case, all, cases, outputs};
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::StepRecord;
use holdfast::kernels::max_pool2d::{Forward, ForwardArguments, Shape};

#[test]
fn matches_twin() {
    assert_passed(&all(gpu()).unwrap());
}

#[test]
fn every_variant_agrees() {
    cases().iter().for_each(|case| assert_variants_agree(|gpu| outputs(gpu, case)));
}

#[test]
fn writes_all_and_only_its_output() {
    cases().iter().for_each(|case| assert_whole(&outputs(gpu(), case).unwrap()));
}

#[test]
fn is_deterministic() {
    let case = Case { replicas: 3, samples: 5, capacity: 6, height: 9, width: 13, channels: 5 };
    assert_deterministic(|gpu| outputs(gpu, &case));
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 4, 4, 0, 0.0)]).unwrap();
    let [input, output] = [4 * 5 * 5 * 3, 4 * 2 * 2 * 3].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let argmax = Buffer::new(gpu, "array", 4 * 2).unwrap();
    let bind = |height, width, channels| {
        let shape = Shape { replicas: 1, capacity: 4, height, width, channels };
        let arguments = ForwardArguments { shape, steps: &steps, input: &input, output: &output, argmax: &argmax };
        Forward.bind(gpu, &arguments)
    };
    let bound = bind(5, 5, 3).unwrap();
    assert_refused(bind(6, 5, 3), &["max_pool2d.forward", "input", "300", "360"]);
    assert_refused(bind(1, 5, 3), &["pooled rows is 0"]);
    assert_refused(bind(5, 5, 0), &["channels is 0"]);
    let mut recorder = Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 5), &["5 samples", "room for 4"]);
}
