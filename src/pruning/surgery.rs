//! The surgeon on a whole network: paths of all chosen layers merged to one order, cuts applied front to back, in stages.
//!
//! Every layer is solved anew so that its units give what they gave in the dense network, on what the already pruned layers
//! before it now give them: no label, no training step. Formulas and sources: `docs/kernels/surgeon.md`.

use super::surgeon::{LayerPaths, Removal, RemovalOrder, kept_when_smaller, merge, shares_gram};
use crate::engine::{ActiveRows, ChainLayer, Engine, Moments, Refit, Rows, SurgeonLayer, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout, Part};
use crate::random::{Sequence, Stream};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most rows of a layer: positions of a convolution beyond it are drawn at random.
pub const MOST_ROWS: usize = 60_000;

/// The most bytes of moments of a layer of the dense network that are kept from one cut to the next.
const KEPT_BYTES: usize = 4 << 20;

/// The most `units * inputs^3`, over all layers that take part, that is begun with: some minutes for a network.
const MOST_WORK: f64 = 1e12;

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

/// What one stage of a way takes away.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// How many of the chosen weights stay after it.
    pub kept: usize,
    /// What goes, one after the other; layers are counted among the chosen ones.
    pub removals: Vec<Removal>,
}

/// The way of a network from dense to its smallest size, stage by stage: cut anywhere it is nested. One layer alone has one
/// stage, at whose end nothing is left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// The stages, one after the other.
    pub stages: Vec<Stage>,
}

