//! Networks and replicas whose rows of units are padded with zeros to whole registers.

use super::conv2d::Grid;
use super::dense::AdamTensor;
use super::max_pool2d::CHANNELS;
use super::{AlignedBuffer, LANES, padded};
use crate::cpu::mask;
use crate::cpu::training_step::Replica;
use crate::network::{Architecture, ConvLayer, DenseLayer, ParameterLayout};
use std::ops::Range;

/// Where a dense layer lies in padded parameters.
#[derive(Clone, Debug)]
pub struct PaddedLayer {
    /// The layer without padding.
    pub layer: DenseLayer,
    /// Numbers from one row of its input to the next.
    pub input_stride: usize,
    /// Units, padded.
    pub columns: usize,
    /// Weights `[in, out]` with padded rows.
    pub weights: Range<usize>,
    /// Bias, padded.
    pub bias: Range<usize>,
}

/// Where a convolution lies in padded parameters, and how what it reads and produces is padded.
#[derive(Clone, Debug)]
pub struct PaddedConvolution {
    /// The layer without padding.
    pub layer: ConvLayer,
    /// What it reads of one sample.
    pub input: Grid,
    /// Channels that go out, padded.
    pub columns: usize,
    /// Weights `[ky, kx, in, out]`, both channels padded.
    pub weights: Range<usize>,
    /// Bias, padded.
    pub bias: Range<usize>,
}

impl PaddedConvolution {
    /// The padded form of `layers`, whose parameters lie one after the other from 0 on.
    pub fn of_layers(layers: &[ConvLayer]) -> Vec<Self> {
        let mut end = 0;
        let mut take = |length: usize| {
            end += length;
            end - length..end
        };
        // Images are read as they are, gray or in colour; what convolutions write is padded.
        let mut channels = layers.first().map_or(1, |layer| layer.inputs);
        let padded = |layer: &ConvLayer| {
            let input = Grid { height: layer.height, width: layer.width, channels };
            let columns = layer.outputs.next_multiple_of(CHANNELS);
            channels = columns;
            // Whole cache lines, so that what follows starts at one.
            let weights = take((9 * input.channels * columns).next_multiple_of(LANES));
            let bias = take(columns.next_multiple_of(LANES));
            let weights = weights.start..weights.start + 9 * input.channels * columns;
            Self { layer: *layer, input, columns, weights, bias: bias.start..bias.start + columns }
        };
        layers.iter().map(padded).collect()
    }

    /// The end of its parameters, padding included.
    pub fn end(&self) -> usize {
        self.bias.start + self.columns.next_multiple_of(LANES)
    }

    /// Values of one sample that go out, `[y, x, channel]` without border.
    pub(super) fn output_len(&self) -> usize {
        self.layer.output_height() * self.layer.output_width() * self.columns
    }
}

/// The padded form of a network: rows of weights and biases are filled up with zeros, which stay zero for ever.
#[derive(Clone, Debug)]
pub struct PaddedNetwork {
    /// The network without padding.
    pub architecture: Architecture,
    /// Its convolutions.
    pub convolutions: Vec<PaddedConvolution>,
    /// Its dense layers.
    pub layers: Vec<PaddedLayer>,
    parameters: usize,
}

impl PaddedNetwork {
    /// The padded form of `architecture`.
    pub fn new(architecture: &Architecture) -> Self {
        let convolutions = PaddedConvolution::of_layers(&architecture.conv_layers());
        // Pixels are read where they lie; features of convolutions are written, and so can be padded.
        let features = architecture.features();
        let mut input_stride = if convolutions.is_empty() { features } else { padded(features) };
        let mut end = convolutions.last().map_or(0, PaddedConvolution::end);
        let mut take = |length: usize| {
            end += length;
            end - length..end
        };
        let layers = architecture
            .dense_layers()
            .into_iter()
            .map(|layer| {
                let columns = padded(layer.outputs);
                let (weights, bias) = (take(layer.inputs * columns), take(columns));
                let padded = PaddedLayer { layer, input_stride, columns, weights, bias };
                input_stride = columns;
                padded
            })
            .collect();
        Self { architecture: architecture.clone(), convolutions, layers, parameters: end }
    }

    /// Copies parameters of the plain layout into padded form.
    fn pad(&self, plain: &[f32]) -> AlignedBuffer {
        let mut lines = AlignedBuffer::zeros(self.parameters);
        self.walk(|plain_row, padded_row| lines[padded_row].copy_from_slice(&plain[plain_row]));
        lines
    }

    /// The other way round.
    fn unpad(&self, lines: &AlignedBuffer) -> Vec<f32> {
        let mut plain = vec![0.0; ParameterLayout::new(&self.architecture).parameters()];
        self.walk(|plain_row, padded_row| plain[plain_row].copy_from_slice(&lines[padded_row]));
        plain
    }

    /// Calls `visit` with the place of each row (of weights, then the bias) in the plain and in the padded form.
    fn walk(&self, mut visit: impl FnMut(Range<usize>, Range<usize>)) {
        let mut plain = 0;
        let mut row = |length: usize, padded: usize| {
            visit(plain..plain + length, padded..padded + length);
            plain += length;
        };
        for convolution in &self.convolutions {
            let PaddedConvolution { layer, input, columns, weights, bias } = convolution;
            for tap in 0..9 {
                for channel in 0..layer.inputs {
                    row(layer.outputs, weights.start + (tap * input.channels + channel) * columns);
                }
            }
            row(layer.outputs, bias.start);
        }
        for padded in &self.layers {
            // The bias follows its weights in both forms, as one more row.
            for input in 0..=padded.layer.inputs {
                row(padded.layer.outputs, padded.weights.start + input * padded.columns);
            }
        }
    }

