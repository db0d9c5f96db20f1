//! Whole units, filters and pixels taken out by the surgeon, until a network is as small as is asked.
//!
//! What a unit gives is an input of the layer behind it, of a convolution nine, one for each tap, behind a convolution one for
//! each position. Each layer says in which order its inputs would go, by what the loss of one costs all its units; all
//! layers are merged by that cost for each weight, or multiply-add, that is saved: the layer's own, and those of the unit that
//! nobody reads any more. Other programs compute units in blocks, so that a layer can be told to keep a multiple of a number: then
//! units leave in blocks, each when its last one would. What is left is solved anew, front to back, so that it gives what the dense network gave. In stages:
//! each begins with what the one before left. Formulas and sources: `docs/kernels/surgeon.md`.

use super::compact::{CompactNetwork, Measure, Wanted, columns, may_go, size, widths, with_widths};
use super::surgery::{MOST_WORK, Settings, chosen_rows};
use crate::engine::{ActiveRows, Engine, Refit, Rows, SurgeonLayer, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout};

/// How many times smaller a network becomes in one stage.
const STAGE: f64 = 1.25;

/// A dense network, and what its units are to give on calibration images.
pub struct WholeInputs<'a> {
    network: &'a CompactNetwork,
    settings: Settings,
    /// `[image, input]`
    images: &'a [f32],
    layers: Vec<LayerTargets>,
}

/// A layer of the dense network.
struct LayerTargets {
    /// Which rows count: flat places in `[image, y, x]`.
    rows: Vec<u32>,
    /// `[row, unit]`
    targets: Vec<f32>,
}

/// A network on its way.
struct State {
    network: CompactNetwork,
    /// Which inputs, then which units of each layer of the dense network are left.
    kept: Vec<Vec<usize>>,
}

/// A unit or an input that may go.
struct Removal {
    /// The layer that reads it.
    layer: usize,
    /// Its number among those that are there.
    unit: usize,
    score: f64,
}