impl Stage {
    /// What goes of it where `kept` weights stay, of `there` that were there before.
    fn cut(&self, there: usize, kept: usize, layers: usize) -> &[Removal] {
        // No layer loses its last weight, unless all go.
        let spared = if self.kept == 0 && kept > 0 { layers } else { 0 };
        &self.removals[..there.saturating_sub(kept).min(self.removals.len().saturating_sub(spared))]
    }
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
    /// Those of the layer of the dense network that was asked for last.
    moments: Mutex<Option<(usize, Arc<Moments>)>>,
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
            let rows = match layer {
                Layer::Dense(_) => (0..count as u32).collect(),
                Layer::Convolution(_) => chosen_rows(count * layer.rows(), settings.seed, index as u32),
            };
            let [own, own_bias] = [&weights, &bias].map(|range| &parameters[range.clone()]);
            let output = engine.forward_layer(&layer, own, own_bias, &input, Some(&rows))?;
            input = output.values;
            layers.push(Place { layer, weights, bias, rows, targets: output.pre_activations, winners: output.winners });
        }
        let kept = layers.iter().map(|place| vec![true; place.weights.len()]).collect();
        let dense = PrunedNetwork { parameters: parameters.to_vec(), kept };
        let moments = Mutex::default();
        Ok(Self { architecture, layers, settings, images, count, dense, moments })
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
        let known = self.moments(engine, chosen.first().copied().unwrap_or(0), watch)?;
        self.order_from(engine, network, chosen, &known, ratios, watch)
    }

    /// The same with moments of the first of the layers in the dense network.
    fn order_from(
        &self,
        engine: &mut Engine,
        network: &PrunedNetwork,
        chosen: &[usize],
        known: &Moments,
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
    ) -> Result<RemovalOrder> {
        // One layer alone needs no importance: it would only favour units that the next layer reads strongly.
        let mut importance = match chosen {
            [only] => vec![Vec::new(), vec![1.0; self.layers[*only].layer.units()]],
            _ => engine.importance(self.architecture, &network.parameters, self.images)?,
        };
        let mut paths = Vec::with_capacity(chosen.len());
        let first = chosen.first().copied().unwrap_or(0);
        // Nothing before the first of them has changed.
        let mut input = self.input(engine, first)?;
        for index in first..=chosen.last().copied().unwrap_or(0) {
            if let Some(place) = chosen.iter().position(|&layer| layer == index) {
                let ratios = ratios.map(|ratios| ratios[place].as_slice());
                let known = (index == first).then_some(known);
                let units = engine.paths(&self.layer(index, network, &input), known, ratios, watch)?;
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

    /// Of each layer which weights stay where these `removals` of `chosen` layers leave a network.
    pub fn cut(&self, network: &PrunedNetwork, chosen: &[usize], removals: &[Removal]) -> Vec<Vec<bool>> {
        let mut kept = network.kept.clone();
        for removal in removals {
            let index = chosen[removal.layer];
            kept[index][removal.input * self.layers[index].layer.units() + removal.unit] = false;
        }
        kept
    }

    /// For each of `cuts`, which say for every layer which weights stay, the network that is left: layers from `first` on
    /// solved anew, front to back. Progress is in units of cuts.
    ///
    /// Fails as [`Engine::refit_chain`] does.
    pub fn refit_cuts(
        &self,
        engine: &mut Engine,
        first: usize,
        cuts: Vec<Vec<Vec<bool>>>,
        watch: &Watch<'_>,
    ) -> Result<Vec<PrunedNetwork>> {
        let known = self.moments(engine, first, watch)?;
        self.refit_from(engine, &self.dense, first, &known, cuts, watch)
    }

    /// The same of a `network` whose layers before `first` are the dense one's, with moments of that layer.
    fn refit_from(
        &self,
        engine: &mut Engine,
        network: &PrunedNetwork,
        first: usize,
        known: &Moments,
        cuts: Vec<Vec<Vec<bool>>>,
        watch: &Watch<'_>,
    ) -> Result<Vec<PrunedNetwork>> {
        let input = self.input(engine, first)?;
        // Rows of the layers behind are read from what each cut leaves of those before.
        let chain: Vec<ChainLayer<'_>> = (first..self.layers.len())
            .map(|index| {
                (self.layers[index].layer, self.layer(index, network, if index == first { &input } else { &[] }))
            })
            .collect();
        let kept: Vec<Vec<&[bool]>> = cuts.iter().map(|cut| cut[first..].iter().map(Vec::as_slice).collect()).collect();
        let solved = engine.refit_chain(&chain, Some(known), &kept, watch)?;
        let put = |(refits, kept): (Vec<Refit>, Vec<Vec<bool>>)| {
            let mut solved = PrunedNetwork { parameters: network.parameters.clone(), kept };
            (first..).zip(&refits).for_each(|(index, refit)| self.put(&mut solved, index, refit));
            solved
        };
        Ok(solved.into_iter().zip(cuts).map(put).collect())
    }

    /// Moments of a layer of the dense network, which serve as long as nothing before it is cut.
    fn moments(&self, engine: &Engine, layer: usize, watch: &Watch<'_>) -> Result<Arc<Moments>> {
        if let Some((_, known)) = self.moments.lock().as_ref().filter(|(index, _)| *index == layer) {
            return Ok(Arc::clone(known));
        }
        let input = self.input(engine, layer)?;
        let silent = Watch { stop: watch.stop, progress: &|_| {} };
        let moments = Arc::new(engine.moments(&self.layer(layer, &self.dense, &input), &silent)?);
        if moments.bytes() <= KEPT_BYTES {
            *self.moments.lock() = Some((layer, Arc::clone(&moments)));
        }
        Ok(moments)
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

    /// The way of one layer alone: one order, to the end.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn way_of_layer(
        &self,
        engine: &mut Engine,
        layer: usize,
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
    ) -> Result<Way> {
        let order = self.order(engine, &self.dense, &[layer], ratios, watch)?;
        Ok(Way { stages: vec![Stage { kept: 0, removals: order.cut(0).to_vec() }] })
    }

    /// Cuts `chosen` layers stage by stage: order, importance and Gram matrices anew from what the stage before left, as far
    /// as they are not `known` from before. `stages` fall: how many of the chosen weights stay. `each` gets the network where
    /// so many stay as each of `points` says, from the most to the fewest. What lies between two stages goes by the order that
    /// the later one is cut by, and what lies behind the last by one order more; so no point depends on which others are
    /// asked for.
    ///
    /// Fails as [`Engine::paths`] does.
    pub fn in_stages(
        &self,
        engine: &mut Engine,
        chosen: &[usize],
        stages: &[usize],
        points: &[usize],
        known: &Way,
        ratios: Option<&[Vec<f32>]>,
        watch: &Watch<'_>,
        each: &mut dyn FnMut(usize, &PrunedNetwork) -> Result<()>,
    ) -> Result<(Way, StageTimes)> {
        let mut times = StageTimes::default();
        let (mut way, mut network) = (Way::default(), self.dense.clone());
        let first = chosen.first().copied().unwrap_or(0);
        let mut points = points.to_vec();
        points.sort_unstable_by(|a, b| b.cmp(a));
        points.dedup();
        let mut points = points.into_iter().peekable();
        let start = Instant::now();
        let moments = self.moments(engine, first, watch)?;
        times.paths += start.elapsed();
        for (place, stage) in stages.iter().copied().map(Some).chain([None]).enumerate() {
            if points.peek().is_none() {
                break;
            }
            let start = Instant::now();
            let there = chosen.iter().map(|&index| network.kept[index].iter().filter(|&&kept| kept).count()).sum();
            let own = match known.stages.get(place).filter(|known| Some(known.kept) == stage) {
                Some(known) => known.clone(),
                None => {
                    let order = self.order_from(engine, &network, chosen, &moments, ratios, watch)?;
                    let kept = stage.unwrap_or(0);
                    Stage { kept, removals: order.cut(kept).to_vec() }
                }
            };
            times.paths += start.elapsed();
            let start = Instant::now();
            let mut cuts = Vec::new();
            while let Some(point) = points.next_if(|&point| stage.is_none_or(|stage| point > stage)) {
                cuts.push(point);
            }
            let beside = cuts.len();
            // Where nothing is asked for beyond, the stage itself is none to stop at.
            cuts.extend(stage.filter(|_| points.peek().is_some()));
            let kept = |&point: &usize| self.cut(&network, chosen, own.cut(there, point, chosen.len()));
            let mut solved =
                self.refit_from(engine, &network, first, &moments, cuts.iter().map(kept).collect(), watch)?;
            times.refit += start.elapsed();
            for (&point, network) in cuts.iter().zip(&solved[..beside]) {
                each(point, network)?;
            }
            if solved.len() > beside
                && let Some(last) = solved.pop()
            {
                network = last;
            }
            if let Some(stage) = stage {
                if points.next_if_eq(&stage).is_some() {
                    each(stage, &network)?;
                }
                way.stages.push(own);
            }
        }
        Ok((way, times))
    }

    /// What a layer reads in the dense network.
    fn input(&self, engine: &Engine, layer: usize) -> Result<Vec<f32>> {
        // All that a dense layer gives is known already.
        let known = layer.checked_sub(1).map(|before| &self.layers[before]);
        if let Some(Place { layer: Layer::Dense(_), targets, .. }) = known {
            return Ok(targets.iter().map(|&z| if z <= 0.0 { 0.0 } else { z }).collect());
        }
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
fn chosen_rows(count: usize, seed: u64, layer: u32) -> Vec<u32> {
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
                surgery.in_stages(
                    &mut engine,
                    &chosen,
                    &kept,
                    &kept,
                    &Way::default(),
                    None,
                    watch,
                    &mut |_, network| {
                        found.push(network.clone());
                        Ok(())
                    },
                )
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
        let half = surgery.cut(surgery.dense(), &[focus], order.cut(20));
        let cuts = vec![surgery.dense().kept.clone(), half.clone()];
        let networks = silent(|watch| surgery.refit_cuts(&mut engine, focus, cuts, watch)).unwrap();
        // Solved with a condition of 1 / ridge in single precision.
        let largest = parameters.iter().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
        for (found, expected) in networks[0].parameters.iter().zip(&parameters) {
            assert!((found - expected).abs() <= 8.0 * f32::EPSILON * 8.0 / 1e-3 * largest, "{found} for {expected}");
        }
        assert_eq!(networks[1].kept[focus].iter().filter(|&&kept| kept).count(), 20);
        // One by one or together: the same bits.
        let alone = silent(|watch| surgery.refit_cuts(&mut engine, focus, vec![half], watch)).unwrap();
        assert_eq!(alone[0], networks[1]);
    }

    #[test]
    fn a_known_way_gives_the_same_bits_and_no_point_depends_on_the_others() {
        let mut engine = Engine::cpu(Some(2)).unwrap();
        for architecture in architectures() {
            let parameters = numbers(4, ParameterLayout::new(&architecture).parameters(), 0.8);
            let images = images(&architecture);
            let surgery = Surgery::new(&engine, &architecture, &parameters, &images, Settings::default()).unwrap();
            let chosen: Vec<usize> = (0..surgery.layers.len()).collect();
            let [two, three, four, five] = [2.0, 3.0, 4.0, 5.0].map(|size| surgery.kept_at(&chosen, size).unwrap());
            let mut walk = |points: &[usize], known: &Way| {
                let mut found = Vec::new();
                let (way, _) = silent(|watch| {
                    surgery.in_stages(
                        &mut engine,
                        &chosen,
                        &[two, four],
                        points,
                        known,
                        None,
                        watch,
                        &mut |kept, network| {
                            found.push((kept, network.clone()));
                            Ok(())
                        },
                    )
                })
                .unwrap();
                (way, found)
            };
            let all = [three, five, two, four];
            let (way, found) = walk(&all, &Way::default());
            assert_eq!(found.iter().map(|(kept, _)| *kept).collect::<Vec<_>>(), [two, three, four, five]);
            assert_eq!(way.stages.iter().map(|stage| stage.kept).collect::<Vec<_>>(), [two, four]);
            assert_eq!(walk(&all, &way), (way.clone(), found.clone()));
            let begun = Way { stages: way.stages[..1].to_vec() };
            assert_eq!(walk(&all, &begun), (way.clone(), found.clone()));
            for one in &found {
                assert_eq!(walk(&[one.0], &way).1, [one.clone()]);
            }
        }
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
