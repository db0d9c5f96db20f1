//! The CPU engine's fast variants against the same twins.

use super::comparator::{EPSILON, Expected, Report, compare, compare_exact, sums_of_products};
use super::{
    Draws, Output, bits, exact, focus_sweep, gram, magnitude_sort, magnitudes, stability, surgeon as surgery, widen,
};
use super::{FACTOR, SCALE};
use crate::cpu::conv2d::ConvShape;
use crate::cpu::dense::DenseShape;
use crate::cpu::fast::focus_sweep::{BLOCK, SweepInput};
use crate::cpu::fast::network::{PaddedNetwork, PaddedReplica};
use crate::cpu::fast::sparse::{self, SparseNetwork};
use crate::cpu::fast::training_step::{self as fast_step, ImageBatch, Workspace};
use crate::cpu::fast::{self, AlignedBuffer, padded};
use crate::cpu::focus_sweep::SweepShape;
use crate::cpu::max_pool2d::{self, PoolShape};
use crate::cpu::stability::from_sortable_key;
use crate::cpu::training_step::{self as twin, Replica};
use crate::cpu::{adam, conv2d, dense, mask};
use crate::network::{Architecture, Convolution, ParameterLayout, Selection};

/// Number of the step that is checked, and what decaying weights are multiplied by.
const STEP: u64 = 7;
const DECAY: f32 = 0.875;

/// A network and a batch.
struct Case {
    name: &'static str,
    architecture: Architecture,
    samples: usize,
}

/// Sizes that fill registers, sizes that leave a rest in every direction, and the paper's networks.
fn cases() -> Vec<Case> {
    let dense = |image_height, image_width, width, depth, classes| {
        Architecture::dnn(image_height, image_width, vec![width; depth], classes)
    };
    let odd = [3, 17, 8].map(|filters| Convolution { filters, pool: filters != 17 }).to_vec();
    let cnn = |side, filters| Architecture {
        convolutions: Architecture::paper_convolutions(filters),
        ..dense(side, side, 30, 6, 10)
    };
    let in_colour = |architecture: Architecture| Architecture { channels: 3, ..architecture };
    // Three filters fill one register in part, 33 fill pairs of them and leave a rest.
    let few_filters = Architecture {
        convolutions: [3, 20].map(|filters| Convolution { filters, pool: true }).to_vec(),
        ..dense(9, 10, 7, 2, 4)
    };
    let many_filters =
        Architecture { convolutions: vec![Convolution { filters: 33, pool: false }], ..dense(5, 7, 7, 2, 4) };
    vec![
        Case { name: "dnn_1x1_w1_d2_b1", architecture: dense(1, 1, 1, 2, 2), samples: 1 },
        Case { name: "dnn_7x5_w13_d3_b5", architecture: dense(7, 5, 13, 3, 3), samples: 5 },
        Case { name: "dnn_9x6_h33_17_40_b7", architecture: Architecture::dnn(9, 6, [33, 17, 40], 5), samples: 7 },
        Case { name: "dnn_28x28_w30_d6_b32", architecture: dense(28, 28, 30, 6, 10), samples: 32 },
        Case {
            name: "cnn_11x9_w7_d2_b5",
            architecture: Architecture { convolutions: odd, ..dense(11, 9, 7, 2, 4) },
            samples: 5,
        },
        Case { name: "cnn_28x28_f8_b32", architecture: cnn(28, 8), samples: 32 },
        Case { name: "dnn_6x5x3_w13_d2_b5", architecture: in_colour(dense(6, 5, 13, 2, 3)), samples: 5 },
        Case { name: "cnn_9x10x3_f3_b5", architecture: in_colour(few_filters), samples: 5 },
        Case { name: "cnn_5x7x3_f33_b3", architecture: in_colour(many_filters), samples: 3 },
        Case { name: "cnn_28x28x3_f8_b32", architecture: in_colour(cnn(28, 8)), samples: 32 },
    ]
}

/// Seeded images, labels and a replica in the middle of its training: moments, and weights of every state.
struct Arrays {
    images: Vec<u8>,
    labels: Vec<u8>,
    order: Vec<u32>,
    replica: Replica<f32>,
}

