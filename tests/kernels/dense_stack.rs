use crate::*;
use holdfast::check::dense_stack::{Case, Outputs, all, cases, gradient};
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::StepRecord;
use holdfast::kernels::dense_stack::{Gradient, GradientArguments, Shape};

fn whole(outputs: Outputs) -> [Output; 4] {
    let Outputs { activations, gradient, mean, correct } = outputs;
    [activations, gradient, mean, correct]
}

#[test]
fn matches_twin() {
    assert_passed(&all(gpu()).unwrap());
}

#[test]
fn every_variant_agrees() {
    cases().iter().for_each(|case| assert_variants_agree(|gpu| gradient(gpu, case)));
}

#[test]
fn the_workgroup_size_moves_no_bits() {
    for case in cases() {
        let outputs = [1, 8, 32, 256].map(|size| gradient(gpu(), &Case { workgroup_size: size, ..case }).unwrap());
        assert!(outputs.iter().all(|found| *found == outputs[0]), "{case:?}");
    }
}

#[test]
fn writes_all_and_only_its_output() {
    cases().iter().for_each(|case| assert_whole(&whole(gradient(gpu(), case).unwrap())));
}

#[test]
fn is_deterministic() {
    let case = Case { replicas: 3, samples: 45, capacity: 50, units: 30, classes: 10, depth: 4, workgroup_size: 8 };
    assert_deterministic(|gpu| gradient(gpu, &case));
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    // The first replica of a case draws the same numbers whatever comes after it.
    let many = Case { replicas: 4, samples: 40, capacity: 40, units: 30, classes: 10, depth: 3, workgroup_size: 8 };
    let alone = gradient(gpu(), &Case { replicas: 1, ..many }).unwrap();
    for (array, (many, alone)) in whole(gradient(gpu(), &many).unwrap()).iter().zip(&whole(alone)).enumerate() {
        assert_eq!(many.bits[..alone.bits.len()], alone.bits, "array {array}");
    }
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 4, 4, 0, 0.0)]).unwrap();
    let indices = Buffer::<u32>::new(gpu, "indices", 8).unwrap();
    let losses = Buffer::new(gpu, "losses", 2).unwrap();
    // Two replicas of 4 samples, 5 units, 3 classes and two hidden layers: 48 parameters, 40 + 40 activations.
    let [exact, short, long] = [96, 79, 5000].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let bind = |units, classes, parameters, activations| {
        let arguments = GradientArguments {
            shape: Shape { replicas: 2, capacity: 4, units, classes, depth: 2 },
            parameters_per_replica: 48,
            first: 0,
            steps: &steps,
            order: &indices,
            labels: &indices,
            parameters,
            activations,
            gradient: &long,
            losses: &losses,
        };
        Gradient::new(gpu).unwrap().bind(gpu, &arguments)
    };
    let bound = bind(5, 3, &exact, &exact).unwrap();
    assert_refused(bind(5, 3, &exact, &short), &["dense_stack.gradient", "activations", "79", "80"]);
    assert_refused(bind(5, 3, &short, &exact), &["dense_stack.gradient", "parameters", "79", "96"]);
    assert_refused(bind(33, 3, &long, &long), &["33 units", "32"]);
    assert_refused(bind(5, 33, &long, &long), &["33 classes", "32"]);
    assert_refused(bind(0, 3, &long, &long), &["units is 0"]);
    let mut recorder = Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 5), &["5 samples", "room for 4"]);
}
