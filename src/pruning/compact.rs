//! A network made really smaller: units, filters and inputs taken out, not zeros stored. Here what nobody can tell by the
//! logits; what costs accuracy goes by [`super::whole_inputs`].

use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout};
use serde::Serialize;

/// The tap of a convolution that reads the position itself, and never what lies beyond the border.
const CENTRE: usize = 4;

/// What a network is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Stored weights, biases apart.
    Weights,
    /// Multiply-adds of classifying one image.
    MultiplyAdds,
    /// Units of hidden layers, filters among them.
    Units,
}

/// How small a network is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// What is measured.
    pub measure: Measure,
    /// And how much of it may be left.
    pub most: usize,
    /// Of this number each hidden layer that loses units keeps a multiple; 1 for any number.
    pub multiple: usize,
}

/// A dense network of those units and inputs that are left.
#[derive(Clone, Debug, PartialEq)]
pub struct CompactNetwork {
    /// Its layers. Where it does not read all numbers of an image, an image of one row of those that it reads.
    pub architecture: Architecture,
    /// All parameters, in the layout of the architecture.
    pub parameters: Vec<f32>,
    /// Which numbers of an image it reads, ascending.
    pub inputs: Vec<u32>,
}

/// Inputs that no training image lights.
#[derive(Clone, Copy, Debug)]
pub struct DarkInputs<'a> {
    /// Whether each number of an image is 0 in all training images.
    pub is_dark: &'a [bool],
    /// What the network then reads there: 0, unless pixels are shifted before they come in.
    pub feature: f32,
}

/// What was taken out without a loss.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Inputs that no training image lights, though they have weights: the logits of an image that does light one are others.
    pub dark_inputs: Vec<u32>,
    /// Other inputs, which had no weights.
    pub unread_inputs: usize,
    /// Units that nothing was left to read.
    pub unread_units: usize,
    /// Units that read nothing, and so are constant: what they gave is in the biases behind them.
    pub constant_units: usize,
}

/// The columns of a layer's weights that read unit `unit` of the `before` units of the layer before: of a dense layer one, of
/// a convolution nine, behind a convolution one for each position.
pub fn columns(layer: &Layer, before: usize, unit: usize) -> impl Iterator<Item = usize> + Clone + use<> {
    (0..layer.inputs() / before).map(move |place| place * before + unit)
}

/// How many units the layers have: the network's inputs, which a convolution reads by channels, then those of each layer.
pub(super) fn widths(architecture: &Architecture) -> Vec<usize> {
    let first = if architecture.convolutions.is_empty() { architecture.image_len() } else { architecture.channels };
    [first].into_iter().chain(Layer::all(architecture).iter().map(Layer::units)).collect()
}

/// The same network with other [`widths`]; inputs of a convolution stay.
pub(super) fn with_widths(architecture: &Architecture, widths: &[usize]) -> Architecture {
    let mut smaller = architecture.clone();
    let (filters, hidden) = widths[1..widths.len() - 1].split_at(architecture.convolutions.len());
    smaller.convolutions.iter_mut().zip(filters).for_each(|(convolution, &filters)| convolution.filters = filters);
    smaller.hidden = hidden.to_vec();
    if architecture.convolutions.is_empty() && widths[0] != architecture.image_len() {
        (smaller.image_height, smaller.image_width, smaller.channels) = (1, widths[0], 1);
    }
    smaller
}

/// How large a network is.
pub fn size(architecture: &Architecture, measure: Measure) -> usize {
    match measure {
        Measure::Weights => ParameterLayout::new(architecture).weights(),
        Measure::MultiplyAdds => architecture.forward_multiply_adds(),
        Measure::Units => {
            let widths = widths(architecture);
            widths[1..widths.len() - 1].iter().sum()
        }
    }
}

/// Whether the inputs of layer `index` may go: pixels of a convolution may not, and pixels are no units.
pub(super) fn may_go(architecture: &Architecture, index: usize, measure: Measure) -> bool {
    index > 0 || architecture.convolutions.is_empty() && measure != Measure::Units
}

