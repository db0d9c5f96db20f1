//! A whole training step of one replica: its state stays in a core's cache, gradients of weights never reach memory.
//! Definition: [`crate::cpu::training_step`].
//!
//! A batch may be cut into two parts of samples that do not know of each other until the weights are updated: one core takes
//! them one after the other, two cores take one each. Sums over samples run over the first part, then over the second, either
//! way, so the number of cores changes no bit.

use super::convolutions;
use super::dense::{AdamTensor, Epilogue, GRADIENT_ROWS, Product, multiply, transpose, update_bias, update_weights};
use super::network::{PaddedLayer, PaddedNetwork, PaddedReplica};
pub use super::workspace::Workspace;
use super::workspace::{Activations, PARTS, SampleHalf, first_part};
use super::{AlignedBuffer, dispatch, softmax_cross_entropy};
use crate::cpu::dense;
use crate::cpu::softmax_cross_entropy::BatchLoss;
use pulp::{Simd, WithSimd};

/// The images of a batch: which of all, and the factor of their pixels.
#[derive(Clone, Copy, Debug)]
pub struct ImageBatch<'a> {
    /// All images `[sample, pixel]`.
    pub images: &'a [u8],
    /// All labels.
    pub labels: &'a [u8],
    /// The samples of this batch.
    pub order: &'a [u32],
    /// What a pixel is multiplied by.
    pub scale: f32,
}

/// Computes the convolutions and the first `layers` dense layers for a batch. What the convolutions need to go backward is
/// kept only `for_training`.
#[inline(always)]
fn forward<S: Simd>(
    simd: S,
    network: &PaddedNetwork,
    parameters: &[f32],
    activations: &mut Activations,
    batch: ImageBatch<'_>,
    layers: usize,
    for_training: bool,
) {
    let samples = batch.order.len();
    let pixels = network.architecture.image_len();
    let stride = network.layers[0].input_stride;
    let input = &mut activations.input[..samples * stride];
    if network.convolutions.is_empty() {
        dense::gather(pixels, batch.images, batch.order, batch.scale, input);
    } else {
        for (sample, (features, &index)) in input.chunks_exact_mut(stride).zip(batch.order).enumerate() {
            let place = if for_training { sample } else { 0 };
            let image = &batch.images[index as usize * pixels..][..pixels];
            let features = &mut features[..network.layers[0].layer.inputs];
            let convolutions = &network.convolutions;
            activations.convolutions.forward(simd, convolutions, parameters, place, image, batch.scale, features);
        }
    }
    for (index, padded) in network.layers[..layers].iter().enumerate() {
        let (before, after) = activations.layers.split_at_mut(index);
        let left: &[f32] = before.last().map_or(&activations.input, |previous| previous);
        let product = Product {
            inner: padded.layer.inputs,
            columns: padded.columns,
            left,
            left_stride: padded.input_stride,
            right: &parameters[padded.weights.clone()],
            bias: Some(&parameters[padded.bias.clone()]),
            epilogue: if padded.layer.relu { Epilogue::Relu } else { Epilogue::Identity },
        };
        multiply(simd, samples, product, &mut after[0]);
    }
}

/// The first half of a step: everything that a part of the samples does without the others. Forward, loss, and the gradient
/// of the activations of each layers.
struct Gradients<'a> {
    network: &'a PaddedNetwork,
    parameters: &'a [f32],
    part: &'a mut SampleHalf,
    /// The samples of this part.
    batch: ImageBatch<'a>,
    /// The samples of all parts.
    batch_samples: usize,
}

