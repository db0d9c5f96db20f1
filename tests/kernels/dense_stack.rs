use crate::*;
use holdfast::check::dense_stack::{Case, cases, gradient};
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::StepRecord;
use holdfast::kernels::dense_stack::{Gradient, GradientArguments, Shape};

#[test]
fn the_workgroup_size_moves_no_bits() {
    for case in cases() {
        let outputs =
            [1, 8, 32, 256].map(|workgroup_size| gradient(Setting { workgroup_size, ..usual() }, &case).unwrap());
        assert!(outputs.iter().all(|found| *found == outputs[0]), "{case:?}");
    }
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    // The first replica of a case draws the same numbers whatever comes after it.
    let many = Case { replicas: 4, samples: 40, capacity: 40, units: 30, classes: 10, depth: 3 };
    let alone = gradient(usual(), &Case { replicas: 1, ..many }).unwrap();
    for (array, (many, alone)) in gradient(usual(), &many).unwrap().iter().zip(&alone).enumerate() {
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
        Gradient::new(gpu, gpu.usual_workgroup_size()).unwrap().bind(gpu, &arguments)
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

/// Whole training steps.
mod step {
    use crate::*;
    use holdfast::check::dense_stack::step::{Case, cases, step};
    use holdfast::gpu::{Buffer, Recorder};
    use holdfast::kernels::dense::ImageShape;
    use holdfast::kernels::dense_stack::{
        LaunchStep, Launches, Reads, Residency, Sample, Step, StepArguments, StepInput, StepShape,
    };

    const BOTH: Residency = Residency { enters: true, leaves: true };

    /// Sixteen steps, the last one short.
    fn long() -> Case {
        const STEPS: [usize; 16] = [40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 7];
        Case {
            replicas: 3,
            steps: &STEPS,
            steps_a_launch: 16,
            capacity: 40,
            reads: Reads::Images,
            image: [5, 6],
            units: 30,
            classes: 10,
            depth: 3,
        }
    }

    #[test]
    fn the_workgroup_size_moves_no_bits() {
        for case in cases() {
            let run = |workgroup_size| step(Setting { workgroup_size, ..usual() }, &case).unwrap();
            let found = run(8);
            assert!([64, 256].into_iter().all(|size| run(size) == found), "{case:?}");
        }
    }

    #[test]
    fn the_number_of_steps_in_a_launch_moves_no_bits() {
        let run = |steps_a_launch| step(usual(), &Case { steps_a_launch, ..long() }).unwrap();
        let found = run(16);
        assert!([1, 5].into_iter().all(|steps| run(steps) == found));
    }

    #[test]
    fn a_replica_alone_has_the_bits_that_it_has_among_many() {
        // The first replica of a case draws the same numbers whatever comes after it.
        let alone = step(usual(), &Case { replicas: 1, ..long() }).unwrap();
        let many = step(usual(), &long()).unwrap();
        for (array, (many, alone)) in many.trained.iter().zip(&alone.trained).enumerate() {
            assert_eq!(many.bits[..alone.bits.len()], alone.bits, "array {array}");
        }
        let first: Vec<u32> = many.mean.bits.iter().copied().step_by(3).collect();
        assert_eq!(first, alone.mean.bits);
    }

    #[test]
    fn rejects_bad_shapes() {
        let gpu = gpu();
        // Images of 2 x 3 pixels, two layers of 5 units, 3 classes: 83 parameters.
        let good = StepShape {
            replicas: 2,
            capacity: 4,
            reads: Reads::Images,
            input: ImageShape { height: 2, width: 3 },
            scale: 1.0,
            units: 5,
            classes: 3,
            depth: 2,
            parameters: 83,
            first: 0,
            mask_offset: 35,
            masked: 25,
        };
        let images = Buffer::<u32>::new(gpu, "images", 10).unwrap();
        let mask = Buffer::<u32>::new(gpu, "mask", 50).unwrap();
        let losses = Buffer::new(gpu, "losses", 4).unwrap();
        let [exact, short, long] = [166, 165, 40_000].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
        let bind = |launches: &Launches, parameters, scratch| {
            let input = StepInput::Images(&images);
            let (mask, m, v, losses) = (&mask, &exact, &exact, &losses);
            let arguments = StepArguments { launches, input, mask, parameters, m, v, scratch, losses };
            Step::new(gpu, 8, Reads::Images).unwrap().bind(gpu, &arguments)
        };
        let launches = |shape: StepShape, steps| Launches::new(gpu, &shape, 1.0, steps, 2).unwrap();
        let mut made = launches(good, 3);
        let bound = bind(&made, &exact, &long).unwrap();
        assert_refused(bind(&made, &short, &long), &["dense_stack.step", "parameters", "165", "166"]);
        assert_refused(bind(&made, &exact, &exact), &["scratch", "166"]);
        assert_refused(bind(&launches(StepShape { units: 33, ..good }, 1), &long, &long), &["33 units", "32"]);
        assert_refused(bind(&launches(StepShape { classes: 33, ..good }, 1), &long, &long), &["33 classes", "32"]);
        assert_refused(bind(&launches(StepShape { depth: 1, ..good }, 1), &long, &long), &["1 hidden layers"]);
        assert_refused(bind(&launches(StepShape { units: 0, ..good }, 1), &long, &long), &["units is 0"]);
        let features = StepShape { reads: Reads::Features, ..good };
        assert_refused(bind(&launches(features, 1), &exact, &long), &["Images", "Features"]);

        let samples = |count| std::iter::repeat_n(Sample::new(0, 0), count);
        let steps = |samples, row| [LaunchStep::new(0, samples, row, 0.1)];
        assert_refused(made.push(gpu, BOTH, &steps(5, 0), samples(10)), &["1 steps with 5 samples", "1 to 4"]);
        assert_refused(made.push(gpu, BOTH, &steps(4, 0), samples(9)), &["9 samples"]);
        assert_refused(made.push(gpu, Residency { leaves: false, ..BOTH }, &[], samples(0)), &["0 steps"]);
        made.push(gpu, BOTH, &steps(4, 1), samples(8)).unwrap();
        made.push(gpu, BOTH, &steps(4, 2), samples(8)).unwrap();
        assert_refused(made.push(gpu, BOTH, &steps(4, 0), samples(8)), &["launch 2 of 2"]);
        let mut recorder = Recorder::new(gpu, "test");
        bound.record(&mut recorder, &made, 0).unwrap();
        assert_refused(bound.record(&mut recorder, &made, 1), &["2 rows", "row 2"]);
        assert_refused(bound.record(&mut recorder, &made, 2), &["launch 2 has no steps"]);
    }
}