impl Arrays {
    fn new(case: &Case) -> Self {
        let architecture = &case.architecture;
        let layout = ParameterLayout::new(architecture);
        let mut draws = Draws::new((architecture.image_len() * 100 + case.samples) as u32);
        let all = case.samples + 3;
        let images = draws.below(all * architecture.image_len(), 256).into_iter().map(|pixel| pixel as u8).collect();
        let labels = draws.below(all, architecture.classes as u32).into_iter().map(|label| label as u8).collect();
        let order = draws.below(case.samples, all as u32);
        let mut parameters = draws.numbers(layout.parameters());
        for tensor in &layout.tensors {
            // Weights of about the size that training starts from: activations neither vanish nor explode.
            let size = tensor.fan_in.map_or(0.1, |inputs| (6.0 / inputs as f32).sqrt());
            parameters[tensor.range()].iter_mut().for_each(|value| *value *= size);
        }
        let scaled = |numbers: Vec<f32>, size: f32| numbers.into_iter().map(|value| value * size).collect::<Vec<_>>();
        let m = scaled(draws.numbers(layout.parameters()), 1e-2);
        let v = scaled(draws.numbers(layout.parameters()), 1e-3).into_iter().map(f32::abs).collect();
        let mut mask = vec![mask::KEPT; parameters.len()];
        let selection = Selection::all(architecture);
        selection.scatter(&draws.below(selection.weights(), 3), &mut mask);
        Self { images, labels, order, replica: Replica { parameters, m, v, mask, sums: Vec::new() } }
    }

    fn batch(&self) -> ImageBatch<'_> {
        ImageBatch { images: &self.images, labels: &self.labels, order: &self.order, scale: SCALE }
    }

    /// Images of the batch `[sample, y, x, channel]` in double precision.
    fn input(&self, pixels: usize) -> Vec<f64> {
        let image = |&n: &u32| &self.images[n as usize * pixels..][..pixels];
        self.order.iter().flat_map(image).map(|&pixel| f64::from(pixel) * f64::from(SCALE)).collect()
    }

    fn batch_labels(&self) -> Vec<u8> {
        self.order.iter().map(|&n| self.labels[n as usize]).collect()
    }
}

fn found(numbers: &[f32]) -> Output {
    Output { bits: bits(numbers), guard: Vec::new() }
}

/// Convolutions and poolings in double precision; with magnitudes the sums of magnitudes that bound their errors.
fn features(architecture: &Architecture, parameters: &[f64], input: &[f64], samples: usize) -> Vec<f64> {
    let layout = ParameterLayout::new(architecture);
    let mut values = input.to_vec();
    for (index, layer) in architecture.conv_layers().iter().enumerate() {
        let shape = ConvShape {
            samples,
            height: layer.height,
            width: layer.width,
            inputs: layer.inputs,
            outputs: layer.outputs,
        };
        let mut output = vec![0.0; samples * layer.height * layer.width * layer.outputs];
        let (weights, bias) = (layout.conv_weight(index).range(), layout.conv_bias(index).range());
        conv2d::forward(shape, &values, &parameters[weights], &parameters[bias], &mut output);
        values = output;
        if layer.pool {
            let shape = PoolShape { samples, height: layer.height, width: layer.width, channels: layer.outputs };
            let (mut pooled, mut argmax) = (vec![0.0; samples * layer.output_len()], Vec::new());
            argmax.resize(pooled.len(), 0);
            max_pool2d::forward(shape, &values, &mut pooled, &mut argmax);
            values = pooled;
        }
    }
    values
}

