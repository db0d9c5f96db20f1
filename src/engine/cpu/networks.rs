//! Many pruned networks on the CPU engine: what lies before the first layer that differs is computed once for each slot, and
//! then each network costs the weights that it has left.

use super::batch::{CpuBatch, FOCUS_INPUT_BYTES, KnownInputs, evaluation};
use crate::cpu::fast::focus_sweep::BLOCK;
use crate::cpu::fast::sparse::{Lane, Lanes, Scratch, SparseNetwork, input_lanes, is_sparse, pixels};
use crate::cpu::fast::training_step::ImageBatch;
use crate::cpu::mask;
use crate::data::Dataset;
use crate::engine::{
    Evaluation, Watch,
    backend::{BackendNetworks, Content, PrunedNetwork},
    loaded::Loaded,
};
use crate::error::Result;
use crate::network::{Architecture, Layer, ParameterLayout};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

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
pub(super) fn sweep_bytes(
    architecture: &Architecture,
    first: usize,
    samples: usize,
    [slots, threads]: [usize; 2],
) -> usize {
    let all = layers(architecture);
    let (at_once, blocks) = (blocks_at_once(architecture, first), samples.div_ceil(BLOCK));
    let of_slot = at_once.min(blocks) * input_lanes(architecture, first);
    // All slots read the same images; what later layers read is kept for each slot as long as there is room.
    let lanes = match FOCUS_INPUT_BYTES / (of_slot * size_of::<Lane>()).max(1) {
        kept if first > 0 && blocks <= at_once => of_slot * kept.clamp(1, slots),
        _ => of_slot,
    };
    let scratch: usize = (1..=all).map(|layer| input_lanes(architecture, layer)).sum();
    // A network's parameters, and its weights with their places.
    let parameters = ParameterLayout::new(architecture).parameters() * 20;
    (lanes + threads * scratch) * size_of::<Lane>() + threads * parameters
}

impl BackendNetworks for CpuBatch {
    fn sweep_networks(
        &mut self,
        data: &Loaded,
        first: usize,
        networks: &[PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let mut evaluations = vec![evaluation(&[], data.set.samples()); networks.len()];
        let all = 0..networks.len();
        // All slots read the same images; what a later layer reads is a slot's own.
        let groups: Vec<Vec<usize>> = match first {
            0 => vec![all.collect()],
            _ => (0..self.slots.len())
                .map(|slot| all.clone().filter(|&place| networks[place].slot == slot).collect())
                .collect(),
        };
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let chosen: Vec<&PrunedNetwork> = group.iter().map(|&place| &networks[place]).collect();
            let found = self.pool.install(|| self.evaluate_group(data, first, &chosen, watch))?;
            for (place, found) in group.into_iter().zip(found) {
                evaluations[place] = found;
            }
        }
        Ok(evaluations)
    }
}

impl CpuBatch {
    /// How well a slot's network classifies a data set, weight by weight; `None` where it has so many that the way of dense
    /// networks is faster. What is counted correct is the same: sums have the same terms in the same order.
    pub(super) fn evaluate_sparse(&mut self, data: &Dataset, slot: usize) -> Option<Evaluation> {
        let architecture = &self.architecture;
        let network = self.sparse.entry(slot).or_insert_with(|| {
            let parameters = self.slots[slot].plain_parameters(&self.network);
            let network = || Arc::new(SparseNetwork::new(architecture, &parameters, 0..layers(architecture)));
            is_sparse(architecture, &parameters).then(network)
        });
        let network = network.as_ref()?;
        let scratch = || (Lanes::zeros(input_lanes(architecture, 0)), network.scratch());
        let order: Vec<u32> = (0..data.samples() as u32).collect();
        let block = |(lanes, scratch): &mut (Lanes, Scratch), (order, labels): (&[u32], &[u8])| {
            let batch = ImageBatch { images: &data.images, labels, order, scale: self.scale };
            network.evaluate_images(batch, lanes, scratch)
        };
        let blocks = order.par_chunks(BLOCK).zip(data.labels.par_chunks(BLOCK)).with_min_len(LEAST_BLOCKS / 4);
        let parts: Vec<(f64, u32)> = self.pool.install(|| blocks.map_init(scratch, block).collect());
        Some(evaluation(&parts, data.samples()))
    }

