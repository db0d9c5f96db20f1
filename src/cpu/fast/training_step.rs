//! A whole training step of one replica on one core: its state stays in that core's cache, gradients of weights never
//! reach memory. Definition: [`crate::cpu::training_step`].

use super::dense::{AdamTensor, Epilogue, multiply, transpose, update_bias, update_weights};
use super::{Lines, padded, softmax_cross_entropy};
use crate::cpu::softmax_cross_entropy::BatchLoss;
use crate::cpu::training_step::Replica;
use crate::cpu::{dense, mask};
use crate::network::{Architecture, DenseLayer, ParameterLayout};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Where a layer lies in padded parameters.
#[derive(Clone, Debug)]
struct PaddedLayer {
    layer: DenseLayer,
    columns: usize,
    weights: Range<usize>,
    bias: Range<usize>,
}

/// The padded form of a network: rows of weights and biases are filled up with zeros, which stay zero for ever.
#[derive(Clone, Debug)]
pub struct PaddedNetwork {
    architecture: Architecture,
    layers: Vec<PaddedLayer>,
    parameters: usize,
}

impl PaddedNetwork {
    /// The padded form of `architecture`.
    pub fn new(architecture: &Architecture) -> Self {
        let mut end = 0;
        let mut take = |length: usize| {
            end += length;
            end - length..end
        };
        let layers = architecture
            .dense_layers()
            .into_iter()
            .map(|layer| {
                let columns = padded(layer.outputs);
                PaddedLayer { layer, columns, weights: take(layer.inputs * columns), bias: take(columns) }
            })
            .collect();
        Self { architecture: architecture.clone(), layers, parameters: end }
    }

    /// Copies parameters of the plain layout into padded form.
    fn pad(&self, plain: &[f32]) -> Lines {
        let mut lines = Lines::zeros(self.parameters);
        self.walk(|plain_row, padded_row| lines[padded_row].copy_from_slice(&plain[plain_row]));
        lines
    }

    /// The other way round.
    fn unpad(&self, lines: &Lines) -> Vec<f32> {
        let mut plain = vec![0.0; ParameterLayout::new(&self.architecture).parameters()];
        self.walk(|plain_row, padded_row| plain[plain_row].copy_from_slice(&lines[padded_row]));
        plain
    }

    /// Calls `visit` with the place of each row (of weights, then the bias) in the plain and in the padded form.
    fn walk(&self, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let mut plain = 0;
        for padded in &self.layers {
            let outputs = padded.layer.outputs;
            // The bias follows its weights in both forms, as one more row.
            for row in 0..=padded.layer.inputs {
                let start = padded.weights.start + row * padded.columns;
                visit(plain..plain + outputs, start..start + outputs);
                plain += outputs;
            }
        }
    }

    /// Padded columns of the widest layer behind the image.
    fn widest(&self) -> usize {
        self.layers.iter().map(|layer| layer.columns).max().unwrap_or(0)
    }
}

/// A replica in padded form.
#[derive(Clone, Debug)]
pub struct PaddedReplica {
    parameters: Lines,
    m: Lines,
    v: Lines,
    /// The focus layer's mask with padded rows; `None` as long as all nodes are kept.
    mask: Option<Vec<u32>>,
}

impl PaddedReplica {
    /// Takes in a replica.
    pub fn new(network: &PaddedNetwork, replica: &Replica<f32>) -> Self {
        let focus = &network.layers[network.architecture.focus_layer()];
        let mask = replica.mask.iter().any(|&state| state != mask::KEPT).then(|| {
            let mut mask = vec![mask::KEPT; focus.weights.len()];
            for (padded, plain) in mask.chunks_exact_mut(focus.columns).zip(replica.mask.chunks(focus.layer.outputs)) {
                padded[..plain.len()].copy_from_slice(plain);
            }
            mask
        });
        Self {
            parameters: network.pad(&replica.parameters),
            m: network.pad(&replica.m),
            v: network.pad(&replica.v),
            mask,
        }
    }

    /// Gives the replica out in the plain layout.
    pub fn replica(&self, network: &PaddedNetwork) -> Replica<f32> {
        let focus = &network.layers[network.architecture.focus_layer()];
        let mask = match &self.mask {
            None => vec![mask::KEPT; network.architecture.nodes()],
            Some(mask) => {
                mask.chunks_exact(focus.columns).flat_map(|row| &row[..focus.layer.outputs]).copied().collect()
            }
        };
        Replica {
            parameters: network.unpad(&self.parameters),
            m: network.unpad(&self.m),
            v: network.unpad(&self.v),
            mask,
        }
    }