/// Each dense layer against the twin of that layer alone, on what the fast variant gave it. The first layer of a CNN answers
/// for its convolutions too: the errors of so many sums add up.
fn forward(case: &Case, arrays: &Arrays, network: &PaddedNetwork) -> Vec<Report> {
    let Case { name, architecture, samples } = case;
    let layout = ParameterLayout::new(architecture);
    let parameters = widen(&arrays.replica.parameters);
    let absolute = magnitudes(&arrays.replica.parameters);
    let mut workspace = Workspace::new(network, *samples, *samples);
    let padded_replica = PaddedReplica::new(network, &arrays.replica);
    let pixels = arrays.input(architecture.image_len());
    // Pixels are positive: they are their own magnitudes.
    let mut input = features(architecture, &parameters, &pixels, *samples);
    let mut input_magnitudes = features(architecture, &absolute, &pixels, *samples);
    let mut factor = FACTOR * (1 + architecture.convolutions.len()) as f64;
    let mut reports = Vec::new();
    for (index, layer) in architecture.dense_layers().iter().enumerate() {
        let rows = fast_step::activations(network, &padded_replica, &mut workspace, arrays.batch(), index + 1);
        let values: Vec<f32> =
            rows.chunks_exact(padded(layer.outputs)).flat_map(|row| &row[..layer.outputs]).copied().collect();
        let shape = DenseShape { samples: *samples, inputs: layer.inputs, outputs: layer.outputs };
        let (weights, bias) = (layout.dense_weight(index).range(), layout.dense_bias(index).range());
        let (mut expected, mut sums) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        dense::forward(
            shape,
            &input,
            &parameters[weights.clone()],
            &parameters[bias.clone()],
            layer.relu,
            &mut expected,
        );
        dense::forward(shape, &input_magnitudes, &absolute[weights], &absolute[bias], false, &mut sums);
        let expected = sums_of_products(&expected, &sums, factor);
        reports.push(compare("dense.forward", format!("{name} layer {index}"), &found(&values), &expected));
        (input, input_magnitudes, factor) = (widen(&values), magnitudes(&values), FACTOR);
    }
    reports
}

/// One whole step against the twin: loss, moments and parameters.
///
/// A gradient has passed `layers` sums forward and as many backward; its error is bounded in relation to the largest of its
/// tensor, 16 roundings a sum. Parameters are compared with Adam's formula on the moments that were found: there the error
/// of a gradient near 0 would be divided by its own root.
///
/// With `share` two threads share the step, as the engine has them where replicas are few.
fn step(case: &Case, arrays: &Arrays, network: &PaddedNetwork, share: bool) -> Vec<Report> {
    let Case { name, architecture, samples } = case;
    let layout = ParameterLayout::new(architecture);
    let rate = adam::corrected_rate(STEP) as f32;
    let mut padded_replica = PaddedReplica::new(network, &arrays.replica);
    let mut workspace = Workspace::new(network, *samples, *samples);
    let loss = fast_step::step(network, &mut padded_replica, &mut workspace, arrays.batch(), rate, DECAY, share);
    let after = padded_replica.replica(network);

    let before = &arrays.replica;
    let parameters = widen(&before.parameters);
    let (input, labels) = (arrays.input(architecture.image_len()), arrays.batch_labels());
    let (expected_loss, gradient) = twin::gradient(architecture, &parameters, &input, &labels);
    let masked = adam::Masked { offset: 0, mask: &before.mask, decay: f64::from(DECAY) };
    let (mut p, mut m, mut v) = (parameters.clone(), widen(&before.m), widen(&before.v));
    adam::step(f64::from(rate), &gradient, Some(masked), &mut p, &mut m, &mut v);

    let layers = (architecture.conv_layers().len() + architecture.dense_layers().len()) as f64;
    let relative = 16.0 * layers * EPSILON;
    let (mut expected_m, mut expected_v) = (Vec::new(), Vec::new());
    for tensor in &layout.tensors {
        let largest = gradient[tensor.range()].iter().fold(0.0f64, |largest, g| largest.max(g.abs()));
        for i in tensor.range() {
            let (old_m, old_v) = (f64::from(before.m[i].abs()), f64::from(before.v[i]));
            let error = relative * largest;
            let tolerance = (1.0 - adam::BETA1) * error + 4.0 * EPSILON * (old_m + largest);
            expected_m.push(Expected { value: m[i], tolerance });
            let square = (1.0 - adam::BETA2) * (2.0 * largest * error + error * error);
            expected_v.push(Expected { value: v[i], tolerance: square + 4.0 * EPSILON * (old_v + v[i]) });
        }
    }
    let (found_m, found_v) = (widen(&after.m), widen(&after.v));
    let mut moved = parameters;
    let mut expected_p = Vec::new();
    for i in 0..moved.len() {
        let update = f64::from(rate) * found_m[i] / (found_v[i].sqrt() + adam::EPSILON);
        moved[i] -= update;
        expected_p.push(Expected { value: 0.0, tolerance: EPSILON * (2.0 * moved[i].abs() + 16.0 * update.abs()) });
    }
    let all = moved.len();
    mask::hold(&before.mask, &mut moved, &mut vec![0.0; all], &mut vec![0.0; all]);
    mask::decay(&before.mask, f64::from(DECAY), &mut moved);
    expected_p.iter_mut().zip(moved).for_each(|(expected, value)| expected.value = value);

    let loss_tolerance = relative * expected_loss.mean + 2f64.powi(-20);
    let shared = if share { " shared" } else { "" };
    let report = |array: &str, numbers: &[f32], expected: &[Expected]| {
        compare("training_step", format!("{name}{shared} {array}"), &found(numbers), expected)
    };
    let correct = Output { bits: vec![loss.correct], guard: Vec::new() };
    vec![
        report("loss", &[loss.mean], &[Expected { value: expected_loss.mean, tolerance: loss_tolerance }]),
        compare_exact("training_step", format!("{name}{shared} correct"), &correct, &[expected_loss.correct]),
        report("m", &after.m, &expected_m),
        report("v", &after.v, &expected_v),
        report("parameters", &after.parameters, &expected_p),
    ]
}

