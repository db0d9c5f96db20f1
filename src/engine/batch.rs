//! A batch as its callers see it: every argument is checked here, once, for all devices.

use super::backend::{BackendBatch, PackedPoint};
use super::loaded::{DataHandle, DataSets, Loaded};
use super::{Evaluation, MaskChange, Replica, Setup, StepLoss, Steps, SweepPoint, Watch};
use crate::cpu::{focus_sweep, mask};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout};
use std::ops::Range;
use std::sync::Arc;

/// Replicas of one network on a device, made by [`super::Engine::begin`]; a place for a replica is a slot.
///
/// Arguments that do not fit the batch are refused with [`Error::Shape`] before anything is done, in the same words on every
/// device. Any call may also fail with [`Error::OutOfMemory`] where the work does not fit the device, and with
/// [`Error::DeviceLost`] where it went away; those that are watched with [`Error::Interrupted`] after a stop.
pub struct Batch {
    backend: Box<dyn BackendBatch>,
    data: Arc<DataSets>,
    architecture: Architecture,
    parameters: usize,
    slots: usize,
    /// Samples of the training set.
    samples: usize,
    /// The most samples of a step.
    capacity: usize,
}

impl Batch {
    pub(super) fn new(
        backend: Box<dyn BackendBatch>,
        data: Arc<DataSets>,
        setup: &Setup<'_>,
        training: &Loaded,
    ) -> Self {
        Self {
            backend,
            data,
            architecture: setup.architecture.clone(),
            parameters: ParameterLayout::new(setup.architecture).parameters(),
            slots: setup.replica_ids.len(),
            samples: training.set.samples(),
            capacity: setup.batch,
        }
    }

    /// Trains all slots and returns `[slot, step]`. After [`Error::Interrupted`] slots may stand at different steps.
    ///
    /// Fails with [`Error::Shape`] unless there is one order for each slot, each step takes places of every order, from one to
    /// as many as the batch has samples, and all places that are taken hold samples of the training set; with
    /// [`Error::Usage`] if the decay is not from 0 to 1, or if steps cannot be numbered.
    pub fn train(&mut self, steps: &Steps<'_>, watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        self.check_steps(steps)?;
        self.backend.train(steps, watch)
    }