impl Wanted {
    /// Fails with [`Error::Usage`] where the smallest network of this architecture is larger, and for multiples of 0.
    pub fn check_reachable(self, architecture: &Architecture) -> Result<()> {
        let Self { measure, most, multiple } = self;
        if multiple == 0 {
            return Err(Error::Usage("units cannot come in multiples of 0; use 1 for any number, or e.g. 16".into()));
        }
        let least = size(&with_widths(architecture, &self.least_widths(architecture)), measure);
        if most >= least {
            return Ok(());
        }
        let what = match measure {
            Measure::Weights => "weights",
            Measure::MultiplyAdds => "multiply-adds",
            Measure::Units => "hidden units",
        };
        let (units, instead) = match multiple {
            1 => ("one unit".to_string(), "ask for a larger one"),
            _ => (format!("{multiple} units"), "ask for a larger one, or for a smaller --multiple"),
        };
        Err(Error::Usage(format!(
            "no more than {most} {what} are asked for, and with {units} in each layer the network still has {least}; {instead}"
        )))
    }

    /// Inputs of layer `index` come in multiples of this: pixels in any number.
    pub(super) fn multiple_of(self, index: usize) -> usize {
        if index == 0 { 1 } else { self.multiple }
    }

    /// How many units each layer has when all have gone that may.
    pub(super) fn least_widths(self, architecture: &Architecture) -> Vec<usize> {
        let mut widths = widths(architecture);
        let last = widths.len() - 1;
        for (index, width) in widths[..last].iter_mut().enumerate() {
            if may_go(architecture, index, self.measure) {
                *width = self.multiple_of(index).min(*width);
            }
        }
        widths
    }
}

impl CompactNetwork {
    /// A network from which nothing has been taken out.
    pub fn new(architecture: Architecture, parameters: Vec<f32>) -> Self {
        let inputs = (0..architecture.image_len() as u32).collect();
        Self { architecture, parameters, inputs }
    }

    /// What is left where only some units stay: `kept` has, ascending, which inputs, then which units of each layer, output
    /// included. Inputs of a convolution and outputs stay all.
    pub fn take(&self, kept: &[Vec<usize>]) -> Self {
        let before = widths(&self.architecture);
        let architecture = with_widths(&self.architecture, &kept.iter().map(Vec::len).collect::<Vec<_>>());
        let (from, to) = (ParameterLayout::new(&self.architecture), ParameterLayout::new(&architecture));
        let mut parameters = vec![0.0; to.parameters()];
        for (index, layer) in Layer::all(&self.architecture).iter().enumerate() {
            let [old_weights, old_bias] = Layer::tensors(&from, index).map(|tensor| &self.parameters[tensor.range()]);
            let [weights, bias] = Layer::tensors(&to, index).map(|tensor| tensor.range());
            let (before, inputs, units) = (before[index], &kept[index], &kept[index + 1]);
            let places =
                (0..layer.inputs() / before).flat_map(|place| inputs.iter().map(move |&input| place * before + input));
            let own = places.flat_map(|place| units.iter().map(move |&unit| old_weights[place * layer.units() + unit]));
            parameters[weights].iter_mut().zip(own).for_each(|(weight, own)| *weight = own);
            parameters[bias].iter_mut().zip(units).for_each(|(bias, &unit)| *bias = old_bias[unit]);
        }
        let inputs = match self.architecture.convolutions.is_empty() {
            true => kept[0].iter().map(|&input| self.inputs[input]).collect(),
            false => self.inputs.clone(),
        };
        Self { architecture, parameters, inputs }
    }

    /// Takes out what changes no logit beyond rounding, until nothing of that kind is left: inputs without weights, `dark`
    /// inputs, units that nobody reads, and units that read nothing. What is constant goes into the biases behind it. A constant
    /// filter stays where a convolution would see by it where its border is, and a dark input that is not 0 where there are no
    /// biases. Each layer keeps one unit.
    pub fn lossless(self, dark: Option<DarkInputs<'_>>) -> (Self, Findings) {
        let (mut network, mut findings) = (self, Findings::default());
        loop {
            let kept = network.needed(dark, &mut findings);
            let smaller = network.take(&kept);
            if smaller.parameters.len() == network.parameters.len() {
                return (network, findings);
            }
            network = smaller;
        }
    }

