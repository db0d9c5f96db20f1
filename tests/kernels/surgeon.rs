mod recorded;

use crate::*;
use holdfast::cpu::conv2d::{self, ConvShape};
use holdfast::cpu::dense::{self, DenseShape};
use holdfast::engine::{ActiveRows, Engine, PathStep, Refit, Rows, SurgeonLayer, Watch, winners};
use holdfast::gpu::Buffer;
use holdfast::kernels::surgeon::{MOST, Path, PathArguments, Refit as RefitKernel, RefitArguments, Shape};
use holdfast::random::{Sequence, Stream};
use std::sync::atomic::AtomicBool;

#[test]
fn rejects_bad_shapes() {
    let gpu = gpu();
    let [long, short] = [3906, 61].map(|len| Buffer::<f32>::new(gpu, "numbers", len).unwrap());
    let removals = Buffer::new(gpu, "removals", 61).unwrap();
    let bind = |columns, moments| {
        let shape = Shape { units: 1, columns };
        let arguments = PathArguments { shape, ratios: &short, moments, removals: &removals };
        Path::new(gpu).unwrap().bind(gpu, &arguments)
    };
    assert!(bind(MOST, &long).is_ok());
    assert_refused(bind(MOST + 1, &long), &["surgeon.path", "61 columns", "60"]);
    assert_refused(bind(MOST, &short), &["moments", "61", "3660"]);
    assert_refused(bind(0, &long), &["columns is 0"]);
    let arguments = RefitArguments { shape: Shape { units: 2, columns: 31 }, moments: &long, solution: &short };
    assert_refused(RefitKernel::new(gpu).unwrap().bind(gpu, &arguments), &["surgeon.refit", "solution", "61", "62"]);
}

/// Numbers in (-1, 1).
fn numbers(len: usize, array: u32) -> Vec<f32> {
    let mut draws = Sequence::new(9, Stream::Check, array, 0);
    (0..len).map(|_| (2.0 * draws.unit() - 1.0) as f32).collect()
}

fn cpu() -> Engine {
    Engine::cpu(Some(2)).unwrap()
}

/// The CPU engine, and the shaders.
fn engines() -> [Engine; 2] {
    let shaders = Engine::gpu(&DeviceChoice::Index(adapter::index()), false, RequestedLimits::WebGpuDefaults);
    [cpu(), shaders.unwrap()]
}

fn paths(engine: &mut Engine, layer: &SurgeonLayer<'_>) -> Result<Vec<Vec<PathStep<f32>>>> {
    engine.paths(layer, None, None, &Watch::nobody())
}

fn refit(engine: &mut Engine, layer: &SurgeonLayer<'_>) -> Result<Refit> {
    let watch = Watch::nobody();
    Ok(engine.refit(layer, None, &[layer.kept], &watch)?.remove(0))
}

/// A dense layer with what it gives.
struct Dense {
    shape: DenseShape,
    inputs: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    pre_activations: Vec<f32>,
    kept: Vec<bool>,
}

impl Dense {
    fn new(rows: usize, inputs: usize, units: usize) -> Self {
        let images = numbers(rows * inputs, 0).iter().map(|x| x.max(0.0)).collect();
        Self::of(images, inputs, units)
    }

    fn of(images: Vec<f32>, inputs: usize, units: usize) -> Self {
        let shape = DenseShape { samples: images.len() / inputs, inputs, outputs: units };
        let (weights, bias) = (numbers(inputs * units, 1), numbers(units, 2));
        let mut pre_activations = vec![0.0; shape.samples * units];
        dense::forward(shape, &images, &weights, &bias, false, &mut pre_activations);
        Self { shape, inputs: images, kept: vec![true; weights.len()], weights, bias, pre_activations }
    }

