//! The surgeon on a whole network: paths of all chosen layers merged to one order, cuts applied front to back, in stages.
//!
//! Every layer is solved anew so that its units give what they gave in the dense network, on what the already pruned layers
//! before it now give them: no label, no training step. Formulas and sources: `docs/kernels/surgeon.md`.

use super::surgeon::{LayerPaths, RemovalOrder, kept_when_smaller, merge, shares_gram};
use crate::engine::{ActiveRows, Engine, Refit, Rows, SurgeonLayer, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout, Part};
use crate::random::{Sequence, Stream};
use std::ops::Range;
use std::time::{Duration, Instant};

/// The most rows of a layer: positions of a convolution beyond it are drawn at random.
pub const MOST_ROWS: usize = 60_000;

/// The most `units * inputs^3`, over all layers that take part, that is begun with: some minutes for a network.
pub(super) const MOST_WORK: f64 = 1e12;

/// How rows are weighed and equations are kept solvable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How much a row counts where the unit's ReLU lets nothing through, from 0 to 1.
    pub inactive_weight: f32,
    /// The ridge as a share of the mean of the Gram matrix' diagonal, above 0.
    pub ridge: f32,
    /// Key of the draw of positions.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { inactive_weight: 0.1, ridge: 1e-3, seed: 0 }
    }
}

/// A network on its way from dense to pruned.
#[derive(Clone, Debug, PartialEq)]
pub struct PrunedNetwork {
    /// All parameters, in the network's layout; removed weights are exactly 0.
    pub parameters: Vec<f32>,
    /// Of each layer which weights are there, in the order of its weight tensor.
    pub kept: Vec<Vec<bool>>,
}

/// How long the parts of cutting in stages took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Importance, Gram matrices and paths.
    pub paths: Duration,
    /// Solving what is left anew.
    pub refit: Duration,
}

/// What does not change while a network is cut: the dense network's pre-activations on the calibration images.
pub struct Surgery<'a> {
    architecture: &'a Architecture,
    layers: Vec<Place>,
    settings: Settings,
    /// `[image, feature]`
    images: &'a [f32],
    count: usize,
    dense: PrunedNetwork,
}

/// A layer, and what its units are to give.
struct Place {
    layer: Layer,
    weights: Range<usize>,
    bias: Range<usize>,
    /// Which rows count: flat places in `[image, y, x]`.
    rows: Vec<u32>,
    /// `[row, unit]`
    targets: Vec<f32>,
    /// `[row, unit]`, where a pool follows.
    winners: Vec<bool>,
}

impl<'a> Surgery<'a> {
    /// Takes in a dense network of `parameters` and calibration `images` `[image, feature]`, pixels divided by their scale.
    ///
    /// Fails with [`Error::Usage`] without an image, and with [`Error::Shape`] if lengths do not fit the network.
    pub fn new(
        engine: &Engine,
        architecture: &'a Architecture,
        parameters: &[f32],
        images: &'a [f32],
        settings: Settings,
    ) -> Result<Self> {
        let layout = ParameterLayout::new(architecture);
        let all = Layer::all(architecture);
        let length = all[0].input_len();
        let count = images.len() / length;
        if count == 0 {
            return Err(Error::Usage(
                "the surgeon needs at least one calibration image; use --calibration-images".into(),
            ));
        }
        if parameters.len() != layout.parameters() || !images.len().is_multiple_of(length) {
            return Err(Error::Shape(format!(
                "{} parameters and images of {} features in all; the network has {} and takes {length} of each",
                parameters.len(),
                images.len(),
                layout.parameters()
            )));
        }
        let mut layers = Vec::with_capacity(all.len());
        let mut input = images.to_vec();
        for (index, layer) in all.into_iter().enumerate() {
            let [weights, bias] = Layer::tensors(&layout, index).map(|tensor| tensor.range());
            let rows = chosen_rows(count * layer.rows(), settings.seed, index as u32);
            let [own, own_bias] = [&weights, &bias].map(|range| &parameters[range.clone()]);
            let output = engine.forward_layer(&layer, own, own_bias, &input, Some(&rows))?;
            input = output.values;
            layers.push(Place { layer, weights, bias, rows, targets: output.pre_activations, winners: output.winners });
        }
        let kept = layers.iter().map(|place| vec![true; place.weights.len()]).collect();
        let dense = PrunedNetwork { parameters: parameters.to_vec(), kept };
        Ok(Self { architecture, layers, settings, images, count, dense })
    }

    /// The network before any cut.
    pub fn dense(&self) -> &PrunedNetwork {
        &self.dense
    }

