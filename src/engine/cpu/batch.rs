//! Replicas on the CPU engine: side by side on all cores, each step of a replica on one core, or on two.

use crate::cpu::fast::focus_sweep::SweepInput;
use crate::cpu::fast::network::{MaskedRow, PaddedNetwork, PaddedReplica};
use crate::cpu::fast::sparse::{Lanes, SparseNetwork};
use crate::cpu::fast::training_step::{ImageBatch, Workspace, activations, step};
use crate::cpu::fast::{self, padded};
use crate::cpu::focus_sweep::SweepShape;
use crate::cpu::{he_normal, mask};
use crate::data::Dataset;
use crate::engine::{
    Evaluation, MaskChange, Replica, Setup, StepLoss, Steps, Watch,
    backend::{BackendBatch, BackendState, PackedPoint},
    loaded::Loaded,
};
use crate::error::Result;
use crate::network::{Architecture, ParameterLayout, Selection};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Steps of a replica between two turns at the queue: long enough that loading its state does not count.
const STEPS_A_TURN: usize = 64;
/// Turns of each way that are tried, and turns from one trial to the next.
const TRIED_TURNS: usize = 3;
const TURNS_A_TRIAL: usize = 256;
/// Test images of a block of work: their activations stay in the second-level cache.
pub(super) const EVALUATION_BLOCK: usize = 96;
/// The most bytes of what focus layers read that are kept from one sweep to the next.
pub(super) const FOCUS_INPUT_BYTES: usize = 128 << 20;

/// Replicas on the CPU engine.
pub(super) struct CpuBatch {
    pub(super) architecture: Architecture,
    pub(super) network: PaddedNetwork,
    pub(super) scale: f32,
    training: Arc<Dataset>,
    pub(super) pool: Arc<rayon::ThreadPool>,
    /// One for each thread; locked only by it.
    workspaces: Vec<Mutex<Workspace>>,
    sharing: Mutex<Sharing>,
    seed: u64,
    replica_ids: Vec<u32>,
    /// The weights that changes of masks are about.
    selection: Selection,
    pub(super) slots: Vec<PaddedReplica>,
    /// By slot; of the data set that was swept last.
    focus_inputs: HashMap<usize, FocusInput>,
    /// What layers read that sweeps of whole networks begin with.
    pub(super) known_inputs: Mutex<Vec<KnownInputs>>,
    /// By slot, until weights change: the network for evaluation weight by weight, if that is faster.
    pub(super) sparse: HashMap<usize, Option<Arc<SparseNetwork>>>,
}

/// What ranking the weights of a replica needs.
#[derive(Default)]
struct RankScratch {
    /// What weights are ranked by.
    scores: Vec<f32>,
    composite: Vec<u64>,
    rank: Vec<u32>,
}

/// A replica that waits for its turn.
struct Turn<'a> {
    next_step: usize,
    slot: usize,
    replica: &'a mut PaddedReplica,
    losses: &'a mut [StepLoss],
}

/// Whether two threads share the steps of a replica. It pays only where their cores share a cache, so both ways are timed,
/// from time to time anew; the bits are the same.
#[derive(Debug, Default)]
struct Sharing {
    turns: usize,
    /// Seconds of a step, alone and shared: the fastest turns of the last trial.
    fastest: [f64; 2],
}

impl Sharing {
    /// Whether to share the next turn: a few turns are shared, as many are not, and then the faster way is taken for a while.
    fn next(&mut self) -> bool {
        let place = self.turns % TURNS_A_TRIAL;
        self.turns += 1;
        if place == 0 {
            self.fastest = [f64::INFINITY; 2];
        }
        match place / TRIED_TURNS {
            0 => true,
            1 => false,
            _ => self.fastest[1] < self.fastest[0],
        }
    }

    /// What a step of a turn took.
    fn took(&mut self, shared: bool, seconds: f64) {
        let fastest = &mut self.fastest[usize::from(shared)];
        *fastest = fastest.min(seconds);
    }
}