impl WithSimd for Gradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { network, parameters, part, batch, batch_samples } = self;
        let samples = batch.order.len();
        part.samples = samples;
        let last = network.layers.len() - 1;
        forward(simd, network, parameters, &mut part.activations, batch, last + 1, true);
        let columns = network.layers[last].columns;
        for (label, &index) in part.labels.iter_mut().zip(batch.order) {
            *label = batch.labels[index as usize];
        }
        part.correct = softmax_cross_entropy::loss(
            network.architecture.classes,
            columns,
            &part.activations.layers[last][..samples * columns],
            &part.labels[..samples],
            batch_samples,
            &mut part.gradients[last],
            &mut part.losses,
        );
        for (index, padded) in network.layers.iter().enumerate().rev() {
            let PaddedLayer { layer, input_stride, columns, weights, .. } = padded;
            let (before, after) = part.gradients.split_at_mut(index);
            let target = match before.last_mut() {
                Some(previous) => previous,
                None if network.convolutions.is_empty() => break,
                None => &mut part.features_gradient,
            };
            let weights = &parameters[weights.clone()];
            transpose(layer.inputs, layer.outputs, *columns, weights, *input_stride, &mut part.transposed);
            let product = Product {
                inner: layer.outputs,
                columns: *input_stride,
                left: &after[0],
                left_stride: *columns,
                right: &part.transposed,
                bias: None,
                epilogue: Epilogue::WherePositive(part.activations.input(index)),
            };
            multiply(simd, samples, product, target);
        }
        if !network.convolutions.is_empty() {
            let first = &network.layers[0];
            let convolutions = &mut part.activations.convolutions;
            convolutions.begin_backward(&network.convolutions, parameters);
            let gradients = part.features_gradient.chunks_exact(first.input_stride);
            for (sample, gradient) in gradients.take(samples).enumerate() {
                convolutions.backward(simd, &network.convolutions, sample, &gradient[..first.layer.inputs]);
            }
        }
    }
}

/// Some rows of a dense layer that one core updates.
struct Rows<'a> {
    /// Which layer.
    layer: usize,
    /// Its first row.
    first: usize,
    weights: AdamTensor<'a>,
    /// Goes with the first rows, where the network has biases.
    bias: Option<AdamTensor<'a>>,
}

/// The second half of a step: the sums over all samples, and Adam.
struct Update<'a> {
    network: &'a PaddedNetwork,
    parts: [&'a SampleHalf; PARTS],
    scratch: &'a mut AlignedBuffer,
    rows: Vec<Rows<'a>>,
}

impl WithSimd for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for Rows { layer, first, weights, bias } in self.rows {
            let padded = &self.network.layers[layer];
            let samples = self.parts.map(|part| part.samples(layer, padded));
            // Each by itself: a loop over one part costs the innermost loop a register.
            if self.parts[1].samples == 0 {
                update_weights(simd, first, &[samples[0]], self.scratch, weights);
            } else {
                update_weights(simd, first, &samples, self.scratch, weights);
            }
            if let Some(mut bias) = bias {
                update_bias(simd, &samples, &mut bias);
            }
        }
    }
}

/// All dense layers, their rows shared out among `N` cores.
fn share_rows<'a, const N: usize>(network: &PaddedNetwork, mut rest: AdamTensor<'a>) -> [Vec<Rows<'a>>; N] {
    let mut shares = std::array::from_fn(|_| Vec::with_capacity(network.layers.len()));
    for (layer, padded) in network.layers.iter().enumerate() {
        let (mut weights, after) = rest.split_at(padded.weights.len());
        let (bias, after) = after.split_at(padded.bias.len());
        let (mut bias, mut first) = (Some(bias).filter(|_| network.architecture.bias), 0);
        let inputs = padded.layer.inputs;
        for (index, share) in shares.iter_mut().enumerate() {
            let end = if index + 1 == N {
                inputs
            } else {
                (inputs * (index + 1) / N).next_multiple_of(GRADIENT_ROWS).min(inputs)
            };
            let (own, others) = weights.split_at((end - first) * padded.columns);
            share.push(Rows { layer, first, weights: own, bias: bias.take() });
            (weights, first) = (others, end);
        }
        rest = after;
    }
    shares
}

