//! A whole training step of one replica on one core: its state stays in that core's cache, gradients of weights never
//! reach memory. Definition: [`crate::cpu::training_step`].

use super::convolutions::ConvWorkspace;
use super::dense::{Epilogue, multiply, transpose, update_bias, update_weights};
use super::network::{PaddedLayer, PaddedNetwork, PaddedReplica};
use super::{Lines, dispatch, softmax_cross_entropy};
use crate::cpu::dense;
use crate::cpu::softmax_cross_entropy::BatchLoss;
use pulp::{Simd, WithSimd};

/// Arrays that a step writes and the next step overwrites; one for each core.
#[derive(Clone, Debug)]
pub struct Workspace {
    convolutions: ConvWorkspace,
    /// What the first dense layer reads: pixels or features.
    input: Lines,
    activations: Vec<Lines>,
    gradient: Lines,
    previous_gradient: Lines,
    transposed: Lines,
}

impl Workspace {
    /// Room for training batches of up to `batch` images, and for forward passes of up to `samples`.
    pub fn new(network: &PaddedNetwork, batch: usize, samples: usize) -> Self {
        let samples = samples.max(batch);
        let layers = &network.layers;
        // The gradient of pixels is never computed.
        let read = if network.convolutions.is_empty() { &layers[1..] } else { &layers[..] };
        let widest = layers.iter().map(|layer| layer.columns);
        let widest = widest.chain(read.iter().map(|layer| layer.input_stride)).max().unwrap_or(0);
        let transposed = read.iter().map(|layer| layer.layer.outputs * layer.input_stride).max().unwrap_or(0);
        Self {
            convolutions: ConvWorkspace::new(&network.convolutions, batch),
            input: Lines::zeros(samples * layers[0].input_stride),
            activations: layers.iter().map(|layer| Lines::zeros(samples * layer.columns)).collect(),
            gradient: Lines::zeros(batch * widest),
            previous_gradient: Lines::zeros(batch * widest),
            transposed: Lines::zeros(transposed),
        }
    }
}

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

impl<'a> ImageBatch<'a> {
    /// The pixels of one of its images.
    #[inline(always)]
    fn image(&self, sample: usize, pixels: usize) -> &'a [u8] {
        &self.images[self.order[sample] as usize * pixels..][..pixels]
    }
}

/// Computes the convolutions and the first `layers` dense layers for a batch; the result is in the workspace. What the
/// convolutions need to go backward is kept only `for_training`.
#[inline(always)]
fn forward<S: Simd>(
    simd: S,
    network: &PaddedNetwork,
    parameters: &[f32],
    workspace: &mut Workspace,
    batch: ImageBatch<'_>,
    layers: usize,
    for_training: bool,
) {
    let samples = batch.order.len();
    let pixels = network.architecture.pixels();
    let stride = network.layers[0].input_stride;
    let input = &mut workspace.input[..samples * stride];
    if network.convolutions.is_empty() {
        dense::gather(pixels, batch.images, batch.order, batch.scale, input);
    } else {
        for (sample, features) in input.chunks_exact_mut(stride).enumerate() {
            let place = if for_training { sample } else { 0 };
            let image = batch.image(sample, pixels);
            let features = &mut features[..network.layers[0].layer.inputs];
            let convolutions = &network.convolutions;
            workspace.convolutions.forward(simd, convolutions, parameters, place, image, batch.scale, features);
        }
    }
    for (index, padded) in network.layers[..layers].iter().enumerate() {
        let (before, after) = workspace.activations.split_at_mut(index);
        let left: &[f32] = before.last().map_or(&workspace.input, |previous| previous);
        multiply(
            simd,
            samples,
            padded.layer.inputs,
            padded.columns,
            left,
            padded.input_stride,
            &parameters[padded.weights.clone()],
            Some(&parameters[padded.bias.clone()]),
            if padded.layer.relu { Epilogue::Relu } else { Epilogue::Identity },
            &mut after[0],
        );
    }
}

