//! The surgeon on a whole network: paths of all chosen layers merged to one order, cuts applied front to back, in stages.
//!
//! Every layer is solved anew so that its units give what they gave in the dense network, on what the already pruned layers
//! before it now give them: no label, no training step. Formulas and sources: `docs/kernels/surgeon.md`.

mod stages;
#[cfg(test)]
mod tests;

pub use stages::{Course, Stage, StageTimes, Way};

use super::surgeon::{LayerPaths, Removal, RemovalOrder, kept_when_smaller, merge, shares_gram};
use crate::engine::{ActiveRows, ChainLayer, Engine, MOST_POLISHED, Moments, Refit, Rows, SurgeonLayer, Watch};
use crate::error::{Error, Result};
use crate::network::{Architecture, Layer, ParameterLayout};
use crate::random::{Sequence, Stream};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// The most rows of a layer: positions of a convolution beyond it are drawn at random.
pub const MOST_ROWS: usize = 60_000;

/// The most bytes of moments of a layer of the dense network that are kept from one cut to the next.
const KEPT_BYTES: usize = 4 << 20;

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

/// What does not change while a network is cut: the dense network's pre-activations on the calibration images.
pub struct Surgery<'a> {
    architecture: &'a Architecture,
    layers: Vec<LayerTargets>,
    settings: Settings,
    /// `[image, feature]`
    images: &'a [f32],
    count: usize,
    dense: PrunedNetwork,
    /// Those of the layer of the dense network that was asked for last.
    moments: Mutex<Option<(usize, Arc<Moments>)>>,
}

/// A layer, and what its units are to give.
struct LayerTargets {
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
            layers.push(LayerTargets {
                layer,
                weights,
                bias,
                rows,
                targets: output.pre_activations,
                winners: output.winners,
            });
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
            let LayerTargets { layer, .. } = &self.layers[index];
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
        let silent = watch.silent();
        let moments = Arc::new(engine.moments(&self.layer(layer, &self.dense, &input), &silent)?);
        if moments.bytes() <= KEPT_BYTES {
            *self.moments.lock() = Some((layer, Arc::clone(&moments)));
        }
        Ok(moments)
    }

    /// The flat places of what polishing moves: all weights that `network` keeps, and its biases.
    pub fn moving(&self, network: &PrunedNetwork) -> Vec<u32> {
        let of_layer = |(LayerTargets { weights, bias, .. }, kept): (&LayerTargets, &Vec<bool>)| {
            let places = weights.clone().zip(kept.clone()).filter(|&(_, kept)| kept).map(|(place, _)| place);
            let biases = if self.architecture.bias { bias.clone() } else { 0..0 };
            places.chain(biases).map(|place| place as u32)
        };
        self.layers.iter().zip(&network.kept).flat_map(of_layer).collect()
    }

    /// Moves all weights that `network` keeps, and its biases, `steps` steps towards the dense logits, where they are few enough
    /// for that, see [`MOST_POLISHED`]; if not, nothing changes.
    ///
    /// Fails as [`Engine::polish`] does.
    pub fn polish(&self, engine: &Engine, network: &mut PrunedNetwork, steps: u32, watch: &Watch<'_>) -> Result<()> {
        let chosen = self.moving(network);
        // Every image is a row of the output layer, and what its units are to give are the dense logits.
        if let Some(LayerTargets { targets, .. }) =
            self.layers.last().filter(|_| steps > 0 && chosen.len() <= MOST_POLISHED)
        {
            let silent = watch.silent();
            let images = (self.images, targets.as_slice());
            let polished = engine.polish(self.architecture, &network.parameters, &chosen, images, steps, &silent)?;
            network.parameters = polished.parameters;
        }
        Ok(())
    }

    /// Puts what a layer was solved for in its place.
    fn put(&self, network: &mut PrunedNetwork, layer: usize, refit: &Refit) {
        let LayerTargets { weights, bias, .. } = &self.layers[layer];
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

    /// What a layer reads in the dense network.
    fn input(&self, engine: &Engine, layer: usize) -> Result<Vec<f32>> {
        // All that a dense layer gives is known already.
        let known = layer.checked_sub(1).map(|before| &self.layers[before]);
        if let Some(LayerTargets { layer: Layer::Dense(_), targets, .. }) = known {
            return Ok(targets.iter().map(|&z| if z <= 0.0 { 0.0 } else { z }).collect());
        }
        (0..layer)
            .try_fold(self.images.to_vec(), |input, index| self.output(engine, index, &self.dense.parameters, &input))
    }

    /// What layer `index` makes of `input`.
    fn output(&self, engine: &Engine, index: usize, parameters: &[f32], input: &[f32]) -> Result<Vec<f32>> {
        let LayerTargets { layer, weights, bias, .. } = &self.layers[index];
        let [weights, bias] = [weights, bias].map(|range| &parameters[range.clone()]);
        Ok(engine.forward_layer(layer, weights, bias, input, Some(&[]))?.values)
    }

    /// The surgeon's view of layer `index` that reads `input`.
    fn layer<'b>(&'b self, index: usize, network: &'b PrunedNetwork, input: &'b [f32]) -> SurgeonLayer<'b> {
        let LayerTargets { layer, weights, bias, rows, targets, winners } = &self.layers[index];
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
        // Those that were not drawn would take memory for as long as the network is cut.
        rows.shrink_to_fit();
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