    /// Whether a convolution's channels do not fill the widest registers.
    pub fn has_partial_registers(&self) -> bool {
        self.convolutions.iter().any(|convolution| !convolution.columns.is_multiple_of(LANES))
    }

    /// The focus layer.
    fn focus(&self) -> &PaddedLayer {
        &self.layers[self.architecture.focus_layer()]
    }
}

/// A row of a focus layer and of what training keeps beside it, without padding.
pub struct FocusRow<'a> {
    /// States, see [`mask`].
    pub mask: &'a mut [u32],
    /// Weights.
    pub weights: &'a mut [f32],
    /// Running means of gradients.
    pub m: &'a mut [f32],
    /// Running means of squared gradients.
    pub v: &'a mut [f32],
}

/// A replica in padded form.
#[derive(Clone, Debug)]
pub struct PaddedReplica {
    /// Parameters.
    pub parameters: AlignedBuffer,
    m: AlignedBuffer,
    v: AlignedBuffer,
    /// The focus layer's mask; `None` as long as all weights are kept.
    mask: Option<Vec<u32>>,
}

impl PaddedReplica {
    /// Takes in a replica.
    pub fn new(network: &PaddedNetwork, replica: &Replica<f32>) -> Self {
        let mask = replica.mask.iter().any(|&state| state != mask::KEPT).then(|| replica.mask.clone());
        Self {
            parameters: network.pad(&replica.parameters),
            m: network.pad(&replica.m),
            v: network.pad(&replica.v),
            mask,
        }
    }

    /// Gives the replica out in the plain layout.
    pub fn replica(&self, network: &PaddedNetwork) -> Replica<f32> {
        let mask = self.mask.clone().unwrap_or_else(|| vec![mask::KEPT; network.architecture.weight_count()]);
        Replica {
            parameters: network.unpad(&self.parameters),
            m: network.unpad(&self.m),
            v: network.unpad(&self.v),
            mask,
        }
    }

    /// Weights of the focus layer `[in, out]`.
    pub fn focus_weights(&self, network: &PaddedNetwork) -> Vec<f32> {
        let focus = network.focus();
        let rows = self.parameters[focus.weights.clone()].chunks_exact(focus.columns);
        rows.flat_map(|row| &row[..focus.layer.outputs]).copied().collect()
    }

    /// Puts weights of the focus layer `[in, out]` back.
    pub fn set_focus_weights(&mut self, network: &PaddedNetwork, weights: &[f32]) {
        let focus = network.focus();
        let rows = self.parameters[focus.weights.clone()].chunks_exact_mut(focus.columns);
        for (padded, plain) in rows.zip(weights.chunks_exact(focus.layer.outputs)) {
            padded[..plain.len()].copy_from_slice(plain);
        }
    }

    /// Whether a weight may be pruned or decaying.
    pub fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// The focus layer, to be masked where it lies: a row for each input.
    pub fn focus_rows(&mut self, network: &PaddedNetwork) -> impl Iterator<Item = FocusRow<'_>> {
        let PaddedLayer { weights: place, columns, layer, .. } = network.focus();
        let (columns, units) = (*columns, layer.outputs);
        let mask = self.mask.get_or_insert_with(|| vec![mask::KEPT; layer.inputs * units]).chunks_exact_mut(units);
        let [weights, m, v] = [&mut self.parameters, &mut self.m, &mut self.v]
            .map(|array| array[place.clone()].chunks_exact_mut(columns).map(move |row| &mut row[..units]));
        mask.zip(weights).zip(m.zip(v)).map(|((mask, weights), (m, v))| FocusRow { mask, weights, m, v })
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let Self { parameters, m, v, mask } = self;
        parameters.bytes() + m.bytes() + v.bytes() + mask.as_deref().map_or(0, size_of_val)
    }

    /// Adam's view of one tensor.
    #[inline(always)]
    pub fn tensor(&mut self, place: &Range<usize>, rate: f32) -> AdamTensor<'_> {
        AdamTensor {
            rate,
            parameters: &mut self.parameters[place.clone()],
            m: &mut self.m[place.clone()],
            v: &mut self.v[place.clone()],
        }
    }

    /// Adam's view of all dense layers.
    pub fn dense_tensor(&mut self, network: &PaddedNetwork, rate: f32) -> AdamTensor<'_> {
        self.tensor(&(network.layers[0].weights.start..network.parameters), rate)
    }

    /// Holds pruned weights at 0 and multiplies the weights of decaying ones by `decay`.
    #[inline(always)]
    pub fn hold_masked(&mut self, network: &PaddedNetwork, decay: f32) {
        if self.is_masked() {
            for FocusRow { mask, weights, m, v } in self.focus_rows(network) {
                mask::hold(mask, weights, m, v);
                mask::decay(mask, decay, weights);
            }
        }
    }

    /// Padded weights of the focus layer, its bias, and the same of the output layer: what a sweep needs.
    pub fn focus_and_output(&self, network: &PaddedNetwork) -> [&[f32]; 4] {
        let focus = network.focus();
        let output = &network.layers[network.architecture.focus_layer() + 1];
        [&focus.weights, &focus.bias, &output.weights, &output.bias].map(|range| &self.parameters[range.clone()])
    }
}