impl<'a> WholeInputs<'a> {
    /// Takes in a dense network and calibration `images` `[image, input]` as it reads them.
    ///
    /// Fails with [`Error::Usage`] without an image, and where a layer reads so much that solving it would take hours; with
    /// [`Error::Shape`] if lengths do not fit the network.
    pub fn new(engine: &Engine, network: &'a CompactNetwork, images: &'a [f32], settings: Settings) -> Result<Self> {
        let layout = ParameterLayout::new(&network.architecture);
        let length = network.architecture.image_len();
        let count = images.len() / length;
        if count == 0 {
            return Err(Error::Usage(
                "units are taken out with the help of calibration images, and there is none; use --calibration-images"
                    .into(),
            ));
        }
        if network.parameters.len() != layout.parameters() || !images.len().is_multiple_of(length) {
            return Err(Error::Shape(format!(
                "{} parameters and images of {} numbers in all; the network has {} and takes {length} of each",
                network.parameters.len(),
                images.len(),
                layout.parameters()
            )));
        }
        check_work(&network.architecture)?;
        let (mut layers, mut input) = (Vec::new(), images.to_vec());
        for (index, layer) in Layer::all(&network.architecture).iter().enumerate() {
            let rows = chosen_rows(count * layer.rows(), settings.seed, index as u32);
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &network.parameters[tensor.range()]);
            let output = engine.forward_layer(layer, weights, bias, &input, Some(&rows))?;
            input = output.values;
            layers.push(LayerTargets { rows, targets: output.pre_activations });
        }
        Ok(Self { network, settings, images, layers })
    }

    /// The network with units, filters and inputs taken out until no more is left than is wanted; of
    /// [`Measure::Units`] inputs stay all, and a convolution reads all of an image. Each layer keeps a unit, or as many as units
    /// come in. Progress is in [`Self::stages`].
    ///
    /// Fails with [`Error::Usage`] where a network with the fewest units in each layer is larger than that; as [`Engine::whole_inputs`]
    /// does; and with [`Error::Interrupted`] where a stop was asked for.
    pub fn reduce(&self, engine: &Engine, wanted: Wanted, watch: &Watch<'_>) -> Result<CompactNetwork> {
        let architecture = &self.network.architecture;
        wanted.check_reachable(architecture)?;
        let kept = widths(architecture).into_iter().map(|units| (0..units).collect()).collect();
        let mut state = State { network: self.network.clone(), kept };
        for most in self.stages(wanted) {
            watch.check()?;
            if size(&state.network.architecture, wanted.measure) > most {
                let order = self.order(engine, &state, wanted.measure, watch)?;
                self.cut(&mut state, &order, Wanted { most, ..wanted });
                self.refit(engine, &mut state, watch)?;
            }
            (watch.progress)(1);
        }
        Ok(state.network)
    }

    /// The sizes that are stopped at on the way, falling.
    pub fn stages(&self, Wanted { measure, most, .. }: Wanted) -> Vec<usize> {
        let mut left = size(&self.network.architecture, measure);
        let mut stages = Vec::new();
        while left > most {
            left = most.max((left as f64 / STAGE) as usize).min(left - 1);
            stages.push(left);
        }
        stages
    }

    /// All inputs of all layers in the order in which they go.
    fn order(&self, engine: &Engine, state: &State, measure: Measure, watch: &Watch<'_>) -> Result<Vec<Removal>> {
        let network = &state.network;
        let images = self.input(state);
        let importance = engine.importance(&network.architecture, &network.parameters, &images)?;
        let widths = widths(&network.architecture);
        let all = size(&network.architecture, measure);
        let mut order = Vec::new();
        let mut input = images;
        for (index, layer) in Layer::all(&network.architecture).iter().enumerate() {
            if may_go(&network.architecture, index, measure) {
                let mut fewer = widths.clone();
                fewer[index] -= 1;
                // One that is alone stays anyway.
                let saved = if fewer[index] == 0 {
                    1
                } else {
                    all - size(&with_widths(&network.architecture, &fewer), measure)
                };
                let groups: Vec<Vec<u32>> = (0..widths[index])
                    .map(|unit| columns(layer, widths[index], unit).map(|column| column as u32).collect())
                    .collect();
                let targets = self.targets(state, index);
                let kept = vec![true; layer.inputs() * layer.units()];
                let view = self.view(network, index, layer, &input, &targets, &kept);
                let mut largest = 0.0f64;
                for step in engine.whole_inputs(&view, &groups, &importance[index], watch)? {
                    largest = largest.max(step.cost.into());
                    order.push(Removal { layer: index, unit: step.group as usize, score: largest / saved as f64 });
                }
            }
            input = output(engine, network, index, layer, &input)?;
        }
        // Ties stay by layer and step.
        order.sort_by(|one, other| one.score.total_cmp(&other.score));
        Ok(order)
    }

    /// Takes the first of an order out until the network is as small as is wanted.
    fn cut(&self, state: &mut State, order: &[Removal], wanted: Wanted) {
        let architecture = &state.network.architecture;
        let mut left = widths(architecture);
        let least = wanted.least_widths(architecture);
        let mut stays: Vec<Vec<bool>> = left.iter().map(|&units| vec![true; units]).collect();
        // Units of each layer that go as soon as a multiple stays.
        let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); left.len()];
        for &Removal { layer, unit, .. } in order {
            if size(&with_widths(architecture, &left), wanted.measure) <= wanted.most {
                break;
            }
            let stay = left[layer] - leaving[layer].len();
            if stay > least[layer] {
                leaving[layer].push(unit);
                if (stay - 1).is_multiple_of(wanted.multiple_of(layer)) {
                    leaving[layer].drain(..).for_each(|unit| stays[layer][unit] = false);
                    left[layer] = stay - 1;
                }
            }
        }
        let kept: Vec<Vec<usize>> =
            stays.iter().map(|stays| (0..stays.len()).filter(|&unit| stays[unit]).collect()).collect();
        state.network = state.network.take(&kept);
        for (own, kept) in state.kept.iter_mut().zip(kept) {
            *own = kept.into_iter().map(|unit| own[unit]).collect();
        }
    }

    /// Solves all layers anew, front to back.
    fn refit(&self, engine: &Engine, state: &mut State, watch: &Watch<'_>) -> Result<()> {
        let layers = Layer::all(&state.network.architecture);
        let layout = ParameterLayout::new(&state.network.architecture);
        let mut input = self.input(state);
        for (index, layer) in layers.iter().enumerate() {
            let targets = self.targets(state, index);
            let kept = vec![true; layer.inputs() * layer.units()];
            let view = self.view(&state.network, index, layer, &input, &targets, &kept);
            let Refit { weights, bias } = engine.refit_whole(&view, watch)?;
            let [own_weights, own_bias] = Layer::tensors(&layout, index).map(|tensor| tensor.range());
            state.network.parameters[own_weights].copy_from_slice(&weights);
            state.network.parameters[own_bias].iter_mut().zip(bias).for_each(|(own, bias)| *own = bias);
            if index + 1 < layers.len() {
                input = output(engine, &state.network, index, layer, &input)?;
            }
        }
        Ok(())
    }

    /// Calibration images with the inputs that are left.
    fn input(&self, state: &State) -> Vec<f32> {
        let length = self.network.architecture.image_len();
        if state.network.architecture.image_len() == length {
            return self.images.to_vec();
        }
        self.images.chunks_exact(length).flat_map(|image| state.kept[0].iter().map(|&input| image[input])).collect()
    }

    /// What the units that are left are to give, `[row, unit]`.
    fn targets(&self, state: &State, index: usize) -> Vec<f32> {
        let units = Layer::all(&self.network.architecture)[index].units();
        let own = &state.kept[index + 1];
        self.layers[index].targets.chunks_exact(units).flat_map(|row| own.iter().map(|&unit| row[unit])).collect()
    }

    /// The surgeon's view of a layer that reads `input`.
    fn view<'b>(
        &'b self,
        network: &'b CompactNetwork,
        index: usize,
        layer: &Layer,
        input: &'b [f32],
        targets: &'b [f32],
        kept: &'b [bool],
    ) -> SurgeonLayer<'b> {
        let layout = ParameterLayout::new(&network.architecture);
        let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &network.parameters[tensor.range()]);
        let rows = match layer {
            Layer::Dense(dense) => Rows::Features { values: input, inputs: dense.inputs },
            Layer::Convolution(conv) => Rows::Patches {
                values: input,
                size: [conv.height, conv.width],
                channels: conv.inputs,
                positions: &self.layers[index].rows,
            },
        };
        SurgeonLayer {
            rows,
            units: layer.units(),
            pre_activations: targets,
            active_rows: ActiveRows::Always,
            inactive_weight: 1.0,
            ridge: self.settings.ridge,
            weights,
            bias: network.architecture.bias.then_some(bias),
            kept,
            shares_gram: true,
        }
    }
}