/// Forward passes and training steps of all networks.
pub fn training() -> Vec<Report> {
    let check = |case: &Case| {
        let selection = Selection::all(&case.architecture);
        let (arrays, network) = (Arrays::new(case), PaddedNetwork::new(&case.architecture, &selection));
        [forward(case, &arrays, &network), step(case, &arrays, &network, false), step(case, &arrays, &network, true)]
            .concat()
    };
    cases().iter().flat_map(check).collect()
}

/// Rows of `columns` numbers, padded with zeros.
fn pad(columns: usize, rows: &[f32]) -> AlignedBuffer {
    let mut lines = AlignedBuffer::zeros(rows.len() / columns * padded(columns));
    for (line, row) in lines.chunks_exact_mut(padded(columns)).zip(rows.chunks_exact(columns)) {
        line[..columns].copy_from_slice(row);
    }
    lines
}

/// Pruned focus layers, on the cases of the kernel.
pub fn sweep() -> Vec<Report> {
    let mut reports = Vec::new();
    for case in &focus_sweep::cases() {
        let focus_sweep::Case { replicas, samples, inputs, units, classes, .. } = *case;
        let (arrays, place) = (focus_sweep::Arrays::new(case), case.place());
        let labels: Vec<u8> = arrays.labels.iter().map(|&label| label as u8).collect();
        let (mut sums, mut corrects) = (Vec::new(), Vec::new());
        for (point, mask) in arrays.masks.iter().enumerate() {
            let r = point % replicas;
            let own = &arrays.parameters[r * place.parameters..(r + 1) * place.parameters];
            let (sum, correct) = fast::focus_sweep::evaluate(
                SweepShape { samples, inputs, units, classes },
                &SweepInput::new(inputs, &pad(inputs, &arrays.input[r * samples * inputs..(r + 1) * samples * inputs])),
                &pad(units, &own[place.focus_weights..place.focus_bias]),
                mask,
                &pad(units, &own[place.focus_bias..place.output_weights]),
                &pad(classes, &own[place.output_weights..place.output_bias]),
                &pad(classes, &own[place.output_bias..]),
                &labels,
            );
            sums.push(sum as f32);
            corrects.push(correct);
        }
        let outputs = [found(&sums), Output { bits: corrects, guard: Vec::new() }];
        reports.extend(focus_sweep::reports("focus_sweep.evaluate", case, &outputs, samples));
    }
    reports
}

/// Whole pruned networks: the logits of a batch, through layers that are lists of the weights left. The errors of as many sums as
/// there are layers add up.
pub fn networks() -> Vec<Report> {
    let check = |case: &Case| {
        let (arrays, architecture) = (Arrays::new(case), &case.architecture);
        let trained = &arrays.replica.parameters;
        let kept: Vec<bool> = arrays.replica.mask.iter().map(|&state| state == mask::KEPT).collect();
        let mut pruned = vec![0.0; trained.len()];
        mask::apply(&mask::pack(&kept), trained, &mut pruned);
        let layers = architecture.conv_layers().len() + architecture.dense_layers().len();
        let network = SparseNetwork::new(architecture, &pruned, 0..layers);
        let mut lanes = vec![[0.0; BLOCK]; sparse::input_lanes(architecture, 0)];
        sparse::pixels(architecture, arrays.batch(), &mut lanes);
        let mut scratch = network.scratch();
        let logits = network.run(&lanes, &mut scratch);
        let logits: Vec<f32> = (0..case.samples).flat_map(|n| logits.iter().map(move |class| class[n])).collect();
        let input = arrays.input(architecture.image_len());
        let forward = |parameters: &[f64]| twin::forward(architecture, parameters, &input).pop().unwrap_or_default();
        // Pixels are positive: they are their own magnitudes.
        let sums = forward(&magnitudes(&pruned));
        let expected = sums_of_products(&forward(&widen(&pruned)), &sums, FACTOR * layers as f64);
        compare("sparse.forward", case.name.into(), &found(&logits), &expected)
    };
    cases().iter().map(check).collect()
}

