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