    /// Weights of the focus layer `[in, out]`.
    pub fn focus_weights(&self, network: &PaddedNetwork) -> Vec<f32> {
        let focus = &network.layers[network.architecture.focus_layer()];
        let rows = self.parameters[focus.weights.clone()].chunks_exact(focus.columns);
        rows.flat_map(|row| &row[..focus.layer.outputs]).copied().collect()
    }

    /// Adam's view of one tensor.
    #[inline(always)]
    fn tensor(&mut self, place: &Range<usize>, rate: f32) -> AdamTensor<'_> {
        AdamTensor {
            rate,
            parameters: &mut self.parameters[place.clone()],
            m: &mut self.m[place.clone()],
            v: &mut self.v[place.clone()],
        }
    }

    /// Padded weights of the focus layer, its bias, and the same of the output layer: what a sweep needs.
    pub fn focus_and_output(&self, network: &PaddedNetwork) -> [&[f32]; 4] {
        let focus = &network.layers[network.architecture.focus_layer()];
        let output = &network.layers[network.architecture.focus_layer() + 1];
        [&focus.weights, &focus.bias, &output.weights, &output.bias].map(|range| &self.parameters[range.clone()])
    }
}

/// Arrays that a step writes and the next step overwrites; one for each core.
#[derive(Clone, Debug)]
pub struct Workspace {
    input: Lines,
    activations: Vec<Lines>,
    gradient: Lines,
    previous_gradient: Lines,
    transposed: Lines,
}

impl Workspace {
    /// Room for batches of up to `samples` images.
    pub fn new(network: &PaddedNetwork, samples: usize) -> Self {
        let widest = network.widest();
        Self {
            input: Lines::zeros(samples * network.architecture.pixels()),
            activations: network.layers.iter().map(|layer| Lines::zeros(samples * layer.columns)).collect(),
            gradient: Lines::zeros(samples * widest),
            previous_gradient: Lines::zeros(samples * widest),
            transposed: Lines::zeros(widest * widest),
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

/// Computes the first `layers` layers for a batch; the result is in the workspace.
#[inline(always)]
fn forward<S: Simd>(
    simd: S,
    network: &PaddedNetwork,
    parameters: &[f32],
    workspace: &mut Workspace,
    batch: ImageBatch<'_>,
    layers: usize,
) {
    let samples = batch.order.len();
    let pixels = network.architecture.pixels();
    dense::gather(pixels, batch.images, batch.order, batch.scale, &mut workspace.input[..samples * pixels]);
    for (index, padded) in network.layers[..layers].iter().enumerate() {
        let (before, after) = workspace.activations.split_at_mut(index);
        let (left, stride): (&[f32], usize) = match before.last() {
            None => (&workspace.input, pixels),
            Some(previous) => (previous, network.layers[index - 1].columns),
        };
        multiply(
            simd,
            samples,
            padded.layer.inputs,
            padded.columns,
            left,
            stride,
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
        forward(simd, network, &replica.parameters, workspace, batch, last + 1);
        let logits = &workspace.activations[last][..samples * network.layers[last].columns];
        let loss = softmax_cross_entropy::loss(
            network.architecture.classes,
            network.layers[last].columns,
            logits,
            labels,
            &mut workspace.gradient,
        );
        for (index, padded) in network.layers.iter().enumerate().rev() {
            let PaddedLayer { layer, columns, weights, bias } = padded;
            let gradient = &workspace.gradient[..samples * columns];
            let (input, stride): (&[f32], usize) = if index == 0 {
                (&workspace.input, network.architecture.pixels())
            } else {
                (&workspace.activations[index - 1], network.layers[index - 1].columns)
            };
            if index > 0 {
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
        if let Some(states) = &replica.mask {
            let focus = network.layers[network.architecture.focus_layer()].weights.clone();
            let weights = &mut replica.parameters[focus.clone()];
            mask::hold(states, weights, &mut replica.m[focus.clone()], &mut replica.v[focus]);
            mask::decay(states, decay, weights);
        }
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
    pulp::Arch::new().dispatch(Step { network, replica, workspace, batch, labels: &labels, rate, decay })
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
        forward(simd, self.network, &self.replica.parameters, self.workspace, self.batch, self.layers);
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
    pulp::Arch::new().dispatch(Forward { network, replica, workspace, batch, layers });
    &mut workspace.activations[layers - 1][..batch.order.len() * network.layers[layers - 1].columns]
}