/// One matrix of each layer is inverted: the work grows with the cube of its inputs.
fn check_work(architecture: &Architecture) -> Result<()> {
    let inputs: Vec<usize> = Layer::all(architecture).iter().map(Layer::inputs).collect();
    let work: f64 = inputs.iter().map(|&inputs| (inputs as f64).powi(3)).sum();
    let largest = (0..).zip(&inputs).max_by_key(|(_, inputs)| **inputs);
    match largest.filter(|_| work > MOST_WORK) {
        None => Ok(()),
        Some((index, inputs)) => Err(Error::Usage(format!(
            "units that stay are solved anew exactly, and layer {index}, counted from 0, has {inputs} inputs a unit: that would \
             take hours; train on images of a smaller --side, or take out only what nobody can tell"
        ))),
    }
}

/// What layer `index` of a network makes of `input`.
fn output(engine: &Engine, network: &CompactNetwork, index: usize, layer: &Layer, input: &[f32]) -> Result<Vec<f32>> {
    let layout = ParameterLayout::new(&network.architecture);
    let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| &network.parameters[tensor.range()]);
    Ok(engine.forward_layer(layer, weights, bias, input, Some(&[]))?.values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Convolution;
    use crate::random::{Sequence, Stream};

    fn numbers(first: u32, count: usize, scale: f64) -> Vec<f32> {
        let mut sequence = Sequence::new(9, Stream::Check, first, 5);
        (0..count).map(|_| sequence.between(-scale, scale) as f32).collect()
    }

    /// A network without convolutions, one with, and images of 8 x 8 of each.
    fn networks() -> [CompactNetwork; 2] {
        let dnn = Architecture::dnn(8, 8, [12, 10], 4);
        let convolutions = [(6, true), (5, false)].map(|(filters, pool)| Convolution { filters, pool }).to_vec();
        [dnn.clone(), Architecture { convolutions, ..dnn }].map(|architecture| {
            let parameters = numbers(1, ParameterLayout::new(&architecture).parameters(), 0.4);
            CompactNetwork::new(architecture, parameters)
        })
    }

    fn images() -> Vec<f32> {
        numbers(2, 300 * 64, 0.5).iter().map(|pixel| pixel + 0.5).collect()
    }

    fn reduce(network: &CompactNetwork, measure: Measure, most: usize) -> Result<CompactNetwork> {
        let engine = Engine::cpu(Some(2)).unwrap();
        let images = images();
        let surgeon = WholeInputs::new(&engine, network, &images, Settings::default()).unwrap();
        surgeon.reduce(&engine, Wanted { measure, most, multiple: 1 }, &Watch::nobody())
    }

    fn logits(network: &CompactNetwork) -> Vec<f32> {
        let engine = Engine::cpu(Some(2)).unwrap();
        let images = images();
        let read = images.chunks_exact(64).flat_map(|image| network.inputs.iter().map(|&i| image[i as usize]));
        let layers = Layer::all(&network.architecture);
        layers.iter().enumerate().fold(read.collect(), |input: Vec<f32>, (index, layer)| {
            output(&engine, network, index, layer, &input).unwrap()
        })
    }

    fn distance(one: &[f32], other: &[f32]) -> f64 {
        one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn what_is_asked_is_reached_by_every_measure_and_no_layer_is_emptied() {
        for network in networks() {
            for measure in [Measure::Weights, Measure::MultiplyAdds, Measure::Units] {
                for times in [1.3, 2.0, 4.0] {
                    let most = (size(&network.architecture, measure) as f64 / times) as usize;
                    let smaller = reduce(&network, measure, most).unwrap();
                    let found = size(&smaller.architecture, measure);
                    assert!(found <= most && found * 3 > most, "{measure:?} {times}: {found} of {most}");
                    smaller.architecture.validate().unwrap();
                    let pixels_stay = measure == Measure::Units || !network.architecture.convolutions.is_empty();
                    assert!(!pixels_stay || smaller.inputs.len() == 64);
                    assert!(smaller.inputs.is_sorted());
                }
            }
        }
    }

    #[test]
    fn units_leave_in_blocks_where_a_multiple_is_to_stay() {
        let engine = Engine::cpu(Some(2)).unwrap();
        let images = images();
        for network in networks() {
            let surgeon = WholeInputs::new(&engine, &network, &images, Settings::default()).unwrap();
            let before = widths(&network.architecture);
            let reduce = |measure, multiple: usize, times: f64| {
                let most = (size(&network.architecture, measure) as f64 / times) as usize;
                let found = surgeon.reduce(&engine, Wanted { measure, most, multiple }, &Watch::nobody())?;
                assert!(size(&found.architecture, measure) <= most, "{measure:?} {multiple}");
                Ok(widths(&found.architecture))
            };
            for measure in [Measure::Weights, Measure::MultiplyAdds, Measure::Units] {
                for (multiple, times) in [(2, 1.5), (4, 1.5), (5, 1.2)] {
                    let left = reduce(measure, multiple, times).unwrap();
                    assert_ne!(left, before);
                    for layer in 1..before.len() {
                        assert!(left[layer] == before[layer] || left[layer].is_multiple_of(multiple), "{left:?}");
                    }
                }
            }
            for (multiple, sentence) in [(0, "multiples of 0"), (5, "with 5 units in each layer")] {
                let error: Error = reduce(Measure::Units, multiple, 10.0).unwrap_err();
                assert!(error.exit_code() == 2 && error.to_string().contains(sentence), "{error}");
            }
        }
    }

    #[test]
    fn the_surgeon_stays_closer_than_taking_the_last_units_out() {
        for network in networks() {
            let dense = logits(&network);
            let most = size(&network.architecture, Measure::Units) / 2;
            let smaller = reduce(&network, Measure::Units, most).unwrap();
            let all = widths(&network.architecture);
            let left = widths(&smaller.architecture);
            let first: Vec<Vec<usize>> = all.iter().zip(left).map(|(_, left)| (0..left).collect()).collect();
            let [plain, solved] = [&network.take(&first), &smaller].map(|network| distance(&logits(network), &dense));
            assert!(solved < plain / 2.0, "{solved} solved anew, {plain} cut");
        }
    }

    #[test]
    fn a_unit_that_is_another_ones_double_goes_first_and_nothing_is_lost() {
        let [mut network, _] = networks();
        let layout = ParameterLayout::new(&network.architecture);
        let [weights, bias] = Layer::tensors(&layout, 0).map(|tensor| tensor.range());
        for input in 0..64 {
            network.parameters[weights.start + input * 12 + 7] = network.parameters[weights.start + input * 12 + 3];
        }
        network.parameters[bias.start + 7] = network.parameters[bias.start + 3];
        let smaller = reduce(&network, Measure::Units, 21).unwrap();
        assert_eq!(smaller.architecture.hidden, [11, 10]);
        let (found, expected) = (logits(&smaller), logits(&network));
        // The ridge pulls both of them towards what they were: a thousandth of what there is to solve.
        let scale = distance(&expected, &vec![0.0; expected.len()]);
        assert!(distance(&found, &expected) < 1e-2 * scale);
    }

    #[test]
    fn impossible_wishes_are_refused_and_nothing_asked_changes_nothing() {
        let [network, _] = networks();
        let error = reduce(&network, Measure::Units, 1).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("still has 2"), "{error}");
        assert_eq!(reduce(&network, Measure::Units, 22).unwrap(), network);
        let engine = Engine::cpu(Some(1)).unwrap();
        let wide = Architecture::dnn(200, 200, [1, 1], 2);
        let wide = CompactNetwork::new(wide.clone(), vec![0.0; ParameterLayout::new(&wide).parameters()]);
        let error = WholeInputs::new(&engine, &wide, &[0.0; 40_000], Settings::default()).err().unwrap();
        assert!(error.exit_code() == 2 && error.to_string().contains("40000 inputs"), "{error}");
        let none = WholeInputs::new(&engine, &network, &[], Settings::default());
        assert_eq!(none.err().map(|error| error.exit_code()), Some(2));
    }
}