    /// Calibration images.
    pub fn images(&self) -> usize {
        self.count
    }

    /// Units of these layers.
    pub fn units(&self, layers: &[usize]) -> usize {
        layers.iter().map(|&layer| self.layers[layer].layer.units()).sum()
    }

    /// Fails with [`Error::Usage`] where solving `chosen` layers exactly would take hours: the work grows with the cube of a
    /// unit's inputs.
    pub fn check_work(&self, chosen: &[usize]) -> Result<()> {
        let cost = |&index: &usize| {
            let Place { layer, .. } = &self.layers[index];
            (layer.units() as f64 * (layer.inputs() as f64).powi(3), index, layer.inputs())
        };
        let work: f64 = chosen.iter().map(cost).map(|(work, ..)| work).sum();
        let largest = chosen.iter().map(cost).max_by(|a, b| a.0.total_cmp(&b.0));
        match largest.filter(|_| work > MOST_WORK) {
            None => Ok(()),
            Some((_, index, inputs)) => Err(Error::Usage(format!(
                "weights that stay are solved anew exactly, and layer {index}, counted from 0, has {inputs} inputs a unit: that would \
                 take hours; bring images to a smaller --side, or leave that layer out of --layers"
            ))),
        }
    }

    /// Which layer, counted from the image, a part of a selection belongs to.
    pub fn layer_of(&self, part: &Part) -> usize {
        self.layers.iter().position(|place| place.weights == part.range).unwrap_or(self.layers.len())
    }

    /// Which of the layers, counted from the image, share one Gram matrix among all their units.
    pub fn shared_layers(&self) -> Vec<usize> {
        let shared = |&index: &usize| {
            let layer = &self.layers[index].layer;
            shares_gram(layer.inputs(), layer.units())
        };
        (0..self.layers.len()).filter(shared).collect()
    }