impl CpuBatch {
    /// Replicas with their initial weights.
    pub(super) fn new(pool: &Arc<rayon::ThreadPool>, setup: &Setup<'_>, training: &Loaded) -> Self {
        let network = PaddedNetwork::new(setup.architecture, setup.selection);
        let layout = ParameterLayout::new(setup.architecture);
        let initial = |&id: &u32| {
            let mut parameters = vec![0.0; layout.parameters()];
            for (index, tensor) in (0..).zip(&layout.tensors) {
                if let Some(fan_in) = tensor.fan_in {
                    let scale = he_normal::scale(fan_in) as f32;
                    he_normal::fill(setup.seed, id, index, scale, &mut parameters[tensor.range()]);
                }
            }
            PaddedReplica::new(&network, &Replica::new(parameters))
        };
        let slots = pool.install(|| setup.replica_ids.par_iter().map(initial).collect());
        let workspaces = (0..pool.current_num_threads())
            .map(|_| Mutex::new(Workspace::new(&network, setup.batch, EVALUATION_BLOCK)))
            .collect();
        Self {
            architecture: setup.architecture.clone(),
            network,
            scale: (1.0 / setup.pixel_scale) as f32,
            training: Arc::clone(&training.set),
            pool: Arc::clone(pool),
            workspaces,
            sharing: Mutex::default(),
            seed: setup.seed,
            replica_ids: setup.replica_ids.to_vec(),
            selection: setup.selection.clone(),
            slots,
            focus_inputs: HashMap::new(),
            known_inputs: Mutex::default(),
            sparse: HashMap::new(),
        }
    }

    /// Runs `work` with the workspace of the current thread of the pool.
    fn with_workspace<R>(&self, work: impl FnOnce(&mut Workspace) -> R) -> R {
        let thread = rayon::current_thread_index().unwrap_or(0);
        work(&mut self.workspaces[thread].lock())
    }

    /// All samples of a data set in blocks.
    fn blocks(samples: Range<usize>) -> Vec<Vec<u32>> {
        let all: Vec<u32> = (samples.start as u32..samples.end as u32).collect();
        all.chunks(EVALUATION_BLOCK).map(<[u32]>::to_vec).collect()
    }

    /// What the focus layer of a slot reads of a data set: computed once until the weights change, since no mask changes it.
    fn focus_input(&mut self, data: &Loaded, slot: usize, blocks: &[Vec<u32>]) -> Arc<SweepInput> {
        if let Some(known) = self.focus_inputs.get(&slot).filter(|known| known.place == data.place) {
            return Arc::clone(&known.values);
        }
        let layers = self.architecture.focus_layer();
        // Those of another data set are of no more use, and a slot's own would be a second copy.
        self.focus_inputs.retain(|_, known| known.place == data.place);
        let rows = self.activations(&data.set, slot, blocks, layers, |_, values| values.to_vec()).concat();
        let values = Arc::new(SweepInput::new(self.architecture.focus_shape()[0], &rows));
        if (self.focus_inputs.len() + 1) * values.bytes() <= FOCUS_INPUT_BYTES {
            self.focus_inputs.insert(slot, FocusInput { place: data.place, values: Arc::clone(&values) });
        }
        values
    }

    /// Weights from layer `first` on, counted from the image, have changed: what the focus layer reads may have, too.
    fn forget(&mut self, first: usize) {
        self.sparse.clear();
        if first < self.architecture.convolutions.len() + self.architecture.focus_layer() {
            self.focus_inputs.clear();
        }
    }

    /// For each slot and block of samples what layer `layers - 1` produces, with padded rows, handed to `take`.
    fn activations<R: Send>(
        &self,
        data: &Dataset,
        slot: usize,
        blocks: &[Vec<u32>],
        layers: usize,
        take: impl Fn(&[u32], &mut [f32]) -> R + Sync,
    ) -> Vec<R> {
        let block = |order: &Vec<u32>| {
            self.with_workspace(|workspace| {
                let batch = ImageBatch { images: &data.images, labels: &data.labels, order, scale: self.scale };
                take(order, activations(&self.network, &self.slots[slot], workspace, batch, layers))
            })
        };
        self.pool.install(|| blocks.par_iter().map(block).collect())
    }
}

/// What the focus layer of a slot reads of a data set.
struct FocusInput {
    place: usize,
    values: Arc<SweepInput>,
}

/// What a layer reads of a data set.
pub(super) struct KnownInputs {
    pub(super) place: usize,
    pub(super) first: usize,
    /// Parameters of the layers before.
    pub(super) shared: Vec<f32>,
    pub(super) values: Arc<[Lanes]>,
}

impl BackendState for CpuBatch {
    fn accumulate(&mut self) -> Result<()> {
        self.pool.install(|| self.slots.par_iter_mut().for_each(PaddedReplica::accumulate));
        Ok(())
    }

    fn weights(&mut self, selection: &Selection) -> Result<Vec<f32>> {
        Ok(self.slots.iter().flat_map(|slot| slot.weights(&self.network, selection)).collect())
    }

    fn set_weights(&mut self, selection: &Selection, weights: &[f32]) -> Result<()> {
        self.forget(selection.first_layer());
        for (slot, weights) in self.slots.iter_mut().zip(weights.chunks_exact(selection.weights())) {
            slot.set_weights(&self.network, selection, weights);
        }
        Ok(())
    }

    fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> {
        self.slots.iter().try_for_each(|slot| visit(slot.replica(&self.network)))
    }

    fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()> {
        self.forget(0);
        // What is replaced makes room first.
        self.slots.clear();
        self.slots.extend(replicas.iter().map(|replica| PaddedReplica::new(&self.network, replica)));
        Ok(())
    }
}

impl BackendBatch for CpuBatch {
    fn train(&mut self, steps: &Steps<'_>, rates: &[f32], watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        self.forget(0);
        let count = steps.batches.len();
        let mut losses = vec![StepLoss::default(); self.slots.len() * count];
        // With half as many replicas as threads two threads share each step, if that is faster.
        let spare = 2 * self.slots.len() <= self.pool.current_num_threads();
        let turns = self.slots.iter_mut().zip(losses.chunks_mut(count.max(1))).enumerate();
        let queue = Mutex::new(
            turns.map(|(slot, (replica, losses))| Turn { next_step: 0, slot, replica, losses }).collect::<Vec<_>>(),
        );
        let (network, training, scale) = (&self.network, &self.training, self.scale);
        let (workspaces, sharing) = (&self.workspaces, &self.sharing);
        self.pool.broadcast(|thread| {
            let mut workspace = workspaces[thread.index()].lock();
            // The replica that is furthest behind goes on; an empty queue means that every other one is being worked on.
            let next = || {
                let mut queue = queue.lock();
                let behind = (0..queue.len()).min_by_key(|&turn| (queue[turn].next_step, queue[turn].slot))?;
                Some(queue.swap_remove(behind))
            };
            while let Some(mut turn) = next() {
                let end = (turn.next_step + STEPS_A_TURN).min(count);
                let steps_of_turn = turn.next_step..end;
                let batches = steps.batches[steps_of_turn.clone()].iter().zip(&rates[steps_of_turn.clone()]);
                let share = spare && sharing.lock().next();
                let started = Instant::now();
                for (target, (batch, &rate)) in turn.losses[steps_of_turn].iter_mut().zip(batches) {
                    let order = &steps.orders[turn.slot][batch.clone()];
                    let batch = ImageBatch { images: &training.images, labels: &training.labels, order, scale };
                    let loss = step(network, turn.replica, &mut workspace, batch, rate, steps.decay, share);
                    *target = StepLoss { loss: loss.mean, correct: loss.correct };
                }
                if spare {
                    sharing.lock().took(share, started.elapsed().as_secs_f64() / (end - turn.next_step) as f64);
                }
                (watch.progress)((end - turn.next_step) as u64);
                turn.next_step = end;
                if end < count && watch.check().is_ok() {
                    queue.lock().push(turn);
                }
            }
        });
        watch.check()?;
        Ok(losses)
    }

    fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()> {
        self.forget(self.selection.first_layer());
        let (network, seed, all) = (&self.network, self.seed, self.selection.weights());
        let change_one = |scratch: &mut RankScratch,
                          ((slot, &replica_id), &count): ((&mut PaddedReplica, &u32), &u32)| {
            if count == 0 && !slot.is_masked() {
                return;
            }
            let RankScratch { scores, composite, rank } = scratch;
            scores.resize(all, 0.0);
            rank.resize(all, 0);
            let draws = |update, start| mask::Draws { seed, replica_id, update, first: start as u32 };
            slot.visit_masked(network, |MaskedRow { start, mask, weights, .. }| {
                let scores = &mut scores[start..start + weights.len()];
                match change {
                    MaskChange::PruneSmallest | MaskChange::DecaySmallest => scores.copy_from_slice(weights),
                    MaskChange::PruneRandom { update } => mask::draw(draws(update, start), mask::KEPT, mask, scores),
                    MaskChange::RegrowRandom { update } => mask::draw(draws(update, start), mask::PRUNED, mask, scores),
                }
            });
            fast::stability::rank(scores, composite, rank);
            let kept = all as u32 - count;
            slot.visit_masked(network, |MaskedRow { start, fan_in, mask, weights, m, v }| {
                let rank = &rank[start..start + weights.len()];
                match change {
                    MaskChange::PruneSmallest | MaskChange::PruneRandom { .. } => {
                        mask::smallest(rank, kept, mask::PRUNED, mask, weights, m, v);
                    }
                    MaskChange::DecaySmallest => mask::smallest(rank, kept, mask::DECAYING, mask, weights, m, v),
                    MaskChange::RegrowRandom { update } => {
                        let scale = he_normal::scale(fan_in) as f32;
                        mask::regrow(draws(update, start), scale, rank, count, mask, weights, m, v);
                    }
                }
            });
        };
        let slots = self.slots.par_iter_mut().zip(&self.replica_ids).zip(weight_count);
        self.pool.install(|| slots.for_each_init(RankScratch::default, change_one));
        Ok(())
    }