    /// Networks whose layer `first` reads the same.
    fn evaluate_group(
        &self,
        loaded: &Loaded,
        first: usize,
        networks: &[&PrunedNetwork],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let (architecture, data) = (&self.architecture, &loaded.set);
        let mut trained = BTreeMap::new();
        for network in networks {
            trained.entry(network.slot).or_insert_with(|| self.slots[network.slot].plain_parameters(&self.network));
        }
        let shared = match &networks[0].content {
            Content::Parameters(parameters) => parameters,
            Content::Kept(_) => trained[&networks[0].slot].as_slice(),
        };
        let before = SparseNetwork::new(architecture, shared, 0..first);
        let shared = &shared[..Layer::tensors(&ParameterLayout::new(architecture), first)[0].offset];
        let order: Vec<u32> = (0..data.samples() as u32).collect();
        let at_once = blocks_at_once(architecture, first) * BLOCK;
        let chunks = order.chunks(at_once).zip(data.labels.chunks(at_once));
        let last = chunks.len() - 1;
        let mut parts: Vec<Vec<(f64, u32)>> = vec![Vec::new(); networks.len()];
        for (chunk, (order, labels)) in chunks.enumerate() {
            watch.check()?;
            let inputs = match last {
                0 => self.known_inputs(loaded, &before, first, shared, order),
                _ => self.inputs(data, &before, first, order).into(),
            };
            let piece = BLOCKS_A_TASK * BLOCK;
            let pieces = labels.len().div_ceil(piece);
            let evaluate = |task: usize| {
                if watch.check().is_err() {
                    return Vec::new();
                }
                let (network, start) = (networks[task / pieces], task % pieces * piece);
                let own = &labels[start..(start + piece).min(labels.len())];
                let inputs = inputs[start / BLOCK..].iter();
                let network = self.sparse(&trained[&network.slot], network, first);
                let mut scratch = network.scratch();
                let blocks = own.chunks(BLOCK).zip(inputs);
                let found = blocks.map(|(own, input)| network.evaluate(input, own, &mut scratch)).collect();
                (watch.progress)(u64::from(chunk == last && task % pieces == pieces - 1));
                found
            };
            let found: Vec<Vec<(f64, u32)>> = (0..networks.len() * pieces).into_par_iter().map(evaluate).collect();
            watch.check()?;
            // Sums of blocks are joined in their order, however they were cut.
            for (parts, found) in parts.iter_mut().zip(found.chunks(pieces)) {
                parts.extend(found.concat());
            }
        }
        Ok(parts.iter().map(|parts| evaluation(parts, data.samples())).collect())
    }

    /// What layer `first` reads of a whole data set, in blocks: kept from one sweep to the next, since many sweeps begin there.
    /// `shared` are the parameters before.
    fn known_inputs(
        &self,
        data: &Loaded,
        before: &SparseNetwork,
        first: usize,
        shared: &[f32],
        order: &[u32],
    ) -> Arc<[Lanes]> {
        let is_own = |known: &&KnownInputs| known.first == first && known.shared == shared;
        {
            let mut known = self.known_inputs.lock();
            // Those of another data set are of no more use.
            known.retain(|known| known.place == data.place);
            if let Some(known) = known.iter().find(is_own) {
                return Arc::clone(&known.values);
            }
        }
        let values: Arc<[Lanes]> = self.inputs(&data.set, before, first, order).into();
        let bytes = |values: &[Lanes]| values.iter().map(|block| size_of_val(&block[..])).sum::<usize>();
        let mut known = self.known_inputs.lock();
        let kept: usize = known.iter().map(|known| bytes(&known.values)).sum();
        if kept + bytes(&values) <= FOCUS_INPUT_BYTES {
            let (place, shared) = (data.place, shared.to_vec());
            known.push(KnownInputs { place, first, shared, values: Arc::clone(&values) });
        }
        values
    }