    /// The order in which the weights of `chosen` layers go, counted from the image and ascending, that are still there.
    /// `ratios` are what the weights of each chosen layer are multiplied by before they are compared, see
    /// [`super::surgeon::holding_ratios`]. Progress is in units.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn order(
        &self,
        engine: &mut Engine,
        network: &PrunedNetwork,
        chosen: &[usize],
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
    ) -> Result<RemovalOrder> {
        // One layer alone needs no importance: it would only favour units that the next layer reads strongly.
        let mut importance = match chosen {
            [only] => vec![Vec::new(), vec![1.0; self.layers[*only].layer.units()]],
            _ => engine.importance(self.architecture, &network.parameters, self.images)?,
        };
        let mut paths = Vec::with_capacity(chosen.len());
        let mut input = self.images.to_vec();
        for index in 0..=chosen.last().copied().unwrap_or(0) {
            if let Some(place) = chosen.iter().position(|&layer| layer == index) {
                let ratios = ratios.map(|ratios| ratios[place].as_slice());
                let units = engine.paths(&self.layer(index, network, &input), ratios, watch)?;
                let importance = match chosen {
                    [_] => importance.remove(1),
                    _ => std::mem::take(&mut importance[index]),
                };
                paths.push(LayerPaths { units, importance });
            }
            if chosen.last() != Some(&index) {
                input = self.output(engine, index, &network.parameters, &input)?;
            }
        }
        Ok(merge(&paths))
    }

    /// Takes the first weights of an `order` of `chosen` layers away, so that `kept` of them stay, without solving anything anew.
    pub fn cut(&self, network: &mut PrunedNetwork, chosen: &[usize], order: &RemovalOrder, kept: usize) {
        for removal in order.cut(kept) {
            let index = chosen[removal.layer];
            let place = removal.input * self.layers[index].layer.units() + removal.unit;
            network.kept[index][place] = false;
        }
    }

    /// Solves all layers from `first` on anew, front to back, within what `network` keeps. Progress is in units.
    ///
    /// Fails as [`Engine::refit`] does.
    pub fn refit(
        &self,
        engine: &mut Engine,
        network: &mut PrunedNetwork,
        first: usize,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let input = self.input(engine, first)?;
        self.refit_from(engine, network, first, input, watch)
    }

    fn refit_from(
        &self,
        engine: &mut Engine,
        network: &mut PrunedNetwork,
        first: usize,
        mut input: Vec<f32>,
        watch: &Watch<'_>,
    ) -> Result<()> {
        for index in first..self.layers.len() {
            let layer = self.layer(index, network, &input);
            let refit = engine.refit(&layer, &[&network.kept[index]], watch)?.remove(0);
            self.put(network, index, &refit);
            if index + 1 < self.layers.len() {
                input = self.output(engine, index, &network.parameters, &input)?;
            }
        }
        Ok(())
    }

    /// For each of `cuts`, which say for every layer which weights stay, the network that is left: layers from `first` on
    /// solved anew. The moments of that layer are added up once for all cuts. Progress is in units.
    ///
    /// Fails as [`Engine::refit`] does.
    pub fn refit_cuts(
        &self,
        engine: &mut Engine,
        first: usize,
        cuts: Vec<Vec<Vec<bool>>>,
        watch: &Watch<'_>,
    ) -> Result<Vec<PrunedNetwork>> {
        let input = self.input(engine, first)?;
        let of_first: Vec<&[bool]> = cuts.iter().map(|kept| kept[first].as_slice()).collect();
        let refits = engine.refit(&self.layer(first, &self.dense, &input), &of_first, watch)?;
        let mut networks = Vec::with_capacity(cuts.len());
        for (refit, kept) in refits.into_iter().zip(cuts) {
            let mut network = PrunedNetwork { parameters: self.dense.parameters.clone(), kept };
            self.put(&mut network, first, &refit);
            if first + 1 < self.layers.len() {
                let behind = self.output(engine, first, &network.parameters, &input)?;
                self.refit_from(engine, &mut network, first + 1, behind, watch)?;
            }
            networks.push(network);
        }
        Ok(networks)
    }

    /// Puts what a layer was solved for in its place.
    fn put(&self, network: &mut PrunedNetwork, layer: usize, refit: &Refit) {
        let Place { weights, bias, .. } = &self.layers[layer];
        network.parameters[weights.clone()].copy_from_slice(&refit.weights);
        if self.architecture.bias {
            network.parameters[bias.clone()].copy_from_slice(&refit.bias);
        }
    }

    /// For each input of a layer the Euclidean norm, over all calibration images, of what arrives there in the dense network;
    /// of a convolution over all positions too, beyond the border 0. `[input]`, of a convolution `[ky, kx, channel]`.
    ///
    /// Fails as [`Engine::forward_layer`] does.
    pub fn input_norms(&self, engine: &Engine, layer: usize) -> Result<Vec<f32>> {
        let input = self.input(engine, layer)?;
        let place = &self.layers[layer];
        let inputs = place.layer.inputs();
        let columns: Vec<u32> = (0..inputs as u32).collect();
        let rows = self.layer(layer, &self.dense, &input).rows;
        let (mut row, mut squares) = (vec![0.0; inputs], vec![0.0f64; inputs]);
        for place in 0..rows.len() {
            rows.gather(place, &columns, &mut row);
            squares.iter_mut().zip(&row).for_each(|(sum, &x)| *sum += f64::from(x).powi(2));
        }
        // Where positions were drawn, all of them are stood for by those.
        let drawn = (self.count * place.layer.rows()) as f64 / rows.len() as f64;
        Ok(squares.into_iter().map(|sum| (sum * drawn).sqrt() as f32).collect())
    }

    /// How many weights of `chosen` layers stay where the whole network becomes `size` times smaller, biases apart.
    ///
    /// Fails with [`Error::Usage`] where the layers that are not chosen are larger than that allows.
    pub fn kept_at(&self, chosen: &[usize], size: f64) -> Result<usize> {
        let all: usize = self.layers.iter().map(|place| place.weights.len()).sum();
        let own: usize = chosen.iter().map(|&index| self.layers[index].weights.len()).sum();
        kept_when_smaller(all, size).checked_sub(all - own).filter(|&kept| kept > 0).ok_or_else(|| {
            Error::Usage(format!(
                "a network of {all} weights cannot become {size} times smaller by pruning {own} of them; choose more layers or \
                 a smaller size"
            ))
        })
    }

    /// Cuts `chosen` layers again and again: order, importance and Gram matrices anew from what the cut before left. `kept`
    /// falls: how many of the chosen weights stay. `each` gets the network of each cut, in their order.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn in_stages(
        &self,
        engine: &mut Engine,
        chosen: &[usize],
        kept: &[usize],
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
        each: &mut dyn FnMut(&PrunedNetwork) -> Result<()>,
    ) -> Result<StageTimes> {
        let mut times = StageTimes::default();
        let mut network = self.dense.clone();
        let first = chosen.first().copied().unwrap_or(0);
        for &kept in kept {
            let start = Instant::now();
            let order = self.order(engine, &network, chosen, ratios, watch)?;
            times.paths += start.elapsed();
            let start = Instant::now();
            self.cut(&mut network, chosen, &order, kept);
            self.refit(engine, &mut network, first, watch)?;
            times.refit += start.elapsed();
            each(&network)?;
        }
        Ok(times)
    }

    /// What a layer reads in the dense network.
    fn input(&self, engine: &Engine, layer: usize) -> Result<Vec<f32>> {
        (0..layer)
            .try_fold(self.images.to_vec(), |input, index| self.output(engine, index, &self.dense.parameters, &input))
    }

    /// What layer `index` makes of `input`.
    fn output(&self, engine: &Engine, index: usize, parameters: &[f32], input: &[f32]) -> Result<Vec<f32>> {
        let Place { layer, weights, bias, .. } = &self.layers[index];
        let [weights, bias] = [weights, bias].map(|range| &parameters[range.clone()]);
        Ok(engine.forward_layer(layer, weights, bias, input, Some(&[]))?.values)
    }

    /// The surgeon's view of layer `index` that reads `input`.
    fn layer<'b>(&'b self, index: usize, network: &'b PrunedNetwork, input: &'b [f32]) -> SurgeonLayer<'b> {
        let Place { layer, weights, bias, rows, targets, winners } = &self.layers[index];
        let (rows, active_rows) = match layer {
            Layer::Dense(dense) => {
                let active = if dense.relu { ActiveRows::Positive } else { ActiveRows::Always };
                (Rows::Features { values: input, inputs: dense.inputs }, active)
            }
            Layer::Convolution(conv) => {
                let active = if conv.pool { ActiveRows::Given(winners) } else { ActiveRows::Positive };
                let size = [conv.height, conv.width];
                (Rows::Patches { values: input, size, channels: conv.inputs, positions: rows }, active)
            }
        };
        SurgeonLayer {
            rows,
            units: layer.units(),
            pre_activations: targets,
            active_rows,
            inactive_weight: self.settings.inactive_weight,
            ridge: self.settings.ridge,
            weights: &network.parameters[weights.clone()],
            bias: self.architecture.bias.then(|| &network.parameters[bias.clone()]),
            kept: &network.kept[index],
            shares_gram: shares_gram(layer.inputs(), layer.units()),
        }
    }
}