    fn check_steps(&self, steps: &Steps<'_>) -> Result<()> {
        let Steps { first_step, orders, batches, decay } = *steps;
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::Usage(format!("weights cannot decay by a factor of {decay}; it must be from 0 to 1")));
        }
        if first_step.checked_add(batches.len() as u64).is_none() {
            return Err(Error::Usage(format!(
                "{} steps after step {first_step} are more than can be numbered",
                batches.len()
            )));
        }
        if orders.len() != self.slots {
            return Err(Error::Shape(format!("{} orders for {} slots", orders.len(), self.slots)));
        }
        for (slot, order) in orders.iter().enumerate() {
            // Slots of one replica share an order.
            if slot > 0 && Arc::ptr_eq(order, &orders[slot - 1]) {
                continue;
            }
            for batch in batches {
                // Only what is taken is looked at: a call may be about one step of a long epoch.
                let taken = order.get(batch.clone()).filter(|taken| (1..=self.capacity).contains(&taken.len()));
                let Some(taken) = taken else {
                    return Err(Error::Shape(format!(
                        "a step on places {batch:?} of the {} in the order of slot {slot}, with batches of 1 to {}",
                        order.len(),
                        self.capacity
                    )));
                };
                let largest = taken.iter().fold(0, |largest, &index| largest.max(index));
                if largest as usize >= self.samples {
                    return Err(Error::Shape(format!(
                        "the order of slot {slot} names sample {largest} of {}, counted from 0, in places {batch:?}",
                        self.samples
                    )));
                }
            }
        }
        Ok(())
    }

    /// Changes the masks: slot `s` by `weight_count[s]` weights. Where more weights are to regrow than are pruned, kept ones get new
    /// weights too.
    ///
    /// Fails with [`Error::Shape`] unless there is one number for each slot, none above the weights of the focus layer.
    pub fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()> {
        let all = self.architecture.weight_count();
        if weight_count.len() != self.slots {
            return Err(Error::Shape(format!(
                "{} numbers of weights for a change of masks, one for each of {} slots is needed",
                weight_count.len(),
                self.slots
            )));
        }
        if let Some((slot, count)) = weight_count.iter().enumerate().find(|&(_, &count)| count as usize > all) {
            return Err(Error::Shape(format!(
                "a change of the masks of {count} weights of slot {slot}, which has at most {all}"
            )));
        }
        self.backend.change_masks(change, weight_count)
    }

    /// Weights of the focus layer `[slot, weight_index]`.
    pub fn focus_weights(&mut self) -> Result<Vec<f32>> {
        self.backend.focus_weights()
    }

    /// Replaces these weights, by any numbers; masks, moments and everything else stay. `[slot, weight_index]`.
    ///
    /// Fails with [`Error::Shape`] if there are more or fewer.
    pub fn set_focus_weights(&mut self, weights: &[f32]) -> Result<()> {
        let weight_count = self.architecture.weight_count();
        if Some(weights.len()) != self.slots.checked_mul(weight_count) {
            return Err(Error::Shape(format!(
                "{} weights for the focus layers of {} slots with {weight_count} weights",
                weights.len(),
                self.slots
            )));
        }
        self.backend.set_focus_weights(weights)
    }

    /// Everything that training changes, slot by slot: `visit` gets one after the other, so that there never is a second
    /// copy of them all. Fails as soon as `visit` does.
    pub fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> {
        self.backend.visit_replicas(visit)
    }

    /// Everything that training changes, for each slot.
    pub fn replicas(&mut self) -> Result<Vec<Replica<f32>>> {
        let mut replicas = Vec::new();
        self.visit_replicas(&mut |replica| {
            replicas.push(replica);
            Ok(())
        })?;
        Ok(replicas)
    }

    /// All parameters of each slot.
    pub fn parameters(&mut self) -> Result<Vec<Vec<f32>>> {
        let mut parameters = Vec::new();
        self.visit_replicas(&mut |replica| {
            parameters.push(replica.parameters);
            Ok(())
        })?;
        Ok(parameters)
    }

    /// Puts back what [`Self::replicas`] gave, or anything of the same shape: one replica for each slot, of any numbers.
    ///
    /// Fails with [`Error::Shape`] if their number, a length or the state of a weight is not one that this batch can have.
    pub fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()> {
        let (parameters, weight_count) = (self.parameters, self.architecture.weight_count());
        if replicas.len() != self.slots {
            return Err(Error::Shape(format!(
                "{} replicas to restore; {} of {parameters} parameters and {weight_count} weights are needed",
                replicas.len(),
                self.slots
            )));
        }
        for (slot, replica) in replicas.iter().enumerate() {
            let sizes = [replica.parameters.len(), replica.m.len(), replica.v.len(), replica.mask.len()];
            if sizes != [parameters, parameters, parameters, weight_count] {
                let [found, m, v, mask] = sizes;
                return Err(Error::Shape(format!(
                    "a replica of {found} parameters, {m} and {v} moments and {mask} weights for slot {slot}; {parameters} of \
                     each and {weight_count} weights are needed"
                )));
            }
            if let Some(state) = replica.mask.iter().find(|&&state| state > mask::DECAYING) {
                return Err(Error::Shape(format!(
                    "the state {state} of a weight of slot {slot}; {} is pruned, {} kept and {} decaying",
                    mask::PRUNED,
                    mask::KEPT,
                    mask::DECAYING
                )));
            }
        }
        self.backend.restore(replicas)
    }

    /// Logits `[slot, sample, class]` of the given samples of a data set.
    ///
    /// Fails with [`Error::Shape`] if the data set is not of this engine, has other images or more classes than the network,
    /// or fewer samples.
    pub fn logits(&mut self, data: DataHandle, samples: Range<usize>) -> Result<Vec<f32>> {
        let data = self.data.get(data, &self.architecture)?;
        if samples.start > samples.end || samples.end > data.set.samples() {
            return Err(Error::Shape(format!(
                "samples {samples:?} of the {} of {}",
                data.set.samples(),
                data.set.name
            )));
        }
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        self.backend.logits(&data, samples)
    }

    /// How well each slot classifies a data set.
    ///
    /// Fails with [`Error::Shape`] if the data set is not of this engine, or has other images or more classes than the network.
    pub fn evaluate(&mut self, data: DataHandle, watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = self.data.get(data, &self.architecture)?;
        self.backend.evaluate(&data, watch)
    }

    /// How well each pruned network classifies a data set; what lies before the focus layer is computed once a slot.
    ///
    /// Fails with [`Error::Shape`] as [`Self::evaluate`] does, and if a point names a slot that is not there, or is about
    /// more or fewer weights than the focus layer has.
    pub fn sweep(&mut self, data: DataHandle, points: &[SweepPoint], watch: &Watch<'_>) -> Result<Vec<Evaluation>> {
        let data = self.data.get(data, &self.architecture)?;
        let (slots, weight_count) = (self.slots, self.architecture.weight_count());
        if let Some(point) = points.iter().find(|point| point.slot >= slots || point.kept.len() != weight_count) {
            return Err(Error::Shape(format!(
                "a sweep point names slot {} with {} weights; there are {slots} slots with {weight_count}, counted from 0",
                point.slot,
                point.kept.len()
            )));
        }
        let [_, units] = self.architecture.focus_shape();
        let packed = |point: &SweepPoint| PackedPoint { slot: point.slot, mask: focus_sweep::pack(units, &point.kept) };
        self.backend.sweep(&data, &points.iter().map(packed).collect::<Vec<_>>(), watch)
    }
}
