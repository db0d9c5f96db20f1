//! From which share of its weights on a network is evaluated faster weight by weight than in blocks of registers.

use crate::clock::{Turns, by_turns, seconds};
use crate::cpu::fast::focus_sweep::BLOCK;
use crate::cpu::fast::network::{PaddedNetwork, PaddedReplica};
pub use crate::cpu::fast::sparse::CROSSOVER;
use crate::cpu::fast::sparse::{Lanes, SparseNetwork, input_lanes};
use crate::cpu::fast::training_step::{ImageBatch, Workspace, activations};
use crate::engine::{Replica, Watch};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use crate::random::{Sequence, Stream};
use crate::statistics::spread::Spread;
use std::hint::black_box;
use std::time::Duration;

/// Shares of weights that are not zero.
pub const DENSITIES: [f64; 9] = [0.01, 0.02, 0.05, 0.1, 1.0 / 6.0, 0.25, 0.35, 0.5, 1.0];
/// How often the ways are timed, in turn.
const TURNS: Turns = Turns { rounds: 9, within: Duration::from_secs(5), enough: 0.0 };
/// Samples that are computed together in blocks of registers, as the engine does.
const SAMPLES: usize = 96;
const IMAGES: usize = 5 * 2 * SAMPLES;
/// Multiply-adds that are enough to time one way once.
const ENOUGH: usize = 1 << 30;

/// One network.
#[derive(Clone, Debug)]
pub struct Crossover {
    /// Images that were classified, by one thread.
    pub images: usize,
    /// At each of [`DENSITIES`].
    pub ways: Vec<Ways>,
    /// The density at which a layer takes as long weight by weight as with all its weights, samples side by side both times: from
    /// there on evaluation takes all; between the two measured densities around it, none where one way is always faster.
    pub of_layers: Option<f64>,
    /// The density at which a network, each layer by the faster of these two, takes as long as in blocks of registers.
    pub of_network: Option<f64>,
}

/// Seconds of classifying the images in several ways, all layers and the loss; one number for each turn.
#[derive(Clone, Debug)]
pub struct Ways {
    /// As dense networks are evaluated: units side by side in blocks of registers.
    pub blocks: Vec<f64>,
    /// Samples side by side, every layer weight by weight; laying the images so is part of it.
    pub by_weight: Vec<f64>,
    /// The same with all weights of every layer.
    pub all_weights: Vec<f64>,
}

impl Ways {
    /// How many times as fast as in blocks of registers the faster of the other two ways is.
    pub fn gain(&self) -> Spread {
        let gains = [&self.by_weight, &self.all_weights].map(|way| Spread::of_ratios(&self.blocks, way));
        let faster = |a: Spread, b: Spread| if a.median > b.median { a } else { b };
        gains.into_iter().flatten().reduce(faster).unwrap_or_default()
    }
}

/// Times all ways at random weights of each density.
///
/// Fails with [`crate::error::Error::Interrupted`] after a stop.
pub fn crossover(architecture: &Architecture, watch: &Watch<'_>) -> Result<Crossover> {
    let mut draws = Sequence::new(1, Stream::Check, 0, 0);
    let images =
        (ENOUGH / architecture.forward_multiply_adds()).clamp(2 * SAMPLES, IMAGES).next_multiple_of(2 * SAMPLES);
    let pixels_of_all: Vec<u8> = (0..images * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
    let labels: Vec<u8> = (0..images).map(|_| draws.below(architecture.classes as u32) as u8).collect();
    let order: Vec<u32> = (0..images as u32).collect();
    let batch = |range: std::ops::Range<usize>| ImageBatch {
        images: &pixels_of_all,
        labels: &labels[range.clone()],
        order: &order[range],
        scale: 1.0 / 255.0,
    };
    let layers = Layer::all(architecture).len();
    let padded = PaddedNetwork::new(architecture, &Selection::focus(architecture));
    let mut workspace = Workspace::new(&padded, 1, SAMPLES);
    let mut lanes = Lanes::zeros(input_lanes(architecture, 0));
    let mut ways = Vec::new();
    for density in DENSITIES {
        let parameters = drawn(architecture, density, &mut draws);
        let replica = PaddedReplica::new(&padded, &Replica::new(parameters.clone()));
        // As weights are prepared before an image is seen, so are these.
        let side_by_side =
            [2.0, 0.0].map(|crossover| SparseNetwork::with_crossover(architecture, &parameters, 0..layers, crossover));
        let mut scratch = side_by_side[0].scratch();
        let taken = by_turns(3, TURNS, |way| {
            watch.check()?;
            let ((), seconds) = seconds(|| {
                let Some(network) = way.checked_sub(1).map(|place| &side_by_side[place]) else {
                    for first in (0..images).step_by(SAMPLES) {
                        let batch = batch(first..(first + SAMPLES).min(images));
                        black_box(activations(&padded, &replica, &mut workspace, batch, architecture.hidden.len() + 1));
                    }
                    return Ok(());
                };
                for first in (0..images).step_by(BLOCK) {
                    let batch = batch(first..(first + BLOCK).min(images));
                    black_box(network.evaluate_images(batch, &mut lanes, &mut scratch));
                }
                Ok(())
            })?;
            Ok(seconds)
        })?;
        let [blocks, by_weight, all_weights] = taken.try_into().unwrap_or_default();
        ways.push(Ways { blocks, by_weight, all_weights });
        (watch.progress)(1);
    }
    let ratio = |above: &Vec<f64>, below: &Vec<f64>| Spread::of_ratios(above, below).unwrap_or_default().median;
    let of_layers = where_equal(&ways.iter().map(|ways| ratio(&ways.by_weight, &ways.all_weights)).collect::<Vec<_>>());
    let of_network = where_equal(&ways.iter().map(|ways| 1.0 / ways.gain().median).collect::<Vec<_>>());
    Ok(Crossover { images, ways, of_layers, of_network })
}

/// Parameters with so many weights that are not zero.
fn drawn(architecture: &Architecture, density: f64, draws: &mut Sequence) -> Vec<f32> {
    let layout = ParameterLayout::new(architecture);
    let mut parameters = vec![0.0; layout.parameters()];
    for tensor in layout.tensors.iter().filter(|tensor| tensor.fan_in.is_some()) {
        for weight in &mut parameters[tensor.range()] {
            let drawn = (draws.unit() - 0.5) as f32;
            *weight = if draws.unit() < density { drawn } else { 0.0 };
        }
    }
    parameters
}

/// Where a ratio of two times at each of [`DENSITIES`] passes 1, on a straight line between two densities.
fn where_equal(ratios: &[f64]) -> Option<f64> {
    let over = |place: usize| ratios[place] - 1.0;
    let place = (1..ratios.len()).find(|&place| over(place - 1) < 0.0 && over(place) >= 0.0)?;
    let [low, high] = [DENSITIES[place - 1], DENSITIES[place]];
    Some(low + (high - low) * over(place - 1) / (over(place - 1) - over(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_equal_where_the_line_between_two_ratios_passes_1() {
        assert!((where_equal(&DENSITIES.map(|density| 2.0 * density)).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(where_equal(&DENSITIES.map(|_| 0.5)), None);
    }

    #[test]
    fn a_small_network_is_timed_at_every_density() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let network = Architecture::dnn(4, 4, [5, 3], 2);
        let found = crossover(&network, &Watch { stop: &stop, progress: &|_| {} }).unwrap();
        assert!(found.ways.len() == DENSITIES.len() && found.ways.iter().all(|ways| ways.gain().low > 0.0));
    }
}
