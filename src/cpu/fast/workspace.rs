//! Arrays that a training step writes and the next one overwrites.

use super::AlignedBuffer;
use super::convolutions::ConvWorkspace;
use super::dense::{GRADIENT_ROWS, Samples};
use super::network::{PaddedLayer, PaddedNetwork};

/// Parts of a batch.
pub(super) const PARTS: usize = 2;
/// With convolutions the samples of a part are a multiple of this where there are enough: the rows of a block of
/// a product.
const PART_ROWS: usize = 6;

/// How many of `samples` the first part of a batch takes.
///
/// Convolutions sum the gradient of each part by itself, so there are always two. A fully connected network goes through
/// both parts with the same sums: there are two only if two cores `share` them.
pub(super) fn first_part(network: &PaddedNetwork, samples: usize, share: bool) -> usize {
    match (network.convolutions.is_empty(), share) {
        (false, _) => samples.div_ceil(PARTS).next_multiple_of(PART_ROWS).min(samples),
        (true, true) => samples.div_ceil(PARTS),
        (true, false) => samples,
    }
}

/// Arrays that a step writes and the next step overwrites; one for each core.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub(super) parts: [SampleHalf; PARTS],
    /// The gradient of a few rows of weights, for each core.
    pub(super) scratch: [AlignedBuffer; PARTS],
    /// For forward passes alone.
    pub(super) forward: Activations,
}

impl Workspace {
    /// Room for training batches of up to `batch` images, and for forward passes of up to `samples`.
    pub fn new(network: &PaddedNetwork, batch: usize, samples: usize) -> Self {
        // A shorter batch may have a longer second part: of 13 samples behind convolutions it is one, of 12 it is six.
        let second = (1..=batch).map(|samples| samples - first_part(network, samples, true)).max().unwrap_or(0);
        let widest = network.layers.iter().map(|layer| layer.columns).max().unwrap_or(0);
        Self {
            scratch: std::array::from_fn(|_| AlignedBuffer::zeros(GRADIENT_ROWS * widest)),
            parts: [first_part(network, batch, false), second.max(1)].map(|samples| SampleHalf::new(network, samples)),
            forward: Activations::new(network, samples, 1),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let Self { parts, scratch, forward } = self;
        let parts: usize = parts.iter().map(SampleHalf::bytes).sum();
        parts + scratch.iter().map(AlignedBuffer::bytes).sum::<usize>() + forward.bytes()
    }
}

/// What the layers produce for some samples.
#[derive(Clone, Debug)]
pub(super) struct Activations {
    pub(super) convolutions: ConvWorkspace,
    /// What the first dense layer reads: pixels or features.
    pub(super) input: AlignedBuffer,
    pub(super) layers: Vec<AlignedBuffer>,
}

impl Activations {
    /// Room for `samples`, of which the convolutions keep `kept`.
    fn new(network: &PaddedNetwork, samples: usize, kept: usize) -> Self {
        Self {
            convolutions: ConvWorkspace::new(&network.convolutions, kept),
            input: AlignedBuffer::zeros(samples * network.layers[0].input_stride),
            layers: network.layers.iter().map(|layer| AlignedBuffer::zeros(samples * layer.columns)).collect(),
        }
    }

    fn bytes(&self) -> usize {
        let Self { convolutions, input, layers } = self;
        convolutions.bytes() + input.bytes() + layers.iter().map(AlignedBuffer::bytes).sum::<usize>()
    }

    /// What dense layer `index` reads.
    pub(super) fn input(&self, index: usize) -> &[f32] {
        if index == 0 { &self.input } else { &self.layers[index - 1] }
    }
}

/// What a training step keeps of a part of its samples.
#[derive(Clone, Debug)]
pub(super) struct SampleHalf {
    pub(super) activations: Activations,
    /// The gradient of what each dense layer produces.
    pub(super) gradients: Vec<AlignedBuffer>,
    /// The gradient of the features of the convolutions.
    pub(super) features_gradient: AlignedBuffer,
    /// Weights of one layer with rows and columns exchanged.
    pub(super) transposed: AlignedBuffer,
    /// Of the samples, gathered.
    pub(super) labels: Vec<u8>,
    pub(super) losses: Vec<f64>,
    pub(super) samples: usize,
    pub(super) correct: u32,
}

impl SampleHalf {
    fn new(network: &PaddedNetwork, samples: usize) -> Self {
        let layers = &network.layers;
        // The gradient of pixels is never computed.
        let features = if network.convolutions.is_empty() { 0 } else { layers[0].input_stride };
        let read = if features == 0 { &layers[1..] } else { &layers[..] };
        let transposed = read.iter().map(|layer| layer.layer.outputs * layer.input_stride).max().unwrap_or(0);
        Self {
            activations: Activations::new(network, samples, samples),
            gradients: layers.iter().map(|layer| AlignedBuffer::zeros(samples * layer.columns)).collect(),
            features_gradient: AlignedBuffer::zeros(samples * features),
            transposed: AlignedBuffer::zeros(transposed),
            labels: vec![0; samples],
            losses: vec![0.0; samples],
            samples: 0,
            correct: 0,
        }
    }

    fn bytes(&self) -> usize {
        let Self { activations, gradients, features_gradient, transposed, labels, losses, samples: _, correct: _ } =
            self;
        let gradients: usize = gradients.iter().map(AlignedBuffer::bytes).sum();
        let samples = size_of_val(&labels[..]) + size_of_val(&losses[..]);
        activations.bytes() + gradients + features_gradient.bytes() + transposed.bytes() + samples
    }

    /// What the gradient of the weights of dense layer `index` is summed over.
    pub(super) fn samples(&self, index: usize, padded: &PaddedLayer) -> Samples<'_> {
        let PaddedLayer { input_stride, columns, .. } = *padded;
        Samples {
            input: &self.activations.input(index)[..self.samples * input_stride],
            input_stride,
            output_gradient: &self.gradients[index][..self.samples * columns],
            columns,
        }
    }
}
