//! Exponential decay, the baseline: prune while training, anew for each target sparsity.
//!
//! The paper gives no formula for it. The work that it cites decays the *rewiring fraction* of a sparse network and has no
//! target sparsity. We therefore implement exponential decay as exponential decay of the surviving fraction
//! ([`Rule::Density`], as Intel Neural Compressor and NNCF do), and provide three alternatives. Conclusions that change with
//! the rule are marked in every report.

use super::masks::removed_weights;
use crate::engine::MaskChange;

/// Share of the kept weights that [`Rule::Exd`] rewires at first.
const FIRST_REWIRED: f64 = 0.3;
/// By how much that share falls from one rewiring to the next.
const REWIRED_FALL: f64 = 0.01;
/// What is left of a weight that [`Rule::Soft`] lets decay over the whole ramp, if training does not move it.
const LEFT_OF_DECAYED: f64 = 0.001;
/// The most steps between two prunings.
const LONGEST_INTERVAL: u64 = 100;

/// How the baseline prunes while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum Rule {
    /// The surviving fraction decays exponentially towards the target's.
    Density,
    /// The density is the target's from the start; after each epoch but the last a share of the weights, which decays
    /// exponentially, is dropped and grown anew at random places. The rule is that of the code that the cited authors
    /// published (`docs/kernels/mask.md`), with the evolution of the mask applied.
    Exd,
    /// The smallest weights, chosen anew at each epoch's start, decay exponentially step by step and are pruned at the ramp's
    /// end. Our reading of Cai et al. 2021.
    Soft,
    /// Sparsity rises as a cubic polynomial: Zhu & Gupta 2017, as in the TensorFlow Model Optimization Toolkit.
    Cubic,
}

impl Rule {
    /// All rules, the default first.
    pub const ALL: [Self; 4] = [Self::Density, Self::Exd, Self::Soft, Self::Cubic];
}

/// When and how a training run towards one target sparsity changes its mask. A pure function of the step: a run that was
/// stopped goes on with the same changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    rule: Rule,
    target: f64,
    weight_count: usize,
    steps_per_epoch: u64,
    steps: u64,
    ramp_steps: u64,
    interval: u64,
}

impl Schedule {
    /// A schedule by `rule` towards `target` in `0..=1` of `weight_count` weights. The ramp goes over all epochs but the last (over
    /// the only one if there is one). The gradual rules renew the mask every `max(1, min(100, ramp steps / 10))` steps and
    /// at the ramp's end, the others between epochs.
    pub fn new(rule: Rule, target: f64, weight_count: usize, epochs: u32, steps_per_epoch: u64) -> Self {
        let ramp_steps = steps_per_epoch * u64::from(epochs.saturating_sub(1).max(1));
        let interval = match rule {
            Rule::Density | Rule::Cubic => (ramp_steps / 10).clamp(1, LONGEST_INTERVAL),
            Rule::Exd | Rule::Soft => steps_per_epoch,
        };
        Self {
            rule,
            target,
            weight_count,
            steps_per_epoch,
            steps: steps_per_epoch * u64::from(epochs),
            ramp_steps,
            interval,
        }
    }

    /// Sparsity after `step` steps; the target itself at the ramp's end and after it. With T steps in the ramp and target f:
    /// - density: `1 - (1 - f)^(t / T)`; towards 1 the density decays to half a weight, and then everything goes
    /// - cubic: `f - f (1 - t / T)^3`
    /// - exd: f from the start; soft: 0 until the ramp's end
    pub fn sparsity(&self, step: u64) -> f64 {
        if step >= self.ramp_steps {
            return self.target;
        }
        let passed = step as f64 / self.ramp_steps as f64;
        match self.rule {
            Rule::Density => 1.0 - (1.0 - self.target).max(0.5 / self.weight_count as f64).powf(passed),
            Rule::Cubic => self.target - self.target * (1.0 - passed).powi(3),
            Rule::Exd => self.target,
            Rule::Soft => 0.0,
        }
    }

    /// How many weights are pruned after `step` steps.
    pub fn pruned(&self, step: u64) -> usize {
        removed_weights(self.sparsity(step), self.weight_count)
    }

    /// How many weights [`Rule::Exd`] rewires after the first, second, ... epoch (`epoch` = 0, 1, ...): the share
    /// `0.3 (1 - 0.01)^epoch` of the kept ones, rounded. None where no weight is pruned: they would only be drawn anew in
    /// their own places, and the target 0 is the dense control.
    pub fn rewired(&self, epoch: u32) -> usize {
        let pruned = removed_weights(self.target, self.weight_count);
        let share = FIRST_REWIRED * (1.0 - REWIRED_FALL).powf(f64::from(epoch));
        if pruned == 0 { 0 } else { removed_weights(share, self.weight_count - pruned) }
    }

