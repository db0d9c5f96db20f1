use crate::*;
use holdfast::gpu::Buffer;
use holdfast::kernels::StepRecord;
use holdfast::kernels::gram::{Accumulate, AccumulateArguments, MOST_ROWS, Ridge, RidgeArguments, Shape};

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let shape = Shape { replicas: 1, rows: 5, units: 2, inputs: 9, columns: 10, patches: None };
    let [long, short] = [220, 44].map(|len| Buffer::<f32>::new(gpu, "numbers", len).unwrap());
    let lists = Buffer::<u32>::new(gpu, "lists", 20).unwrap();
    let step = Buffer::from_slice(gpu, "step", &[StepRecord::new(0, 0, 5, 0, 0.0)]).unwrap();
    let bind = |shape: Shape, values: &Buffer<f32>, moments: &Buffer<f32>| {
        let arguments = AccumulateArguments {
            shape,
            step: &step,
            values,
            positions: &lists,
            columns: &lists,
            row_weights: &short,
            targets: &short,
            moments,
        };
        Accumulate::new(gpu).unwrap().bind(gpu, &arguments)
    };
    let bound = bind(shape, &long, &long).unwrap();
    assert_refused(bind(shape, &short, &long), &["gram.accumulate", "values", "44", "45"]);
    assert_refused(bind(shape, &long, &short), &["moments", "44", "220"]);
    assert_refused(bind(Shape { rows: 0, ..shape }, &long, &long), &["rows is 0"]);
    assert_refused(bind(Shape { patches: Some([1, 0, 1, 1]), ..shape }, &long, &long), &["height is 0"]);
    let mut recorder = holdfast::gpu::Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 6), &["6 samples", "room for 5"]);
    assert_refused(bound.record(&mut recorder, 0, MOST_ROWS + 1), &["room for 5"]);
    let arguments = RidgeArguments {
        units: 2,
        columns: 10,
        strength: 1.0,
        is_path: true,
        column_list: &lists,
        weights: &short,
        moments: &short,
    };
    assert_refused(Ridge::new(gpu).unwrap().bind(gpu, &arguments), &["gram.ridge", "moments", "44", "220"]);
}