/// All rows of a layer, or as many as are allowed, drawn at random, ascending.
pub(super) fn chosen_rows(count: usize, seed: u64, layer: u32) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..count as u32).collect();
    if count > MOST_ROWS {
        Sequence::new(seed, Stream::Calibration, 1, layer).choose(&mut rows, MOST_ROWS);
        rows.sort_unstable();
    }
    rows
}

/// The training images that calibrate, drawn at random without their labels: `count` of `samples`, or all, ascending.
pub fn calibration_images(samples: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut images: Vec<u32> = (0..samples as u32).collect();
    if count < samples {
        Sequence::new(seed, Stream::Calibration, 0, 0).choose(&mut images, count);
        images.sort_unstable();
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::masks::RemovalOrder as ByMagnitude;
    use std::sync::atomic::AtomicBool;

    fn silent<R>(work: impl FnOnce(&Watch<'_>) -> R) -> R {
        work(&Watch { stop: &AtomicBool::new(false), progress: &|_| {} })
    }

    fn architectures() -> [Architecture; 2] {
        let dnn = Architecture::dnn(8, 8, [7; 3], 3);
        [Architecture { convolutions: Architecture::paper_convolutions(2), ..dnn.clone() }, dnn]
    }

    fn numbers(first: u32, count: usize, scale: f64) -> Vec<f32> {
        let mut sequence = Sequence::new(5, Stream::Check, first, 7);
        (0..count).map(|_| sequence.between(-scale, scale) as f32).collect()
    }

    fn images(architecture: &Architecture) -> Vec<f32> {
        numbers(1, 200 * architecture.image_len(), 0.5).iter().map(|pixel| pixel + 0.5).collect()
    }

    fn logits(engine: &Engine, surgery: &Surgery<'_>, network: &PrunedNetwork) -> Vec<f32> {
        (0..surgery.layers.len()).fold(surgery.images.to_vec(), |input, index| {
            surgery.output(engine, index, &network.parameters, &input).unwrap()
        })
    }

    fn distance(one: &[f32], other: &[f32]) -> f64 {
        one.iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn stages_meet_their_sizes_nest_leave_exact_zeros_and_stay_closer_than_plain_cutting() {
        let mut engine = Engine::cpu(Some(2)).unwrap();
        for architecture in architectures() {
            let parameters = numbers(2, ParameterLayout::new(&architecture).parameters(), 0.8);
            let images = images(&architecture);
            let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
            let chosen: Vec<usize> = (0..surgery.layers.len()).collect();
            let all: usize = surgery.dense.kept.iter().map(Vec::len).sum();
            let dense = logits(&engine, &surgery, surgery.dense());
            let mut before = surgery.dense().clone();
            let mut found = Vec::new();
            silent(|watch| {
                let kept = [1.5, 3.0].map(|size| surgery.kept_at(&chosen, size).unwrap());
                surgery.in_stages(&mut engine, &chosen, &kept, None, watch, &mut |network| {
                    found.push(network.clone());
                    Ok(())
                })
            })
            .unwrap();
            for (network, size) in found.into_iter().zip([1.5, 3.0]) {
                let kept: usize = network.kept.iter().flatten().filter(|&&kept| kept).count();
                assert_eq!(kept, kept_when_smaller(all, size));
                for (place, kept) in surgery.layers.iter().zip(&network.kept) {
                    let weights = &network.parameters[place.weights.clone()];
                    assert!(weights.iter().zip(kept).all(|(&weight, &kept)| kept || weight == 0.0));
                }
                let nested = before.kept.iter().flatten().zip(network.kept.iter().flatten());
                assert!(nested.into_iter().all(|(&before, &now)| before || !now));
                // The same number of smallest weights, cut and nothing else.
                let ranges: Vec<Range<usize>> = surgery.layers.iter().map(|place| place.weights.clone()).collect();
                let magnitudes: Vec<f32> =
                    ranges.iter().flat_map(|range| &parameters[range.clone()]).map(|weight| weight.abs()).collect();
                let mask = ByMagnitude::smallest_first(&magnitudes).mask(all - kept);
                let mut plain = surgery.dense().clone();
                let places = ranges.iter().flat_map(Range::clone).zip(mask.iter());
                places.filter(|&(_, &kept)| !kept).for_each(|(place, _)| plain.parameters[place] = 0.0);
                let [cut, solved] =
                    [&plain, &network].map(|network| distance(&logits(&engine, &surgery, network), &dense));
                assert!(solved < cut / 2.0, "{size}: {solved} solved anew, {cut} cut");
                before = network;
            }
        }
    }

    #[test]
    fn where_nothing_goes_the_weights_stay_and_one_layer_alone_is_cut_by_its_own_order() {
        let mut engine = Engine::cpu(Some(2)).unwrap();
        let [_, architecture] = architectures();
        let parameters = numbers(3, ParameterLayout::new(&architecture).parameters(), 0.8);
        let images = images(&architecture);
        let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
        let focus = architecture.focus_layer();
        let order = silent(|watch| surgery.order(&mut engine, surgery.dense(), &[focus], None, watch)).unwrap();
        let mut half = surgery.dense().clone();
        surgery.cut(&mut half, &[focus], &order, 20);
        let cuts = vec![surgery.dense().kept.clone(), half.kept.clone()];
        let networks = silent(|watch| surgery.refit_cuts(&mut engine, focus, cuts, watch)).unwrap();
        // Solved with a condition of 1 / ridge in single precision.
        let largest = parameters.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        for (found, expected) in networks[0].parameters.iter().zip(&parameters) {
            assert!((found - expected).abs() <= 8.0 * f32::EPSILON * 8.0 / 1e-3 * largest, "{found} for {expected}");
        }
        assert_eq!(networks[1].kept[focus].iter().filter(|&&kept| kept).count(), 20);
        // One by one or together: the same bits.
        silent(|watch| surgery.refit(&mut engine, &mut half, focus, watch)).unwrap();
        assert_eq!(half, networks[1]);
    }

    #[test]
    fn impossible_requests_are_refused() {
        let engine = Engine::cpu(Some(1)).unwrap();
        let [_, architecture] = architectures();
        let parameters = numbers(3, ParameterLayout::new(&architecture).parameters(), 0.8);
        let none = Surgery::new(&engine, &architecture, &parameters, &[], Settings::default());
        assert_eq!(none.err().map(|error| error.exit_code()), Some(2));
        let images = images(&architecture);
        let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
        let focus = architecture.focus_layer();
        let error = surgery.kept_at(&[focus], 100.0).unwrap_err();
        assert!(matches!(error, Error::Usage(ref text) if text.contains("100 times smaller")), "{error}");
        let too_many = vec![1.0; 3];
        assert!(Surgery::new(&engine, &architecture, &too_many, &images, Settings::default()).is_err());
    }

    #[test]
    fn calibration_images_are_drawn_once_each_and_by_seed() {
        assert_eq!(calibration_images(5, 9, 1), [0, 1, 2, 3, 4]);
        let [one, other] = [1, 2].map(|seed| calibration_images(1000, 100, seed));
        assert!(one != other && one.windows(2).all(|pair| pair[0] < pair[1]) && one.len() == 100);
    }
}