/// One training step; see [`step`].
struct Step<'a> {
    network: &'a PaddedNetwork,
    replica: &'a mut PaddedReplica,
    workspace: &'a mut Workspace,
    batch: ImageBatch<'a>,
    labels: &'a [u8],
    rate: f32,
    decay: f32,
}

impl WithSimd for Step<'_> {
    type Output = BatchLoss<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> BatchLoss<f32> {
        let Self { network, replica, workspace, batch, labels, rate, decay } = self;
        let samples = labels.len();
        let last = network.layers.len() - 1;
        forward(simd, network, &replica.parameters, workspace, batch, last + 1, true);
        let logits = &workspace.activations[last][..samples * network.layers[last].columns];
        let loss = softmax_cross_entropy::loss(
            network.architecture.classes,
            network.layers[last].columns,
            logits,
            labels,
            &mut workspace.gradient,
        );
        for (index, padded) in network.layers.iter().enumerate().rev() {
            let PaddedLayer { layer, input_stride, columns, weights, bias } = padded;
            let stride = *input_stride;
            let gradient = &workspace.gradient[..samples * columns];
            let input: &[f32] = if index == 0 { &workspace.input } else { &workspace.activations[index - 1] };
            if index > 0 || !network.convolutions.is_empty() {
                // Before the update: the gradient belongs to the weights of the forward pass.
                let outer = &replica.parameters[weights.clone()];
                transpose(layer.inputs, layer.outputs, *columns, outer, stride, &mut workspace.transposed);
                multiply(
                    simd,
                    samples,
                    layer.outputs,
                    stride,
                    gradient,
                    *columns,
                    &workspace.transposed,
                    None,
                    Epilogue::WherePositive(input),
                    &mut workspace.previous_gradient,
                );
            }
            let input = &input[..samples * stride];
            update_weights(simd, layer.inputs, *columns, input, stride, gradient, &mut replica.tensor(weights, rate));
            update_bias(simd, *columns, gradient, &mut replica.tensor(bias, rate));
            std::mem::swap(&mut workspace.gradient, &mut workspace.previous_gradient);
        }
        if !network.convolutions.is_empty() {
            let first = &network.layers[0];
            workspace.convolutions.begin_backward(&network.convolutions, &replica.parameters);
            let gradients = workspace.gradient.chunks_exact(first.input_stride);
            for (sample, gradient) in gradients.take(samples).enumerate() {
                let gradient = &gradient[..first.layer.inputs];
                workspace.convolutions.backward(simd, &network.convolutions, sample, gradient);
            }
            workspace.convolutions.update(simd, &network.convolutions, replica, rate);
        }
        replica.hold_masked(network, decay);
        loss
    }
}

/// One training step of one replica: forward, backward, Adam with the bias-corrected `rate`; pruned nodes stay 0, decaying
/// ones are multiplied by `decay`.
pub fn step(
    network: &PaddedNetwork,
    replica: &mut PaddedReplica,
    workspace: &mut Workspace,
    batch: ImageBatch<'_>,
    rate: f32,
    decay: f32,
) -> BatchLoss<f32> {
    let labels: Vec<u8> = batch.order.iter().map(|&index| batch.labels[index as usize]).collect();
    dispatch(network.narrow(), Step { network, replica, workspace, batch, labels: &labels, rate, decay })
}

/// The first layers of a forward pass; see [`activations`].
struct Forward<'a> {
    network: &'a PaddedNetwork,
    replica: &'a PaddedReplica,
    workspace: &'a mut Workspace,
    batch: ImageBatch<'a>,
    layers: usize,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        forward(simd, self.network, &self.replica.parameters, self.workspace, self.batch, self.layers, false);
    }
}

