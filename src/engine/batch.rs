//! A batch as its callers see it: every argument is checked here, once, for all devices.

use super::backend::{BackendBatch, Content, PackedPoint, PrunedNetwork};
use super::loaded::{DataHandle, DataSets, Loaded};
use super::{Evaluation, MaskChange, Network, RateSchedule, Replica, Setup, StepLoss, Steps, SweepPoint, Watch};
use crate::cpu::{focus_sweep, mask};
use crate::error::{Error, Result};
use crate::network::{Architecture, ParameterLayout, Selection};
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
    layout: ParameterLayout,
    /// What changes of masks are about.
    selection: Selection,
    focus: Selection,
    slots: usize,
    /// Samples of the training set.
    samples: usize,
    /// The most samples of a step.
    capacity: usize,
    learning_rate: RateSchedule,
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
            layout: ParameterLayout::new(setup.architecture),
            selection: setup.selection.clone(),
            focus: Selection::focus(setup.architecture),
            slots: setup.replica_ids.len(),
            samples: training.set.samples(),
            capacity: setup.batch,
            learning_rate: RateSchedule::Constant,
        }
    }

    /// Lets the learning rate of all steps from now on follow a schedule; without it, it is constant. It goes by the number
    /// of a step, so a training that goes on must say it again.
    pub fn follow(&mut self, learning_rate: RateSchedule) {
        self.learning_rate = learning_rate;
    }

    /// Trains all slots and returns `[slot, step]`. After [`Error::Interrupted`] slots may stand at different steps.
    ///
    /// Fails with [`Error::Shape`] unless there is one order for each slot, each step takes places of every order, from one to
    /// as many as the batch has samples, and all places that are taken hold samples of the training set; with
    /// [`Error::Usage`] if the decay is not from 0 to 1, or if steps cannot be numbered.
    pub fn train(&mut self, steps: &Steps<'_>, watch: &Watch<'_>) -> Result<Vec<StepLoss>> {
        self.check_steps(steps)?;
        let rates = self.learning_rate.rates(steps.first_step, steps.batches.len());
        self.backend.train(steps, &rates, watch)
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
    /// Fails with [`Error::Shape`] unless there is one number for each slot, none above the weights of the selection.
    pub fn change_masks(&mut self, change: MaskChange, weight_count: &[u32]) -> Result<()> {
        let all = self.selection.weights();
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

    /// Weights of a selection `[slot, weight]`.
    ///
    /// Fails with [`Error::Shape`] if the selection is of another network.
    pub fn weights(&mut self, selection: &Selection) -> Result<Vec<f32>> {
        self.check_selection(selection)?;
        self.backend.weights(selection)
    }

    /// Replaces these weights, by any numbers; masks, moments and everything else stay. `[slot, weight]`.
    ///
    /// Fails with [`Error::Shape`] if there are more or fewer, or if the selection is of another network.
    pub fn set_weights(&mut self, selection: &Selection, weights: &[f32]) -> Result<()> {
        self.check_selection(selection)?;
        let weight_count = selection.weights();
        if Some(weights.len()) != self.slots.checked_mul(weight_count) {
            return Err(Error::Shape(format!(
                "{} weights for {} slots with {weight_count} selected weights",
                weights.len(),
                self.slots
            )));
        }
        self.backend.set_weights(selection, weights)
    }

    fn check_selection(&self, selection: &Selection) -> Result<()> {
        check_selection(selection, &self.layout)
    }

    /// Adds all parameters of each slot to their sums over epochs, [`Replica::sums`]; the first time they become these.
    ///
    /// Fails as the device does.
    pub fn accumulate(&mut self) -> Result<()> {
        self.backend.accumulate()
    }

    /// Everything that training changes, slot by slot: `visit` gets one after the other, so that there never is a second
    /// copy of them all. Fails as soon as `visit` does.
    pub fn visit_replicas(&mut self, visit: &mut dyn FnMut(Replica<f32>) -> Result<()>) -> Result<()> {
        self.backend.visit_replicas(visit)
    }

    /// Everything that training changes, for each slot.
    ///
    /// Fails as the device does.
    pub fn replicas(&mut self) -> Result<Vec<Replica<f32>>> {
        let mut replicas = Vec::new();
        self.visit_replicas(&mut |replica| {
            replicas.push(replica);
            Ok(())
        })?;
        Ok(replicas)
    }

    /// All parameters of each slot.
    ///
    /// Fails as the device does.
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
    /// Fails with [`Error::Shape`] if their number, a length or the state of a parameter is not one that this batch can have:
    /// what is not selected is kept, and all slots have sums over epochs or none has.
    pub fn restore(&mut self, replicas: &[Replica<f32>]) -> Result<()> {
        let parameters = self.layout.parameters();
        if replicas.len() != self.slots {
            return Err(Error::Shape(format!(
                "{} replicas to restore; {} of {parameters} parameters are needed",
                replicas.len(),
                self.slots
            )));
        }
        for (slot, replica) in replicas.iter().enumerate() {
            let sizes = [replica.parameters.len(), replica.m.len(), replica.v.len(), replica.mask.len()];
            if sizes != [parameters; 4] {
                let [found, m, v, mask] = sizes;
                return Err(Error::Shape(format!(
                    "a replica of {found} parameters, {m} and {v} moments and {mask} states for slot {slot}; {parameters} of \
                     each are needed"
                )));
            }
            let sums = replica.sums.len();
            if sums != replicas[0].sums.len() || ![0, parameters].contains(&sums) {
                return Err(Error::Shape(format!(
                    "{sums} sums over epochs for slot {slot} and {} for slot 0; {parameters} for each, or none for all, are \
                     needed",
                    replicas[0].sums.len()
                )));
            }
            if let Some(state) = replica.mask.iter().find(|&&state| state > mask::DECAYING) {
                return Err(Error::Shape(format!(
                    "the state {state} of a parameter of slot {slot}; {} is pruned, {} kept and {} decaying",
                    mask::PRUNED,
                    mask::KEPT,
                    mask::DECAYING
                )));
            }
            let moved = |place: usize| {
                let sum = replica.sums.get(place).copied().unwrap_or(0.0);
                [replica.parameters[place], replica.m[place], replica.v[place], sum] != [0.0; 4]
            };
            if let Some(bias) = self.layout.missing().find(|bias| bias.range().any(moved)) {
                return Err(Error::Shape(format!(
                    "a {} that is not 0 for slot {slot}, whose network has no biases",
                    bias.name
                )));
            }
            let states = replica.mask.iter().enumerate();
            let is_lost = |&(index, &state): &(usize, &u32)| state != mask::KEPT && !self.selection.has(index);
            if let Some((index, state)) = states.into_iter().find(is_lost) {
                return Err(Error::Shape(format!(
                    "the state {state} of parameter {index} of slot {slot}, which is not among the weights that the batch was \
                     made to prune"
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

    /// How well each pruned network classifies a data set: the weights of the selection that are not kept are 0. What lies
    /// before the first selected layer is computed once a slot. Progress is in points.
    ///
    /// Fails with [`Error::Shape`] as [`Self::evaluate`] does, if the selection is of another network, and if a point names a
    /// slot that is not there, or is about more or fewer weights than the selection has.
    pub fn sweep(
        &mut self,
        data: DataHandle,
        selection: &Selection,
        points: &[SweepPoint],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let data = self.data.get(data, &self.architecture)?;
        self.check_selection(selection)?;
        let (slots, weight_count) = (self.slots, selection.weights());
        if let Some(point) = points.iter().find(|point| point.slot >= slots || point.kept.len() != weight_count) {
            return Err(Error::Shape(format!(
                "a sweep point names slot {} with {} weights; there are {slots} slots with {weight_count}, counted from 0",
                point.slot,
                point.kept.len()
            )));
        }
        if *selection == self.focus {
            let [_, units] = self.architecture.focus_shape();
            let packed =
                |point: &SweepPoint| PackedPoint { slot: point.slot, mask: focus_sweep::pack(units, &point.kept) };
            return self.backend.sweep_focus(&data, &points.iter().map(packed).collect::<Vec<_>>(), watch);
        }
        let packed = |point: &SweepPoint| {
            let mut kept = vec![true; self.layout.parameters()];
            selection.scatter(&point.kept, &mut kept);
            PrunedNetwork { slot: point.slot, content: Content::Kept(mask::pack(&kept)) }
        };
        let networks: Vec<PrunedNetwork> = points.iter().map(packed).collect();
        self.backend.sweep_networks(&data, selection.first_layer(), &networks, watch)
    }

    /// How well each of these networks classifies a data set. All networks of a slot have the layers before `first_layer`,
    /// counted from the image (convolutions, then dense layers), in common: those of the first of them are computed, once for
    /// all. Progress is in networks.
    ///
    /// Fails with [`Error::Shape`] as [`Self::evaluate`] does, if there is no layer `first_layer`, and if a network names a
    /// slot that is not there, or has more or fewer parameters than the architecture.
    pub fn sweep_networks(
        &mut self,
        data: DataHandle,
        first_layer: usize,
        networks: &[Network],
        watch: &Watch<'_>,
    ) -> Result<Vec<Evaluation>> {
        let data = self.data.get(data, &self.architecture)?;
        let (slots, parameters) = (self.slots, self.layout.parameters());
        check_layer(first_layer, &self.architecture)?;
        let fits = |network: &&Network| network.slot < slots && network.parameters.len() == parameters;
        if let Some(network) = networks.iter().find(|network| !fits(network)) {
            return Err(Error::Shape(format!(
                "a network names slot {} with {} parameters; there are {slots} slots with {parameters}, counted from 0",
                network.slot,
                network.parameters.len()
            )));
        }
        let network = |network: &Network| PrunedNetwork {
            slot: network.slot,
            content: Content::Parameters(Arc::clone(&network.parameters)),
        };
        let networks: Vec<PrunedNetwork> = networks.iter().map(network).collect();
        self.backend.sweep_networks(&data, first_layer, &networks, watch)
    }
}

/// Fails with [`Error::Shape`] if there is no layer `first`, counted from the image.
pub(super) fn check_layer(first: usize, architecture: &Architecture) -> Result<()> {
    let layers = architecture.convolutions.len() + architecture.dense_layers().len();
    if first >= layers {
        return Err(Error::Shape(format!("networks from layer {first} on; there are {layers}, counted from 0")));
    }
    Ok(())
}

/// Fails with [`Error::Shape`] if `selection` is not one of a network with this layout.
pub(super) fn check_selection(selection: &Selection, layout: &ParameterLayout) -> Result<()> {
    if selection.fits(layout) {
        return Ok(());
    }
    Err(Error::Shape(format!(
        "the selection is one of another network, of {} parameters; this one has {}",
        selection.parameters(),
        layout.parameters()
    )))
}
