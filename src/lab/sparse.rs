//! From which share of its weights on a network is evaluated faster weight by weight than in blocks of registers.

use crate::cpu::fast::focus_sweep::BLOCK;
use crate::cpu::fast::network::{PaddedNetwork, PaddedReplica};
pub use crate::cpu::fast::sparse::CROSSOVER;
use crate::cpu::fast::sparse::{Lanes, SparseNetwork, input_lanes};
use crate::cpu::fast::training_step::{ImageBatch, Workspace, activations};
use crate::engine::{Replica, Watch};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout, Selection};
use crate::random::{Sequence, Stream};
use std::hint::black_box;
use std::time::Instant;

/// Shares of weights that are not zero.
pub const DENSITIES: [f64; 9] = [0.01, 0.02, 0.05, 0.1, 1.0 / 6.0, 0.25, 0.35, 0.5, 1.0];
/// How often both ways are timed, one after the other.
const REPETITIONS: usize = 5;
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
    /// For each of [`DENSITIES`] the median seconds of both ways, all layers and the loss: in blocks of registers, and weight by
    /// weight, images laid side by side first.
    pub seconds: Vec<[f64; 2]>,
    /// The density at which both take as long, between the two measured ones around it; none where weight by weight is
    /// faster even with all weights, or never.
    pub density: Option<f64>,
}

/// Times both ways at random weights of each density.
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
    let mut seconds = Vec::new();
    for density in DENSITIES {
        let parameters = drawn(architecture, density, &mut draws);
        let replica = PaddedReplica::new(&padded, &Replica::new(parameters.clone()));
        let mut taken = [Vec::new(), Vec::new()];
        for _ in 0..REPETITIONS {
            watch.check()?;
            let start = Instant::now();
            for first in (0..images).step_by(SAMPLES) {
                let batch = batch(first..(first + SAMPLES).min(images));
                black_box(activations(&padded, &replica, &mut workspace, batch, architecture.hidden.len() + 1));
            }
            taken[0].push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let network = SparseNetwork::new(architecture, &parameters, 0..layers);
            let mut scratch = network.scratch();
            for first in (0..images).step_by(BLOCK) {
                let batch = batch(first..(first + BLOCK).min(images));
                black_box(network.evaluate_images(batch, &mut lanes, &mut scratch));
            }
            taken[1].push(start.elapsed().as_secs_f64());
        }
        seconds.push(taken.map(|mut taken| {
            taken.sort_by(f64::total_cmp);
            taken[REPETITIONS / 2]
        }));
        (watch.progress)(1);
    }
    let density = where_equal(&seconds);
    Ok(Crossover { images, seconds, density })
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

/// Where the ratio of the two times passes 1, on a straight line between two densities.
fn where_equal(seconds: &[[f64; 2]]) -> Option<f64> {
    let over = |place: usize| seconds[place][1] / seconds[place][0] - 1.0;
    let place = (1..seconds.len()).find(|&place| over(place - 1) < 0.0 && over(place) >= 0.0)?;
    let [low, high] = [DENSITIES[place - 1], DENSITIES[place]];
    Some(low + (high - low) * over(place - 1) / (over(place - 1) - over(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_are_equal_where_the_line_between_two_ratios_passes_1() {
        let seconds: Vec<[f64; 2]> = DENSITIES.iter().map(|&density| [3.0, 6.0 * density]).collect();
        assert!((where_equal(&seconds).unwrap() - 0.5).abs() < 1e-12);
        let faster: Vec<[f64; 2]> = DENSITIES.iter().map(|_| [3.0, 1.0]).collect();
        assert_eq!(where_equal(&faster), None);
    }

    #[test]
    fn a_small_network_is_timed_at_every_density() {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let network = Architecture::dnn(4, 4, [5, 3], 2);
        let found = crossover(&network, &Watch { stop: &stop, progress: &|_| {} }).unwrap();
        assert!(found.seconds.len() == DENSITIES.len() && found.seconds.iter().flatten().all(|&seconds| seconds > 0.0));
    }
}