    fn logits(&mut self, data: &Loaded, samples: Range<usize>) -> Result<Vec<f32>> {
        let blocks = Self::blocks(samples);
        let classes = self.architecture.classes;
        let take = |_: &[u32], logits: &mut [f32]| -> Vec<f32> {
            logits.chunks_exact(padded(classes)).flat_map(|row| &row[..classes]).copied().collect()
        };
        let layers = self.architecture.hidden.len() + 1;
        let slots = (0..self.slots.len()).flat_map(|slot| self.activations(&data.set, slot, &blocks, layers, take));
        Ok(slots.flatten().collect())
    }

    fn evaluate(&mut self, data: &Loaded, watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = &data.set;
        let blocks = Self::blocks(0..data.samples());
        let classes = self.architecture.classes;
        let take = |order: &[u32], logits: &mut [f32]| {
            let labels: Vec<u8> = order.iter().map(|&index| data.labels[index as usize]).collect();
            fast::softmax_cross_entropy::evaluate(classes, padded(classes), logits, &labels)
        };
        let mut found = Vec::new();
        for slot in 0..self.slots.len() {
            watch.check()?;
            found.push(self.evaluate_sparse(data, slot).unwrap_or_else(|| {
                let parts = self.activations(data, slot, &blocks, self.architecture.hidden.len() + 1, take);
                evaluation(&parts, data.samples())
            }));
            (watch.progress)(data.samples() as u64);
        }
        Ok(found)
    }

    fn sweep_focus(&mut self, loaded: &Loaded, points: &[PackedPoint], watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = &loaded.set;
        let blocks = Self::blocks(0..data.samples());
        let [inputs, units] = self.architecture.focus_shape();
        let shape = SweepShape { samples: data.samples(), inputs, units, classes: self.architecture.classes };
        let mut evaluations = vec![evaluation(&[], data.samples()); points.len()];
        for slot in 0..self.slots.len() {
            let own: Vec<usize> = (0..points.len()).filter(|&point| points[point].slot == slot).collect();
            if own.is_empty() {
                continue;
            }
            watch.check()?;
            let input = self.focus_input(loaded, slot, &blocks);
            let [focus_weights, focus_bias, output_weights, output_bias] =
                self.slots[slot].focus_and_output(&self.network);
            let evaluate = |&point: &usize| {
                if watch.check().is_err() {
                    return (0.0, 0);
                }
                let (mask, labels) = (&points[point].mask, &data.labels);
                let result = fast::focus_sweep::evaluate(
                    shape,
                    &input,
                    focus_weights,
                    mask,
                    focus_bias,
                    output_weights,
                    output_bias,
                    labels,
                );
                (watch.progress)(1);
                result
            };
            let found: Vec<_> = self.pool.install(|| own.par_iter().map(evaluate).collect());
            watch.check()?;
            for (point, part) in own.into_iter().zip(found) {
                evaluations[point] = evaluation(&[part], data.samples());
            }
        }
        Ok(evaluations)
    }
}

/// Joins the sums of blocks in their order.
pub(super) fn evaluation(parts: &[(f64, u32)], samples: usize) -> Evaluation {
    let loss: f64 = parts.iter().map(|part| part.0).sum();
    let correct = parts.iter().map(|part| part.1).sum();
    Evaluation { loss: loss / samples as f64, correct, samples: samples as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_share_steps_only_where_that_is_faster_and_it_is_tried_anew() {
        // Seconds of a step alone, and shared.
        for (alone, shared) in [(2.0, 1.0), (1.0, 2.0)] {
            let mut sharing = Sharing::default();
            for trial in 0..3 {
                let taken: Vec<bool> = (0..TURNS_A_TRIAL)
                    .map(|turn| {
                        let share = sharing.next();
                        // Something else ran at the same time as the first turns.
                        let disturbed = if turn % TRIED_TURNS == 0 { 100.0 } else { 1.0 };
                        sharing.took(share, disturbed * if share { shared } else { alone });
                        share
                    })
                    .collect();
                let (tried, settled) = taken.split_at(2 * TRIED_TURNS);
                assert_eq!(tried.iter().filter(|&&share| share).count(), TRIED_TURNS, "trial {trial}");
                assert!(settled.iter().all(|&share| share == (shared < alone)), "trial {trial}: {taken:?}");
            }
        }
    }
}