    fn layer(&self) -> SurgeonLayer<'_> {
        SurgeonLayer {
            rows: Rows::Features { values: &self.inputs, inputs: self.shape.inputs },
            units: self.shape.outputs,
            pre_activations: &self.pre_activations,
            active_rows: ActiveRows::Positive,
            inactive_weight: 0.1,
            ridge: 1e-3,
            weights: &self.weights,
            bias: Some(&self.bias),
            kept: &self.kept,
            shares_gram: false,
        }
    }
}

/// Within the roundings of a solved system: columns / ridge is the most that its condition can be.
fn assert_near(found: &[f32], expected: &[f32], columns: usize) {
    let bound = f32::EPSILON * columns as f32 / 1e-3;
    let largest = expected.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= bound * largest, "{index}: {found} instead of {expected}");
    }
}

/// Whether every kept weight is on its unit's path once, and no other.
fn assert_complete(paths: &[Vec<PathStep<f32>>], layer: &SurgeonLayer<'_>) {
    for (k, path) in paths.iter().enumerate() {
        let mut columns: Vec<usize> = path.iter().map(|step| step.column as usize).collect();
        columns.sort_unstable();
        let kept: Vec<usize> = (0..layer.rows.inputs()).filter(|i| layer.kept[i * layer.units + k]).collect();
        assert_eq!(columns, kept, "unit {k}");
        assert!(path.iter().all(|step| step.score.is_finite() && step.cost >= 0.0), "unit {k}: {path:?}");
    }
}

#[test]
fn a_layer_that_keeps_all_its_weights_keeps_them_as_they_are() {
    for (inputs, mut engine) in [41, 75].into_iter().flat_map(|inputs| engines().map(|engine| (inputs, engine))) {
        let dense = Dense::new(300, inputs, 5);
        for active_rows in [ActiveRows::Positive, ActiveRows::Always] {
            let solved = refit(&mut engine, &SurgeonLayer { active_rows, ..dense.layer() }).unwrap();
            assert_near(&solved.weights, &dense.weights, inputs + 1);
            assert_near(&solved.bias, &dense.bias, inputs + 1);
        }
    }
}

#[test]
fn rows_beyond_one_launch_count_too() {
    let dense = Dense::new(17_000, 3, 2);
    for mut engine in engines() {
        assert_near(&refit(&mut engine, &dense.layer()).unwrap().weights, &dense.weights, 4);
    }
}

#[test]
fn a_small_device_takes_units_in_waves_and_says_what_it_cannot_hold() {
    let open = |limits| Engine::gpu(&DeviceChoice::Index(adapter::index()), false, limits).unwrap();
    let mut small = open(RequestedLimits::ArrayBytes(4096));
    let mut large = open(RequestedLimits::WebGpuDefaults);
    let dense = Dense::new(20, 9, 12);
    let mut both = |layer: &SurgeonLayer<'_>| {
        let [one, other] =
            [&mut small, &mut large].map(|engine| (paths(engine, layer).unwrap(), refit(engine, layer).unwrap()));
        one == other
    };
    assert!(both(&dense.layer()));
    let wide = Dense::new(300, 9, 12);
    assert_refused(paths(&mut small, &wide.layer()), &["2700 inputs", "fewer calibration images"]);
}