/// One training step of one replica: forward, backward, Adam with the bias-corrected `rate`; pruned weights stay 0, decaying
/// ones are multiplied by `decay`. Two cores of the current thread pool share it if `share`; that changes no bit.
pub fn step(
    network: &PaddedNetwork,
    replica: &mut PaddedReplica,
    workspace: &mut Workspace,
    batch: ImageBatch<'_>,
    rate: f32,
    decay: f32,
    share: bool,
) -> BatchLoss<f32> {
    let has_partial_registers = network.has_partial_registers();
    let samples = batch.order.len();
    let middle = first_part(network, samples, share);
    let [first, second] = &mut workspace.parts;
    let gradients = |part, range: std::ops::Range<usize>| Gradients {
        network,
        parameters: &replica.parameters,
        part,
        batch: ImageBatch { order: &batch.order[range], ..batch },
        batch_samples: samples,
    };
    let halves = (gradients(&mut *first, 0..middle), gradients(&mut *second, middle..samples));
    if share {
        rayon::join(|| dispatch(has_partial_registers, halves.0), || dispatch(has_partial_registers, halves.1));
    } else {
        dispatch(has_partial_registers, halves.0);
        dispatch(has_partial_registers, halves.1);
    }

    if !network.convolutions.is_empty() {
        let parts = [&first.activations.convolutions, &second.activations.convolutions];
        let bias = network.architecture.bias;
        let update = convolutions::Update { convolutions: &network.convolutions, parts, replica, rate, bias };
        dispatch(has_partial_registers, update);
    }
    let parts = [&*first, &*second];
    let [first_scratch, second_scratch] = &mut workspace.scratch;
    let update = |scratch, rows| Update { network, parts, scratch, rows };
    let tensor = replica.dense_tensor(network, rate);
    if share {
        let [first, second] = share_rows::<2>(network, tensor);
        let halves = (update(first_scratch, first), update(second_scratch, second));
        rayon::join(|| dispatch(has_partial_registers, halves.0), || dispatch(has_partial_registers, halves.1));
    } else {
        let [rows] = share_rows::<1>(network, tensor);
        dispatch(has_partial_registers, update(first_scratch, rows));
    }
    dispatch(has_partial_registers, Hold { network, replica, decay });
    let total: f64 = parts.iter().flat_map(|part| &part.losses[..part.samples]).sum();
    BatchLoss { mean: (total / samples as f64) as f32, correct: parts.iter().map(|part| part.correct).sum() }
}

/// What a mask does after an update, in the widest registers: of whole networks it covers as much as the update.
struct Hold<'a> {
    network: &'a PaddedNetwork,
    replica: &'a mut PaddedReplica,
    decay: f32,
}

impl WithSimd for Hold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.replica.hold_masked(self.network, self.decay);
    }
}

/// The first layers of a forward pass; see [`activations`].
struct Forward<'a> {
    network: &'a PaddedNetwork,
    replica: &'a PaddedReplica,
    activations: &'a mut Activations,
    batch: ImageBatch<'a>,
    layers: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward(simd, self.network, &self.replica.parameters, self.activations, self.batch, self.layers, false);
    }
}