    /// Which inputs and units cannot go without a loss. Constants of those that go are added to the biases.
    fn needed(&mut self, dark: Option<DarkInputs<'_>>, findings: &mut Findings) -> Vec<Vec<usize>> {
        let Self { architecture, parameters, inputs } = self;
        let (layout, layers) = (ParameterLayout::new(architecture), Layer::all(architecture));
        let widths = widths(architecture);
        let mut kept: Vec<Vec<usize>> = widths.iter().map(|&units| (0..units).collect()).collect();
        for (index, layer) in layers.iter().enumerate() {
            let before = widths[index];
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| tensor.range());
            if index == 0 && !architecture.convolutions.is_empty() {
                continue;
            }
            let mut left = before;
            kept[index].retain(|&unit| {
                let places = columns(layer, before, unit).flat_map(|column| {
                    let start = weights.start + column * layer.units();
                    start..start + layer.units()
                });
                let is_read = places.clone().any(|place| parameters[place] != 0.0);
                let constant = match index.checked_sub(1) {
                    _ if left == 1 => return true,
                    // Nothing is lost, whatever it gives.
                    _ if !is_read => Some(0.0),
                    None => dark.filter(|dark| dark.is_dark[inputs[unit] as usize]).map(|dark| dark.feature),
                    Some(own) => constant(&layout, &layers, own, unit, parameters),
                };
                let off_centre = |place: usize| {
                    (place - weights.start) / layer.units() / before != CENTRE && parameters[place] != 0.0
                };
                let goes = match constant {
                    None => false,
                    Some(0.0) => true,
                    Some(_) if !architecture.bias => false,
                    Some(_) => !matches!(layer, Layer::Convolution(_)) || !places.clone().any(off_centre),
                };
                let Some(constant) = constant.filter(|_| goes) else { return true };
                if constant != 0.0 {
                    for (k, place) in bias.clone().enumerate() {
                        let own = places.clone().skip(k).step_by(layer.units());
                        let sum: f64 = own.map(|place| f64::from(parameters[place])).sum();
                        parameters[place] = (f64::from(parameters[place]) + f64::from(constant) * sum) as f32;
                    }
                }
                match (index, is_read) {
                    (0, false) => findings.unread_inputs += 1,
                    (0, true) => findings.dark_inputs.push(inputs[unit]),
                    (_, false) => findings.unread_units += 1,
                    (_, true) => findings.constant_units += 1,
                }
                left -= 1;
                false
            });
        }
        kept
    }
}

