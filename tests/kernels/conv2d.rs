use crate::*;
use holdfast::check::conv2d::{Arrays, Case, backward_input, cases, check_forward, forward, outputs};
use holdfast::check::max_pool2d as pooling;
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::conv2d::{Forward, ForwardArguments, Input, Shape};
use holdfast::kernels::dense::{ImageShape, Images};
use holdfast::kernels::{ParameterOffsets, StepRecord};

const CASE: Case = Case {
    replicas: 3,
    samples: 5,
    capacity: 6,
    height: 9,
    width: 13,
    inputs: 5,
    outputs: 6,
    pool: true,
    images: false,
};

#[test]
fn a_fused_pooling_equals_one_after_the_convolution() {
    for case in cases().iter().filter(|case| case.pool) {
        let arrays = Arrays::new(case);
        let (_, fused) = forward(usual(), case, &arrays).unwrap();
        let convolved = forward(usual(), &Case { pool: false, ..*case }, &arrays).unwrap().1.remove(0).numbers();
        // The stand-alone kernel finds only the samples of the step.
        let pooling = pooling::Case { capacity: case.samples, ..case.pooling() };
        let [values, words] = pooling::forward(usual(), &pooling, &convolved).unwrap();
        assert!(fused[0].bits == values.bits, "{case:?}: values");
        assert!(fused[1].bits == words.bits, "{case:?}: codes");
        if !case.images {
            let (gradient, words) = arrays.backward_inputs(case);
            let (_, fused) = backward_input(usual(), case, &arrays, gradient, &words).unwrap();
            let whole = pooling::Case { samples: case.capacity, ..case.pooling() };
            let before = pooling::backward(usual(), &whole, gradient, &words).unwrap().numbers();
            let (_, plain) = backward_input(usual(), &Case { pool: false, ..*case }, &arrays, &before, &[]).unwrap();
            assert!(fused.bits == plain.bits, "{case:?}: input gradient");
        }
    }
}

#[test]
fn images_equal_the_features_that_they_hold() {
    for case in cases().iter().filter(|case| case.images) {
        let [images, features] =
            [true, false].map(|images| forward(usual(), &Case { images, ..*case }, &Arrays::new(case)).unwrap().1);
        for (images, features) in images.iter().zip(&features) {
            assert!(images.bits == features.bits, "{case:?}");
        }
    }
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    // The first replica of a case draws the same numbers whatever comes after it.
    for (images, pool) in [(false, false), (false, true), (true, false), (true, true)] {
        let inputs = if images { 1 } else { CASE.inputs };
        let many = Case { pool, images, inputs, samples: 6, ..CASE };
        let pairs =
            outputs(usual(), &many).unwrap().into_iter().zip(outputs(usual(), &Case { replicas: 1, ..many }).unwrap());
        for (kernel, (many, alone)) in pairs.enumerate() {
            assert!(many.bits[..alone.bits.len()] == alone.bits, "pool {pool}, images {images}, output {kernel}");
        }
    }
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 4, 4, 0, 0.0)]).unwrap();
    let [input, parameters, output] =
        [4 * 30 * 2, 9 * 2 * 3 + 3, 4 * 30 * 3].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let [argmax, order, images] = [8, 4, 10].map(|len| Buffer::<u32>::new(gpu, "array", len).unwrap());
    let bind = |shape: Shape, of_images: bool, argmax: Option<&Buffer<u32>>| {
        let image = ImageShape { height: 5, width: 6 };
        let images = Images { shape: image, scale: 1.0, order: &order, images: &images };
        let arguments = ForwardArguments {
            shape,
            place: ParameterOffsets { parameters: 57, weights: 0, bias: 54 },
            steps: &steps,
            input: if of_images { Input::Images(images) } else { Input::Features(&input) },
            parameters: &parameters,
            output: &output,
            argmax,
        };
        Forward::new(64).bind(gpu, &arguments)
    };
    let shape = Shape { replicas: 1, capacity: 4, height: 5, width: 6, inputs: 2, outputs: 3 };
    let bound = bind(shape, false, Some(&argmax)).unwrap();
    assert_refused(bind(Shape { inputs: 3, ..shape }, false, None), &["conv2d.forward", "input", "240", "360"]);
    assert_refused(bind(Shape { outputs: 4, ..shape }, false, None), &["conv2d.forward", "parameters", "72"]);
    assert_refused(bind(Shape { outputs: 0, ..shape }, false, None), &["outputs is 0"]);
    assert_refused(bind(shape, true, None), &["conv2d.forward_images", "one channel", "5 x 6 with 2"]);
    let flat = Shape { height: 1, ..shape };
    assert_refused(bind(flat, false, Some(&argmax)), &["conv2d.forward_pool", "pooled rows is 0"]);
    let wide = Shape { capacity: 1, width: 20, height: 5, ..shape };
    assert_refused(bind(Shape { inputs: 1, ..wide }, false, Some(&order)), &["conv2d.forward_pool", "argmax", "6"]);
    let mut recorder = Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 5), &["5 samples", "room for 4"]);
}

#[test]
fn an_array_past_the_limit_is_refused() {
    let case = Case { replicas: 1, samples: 9, capacity: 9, height: 11, width: 11, inputs: 1, pool: false, ..CASE };
    assert_refused(forward(Setting::usual(lowered()), &case, &Arrays::new(&case)), &["bytes", "4096"]);
}

#[test]
fn loops_that_the_driver_cuts_short_are_refused_or_right() {
    let case = Case { replicas: 1, samples: 1, capacity: 1, height: 2, width: 2, inputs: 61_000, outputs: 1, ..CASE };
    match gpu().max_loop_iterations() {
        Some(_) => assert_refused(check_forward(usual(), &case), &["conv2d.forward_pool", "61000", "65,535"]),
        None => assert_passed(&check_forward(usual(), &case).unwrap()),
    }
}
