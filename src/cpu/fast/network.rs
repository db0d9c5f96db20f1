//! Networks and replicas whose rows of units are padded with zeros to whole registers.

use super::conv2d::Grid;
use super::dense::AdamTensor;
use super::max_pool2d::CHANNELS;
use super::{AlignedBuffer, LANES, padded};
use crate::cpu::training_step::Replica;
use crate::cpu::{mask, mean};
use crate::network::{Architecture, ConvLayer, DenseLayer, ParameterLayout, Selection};
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
    /// The weights that can be masked, and where they lie.
    selection: Selection,
    selected: Vec<SelectedRow>,
}

/// A row of a tensor whose weights can be masked.
#[derive(Clone, Debug)]
struct SelectedRow {
    /// Its place in padded parameters.
    place: Range<usize>,
    /// Index of its first weight among all that can be masked.
    start: usize,
    fan_in: usize,
}

impl PaddedNetwork {
    /// The padded form of `architecture`; the weights of `selection` can be masked.
    pub fn new(architecture: &Architecture, selection: &Selection) -> Self {
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
        let mut network = Self {
            architecture: architecture.clone(),
            convolutions,
            layers,
            parameters: end,
            selection: selection.clone(),
            selected: Vec::new(),
        };
        network.selected = network.rows_of(selection);
        network
    }

    /// The rows of a selection, in its order.
    fn rows_of(&self, selection: &Selection) -> Vec<SelectedRow> {
        let (mut parts, mut rows) = (selection.parts().iter().peekable(), Vec::new());
        self.walk(|plain, padded| {
            // Both are in the order of the layout.
            while parts.next_if(|part| part.range.end <= plain.start).is_some() {}
            if let Some(part) = parts.peek().filter(|part| part.range.start <= plain.start) {
                let start = part.start + plain.start - part.range.start;
                rows.push(SelectedRow { place: padded, start, fan_in: part.fan_in() });
            }
        });
        rows
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

/// A row of weights that can be masked and of what training keeps beside it, without padding.
pub struct MaskedRow<'a> {
    /// Index of the first of them among all that can be masked.
    pub start: usize,
    /// Number of inputs that feed one of their units.
    pub fan_in: usize,
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
    /// States of the weights that can be masked; `None` as long as all of them are kept.
    mask: Option<Vec<u32>>,
    /// Sums of the parameters over epochs; `None` before the first.
    sums: Option<AlignedBuffer>,
}

impl PaddedReplica {
    /// Takes in a replica, in which only weights that can be masked are.
    pub fn new(network: &PaddedNetwork, replica: &Replica<f32>) -> Self {
        let mask = network.selection.gather(&replica.mask);
        Self {
            parameters: network.pad(&replica.parameters),
            m: network.pad(&replica.m),
            v: network.pad(&replica.v),
            mask: mask.iter().any(|&state| state != mask::KEPT).then_some(mask),
            sums: (!replica.sums.is_empty()).then(|| network.pad(&replica.sums)),
        }
    }

    /// Gives the replica out in the plain layout.
    pub fn replica(&self, network: &PaddedNetwork) -> Replica<f32> {
        let parameters = self.plain_parameters(network);
        let mut mask = vec![mask::KEPT; parameters.len()];
        if let Some(states) = &self.mask {
            network.selection.scatter(states, &mut mask);
        }
        let sums = self.sums.as_ref().map_or_else(Vec::new, |sums| network.unpad(sums));
        Replica { parameters, m: network.unpad(&self.m), v: network.unpad(&self.v), mask, sums }
    }

    /// Adds the parameters to their sums over epochs.
    pub fn accumulate(&mut self) {
        match &mut self.sums {
            Some(sums) => mean::accumulate(&self.parameters, sums),
            None => self.sums = Some(self.parameters.clone()),
        }
    }

    /// All parameters in the plain layout.
    pub fn plain_parameters(&self, network: &PaddedNetwork) -> Vec<f32> {
        network.unpad(&self.parameters)
    }

    /// Weights of a selection.
    pub fn weights(&self, network: &PaddedNetwork, selection: &Selection) -> Vec<f32> {
        let rows = network.rows_of(selection);
        rows.into_iter().flat_map(|row| &self.parameters[row.place]).copied().collect()
    }

    /// Puts weights of a selection back.
    pub fn set_weights(&mut self, network: &PaddedNetwork, selection: &Selection, weights: &[f32]) {
        for SelectedRow { place, start, .. } in network.rows_of(selection) {
            let own = &weights[start..start + place.len()];
            self.parameters[place].copy_from_slice(own);
        }
    }

    /// Whether a weight may be pruned or decaying.
    pub fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// Calls `visit` with each row of weights that can be masked, in their order, to be masked where it lies.
    #[inline(always)]
    pub fn visit_masked(&mut self, network: &PaddedNetwork, mut visit: impl FnMut(MaskedRow<'_>)) {
        let mask = self.mask.get_or_insert_with(|| vec![mask::KEPT; network.selection.weights()]);
        for &SelectedRow { ref place, start, fan_in } in &network.selected {
            visit(MaskedRow {
                start,
                fan_in,
                mask: &mut mask[start..start + place.len()],
                weights: &mut self.parameters[place.clone()],
                m: &mut self.m[place.clone()],
                v: &mut self.v[place.clone()],
            });
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let Self { parameters, m, v, mask, sums } = self;
        let sums = sums.as_ref().map_or(0, AlignedBuffer::bytes);
        parameters.bytes() + m.bytes() + v.bytes() + mask.as_deref().map_or(0, size_of_val) + sums
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
            self.visit_masked(network, |MaskedRow { mask, weights, m, v, .. }| {
                mask::hold(mask, weights, m, v);
                mask::decay(mask, decay, weights);
            });
        }
    }

    /// Padded weights of the focus layer, its bias, and the same of the output layer: what a sweep needs.
    pub fn focus_and_output(&self, network: &PaddedNetwork) -> [&[f32]; 4] {
        let focus = network.focus();
        let output = &network.layers[network.architecture.focus_layer() + 1];
        [&focus.weights, &focus.bias, &output.weights, &output.bias].map(|range| &self.parameters[range.clone()])
    }
}