    /// What layer `first` reads of these samples, in blocks.
    fn inputs(&self, data: &Dataset, before: &SparseNetwork, first: usize, order: &[u32]) -> Vec<Lanes> {
        let architecture = &self.architecture;
        let scratch = || (Lanes::zeros(input_lanes(architecture, 0)), before.scratch());
        let block = |(lanes, scratch): &mut (Lanes, Scratch), order: &[u32]| {
            let batch = ImageBatch { images: &data.images, labels: &data.labels, order, scale: self.scale };
            pixels(architecture, batch, lanes);
            if first == 0 { lanes.clone() } else { before.run(lanes, scratch).into() }
        };
        order.par_chunks(BLOCK).map_init(scratch, |scratch, order| block(scratch, order)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, Replica, Setup};
    use crate::network::Selection;
    use crate::random::{Sequence, Stream};
    use std::sync::Arc;

    #[test]
    fn a_network_of_many_zeros_is_evaluated_weight_by_weight_and_finds_what_its_logits_say() {
        let dnn = Architecture::dnn(9, 11, [30, 20], 10);
        let convolutions = Architecture::paper_convolutions(5)[..2].to_vec();
        for architecture in [Architecture { convolutions, channels: 3, ..dnn.clone() }, dnn] {
            let mut draws = Sequence::new(11, Stream::Check, 0, 0);
            let layout = ParameterLayout::new(&architecture);
            let mut drawn = |share: f64| if draws.unit() < share { (draws.unit() - 0.5) as f32 } else { 0.0 };
            let [dense, sparse] =
                [1.0, 0.1].map(|share| (0..layout.parameters()).map(|_| drawn(share)).collect::<Vec<f32>>());
            assert!(is_sparse(&architecture, &sparse) && !is_sparse(&architecture, &dense));
            let samples = 333;
            let pixels = (0..samples * architecture.image_len()).map(|_| draws.next_word() as u8).collect();
            let labels: Vec<u8> = (0..samples).map(|_| draws.below(10) as u8).collect();
            let data =
                Dataset::with_channels("drawn", pixels, labels.clone(), [9, 11, architecture.channels], 10).unwrap();
            let data = Arc::new(data);
            let found = [1, 3].map(|threads| {
                let mut engine = Engine::cpu(Some(threads)).unwrap();
                let handle = engine.load(&data).unwrap();
                let setup = Setup {
                    architecture: &architecture,
                    training: handle,
                    batch: 8,
                    pixel_scale: 255.0,
                    seed: 1,
                    replica_ids: &[0, 1],
                    selection: &Selection::focus(&architecture),
                };
                let mut batch = engine.begin(&setup).unwrap();
                batch.restore(&[&dense, &sparse].map(|parameters| Replica::new(parameters.clone()))).unwrap();
                let watch = Watch::nobody();
                (batch.evaluate(handle, &watch).unwrap(), batch.logits(handle, 0..samples).unwrap())
            });
            assert_eq!(found[0], found[1], "whatever the number of threads");
            let [(evaluations, logits), _] = found;
            for (evaluation, logits) in evaluations.iter().zip(logits.chunks(samples * 10)) {
                let (mut loss, mut correct) = (0.0, 0);
                for (logits, &label) in logits.chunks(10).zip(&labels) {
                    let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit));
                    correct += u32::from(logits.iter().position(|&logit| logit == largest) == Some(label.into()));
                    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
                    loss += (sum.ln() - f64::from(logits[usize::from(label)] - largest)) / samples as f64;
                }
                assert_eq!(evaluation.correct, correct, "the same logits, to the bit");
                // Ten exponentials are added in single precision.
                assert!((evaluation.loss - loss).abs() < 12.0 * f64::from(f32::EPSILON) * loss.max(1.0), "{loss}");
            }
        }
    }
}
