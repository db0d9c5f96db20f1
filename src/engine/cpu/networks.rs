//! Many pruned networks on the CPU engine: what lies before the first layer that differs is computed once for each slot, and
//! then each network costs the weights that it has left.

use super::batch::{CpuBatch, evaluation};
use crate::cpu::fast::focus_sweep::BLOCK;
use crate::cpu::fast::sparse::{Lane, Scratch, SparseNetwork, input_lanes, pixels};
use crate::cpu::fast::training_step::ImageBatch;
use crate::cpu::mask;
use crate::data::Dataset;
use crate::engine::backend::{Content, PrunedNetwork};
use crate::engine::{Evaluation, Watch};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout};
use rayon::prelude::*;

/// The most bytes of what first layers read that are there at once.
const INPUT_BYTES: usize = 64 << 20;
/// And the least blocks of samples, whatever their size: work for some threads.
const LEAST_BLOCKS: usize = 16;
/// Blocks of samples of a piece of work: enough that making the lists of weights does not count.
const BLOCKS_A_TASK: usize = 64;

/// Layers of a network.
fn layers(architecture: &Architecture) -> usize {
    architecture.convolutions.len() + architecture.dense_layers().len()
}

/// Blocks of samples whose inputs of layer `first` are there at once.
fn blocks_at_once(architecture: &Architecture, first: usize) -> usize {
    (INPUT_BYTES / (input_lanes(architecture, first) * size_of::<Lane>())).max(LEAST_BLOCKS)
}

/// Bytes that [`CpuBatch::evaluate_networks`] takes for a data set of so many samples.
pub(super) fn sweep_bytes(architecture: &Architecture, first: usize, samples: usize, threads: usize) -> usize {
    let all = layers(architecture);
    let lanes = blocks_at_once(architecture, first).min(samples.div_ceil(BLOCK)) * input_lanes(architecture, first);
    let scratch: usize = (1..=all).map(|layer| input_lanes(architecture, layer)).sum();
    // A network's parameters, and its weights with their places.
    let parameters = ParameterLayout::new(architecture).parameters() * 20;
    (lanes + threads * scratch) * size_of::<Lane>() + threads * parameters
}

impl CpuBatch {
    /// How well networks classify a data set that have the layers before `first` of their slots.
    pub(super) fn evaluate_networks(
        &self,
        data: &Dataset,
        first: usize,
        networks: &[PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let mut evaluations = vec![evaluation(&[], data.samples()); networks.len()];
        for slot in 0..self.slots.len() {
            let own: Vec<usize> = (0..networks.len()).filter(|&place| networks[place].slot == slot).collect();
            if own.is_empty() {
                continue;
            }
            let chosen: Vec<&PrunedNetwork> = own.iter().map(|&place| &networks[place]).collect();
            let found = self.pool.install(|| self.evaluate_slot(data, first, slot, &chosen, watch))?;
            for (place, found) in own.into_iter().zip(found) {
                evaluations[place] = found;
            }
        }
        Ok(evaluations)
    }

    /// Those of one slot.
    fn evaluate_slot(
        &self,
        data: &Dataset,
        first: usize,
        slot: usize,
        networks: &[&PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let architecture = &self.architecture;
        let trained = self.slots[slot].plain_parameters(&self.network);
        let before = SparseNetwork::new(architecture, &trained, 0..first);
        let order: Vec<u32> = (0..data.samples() as u32).collect();
        let at_once = blocks_at_once(architecture, first) * BLOCK;
        let mut parts: Vec<Vec<(f64, u32)>> = vec![Vec::new(); networks.len()];
        for (order, labels) in order.chunks(at_once).zip(data.labels.chunks(at_once)) {
            watch.check()?;
            let inputs = self.inputs(data, &before, first, order);
            let piece = BLOCKS_A_TASK * BLOCK;
            let pieces = labels.len().div_ceil(piece);
            let evaluate = |task: usize| {
                if watch.check().is_err() {
                    return Vec::new();
                }
                let (network, start) = (networks[task / pieces], task % pieces * piece);
                let labels = &labels[start..(start + piece).min(labels.len())];
                let inputs = inputs[start / BLOCK..].iter();
                let network = self.sparse(&trained, network, first);
                let mut scratch = network.scratch();
                labels
                    .chunks(BLOCK)
                    .zip(inputs)
                    .map(|(own, input)| network.evaluate(input, own, &mut scratch))
                    .collect()
            };
            let found: Vec<Vec<(f64, u32)>> = (0..networks.len() * pieces).into_par_iter().map(evaluate).collect();
            watch.check()?;
            // Sums of blocks are joined in their order, however they were cut.
            for (parts, found) in parts.iter_mut().zip(found.chunks(pieces)) {
                parts.extend(found.concat());
            }
        }
        (watch.progress)(networks.len() as u64);
        Ok(parts.iter().map(|parts| evaluation(parts, data.samples())).collect())
    }

    /// What layer `first` reads of these samples, in blocks.
    fn inputs(&self, data: &Dataset, before: &SparseNetwork, first: usize, order: &[u32]) -> Vec<Vec<Lane>> {
        let architecture = &self.architecture;
        let room = || (vec![[0.0; BLOCK]; input_lanes(architecture, 0)], before.scratch());
        let block = |(lanes, scratch): &mut (Vec<Lane>, Scratch), order: &[u32]| {
            let batch = ImageBatch { images: &data.images, labels: &data.labels, order, scale: self.scale };
            pixels(architecture, batch, lanes);
            if first == 0 { lanes.clone() } else { before.run(lanes, scratch).to_vec() }
        };
        order.par_chunks(BLOCK).map_init(room, |room, order| block(room, order)).collect()
    }

    /// The layers of a network from `first` on.
    fn sparse(&self, trained: &[f32], network: &PrunedNetwork, first: usize) -> SparseNetwork {
        let range = first..layers(&self.architecture);
        match &network.content {
            Content::Parameters(parameters) => SparseNetwork::new(&self.architecture, parameters, range),
            Content::Kept(kept) => {
                let mut pruned = vec![0.0; trained.len()];
                mask::apply(kept, trained, &mut pruned);
                SparseNetwork::new(&self.architecture, &pruned, range)
            }
        }
    }
}