/// What layer `layers - 1` gives out for a batch, with padded rows. All layers give the logits.
pub fn activations<'w>(
    network: &PaddedNetwork,
    replica: &PaddedReplica,
    workspace: &'w mut Workspace,
    batch: ImageBatch<'_>,
    layers: usize,
) -> &'w mut [f32] {
    dispatch(network.narrow(), Forward { network, replica, workspace, batch, layers });
    &mut workspace.activations[layers - 1][..batch.order.len() * network.layers[layers - 1].columns]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::training_step::{self as twin, Replica};
    use crate::cpu::{adam, he_normal};
    use crate::network::{Architecture, Convolution, ParameterLayout};
    use crate::random::{Sequence, Stream};

    const SCALE: f32 = 1.0 / 255.0;

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
        Replica::new(architecture, parameters)
    }

    /// Three steps on short batches, against the twin in double precision.
    fn assert_trains_as_the_twin(architecture: &Architecture) {
        let mut draws = Sequence::new(7, Stream::Check, 0, 0);
        let pixels = architecture.pixels();
        let images: Vec<u8> = (0..9 * pixels).map(|_| draws.next_word() as u8).collect();
        let labels: Vec<u8> = (0..9).map(|sample| (sample % architecture.classes) as u8).collect();
        let network = PaddedNetwork::new(architecture);
        let start = initial(architecture);
        let mut fast = PaddedReplica::new(&network, &start);
        assert_eq!(fast.replica(&network), start, "padding and back");
        let mut expected = Replica::new(architecture, start.parameters.iter().copied().map(f64::from).collect());
        let mut workspace = Workspace::new(&network, 5, 2);
        for (index, order) in [&[0u32, 3, 8, 1, 2][..], &[7, 7], &[4, 5, 6, 0, 8]].into_iter().enumerate() {
            let rate = adam::corrected_rate(index as u64 + 1);
            let batch = ImageBatch { images: &images, labels: &labels, order, scale: SCALE };
            let loss = step(&network, &mut fast, &mut workspace, batch, rate as f32, 1.0);
            let mut input = vec![0.0; order.len() * pixels];
            dense::gather(pixels, &images, order, f64::from(SCALE), &mut input);
            let own: Vec<u8> = order.iter().map(|&sample| labels[sample as usize]).collect();
            let twin_loss = twin::step(architecture, &mut expected, &input, &own, rate, 1.0);
            let difference = (f64::from(loss.mean) - twin_loss.mean).abs();
            assert!(difference < 1e-5 * twin_loss.mean, "{architecture:?}, step {index}: {loss:?}, {twin_loss:?}");
        }
        let trained = fast.replica(&network);
        for (found, expected) in trained.m.iter().zip(&expected.m) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{architecture:?}: {found}, {expected}");
        }
    }

    #[test]
    fn any_number_of_filters_and_any_side_train_as_the_twin() {
        let cases = [(8, 8, 1), (9, 8, 3), (8, 11, 5), (20, 20, 8), (13, 9, 9), (11, 17, 13), (28, 28, 16), (12, 12, 24)];
        for (image_height, image_width, filters) in cases.into_iter().chain([(10, 8, 32), (8, 8, 40), (9, 9, 64)]) {
            let convolutions = Architecture::paper_convolutions(filters);
            let sizes = Architecture { image_height, image_width, convolutions, width: 7, depth: 2, classes: 3 };
            assert_trains_as_the_twin(&sizes);
        }
    }

    #[test]
    fn any_list_of_convolutions_trains_as_the_twin() {
        let of = |list: &[(usize, bool)]| {
            let convolutions = list.iter().map(|&(filters, pool)| Convolution { filters, pool }).collect();
            Architecture { image_height: 6, image_width: 5, convolutions, width: 18, depth: 3, classes: 17 }
        };
        for list in [&[(3, false)][..], &[(8, true)], &[(2, false), (17, true)], &[(5, true), (4, false), (33, true)]] {
            assert_trains_as_the_twin(&of(list));
        }
    }
}
