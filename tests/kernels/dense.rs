use crate::*;
use holdfast::check::Output;
use holdfast::check::dense::{Arrays, Case, backward_input, backward_weights, check_forward, forward};
use holdfast::gpu::{Buffer, Recorder};
use holdfast::kernels::dense::{Forward, ForwardArguments, Input, Shape};
use holdfast::kernels::{ParameterOffsets, StepRecord};

/// All five kernels on one case.
fn outputs(on: Setting<'_>, case: &Case) -> Result<[Output; 5]> {
    let arrays = Arrays::new(case);
    Ok([
        forward(on, case, &arrays, false)?,
        forward(on, case, &arrays, true)?,
        backward_input(on, case, &arrays)?,
        backward_weights(on, case, &arrays, false)?,
        backward_weights(on, case, &arrays, true)?,
    ]
    .map(|(_, output)| output))
}

#[test]
fn matches_twin_where_a_row_of_the_grid_is_full() {
    // 270,000 tiles of four units are more than one row of 32,768 workgroups of 8; on a GPU they stay in one row.
    let case = Case { replicas: 1, samples: 1, capacity: 1, inputs: 1, outputs: 1_080_000, relu: true };
    assert_passed(&[check_forward(usual(), &case, false).unwrap()]);
}

#[test]
fn a_replica_alone_has_the_bits_that_it_has_among_many() {
    // The first replica of a case draws the same numbers whatever comes after it.
    let many = Case { replicas: 5, samples: 32, capacity: 32, inputs: 36, outputs: 30, relu: true };
    let alone = Case { replicas: 1, ..many };
    let pairs = outputs(usual(), &many).unwrap().into_iter().zip(outputs(usual(), &alone).unwrap());
    for (kernel, (many, alone)) in pairs.enumerate() {
        assert_eq!(many.bits[..alone.bits.len()], alone.bits, "kernel {kernel}");
    }
}

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let steps = Buffer::from_slice(gpu, "steps", &[StepRecord::new(0, 4, 4, 0, 0.0)]).unwrap();
    let [input, parameters, output] = [24, 2 * 20, 2 * 4 * 5].map(|len| Buffer::<f32>::new(gpu, "array", len).unwrap());
    let bind = |replicas, inputs, outputs| {
        let arguments = ForwardArguments {
            shape: Shape { replicas, capacity: 4, inputs, outputs },
            place: ParameterOffsets { parameters: 20, weights: 0, bias: 15 },
            relu: true,
            steps: &steps,
            input: Input::Features(&input),
            parameters: &parameters,
            output: &output,
        };
        Forward::new(gpu.usual_workgroup_size()).bind(gpu, &arguments)
    };
    let bound = bind(2, 3, 5).unwrap();
    assert_refused(bind(2, 4, 5), &["dense.forward", "input", "24", "32"]);
    assert_refused(bind(2, 3, 6), &["dense.forward", "parameters", "41"]);
    assert_refused(bind(3, 2, 5), &["dense.forward", "parameters", "60"]);
    assert_refused(bind(2, 0, 5), &["inputs is 0"]);
    let mut recorder = Recorder::new(gpu, "test");
    assert_refused(bound.record(&mut recorder, 0, 5), &["5 samples", "room for 4"]);
}

#[test]
fn an_array_past_the_limit_is_refused() {
    let case = Case { replicas: 1, samples: 32, capacity: 32, inputs: 33, outputs: 4, relu: true };
    assert_refused(forward(Setting::usual(lowered()), &case, &Arrays::new(&case), false), &["4224 bytes", "4096"]);
}

#[test]
fn loops_that_the_driver_cuts_short_are_refused_or_right() {
    let case = Case { replicas: 1, samples: 1, capacity: 1, inputs: 70_000, outputs: 1, relu: false };
    match gpu().max_loop_iterations() {
        Some(_) => assert_refused(check_forward(usual(), &case, false), &["dense.forward", "70000", "65,535"]),
        None => assert_passed(&[check_forward(usual(), &case, false).unwrap()]),
    }
}
