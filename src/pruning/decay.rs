//! Exponential decay, the baseline: prune while training, anew for each target sparsity.
//!
//! The paper gives no formula, and the work that it cites decays a rewiring fraction and has no target sparsity. The rule
//! here, `density`, decays the surviving fraction exponentially, as Intel Neural Compressor and NNCF do.

use super::masks::removed_nodes;

/// When and how far a training run towards one target sparsity is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DensitySchedule {
    target: f64,
    nodes: usize,
    ramp_steps: u64,
    interval: u64,
}

impl DensitySchedule {
    /// A schedule towards `target` in `0..=1` of `nodes` nodes. The ramp goes over all epochs but the last (over the only
    /// one if there is one); the mask is renewed every `max(1, min(100, ramp steps / 10))` steps and at the ramp's end.
    pub fn new(target: f64, nodes: usize, epochs: u32, steps_per_epoch: u64) -> Self {
        let ramp_steps = steps_per_epoch * u64::from(epochs.saturating_sub(1).max(1));
        Self { target, nodes, ramp_steps, interval: (ramp_steps / 10).clamp(1, 100) }
    }

    /// Sparsity after `step` steps: `1 - (1 - target)^(step / ramp)`; the target itself at the ramp's end and after it.
    /// Towards a target of 1 the density decays to half a node, and then everything goes.
    pub fn sparsity(&self, step: u64) -> f64 {
        if step >= self.ramp_steps {
            return self.target;
        }
        let final_density = (1.0 - self.target).max(0.5 / self.nodes as f64);
        1.0 - final_density.powf(step as f64 / self.ramp_steps as f64)
    }

    /// How many nodes are removed after `step` steps.
    pub fn removed(&self, step: u64) -> usize {
        removed_nodes(self.sparsity(step), self.nodes)
    }

    /// The next step after `step` behind which the mask is renewed, or `None` behind the ramp.
    pub fn next_update(&self, step: u64) -> Option<u64> {
        let next = (step / self.interval + 1) * self.interval;
        (step < self.ramp_steps).then(|| next.min(self.ramp_steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_starts_at_zero_ends_at_the_target_and_never_falls() {
        for percent in 0..=100 {
            let target = f64::from(percent) / 100.0;
            let schedule = DensitySchedule::new(target, 900, 3, 1875);
            assert_eq!(schedule.sparsity(0), 0.0);
            assert_eq!(schedule.sparsity(3750), target);
            assert_eq!(schedule.removed(9999), removed_nodes(target, 900));
            let all: Vec<f64> = (0..=3750).map(|step| schedule.sparsity(step)).collect();
            assert!(all.windows(2).all(|pair| pair[0] <= pair[1]), "target {target} falls");
            assert!(all.iter().all(|sparsity| (0.0..=1.0).contains(sparsity)), "target {target} leaves 0..1");
        }
    }

    #[test]
    fn half_of_the_ramp_leaves_the_root_of_the_final_density() {
        let schedule = DensitySchedule::new(0.9, 900, 3, 1875);
        assert!((schedule.sparsity(1875) - (1.0 - 0.1f64.sqrt())).abs() < 1e-12);
    }

    #[test]
    fn updates_come_every_hundred_steps_and_at_the_ramps_end() {
        let schedule = DensitySchedule::new(0.5, 900, 3, 1875);
        let mut updates = Vec::new();
        let mut step = 0;
        while let Some(next) = schedule.next_update(step) {
            updates.push(next);
            step = next;
        }
        assert_eq!((updates[0], updates[1], updates.len(), updates.last()), (100, 200, 38, Some(&3750)));
    }

    #[test]
    fn a_short_run_still_gets_its_updates() {
        // 1,000 images: 32 steps an epoch, where a fixed interval of 100 would prune once at most.
        let schedule = DensitySchedule::new(0.5, 900, 3, 32);
        assert_eq!(schedule.next_update(0), Some(6));
        assert_eq!(DensitySchedule::new(0.5, 900, 1, 1).next_update(0), Some(1));
    }
}