    /// What decaying weights are multiplied by after each step: the `ramp steps`-th root of 0.001.
    pub fn decay(&self) -> f64 {
        LEFT_OF_DECAYED.powf(1.0 / self.ramp_steps as f64)
    }

    /// What happens to the mask behind step `step` (0: before the first one), in order, and to how many weights. Which changes
    /// there are depends on rule and step alone, so schedules of one rule with different targets can run side by side.
    pub fn changes(&self, step: u64) -> Vec<(MaskChange, u32)> {
        let target = removed_weights(self.target, self.weight_count) as u32;
        let between_epochs = step.is_multiple_of(self.steps_per_epoch);
        // Epochs, and so rewirings, are counted by 32 bits.
        let epoch = (step / self.steps_per_epoch) as u32;
        match self.rule {
            Rule::Density | Rule::Cubic => {
                let renewed = step.is_multiple_of(self.interval) && (1..self.ramp_steps).contains(&step);
                if renewed || step == self.ramp_steps {
                    return vec![(MaskChange::PruneSmallest, self.pruned(step) as u32)];
                }
            }
            Rule::Exd => {
                if step == 0 {
                    return vec![(MaskChange::PruneRandom { update: 0 }, target)];
                }
                if between_epochs && step < self.steps {
                    let rewired = self.rewired(epoch - 1) as u32;
                    let grow = MaskChange::RegrowRandom { update: epoch };
                    return vec![(MaskChange::PruneSmallest, target + rewired), (grow, rewired)];
                }
            }
            Rule::Soft => {
                if step == self.ramp_steps {
                    return vec![(MaskChange::PruneSmallest, target)];
                }
                if between_epochs && step < self.ramp_steps {
                    return vec![(MaskChange::DecaySmallest, target)];
                }
            }
        }
        Vec::new()
    }