/// Ranks, on the cases of the kernels.
pub fn ranks() -> Vec<Report> {
    let mut scratch = Vec::new();
    let mut check = |case: &magnitude_sort::Case| {
        let weights = magnitude_sort::weights(case);
        let mut ranks = vec![0; weights.len()];
        for (weights, rank) in weights.chunks_exact(case.weight_count).zip(ranks.chunks_exact_mut(case.weight_count)) {
            fast::stability::rank(weights, &mut scratch, rank);
        }
        let output = Output { bits: ranks, guard: Vec::new() };
        compare_exact("magnitude_sort.rank", magnitude_sort::name(case), &output, &magnitude_sort::expected(case))
    };
    magnitude_sort::cases().iter().map(&mut check).collect()
}

/// Counts and envelopes of each replica, on the cases of the kernels.
pub fn histories() -> Vec<Report> {
    let mut reports = Vec::new();
    for case in &stability::cases() {
        let (shape, history, windows) = (case.host(), case.history(), case.windows());
        let [lower, upper] = case.bounds(&history);
        let (columns, tolerances) = (shape.columns(), lower.len() / shape.columns());
        let [low, high] =
            [&lower, &upper].map(|keys| keys.iter().map(|&key| from_sortable_key(key)).collect::<Vec<_>>());
        let (mut stability, mut stable_weights) =
            (vec![0; lower.len()], vec![0; tolerances * case.epochs * case.replicas]);
        let mut extremes = [(); 3].map(|()| vec![0.0; windows.len() * columns]);
        let mut expected_counts = (stability.clone(), stable_weights.clone());
        crate::cpu::stability::count(shape, &history, &lower, &upper, &mut expected_counts.0, &mut expected_counts.1);
        let mut expected = extremes.clone();
        let [minimum, maximum, smallest] = &mut expected;
        crate::cpu::stability::envelope(shape, &history, &windows, minimum, maximum, smallest);
        for replica in 0..case.replicas {
            let piece = replica * case.weight_count..(replica + 1) * case.weight_count;
            let counted = fast::stability::count(&history, columns, piece.clone(), &low, &high);
            for (tolerance, counts) in counted.stability.chunks_exact(case.weight_count).enumerate() {
                stability[tolerance * columns..][piece.clone()].copy_from_slice(counts);
            }
            for (row, &stable) in counted.stable_weights.iter().enumerate() {
                stable_weights[row * case.replicas + replica] = stable;
            }
            let envelope = fast::stability::envelope(&history, columns, piece.clone(), &windows);
            let found = [envelope.minimum, envelope.maximum, envelope.smallest_magnitude];
            for (extremes, found) in extremes.iter_mut().zip(found) {
                for (window, found) in found.chunks_exact(case.weight_count).enumerate() {
                    extremes[window * columns..][piece.clone()].copy_from_slice(found);
                }
            }
        }
        let whole = |bits| Output { bits, guard: Vec::new() };
        let counts = [
            ("stability", whole(stability), expected_counts.0),
            ("stable weights", whole(stable_weights), expected_counts.1),
        ];
        reports.extend(exact("stability.count", &case.name(), counts));
        let [minimum, maximum, smallest] = &extremes;
        let arrays = [
            ("minimum", found(minimum), bits(&expected[0])),
            ("maximum", found(maximum), bits(&expected[1])),
            ("smallest magnitude", found(smallest), bits(&expected[2])),
        ];
        reports.extend(exact("stability.envelope", &case.name(), arrays));
    }
    reports
}

/// Moments, paths and refits, on the cases of the kernels.
pub fn surgeon() -> Vec<Report> {
    let moments = gram::cases().iter().map(gram::check_fast).collect::<Vec<_>>();
    moments.into_iter().chain(surgery::cases().iter().flat_map(surgery::check_fast)).collect()
}