#[test]
fn patches_are_what_a_convolution_reads() {
    let shape = ConvShape { samples: 7, height: 5, width: 6, inputs: 3, outputs: 4 };
    let pixels = shape.samples * shape.height * shape.width;
    // Biases so large that the ReLU lets everything pass: 27 products are at most 27.
    let (input, weights, bias) = (numbers(pixels * 3, 3), numbers(9 * 3 * 4, 4), [30.0; 4]);
    let mut output = vec![0.0; pixels * 4];
    conv2d::forward(shape, &input, &weights, &bias, &mut output);
    let positions: Vec<u32> = (0..pixels as u32).step_by(2).collect();
    let rows = positions.iter().flat_map(|&position| output[position as usize * 4..][..4].to_vec());
    let layer = SurgeonLayer {
        rows: Rows::Patches { values: &input, size: [5, 6], channels: 3, positions: &positions },
        units: 4,
        pre_activations: &rows.collect::<Vec<_>>(),
        active_rows: ActiveRows::Positive,
        inactive_weight: 0.1,
        ridge: 1e-3,
        weights: &weights,
        bias: Some(&bias),
        kept: &[true; 9 * 3 * 4],
        shares_gram: false,
    };
    for mut engine in engines() {
        let solved = refit(&mut engine, &layer).unwrap();
        assert_near(&solved.weights, &weights, 28);
        assert_near(&solved.bias, &bias, 28);
        assert_complete(&paths(&mut engine, &layer).unwrap(), &layer);
    }
    let rows = Rows::Patches { values: &input, size: [5, 6], channels: 3, positions: &[pixels as u32; 105] };
    assert_refused(refit(&mut cpu(), &SurgeonLayer { rows, ..layer }), &["position 210", "5 x 6 x 3"]);
}

#[test]
fn a_pool_takes_the_first_of_equals_above_0_and_nothing_beside_its_windows() {
    let map = [1.0, 1.0, 5.0, 0.5, 0.25, 5.0, -1.0, -2.0, 5.0, -3.0, -4.0, 5.0, 9.0, 9.0, 9.0];
    let wins = winners([5, 3], 1, &map);
    assert_eq!((0..15).filter(|&place| wins[place]).collect::<Vec<_>>(), [0]);
    // Two units side by side.
    let two: Vec<f32> = [0.0, 3.0, 2.0, 3.0, 0.0, 3.0, 1.0, 4.0].to_vec();
    assert_eq!(winners([2, 2], 2, &two), [false, false, true, false, false, false, false, true]);
}

#[test]
fn weights_that_are_not_kept_are_exactly_0_and_on_no_path() {
    let mut dense = Dense::new(200, 70, 6);
    let mut draws = Sequence::new(3, Stream::Check, 0, 0);
    dense.kept.iter_mut().for_each(|kept| *kept = draws.unit() < 0.4);
    (0..70).for_each(|i| dense.kept[i * 6 + 2] = false);
    let layer = dense.layer();
    for mut engine in engines() {
        assert_complete(&paths(&mut engine, &layer).unwrap(), &layer);
        let solved = refit(&mut engine, &layer).unwrap();
        for (place, (&weight, &kept)) in solved.weights.iter().zip(&dense.kept).enumerate() {
            assert_eq!(weight.to_bits() == 0, !kept, "{place}: {weight}");
        }
        assert!(solved.bias.iter().all(|bias| bias.is_finite() && *bias != 0.0));
    }
}

#[test]
fn neither_threads_nor_a_second_run_change_a_bit() {
    let dense = Dense::new(700, 90, 7);
    let run = |threads: usize| {
        let mut engine = Engine::cpu(Some(threads)).unwrap();
        (paths(&mut engine, &dense.layer()).unwrap(), refit(&mut engine, &dense.layer()).unwrap())
    };
    let once = run(1);
    assert!(once == run(2) && once == run(3));
}

#[test]
fn units_that_share_a_gram_matrix_are_solved_as_if_each_had_it() {
    let dense = Dense::new(400, 33, 4);
    let shared = SurgeonLayer { shares_gram: true, ..dense.layer() };
    let active_rows = ActiveRows::Given(&[true; 1600]);
    let own = SurgeonLayer { active_rows, inactive_weight: 0.0, ..dense.layer() };
    let always = SurgeonLayer { active_rows: ActiveRows::Always, ..dense.layer() };
    let expected = (paths(&mut cpu(), &own).unwrap(), refit(&mut cpu(), &own).unwrap());
    for layer in [shared, always] {
        assert!(expected == (paths(&mut cpu(), &layer).unwrap(), refit(&mut cpu(), &layer).unwrap()));
    }
}

