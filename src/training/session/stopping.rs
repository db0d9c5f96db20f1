//! Slots that stop before the others: they leave the device, so that the steps of the others take less time. A replica alone
//! has the bits that it has among others, so this moves none.

use super::{Session, begin};
use crate::engine::Replica;
use crate::error::Result;
use crate::stability::History;
use crate::training::plateau::{LASTING, Plateau};

impl Session<'_> {
    /// Slots that are still trained.
    pub(super) fn active(&self) -> Vec<usize> {
        (0..self.state.stopped.len()).filter(|&slot| self.state.stopped[slot].is_none()).collect()
    }

    /// Puts these replicas, those of the active slots, on the device; the fewer they are, the faster is a step.
    pub(super) fn place(&mut self, replicas: &[Replica<f32>]) -> Result<()> {
        let active = self.active();
        if active.is_empty() {
            return Ok(());
        }
        if active.len() < self.plan.replica_ids.len() {
            let ids: Vec<u32> = active.iter().map(|&slot| self.plan.replica_ids[slot]).collect();
            self.batch = begin(self.engine, self.plan, &ids)?;
        }
        self.batch.restore(replicas)
    }

    /// Adds an epoch to the history: of active slots their `weights` `[active, weight_index]`, of others the last ones again.
    pub(super) fn append(&mut self, active: &[usize], weights: &[f32]) {
        let weight_count = self.plan.selection.weights();
        let before = self.state.history.len().saturating_sub(self.plan.replica_ids.len() * weight_count);
        for slot in 0..self.plan.replica_ids.len() {
            match active.binary_search(&slot) {
                Ok(place) => self.state.history.extend_from_slice(&weights[place * weight_count..][..weight_count]),
                Err(_) => self
                    .state
                    .history
                    .extend_from_within(before + slot * weight_count..before + (slot + 1) * weight_count),
            }
        }
    }

    /// Takes slots that have stayed at their plateau off the device.
    pub(super) fn stop_at_plateau(&mut self, plateau: Plateau, epoch: u32, active: Vec<usize>) -> Result<()> {
        // Counted as it is, stopped slots too: to leave them out, all others would have to be copied each epoch.
        let history = History::recorded(self.shape(epoch), std::mem::take(&mut self.state.history));
        let reached = plateau.is_reached(self.engine, &history, &active);
        self.state.history = history.into_weights();
        let reached = reached?;
        for (&slot, reached) in active.iter().zip(reached) {
            self.state.at_plateau[slot] = if reached { self.state.at_plateau[slot] + 1 } else { 0 };
        }
        if active.iter().all(|&slot| self.state.at_plateau[slot] < LASTING) {
            return Ok(());
        }
        let mut left = Vec::new();
        for (slot, replica) in active.into_iter().zip(self.batch.replicas()?) {
            if self.state.at_plateau[slot] >= LASTING {
                self.state.stopped[slot] = Some((epoch, replica));
            } else {
                left.push(replica);
            }
        }
        self.state.losses.truncate(left.len());
        self.place(&left)
    }

    /// Puts the slots that stopped before the others back on the device, and says how many epochs each was trained for.
    pub(super) fn rejoin(&mut self) -> Result<Vec<u32>> {
        if self.state.stopped.iter().all(Option::is_none) {
            return Ok(vec![self.plan.epochs; self.plan.replica_ids.len()]);
        }
        let mut left = if self.active().is_empty() { Vec::new() } else { self.batch.replicas()? }.into_iter();
        let (mut epochs, mut replicas) = (Vec::new(), Vec::new());
        for mut stopped in std::mem::take(&mut self.state.stopped) {
            if let Some((epoch, replica)) = stopped.as_mut().filter(|_| self.plan.average > 0) {
                // It stays as it stopped, in the mean over epochs too.
                self.plan.averaged().filter(|later| later >= epoch).for_each(|_| replica.accumulate());
            }
            epochs.push(stopped.as_ref().map_or(self.plan.epochs, |stopped| stopped.0));
            replicas.extend(stopped.map(|stopped| stopped.1).or_else(|| left.next()));
        }
        self.batch = begin(self.engine, self.plan, self.plan.replica_ids)?;
        self.batch.restore(&replicas)?;
        Ok(epochs)
    }
}
