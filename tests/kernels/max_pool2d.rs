use crate::*;
use holdfast::check::max_pool2d::{Case, forward, pack};
use holdfast::cpu::max_pool2d::{self as twin, PoolShape};
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::StepRecord;
use holdfast::kernels::max_pool2d::{Forward, ForwardArguments, Shape};

#[test]
fn what_is_not_a_number_is_larger_than_any_number() {
    let case = Case { replicas: 1, samples: 1, capacity: 1, height: 4, width: 4, channels: 5 };
    let shape = PoolShape { samples: 1, height: 4, width: 4, channels: 5 };
    // One after the other, every place is none: alone, and beside another one.
    for place in 0..80 {
        for other in [place, (place + 5) % 80] {
            let mut input: Vec<f32> = (0..80).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            (input[place], input[other]) = (f32::NAN, -f32::NAN);
            let (mut values, mut codes) = (vec![0.0; 20], vec![0; 20]);
            twin::forward(shape, &input, &mut values, &mut codes);
            let [found, words] = forward(usual(), &case, &input).unwrap();
            for (found, expected) in found.numbers().iter().zip(&values) {
                assert!(
                    found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                    "{place} {other}"
                );
            }
            assert!(values.iter().any(|value| value.is_nan()), "{place} {other}");
            assert_eq!(words.bits, pack(Shape { replicas: 1, capacity: 1, height: 4, width: 4, channels: 5 }, &codes));
        }
    }
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
        Forward::new(64).bind(gpu, &arguments)
    };
    let bound = bind(5, 5, 3).unwrap();
    assert_refused(bind(6, 5, 3), &["max_pool2d.forward", "input", "300", "360"]);
    assert_refused(bind(1, 5, 3), &["pooled rows is 0"]);
    assert_refused(bind(5, 5, 0), &["channels is 0"]);
    let mut recorder = Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 5), &["5 samples", "room for 4"]);
}