#[test]
fn images_that_tell_little_or_nothing_give_finite_weights() {
    let mut engines = engines();
    let constant = vec![0.5; 40 * 9];
    let mut dead = numbers(40 * 9, 6);
    (0..40).for_each(|row| dead[row * 9 + 3] = 0.0);
    for images in [numbers(9, 7), numbers(5 * 9, 8), constant, dead, vec![0.0; 20 * 9]] {
        let mut dense = Dense::of(images, 9, 3);
        for unit_never_fires in [false, true] {
            if unit_never_fires {
                dense.pre_activations.iter_mut().for_each(|z| *z = -z.abs());
            }
            for bias in [None, Some(&dense.bias[..])] {
                let layer = SurgeonLayer { bias, ..dense.layer() };
                for engine in &mut engines {
                    assert_complete(&paths(engine, &layer).unwrap(), &layer);
                    let solved = refit(engine, &layer).unwrap();
                    assert!(solved.weights.iter().chain(&solved.bias).all(|weight| weight.is_finite()));
                    assert_eq!(solved.bias.len(), bias.map_or(0, <[f32]>::len));
                }
            }
        }
    }
}

#[test]
fn a_layer_to_which_nothing_comes_keeps_its_weights_and_loses_the_smallest_first() {
    let dense = Dense::of(vec![0.0; 20 * 9], 9, 3);
    let layer = SurgeonLayer { bias: None, ..dense.layer() };
    for mut engine in engines() {
        assert_near(&refit(&mut engine, &layer).unwrap().weights, &dense.weights, 9);
        for (k, path) in paths(&mut engine, &layer).unwrap().iter().enumerate() {
            let sizes: Vec<f32> = path.iter().map(|step| dense.weights[step.column as usize * 3 + k].abs()).collect();
            assert!(sizes.is_sorted(), "unit {k}: {sizes:?}");
        }
    }
}

#[test]
fn what_the_surgeon_cannot_work_with_is_refused_in_a_sentence() {
    let dense = Dense::new(20, 9, 3);
    let layer = dense.layer();
    let mut engine = cpu();
    let mut refused = |layer: SurgeonLayer<'_>, parts: &[&str]| assert_refused(paths(&mut engine, &layer), parts);
    refused(SurgeonLayer { rows: Rows::Features { values: &[], inputs: 9 }, ..layer }, &["0 rows", "at least one"]);
    refused(SurgeonLayer { ridge: 0.0, ..layer }, &["ridge of 0", "above 0"]);
    refused(SurgeonLayer { ridge: f32::NAN, ..layer }, &["ridge of NaN"]);
    refused(SurgeonLayer { inactive_weight: 1.5, ..layer }, &["1.5", "from 0 to 1"]);
    refused(SurgeonLayer { weights: &dense.weights[1..], ..layer }, &["26 weights", "27 needed"]);
    refused(SurgeonLayer { bias: Some(&[0.0; 2]), ..layer }, &["2 biases", "3 needed"]);
    refused(SurgeonLayer { active_rows: ActiveRows::Given(&[true]), ..layer }, &["1 activities", "60 needed"]);
    let mut broken = dense.inputs.clone();
    broken[17] = f32::NAN;
    let rows = Rows::Features { values: &broken, inputs: 9 };
    refused(SurgeonLayer { rows, ..layer }, &["inputs", "NaN at place 17", "did not diverge"]);
    let watch = Watch::nobody();
    assert_refused(engine.paths(&layer, None, Some(&[0.5; 26]), &watch), &["26 ratios", "27 weights"]);
    assert_refused(engine.paths(&layer, None, Some(&[1.5; 27]), &watch), &["from 0 to 1"]);
    let stopped = Watch { stop: &AtomicBool::new(true), progress: &|_| {} };
    assert!(matches!(engine.refit(&layer, None, &[layer.kept], &stopped), Err(holdfast::error::Error::Interrupted)));
}