/// What a hidden unit gives whatever comes in, if it has no incoming weights; without a bias 0.
fn constant(layout: &ParameterLayout, layers: &[Layer], index: usize, unit: usize, parameters: &[f32]) -> Option<f32> {
    let [weights, bias] = Layer::tensors(layout, index).map(|tensor| &parameters[tensor.range()]);
    let reads = weights.iter().skip(unit).step_by(layers[index].units()).any(|&weight| weight != 0.0);
    (!reads).then(|| bias[unit].max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::network::Convolution;
    use crate::random::{Sequence, Stream};

    fn numbers(first: u32, count: usize) -> Vec<f32> {
        let mut sequence = Sequence::new(7, Stream::Check, first, 3);
        (0..count).map(|_| sequence.between(-1.0, 1.0) as f32).collect()
    }

    fn dnn() -> CompactNetwork {
        network(Architecture::dnn(3, 4, [6, 5], 3))
    }

    /// Convolutions with and without pooling, on images of 5 x 6.
    fn cnn() -> CompactNetwork {
        let convolutions = [(3, true), (4, false)].map(|(filters, pool)| Convolution { filters, pool }).to_vec();
        network(Architecture { convolutions, ..Architecture::dnn(5, 6, [6, 5], 3) })
    }

    fn network(architecture: Architecture) -> CompactNetwork {
        let parameters = numbers(1, ParameterLayout::new(&architecture).parameters());
        CompactNetwork::new(architecture, parameters)
    }

    /// Images `[image, number]`, all numbers above 0 but the `dark` ones.
    fn images(length: usize, dark: &[usize]) -> Vec<f32> {
        let mut images: Vec<f32> = numbers(2, 20 * length).iter().map(|number| number.abs() + 0.01).collect();
        images.chunks_exact_mut(length).for_each(|image| dark.iter().for_each(|&place| image[place] = 0.0));
        images
    }

    fn logits(network: &CompactNetwork, images: &[f32], length: usize) -> Vec<f32> {
        let engine = Engine::cpu(Some(1)).unwrap();
        let layout = ParameterLayout::new(&network.architecture);
        let read = images.chunks_exact(length).flat_map(|image| network.inputs.iter().map(|&i| image[i as usize]));
        let layers = Layer::all(&network.architecture);
        layers.iter().enumerate().fold(read.collect(), |input: Vec<f32>, (index, layer)| {
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &network.parameters[tensor.range()]);
            engine.forward_layer(layer, weights, bias, &input, Some(&[])).unwrap().values
        })
    }

    /// Sets weights of a layer by column and unit.
    fn set(network: &mut CompactNetwork, layer: usize, value: f32, chosen: impl Fn(usize, usize) -> bool) {
        let layout = ParameterLayout::new(&network.architecture);
        let units = Layer::all(&network.architecture)[layer].units();
        let range = Layer::tensors(&layout, layer)[0].range();
        for (place, weight) in network.parameters[range].iter_mut().enumerate() {
            if chosen(place / units, place % units) {
                *weight = value;
            }
        }
    }

    fn set_bias(network: &mut CompactNetwork, layer: usize, unit: usize, value: f32) {
        let layout = ParameterLayout::new(&network.architecture);
        network.parameters[Layer::tensors(&layout, layer)[1].offset + unit] = value;
    }

    /// Takes out what can go, and checks the logits: sums of at most `terms` numbers were added in another order.
    fn compacted(network: &CompactNetwork, dark: &[usize], lit: &[usize]) -> (CompactNetwork, Findings) {
        let length = network.architecture.image_len();
        let is_dark: Vec<bool> = (0..length).map(|place| dark.contains(&place)).collect();
        let dark_inputs = DarkInputs { is_dark: &is_dark, feature: 0.0 };
        let (smaller, findings) = network.clone().lossless(Some(dark_inputs));
        smaller.architecture.validate().unwrap();
        let images = images(length, dark);
        for (found, expected) in logits(&smaller, &images, length).iter().zip(logits(network, &images, length)) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}");
        }
        assert!(lit.iter().all(|&place| smaller.inputs.contains(&(place as u32))));
        (smaller, findings)
    }

    #[test]
    fn inputs_without_weights_and_dark_inputs_go_and_dark_ones_are_named() {
        let mut network = dnn();
        set(&mut network, 0, 0.0, |input, _| input == 2);
        let (smaller, findings) = compacted(&network, &[5, 11], &[0, 1, 3, 4, 10]);
        assert_eq!(smaller.inputs, [0, 1, 3, 4, 6, 7, 8, 9, 10]);
        assert_eq!((smaller.architecture.image_height, smaller.architecture.image_width), (1, 9));
        assert_eq!((findings.dark_inputs, findings.unread_inputs), (vec![5, 11], 1));
    }

    #[test]
    fn a_unit_that_nobody_reads_goes_and_takes_what_only_it_read_along() {
        let mut network = dnn();
        set(&mut network, 1, 0.0, |input, _| input == 4);
        set(&mut network, 0, 0.0, |input, unit| input == 7 && unit != 4);
        let (smaller, findings) = compacted(&network, &[], &[]);
        assert_eq!(smaller.architecture.hidden, [5, 5]);
        assert!(!smaller.inputs.contains(&7) && smaller.inputs.len() == 11);
        assert_eq!((findings.unread_units, findings.constant_units), (1, 0));
    }

    #[test]
    fn a_constant_unit_goes_into_the_biases_behind_it() {
        for bias in [0.75, -0.75] {
            let mut network = dnn();
            set(&mut network, 1, 0.0, |_, unit| unit == 2);
            set_bias(&mut network, 1, 2, bias);
            let (smaller, findings) = compacted(&network, &[], &[]);
            assert_eq!((smaller.architecture.hidden.as_slice(), findings.constant_units), ([6, 4].as_slice(), 1));
        }
    }

    #[test]
    fn a_constant_filter_goes_only_where_no_convolution_sees_its_border() {
        let sizes = |network: &CompactNetwork| {
            network.architecture.convolutions.iter().map(|convolution| convolution.filters).collect::<Vec<_>>()
        };
        // In front of dense layers there is no border.
        let mut network = cnn();
        set(&mut network, 1, 0.0, |_, unit| unit == 3);
        set_bias(&mut network, 1, 3, 0.5);
        assert_eq!(sizes(&compacted(&network, &[], &[]).0), [3, 3]);
        // A convolution sees a constant end at the border, unless it is 0.
        for (bias, left) in [(0.5, 3), (-0.5, 2)] {
            let mut network = cnn();
            set(&mut network, 0, 0.0, |_, unit| unit == 1);
            set_bias(&mut network, 0, 1, bias);
            assert_eq!(sizes(&compacted(&network, &[], &[]).0), [left, 4], "{bias}");
            // What reads the position itself only does not see it.
            set(&mut network, 1, 0.0, |column, _| column % 3 == 1 && column / 3 != CENTRE);
            assert_eq!(sizes(&compacted(&network, &[], &[]).0), [2, 4], "{bias}");
        }
    }

    #[test]
    fn a_filter_that_nobody_reads_goes_and_pixels_of_a_convolution_stay() {
        let mut network = cnn();
        set(&mut network, 1, 0.0, |column, _| column % 3 == 0);
        set(&mut network, 2, 0.0, |column, _| column % 4 == 1);
        let (smaller, findings) = compacted(&network, &[0, 3], &[0, 3]);
        let filters: Vec<usize> = smaller.architecture.convolutions.iter().map(|c| c.filters).collect();
        assert_eq!((filters, findings.unread_units), (vec![2, 3], 2));
        assert_eq!(smaller.architecture.image_len(), 30);
    }

    #[test]
    fn without_biases_a_unit_that_reads_nothing_simply_goes() {
        let mut network = network(Architecture { bias: false, ..Architecture::dnn(3, 4, [6, 5], 3) });
        for layer in 0..3 {
            (0..[6, 5, 3][layer]).for_each(|unit| set_bias(&mut network, layer, unit, 0.0));
        }
        set(&mut network, 0, 0.0, |_, unit| unit == 5);
        let (smaller, _) = compacted(&network, &[], &[]);
        assert_eq!(smaller.architecture.hidden, [5, 5]);
        let layout = ParameterLayout::new(&smaller.architecture);
        assert!(layout.missing().all(|bias| smaller.parameters[bias.range()].iter().all(|&bias| bias == 0.0)));
    }

    #[test]
    fn a_dark_input_that_is_not_0_goes_into_the_biases_or_stays() {
        let mut images = images(12, &[]);
        images.chunks_exact_mut(12).for_each(|image| image[4] = -0.4);
        let is_dark: Vec<bool> = (0..12).map(|place| place == 4).collect();
        let dark = DarkInputs { is_dark: &is_dark, feature: -0.4 };
        let network = dnn();
        let (smaller, findings) = network.clone().lossless(Some(dark));
        assert_eq!((findings.dark_inputs, smaller.inputs.len()), (vec![4], 11));
        for (found, expected) in logits(&smaller, &images, 12).iter().zip(logits(&network, &images, 12)) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}");
        }
        let architecture = Architecture { bias: false, ..network.architecture };
        let (same, _) = CompactNetwork { architecture, ..network }.lossless(Some(dark));
        assert_eq!(same.inputs.len(), 12);
    }

    #[test]
    fn each_layer_keeps_a_unit_and_the_logits_stay_constant() {
        let mut network = dnn();
        set(&mut network, 1, 0.0, |_, _| true);
        let (smaller, _) = compacted(&network, &[], &[]);
        assert_eq!(smaller.architecture.hidden, [1, 1]);
    }

    #[test]
    fn sizes_count_weights_multiply_adds_and_units() {
        let network = cnn().architecture;
        let expected = [27 + 108 + 6 * 4 * 6 + 30 + 15, 30 * 27 + 6 * 108 + 144 + 30 + 15, 3 + 4 + 6 + 5];
        let found = [Measure::Weights, Measure::MultiplyAdds, Measure::Units].map(|measure| size(&network, measure));
        assert_eq!(found, expected);
    }
}