/// What layer `layers - 1` produces for a batch, with padded rows. All layers give the logits.
pub fn activations<'w>(
    network: &PaddedNetwork,
    replica: &PaddedReplica,
    workspace: &'w mut Workspace,
    batch: ImageBatch<'_>,
    layers: usize,
) -> &'w mut [f32] {
    let activations = &mut workspace.forward;
    dispatch(
        network.has_partial_registers(),
        Forward { network, replica, activations: &mut *activations, batch, layers },
    );
    &mut activations.layers[layers - 1][..batch.order.len() * network.layers[layers - 1].columns]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::training_step::{self as twin, Replica};
    use crate::cpu::{adam, he_normal};
    use crate::network::{Architecture, Convolution, ParameterLayout, Selection};
    use crate::random::{Sequence, Stream};

    const SCALE: f32 = 1.0 / 255.0;
    /// The samples of each step: one part, two parts, a single sample, a second part longer than that of the largest batch.
    const BATCHES: [&[u32]; 5] = [
        &[0, 3, 8, 1, 2],
        &[7, 7, 4, 5, 6, 0, 8, 1, 2, 3, 4, 5, 5],
        &[4],
        &[6, 0, 8],
        &[1, 2, 3, 4, 5, 6, 7, 8, 0, 2, 4, 6],
    ];

    fn initial(architecture: &Architecture) -> Replica<f32> {
        let layout = ParameterLayout::new(architecture);
        let mut parameters = vec![0.0; layout.parameters()];
        for (index, tensor) in (0..).zip(&layout.tensors) {
            match tensor.fan_in {
                Some(fan_in) => {
                    he_normal::fill(9, 1, index, he_normal::scale(fan_in) as f32, &mut parameters[tensor.range()]);
                }
                // Away from 0, so that biases and dead units count.
                None => parameters[tensor.range()].fill(0.05),
            }
        }
        Replica::new(parameters)
    }

    /// A few steps on short batches, against the twin in double precision.
    fn assert_trains_as_the_twin(architecture: &Architecture) {
        let mut draws = Sequence::new(7, Stream::Check, 0, 0);
        let pixels = architecture.image_len();
        let images: Vec<u8> = (0..9 * pixels).map(|_| draws.next_word() as u8).collect();
        let labels: Vec<u8> = (0..9).map(|sample| (sample % architecture.classes) as u8).collect();
        let network = PaddedNetwork::new(architecture, &Selection::all(architecture));
        let start = initial(architecture);
        let mut fast = PaddedReplica::new(&network, &start);
        assert_eq!(fast.replica(&network), start, "padding and back");
        let mut workspace = Workspace::new(&network, 13, 2);
        for (index, order) in BATCHES.into_iter().enumerate() {
            // Each step from the same state: Adam's first steps turn a rounding error of a gradient near 0 into a whole one.
            let before = fast.replica(&network);
            let [parameters, m, v] =
                [before.parameters, before.m, before.v].map(|list| list.into_iter().map(f64::from).collect());
            let mut expected = Replica { parameters, m, v, mask: before.mask, sums: Vec::new() };
            let rate = adam::corrected_rate(index as u64 + 1);
            let batch = ImageBatch { images: &images, labels: &labels, order, scale: SCALE };
            let loss = step(&network, &mut fast, &mut workspace, batch, rate as f32, 1.0, false);
            let mut input = vec![0.0; order.len() * pixels];
            dense::gather(pixels, &images, order, f64::from(SCALE), &mut input);
            let own: Vec<u8> = order.iter().map(|&sample| labels[sample as usize]).collect();
            let twin_loss = twin::step(architecture, &mut expected, &input, &own, rate, 1.0);
            let difference = (f64::from(loss.mean) - twin_loss.mean).abs();
            assert!(difference < 1e-5 * twin_loss.mean, "{architecture:?}, step {index}: {loss:?}, {twin_loss:?}");
            let largest = expected.m.iter().fold(0.0f64, |largest, m| largest.max(m.abs()));
            for (found, expected) in fast.replica(&network).m.iter().zip(&expected.m) {
                let difference = (f64::from(*found) - expected).abs();
                assert!(difference < 1e-5 * largest, "{architecture:?}, step {index}: {found}, {expected}");
            }
        }
        let trained = fast.replica(&network);
        let mut shared = PaddedReplica::new(&network, &start);
        for (index, order) in BATCHES.into_iter().enumerate() {
            let rate = adam::corrected_rate(index as u64 + 1) as f32;
            let batch = ImageBatch { images: &images, labels: &labels, order, scale: SCALE };
            step(&network, &mut shared, &mut workspace, batch, rate, 1.0, true);
        }
        assert!(shared.replica(&network) == trained, "{architecture:?}: two cores must not move bits");
    }

    #[test]
    fn any_number_of_filters_and_any_side_train_as_the_twin() {
        let cases =
            [(8, 8, 1), (9, 8, 3), (8, 11, 5), (20, 20, 8), (13, 9, 9), (11, 17, 13), (28, 28, 16), (12, 12, 24)];
        for (image_height, image_width, filters) in cases.into_iter().chain([(10, 8, 32), (8, 8, 40), (9, 9, 64)]) {
            let convolutions = Architecture::paper_convolutions(filters);
            let sizes = Architecture { convolutions, ..Architecture::dnn(image_height, image_width, [7; 2], 3) };
            assert_trains_as_the_twin(&sizes);
        }
    }

    #[test]
    fn any_list_of_convolutions_trains_as_the_twin() {
        let of = |list: &[(usize, bool)]| {
            let convolutions = list.iter().map(|&(filters, pool)| Convolution { filters, pool }).collect();
            Architecture { convolutions, ..Architecture::dnn(6, 5, [18; 3], 17) }
        };
        for list in [&[(3, false)][..], &[(8, true)], &[(2, false), (17, true)], &[(5, true), (4, false), (33, true)]] {
            assert_trains_as_the_twin(&of(list));
        }
    }
}