    /// The next step after `step` behind which the mask may change, or `None` if it will not change any more.
    pub fn next_change(&self, step: u64) -> Option<u64> {
        let next = (step / self.interval + 1) * self.interval;
        match self.rule {
            Rule::Exd => (next < self.steps).then_some(next),
            Rule::Density | Rule::Cubic | Rule::Soft => (step < self.ramp_steps).then(|| next.min(self.ramp_steps)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> impl Iterator<Item = f64> {
        (0..=100).map(|percent| f64::from(percent) / 100.0)
    }

    /// All steps behind which a mask changes, with what happens.
    fn all_changes(schedule: &Schedule) -> Vec<(u64, Vec<(MaskChange, u32)>)> {
        let mut steps = vec![0];
        while let Some(next) = schedule.next_change(steps[steps.len() - 1]) {
            steps.push(next);
        }
        steps
            .into_iter()
            .map(|step| (step, schedule.changes(step)))
            .filter(|(_, changes)| !changes.is_empty())
            .collect()
    }

    #[test]
    fn gradual_rules_start_at_zero_end_at_the_target_and_never_fall() {
        for rule in [Rule::Density, Rule::Cubic] {
            for target in targets() {
                let schedule = Schedule::new(rule, target, 900, 3, 1875);
                assert_eq!(schedule.sparsity(0), 0.0);
                assert_eq!(schedule.sparsity(3750), target);
                assert_eq!(schedule.pruned(9999), removed_weights(target, 900));
                let all: Vec<f64> = (0..=3750).map(|step| schedule.sparsity(step)).collect();
                assert!(all.windows(2).all(|pair| pair[0] <= pair[1]), "{rule:?} towards {target} falls");
                assert!(all.iter().all(|sparsity| (0.0..=1.0).contains(sparsity)), "{rule:?}: {target} leaves 0..1");
            }
        }
    }

    #[test]
    fn half_of_the_ramp_leaves_what_the_formulas_say() {
        for (rule, expected) in [(Rule::Density, 1.0 - 0.1f64.sqrt()), (Rule::Cubic, 0.9 * 7.0 / 8.0)] {
            assert!((Schedule::new(rule, 0.9, 900, 3, 1875).sparsity(1875) - expected).abs() < 1e-12, "{rule:?}");
        }
    }

    #[test]
    fn updates_come_every_hundred_steps_and_at_the_ramps_end() {
        for rule in [Rule::Density, Rule::Cubic] {
            let changes = all_changes(&Schedule::new(rule, 0.5, 900, 3, 1875));
            let steps: Vec<u64> = changes.iter().map(|(step, _)| *step).collect();
            assert_eq!((steps[0], steps[1], steps.len(), steps.last()), (100, 200, 38, Some(&3750)));
            assert_eq!(changes[37].1, [(MaskChange::PruneSmallest, 450)]);
        }
    }

    #[test]
    fn a_short_run_still_gets_its_updates() {
        // 1,000 images: 32 steps an epoch, where a fixed interval of 100 would prune once at most.
        let schedule = Schedule::new(Rule::Density, 0.5, 900, 3, 32);
        assert_eq!(schedule.next_change(0), Some(6));
        for rule in Rule::ALL {
            // One step in all: whatever the rule, the target is reached.
            let last = all_changes(&Schedule::new(rule, 0.5, 900, 1, 1)).pop().unwrap();
            assert_eq!(last.0, u64::from(rule != Rule::Exd));
            assert_eq!(last.1[0].1, 450);
        }
    }

    #[test]
    fn exd_keeps_its_density_and_rewires_a_share_that_decays() {
        for target in targets() {
            let schedule = Schedule::new(Rule::Exd, target, 900, 5, 40);
            let pruned = removed_weights(target, 900);
            assert!((0..=200).all(|step| schedule.pruned(step) == pruned));
            let changes = all_changes(&schedule);
            assert_eq!(changes.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [0, 40, 80, 120, 160]);
            assert_eq!(changes[0].1, [(MaskChange::PruneRandom { update: 0 }, pruned as u32)]);
            for (epoch, share) in [0.3, 0.297, 0.294_03, 0.291_089_7].into_iter().enumerate() {
                let expected = if pruned == 0 { 0 } else { (share * (900 - pruned) as f64).round() as u32 };
                let [(MaskChange::PruneSmallest, dropped), (MaskChange::RegrowRandom { update }, grown)] =
                    changes[epoch + 1].1[..]
                else {
                    panic!("{:?}", changes[epoch + 1])
                };
                assert_eq!((dropped - pruned as u32, grown, update), (expected, expected, epoch as u32 + 1));
            }
        }
    }

    #[test]
    fn soft_selects_at_each_epochs_start_and_prunes_at_the_ramps_end() {
        let schedule = Schedule::new(Rule::Soft, 0.8, 900, 3, 1875);
        let decay = vec![(MaskChange::DecaySmallest, 720)];
        let prune = vec![(MaskChange::PruneSmallest, 720)];
        assert_eq!(all_changes(&schedule), [(0, decay.clone()), (1875, decay), (3750, prune)]);
        assert!((schedule.decay().powf(3750.0) - 0.001).abs() < 1e-12);
        assert_eq!((schedule.pruned(3749), schedule.pruned(3750)), (0, 720));
    }

    #[test]
    fn numbers_are_finite_and_changes_the_same_for_every_target_however_steps_are_split() {
        for rule in Rule::ALL {
            for (epochs, steps_per_epoch) in [(1, 1), (1, 7), (2, 1), (3, 32), (4, 113)] {
                let schedules: Vec<_> =
                    targets().map(|target| Schedule::new(rule, target, 37, epochs, steps_per_epoch)).collect();
                let end = u64::from(epochs) * steps_per_epoch;
                for step in 0..=end {
                    let kinds = |schedule: &Schedule| {
                        schedule.changes(step).into_iter().map(|(change, _)| change).collect::<Vec<_>>()
                    };
                    for schedule in &schedules {
                        assert_eq!(kinds(schedule), kinds(&schedules[0]), "{rule:?} at {step}");
                        assert!((0.0..=1.0).contains(&schedule.sparsity(step)));
                        assert!((0.0..=1.0).contains(&schedule.decay()));
                        let most = schedule.changes(step).into_iter().map(|(_, weight_count)| weight_count).max();
                        assert!(most.unwrap_or(0) <= 37, "{rule:?}: more weights than there are");
                        // Whoever asks from any step before hears of the same next change.
                        if step > 0 && !kinds(schedule).is_empty() {
                            assert_eq!(schedule.next_change(step - 1), Some(step), "{rule:?} at {step}");
                        }
                    }
                }
                assert!(schedules.iter().all(|schedule| schedule.pruned(end) == removed_weights(schedule.target, 37)));
            }
        }
    }
}
